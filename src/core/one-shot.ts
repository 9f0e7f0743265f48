import { later, type Clock, type Instant } from './clock.ts'
import { Scope } from './scope.ts'

/** Timers may wake this much before their time; waiting again for so little would be later than going ahead. */
const EARLY_MS = 1

type Pending = { readonly scope: Scope; readonly wakesAt: Instant; dueAt: Instant; fire: () => void }

/**
 * One timer that is started, started anew or cancelled: at most one firing is pending, and none after its scope has ended.
 *
 * Putting it off is cheap, which is what most of them are for: the timer that runs is left to wake, and then waits for the rest.
 */
export class OneShot {
  readonly #clock: Clock
  readonly #parent: Scope
  #pending: Pending | null = null

  constructor(clock: Clock, parent: Scope) {
    this.#clock = clock
    this.#parent = parent
  }

  start(durationMs: number, fire: () => void): void {
    const dueAt = later(this.#clock.now(), Math.max(0, durationMs))
    const running = this.#pending
    if (running !== null && !running.scope.ended && dueAt >= running.wakesAt) {
      running.dueAt = dueAt
      running.fire = fire
      return
    }
    this.cancel()
    this.#wait(durationMs, { scope: new Scope(this.#parent), wakesAt: dueAt, dueAt, fire })
  }

  cancel(): void {
    this.#pending?.scope.end('cancelled')
    this.#pending = null
  }

  #wait(durationMs: number, pending: Pending): void {
    this.#pending = pending
    void this.#clock.sleep(durationMs, pending.scope.signal).then(
      () => this.#woken(pending),
      () => undefined,
    )
  }

  #woken(pending: Pending): void {
    if (pending.scope.ended || this.#pending !== pending) return
    const leftMs = pending.dueAt - this.#clock.now()
    if (leftMs > EARLY_MS) {
      this.#wait(leftMs, { ...pending, wakesAt: pending.dueAt })
      return
    }
    pending.scope.end('fired')
    this.#pending = null
    pending.fire()
  }
}
