import { availableParallelism } from 'node:os'
import type { Clock } from '../core/clock.ts'
import { EmbeddedSession } from './embedded-session.ts'
import { MoonshinePool, type MoonshinePoolStats } from './moonshine-pool.ts'
import type { Transcriber, TranscriberOptions, TranscriptionSession } from './transcriber.ts'

export type EmbeddedTranscriberOptions = Readonly<{
  clock: Clock
  /** Decodes at once; each takes a core. Default: all cores but the media loop's, at least one, at most 8. */
  workers?: number
  /** Where the split decoder is kept (57 MB, made at the first start). Null: use the decoder as shipped, at half the speed. */
  modelCacheDir: string | null
}>

/**
 * Moonshine-tiny on this machine: English, no account, no network. It does not detect speech: `hint()` tells it where speech starts and
 * pauses, and every pause is decoded at once, growing speech when a worker has nothing better to do. Text of a pause is final for that
 * audio. Word times are estimated (see word-times.ts).
 *
 * It hears what was asked: a session that is told what to expect holds the speech to that grammar (listener.ts), and says what it understood.
 * Open speech is heard with an ear for the company's vocabulary; see vocabulary.ts for corrections of the text.
 */
export class EmbeddedTranscriber implements Transcriber {
  readonly name = 'embedded-moonshine'
  readonly #pool: MoonshinePool

  /** Starts loading at once; `warm` tells when it is done. Sessions may open earlier, their speech waits. */
  constructor(options: EmbeddedTranscriberOptions) {
    const workers = options.workers ?? Math.min(MOST_WORKERS, Math.max(1, availableParallelism() - 1))
    if (!Number.isInteger(workers) || workers < 1 || workers > MOST_WORKERS) {
      throw new RangeError(`workers must be a whole number from 1 to ${MOST_WORKERS}, got ${workers}`)
    }
    this.#pool = new MoonshinePool(options.clock, workers, options.modelCacheDir)
  }

  open(options: TranscriberOptions, signal: AbortSignal): TranscriptionSession {
    return new EmbeddedSession(this.#pool, options.vocabulary, signal)
  }

  /** Resolves when the first worker can decode. Rejects with ENGINE_UNAVAILABLE if the engine does not start. */
  warm(signal: AbortSignal): Promise<void> {
    return this.#pool.warm(signal)
  }

  get stats(): MoonshinePoolStats {
    return this.#pool.stats
  }

  /** Decodes asked for and not yet answered, and models that load. */
  get unfinished(): number {
    return this.#pool.unfinished
  }

  /** Ends every worker as a crash would. What was being decoded is decoded again by the next worker. For drills and tests. */
  restartWorkers(): Promise<void> {
    return this.#pool.restartWorkers()
  }

  close(): Promise<void> {
    return this.#pool.close()
  }
}

/** 120 MB each; more decodes at once than this need a machine of their own. */
const MOST_WORKERS = 8
