import type { Expectation } from '../core/expectation.ts'
import type { Instant } from '../core/clock.ts'
import { StageRecorder, turnLatency, type LatencyBudget, type TurnLatency } from '../core/latency-budget.ts'
import type { DialogueState } from '../response/dialogue.ts'
import type { CallAction, TurnInput } from '../response/responder.ts'
import type { TurnDecision } from '../turn-taking/turn-detector.ts'
import type { TurnRecord } from './call-record.ts'
import { redact } from './redaction.ts'
import type { Reply } from './reply.ts'

type Commit = Extract<TurnDecision, { kind: 'commit' }>

/** What is known about a turn while it runs; becomes its record when it is over. */
export class TurnLog {
  readonly turn: number
  #input: TurnInput
  readonly startedAt: string
  /** What the question before it had made likely. */
  readonly expectation: Expectation
  readonly stages: StageRecorder
  /** The caller's last voiced frame; for turns the caller did not speak, the moment the reply became due. */
  readonly lastVoicedAt: Instant
  readonly committedAt: Instant
  readonly commit: Commit | null
  readonly speculation: TurnRecord['speculation']
  interruption: TurnRecord['interruption'] = null

  constructor(facts: {
    turn: number
    input: TurnInput
    expectation: Expectation
    startedAt: string
    stages: StageRecorder
    lastVoicedAt: Instant
    committedAt: Instant
    commit: Commit | null
    speculation: TurnRecord['speculation']
  }) {
    this.turn = facts.turn
    this.#input = facts.input
    this.startedAt = facts.startedAt
    this.expectation = facts.expectation
    this.stages = facts.stages
    this.lastVoicedAt = facts.lastVoicedAt
    this.committedAt = facts.committedAt
    this.commit = facts.commit
    this.speculation = facts.speculation
  }

  get input(): TurnInput {
    return this.#input
  }

  get heard(): string {
    return this.#input.kind === 'speech' ? this.#input.text : this.#input.kind === 'dtmf' ? redact(this.#input.digits).text : ''
  }

  /** The words of a turn that was committed before they were known. */
  settle(input: TurnInput): void {
    this.#input = input
  }

  latency(audibleAt: Instant, budget: LatencyBudget): TurnLatency {
    return turnLatency({
      lastVoicedAt: this.lastVoicedAt,
      committedAt: this.committedAt,
      audibleAt,
      patienceMs: this.commit?.patienceMs ?? 0,
      spans: this.stages.spans,
      budget,
    })
  }

  record(reply: Reply, delivered: string, actions: readonly CallAction[], budget: LatencyBudget, dialogue: DialogueState): TurnRecord {
    const latency = reply.audibleAt === null ? null : this.latency(reply.audibleAt, budget)
    const reading = this.input.kind === 'speech' || this.input.kind === 'dtmf' ? this.input.reading : undefined
    return {
      turn: this.turn,
      startedAt: this.startedAt,
      input: this.input.kind,
      heard: this.heard,
      said: reply.plannedText,
      delivered,
      sources: reply.sources,
      entryIds: reply.entryIds,
      actions,
      gapMs: latency?.gapMs ?? null,
      patienceMs: latency?.patienceMs ?? this.commit?.patienceMs ?? 0,
      stages: latency?.stages ?? [],
      work: latency?.work ?? [],
      budgetExceededByMs: latency?.budgetExceededByMs ?? 0,
      stalled: reply.stalled,
      speculation: this.speculation,
      endpoint:
        this.commit === null
          ? null
          : { rule: this.commit.rule, score: this.commit.score, waitMs: this.commit.waitMs, lastVoicedMs: this.commit.lastVoicedMs },
      interruption: this.interruption,
      trace: reply.trace,
      expectation: this.expectation,
      ...(reading === undefined ? {} : { reading }),
      dialogue,
    }
  }
}
