import { Breaker } from '../core/breaker.ts'
import type { Clock, Instant } from '../core/clock.ts'
import { MovingDeadline } from '../core/deadline.ts'
import { ClientsViaError } from '../core/errors.ts'
import { Scope, ScopeEnded } from '../core/scope.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import { foreignFormat, longestPlausibleBytes, SNIFF_BYTES } from './audio-sniffing.ts'
import { seamOf, VoicePace } from './broken-sentence.ts'
import { HeldSpeech } from './held-speech.ts'
import type { PrioritySynthesizer, SpeakOptions } from './speaking.ts'
import type { Voice } from './synthesizer.ts'

/** The last engine's first audio. By then the caller has heard a stall phrase, and a line kept ready must take over. */
const LAST_ENGINE_WITHIN_MS = 4000
/** However late a turn is, an engine in good health gets this long: it answers within 150 ms. */
const LEAST_PATIENCE_MS = 250
/** What the next engine needs before its own first audio. */
const NEXT_ENGINE_MS = 150
/** Nothing new for this long while a sentence is under way, and the caller about to have heard what there is: the engine is given up. */
const LONGEST_GAP_MS = 300
/** Left to play when it is: what the next engine needs to speak in time. */
const LEFT_TO_PLAY_MS = 300
/** A voice and an engine each; a few hundred companies' at most. */
const MOST_PACES = 500

export type VoiceEngine = Readonly<{
  synthesizer: PrioritySynthesizer
  /** Voices have other names at other engines. The caller's own voice if not given. */
  voiceFor?: (voice: Voice) => Voice
  /** Shared by everybody who asks this provider with this key; the engine's own if not given. */
  breaker?: Breaker
}>

export type FailoverEvent = Readonly<{ engine: string; error: unknown; audioBytes: number }>
/** `firstAudioMs`: from the request; `characters`: as vendors bill them. */
export type SpokenEvent = Readonly<{ engine: string; firstAudioMs: number; characters: number }>

/** `behind`: how many there are after it. */
type Seat = Readonly<{ engine: VoiceEngine; breaker: Breaker; isLast: boolean; behind: number }>
/** What an engine made of a text: all of it, or the words it still owes. */
type Outcome = Readonly<{ kind: 'whole' }> | Readonly<{ kind: 'broke'; owed: string; error: unknown; audioBytes: number }>

/**
 * Asks engines in order, sentence by sentence. One that fails, is late with its first audio, or sends something else than µ-law is
 * passed over before anything was heard. Where an engine breaks off, runs dry or dribbles in mid-sentence, the next one says the
 * words that were not said yet. Throws ENGINE_FAILED when no engine spoke to the end, or the signal's reason.
 */
export class FailoverSynthesizer implements PrioritySynthesizer {
  readonly name: string
  readonly #seats: readonly Seat[]
  readonly #clock: Clock
  readonly #firstAudioWithinMs: number
  readonly #onFailure: (event: FailoverEvent) => void
  readonly #onSpoken: (event: SpokenEvent) => void
  readonly #paces = new Map<string, VoicePace>()

  constructor(
    options: Readonly<{
      /** The preferred one first. The last one is given more time: nothing better is left. */
      engines: readonly VoiceEngine[]
      clock: Clock
      /** Where the turn does not say otherwise. */
      firstAudioWithinMs: number
      onFailure?: (event: FailoverEvent) => void
      onSpoken?: (event: SpokenEvent) => void
    }>,
  ) {
    const first = options.engines[0]
    if (first === undefined) throw new RangeError('engines must name at least one synthesizer')
    // The first engine's name: what is cached under it was spoken by it (see `onStandIn`).
    this.name = first.synthesizer.name
    this.#seats = options.engines.map((engine, position) => ({
      engine,
      breaker: engine.breaker ?? new Breaker(engine.synthesizer.name, options.clock),
      isLast: position === options.engines.length - 1,
      behind: options.engines.length - 1 - position,
    }))
    this.#clock = options.clock
    this.#firstAudioWithinMs = options.firstAudioWithinMs
    this.#onFailure = options.onFailure ?? (() => undefined)
    this.#onSpoken = options.onSpoken ?? (() => undefined)
  }

  async *synthesize(text: SpeakableText, voice: Voice, signal: AbortSignal, options: SpeakOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    signal.throwIfAborted()
    let owed = text as string
    let cause: unknown = null
    let tried = 0
    for (const seat of this.#seats) {
      // Nobody is left to ask instead of the last one.
      if (!seat.breaker.tryPass() && !seat.isLast) continue
      tried += 1
      if (seat !== this.#seats[0]) options.onStandIn?.()
      const outcome = yield* this.#speak(seat, owed, voice, signal, options)
      if (outcome.kind === 'whole') return
      // A sentence of two voices, or of half a one, is good to hear and not worth keeping.
      options.onStandIn?.()
      cause = outcome.error
      owed = outcome.owed
      if (owed === '') return
    }
    throw new ClientsViaError('ENGINE_FAILED', 'no voice engine could speak the sentence', { tried }, { cause })
  }

  /** One engine's part: checked, and told about. Throws the signal's reason only. */
  async *#speak(seat: Seat, text: string, voice: Voice, signal: AbortSignal, options: SpeakOptions): AsyncGenerator<Uint8Array, Outcome, undefined> {
    const { engine, breaker } = seat
    const name = engine.synthesizer.name
    const own = engine.voiceFor?.(voice) ?? voice
    const pace = this.#paceOf(`${name} ${own.id} ${own.speed}`)
    const startedAt = this.#clock.now()
    const held = new HeldSpeech(this.#clock)
    let firstAudioMs = 0
    let settled = false
    try {
      const chunks = this.#checked(seat, text as SpeakableText, own, startedAt, signal, options)
      for await (const ready of held.paced(chunks, signal)) {
        if (firstAudioMs === 0) firstAudioMs = this.#clock.now() - startedAt
        yield ready
      }
      settled = true
      breaker.succeeded()
      pace.learn(text, held.receivedBytes / 8)
      this.#onSpoken({ engine: name, firstAudioMs, characters: text.length })
      return { kind: 'whole' }
    } catch (error) {
      signal.throwIfAborted()
      settled = true
      breaker.failed()
      const audioBytes = held.releasedBytes
      this.#onFailure({ engine: name, error, audioBytes })
      if (audioBytes === 0) return { kind: 'broke', owed: text, error, audioBytes }
      this.#onSpoken({ engine: name, firstAudioMs, characters: text.length })
      const { cutBytes, owed } = seamOf(text, held.received, audioBytes, pace.msPerWeight)
      if (cutBytes > audioBytes) yield held.received.subarray(audioBytes, cutBytes)
      return { kind: 'broke', owed, error, audioBytes: Math.max(audioBytes, cutBytes) }
    } finally {
      if (!settled) breaker.abandoned()
    }
  }

  /** One engine's audio: never empty, never late, never running dry, its head sniffed before a byte leaves. */
  async *#checked(
    seat: Seat,
    text: SpeakableText,
    voice: Voice,
    startedAt: Instant,
    signal: AbortSignal,
    options: SpeakOptions,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { engine, isLast } = seat
    const scope = new Scope()
    const onAbort = (): void => scope.end(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const deadline = new MovingDeadline(this.#clock, scope.signal)
    const chunks = engine.synthesizer.synthesize(text, voice, scope.signal, options)[Symbol.asyncIterator]()
    let head: Uint8Array | null = new Uint8Array(0)
    let receivedBytes = 0
    let playedOutAt = 0
    let dryAt = startedAt + (isLast ? Math.max(LAST_ENGINE_WITHIN_MS, this.#firstAudioWithinMs) : this.#patienceMs(seat, startedAt, options))
    try {
      for (;;) {
        const next = await deadline.until(Math.max(0, dryAt - this.#clock.now()), chunks.next())
        if (next.done === true) break
        receivedBytes += next.value.length
        if (receivedBytes > longestPlausibleBytes(text)) throw new ClientsViaError('ENGINE_FAILED', `${engine.synthesizer.name} speaks without end`)
        const piece: Uint8Array = head === null ? next.value : joined(head, next.value)
        if (head !== null && piece.length < SNIFF_BYTES) {
          head = piece
          continue
        }
        if (head !== null) {
          refuseForeign(piece, engine.synthesizer.name)
          head = null
          playedOutAt = this.#clock.now()
        }
        playedOutAt += piece.length / 8
        dryAt = isLast ? playedOutAt + LAST_ENGINE_WITHIN_MS : Math.max(this.#clock.now() + LONGEST_GAP_MS, playedOutAt - LEFT_TO_PLAY_MS)
        yield piece
      }
      if (head === null) return
      if (head.length === 0) throw new ClientsViaError('ENGINE_FAILED', `${engine.synthesizer.name} sent no audio`)
      refuseForeign(head, engine.synthesizer.name)
      yield head
    } finally {
      signal.removeEventListener('abort', onAbort)
      deadline.close()
      scope.end(new ScopeEnded())
      // Not awaited: an engine that hangs must not hold the sentence that another one is to speak.
      chunks.return?.()?.catch(() => undefined)
    }
  }

  /** What the turn has left, less what the engines after this one need; nobody waits for a phrase that is made in advance. */
  #patienceMs({ behind }: Seat, startedAt: Instant, options: SpeakOptions): number {
    if (options.dueBy === undefined || options.priority === 'warm') return this.#firstAudioWithinMs
    const leftMs = options.dueBy - startedAt - NEXT_ENGINE_MS * behind
    return Math.min(this.#firstAudioWithinMs, Math.max(LEAST_PATIENCE_MS, leftMs))
  }

  #paceOf(key: string): VoicePace {
    const known = this.#paces.get(key)
    if (known !== undefined) return known
    if (this.#paces.size >= MOST_PACES) this.#paces.clear()
    const made = new VoicePace()
    this.#paces.set(key, made)
    return made
  }
}

function refuseForeign(head: Uint8Array, engine: string): void {
  const format = foreignFormat(head)
  if (format !== null) throw new ClientsViaError('ENGINE_FAILED', `${engine} sent ${format} instead of µ-law`)
}

function joined(left: Uint8Array, right: Uint8Array): Uint8Array {
  if (left.length === 0) return right
  const whole = new Uint8Array(left.length + right.length)
  whole.set(left)
  whole.set(right, left.length)
  return whole
}
