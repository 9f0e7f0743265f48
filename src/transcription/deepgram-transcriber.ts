import type { Clock } from '../core/clock.ts'
import type { Expectation } from '../core/expectation.ts'
import type { DialLine } from './deepgram-line.ts'
import { DeepgramSession } from './deepgram-session.ts'
import type { Transcriber, TranscriberOptions, TranscriptionSession } from './transcriber.ts'

/** The vendor takes about 500 tokens of terms; beyond that it refuses the line. */
const MOST_TERMS = 100
const LONGEST_TERM_CHARS = 60

/** Live recognition by Deepgram: nova by /v1/listen, flux with its own ends of turn by /v2/listen. */
export class DeepgramTranscriber implements Transcriber {
  readonly name = 'deepgram'
  readonly #clock: Clock
  readonly #dial: DialLine
  readonly #onUsage: (companyId: string, seconds: number) => void

  constructor(options: Readonly<{ clock: Clock; dial: DialLine; onUsage: (companyId: string, seconds: number) => void }>) {
    this.#clock = options.clock
    this.#dial = options.dial
    this.#onUsage = options.onUsage
  }

  open(options: TranscriberOptions, signal: AbortSignal): TranscriptionSession {
    return new DeepgramSession(
      {
        clock: this.#clock,
        dial: this.#dial,
        language: options.language,
        termsFor: (expectation) => keyTermsOf(options.vocabulary, expectation),
        onUsage: (seconds) => this.#onUsage(options.companyId, seconds),
      },
      signal,
    )
  }
}

/** The company's own words first, then what the question just asked makes likely. */
function keyTermsOf(vocabulary: readonly string[], expectation: Expectation): readonly string[] {
  const asked = expectation.kind === 'choice' ? expectation.options.flatMap((option) => [option.value, ...option.aliases]) : []
  const terms = [...vocabulary, ...asked].map((term) => term.trim()).filter((term) => term !== '' && term.length <= LONGEST_TERM_CHARS)
  return [...new Set(terms)].slice(0, MOST_TERMS)
}
