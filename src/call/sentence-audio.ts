import { FRAME_SAMPLES, FRAME_MS } from '../audio/frame.ts'

const MULAW_SILENCE = 0xff
/** 60 s of speech: no sentence is that long, so more is a broken engine. */
const MAX_SENTENCE_BYTES = 480_000

/** Where a reader stands: in which piece, and how far in it. */
type Place = { chunk: number; offset: number }

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
    const place: Place = { chunk: 0, offset: 0 }
    for (let position = 0; ; ) {
      const left = this.#bytes - position
      if (left >= FRAME_SAMPLES) {
        yield this.#next(place, FRAME_SAMPLES)
        position += FRAME_SAMPLES
      } else if (this.#state === 'filling') await this.#change()
      else {
        if (left > 0 && this.#state === 'complete') yield this.#next(place, left)
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

  /** The next `length` bytes as a frame; a view of the audio where they lie together. */
  #next(place: Place, length: number): Uint8Array {
    const first = this.#chunks[place.chunk] as Uint8Array
    if (length === FRAME_SAMPLES && place.offset + length <= first.length) {
      const whole = first.subarray(place.offset, place.offset + length)
      this.#advance(place, length)
      return whole
    }
    const frame = new Uint8Array(FRAME_SAMPLES).fill(MULAW_SILENCE)
    for (let written = 0; written < length; ) {
      const chunk = this.#chunks[place.chunk] as Uint8Array
      const part = chunk.subarray(place.offset, place.offset + length - written)
      frame.set(part, written)
      written += part.length
      this.#advance(place, part.length)
    }
    return frame
  }

  #advance(place: Place, bytes: number): void {
    place.offset += bytes
    if (place.offset < (this.#chunks[place.chunk] as Uint8Array).length) return
    place.chunk += 1
    place.offset = 0
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
