import { FRAME_MS, FRAME_SAMPLES } from './frame.ts'
import { MULAW_SILENCE } from './g711.ts'

const BYTES_A_MS = FRAME_SAMPLES / FRAME_MS

/** The last seconds of a caller's audio as it came off the wire, by media time. What is missing in between reads as silence. 8 KB a second. */
export class MulawRing {
  readonly #ring: Uint8Array
  #startMs: number | null = null
  /** Bytes since `#startMs`, forgotten ones included. */
  #written = 0

  constructor(capacityMs: number) {
    this.#ring = new Uint8Array(capacityMs * BYTES_A_MS).fill(MULAW_SILENCE)
  }

  /** End of the newest audio, media ms; 0 before the first. */
  get endMs(): number {
    return this.#startMs === null ? 0 : this.#startMs + this.#written / BYTES_A_MS
  }

  /** Start of the oldest audio still held. */
  get startMs(): number {
    return this.endMs - Math.min(this.#written, this.#ring.length) / BYTES_A_MS
  }

  push(mulaw: Uint8Array, mediaMs: number): void {
    this.#startMs ??= mediaMs
    const position = Math.round((mediaMs - this.#startMs) * BYTES_A_MS)
    // Audio that comes twice would be out of order; the first copy stands.
    if (position < this.#written) return
    const silence = Math.min(position - this.#written, this.#ring.length)
    for (let i = 0; i < silence; i += 1) this.#ring[(this.#written + i) % this.#ring.length] = MULAW_SILENCE
    this.#written = position
    const at = this.#written % this.#ring.length
    const before = Math.min(mulaw.length, this.#ring.length - at)
    if (before === mulaw.length) this.#ring.set(mulaw, at)
    else for (let i = 0; i < mulaw.length; i += 1) this.#ring[(at + i) % this.#ring.length] = mulaw[i] as number
    this.#written += mulaw.length
  }

  /** A copy, cut to what is held. */
  slice(fromMs: number, toMs: number): Uint8Array {
    if (this.#startMs === null) return new Uint8Array(0)
    const oldest = Math.max(0, this.#written - this.#ring.length)
    const from = Math.max(oldest, Math.round((fromMs - this.#startMs) * BYTES_A_MS))
    const to = Math.min(this.#written, Math.round((toMs - this.#startMs) * BYTES_A_MS))
    const copy = new Uint8Array(Math.max(0, to - from))
    for (let i = 0; i < copy.length; i += 1) copy[i] = this.#ring[(from + i) % this.#ring.length] as number
    return copy
  }
}
