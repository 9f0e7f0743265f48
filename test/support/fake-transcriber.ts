import type { AudioFrame } from '../../src/audio/frame.ts'
import { BoundedQueue } from '../../src/core/bounded-queue.ts'
import type { Clock } from '../../src/core/clock.ts'
import { Scope } from '../../src/core/scope.ts'
import type { SpeechHint, Transcriber, TranscriberOptions, TranscriptEvent, TranscriptionSession, Word } from '../../src/transcription/transcriber.ts'

/** What the caller says and when, on the media clock. Without `words` the text's words share the time evenly. */
export type ScriptedUtterance = Readonly<{ startMs: number; endMs: number; text: string; words?: readonly Word[] }>

export type FakeTranscriberOptions = Readonly<{
  clock: Clock
  utterances: readonly ScriptedUtterance[]
  /** From a pause hint to its final text; default 150 ms, as one quiet core takes. Null: the final never comes. */
  finalDelayMs?: number | null
  /** Media time between partials; default 600 ms. Null: no partials. */
  partialEveryMs?: number | null
}>

/**
 * A recogniser that knows what will be said. It hears a word when its end has arrived as audio, gives a partial as frames come in and the
 * final text some time after a pause. The words come from the script, the moments from the frames, hints and clock it is given.
 */
export class FakeTranscriber implements Transcriber {
  readonly name = 'fake'
  /** May be changed while a call runs. */
  finalDelayMs: number | null
  readonly openedWith: TranscriberOptions[] = []
  readonly #clock: Clock
  readonly #words: readonly Word[]
  readonly #partialEveryMs: number | null
  readonly #sessions = new Set<FakeSession>()

  constructor(options: FakeTranscriberOptions) {
    this.#clock = options.clock
    this.#words = options.utterances.flatMap((utterance) => utterance.words ?? spread(utterance))
    this.finalDelayMs = options.finalDelayMs === undefined ? 150 : options.finalDelayMs
    this.#partialEveryMs = options.partialEveryMs === undefined ? 600 : options.partialEveryMs
  }

  open(options: TranscriberOptions, signal: AbortSignal): TranscriptionSession {
    this.openedWith.push(options)
    return new FakeSession(this.#clock, this.#words, this.#partialEveryMs, () => this.finalDelayMs, signal, this.#sessions)
  }

  get openSessions(): number {
    return this.#sessions.size
  }

  /** Every open session loses what it has heard of its utterance so far, as if the engine had crashed. */
  lose(reason: string): void {
    for (const session of this.#sessions) session.lose(reason)
  }

  /** Every open session reports the engine's own view of the turn. */
  hintTurn(hint: 'eager-end' | 'resumed' | 'end', confidence: number, mediaMs: number): void {
    for (const session of this.#sessions) session.hintTurn(hint, confidence, mediaMs)
  }
}

class FakeSession implements TranscriptionSession {
  readonly #clock: Clock
  readonly #words: readonly Word[]
  readonly #partialEveryMs: number | null
  readonly #finalDelayMs: () => number | null
  readonly #open: Set<FakeSession>
  readonly #lifetime = new Scope()
  readonly #signal: AbortSignal
  readonly #events = new BoundedQueue<TranscriptEvent>(256, 'drop-oldest')
  #utterance = 0
  #fromMs = -Infinity
  #heardMs = 0
  #lastPartialMs = 0
  #speaking = false

  constructor(
    clock: Clock,
    words: readonly Word[],
    partialEveryMs: number | null,
    finalDelayMs: () => number | null,
    signal: AbortSignal,
    open: Set<FakeSession>,
  ) {
    this.#clock = clock
    this.#words = words
    this.#partialEveryMs = partialEveryMs
    this.#finalDelayMs = finalDelayMs
    this.#signal = signal
    this.#open = open
    open.add(this)
    if (signal.aborted) this.#end()
    else signal.addEventListener('abort', this.#end, { once: true })
  }

  expect(): void {}

  get events(): AsyncIterable<TranscriptEvent> {
    return this.#events
  }

  push(frame: AudioFrame): void {
    if (this.#lifetime.ended) return
    // It cannot know what it was not given.
    if (this.#heardMs === 0) this.#fromMs = Math.max(this.#fromMs, frame.mediaMs)
    this.#heardMs = frame.mediaMs + frame.samples.length / 8
    const isDue = this.#partialEveryMs !== null && this.#heardMs - this.#lastPartialMs >= this.#partialEveryMs
    if (!this.#speaking || !isDue) return
    this.#lastPartialMs = this.#heardMs
    this.#report(this.#utterance, this.#fromMs, this.#heardMs, false)
  }

  hint(hint: SpeechHint): void {
    if (this.#lifetime.ended) return
    this.#speaking = hint.kind !== 'speech-paused'
    if (hint.kind !== 'speech-paused') {
      this.#lastPartialMs = hint.mediaMs
      return
    }
    const untilMs = Math.max(hint.lastVoicedMs, Math.min(hint.lastVoicedMs + 200, this.#heardMs))
    void this.#reportLater(this.#utterance, this.#fromMs, untilMs)
  }

  endUtterance(mediaMs: number): void {
    if (this.#lifetime.ended) return
    const wasSpeaking = this.#speaking && this.#words.some((word) => word.startMs >= this.#fromMs && word.startMs < mediaMs)
    if (wasSpeaking) void this.#reportLater(this.#utterance, this.#fromMs, mediaMs)
    this.#utterance += 1
    this.#fromMs = mediaMs
  }

  close(): Promise<void> {
    this.#end()
    return Promise.resolve()
  }

  lose(reason: string): void {
    this.#events.push({ kind: 'lost', utterance: this.#utterance, reason })
    this.#fromMs = this.#heardMs
  }

  hintTurn(hint: 'eager-end' | 'resumed' | 'end', confidence: number, mediaMs: number): void {
    this.#events.push({ kind: 'turn-hint', hint, confidence, mediaMs })
  }

  readonly #end = (): void => {
    if (this.#lifetime.ended) return
    this.#lifetime.end(new Error('session closed'))
    this.#signal.removeEventListener('abort', this.#end)
    this.#events.close()
    this.#open.delete(this)
  }

  async #reportLater(utterance: number, fromMs: number, untilMs: number): Promise<void> {
    const delayMs = this.#finalDelayMs()
    if (delayMs === null) return
    try {
      await this.#clock.sleep(delayMs, this.#lifetime.signal)
    } catch {
      return
    }
    this.#report(utterance, fromMs, untilMs, true)
  }

  #report(utterance: number, fromMs: number, untilMs: number, final: boolean): void {
    const words = this.#words.filter((word) => word.startMs >= fromMs && word.endMs <= untilMs)
    if (!final && words.length === 0) return
    this.#events.push({ kind: 'transcript', utterance, text: words.map((word) => word.text).join(' '), words, audioEndMs: untilMs, final })
  }
}

function spread(utterance: ScriptedUtterance): Word[] {
  const texts = utterance.text.split(/\s+/).filter((text) => text !== '')
  const eachMs = (utterance.endMs - utterance.startMs) / texts.length
  return texts.map((text, i) => ({ text, startMs: utterance.startMs + i * eachMs, endMs: utterance.startMs + (i + 1) * eachMs }))
}
