import { z } from 'zod'
import { later, type Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { StageRecorder, STAGES } from '../core/latency-budget.ts'
import type { CompanyContext } from '../response/company-context.ts'
import { INITIAL_DIALOGUE } from '../response/dialogue.ts'
import type { ReplyPart, TurnInput } from '../response/responder.ts'
import type { AdminPorts } from './admin-contract.ts'

/** What an answer on the telephone would have, too. */
const FIRST_PART_MS = 800
/** A model that streams a long reply ends here; nobody waits at the other end. */
const WHOLE_REPLY_MS = 8000

export const dialogueSchema = z.strictObject({
  greeted: z.boolean(),
  lastReply: z.array(z.string().max(600)).max(20),
  unansweredCount: z.int().min(0).max(100),
  offer: z
    .strictObject({
      kind: z.enum(['transfer', 'message', 'more', 'goodbye']),
      entryId: z.string().max(64).nullable(),
      targetId: z.string().max(64).optional(),
    })
    .nullable(),
  topicEntryId: z.string().max(64).nullable(),
  onHold: z.boolean(),
  callerName: z.string().max(80).nullable(),
})
type Dialogue = z.infer<typeof dialogueSchema>

export const answerSchema = z.object({
  /** What a caller would hear, sentence by sentence. */
  said: z.array(z.object({ text: z.string(), source: z.string(), entryId: z.string().nullable() })),
  actions: z.array(z.looseObject({ kind: z.string() })),
  expectation: z.looseObject({ kind: z.string() }),
  learned: z.object({ question: z.string(), intent: z.string(), entryId: z.string().nullable(), confidence: z.number(), gap: z.boolean() }).nullable(),
  /** Send it with the next question to go on with the same talk. */
  dialogue: dialogueSchema,
  /** Why: one line a step that had a say. */
  trace: z.array(z.object({ step: z.string(), detail: z.record(z.string(), z.unknown()) })),
  stages: z.array(z.object({ stage: z.enum(STAGES), ms: z.number(), outcome: z.string() })),
  firstPartMs: z.number().nullable(),
  agentVersion: z.int(),
  companyVersion: z.int(),
})
export type TypedAnswer = z.input<typeof answerSchema>

export type TypedQuestion = Readonly<{ input: TurnInput; dialogue: Dialogue | null; from: string; at: Date | null; turn: number }>

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
        dialogue: question.dialogue === null ? INITIAL_DIALOGUE : withoutUndefined(question.dialogue),
        history: [],
        from: question.from,
        wallTime: question.at ?? clock.wallTime(),
        clock,
        firstPartBy: later(startedAt, FIRST_PART_MS),
        stages,
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
    trace: parts.filter((part) => part.kind === 'trace').map(({ step, detail }) => ({ step, detail })),
    stages: stages.spans.map((span) => ({ stage: span.stage, ms: span.endedAt - span.startedAt, outcome: span.outcome })),
    firstPartMs,
    agentVersion: context.agent.version,
    companyVersion: context.company.version,
  }
}

function withoutUndefined(dialogue: Dialogue): Parameters<AdminPorts['responder']['respond']>[0]['dialogue'] {
  const { offer, ...rest } = dialogue
  if (offer === null) return { ...rest, offer: null }
  const { targetId, ...plain } = offer
  return { ...rest, offer: targetId === undefined ? plain : { ...plain, targetId } }
}
