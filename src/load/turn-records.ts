import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError } from '../core/errors.ts'
import { STAGES } from '../core/latency-budget.ts'

/** The server writes a turn after it was heard; a moment later it must be there. */
const RECORD_TIMEOUT_MS = 3000

const turnRecord = z.object({
  turn: z.number(),
  startedAt: z.string(),
  input: z.string(),
  heard: z.string(),
  said: z.string(),
  delivered: z.string(),
  sources: z.array(z.string()),
  actions: z.array(z.looseObject({ kind: z.string() })),
  gapMs: z.number().nullable(),
  patienceMs: z.number(),
  stages: z.array(z.object({ stage: z.enum(STAGES), ms: z.number() })),
  work: z.array(z.object({ stage: z.enum(STAGES), ms: z.number(), outcome: z.enum(['done', 'cut-off', 'failed', 'skipped']) })),
  budgetExceededByMs: z.number(),
  stalled: z.boolean(),
  endpoint: z.object({ rule: z.string(), lastVoicedMs: z.number(), waitMs: z.number() }).nullable(),
  interruption: z.object({ atMs: z.number(), heardMs: z.number(), rule: z.string() }).nullable(),
  /** What had been asked, and what was understood in that light. */
  expectation: z.looseObject({ kind: z.string(), asked: z.string().nullable().optional() }).optional(),
  reading: z
    .object({ verdict: z.string(), text: z.string(), slots: z.array(z.object({ slotId: z.string(), value: z.string(), confidence: z.number() })), scores: z.looseObject({ costPerToken: z.number(), maxWordRegret: z.number() }) })
    .optional(),
})
const callRecords = z.object({
  call: z.object({ startedAt: z.string(), outcome: z.string(), endedAt: z.string().nullable(), lostFrameCount: z.number() }),
  turns: z.array(turnRecord),
  /** What the call has left at the company. Absent where the server keeps no such things. */
  made: z
    .object({
      appointments: z.array(
        z.object({ status: z.string(), serviceId: z.string().nullable(), startsAt: z.string(), customer: z.object({ name: z.string(), phoneNumberE164: z.string(), address: z.object({ street: z.string(), city: z.string() }).nullable() }) }),
      ),
      leads: z.array(z.object({ kind: z.string(), formId: z.string().nullable(), slots: z.record(z.string(), z.string()) })),
    })
    .optional(),
})

/** The server's own account of a turn: words, sources and stages. Timings that a caller feels are never taken from here. */
export type ServerTurn = z.infer<typeof turnRecord>
export type ServerCall = z.infer<typeof callRecords>
/** Appointments and leads of one call. */
export type MadeByCall = NonNullable<ServerCall['made']>

/** Reads GET /internal/calls/{callSid}, which the server offers to loopback peers. Null when it has no such call or no such page. */
export async function fetchServerCall(clock: Clock, target: string, callSid: string, signal: AbortSignal): Promise<ServerCall | null> {
  return withDeadline(clock, RECORD_TIMEOUT_MS, signal, async (deadline) => {
    const response = await fetch(new URL(`/internal/calls/${callSid}`, target), { signal: deadline })
    const body = await response.text()
    if (response.status === 404 || response.status === 403) return null
    if (response.status !== 200) throw new ClientsViaError('ENGINE_FAILED', `/internal/calls answered ${response.status}: ${body.slice(0, 200)}`)
    const parsed = callRecords.safeParse(JSON.parse(body))
    if (!parsed.success) throw new ClientsViaError('MESSAGE_MALFORMED', `/internal/calls: ${z.prettifyError(parsed.error)}`)
    return parsed.data
  })
}

/** As `fetchServerCall`, waiting until the call's end is on record, at most `patienceMs`. */
export async function fetchEndedCall(
  clock: Clock,
  target: string,
  callSid: string,
  patienceMs: number,
  signal: AbortSignal,
): Promise<ServerCall | null> {
  const until = clock.now() + patienceMs
  for (;;) {
    const found = await fetchServerCall(clock, target, callSid, signal)
    if (found === null || found.call.endedAt !== null || clock.now() >= until) return found
    await clock.sleep(100, signal)
  }
}
