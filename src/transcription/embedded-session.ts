import type { AudioFrame } from '../audio/frame.ts'
import { levelDb } from '../audio/level.ts'
import { BoundedQueue } from '../core/bounded-queue.ts'
import { digitsWanted, OPEN_EXPECTATION, type Expectation } from '../core/expectation.ts'
import type { Reading } from '../core/reading.ts'
import { readText } from '../grammar/read-text.ts'
import { AudioHistory } from './audio-history.ts'
import { lineNoise } from './line-noise.ts'
import { ANYTHING, type ListenFor } from './listener.ts'
import type { DecodeHandle, DecodePool, DecodeResult } from './moonshine-pool.ts'
import { soundBegan } from './pause-sound.ts'
import type { SpeechHint, TranscriptEvent, TranscriptionSession, Word } from './transcriber.ts'
import { FRAME_MS, voicedFrames, wordTimes } from './word-times.ts'

/**
 * One call's hearing. An utterance is a list of segments, each short enough to decode whole at every pause; the text of the utterance is
 * the text of its segments. A segment that has grown long is closed at a pause, so that the wait for the last words does not grow with
 * everything said before. An answer to a question is one segment over all its pauses, long ones left out: half an order fits no menu.
 */
export class EmbeddedSession implements TranscriptionSession {
  readonly #pool: DecodePool
  readonly #signal: AbortSignal
  readonly #events = new BoundedQueue<TranscriptEvent>(EVENTS_KEPT, 'drop-oldest')
  readonly #history = new AudioHistory(HISTORY_MS)
  readonly #vocabulary: readonly string[]
  #utterance: Utterance = { index: 0, segments: [], expectation: null }
  #expectation: Expectation = OPEN_EXPECTATION
  /** The segment that grows, or may grow again after a pause. */
  #open: Segment | null = null
  #speaking = false
  #onsetMs = 0
  /** Speech before this moment is spoken for; a pre-roll never reaches behind it. */
  #takenMs = 0
  #closed = false
  readonly #asked = new Set<Asked>()
  #recentDecodeMs = 0

  constructor(pool: DecodePool, vocabulary: readonly string[], signal: AbortSignal) {
    this.#pool = pool
    this.#vocabulary = vocabulary
    this.#signal = signal
    if (signal.aborted) this.#end()
    else signal.addEventListener('abort', this.#end, { once: true })
  }

  get events(): AsyncIterable<TranscriptEvent> {
    return this.#events
  }

  push(frame: AudioFrame): void {
    if (this.#closed) return
    this.#history.push(frame)
    const segment = this.#open
    if (segment === null || !this.#speaking) return
    if (this.#history.endMs - segment.startMs >= LONGEST_SEGMENT_MS) this.#splitAtQuietest(segment)
    else this.#askPartial(segment)
  }

  hint(hint: SpeechHint): void {
    if (this.#closed) return
    switch (hint.kind) {
      case 'speech-started':
      case 'speech-resumed':
        this.#speechFrom(hint.mediaMs)
        break
      case 'speech-paused':
        this.#speechUntil(hint.lastVoicedMs)
        break
    }
  }

  /** What has begun is heard as what it answered. */
  expect(expectation: Expectation): void {
    this.#expectation = expectation
  }

  endUtterance(mediaMs: number): void {
    if (this.#closed) return
    const segment = this.#open
    // Speech that began about when the utterance ends is the next one's; older speech is cut in two, each half to its own.
    const onsetIsNext = this.#speaking && this.#onsetMs >= mediaMs - PRE_ROLL_MS
    if (segment !== null) this.#finishUtterance(segment, mediaMs, onsetIsNext)
    this.#utterance = { index: this.#utterance.index + 1, segments: [], expectation: null }
    this.#open = null
    if (!this.#speaking) return
    if (onsetIsNext) this.#openSegment(this.#onsetMs)
    else {
      this.#takenMs = mediaMs
      this.#openSegment(mediaMs, true)
    }
  }

  close(): Promise<void> {
    this.#end()
    return Promise.resolve()
  }

  readonly #end = (): void => {
    if (this.#closed) return
    this.#closed = true
    this.#signal.removeEventListener('abort', this.#end)
    for (const asked of this.#asked) asked.handle?.withdraw()
    this.#events.close()
  }

  #speechFrom(mediaMs: number): void {
    const segment = this.#open
    if (this.#speaking && segment !== null) return
    this.#speaking = true
    this.#onsetMs = mediaMs
    if (segment === null) {
      this.#openSegment(mediaMs)
      return
    }
    if (isAnswer(segment.utterance)) {
      if (mediaMs - segment.startMs >= LONGEST_SEGMENT_MS) this.#openSegment(this.#resumedMs(segment, mediaMs))
      else segment.silences.push({ fromMs: segment.voicedToMs + MARGIN_MS, toMs: this.#resumedMs(segment, mediaMs) - ANSWER_PRE_ROLL_MS })
      return
    }
    const voicedMs = segment.voicedToMs - segment.voicedFromMs
    // A pause long enough to be silence in its own right would be heard as the end by the model.
    if (voicedMs >= LONG_SEGMENT_MS || mediaMs - segment.voicedToMs >= LONG_PAUSE_MS) this.#openSegment(this.#resumedMs(segment, mediaMs))
  }

  /** When the speech began that was noticed at `mediaMs`. */
  #resumedMs(segment: Segment, mediaMs: number): number {
    const fromMs = segment.voicedToMs + MARGIN_MS
    if (fromMs >= mediaMs || this.#history.endMs < mediaMs) return mediaMs
    return fromMs + soundBegan(this.#history.slice(fromMs, mediaMs))
  }

  #speechUntil(lastVoicedMs: number): void {
    this.#speaking = false
    const segment = this.#open ?? this.#openSegment(Math.max(this.#history.startMs, this.#takenMs))
    if (segment.isRemainder && lastVoicedMs <= segment.voicedFromMs) {
      // The speech that the cut was thought to divide had ended before it: nothing is left over.
      this.#utterance.segments.pop()
      this.#open = null
      return
    }
    segment.voicedToMs = Math.max(segment.voicedFromMs, lastVoicedMs)
    this.#takenMs = Math.max(this.#takenMs, lastVoicedMs)
    this.#askFinal(segment, lastVoicedMs, lastVoicedMs + MARGIN_MS)
  }

  #openSegment(voicedFromMs: number, isRemainder = false): Segment {
    this.#utterance.expectation ??= this.#expectation
    const preRollMs = isAnswer(this.#utterance) ? ANSWER_PRE_ROLL_MS : PRE_ROLL_MS
    const startMs = Math.max(voicedFromMs - preRollMs, this.#takenMs, this.#history.startMs)
    const segment: Segment = {
      utterance: this.#utterance,
      startMs: Math.min(startMs, Math.max(voicedFromMs, this.#history.startMs)),
      voicedFromMs,
      isRemainder,
      voicedToMs: voicedFromMs,
      silences: [],
      text: '',
      reading: null,
      words: [],
      heardToMs: voicedFromMs,
      finalToMs: -1,
      askedToMs: voicedFromMs,
    }
    this.#utterance.segments.push(segment)
    this.#open = segment
    return segment
  }

  /** The utterance ends: whatever of it was not asked for as final is asked for now. */
  #finishUtterance(segment: Segment, mediaMs: number, onsetIsNext: boolean): void {
    const isCutInTwo = this.#speaking && !onsetIsNext
    const asked = [...this.#asked].filter((one) => one.segment === segment)
    for (const one of asked) if (one.urgency === 'partial') one.handle?.withdraw()
    if (!isCutInTwo && asked.some((one) => one.urgency === 'final')) return
    const endMs = isCutInTwo ? mediaMs : Math.min(segment.voicedToMs, mediaMs)
    // A partial that ran ahead took words that now belong to the next utterance: they are heard again without them.
    const ranAhead = segment.heardToMs > mediaMs + MARGIN_MS
    if (ranAhead) segment.heardToMs = segment.voicedFromMs
    if (endMs > segment.voicedFromMs && (ranAhead || segment.finalToMs < endMs)) this.#askFinal(segment, endMs, endMs)
  }

  /** Nobody paused for 24 s: cut where it is quietest. */
  #splitAtQuietest(segment: Segment): void {
    const searchFromMs = this.#history.endMs - SPLIT_SEARCH_MS
    const samples = this.#history.slice(searchFromMs, this.#history.endMs - PRE_ROLL_MS)
    let quietest = 0
    let quietestDb = Infinity
    for (let at = 0; at + SPLIT_WINDOW_SAMPLES <= samples.length; at += SPLIT_HOP_SAMPLES) {
      const db = levelDb(samples.subarray(at, at + SPLIT_WINDOW_SAMPLES))
      if (db >= quietestDb) continue
      quietestDb = db
      quietest = at
    }
    const cutMs = searchFromMs + (quietest + SPLIT_WINDOW_SAMPLES / 2) / 8
    segment.voicedToMs = cutMs
    this.#askFinal(segment, cutMs, cutMs)
    this.#takenMs = cutMs
    this.#openSegment(cutMs)
  }

  #askPartial(segment: Segment): void {
    const endMs = this.#history.endMs
    const everyMs = Math.max(PARTIAL_EVERY_MS, this.#recentDecodeMs * PARTIAL_DECODES_APART)
    if (endMs - segment.askedToMs < everyMs || !this.#pool.hasRoomForPartial) return
    for (const asked of this.#asked) if (asked.segment === segment) return
    this.#ask(segment, { urgency: 'partial', voicedToMs: endMs, heardToMs: endMs, sliceToMs: endMs, tailPadMs: MARGIN_MS })
  }

  #askFinal(segment: Segment, voicedToMs: number, wantedToMs: number): void {
    for (const asked of this.#asked) if (asked.segment === segment) asked.handle?.withdraw()
    const availableMs = Math.min(wantedToMs, this.#history.endMs)
    // The margin that has not been spoken yet is not waited for: noise takes its place.
    this.#ask(segment, {
      urgency: 'final',
      voicedToMs,
      heardToMs: Math.max(voicedToMs, availableMs),
      sliceToMs: availableMs,
      tailPadMs: Math.max(0, wantedToMs - availableMs),
    })
  }

  #ask(segment: Segment, stretch: Stretch): void {
    const { urgency } = stretch
    segment.askedToMs = stretch.heardToMs
    const asked: Asked = { segment, urgency, handle: null }
    this.#asked.add(asked)
    const listenFor = urgency === 'final' ? this.#listenFor(segment.utterance) : ANYTHING
    const { samples, tailPadMs } = isNumber(listenFor.expectation)
      ? this.#numberAudio(segment, stretch)
      : { samples: this.#withoutSilences(segment, segment.startMs, stretch.sliceToMs), tailPadMs: stretch.tailPadMs }
    const voicedFramesMs = voicedFrames(this.#history.slice(segment.voicedFromMs, stretch.voicedToMs), segment.voicedFromMs)
    asked.handle = this.#pool.decode({ samples, tailPadMs, urgency, listenFor }, (result) => {
      this.#asked.delete(asked)
      if (!this.#closed) this.#take(segment, stretch, voicedFramesMs, result)
    })
  }

  #listenFor({ expectation }: Utterance): ListenFor {
    return { expectation: expectation === null || expectation.kind === 'open' ? null : expectation, vocabulary: this.#vocabulary }
  }

  /**
   * Digits stand alone: no sentence around them tells the last one from a noise behind it, or the first from a breath. So the margins are
   * measured from where the sound itself stands out, inside what the turn detector took for speech, and what has not been spoken of the
   * last one is the line's own noise.
   */
  #numberAudio(segment: Segment, { voicedToMs, sliceToMs, tailPadMs }: Stretch): Readonly<{ samples: Int16Array; tailPadMs: number }> {
    const loudMs = voicedFrames(this.#history.slice(segment.voicedFromMs, voicedToMs), segment.voicedFromMs, NUMBER_RANGE_DB)
    const fromMs = Math.max(segment.startMs, (loudMs[0] ?? segment.startMs) - ANSWER_PRE_ROLL_MS)
    const wantedToMs = Math.min(sliceToMs + tailPadMs, (loudMs.at(-1) ?? voicedToMs) + FRAME_MS + MARGIN_MS)
    const toMs = Math.min(sliceToMs, wantedToMs)
    const voice = this.#withoutSilences(segment, fromMs, toMs)
    const line = lineNoise(voice, wantedToMs - toMs)
    return line === null ? { samples: voice, tailPadMs: wantedToMs - toMs } : { samples: joined([voice, line]), tailPadMs: 0 }
  }

  /** The segment's audio; of a long pause inside it, only what belongs to the voice on either side. */
  #withoutSilences(segment: Segment, startMs: number, toMs: number): Int16Array {
    const pieces: Int16Array[] = []
    let fromMs = startMs
    for (const silence of segment.silences) {
      if (silence.toMs <= silence.fromMs || silence.toMs > toMs) continue
      pieces.push(this.#history.slice(fromMs, silence.fromMs))
      fromMs = Math.max(fromMs, silence.toMs)
    }
    pieces.push(this.#history.slice(fromMs, toMs))
    return joined(pieces)
  }

  #take(segment: Segment, { urgency, heardToMs }: Stretch, voicedFramesMs: readonly number[], result: DecodeResult): void {
    if (result.outcome === 'dropped') return
    if (result.outcome === 'failed') {
      segment.finalToMs = heardToMs
      this.#events.push({ kind: 'lost', utterance: segment.utterance.index, reason: result.reason })
      return
    }
    this.#recentDecodeMs = result.decodeMs
    if (heardToMs < segment.heardToMs) return
    segment.text = result.text
    segment.reading = result.reading
    segment.words = wordTimes(result.text, voicedFramesMs)
    segment.heardToMs = heardToMs
    if (urgency === 'final') segment.finalToMs = heardToMs
    this.#events.push(transcriptOf(segment.utterance))
  }
}

/** Enough for a consumer that sleeps two minutes; each event holds the whole text, so the oldest is the one to lose. */
const EVENTS_KEPT = 256
/** Longer than the longest segment with its pre-roll. */
const HISTORY_MS = 30_000
/** The model was trained on up to 30 s, and a decode costs 30 ms for each second: what pauses never come for is cut here. */
const LONGEST_SEGMENT_MS = 24_000
/** Speech of this length is closed at its next pause: a later pause then waits for its own words only (8 s decode in about 250 ms). */
const LONG_SEGMENT_MS = 8000
const LONG_PAUSE_MS = 1500
const SPLIT_SEARCH_MS = 12_000
const SPLIT_WINDOW_SAMPLES = 1600
const SPLIT_HOP_SAMPLES = 160
/** Detectors find speech some frames late, and soft first sounds come before the loud ones. */
const PRE_ROLL_MS = 300
/** Held to a grammar, noise before the voice is heard as words; 0.2 s is enough. */
const ANSWER_PRE_ROLL_MS = 200
/** HEARING figures: 0.2 s behind the voice; 0.05 to 0.15 s was worse. */
const MARGIN_MS = 200
/** Below the loudest frame; a soft "f" or "s" that is softer still lies within the margin. */
const NUMBER_RANGE_DB = 30
const PARTIAL_EVERY_MS = 600
const PARTIAL_DECODES_APART = 4

type Utterance = {
  readonly index: number
  readonly segments: Segment[]
  /** What it answers; fixed when it begins. */
  expectation: Expectation | null
}
type Segment = {
  readonly utterance: Utterance
  readonly startMs: number
  readonly voicedFromMs: number
  /** Begun by a cut through speech, not by an onset. */
  readonly isRemainder: boolean
  /** End of the voice at the last pause. */
  voicedToMs: number
  /** Pauses inside an answer, margins of the voice not included. */
  readonly silences: Readonly<{ fromMs: number; toMs: number }>[]
  text: string
  /** Of the last final text. */
  reading: Reading | null
  words: readonly Word[]
  /** The audio that `text` has taken into account. */
  heardToMs: number
  /** The same, of the last final text; -1 before there is one. */
  finalToMs: number
  askedToMs: number
}
/** What is decoded of a segment: the voice ends at `voicedToMs`, the samples at `sliceToMs`, and the text will stand for all up to `heardToMs`. */
type Stretch = Readonly<{ urgency: 'final' | 'partial'; voicedToMs: number; heardToMs: number; sliceToMs: number; tailPadMs: number }>
type Asked = { readonly segment: Segment; readonly urgency: 'final' | 'partial'; handle: DecodeHandle | null }

function transcriptOf(utterance: Utterance): TranscriptEvent {
  const last = utterance.segments.at(-1) as Segment
  const unheard = utterance.segments.find((segment) => segment !== last && segment.finalToMs < 0)
  const heard = utterance.segments.filter((segment) => segment.text !== '')
  const until = unheard ?? last
  const final = unheard === undefined && last.finalToMs === last.heardToMs
  const text = heard.map((segment) => segment.text).join(' ')
  const reading = final ? readingOf(utterance, heard, text) : null
  return {
    kind: 'transcript',
    utterance: utterance.index,
    text,
    words: heard.flatMap((segment) => segment.words),
    audioEndMs: until.heardToMs,
    final,
    ...(reading === null ? {} : { reading }),
  }
}

/** An answer longer than a segment is read as text. */
function readingOf({ expectation }: Utterance, heard: readonly Segment[], text: string): Reading | null {
  if (expectation === null || expectation.kind === 'open') return null
  return heard.length === 1 ? (heard[0] as Segment).reading : readText(expectation, text)
}

function isAnswer({ expectation }: Utterance): boolean {
  return expectation !== null && expectation.kind !== 'open'
}

function isNumber(expectation: Expectation | null): boolean {
  return expectation !== null && digitsWanted(expectation) !== null
}

function joined(pieces: readonly Int16Array[]): Int16Array {
  const samples = new Int16Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    samples.set(piece, at)
    at += piece.length
  }
  return samples
}
