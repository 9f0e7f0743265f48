import type { Instant } from '../core/clock.ts'
import { decodeMulaw } from './g711.ts'

export const SAMPLE_RATE_HZ = 8000
export const FRAME_MS = 20
/** 20 ms at 8 kHz: samples a frame, and bytes a frame in µ-law. */
export const FRAME_SAMPLES = 160

/** One 20 ms frame from the caller. Owned by the reader; never written to after it was made. */
export type AudioFrame = Readonly<{
  /** 160 bytes of G.711 µ-law, 8 kHz, as it came off the wire. */
  mulaw: Uint8Array
  /** The same, decoded: 160 samples of 16-bit linear PCM. */
  samples: Int16Array
  /** Position of the frame's first sample on the caller's media clock, ms since the stream began. */
  mediaMs: number
  /** The same moment on our monotonic clock, from the media clock (arrival jitter removed). */
  capturedAt: Instant
}>

/** A frame off the wire. It is decoded when somebody wants its samples, and once: most listeners of a quiet call live on the bytes. */
export class WireFrame implements AudioFrame {
  readonly mulaw: Uint8Array
  readonly mediaMs: number
  readonly capturedAt: Instant
  #samples: Int16Array | null = null

  constructor(mulaw: Uint8Array, mediaMs: number, capturedAt: Instant) {
    this.mulaw = mulaw
    this.mediaMs = mediaMs
    this.capturedAt = capturedAt
  }

  get samples(): Int16Array {
    return (this.#samples ??= decodeMulaw(this.mulaw))
  }
}
