import { z } from 'zod'
import type { CallRecord, Gap, TurnRecord } from '../call/call-record.ts'
import { STAGES } from '../core/latency-budget.ts'

/**
 * The call contracts as schemas, so that what is stored is checked on its way in and out. Unknown keys are kept: a newer version may
 * have written them. The compiler holds each schema to its contract in both directions, below.
 */
const milliseconds = z.number()
const stage = z.enum(STAGES)
const timestamp = z.iso.datetime({ offset: true })

const callAction = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('hang-up'), reason: z.enum(['goodbye', 'silence', 'limit', 'emergency', 'spam']) }),
  z.object({ kind: z.literal('transfer'), phoneNumberE164: z.string(), label: z.string(), timeoutSeconds: z.number() }),
  z.object({ kind: z.literal('voicemail'), prompt: z.string(), maxSeconds: z.number() }),
])

export const turnRecordSchema = z.looseObject({
  turn: z.int().min(0),
  startedAt: timestamp,
  input: z.enum(['speech', 'dtmf', 'answered', 'silence', 'inaudible', 'limit']),
  heard: z.string(),
  said: z.string(),
  delivered: z.string(),
  sources: z.array(
    z.enum(['greeting', 'emergency', 'rule', 'fixed-answer', 'template', 'model', 'unknown', 'silence-prompt', 'goodbye', 'repeat', 'form', 'stall', 'notice']),
  ),
  entryIds: z.array(z.string()),
  actions: z.array(callAction),
  gapMs: milliseconds.nullable(),
  patienceMs: milliseconds,
  stages: z.array(z.object({ stage, ms: milliseconds })),
  work: z.array(z.object({ stage, ms: milliseconds, outcome: z.enum(['done', 'cut-off', 'failed', 'skipped']) })),
  budgetExceededByMs: milliseconds,
  stalled: z.boolean(),
  speculation: z.object({ started: z.number(), wasted: z.number(), used: z.boolean(), aheadMs: z.number().exactOptional() }),
  endpoint: z.object({ rule: z.string(), score: z.number(), waitMs: milliseconds, lastVoicedMs: milliseconds }).nullable(),
  interruption: z.object({ atMs: milliseconds, heardMs: milliseconds, rule: z.string() }).nullable(),
  trace: z.array(z.object({ step: z.string(), detail: z.record(z.string(), z.unknown()) })),
  model: z
    .object({
      requests: z.int(), inputTokens: z.int(), cachedInputTokens: z.int(), outputTokens: z.int(), cents: z.number().nullable(),
      wastedRequests: z.int(), wastedInputTokens: z.int(), wastedOutputTokens: z.int(), wastedCents: z.number().nullable(), isEstimate: z.boolean(),
    })
    .exactOptional(),
})

export const callRecordSchema = z.looseObject({
  companyId: z.string().min(1),
  callSid: z.string().min(1),
  agentId: z.string(),
  agentVersion: z.int().min(0),
  from: z.string(),
  to: z.string(),
  startedAt: timestamp,
  endedAt: timestamp.nullable(),
  outcome: z.enum(['in-progress', 'completed', 'caller-hung-up', 'transferred', 'voicemail', 'connection-lost', 'failed', 'refused']),
  carrierStatus: z.enum(['queued', 'ringing', 'in-progress', 'completed', 'busy', 'failed', 'no-answer', 'canceled']).nullable(),
  durationSeconds: z.number().nullable(),
  streamErrors: z.array(z.string()),
  lostFrameCount: z.int().min(0),
  speech: z.object({ sttSeconds: z.number().min(0), ttsCharacters: z.int().min(0) }).exactOptional(),
})

export const gapSchema = z.looseObject({
  id: z.string().min(1),
  companyId: z.string().min(1),
  callSid: z.string(),
  turn: z.int().min(0),
  question: z.string(),
  askedAt: timestamp,
  solvedByEntryId: z.string().nullable(),
})

type Covers<Wide, Narrow extends Wide> = Narrow
/** A value added to a contract and not to its schema is a compile error here, not a record that cannot be read back. */
export type SchemasCoverContracts = [
  Covers<z.input<typeof turnRecordSchema>, Loose<TurnRecord>>,
  Covers<z.input<typeof callRecordSchema>, Loose<CallRecord>>,
  Covers<z.input<typeof gapSchema>, Loose<Gap>>,
]
/** The contract's read-only arrays as the schema's plain ones; nothing else differs. */
type Loose<T> = T extends readonly (infer Item)[] ? Loose<Item>[] : T extends object ? { -readonly [Key in keyof T]: Loose<T[Key]> } : T
