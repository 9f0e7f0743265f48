import { later, type Clock, type Instant } from '../core/clock.ts'
import { StageRecorder } from '../core/latency-budget.ts'
import { Scope } from '../core/scope.ts'
import type { TurnInput } from '../response/responder.ts'
import { sameInput, type Words } from './caller-words.ts'
import type { TurnRecord } from './call-record.ts'
import type { ReplyMaker } from './reply-maker.ts'
import type { Reply } from './reply.ts'

/** A reply that was begun while its turn might still go on. */
export type Speculation = Words &
  Readonly<{
    reply: Reply
    scope: Scope
    stages: StageRecorder
    startedAt: Instant
    /** The turn is the agent's: nothing of it is wasted from here on. */
    commit: () => void
  }>

/** At most one reply is prepared ahead of its turn; it is used for the very words it was made for, or thrown away. */
export class Speculations {
  readonly #clock: Clock
  readonly #scope: Scope
  readonly #replies: ReplyMaker
  readonly #dueAfterMs: number
  #current: Speculation | null = null
  /** Since the last turn began. */
  #started = 0
  #wasted = 0

  constructor(clock: Clock, scope: Scope, replies: ReplyMaker, dueAfterMs: number) {
    this.#clock = clock
    this.#scope = scope
    this.#replies = replies
    this.#dueAfterMs = dueAfterMs
  }

  begin(input: TurnInput & { kind: 'speech' }, turn: number, score: number): void {
    if (this.#current !== null) {
      if (sameInput(this.#current, input)) return
      this.abandon()
    }
    const scope = new Scope(this.#scope)
    const stages = new StageRecorder(this.#clock)
    const dueBy = later(this.#clock.now(), this.#dueAfterMs)
    const { promise: committed, resolve: commit } = Promise.withResolvers<void>()
    const reply = this.#replies.prepare({ input, turn, scope, stages, dueBy, onInput: () => undefined, early: { score, committed } })
    this.#started += 1
    this.#current = { text: input.text, reading: input.reading ?? null, reply, scope, stages, commit, startedAt: this.#clock.now() }
  }

  abandon(): void {
    if (this.#current === null) return
    this.#current.scope.end('the words changed')
    this.#current = null
    this.#wasted += 1
  }

  /** A reply that was the agent's turn, voided before anybody heard it. */
  countVoided(): void {
    this.#wasted += 1
  }

  /** What was prepared for this input, now the agent's turn; null when nothing was, and then nothing is prepared any more. */
  take(input: TurnInput | null): Speculation | null {
    const current = this.#current
    if (current === null || input?.kind !== 'speech' || !sameInput(current, input)) {
      this.abandon()
      return null
    }
    this.#current = null
    current.commit()
    return current
  }

  /** For the record of the turn that begins with `used`; the count starts anew. */
  tally(used: Speculation | null): TurnRecord['speculation'] {
    const counts = { started: this.#started, wasted: this.#wasted, used: used !== null }
    this.#started = 0
    this.#wasted = 0
    return used === null ? counts : { ...counts, aheadMs: this.#clock.now() - used.startedAt }
  }
}
