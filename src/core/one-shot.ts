import type { Clock } from './clock.ts'
import { Scope } from './scope.ts'

/** One timer that is started, started anew or cancelled: at most one firing is pending, and none after its scope has ended. */
export class OneShot {
  readonly #clock: Clock
  readonly #parent: Scope
  #pending: Scope | null = null

  constructor(clock: Clock, parent: Scope) {
    this.#clock = clock
    this.#parent = parent
  }

  start(durationMs: number, fire: () => void): void {
    this.cancel()
    const scope = new Scope(this.#parent)
    this.#pending = scope
    void this.#clock.sleep(durationMs, scope.signal).then(
      () => {
        scope.end('fired')
        if (this.#pending === scope) this.#pending = null
        fire()
      },
      () => undefined,
    )
  }

  cancel(): void {
    this.#pending?.end('cancelled')
    this.#pending = null
  }
}
