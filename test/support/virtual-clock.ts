import { instant, type Clock, type Instant } from '../../src/core/clock.ts'

type Timer = { at: number; order: number; fire: () => void }

/**
 * Time that moves only when told to. Between two timers every promise that can settle does, so a whole call runs in
 * milliseconds and always the same way.
 */
export class VirtualClock implements Clock {
  #nowMs = 0
  #order = 0
  readonly #timers = new Set<Timer>()
  readonly #wallStartMs: number
  readonly #settled: () => Promise<void>

  /** `settled`: what time stands still for besides promises, such as a model that is computing. */
  constructor(wallStart = new Date('2026-03-02T15:00:00Z'), settled: () => Promise<void> = settle) {
    this.#wallStartMs = wallStart.getTime()
    this.#settled = settled
  }

  now(): Instant {
    return instant(this.#nowMs)
  }

  wallTime(): Date {
    return new Date(this.#wallStartMs + this.#nowMs)
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason)
        return
      }
      const timer: Timer = {
        at: this.#nowMs + Math.max(0, durationMs),
        order: this.#order++,
        fire: () => {
          this.#timers.delete(timer)
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      const onAbort = (): void => {
        this.#timers.delete(timer)
        reject(signal?.reason)
      }
      this.#timers.add(timer)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Timers nobody has cancelled; 0 at the end of a call that left nothing behind. */
  get pendingTimers(): number {
    return this.#timers.size
  }

  /** Moves time forward, firing timers in order and letting promises settle after each. */
  async advance(durationMs: number): Promise<void> {
    const until = this.#nowMs + durationMs
    await this.#settled()
    for (;;) {
      let next: Timer | null = null
      for (const timer of this.#timers) {
        if (timer.at > until) continue
        if (next === null || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer
      }
      if (next === null) break
      this.#nowMs = Math.max(this.#nowMs, next.at)
      next.fire()
      await this.#settled()
    }
    this.#nowMs = until
  }

  /** Advances until `promise` settles, at most `limitMs` of virtual time. */
  async runUntil<T>(promise: Promise<T>, limitMs = 600_000): Promise<T> {
    let done = false
    const watched = promise.finally(() => {
      done = true
    })
    watched.catch(() => undefined)
    const deadline = this.#nowMs + limitMs
    await this.#settled()
    while (!done) {
      let nextAt = Infinity
      for (const timer of this.#timers) nextAt = Math.min(nextAt, timer.at)
      if (nextAt === Infinity) throw new Error('virtual time is stuck: nothing is scheduled and the promise is pending')
      if (nextAt > deadline) throw new Error(`still pending after ${limitMs} ms of virtual time`)
      await this.advance(nextAt - this.#nowMs)
    }
    return watched
  }
}

/** Runs every microtask, and one turn of immediates for code that hops through streams. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
