import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import { clausesOf, type Clause } from './clauses.ts'
import { FlitePool } from './flite-pool.ts'
import { isFliteVoiceId, type FliteRequest } from './flite-protocol.ts'
import type { PrioritySynthesizer, SpeakOptions } from './speaking.ts'
import { spokenText } from './spoken-text.ts'
import type { Voice } from './synthesizer.ts'

/** What a caller hears when nobody chose: the clearest of the five, and its first clause takes less than 100 ms. */
export const DEFAULT_EMBEDDED_VOICE: Voice = Object.freeze({ id: 'slt', speed: 1 })

/** Each is two threads that got five seconds: what does not speak after half a minute is broken. */
const WARM_ATTEMPTS = 3
const SLOWEST = 0.5
const FASTEST = 2

/**
 * Flite in worker threads: no key, no network. Voices kal, kal16, awb, rms (men), slt (woman); speed 0.5 to 2. A sentence is cut at
 * breathing places and leaves clause by clause, so its first words are audible while the rest is made, and an abort takes effect
 * within a clause.
 */
export class EmbeddedSynthesizer implements PrioritySynthesizer {
  readonly name = 'embedded'
  readonly #pool: FlitePool

  constructor(options: Readonly<{ clock: Clock; workers?: number }>) {
    this.#pool = new FlitePool(options)
  }

  /** Throws INVALID_INPUT naming `voice.id` or `voice.speed`, ENGINE_FAILED, ENGINE_UNAVAILABLE, or the signal's reason. */
  async *synthesize(text: SpeakableText, voice: Voice, signal: AbortSignal, options: SpeakOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    yield* this.speakAt(1, text, voice, signal, options)
  }

  /** The same at another pitch (1 is the voice's own), for test callers who should not all sound alike. */
  async *speakAt(
    pitch: number,
    text: SpeakableText,
    voice: Voice,
    signal: AbortSignal,
    options: SpeakOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const voiceId = checkedVoice(voice)
    signal.throwIfAborted()
    const requests = clausesOf(spokenText(text)).map((clause) => toRequest(clause, voiceId, voice.speed, pitch))
    const speak = (request: Omit<FliteRequest, 'id'>): Promise<Uint8Array> => this.#pool.speak(request, options.priority ?? 'live', signal)
    let next = requests[0] === undefined ? null : speak(requests[0])
    for (let i = 1; next !== null; i += 1) {
      const mulaw: Uint8Array = await next
      const request = requests[i]
      // Asked for before this one is handed over: the thread works while the caller listens.
      next = request === undefined ? null : speak(request)
      next?.catch(() => undefined)
      if (mulaw.length > 0) yield mulaw
    }
  }

  /**
   * Starts a thread and has it speak once, so that the first caller pays neither start-up nor compilation (0.3 s). A machine that starts
   * many things at once may keep it from that for longer than a caller would wait: nobody waits yet, so it is tried again.
   */
  async warm(signal: AbortSignal): Promise<void> {
    const request = toRequest({ text: 'Thank you for calling.', pauseAfterMs: 0 }, 'slt', 1, 1)
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#pool.speak(request, 'warm', signal)
        return
      } catch (error) {
        signal.throwIfAborted()
        if (attempt === WARM_ATTEMPTS) throw error
      }
    }
  }

  get pool(): FlitePool {
    return this.#pool
  }

  close(): Promise<void> {
    return this.#pool.close()
  }
}

function checkedVoice(voice: Voice): FliteRequest['voiceId'] {
  if (!isFliteVoiceId(voice.id)) throw new ClientsViaError('INVALID_INPUT', `voice.id '${voice.id}' is not a voice of the embedded engine`)
  if (!(voice.speed >= SLOWEST && voice.speed <= FASTEST)) {
    throw new ClientsViaError('INVALID_INPUT', `voice.speed must be from ${SLOWEST} to ${FASTEST}, got ${voice.speed}`)
  }
  return voice.id
}

function toRequest(clause: Clause, voiceId: FliteRequest['voiceId'], speed: number, pitch: number): Omit<FliteRequest, 'id'> {
  return { text: clause.text, voiceId, speed, pitch, pauseAfterMs: clause.pauseAfterMs }
}
