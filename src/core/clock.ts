/** Monotonic milliseconds. Branded so that it cannot be mixed with wall time or with a duration. */
export type Instant = number & { readonly __brand: 'Instant' }

export interface Clock {
  /** Monotonic time: the only time that durations, deadlines and budgets are computed from. */
  now(): Instant
  /** Calendar time, for records and opening hours. It may jump; never subtract two of these. */
  wallTime(): Date
  /** Resolves after `durationMs`; rejects with the signal's reason as soon as it aborts. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>
}

export function instant(ms: number): Instant {
  return ms as Instant
}

export function later(from: Instant, durationMs: number): Instant {
  return (from + durationMs) as Instant
}

export function earliest(a: Instant, b: Instant): Instant {
  return a < b ? a : b
}

export function latest(a: Instant, b: Instant): Instant {
  return a > b ? a : b
}

export class SystemClock implements Clock {
  now(): Instant {
    return performance.now() as Instant
  }

  wallTime(): Date {
    return new Date()
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason)
        return
      }
      const onAbort = (): void => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = setTimeout(
        () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
        Math.max(0, durationMs),
      )
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }
}
