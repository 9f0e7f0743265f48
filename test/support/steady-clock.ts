import { instant, type Clock, type Instant } from '../../src/core/clock.ts'

const TICK_MS = 1
/** However long the machine did something else between two turns of the loop, so much has passed: a message over loopback needs some turns. */
const LONGEST_TURN_MS = 15

type Sleeper = { readonly until: number; readonly wake: () => void }

/**
 * Real time for code that talks to a stand-in in the same process over real sockets, less the time in which the process was not let
 * run. A bar of 300 ms then holds on a busy machine as on an idle one: both sides stand still together.
 */
export class SteadyClock implements Clock {
  readonly #sleepers = new Set<Sleeper>()
  readonly #ticker: NodeJS.Timeout
  #nowMs = 0
  #tickedAt = performance.now()

  constructor() {
    this.#ticker = setInterval(() => this.#tick(), TICK_MS).unref()
  }

  now(): Instant {
    return instant(this.#nowMs)
  }

  wallTime(): Date {
    return new Date()
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const end = (): void => {
        this.#sleepers.delete(sleeper)
        signal?.removeEventListener('abort', onAbort)
        if (this.#sleepers.size === 0) this.#ticker.unref()
      }
      const onAbort = (): void => {
        end()
        reject(signal?.reason)
      }
      const sleeper = {
        until: this.#nowMs + Math.max(0, durationMs),
        wake: () => {
          end()
          resolve()
        },
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#sleepers.add(sleeper)
      this.#ticker.ref()
    })
  }

  #tick(): void {
    const at = performance.now()
    this.#nowMs += Math.min(LONGEST_TURN_MS, at - this.#tickedAt)
    this.#tickedAt = at
    for (const sleeper of [...this.#sleepers].sort((a, b) => a.until - b.until)) if (sleeper.until <= this.#nowMs) sleeper.wake()
  }
}
