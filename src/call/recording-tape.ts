import { FRAME_MS, FRAME_SAMPLES, type AudioFrame } from '../audio/frame.ts'
import { MULAW_SILENCE } from '../audio/g711.ts'

/** The agent is sent ahead by a tenth of a second, and its line is read when the caller's frame of that moment has come: seconds to spare. */
const LINE_MS = 4000
const SAMPLES_PER_MS = FRAME_SAMPLES / FRAME_MS
const LINE_SAMPLES = LINE_MS * SAMPLES_PER_MS
/** Frames of one reply follow each other without a gap, though the estimate of when each is heard moves by some milliseconds. */
const JOIN_MS = 40
/** A hole in the caller's audio longer than this was no loss but a stream that stood still: it is not filled minute by minute. */
const MAX_HOLE_MS = 60_000

/**
 * Both voices of a call on the caller's media clock. The agent's frames are laid on their line where they will be heard and taken off
 * again from where the carrier was told to drop them; a moment is read once the caller's frame of it is here, so what was never played
 * is never read.
 */
export class RecordingTape {
  /** µ-law by sample number, modulo its length. Cleared as it is read. */
  readonly #line = new Uint8Array(LINE_SAMPLES).fill(MULAW_SILENCE)
  /** Sample after the last one of the agent. */
  #agentEnd = 0
  /** Next sample to be read; null before the first frame of the caller. */
  #readTo: number | null = null

  /** One 20 ms frame, to be heard at `heardAtMs` of the caller's media clock. */
  agent(mulaw: Uint8Array, heardAtMs: number): void {
    const wanted = Math.max(0, Math.round(heardAtMs * SAMPLES_PER_MS))
    const from = Math.abs(wanted - this.#agentEnd) <= JOIN_MS * SAMPLES_PER_MS ? this.#agentEnd : wanted
    const first = Math.max(from, this.#readTo ?? 0)
    // So far ahead that it would overwrite what is still to be read: nothing that our leg sends.
    if (from + mulaw.length - first > LINE_SAMPLES || from - (this.#readTo ?? from) > LINE_SAMPLES - mulaw.length) return
    for (let sample = first; sample < from + mulaw.length; sample++) this.#line[sample % LINE_SAMPLES] = mulaw[sample - from] as number
    this.#agentEnd = from + mulaw.length
  }

  /** The carrier drops what would be heard from `atMs` on. */
  cut(atMs: number): void {
    const from = Math.max(Math.round(atMs * SAMPLES_PER_MS), this.#readTo ?? 0)
    for (let sample = from; sample < this.#agentEnd; sample++) this.#line[sample % LINE_SAMPLES] = MULAW_SILENCE
    this.#agentEnd = Math.min(this.#agentEnd, from)
  }

  /** The caller's next frame: everything up to its end, interleaved, caller first. Frames come in order; a hole is silence on their side. */
  caller(frame: Pick<AudioFrame, 'mulaw' | 'mediaMs'>): Uint8Array {
    const start = Math.round(frame.mediaMs * SAMPLES_PER_MS)
    const from = Math.max(this.#readTo ?? start, start - MAX_HOLE_MS * SAMPLES_PER_MS)
    const to = Math.max(from, start + frame.mulaw.length)
    const stereo = new Uint8Array((to - from) * 2)
    for (let sample = from; sample < to; sample++) {
      const at = (sample - from) * 2
      stereo[at] = sample < start ? MULAW_SILENCE : (frame.mulaw[sample - start] as number)
      stereo[at + 1] = this.#line[sample % LINE_SAMPLES] as number
      this.#line[sample % LINE_SAMPLES] = MULAW_SILENCE
    }
    this.#readTo = to
    return stereo
  }
}
