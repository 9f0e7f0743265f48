import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import type { PartHealth } from './vendor-health.ts'
import type { StageName, StageOutcome, TurnLatency } from '../core/latency-budget.ts'

/** What of a turn is counted. Labels are from closed lists: no call, no caller, no company. */
export type MeasuredTurn = Readonly<{
  /** Null when nothing became audible. */
  gapMs: number | null
  patienceMs: number
  stages: TurnLatency['stages']
  work: readonly Readonly<{ stage: StageName; outcome: StageOutcome }>[]
  budgetExceededByMs: number
  stalled: boolean
  speculation: Readonly<{ used: boolean; wasted: number }>
  interruption: unknown
  sources: readonly string[]
  model?: Readonly<{ wastedRequests: number; wastedOutputTokens: number }>
}>

export type Metrics = Readonly<{
  registry: Registry
  callStarted(): void
  /** `outcome` is a CallOutcome. */
  callEnded(outcome: string, durationSeconds: number, lostFrameCount: number): void
  turnFinished(turn: MeasuredTurn): void
  greetingHeard(afterMs: number): void
  /** Read when the metrics are: jobs waiting for a recogniser. */
  watchTranscriptionQueue(size: () => number): void
  /** Read when the metrics are: parts of the server as /readyz tells of them. */
  watchParts(parts: () => Readonly<Record<string, PartHealth>>): void
  /** Frames an overfull queue gave up, by the queue's name. */
  framesDropped(queue: string, count: number): void
  /** One request to a language model, as it ends; `cents` null where no price is known. */
  modelSpent(cost: Readonly<{ inputTokens: number; cachedInputTokens: number; outputTokens: number; cents: number | null }>): void
  /** An engine that failed or was replaced by its fallback. */
  engineFailed(engine: 'stt' | 'tts' | 'llm' | 'store'): void
  /** What waits in the outbox, by state, and for how long the oldest has been due. */
  outboxDepth(states: Readonly<Record<string, number>>, oldestDueSeconds: number): void
  /** A message that was sent, failed, put off ..., by channel. */
  messageEnded(channel: 'sms' | 'email', outcome: string): void
  text(): Promise<string>
  readonly contentType: string
}>

/** Around the budget: 600 ms target, 700 ms stall, 1000 ms hard, 1200 ms the longest silence allowed. In seconds. */
const LATENCY_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 5]
const CALL_BUCKETS = [5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600]

/** How often the event loop's delay is sampled, in ms: half a frame. */
const LOOP_DELAY_RESOLUTION_MS = 10

/**
 * Prometheus metrics of one process, all named `clientsvia_*`, in seconds and counts. With `process`, prom-client adds memory, CPU,
 * garbage collection and the event loop's delay (`clientsvia_nodejs_eventloop_lag_*`, from perf_hooks): on the media loop a delay
 * above a frame is heard.
 */
export function createMetrics(options: Readonly<{ process: boolean }>): Metrics {
  const registry = new Registry()
  const registers = [registry]
  if (options.process) collectDefaultMetrics({ register: registry, prefix: 'clientsvia_', eventLoopMonitoringPrecision: LOOP_DELAY_RESOLUTION_MS })

  const callsActive = new Gauge({ name: 'clientsvia_calls_active', help: 'Calls being held now', registers })
  const calls = new Counter({ name: 'clientsvia_calls_total', help: 'Calls ended, by outcome', labelNames: ['outcome'], registers })
  const callSeconds = new Histogram({ name: 'clientsvia_call_duration_seconds', help: 'Length of calls', buckets: CALL_BUCKETS, registers })
  const framesLost = new Counter({ name: 'clientsvia_frames_lost_total', help: "Frames missing on the caller's media clock", registers })
  const framesDropped = new Counter({ name: 'clientsvia_frames_dropped_total', help: 'Frames given up by a full queue', labelNames: ['queue'], registers })
  const gap = new Histogram({
    name: 'clientsvia_turn_gap_seconds',
    help: "Caller's last sound to the agent's first, patience not counted",
    buckets: LATENCY_BUCKETS,
    registers,
  })
  const stageSeconds = new Histogram({
    name: 'clientsvia_turn_latency_seconds',
    help: 'Share of the gap that each stage took',
    labelNames: ['stage'],
    buckets: LATENCY_BUCKETS,
    registers,
  })
  const cutOff = new Counter({ name: 'clientsvia_stages_cut_off_total', help: 'Stages ended by their deadline or a failure', labelNames: ['stage', 'outcome'], registers })
  const overBudget = new Counter({ name: 'clientsvia_budget_exceeded_total', help: 'Turns beyond the hard limit', registers })
  const stalls = new Counter({ name: 'clientsvia_turn_stalls_total', help: 'Turns that needed a stall phrase', registers })
  const interruptions = new Counter({ name: 'clientsvia_interruptions_total', help: 'Replies that the caller interrupted', registers })
  const answers = new Counter({ name: 'clientsvia_answers_total', help: 'Replies by the source that gave them', labelNames: ['source'], registers })
  const speculation = new Counter({ name: 'clientsvia_speculations_total', help: 'Replies prepared early', labelNames: ['result'], registers })
  const greeting = new Histogram({ name: 'clientsvia_greeting_seconds', help: 'Start of the stream to the greeting', buckets: LATENCY_BUCKETS, registers })
  const engineFailures = new Counter({ name: 'clientsvia_engine_failures_total', help: 'Engines that failed', labelNames: ['engine'], registers })
  const modelTokens = new Counter({ name: 'clientsvia_model_tokens_total', help: 'Tokens of language models; cached is a part of input, wasted of output', labelNames: ['kind'], registers })
  const modelRequests = new Counter({ name: 'clientsvia_model_requests_total', help: 'Requests to language models; wasted ones are among all', labelNames: ['kind'], registers })
  const modelCents = new Counter({ name: 'clientsvia_model_cents_total', help: 'What language models cost, in US cents, where their price is known', registers })
  const outbox = new Gauge({ name: 'clientsvia_outbox_items', help: 'Tasks and messages in the outbox, by state', labelNames: ['state'], registers })
  const outboxLag = new Gauge({ name: 'clientsvia_outbox_oldest_due_seconds', help: 'How long the oldest waiting item has been due', registers })
  const messages = new Counter({ name: 'clientsvia_messages_total', help: 'Messages by channel and outcome', labelNames: ['channel', 'outcome'], registers })

  return {
    registry,
    contentType: registry.contentType,
    text: () => registry.metrics(),
    callStarted: () => callsActive.inc(),
    callEnded(outcome, durationSeconds, lostFrameCount) {
      callsActive.dec()
      calls.inc({ outcome })
      callSeconds.observe(durationSeconds)
      framesLost.inc(lostFrameCount)
    },
    turnFinished(turn) {
      if (turn.gapMs !== null) gap.observe((turn.gapMs - turn.patienceMs) / 1000)
      for (const { stage, ms } of turn.stages) stageSeconds.observe({ stage }, ms / 1000)
      for (const { stage, outcome } of turn.work) if (outcome === 'cut-off' || outcome === 'failed') cutOff.inc({ stage, outcome })
      for (const source of new Set(turn.sources)) answers.inc({ source })
      if (turn.budgetExceededByMs > 0) overBudget.inc()
      if (turn.stalled) stalls.inc()
      if (turn.interruption !== null) interruptions.inc()
      if (turn.speculation.used) speculation.inc({ result: 'used' })
      speculation.inc({ result: 'wasted' }, turn.speculation.wasted)
      if (turn.model !== undefined) {
        modelRequests.inc({ kind: 'wasted' }, turn.model.wastedRequests)
        modelTokens.inc({ kind: 'wasted' }, turn.model.wastedOutputTokens)
      }
    },
    greetingHeard: (afterMs) => greeting.observe(afterMs / 1000),
    watchTranscriptionQueue(size) {
      new Gauge({
        name: 'clientsvia_stt_queue_depth',
        help: 'Utterances waiting for a recogniser',
        registers,
        collect() {
          this.set(size())
        },
      })
    },
    watchParts(parts) {
      new Gauge({
        name: 'clientsvia_part_health',
        help: 'Parts of the server: 2 well, 1 degraded (something else does its work), 0 not fit for calls',
        labelNames: ['part'],
        registers,
        collect() {
          for (const [part, { ok, degraded }] of Object.entries(parts())) this.set({ part }, ok ? (degraded ? 1 : 2) : 0)
        },
      })
    },
    modelSpent(cost) {
      modelRequests.inc({ kind: 'all' })
      modelTokens.inc({ kind: 'input' }, cost.inputTokens)
      modelTokens.inc({ kind: 'cached' }, cost.cachedInputTokens)
      modelTokens.inc({ kind: 'output' }, cost.outputTokens)
      if (cost.cents !== null) modelCents.inc(cost.cents)
    },
    framesDropped: (queue, count) => framesDropped.inc({ queue }, count),
    outboxDepth(states, oldestDueSeconds) {
      for (const [state, count] of Object.entries(states)) outbox.set({ state }, count)
      outboxLag.set(Math.max(0, oldestDueSeconds))
    },
    messageEnded: (channel, outcome) => messages.inc({ channel, outcome }),
    engineFailed: (engine) => engineFailures.inc({ engine }),
  }
}
