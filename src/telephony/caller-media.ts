import { FRAME_MS, FRAME_SAMPLES, WireFrame, type AudioFrame } from '../audio/frame.ts'
import { MULAW_SILENCE } from '../audio/g711.ts'
import { instant, type Instant } from '../core/clock.ts'
import type { InboundMedia } from './media-stream-protocol.ts'

/** Longer waits for a late packet are heard as delay on every loss; 5 frames are 100 ms. */
const REORDER_WINDOW_FRAMES = 5
/** Past 30 s of missing chunks the number itself is damaged: the idle timer would have ended the call long before. */
const MAX_CHUNK_JUMP = 1500
/** A caller's audio cannot come from the future; 10 s leaves room for a carrier that dates its first packets late. */
const MAX_AHEAD_MS = 10_000
/** An older timestamp than this means the same audio twice; below it, packet sizes and timestamps merely disagree. */
const MAX_BEHIND_MS = 100
/** Recognition needs the length of a pause, not every second of an outage. */
const MAX_FILL_MS = 2000
/** 5 ms a second follows a route that became slower within seconds, and is far above the drift of two crystals (0.1 ms a second). */
const OFFSET_RELAXATION = 0.005
const BYTES_PER_MS = FRAME_SAMPLES / FRAME_MS

export type MediaVerdict = 'accepted' | 'duplicate' | 'implausible'

/**
 * The caller's media clock: puts packets in order, cuts them to 20 ms frames, fills losses with silence, and maps the media clock to
 * ours. The mapping is the smallest delay seen (slowly relaxing), so jitter and bunching do not move `capturedAt`.
 */
export class CallerMedia {
  #nextChunk: number | null = null
  readonly #early = new Map<number, InboundMedia>()
  #offsetMs: number
  #offsetAt: Instant
  #offsetKnown = false
  #frameStartMs: number | null = null
  readonly #frame = new Uint8Array(FRAME_SAMPLES)
  #frameBytes = 0
  #lostMs = 0

  constructor(openedAt: Instant) {
    this.#offsetMs = openedAt
    this.#offsetAt = openedAt
  }

  /** Frames lost on the way, by the media clock. */
  get lostFrameCount(): number {
    return Math.round(this.#lostMs / FRAME_MS)
  }

  mediaNowMs(now: Instant): number {
    return now - this.#offsetMs
  }

  instantOf(mediaMs: number): Instant {
    return instant(mediaMs + this.#offsetMs)
  }

  /** Takes one packet of the inbound track; `emit` gets every frame that is complete because of it, in order. */
  accept(media: InboundMedia, now: Instant, emit: (frame: AudioFrame) => void): MediaVerdict {
    const endMs = media.timestampMs + media.payload.length / BYTES_PER_MS
    if (this.#offsetKnown && endMs > this.mediaNowMs(now) + MAX_AHEAD_MS) return 'implausible'
    this.#nextChunk ??= media.chunk <= REORDER_WINDOW_FRAMES ? 1 : media.chunk
    if (media.chunk < this.#nextChunk || this.#early.has(media.chunk)) return 'duplicate'
    if (media.chunk > this.#nextChunk + MAX_CHUNK_JUMP) return 'implausible'
    this.#observeDelay(now - endMs, now)
    if (media.chunk === this.#nextChunk && this.#early.size === 0) {
      this.#nextChunk += 1
      this.#append(media, emit)
      return 'accepted'
    }
    this.#early.set(media.chunk, media)
    if (this.#early.size > REORDER_WINDOW_FRAMES) this.#nextChunk = Math.min(...this.#early.keys())
    this.#takeConsecutive(emit)
    return 'accepted'
  }

  /** The stream is over: what waited for a missing packet waits no longer. */
  flush(emit: (frame: AudioFrame) => void): void {
    while (this.#early.size > 0) {
      this.#nextChunk = Math.min(...this.#early.keys())
      this.#takeConsecutive(emit)
    }
  }

  #takeConsecutive(emit: (frame: AudioFrame) => void): void {
    for (;;) {
      const chunk = this.#nextChunk
      const media = chunk === null ? undefined : this.#early.get(chunk)
      if (chunk === null || media === undefined) return
      this.#early.delete(chunk)
      this.#nextChunk = chunk + 1
      this.#append(media, emit)
    }
  }

  #observeDelay(delayMs: number, now: Instant): void {
    const relaxed = this.#offsetMs + (now - this.#offsetAt) * OFFSET_RELAXATION
    this.#offsetMs = this.#offsetKnown ? Math.min(delayMs, relaxed) : delayMs
    this.#offsetAt = now
    this.#offsetKnown = true
  }

  #append(media: InboundMedia, emit: (frame: AudioFrame) => void): void {
    this.#frameStartMs ??= media.timestampMs
    const aheadMs = media.timestampMs - (this.#frameStartMs + this.#frameBytes / BYTES_PER_MS)
    if (aheadMs < -MAX_BEHIND_MS) return
    if (aheadMs >= FRAME_MS) this.#fill(aheadMs, emit)
    if (this.#frameBytes === 0 && media.payload.length === FRAME_SAMPLES) {
      this.#emitFrame(media.payload, emit)
      return
    }
    let at = 0
    while (at < media.payload.length) {
      const taken = Math.min(FRAME_SAMPLES - this.#frameBytes, media.payload.length - at)
      this.#frame.set(media.payload.subarray(at, at + taken), this.#frameBytes)
      this.#frameBytes += taken
      at += taken
      if (this.#frameBytes === FRAME_SAMPLES) this.#emitFrame(new Uint8Array(this.#frame), emit)
    }
  }

  #fill(gapMs: number, emit: (frame: AudioFrame) => void): void {
    this.#lostMs += gapMs
    if (gapMs > MAX_FILL_MS) {
      if (this.#frameBytes > 0) {
        const finishingMs = (FRAME_SAMPLES - this.#frameBytes) / BYTES_PER_MS
        this.#appendSilence(FRAME_SAMPLES - this.#frameBytes, emit)
        gapMs -= finishingMs
      }
      this.#frameStartMs = (this.#frameStartMs ?? 0) + (gapMs - MAX_FILL_MS)
      gapMs = MAX_FILL_MS
    }
    this.#appendSilence(Math.round(gapMs * BYTES_PER_MS), emit)
  }

  #appendSilence(byteCount: number, emit: (frame: AudioFrame) => void): void {
    for (let left = byteCount; left > 0; ) {
      const taken = Math.min(FRAME_SAMPLES - this.#frameBytes, left)
      this.#frame.fill(MULAW_SILENCE, this.#frameBytes, this.#frameBytes + taken)
      this.#frameBytes += taken
      left -= taken
      if (this.#frameBytes === FRAME_SAMPLES) this.#emitFrame(new Uint8Array(this.#frame), emit)
    }
  }

  #emitFrame(mulaw: Uint8Array, emit: (frame: AudioFrame) => void): void {
    const mediaMs = this.#frameStartMs ?? 0
    this.#frameStartMs = mediaMs + FRAME_MS
    this.#frameBytes = 0
    emit(new WireFrame(mulaw, mediaMs, this.instantOf(mediaMs)))
  }
}
