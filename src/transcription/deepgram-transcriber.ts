import type { Clock } from '../core/clock.ts'
import { keyTerms } from '../grammar/key-terms.ts'
import type { ListenVendor } from './deepgram-line.ts'
import { DeepgramSession } from './deepgram-session.ts'
import type { Transcriber, TranscriberOptions, TranscriptionSession } from './transcriber.ts'

/** Live recognition by Deepgram: nova by /v1/listen, flux with its own ends of turn by /v2/listen. */
export class DeepgramTranscriber implements Transcriber {
  readonly name = 'deepgram'
  readonly #clock: Clock
  readonly #vendor: ListenVendor
  readonly #onUsage: (callId: string, seconds: number) => void
  readonly #onFinal: (afterMs: number) => void

  /** `onFinal`: from our asking for final words to having them. */
  constructor(options: Readonly<{ clock: Clock; vendor: ListenVendor; onUsage: (callId: string, seconds: number) => void; onFinal?: (afterMs: number) => void }>) {
    this.#clock = options.clock
    this.#vendor = options.vendor
    this.#onUsage = options.onUsage
    this.#onFinal = options.onFinal ?? (() => undefined)
  }

  open(options: TranscriberOptions, signal: AbortSignal): TranscriptionSession {
    return new DeepgramSession(
      {
        clock: this.#clock,
        vendor: this.#vendor,
        language: options.language,
        termsFor: (expectation) => keyTerms(expectation, options.vocabulary),
        onFinal: this.#onFinal,
        onUsage: (seconds) => this.#onUsage(options.callId, seconds),
      },
      signal,
    )
  }
}
