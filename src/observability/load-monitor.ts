import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Clock } from '../core/clock.ts'

export type LoadSample = Readonly<{
  /** The 99th percentile of how late the event loop was over the last second, ms. */
  loopLagMs: number
  memoryBytes: number
}>
export type LoadLimits = Readonly<{ loopLagMs: number; memoryBytes: number }>
export type Overload = 'loop-lag' | 'memory'

/**
 * A frame is 20 ms and the carrier holds 120 ms of ours: a loop that is regularly this late takes the slack away, and one more call
 * would be heard by all the others.
 */
export const LOOP_LAG_LIMIT_MS = 60
/** Seconds in a row: garbage collection and a model that loads are late once. */
const SECONDS_UNTIL_OVERLOADED = 3
const SECONDS_UNTIL_RELIEVED = 5
/** Below this share of a limit it counts as relieved, so that the door does not flutter. */
const RELIEF = 0.8

/** Whether new calls should go elsewhere. Pure: told once a second. */
export class LoadShedder {
  readonly #limits: LoadLimits
  #overload: Overload | null = null
  #over = 0
  #relieved = 0

  constructor(limits: LoadLimits) {
    this.#limits = limits
  }

  get overload(): Overload | null {
    return this.#overload
  }

  observe(sample: LoadSample): Overload | null {
    const reason = sample.memoryBytes > this.#limits.memoryBytes ? 'memory' : sample.loopLagMs > this.#limits.loopLagMs ? 'loop-lag' : null
    const isRelieved = sample.loopLagMs <= this.#limits.loopLagMs * RELIEF && sample.memoryBytes <= this.#limits.memoryBytes * RELIEF
    this.#over = reason === null ? 0 : this.#over + 1
    this.#relieved = isRelieved ? this.#relieved + 1 : 0
    if (reason !== null && this.#over >= SECONDS_UNTIL_OVERLOADED) this.#overload = reason
    else if (this.#relieved >= SECONDS_UNTIL_RELIEVED) this.#overload = null
    return this.#overload
  }
}

const SAMPLE_EVERY_MS = 1000
const RESOLUTION_MS = 10

/** Watches this process and tells the shedder, until the signal aborts. */
export class LoadMonitor {
  readonly #shedder: LoadShedder
  readonly #delay: ReturnType<typeof monitorEventLoopDelay>
  #last: LoadSample = { loopLagMs: 0, memoryBytes: 0 }

  constructor(limits: LoadLimits) {
    this.#shedder = new LoadShedder(limits)
    this.#delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  }

  get overload(): Overload | null {
    return this.#shedder.overload
  }

  get last(): LoadSample {
    return this.#last
  }

  async watch(clock: Clock, signal: AbortSignal): Promise<void> {
    this.#delay.enable()
    try {
      while (!signal.aborted) {
        await clock.sleep(SAMPLE_EVERY_MS, signal)
        // The histogram holds how long each of its timers took: what is over its own period is lateness.
        const loopLagMs = Math.max(0, this.#delay.percentile(99) / 1e6 - RESOLUTION_MS)
        this.#delay.reset()
        this.#last = { loopLagMs, memoryBytes: process.memoryUsage.rss() }
        this.#shedder.observe(this.#last)
      }
    } catch {
      // The server stops.
    } finally {
      this.#delay.disable()
    }
  }
}
