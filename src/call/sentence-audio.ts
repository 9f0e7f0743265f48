import { FRAME_SAMPLES, FRAME_MS } from '../audio/frame.ts'

const MULAW_SILENCE = 0xff
/** 60 s of speech: no sentence is that long, so more is a broken engine. */
const MAX_SENTENCE_BYTES = 480_000

/** A sentence's audio while it is being made: one writer, one reader who gets 20 ms frames as soon as they are whole. */
export class SentenceAudio {
  readonly #chunks: Uint8Array[] = []
  #bytes = 0
  #state: 'filling' | 'complete' | 'failed' = 'filling'
  #waiters: (() => void)[] = []

  static ready(mulaw: Uint8Array): SentenceAudio {
    const audio = new SentenceAudio()
    audio.#append(mulaw)
    audio.#settle('complete')
    return audio
  }

  /** Null until the engine has finished. */
  get durationMs(): number | null {
    return this.#state === 'complete' ? (this.#bytes / FRAME_SAMPLES) * FRAME_MS : null
  }

  get state(): 'filling' | 'complete' | 'failed' {
    return this.#state
  }

  get hasAudio(): boolean {
    return this.#bytes >= FRAME_SAMPLES || (this.#state === 'complete' && this.#bytes > 0)
  }

  /** Reads `source` to its end. A failure is kept as state: what arrived before it can still be played. */
  async fill(source: AsyncIterable<Uint8Array>): Promise<unknown> {
    try {
      for await (const chunk of source) {
        this.#append(chunk)
        if (this.#bytes > MAX_SENTENCE_BYTES) throw new RangeError('a sentence of more than 60 s of audio')
      }
      this.#settle('complete')
      return null
    } catch (error) {
      this.#settle('failed')
      return error ?? new Error('synthesis failed')
    }
  }

  /** Settles when the first frame is there, or never will be. Does not reject. */
  async firstFrame(): Promise<void> {
    while (!this.hasAudio && this.#state === 'filling') await this.#change()
  }

  /** 160-byte frames; the last one is padded with silence. Ends early when the engine failed. */
  async *frames(): AsyncGenerator<Uint8Array, void, undefined> {
    let position = 0
    for (;;) {
      if (this.#bytes - position >= FRAME_SAMPLES) {
        yield this.#slice(position, FRAME_SAMPLES)
        position += FRAME_SAMPLES
      } else if (this.#state === 'filling') await this.#change()
      else {
        if (this.#bytes > position && this.#state === 'complete') yield this.#slice(position, this.#bytes - position)
        return
      }
    }
  }

  #append(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    this.#notify()
  }

  #slice(from: number, length: number): Uint8Array {
    const frame = new Uint8Array(FRAME_SAMPLES).fill(MULAW_SILENCE)
    let offset = 0
    let written = 0
    for (const chunk of this.#chunks) {
      if (written === length) break
      const start = Math.max(0, from + written - offset)
      if (start < chunk.length) {
        const part = chunk.subarray(start, Math.min(chunk.length, start + length - written))
        frame.set(part, written)
        written += part.length
      }
      offset += chunk.length
    }
    return frame
  }

  #settle(state: 'complete' | 'failed'): void {
    this.#state = state
    this.#notify()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  #notify(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }
}
