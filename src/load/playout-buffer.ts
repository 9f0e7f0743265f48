import { decodeMulaw } from '../audio/g711.ts'
import { SAMPLE_RATE_HZ } from '../audio/frame.ts'

/** 10 min of unplayed audio: the carrier would have complained long before; a server that sends more is broken. */
const MOST_UNPLAYED_SAMPLES = 600 * SAMPLE_RATE_HZ

/**
 * What the carrier keeps between the server and the caller's ear: audio is played in order at 8 kHz on the caller's clock, a mark is
 * due when everything before it was played, `clear` drops what is left and makes every pending mark due at once.
 * Pure: time is handed in, in ms since the stream began, and never goes backwards.
 */
export class PlayoutBuffer {
  readonly #onPlayed: (samples: Int16Array, atSample: number) => void
  readonly #onMarkDue: (name: string, atMs: number) => void
  #queue: ({ kind: 'audio'; samples: Int16Array; offset: number } | { kind: 'mark'; name: string })[] = []
  #playedUpTo = 0
  #unplayed = 0

  constructor(sinks: {
    /** Called with every stretch that is heard and the position of its first sample in the call. */
    onPlayed: (samples: Int16Array, atSample: number) => void
    onMarkDue: (name: string, atMs: number) => void
  }) {
    this.#onPlayed = sinks.onPlayed
    this.#onMarkDue = sinks.onMarkDue
  }

  get unplayedMs(): number {
    return (this.#unplayed * 1000) / SAMPLE_RATE_HZ
  }

  /** False when the buffer is past its bound and the audio was refused. */
  add(mulaw: Uint8Array, nowMs: number): boolean {
    this.advance(nowMs)
    if (this.#unplayed + mulaw.length > MOST_UNPLAYED_SAMPLES) return false
    this.#queue.push({ kind: 'audio', samples: decodeMulaw(mulaw), offset: 0 })
    this.#unplayed += mulaw.length
    return true
  }

  mark(name: string, nowMs: number): void {
    this.advance(nowMs)
    this.#queue.push({ kind: 'mark', name })
    this.#releaseMarks(nowMs)
  }

  /** Returns what was dropped, in ms. */
  clear(nowMs: number): number {
    this.advance(nowMs)
    const droppedMs = this.unplayedMs
    const pending = this.#queue
    this.#queue = []
    this.#unplayed = 0
    for (const item of pending) if (item.kind === 'mark') this.#onMarkDue(item.name, nowMs)
    return droppedMs
  }

  /** Plays up to `nowMs`; an empty buffer plays silence. */
  advance(nowMs: number): void {
    const target = Math.floor((nowMs * SAMPLE_RATE_HZ) / 1000)
    while (this.#playedUpTo < target) {
      const item = this.#queue[0]
      if (item === undefined) {
        this.#playedUpTo = target
        break
      }
      if (item.kind === 'mark') {
        this.#releaseMarks((this.#playedUpTo * 1000) / SAMPLE_RATE_HZ)
        continue
      }
      const count = Math.min(item.samples.length - item.offset, target - this.#playedUpTo)
      this.#onPlayed(item.samples.subarray(item.offset, item.offset + count), this.#playedUpTo)
      item.offset += count
      this.#playedUpTo += count
      this.#unplayed -= count
      if (item.offset === item.samples.length) this.#queue.shift()
    }
    this.#releaseMarks(nowMs)
  }

  #releaseMarks(atMs: number): void {
    for (let head = this.#queue[0]; head !== undefined && head.kind === 'mark'; head = this.#queue[0]) {
      this.#queue.shift()
      this.#onMarkDue(head.name, atMs)
    }
  }
}
