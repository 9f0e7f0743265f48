import type { AudioFrame } from './frame.ts'
import { WINDOW_MS, WINDOW_SAMPLES } from './silero-model.ts'

/** A probability later than this is of no use to turn-taking any more. */
const BACKLOG_MS = 300
const BACKLOG_WINDOWS = Math.floor(BACKLOG_MS / WINDOW_MS)
/** The one that is being filled is held too. */
const HELD_WINDOWS = BACKLOG_WINDOWS + 1
/** Rounding of media times, not lost audio. */
const JUMP_TOLERANCE_MS = 2
const BYTES_A_MS = 8

export type Window = Readonly<{ endMs: number; fresh: boolean }>
type Place = { endMs: number; fresh: boolean }

/**
 * One call's frames cut into windows, those not yet judged. µ-law from end to end: the model's own thread decodes it. All in one block of
 * memory that is used again and again: fifty small buffers a second and call would keep the collector of the media loop busy.
 */
export class SileroWindows {
  readonly #bytes = new Uint8Array(HELD_WINDOWS * WINDOW_SAMPLES)
  readonly #places: Place[] = Array.from({ length: HELD_WINDOWS }, () => ({ endMs: 0, fresh: false }))
  #oldest = 0
  #count = 0
  #filled = 0
  /** Media time of the next sample; null before the first frame. */
  #nextMs: number | null = null
  #fresh = true

  get count(): number {
    return this.#count
  }

  /** Returns how many old windows had to go. */
  take(frame: AudioFrame): number {
    if (this.#nextMs === null || Math.abs(frame.mediaMs - this.#nextMs) > JUMP_TOLERANCE_MS) {
      this.#nextMs = frame.mediaMs
      this.#filled = 0
      this.#fresh = true
    }
    let dropped = 0
    for (let at = 0; at < frame.mulaw.length; ) {
      const length = Math.min(WINDOW_SAMPLES - this.#filled, frame.mulaw.length - at)
      const to = this.#slot(this.#count) * WINDOW_SAMPLES + this.#filled
      for (let i = 0; i < length; i += 1) this.#bytes[to + i] = frame.mulaw[at + i] as number
      this.#filled += length
      at += length
      this.#nextMs += length / BYTES_A_MS
      if (this.#filled === WINDOW_SAMPLES) dropped += this.#finishWindow(this.#nextMs)
    }
    return dropped
  }

  /** The oldest window, its sound written into `batch` from `at` on; null when there is none. */
  next(batch: Uint8Array, at: number): Window | null {
    if (this.#count === 0) return null
    const from = this.#oldest * WINDOW_SAMPLES
    batch.set(this.#bytes.subarray(from, from + WINDOW_SAMPLES), at)
    const { endMs, fresh } = this.#places[this.#oldest] as Place
    this.#forgetOldest()
    return { endMs, fresh }
  }

  /** What follows is judged without what the model remembers. */
  forgetState(): void {
    if (this.#count === 0) this.#fresh = true
    else this.#place(0).fresh = true
  }

  #finishWindow(endMs: number): number {
    const place = this.#place(this.#count)
    place.endMs = endMs
    place.fresh = this.#fresh
    this.#count += 1
    this.#filled = 0
    this.#fresh = false
    if (this.#count <= BACKLOG_WINDOWS) return 0
    this.#forgetOldest()
    // What remains no longer follows what the model heard.
    this.#place(0).fresh = true
    return 1
  }

  #forgetOldest(): void {
    this.#oldest = this.#slot(1)
    this.#count -= 1
  }

  #place(position: number): Place {
    return this.#places[this.#slot(position)] as Place
  }

  #slot(position: number): number {
    return (this.#oldest + position) % HELD_WINDOWS
  }
}
