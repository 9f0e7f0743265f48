import { encodeMulaw } from '../../src/audio/g711.ts'
import type { Clock } from '../../src/core/clock.ts'
import { ClientsViaError } from '../../src/core/errors.ts'
import type { SpeakableText } from '../../src/core/speakable-text.ts'
import type { PrioritySynthesizer, Priority, SpeakOptions } from '../../src/synthesis/speaking.ts'
import type { Voice } from '../../src/synthesis/synthesizer.ts'

export type FakeFault = 'refuses' | 'breaks-off' | 'hangs' | 'hangs-mid-sentence' | 'sends-wav' | 'sends-json' | 'never-ends' | 'sends-nothing'

/** A tone a word, one chunk each, the same every time. Waits on the injected clock only. */
export class FakeSynthesizer implements PrioritySynthesizer {
  readonly name: string
  readonly spoken: { text: string; voice: Voice; priority: Priority; outcome: 'running' | 'whole' | 'failed' | 'aborted' }[] = []
  readonly #clock: Clock
  firstAudioMs: number
  msPerWord: number | ((word: string) => number)
  /** Where 'breaks-off' and 'hangs-mid-sentence' strike. */
  wordsBeforeFault = 1
  /** Time that each further word takes to be made. */
  wordEveryMs: number
  fault: FakeFault | null

  constructor(options: Readonly<{ clock: Clock; name?: string; firstAudioMs?: number; msPerWord?: number | ((word: string) => number); wordEveryMs?: number; fault?: FakeFault | null }>) {
    this.#clock = options.clock
    this.name = options.name ?? 'fake'
    this.firstAudioMs = options.firstAudioMs ?? 0
    this.msPerWord = options.msPerWord ?? 60
    this.wordEveryMs = options.wordEveryMs ?? 0
    this.fault = options.fault ?? null
  }

  async *synthesize(text: SpeakableText, voice: Voice, signal: AbortSignal, options: SpeakOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    signal.throwIfAborted()
    const record: FakeSynthesizer['spoken'][number] = { text, voice, priority: options.priority ?? 'live', outcome: 'running' }
    this.spoken.push(record)
    try {
      yield* this.#words(text, signal)
      record.outcome = 'whole'
    } catch (error) {
      record.outcome = signal.aborted ? 'aborted' : 'failed'
      throw error
    } finally {
      if (record.outcome === 'running') record.outcome = 'aborted'
    }
  }

  async *#words(text: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.fault === 'refuses') throw new ClientsViaError('ENGINE_UNAVAILABLE', 'the fake voice refuses')
    if (this.fault === 'hangs') await forever(signal)
    if (this.firstAudioMs > 0) await this.#clock.sleep(this.firstAudioMs, signal)
    if (this.fault === 'sends-nothing') return
    if (this.fault === 'sends-wav') yield Buffer.from('RIFF\x00\x00\x00\x00WAVEfmt ', 'latin1')
    if (this.fault === 'sends-json') yield Buffer.from('{"error":"quota exceeded"}', 'latin1')
    const words = text.split(/\s+/).filter((word) => word !== '')
    for (let i = 0; this.fault === 'never-ends' || i < words.length; i += 1) {
      signal.throwIfAborted()
      if (i > 0 && this.wordEveryMs > 0) await this.#clock.sleep(this.wordEveryMs, signal)
      if (i >= this.wordsBeforeFault && this.fault === 'breaks-off') throw new ClientsViaError('ENGINE_FAILED', 'the fake voice broke off')
      if (i >= this.wordsBeforeFault && this.fault === 'hangs-mid-sentence') await forever(signal)
      yield tone(typeof this.msPerWord === 'number' ? this.msPerWord : this.msPerWord(words[i % words.length] as string), 300 + 40 * (i % 8))
    }
  }
}

/** A sine at -18 dBFS RMS. */
function tone(durationMs: number, frequencyHz: number): Uint8Array {
  const samples = Int16Array.from({ length: Math.round(durationMs * 8) }, (_, i) => Math.round(5834 * Math.sin((2 * Math.PI * frequencyHz * i) / 8000)))
  return encodeMulaw(samples)
}

function forever(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
