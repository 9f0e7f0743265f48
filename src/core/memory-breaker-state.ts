import type { SharedBreakerState } from './breaker.ts'
import { later, type Clock, type Instant } from './clock.ts'

/** Vendors times credentials; one that is dropped is tried once more than needed. */
const MAX_KEYS = 10_000

/** For one process. */
export class MemoryBreakerState implements SharedBreakerState {
  readonly #clock: Clock
  readonly #openUntil = new Map<string, Instant>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  openForMs(key: string): number {
    const until = this.#openUntil.get(key)
    if (until === undefined) return 0
    const leftMs = until - this.#clock.now()
    if (leftMs > 0) return leftMs
    this.#openUntil.delete(key)
    return 0
  }

  open(key: string, forMs: number): void {
    const oldest = this.#openUntil.size >= MAX_KEYS ? this.#openUntil.keys().next() : null
    if (oldest !== null && oldest.done !== true) this.#openUntil.delete(oldest.value)
    this.#openUntil.set(key, later(this.#clock.now(), forMs))
  }

  close(key: string): void {
    this.#openUntil.delete(key)
  }
}
