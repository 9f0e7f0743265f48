import type { Clock, Instant } from './clock.ts'

/**
 * Where a turn's time goes. `endpoint` and `patience` are the wait after the caller's last voiced frame; `transcript` to
 * `personality` are the answer; `synthesis` and `playout` are the voice. `other` is what no stage claims, so that the sum is
 * always the gap.
 */
export const STAGES = [
  'endpoint',
  'patience',
  'transcript',
  'context',
  'intent',
  'knowledge',
  'template',
  'response',
  'quality',
  'personality',
  'synthesis',
  'playout',
  'other',
] as const
export type StageName = (typeof STAGES)[number]

export type StageOutcome = 'done' | 'cut-off' | 'failed' | 'skipped'

export type Span = Readonly<{ stage: StageName; startedAt: Instant; endedAt: Instant; outcome: StageOutcome }>

/** Milliseconds. `hardMs` covers everything but patience; `stagesMs` are the deadlines each stage is cut off at. */
export type LatencyBudget = Readonly<{
  targetMs: number
  hardMs: number
  /** A stall phrase is audible at the latest this long after the caller's last voiced frame (patience not counted). */
  stallAfterMs: number
  stagesMs: Readonly<Partial<Record<StageName, number>>>
}>

/** Collects spans as they end. Concurrent spans are fine: the critical path is worked out afterwards. */
export class StageRecorder {
  readonly #clock: Clock
  readonly #spans: Span[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Call the returned function once, when the stage is over. */
  start(stage: StageName): (outcome?: StageOutcome) => void {
    const startedAt = this.#clock.now()
    let open = true
    return (outcome = 'done') => {
      if (!open) return
      open = false
      this.#spans.push({ stage, startedAt, endedAt: this.#clock.now(), outcome })
    }
  }

  get spans(): readonly Span[] {
    return this.#spans
  }
}

export type TurnLatency = Readonly<{
  /** Caller's last voiced frame to the first audible frame of the reply on the wire. */
  gapMs: number
  /** The part of the gap that was patience with an unfinished-looking sentence: outside the budget. */
  patienceMs: number
  /** Non-overlapping, in order of time; they sum to `gapMs`. */
  stages: readonly Readonly<{ stage: StageName; ms: number }>[]
  /** Every stage's own duration, overlaps included: work done in the shadow of the wait shows here only. */
  work: readonly Readonly<{ stage: StageName; ms: number; outcome: StageOutcome }>[]
  budgetExceededByMs: number
}>

/**
 * Splits a measured gap over the stages. Every instant belongs to exactly one: the wait until the commit, then the latest-started
 * span that covers it, else `other`.
 */
export function turnLatency(turn: {
  lastVoicedAt: Instant
  committedAt: Instant
  audibleAt: Instant
  patienceMs: number
  spans: readonly Span[]
  budget: LatencyBudget
}): TurnLatency {
  const gapMs = turn.audibleAt - turn.lastVoicedAt
  const waitMs = Math.min(Math.max(0, turn.committedAt - turn.lastVoicedAt), gapMs)
  const patienceMs = Math.min(Math.max(0, turn.patienceMs), waitMs)
  const stages: { stage: StageName; ms: number }[] = []
  const add = (stage: StageName, ms: number): void => {
    if (ms <= 0) return
    const last = stages.at(-1)
    if (last?.stage === stage) last.ms += ms
    else stages.push({ stage, ms })
  }
  add('endpoint', waitMs - patienceMs)
  add('patience', patienceMs)
  const from = turn.lastVoicedAt + waitMs
  const edges = [from, turn.audibleAt as number]
  for (const span of turn.spans) {
    if (span.startedAt > from && span.startedAt < turn.audibleAt) edges.push(span.startedAt)
    if (span.endedAt > from && span.endedAt < turn.audibleAt) edges.push(span.endedAt)
  }
  edges.sort((a, b) => a - b)
  for (let i = 1; i < edges.length; i++) {
    const left = edges[i - 1] as number
    const right = edges[i] as number
    if (right <= left) continue
    let owner: Span | null = null
    for (const span of turn.spans) {
      if (span.startedAt > left || span.endedAt < right) continue
      if (owner === null || span.startedAt >= owner.startedAt) owner = span
    }
    add(owner?.stage ?? 'other', right - left)
  }
  return {
    gapMs,
    patienceMs,
    stages,
    work: turn.spans.map((span) => ({ stage: span.stage, ms: span.endedAt - span.startedAt, outcome: span.outcome })),
    budgetExceededByMs: Math.max(0, gapMs - patienceMs - turn.budget.hardMs),
  }
}
