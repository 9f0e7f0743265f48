import { FRAME_MS, WireFrame, type AudioFrame } from '../audio/frame.ts'
import { MulawRing } from '../audio/mulaw-ring.ts'
import { BoundedQueue } from '../core/bounded-queue.ts'
import type { Breaker } from '../core/breaker.ts'
import { instant, type Instant } from '../core/clock.ts'
import { OPEN_EXPECTATION, type Expectation } from '../core/expectation.ts'
import type { SpeechHint, Transcriber, TranscriberOptions, TranscriptEvent, TranscriptionSession, Word } from './transcriber.ts'

export type TranscriberFailure = Readonly<{ engine: string; companyId: string; callId: string; error: unknown; afterMs: number }>

/**
 * Listens with `primary` and, from the moment that it fails, with `fallback`: inside the same call and the same utterance. The words
 * that were final stay; the audio without final words, and what was said about it, is given to the fallback as it came.
 */
export class FailoverTranscriber implements Transcriber {
  readonly name: string
  readonly #primary: Transcriber
  readonly #fallback: Transcriber
  readonly #breaker: Breaker
  readonly #onFailure: (failure: TranscriberFailure) => void

  constructor(options: Readonly<{ primary: Transcriber; fallback: Transcriber; breaker: Breaker; onFailure?: (failure: TranscriberFailure) => void }>) {
    this.name = options.primary.name
    this.#primary = options.primary
    this.#fallback = options.fallback
    this.#breaker = options.breaker
    this.#onFailure = options.onFailure ?? (() => undefined)
  }

  open(options: TranscriberOptions, signal: AbortSignal): TranscriptionSession {
    if (!this.#breaker.tryPass()) return this.#fallback.open(options, signal)
    const onFailure = (error: unknown, afterMs: number): void =>
      this.#onFailure({ engine: this.#primary.name, companyId: options.companyId, callId: options.callId, error, afterMs })
    return new FailoverSession(this.#primary.open(options, signal), () => this.#fallback.open(options, signal), this.#breaker, onFailure)
  }
}

class FailoverSession implements TranscriptionSession {
  readonly #events = new BoundedQueue<TranscriptEvent>(EVENTS_KEPT, 'drop-oldest')
  readonly #openFallback: () => TranscriptionSession
  readonly #breaker: Breaker
  readonly #onFailure: (error: unknown, afterMs: number) => void
  readonly #ring = new MulawRing(REHEARD_MS)
  #session: TranscriptionSession
  #state: 'primary' | 'fallback' | 'closed' = 'primary'
  #hasProvenItself = false
  /** What was told about the audio since the oldest utterance without final words, in order. */
  #told: Told[] = []
  /** The ones that are over and lack final words, oldest first, then the current one. */
  #utterances: Utterance[] = [newUtterance(0, -Infinity)]
  #expectation: Expectation = OPEN_EXPECTATION
  #mediaToClockMs = 0

  constructor(
    primary: TranscriptionSession,
    openFallback: () => TranscriptionSession,
    breaker: Breaker,
    onFailure: (error: unknown, afterMs: number) => void,
  ) {
    this.#session = primary
    this.#openFallback = openFallback
    this.#breaker = breaker
    this.#onFailure = onFailure
    void this.#readPrimary(primary)
  }

  get events(): AsyncIterable<TranscriptEvent> {
    return this.#events
  }

  push(frame: AudioFrame): void {
    if (this.#state === 'primary') {
      this.#ring.push(frame.mulaw, frame.mediaMs)
      this.#mediaToClockMs = frame.capturedAt - frame.mediaMs
    }
    this.#session.push(frame)
  }

  hint(hint: SpeechHint): void {
    if (this.#state === 'primary') this.#note({ kind: 'hint', atMs: this.#ring.endMs, hint })
    this.#session.hint(hint)
  }

  expect(expectation: Expectation): void {
    this.#expectation = expectation
    this.#session.expect(expectation)
  }

  endUtterance(mediaMs: number): void {
    if (this.#state === 'primary') {
      this.#note({ kind: 'end', atMs: this.#ring.endMs, mediaMs })
      const current = this.#utterances.at(-1) as Utterance
      current.toMs = mediaMs
      this.#utterances.push(newUtterance(current.index + 1, mediaMs))
      this.#forgetSettled()
    }
    this.#session.endUtterance(mediaMs)
  }

  async close(): Promise<void> {
    if (this.#state === 'primary' && !this.#hasProvenItself) this.#breaker.abandoned()
    this.#state = 'closed'
    this.#events.close()
    await this.#session.close()
  }

  #note(told: Told): void {
    this.#told.push(told)
    if (this.#told.length > MOST_TOLD) this.#told.shift()
  }

  async #readPrimary(primary: TranscriptionSession): Promise<void> {
    try {
      for await (const event of primary.events) {
        this.#learn(event)
        this.#events.push(event)
      }
      if (!this.#hasProvenItself) this.#breaker.abandoned()
      this.#events.close()
    } catch (error) {
      if (this.#state === 'closed') return
      this.#breaker.failed()
      this.#onFailure(error, this.#ring.endMs)
      await this.#takeOver()
    }
  }

  #learn(event: TranscriptEvent): void {
    if (event.kind !== 'transcript') return
    if (!this.#hasProvenItself) this.#breaker.succeeded()
    this.#hasProvenItself = true
    const utterance = this.#utterances.find(({ index }) => index === event.utterance)
    if (utterance === undefined || !event.final) return
    utterance.finalText = event.text
    utterance.finalWords = event.words
    utterance.finalToMs = event.audioEndMs
    this.#forgetSettled()
  }

  /** An utterance that is over and final will not be asked about again. */
  #forgetSettled(): void {
    while (this.#utterances.length > 1) {
      const oldest = this.#utterances[0] as Utterance
      const toMs = oldest.toMs as number
      // Where nobody spoke there is nothing to hear again.
      const spokenToMs = Math.min(toMs, this.#lastVoicedBefore(toMs))
      if (oldest.finalToMs < spokenToMs - COVERED_WITHIN_MS && this.#utterances.length <= MOST_UTTERANCES) return
      this.#utterances.shift()
      const end = this.#told.findIndex((told) => told.kind === 'end')
      const stillSpeaking = this.#told.slice(0, end).findLast((told) => told.kind === 'hint')
      this.#told = this.#told.slice(end + 1)
      if (stillSpeaking?.kind === 'hint' && stillSpeaking.hint.kind !== 'speech-paused') this.#told.unshift(stillSpeaking)
    }
  }

  #lastVoicedBefore(toMs: number): number {
    let lastMs = -Infinity
    for (const told of this.#told) {
      if (told.kind === 'end') break
      if (told.hint.kind === 'speech-paused') lastMs = told.hint.lastVoicedMs
      else lastMs = toMs
    }
    return lastMs
  }

  async #takeOver(): Promise<void> {
    const first = this.#utterances[0] as Utterance
    const session = this.#openFallback()
    const abandoned = this.#session
    this.#session = session
    this.#state = 'fallback'
    session.expect(this.#expectation)
    this.#tellAgain(session, first)
    this.#told = []
    void abandoned.close()
    try {
      for await (const event of session.events) this.#events.push(shifted(event, first))
      this.#events.close()
    } catch (error) {
      this.#events.fail(error)
    }
  }

  /** The audio without final words, with what was said about it in between, as the primary got it. */
  #tellAgain(session: TranscriptionSession, first: Utterance): void {
    // A vendor's times have fractions: frames that begin between two samples would not meet the next live one.
    const fromMs = Math.ceil(Math.max(first.fromMs, first.finalToMs, this.#ring.startMs))
    const told = this.#told.flatMap((one): Told[] => {
      if (one.kind === 'end') return [one]
      const hint = within(one.hint, fromMs)
      return hint === null ? [] : [{ ...one, hint }]
    })
    let next = 0
    for (let mediaMs = fromMs; ; mediaMs += FRAME_MS) {
      for (; next < told.length && (told[next] as Told).atMs <= mediaMs; next += 1) tell(session, told[next] as Told)
      const mulaw = this.#ring.slice(mediaMs, mediaMs + FRAME_MS)
      if (mulaw.length === 0) break
      session.push(new WireFrame(mulaw, mediaMs, this.#clockOf(mediaMs)))
    }
    for (; next < told.length; next += 1) tell(session, told[next] as Told)
  }

  #clockOf(mediaMs: number): Instant {
    return instant(mediaMs + this.#mediaToClockMs)
  }
}

/** Enough for a consumer that sleeps half a minute of interim results. */
const EVENTS_KEPT = 256
/** Final words are never further behind than this while a caller speaks without a pause. 96 KB a call. */
const REHEARD_MS = 12_000
/** Pauses of one utterance; more than anybody makes. */
const MOST_TOLD = 128
const MOST_UTTERANCES = 8
/** The end of a final text and the end of the voice are never the same millisecond. */
const COVERED_WITHIN_MS = 200

type Told = Readonly<{ kind: 'hint'; atMs: number; hint: SpeechHint }> | Readonly<{ kind: 'end'; atMs: number; mediaMs: number }>
type Utterance = { readonly index: number; readonly fromMs: number; toMs: number | null; finalText: string; finalWords: readonly Word[]; finalToMs: number }

function newUtterance(index: number, fromMs: number): Utterance {
  return { index, fromMs, toMs: null, finalText: '', finalWords: [], finalToMs: -Infinity }
}

/** The hint as it looks to somebody who hears only what comes after `fromMs`; null if it is about audio before. */
function within(hint: SpeechHint, fromMs: number): SpeechHint | null {
  if (hint.kind === 'speech-paused') return hint.lastVoicedMs <= fromMs ? null : hint
  return { ...hint, mediaMs: Math.max(hint.mediaMs, fromMs) }
}

function tell(session: TranscriptionSession, told: Told): void {
  if (told.kind === 'hint') session.hint(told.hint)
  else session.endUtterance(told.mediaMs)
}

/** The fallback counts utterances from where it began, and knows nothing of the words that were final before. */
function shifted(event: TranscriptEvent, first: Utterance): TranscriptEvent {
  if (event.kind === 'turn-hint') return event
  const utterance = event.utterance + first.index
  if (event.kind === 'lost' || event.utterance > 0 || first.finalText === '') return { ...event, utterance }
  // What half of an answer means says nothing about the whole.
  const { reading: _half, ...heard } = event
  return { ...heard, utterance, text: [first.finalText, event.text].filter((part) => part !== '').join(' '), words: [...first.finalWords, ...event.words] }
}
