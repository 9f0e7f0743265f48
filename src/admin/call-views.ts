import { z } from 'zod'
import type { TurnRecord } from '../call/call-record.ts'
import { STAGES } from '../core/latency-budget.ts'

/** What leaves of a call. Numbers of milliseconds may have decimals: they were measured. */
export const outcomeSchema = z.enum(['in-progress', 'completed', 'caller-hung-up', 'transferred', 'voicemail', 'connection-lost', 'failed', 'refused'])

export const callViewSchema = z.object({
  companyId: z.string(),
  callSid: z.string(),
  agentId: z.string(),
  agentVersion: z.int(),
  from: z.string(),
  to: z.string(),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  outcome: outcomeSchema,
  carrierStatus: z.enum(['queued', 'ringing', 'in-progress', 'completed', 'busy', 'failed', 'no-answer', 'canceled']).nullable(),
  durationSeconds: z.number().nullable(),
  streamErrors: z.array(z.string()),
  lostFrameCount: z.int(),
  speech: z.object({ sttSeconds: z.number(), ttsCharacters: z.int() }).exactOptional(),
})

const stage = z.enum(STAGES)

export const turnViewSchema = z.object({
  turn: z.int(),
  startedAt: z.string(),
  input: z.enum(['speech', 'dtmf', 'answered', 'silence', 'inaudible', 'limit']),
  heard: z.string(),
  said: z.string(),
  delivered: z.string(),
  sources: z.array(z.string()),
  entryIds: z.array(z.string()),
  actions: z.array(z.looseObject({ kind: z.string() })),
  gapMs: z.number().nullable(),
  patienceMs: z.number(),
  stages: z.array(z.object({ stage, ms: z.number() })),
  work: z.array(z.object({ stage, ms: z.number(), outcome: z.string() })),
  budgetExceededByMs: z.number(),
  stalled: z.boolean(),
  speculation: z.object({ started: z.number(), wasted: z.number(), used: z.boolean() }),
  endpoint: z.object({ rule: z.string(), score: z.number(), waitMs: z.number(), lastVoicedMs: z.number() }).nullable(),
  interruption: z.object({ atMs: z.number(), heardMs: z.number(), rule: z.string() }).nullable(),
  trace: z.array(z.object({ step: z.string(), detail: z.record(z.string(), z.unknown()) })),
  /** What the question before it had made likely; null in records from before it was kept. */
  expectation: z.looseObject({ kind: z.string() }).nullable(),
  /** What was understood in that light, and how surely; null where nothing was asked, or nobody listened for it. */
  reading: z
    .object({
      verdict: z.enum(['act', 'read-back', 'outside']),
      text: z.string(),
      slots: z.array(z.object({ slotId: z.string(), value: z.string(), spoken: z.string(), confidence: z.number() })),
      doubtful: z.object({ slotId: z.string().nullable(), word: z.string() }).nullable(),
      scores: z.object({ costPerToken: z.number(), maxWordRegret: z.number(), gap: z.number().nullable() }),
      source: z.enum(['audio', 'text', 'keys']),
    })
    .nullable(),
  /** The form after the turn: every slot with its value, where it comes from and how sure it is. */
  form: z
    .object({
      formId: z.string(),
      phase: z.string(),
      asked: z.object({ slotId: z.string().nullable(), how: z.string() }).nullable(),
      slots: z.record(z.string(), z.object({ value: z.string(), spoken: z.string(), provenance: z.string(), confidence: z.number() })),
      appointmentId: z.string().nullable(),
    })
    .nullable(),
})

/** A turn as it is shown: what was kept of the whole dialogue is its form. */
export function turnView(turn: TurnRecord): z.input<typeof turnViewSchema> {
  const { dialogue, expectation, reading, ...rest } = turn
  return {
    ...rest,
    sources: [...rest.sources],
    entryIds: [...rest.entryIds],
    actions: [...rest.actions],
    stages: [...rest.stages],
    work: [...rest.work],
    trace: [...rest.trace],
    expectation: expectation ?? null,
    reading: reading === undefined ? null : { ...reading, slots: [...reading.slots] },
    form: dialogue?.form ?? null,
  }
}

export const gapViewSchema = z.object({
  id: z.string(),
  companyId: z.string(),
  callSid: z.string(),
  turn: z.int(),
  question: z.string(),
  askedAt: z.string(),
  solvedByEntryId: z.string().nullable(),
})

export const callBundleSchema = z.object({ call: callViewSchema, turns: z.array(turnViewSchema), gaps: z.array(gapViewSchema) })
