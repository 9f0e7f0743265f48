import type { Clock } from '../core/clock.ts'
import { keyTerms } from '../grammar/key-terms.ts'
import type { DialLine } from './deepgram-line.ts'
import { DeepgramSession } from './deepgram-session.ts'
import type { Transcriber, TranscriberOptions, TranscriptionSession } from './transcriber.ts'

/** Live recognition by Deepgram: nova by /v1/listen, flux with its own ends of turn by /v2/listen. */
export class DeepgramTranscriber implements Transcriber {
  readonly name = 'deepgram'
  readonly #clock: Clock
  readonly #dial: DialLine
  readonly #onUsage: (companyId: string, seconds: number) => void
  readonly #onFinal: (afterMs: number) => void

  /** `onFinal`: from our asking for final words to having them. */
  constructor(options: Readonly<{ clock: Clock; dial: DialLine; onUsage: (companyId: string, seconds: number) => void; onFinal?: (afterMs: number) => void }>) {
    this.#clock = options.clock
    this.#dial = options.dial
    this.#onUsage = options.onUsage
    this.#onFinal = options.onFinal ?? (() => undefined)
  }

  open(options: TranscriberOptions, signal: AbortSignal): TranscriptionSession {
    return new DeepgramSession(
      {
        clock: this.#clock,
        dial: this.#dial,
        language: options.language,
        termsFor: (expectation) => keyTerms(expectation, options.vocabulary),
        onFinal: this.#onFinal,
        onUsage: (seconds) => this.#onUsage(options.companyId, seconds),
      },
      signal,
    )
  }
}
