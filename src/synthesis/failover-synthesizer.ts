import { later, type Clock, type Instant } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError } from '../core/errors.ts'
import { Scope, ScopeEnded } from '../core/scope.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import { foreignFormat, longestPlausibleBytes, SNIFF_BYTES } from './audio-sniffing.ts'
import type { PrioritySynthesizer, SpeakOptions } from './speaking.ts'
import type { Voice } from './synthesizer.ts'

/** The last engine's first audio. By then the caller has heard a stall phrase, and a line kept ready must take over. */
const LAST_ENGINE_WITHIN_MS = 4000
/** Between two chunks of a sentence that has begun; the carrier holds about 200 ms, so more is heard as a stutter. */
const DEFAULT_CHUNK_WITHIN_MS = 1000
/** A failing engine is left alone for this long, then one sentence tries it again: short, since one tenant's trouble must not switch off all. */
const COOL_OFF_MS = 10_000
/** One failure may be the sentence's fault. */
const FAILURES_BEFORE_COOL_OFF = 2

export type VoiceEngine = Readonly<{
  synthesizer: PrioritySynthesizer
  /** Voices have other names at other engines. The caller's own voice if not given. */
  voiceFor?: (voice: Voice) => Voice
}>

export type FailoverEvent = Readonly<{ engine: string; error: unknown; audioBytes: number }>

type Seat = { readonly engine: VoiceEngine; failures: number; coolUntil: Instant | null }

/**
 * Asks engines in order, sentence by sentence. One that fails, is late with its first audio, or sends something else than µ-law is
 * passed over before anything was heard. An engine that breaks off in mid-sentence ends that sentence with ENGINE_FAILED (another
 * voice would repeat words); the next sentence goes on. Throws ENGINE_FAILED when no engine spoke, or the signal's reason.
 */
export class FailoverSynthesizer implements PrioritySynthesizer {
  readonly name: string
  readonly #seats: readonly Seat[]
  readonly #clock: Clock
  readonly #firstAudioWithinMs: number
  readonly #chunkWithinMs: number
  readonly #onFailure: (event: FailoverEvent) => void

  constructor(
    options: Readonly<{
      /** The preferred one first. The last one is given more time: nothing better is left. */
      engines: readonly VoiceEngine[]
      clock: Clock
      firstAudioWithinMs: number
      chunkWithinMs?: number
      onFailure?: (event: FailoverEvent) => void
    }>,
  ) {
    const first = options.engines[0]
    if (first === undefined) throw new RangeError('engines must name at least one synthesizer')
    // The first engine's name: what is cached under it was spoken by it (see `onStandIn`).
    this.name = first.synthesizer.name
    this.#seats = options.engines.map((engine) => ({ engine, failures: 0, coolUntil: null }))
    this.#clock = options.clock
    this.#firstAudioWithinMs = options.firstAudioWithinMs
    this.#chunkWithinMs = options.chunkWithinMs ?? DEFAULT_CHUNK_WITHIN_MS
    this.#onFailure = options.onFailure ?? (() => undefined)
  }

  async *synthesize(text: SpeakableText, voice: Voice, signal: AbortSignal, options: SpeakOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    signal.throwIfAborted()
    const willing = this.#seats.filter((seat) => !this.#cooling(seat))
    const seats = willing.length > 0 ? willing : this.#seats
    let cause: unknown = null
    for (const [position, seat] of seats.entries()) {
      const patienceMs = position === seats.length - 1 ? Math.max(LAST_ENGINE_WITHIN_MS, this.#firstAudioWithinMs) : this.#firstAudioWithinMs
      let sentBytes = 0
      try {
        for await (const chunk of this.#speak(seat.engine, text, voice, patienceMs, signal, options)) {
          if (sentBytes === 0 && seat !== this.#seats[0]) options.onStandIn?.()
          sentBytes += chunk.length
          if (sentBytes > longestPlausibleBytes(text)) throw new ClientsViaError('ENGINE_FAILED', `${seat.engine.synthesizer.name} speaks without end`)
          yield chunk
        }
        this.#succeeded(seat)
        return
      } catch (error) {
        signal.throwIfAborted()
        this.#failed(seat)
        this.#onFailure({ engine: seat.engine.synthesizer.name, error, audioBytes: sentBytes })
        if (sentBytes > 0) throw new ClientsViaError('ENGINE_FAILED', `${seat.engine.synthesizer.name} broke off in mid-sentence`, { audioBytes: sentBytes }, { cause: error })
        cause = error
      }
    }
    throw new ClientsViaError('ENGINE_FAILED', 'no voice engine could speak the sentence', { tried: seats.length }, { cause })
  }

  /** One engine's audio, checked: never empty, its head sniffed before a byte leaves. */
  async *#speak(
    engine: VoiceEngine,
    text: SpeakableText,
    voice: Voice,
    patienceMs: number,
    signal: AbortSignal,
    options: SpeakOptions,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const scope = new Scope()
    const onAbort = (): void => scope.end(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const chunks = engine.synthesizer.synthesize(text, engine.voiceFor?.(voice) ?? voice, scope.signal, options)[Symbol.asyncIterator]()
    const startedAt = this.#clock.now()
    let held: Uint8Array | null = new Uint8Array(0)
    try {
      for (;;) {
        const withinMs = held === null ? this.#chunkWithinMs : patienceMs - (this.#clock.now() - startedAt)
        const next = await withDeadline(this.#clock, Math.max(0, withinMs), scope.signal, () => chunks.next())
        if (next.done === true) break
        if (held === null) {
          yield next.value
          continue
        }
        held = joined(held, next.value)
        if (held.length < SNIFF_BYTES) continue
        yield checkedHead(held, engine.synthesizer.name)
        held = null
      }
      if (held !== null) yield checkedHead(held, engine.synthesizer.name)
    } finally {
      signal.removeEventListener('abort', onAbort)
      scope.end(new ScopeEnded())
      // Not awaited: an engine that hangs must not hold the sentence that another one is to speak.
      chunks.return?.()?.catch(() => undefined)
    }
  }

  #cooling(seat: Seat): boolean {
    return seat.coolUntil !== null && this.#clock.now() < seat.coolUntil
  }

  #failed(seat: Seat): void {
    seat.failures += 1
    if (seat.failures >= FAILURES_BEFORE_COOL_OFF) seat.coolUntil = later(this.#clock.now(), COOL_OFF_MS)
  }

  #succeeded(seat: Seat): void {
    seat.failures = 0
    seat.coolUntil = null
  }
}

function checkedHead(head: Uint8Array, engine: string): Uint8Array {
  if (head.length === 0) throw new ClientsViaError('ENGINE_FAILED', `${engine} sent no audio`)
  const format = foreignFormat(head)
  if (format !== null) throw new ClientsViaError('ENGINE_FAILED', `${engine} sent ${format} instead of µ-law`)
  return head
}

function joined(left: Uint8Array, right: Uint8Array): Uint8Array {
  const whole = new Uint8Array(left.length + right.length)
  whole.set(left)
  whole.set(right, left.length)
  return whole
}
