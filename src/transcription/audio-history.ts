import type { AudioFrame } from '../audio/frame.ts'

const SAMPLES_A_MS = 8

/**
 * The last seconds of one caller's 8 kHz audio, addressed by media time. Missing frames read as silence. 16 KB a second, allocated with the
 * first frame.
 */
export class AudioHistory {
  readonly #capacity: number
  #ring: Int16Array | null = null
  #startMs: number | null = null
  /** Samples since `#startMs`, dropped ones included. */
  #written = 0

  constructor(capacityMs: number) {
    this.#capacity = capacityMs * SAMPLES_A_MS
  }

  /** End of the newest audio, media ms; 0 before the first frame. */
  get endMs(): number {
    return this.#startMs === null ? 0 : this.#startMs + this.#written / SAMPLES_A_MS
  }

  /** Start of the oldest audio still held. */
  get startMs(): number {
    return this.endMs - Math.min(this.#written, this.#capacity) / SAMPLES_A_MS
  }

  push(frame: AudioFrame): void {
    this.#ring ??= new Int16Array(this.#capacity)
    this.#startMs ??= frame.mediaMs
    const position = Math.round((frame.mediaMs - this.#startMs) * SAMPLES_A_MS)
    // Audio that comes twice or late would be out of order; the first copy stands.
    if (position < this.#written) return
    this.#writeSilence(Math.min(position - this.#written, this.#capacity))
    this.#written = position
    this.#write(frame.samples)
  }

  /** A copy, cut to what is held. */
  slice(fromMs: number, toMs: number): Int16Array {
    const ring = this.#ring
    if (ring === null || this.#startMs === null) return new Int16Array(0)
    const oldest = Math.max(0, this.#written - this.#capacity)
    const from = Math.max(oldest, Math.round((fromMs - this.#startMs) * SAMPLES_A_MS))
    const to = Math.min(this.#written, Math.round((toMs - this.#startMs) * SAMPLES_A_MS))
    const copy = new Int16Array(Math.max(0, to - from))
    for (let i = 0; i < copy.length; i += 1) copy[i] = ring[(from + i) % this.#capacity] as number
    return copy
  }

  #write(samples: Int16Array): void {
    const ring = this.#ring as Int16Array
    for (let i = 0; i < samples.length; i += 1) ring[(this.#written + i) % this.#capacity] = samples[i] as number
    this.#written += samples.length
  }

  #writeSilence(count: number): void {
    const ring = this.#ring as Int16Array
    for (let i = 0; i < count; i += 1) ring[(this.#written + i) % this.#capacity] = 0
  }
}
