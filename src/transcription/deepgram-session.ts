import { FRAME_MS, type AudioFrame } from '../audio/frame.ts'
import { MulawRing } from '../audio/mulaw-ring.ts'
import { BoundedQueue } from '../core/bounded-queue.ts'
import type { Clock, Instant } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { Expectation } from '../core/expectation.ts'
import { OneShot } from '../core/one-shot.ts'
import { Scope } from '../core/scope.ts'
import type { ListenLine, LineListener, ListenVendor } from './deepgram-line.ts'
import type { ListenMessage } from './deepgram-messages.ts'
import { HeardWords } from './deepgram-words.ts'
import type { SpeechHint, TranscriptEvent, TranscriptionSession, Word } from './transcriber.ts'

export type DeepgramSessionDeps = Readonly<{
  clock: Clock
  vendor: ListenVendor
  language: string
  /** What the caller is likely to say, in view of what was asked. */
  termsFor: (expectation: Expectation) => readonly string[]
  /** Audio sent, replays included, in seconds: what the vendor bills. Told at the end. */
  onUsage: (seconds: number) => void
  /** How long the final words took that were asked for at a pause. */
  onFinal: (afterMs: number) => void
}>

/**
 * One call's hearing by the vendor. All words are put on the caller's media clock, and every utterance is the words that fall into it;
 * so a line that breaks is dialled anew, the audio without final words is sent again, and nothing is heard twice. What cannot be
 * mended within that ends the events with the line's error: another recogniser must take over.
 */
export class DeepgramSession implements TranscriptionSession {
  readonly #deps: DeepgramSessionDeps
  readonly #signal: AbortSignal
  readonly #lifetime = new Scope()
  readonly #events = new BoundedQueue<TranscriptEvent>(EVENTS_KEPT, 'drop-oldest')
  readonly #ring = new MulawRing(REPLAY_MS)
  readonly #heard = new HeardWords()
  readonly #keepAlive: OneShot
  readonly #answerDue: OneShot
  readonly #redial: OneShot
  readonly #handshakeDue: OneShot
  /** The ones that are over and lack final words, oldest first, then the current one. */
  #utterances: Utterance[] = [newUtterance(0, -Infinity)]
  #line: ListenLine | null = null
  #lineState: 'dialling' | 'open' | 'broken' = 'dialling'
  /** Where the audio of this line begins on the media clock, and where what was sent of it ends. */
  #lineStartMs = 0
  #sentToMs = 0
  #sentAt: Instant
  #sentMs = 0
  #attempts = 0
  #speaking = false
  #speechFromMs = 0
  #speechAt: Instant
  #answeredAt: Instant
  /** The pause whose final words were asked for. */
  #pausedAtMs: number | null = null
  #askedAt: Instant
  #terms: readonly string[]

  constructor(deps: DeepgramSessionDeps, signal: AbortSignal) {
    this.#deps = deps
    this.#signal = signal
    this.#sentAt = deps.clock.now()
    this.#speechAt = this.#sentAt
    this.#answeredAt = this.#sentAt
    this.#askedAt = this.#sentAt
    this.#terms = deps.termsFor({ kind: 'open' })
    this.#keepAlive = new OneShot(deps.clock, this.#lifetime)
    this.#answerDue = new OneShot(deps.clock, this.#lifetime)
    this.#redial = new OneShot(deps.clock, this.#lifetime)
    this.#handshakeDue = new OneShot(deps.clock, this.#lifetime)
    if (signal.aborted) this.#end(null)
    else {
      signal.addEventListener('abort', this.#onAbort, { once: true })
      this.#dial(FIRST_HANDSHAKE_MS)
      this.#armKeepAlive()
    }
  }

  get events(): AsyncIterable<TranscriptEvent> {
    return this.#events
  }

  push(frame: AudioFrame): void {
    if (this.#lifetime.ended) return
    this.#ring.push(frame.mulaw, frame.mediaMs)
    if (this.#lineState === 'open' && this.#ring.endMs - this.#sentToMs >= this.#sentTogetherMs) this.#sendHeld()
    if (this.#speaking && this.#deps.clock.now() - Math.max(this.#answeredAt, this.#speechAt) > LONGEST_UNANSWERED_MS) this.#stalled()
  }

  hint(hint: SpeechHint): void {
    if (this.#lifetime.ended) return
    switch (hint.kind) {
      case 'speech-started':
      case 'speech-resumed':
        this.#speaking = true
        this.#speechFromMs = hint.mediaMs
        this.#speechAt = this.#deps.clock.now()
        if (this.#lineState === 'open') this.#sendHeld()
        return
      case 'speech-paused':
        this.#speaking = false
        this.#askFinal(hint.lastVoicedMs)
    }
  }

  /** New terms are worth a new line: it hears again whatever the old one had no final words for. */
  expect(expectation: Expectation): void {
    if (this.#lifetime.ended) return
    const terms = this.#deps.termsFor(expectation)
    const known = new Set(this.#terms)
    if (terms.every((term) => known.has(term))) return
    this.#terms = terms
    if (this.#line === null || this.#lineState !== 'open' || this.#line.listenFor(terms)) return
    this.#line.close()
    this.#attempts = 1
    this.#dial(REDIAL_HANDSHAKE_MS)
  }

  endUtterance(mediaMs: number): void {
    if (this.#lifetime.ended) return
    const current = this.#current
    current.toMs = mediaMs
    const speechIsCut = this.#speaking && this.#speechFromMs < mediaMs
    current.awaited = speechIsCut || this.#heard.changing.length > 0 || this.#pausedAtMs !== null
    this.#utterances.push(newUtterance(current.index + 1, mediaMs))
    if (this.#utterances.length > MOST_UTTERANCES) this.#utterances.shift()
    if (speechIsCut || this.#heard.changing.length > 0) this.#askFinal(mediaMs, true)
    this.#settleEnded()
  }

  close(): Promise<void> {
    this.#end(null)
    return Promise.resolve()
  }

  get #sentTogetherMs(): number {
    return this.#speaking || this.#pausedAtMs !== null || this.#deps.vendor.endsTurns ? SENT_TOGETHER_MS : SENT_TOGETHER_IN_SILENCE_MS
  }

  get #current(): Utterance {
    return this.#utterances.at(-1) as Utterance
  }

  #dial(handshakeMs: number): void {
    this.#lineState = 'dialling'
    this.#line = null
    const listener: LineListener = {
      opened: () => this.#ifCurrent(line, () => this.#opened()),
      message: (message) => this.#ifCurrent(line, () => this.#take(message)),
      failed: (error) => this.#ifCurrent(line, () => this.#broken(error)),
    }
    const line = this.#deps.vendor.dial({ language: this.#deps.language, terms: this.#terms }, listener)
    this.#line = line
    this.#handshakeDue.start(handshakeMs, () => this.#broken(new ClientsViaError('ENGINE_UNAVAILABLE', `no connection to the vendor within ${handshakeMs} ms`)))
  }

  /** What a line says after it was replaced is about audio that the next one hears again. */
  #ifCurrent(line: ListenLine, act: () => void): void {
    if (this.#line === line && !this.#lifetime.ended) act()
  }

  #opened(): void {
    this.#handshakeDue.cancel()
    this.#lineState = 'open'
    this.#lineStartMs = this.#replayFromMs()
    this.#sentToMs = this.#lineStartMs
    this.#sendHeld()
    // It was asked of a line that is gone.
    if (this.#pausedAtMs !== null) this.#askFinal(this.#pausedAtMs)
  }

  /**
   * Between words: where final words end, or at the first changing word that is still held whole. The changing ones before it are all
   * there will ever be, so they stand.
   */
  #replayFromMs(): number {
    const heldFromMs = this.#ring.startMs
    const wantedMs = Math.max(this.#heard.finalToMs, this.#heard.lastFinalWordEndMs)
    if (wantedMs >= heldFromMs) return Math.min(wantedMs, this.#ring.endMs)
    const firstWhole = this.#heard.changing.find((word) => word.startMs >= heldFromMs)
    const fromMs = firstWhole?.startMs ?? heldFromMs
    this.#heard.settle(fromMs)
    return Math.max(heldFromMs, this.#heard.lastFinalWordEndMs)
  }

  /** What was pushed and not yet sent: after dialling, and where frames are missing. */
  #sendHeld(): void {
    const forgottenMs = Math.max(0, this.#ring.startMs - this.#sentToMs)
    this.#lineStartMs += forgottenMs
    this.#sentToMs += forgottenMs
    const held = this.#ring.slice(this.#sentToMs, this.#ring.endMs)
    if (held.length > 0) this.#send(held)
  }

  #send(mulaw: Uint8Array): void {
    const lengthMs = mulaw.length / BYTES_A_MS
    this.#sentToMs += lengthMs
    this.#sentMs += lengthMs
    this.#sentAt = this.#deps.clock.now()
    this.#line?.send(mulaw)
  }

  #askFinal(mediaMs: number, isOver = false): void {
    this.#pausedAtMs = mediaMs
    this.#askedAt = this.#deps.clock.now()
    // The question is about all that was heard.
    if (this.#lineState === 'open') this.#sendHeld()
    if (this.#lineState === 'open' && isOver) this.#line?.endTurn()
    else if (this.#lineState === 'open') this.#line?.finalize()
    this.#answerDue.start(FINAL_WITHIN_MS, () => {
      const pausedAtMs = this.#pausedAtMs
      // A first line has its own deadline; what was asked before it opened is asked again.
      if (pausedAtMs === null || (this.#sentMs === 0 && this.#lineState === 'dialling')) return
      if (this.#heard.heardToMs < pausedAtMs - COVERED_WITHIN_MS) return this.#stalled()
      // It has heard all of it and has nothing to add; some servers then do not answer at all.
      this.#pausedAtMs = null
      if (!this.#deps.vendor.endsTurns) this.#heard.settle(pausedAtMs)
      this.#tell(Math.max(pausedAtMs, this.#heard.heardToMs), true)
    })
  }

  #take(message: ListenMessage): void {
    switch (message.kind) {
      case 'results': {
        this.#attempts = 0
        const words = message.words.map((word) => ({ ...word, startMs: word.startMs + this.#lineStartMs, endMs: word.endMs + this.#lineStartMs }))
        const endMs = message.endMs + this.#lineStartMs
        // The same little again and again is no answer.
        if (endMs > this.#heard.heardToMs) this.#answeredAt = this.#deps.clock.now()
        if (!this.#heard.take(words, endMs, message.final)) return
        this.#tell(endMs, message.final)
        return
      }
      case 'utterance-end': {
        const endMs = message.lastWordEndMs + this.#lineStartMs
        if (!this.#heard.changing.some((word) => word.endMs <= endMs)) return
        this.#heard.settle(endMs)
        this.#tell(this.#heard.heardToMs, this.#heard.changing.length === 0)
        return
      }
      case 'turn':
        this.#events.push({ kind: 'turn-hint', hint: message.hint, confidence: message.confidence, mediaMs: message.atMs + this.#lineStartMs })
        return
      case 'error':
        this.#broken(new ClientsViaError('ENGINE_FAILED', `the vendor reports: ${message.reason}`))
        return
      case 'other':
        this.#attempts = 0
    }
  }

  /** Everybody whom the news concerns: utterances that still lack final words, and the current one. */
  #tell(audioEndMs: number, final: boolean): void {
    const pausedAtMs = this.#pausedAtMs
    const answersPause = final && pausedAtMs !== null && audioEndMs >= pausedAtMs - COVERED_WITHIN_MS
    if (answersPause) {
      this.#pausedAtMs = null
      this.#answerDue.cancel()
      this.#deps.onFinal(this.#deps.clock.now() - this.#askedAt)
    }
    this.#settleEnded(audioEndMs, final)
    const { index, fromMs } = this.#current
    const words = this.#heard.between(fromMs, Infinity)
    // Silence is news only to somebody who waits for it.
    if (audioEndMs <= fromMs || (words.length === 0 && !answersPause)) return
    this.#push(index, words, Math.max(audioEndMs, answersPause ? (pausedAtMs ?? 0) : 0), final)
  }

  #settleEnded(audioEndMs = this.#heard.heardToMs, final = false): void {
    for (const utterance of this.#utterances.slice(0, -1)) {
      const toMs = utterance.toMs as number
      const isWhole = this.#heard.finalToMs >= toMs - COVERED_WITHIN_MS || (final && audioEndMs >= toMs - COVERED_WITHIN_MS)
      const words = this.#heard.between(utterance.fromMs, toMs)
      if (utterance.awaited && (isWhole || words.length > 0)) this.#push(utterance.index, words, Math.min(toMs, audioEndMs), isWhole)
      if (!isWhole) continue
      this.#utterances = this.#utterances.filter((other) => other !== utterance)
      // What it did not get any more goes to the one that follows.
      const next = this.#utterances[0] as Utterance
      next.fromMs = Math.min(toMs, Math.max(this.#heard.finalToMs, utterance.fromMs))
      this.#heard.forgetBefore(next.fromMs)
    }
  }

  #push(utterance: number, words: readonly Word[], audioEndMs: number, final: boolean): void {
    this.#events.push({ kind: 'transcript', utterance, text: words.map((word) => word.text).join(' '), words, audioEndMs, final })
  }

  #stalled(): void {
    this.#end(new ClientsViaError('ENGINE_FAILED', 'the recogniser does not answer'))
  }

  /** A line that had worked is dialled again at once; a refusal, or a line that cannot be had, is for the next engine. */
  #broken(error: ClientsViaError): void {
    const wasOpen = this.#lineState === 'open'
    this.#lineState = 'broken'
    this.#handshakeDue.cancel()
    this.#line?.close()
    const refused = error.details['status'] !== undefined
    if (refused || (!wasOpen && this.#attempts === 0) || this.#attempts >= MOST_REDIALS) return this.#end(error)
    this.#attempts += 1
    if (this.#attempts === 1) this.#dial(REDIAL_HANDSHAKE_MS)
    else this.#redial.start(REDIAL_AFTER_MS, () => this.#dial(REDIAL_HANDSHAKE_MS))
  }

  #armKeepAlive(): void {
    const now = this.#deps.clock.now()
    this.#keepAlive.start(Math.max(FRAME_MS, this.#sentAt + KEEP_ALIVE_MS - now), () => {
      if (this.#deps.clock.now() - this.#sentAt >= KEEP_ALIVE_MS) {
        this.#line?.keepAlive()
        this.#sentAt = this.#deps.clock.now()
      }
      this.#armKeepAlive()
    })
  }

  readonly #onAbort = (): void => this.#end(null)

  #end(error: ClientsViaError | null): void {
    if (this.#lifetime.ended) return
    this.#lifetime.end(new Error('session closed'))
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#line?.close()
    this.#deps.onUsage(this.#sentMs / 1000)
    if (error === null) this.#events.close()
    else this.#events.fail(error)
  }
}

const BYTES_A_MS = 8
/**
 * Two frames a message: writing one costs more than anything else that is done with a frame, and the vendor asks for 20 to 250 ms at a time.
 * Words come 10 ms later on average while a caller speaks; when they pause, what is held goes out at once.
 */
const SENT_TOGETHER_MS = 2 * FRAME_MS
/** Most of a call the caller says nothing. What is held goes out as soon as they do; a vendor that ends turns by itself gets no pause late. */
const SENT_TOGETHER_IN_SILENCE_MS = 5 * FRAME_MS
/** Enough for a consumer that sleeps half a minute of interim results; each holds the whole text, so the oldest is the one to lose. */
const EVENTS_KEPT = 256
/** Longer than the vendor lets interim words wait for final ones in plain speech. 24 KB a call. */
const REPLAY_MS = 3000
/** Utterances that may wait for final words at once: a stall line ends one, its answer the next. */
const MOST_UTTERANCES = 8
/** The greeting hides a slow first connection. */
const FIRST_HANDSHAKE_MS = 1500
/** In mid-call: a line should be back within 300 ms; twice that, and the embedded recogniser is quicker. */
const REDIAL_HANDSHAKE_MS = 600
const REDIAL_AFTER_MS = 150
const MOST_REDIALS = 2
/** The vendor closes a line after 10 s without a message. */
const KEEP_ALIVE_MS = 4000
/** Interim results come several times a second while audio flows: this long without any is a stall. */
const LONGEST_UNANSWERED_MS = 2500
/** Final words that were asked for come within a round trip; later than this, another recogniser is sooner. */
const FINAL_WITHIN_MS = 700
/** Results end at the vendor's own frame borders, and at words. */
const COVERED_WITHIN_MS = 200

type Utterance = { readonly index: number; fromMs: number; toMs: number | null; awaited: boolean }

function newUtterance(index: number, fromMs: number): Utterance {
  return { index, fromMs, toMs: null, awaited: false }
}
