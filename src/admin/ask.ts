import { createHmac } from 'node:crypto'
import { z } from 'zod'
import { later, type Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError } from '../core/errors.ts'
import { StageRecorder, STAGES } from '../core/latency-budget.ts'
import type { CompanyContext } from '../response/company-context.ts'
import type { Effect, Effects } from '../booking/effect.ts'
import { INITIAL_DIALOGUE, type DialogueState } from '../response/dialogue.ts'
import type { ReplyPart, TurnInput } from '../response/responder.ts'
import { sameText } from '../security/secrets.ts'
import type { AdminPorts } from './admin-contract.ts'

/** What an answer on the telephone would have, too. */
const FIRST_PART_MS = 800
/** A model that streams a long reply ends here; nobody waits at the other end. */
const WHOLE_REPLY_MS = 8000

export const answerSchema = z.object({
  /** What a caller would hear, sentence by sentence. */
  said: z.array(z.object({ text: z.string(), source: z.string(), entryId: z.string().nullable() })),
  actions: z.array(z.looseObject({ kind: z.string() })),
  expectation: z.looseObject({ kind: z.string() }),
  learned: z.object({ question: z.string(), intent: z.string(), entryId: z.string().nullable(), confidence: z.number(), gap: z.boolean() }).nullable(),
  /** What the talk is about by now, to look at. */
  dialogue: z.looseObject({ greeted: z.boolean(), unansweredCount: z.int(), lastReply: z.array(z.string()) }),
  /** Send it with the next question to go on with the same talk. */
  continueWith: z.string(),
  /** Why: one line a step that had a say. */
  trace: z.array(z.object({ step: z.string(), detail: z.record(z.string(), z.unknown()) })),
  stages: z.array(z.object({ stage: z.enum(STAGES), ms: z.number(), outcome: z.string() })),
  firstPartMs: z.number().nullable(),
  agentVersion: z.int(),
  companyVersion: z.int(),
})
export type TypedAnswer = z.input<typeof answerSchema>

export type TypedQuestion = Readonly<{ input: TurnInput; dialogue: DialogueState | null; from: string; at: Date | null; turn: number }>

/** One turn of the real intelligence loop, without a telephone. Writes nothing: what it learned is only told. */
export async function ask(ports: AdminPorts, clock: Clock, context: CompanyContext, question: TypedQuestion, signal: AbortSignal): Promise<TypedAnswer> {
  const stages = new StageRecorder(clock)
  const startedAt = clock.now()
  const parts: ReplyPart[] = []
  let firstPartMs: number | null = null
  await withDeadline(clock, WHOLE_REPLY_MS, signal, async (inTime) => {
    const reply = ports.responder.respond(
      {
        companyId: context.company.id,
        callId: 'typed',
        turn: question.turn,
        input: question.input,
        context,
        dialogue: question.dialogue ?? INITIAL_DIALOGUE,
        history: [],
        from: question.from,
        wallTime: question.at ?? clock.wallTime(),
        clock,
        firstPartBy: later(startedAt, FIRST_PART_MS),
        stages,
        effects: pretended((effect) => parts.push({ kind: 'trace', step: 'would-do', detail: { effect } })),
      },
      inTime,
    )
    for await (const part of reply) {
      if (part.kind === 'say') firstPartMs ??= clock.now() - startedAt
      parts.push(part)
    }
  })
  const learned = parts.find((part) => part.kind === 'learn')
  const dialogue = parts.findLast((part) => part.kind === 'dialogue')?.state ?? INITIAL_DIALOGUE
  return {
    said: parts.filter((part) => part.kind === 'say').map(({ text, source, entryId }) => ({ text, source, entryId })),
    actions: parts.filter((part) => part.kind === 'act').map((part) => part.action),
    expectation: parts.findLast((part) => part.kind === 'expect')?.expectation ?? { kind: 'open' },
    learned: learned?.record ?? null,
    dialogue: { ...dialogue, lastReply: [...dialogue.lastReply] },
    continueWith: sealed(ports.sealKey, context.company.id, dialogue),
    trace: parts.filter((part) => part.kind === 'trace').map(({ step, detail }) => ({ step, detail })),
    stages: stages.spans.map((span) => ({ stage: span.stage, ms: span.endedAt - span.startedAt, outcome: span.outcome })),
    firstPartMs,
    agentVersion: context.agent.version,
    companyVersion: context.company.version,
  }
}

/** A typed question tries the agent out: the talk goes on as if it had been done, nothing is, and the trace says what. */
function pretended(told: (effect: Effect) => void): Effects {
  return {
    perform: async (effect) => {
      told(effect)
      return { kind: 'done', appointment: null }
    },
  }
}

/** The talk so far, closed: what comes back is what was given out, to the same company. */
function sealed(key: Uint8Array, companyId: string, dialogue: DialogueState): string {
  const text = Buffer.from(JSON.stringify(dialogue)).toString('base64url')
  return `${text}.${sealOf(key, companyId, text)}`
}

/** Throws INVALID_INPUT for a talk that was not given out to this company. */
export function openedDialogue(key: Uint8Array, companyId: string, continueWith: string): DialogueState {
  const [text = '', seal = ''] = continueWith.split('.')
  if (!sameText(seal, sealOf(key, companyId, text))) {
    throw new ClientsViaError('INVALID_INPUT', 'continueWith: is not from an answer of this company', { field: 'continueWith' })
  }
  // Sealed by this server from a DialogueState, so it still is one.
  return JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as DialogueState
}

function sealOf(key: Uint8Array, companyId: string, text: string): string {
  return createHmac('sha256', key).update(JSON.stringify([companyId, text])).digest('base64url')
}
