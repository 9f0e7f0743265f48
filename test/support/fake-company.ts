import { NO_EFFECTS } from '../../src/booking/effect.ts'
import { fileURLToPath } from 'node:url'
import { instant } from '../../src/core/clock.ts'
import { StageRecorder } from '../../src/core/latency-budget.ts'
import type { CompanyContext } from '../../src/response/company-context.ts'
import { loadCompanyFile, type CompanyFile } from '../../src/response/company-file.ts'
import { INITIAL_DIALOGUE, type DialogueState } from '../../src/response/dialogue.ts'
import type { Embedder } from '../../src/response/embedder.ts'
import { createKnowledgeIndex } from '../../src/response/knowledge.ts'
import type { Question, ReplyPart, Responder, TurnInput } from '../../src/response/responder.ts'
import { VirtualClock } from './virtual-clock.ts'

/** Monday 2 March 2026, 10:00 in New York: both demo companies are open. */
export const OPEN_AT = new Date('2026-03-02T15:00:00Z')
/** The same Monday, 22:00 in New York. */
export const CLOSED_AT = new Date('2026-03-03T03:00:00Z')

export function demoCompany(name: 'polar-bay-air' | 'harbor-lane-dental' | 'juniper-coffee'): CompanyFile {
  return loadCompanyFile(fileURLToPath(new URL(`../../media/companies/${name}.json`, import.meta.url)))
}

/** What the company knows, asked without its forms: where a form begins, its knowledge has no say. */
export function withoutForms(file: CompanyFile): CompanyFile {
  return { ...file, company: { ...file.company, forms: [] } }
}

/** A company's context as a call gets it, lexical unless an embedder is given. */
export function contextOf(file: CompanyFile, embedder: Embedder | null = null): CompanyContext {
  return {
    company: file.company,
    agent: file.agent,
    knowledge: createKnowledgeIndex(file.company.id, file.knowledge, 1, embedder, { mishearings: file.company.mishearings }),
    entryById: new Map(file.knowledge.map((entry) => [entry.id, entry])),
  }
}

export function questionOf(
  context: CompanyContext,
  input: TurnInput | string,
  options: Partial<{ dialogue: Partial<DialogueState>; wallTime: Date; clock: VirtualClock; budgetMs: number; turn: number }> = {},
): Question {
  const clock = options.clock ?? new VirtualClock(options.wallTime ?? OPEN_AT)
  return {
    companyId: context.company.id,
    callId: 'CA00000000000000000000000000000001',
    turn: options.turn ?? 1,
    input: typeof input === 'string' ? { kind: 'speech', text: input } : input,
    context,
    dialogue: { ...INITIAL_DIALOGUE, greeted: true, ...options.dialogue },
    history: [],
    from: '+15550109999',
    wallTime: options.wallTime ?? OPEN_AT,
    clock,
    firstPartBy: instant(clock.now() + (options.budgetMs ?? 600)),
    stages: new StageRecorder(clock),
    effects: NO_EFFECTS,
  }
}

export type Reply = Readonly<{
  parts: readonly ReplyPart[]
  said: string
  source: string | null
  entryIds: readonly string[]
  intent: string | null
  action: Extract<ReplyPart, { kind: 'act' }>['action'] | null
  expectation: string
  dialogue: DialogueState
  gap: boolean
}>

export async function replyTo(responder: Responder, question: Question, signal = new AbortController().signal): Promise<Reply> {
  const parts: ReplyPart[] = []
  for await (const part of responder.respond(question, signal)) parts.push(part)
  const says = parts.filter((part) => part.kind === 'say')
  const learn = parts.find((part) => part.kind === 'learn')
  return {
    parts,
    said: says.map((part) => part.text).join(' '),
    source: says[0]?.source ?? null,
    entryIds: [...new Set(says.flatMap((part) => part.entryId ?? []))],
    intent: learn?.record.intent ?? null,
    action: parts.find((part) => part.kind === 'act')?.action ?? null,
    expectation: parts.find((part) => part.kind === 'expect')?.expectation.kind ?? 'open',
    dialogue: parts.findLast((part) => part.kind === 'dialogue')?.state ?? question.dialogue,
    gap: learn?.record.gap ?? false,
  }
}
