import { FRAME_MS } from '../audio/frame.ts'
import type { Clock, Instant } from '../core/clock.ts'
import { Scope, ScopeEnded } from '../core/scope.ts'

const BYTES_A_MS = 8
/** Handed over this long before it is played: the carrier holds 120 ms, a busy loop is late by a frame or two. */
const HANDED_OVER_AHEAD_MS = 300
const HAND_OVER_EVERY_MS = 5 * FRAME_MS
/** Two seconds of speech, as most sentences have; twice as much whenever that is not enough. */
const FIRST_ROOM_BYTES = 2000 * BYTES_A_MS

/**
 * A sentence's audio on its way from an engine to the caller. What has arrived and is not played for a while stays here: if the engine breaks off,
 * the sentence can still be ended at the best place of it. Nobody waits for it longer than for the engine itself, and a whole sentence is
 * handed over at once.
 */
export class HeldSpeech {
  readonly #clock: Clock
  /** What was handed over lies in it too, and is not moved any more: a larger one takes its place, not its bytes. */
  #room = new Uint8Array(0)
  #receivedBytes = 0
  #releasedBytes = 0
  #firstAt: Instant | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get receivedBytes(): number {
    return this.#receivedBytes
  }

  get releasedBytes(): number {
    return this.#releasedBytes
  }

  /** All that arrived. */
  get received(): Uint8Array {
    return this.#room.subarray(0, this.#receivedBytes)
  }

  /** `chunks` in time to be played. Fails as they do; then what was released is `releasedBytes`. */
  async *paced(chunks: AsyncGenerator<Uint8Array, void, undefined>, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const coming = new Arrivals(chunks)
    try {
      for (;;) {
        const next = await coming.next(this.#waitMs(), this.#clock, signal)
        if (next === 'over') break
        if (next !== 'later') this.#take(next)
        const ready = this.#release(this.#dueBytes())
        if (ready.length > 0) yield ready
      }
      const rest = this.#release(this.#receivedBytes)
      if (rest.length > 0) yield rest
    } finally {
      // Not awaited: an engine that hangs must not hold the sentence that another one is to speak.
      chunks.return().catch(() => undefined)
    }
  }

  #take(chunk: Uint8Array): void {
    this.#firstAt ??= this.#clock.now()
    const bytes = this.#receivedBytes + chunk.length
    if (bytes > this.#room.length) {
      const larger = new Uint8Array(Math.max(bytes, FIRST_ROOM_BYTES, 2 * this.#room.length))
      larger.set(this.received)
      this.#room = larger
    }
    this.#room.set(chunk, this.#receivedBytes)
    this.#receivedBytes = bytes
  }

  /** What should have been handed over by now. The first sound goes at once and whole. */
  #dueBytes(): number {
    if (this.#releasedBytes === 0) return this.#receivedBytes
    const playedMs = this.#clock.now() - (this.#firstAt ?? this.#clock.now())
    return Math.min(this.#receivedBytes, Math.ceil((playedMs + HANDED_OVER_AHEAD_MS) * BYTES_A_MS))
  }

  /** Until more is due; null where there is nothing to hand over. */
  #waitMs(): number | null {
    if (this.#releasedBytes === this.#receivedBytes || this.#firstAt === null) return null
    const nextAtMs = this.#releasedBytes / BYTES_A_MS - HANDED_OVER_AHEAD_MS + HAND_OVER_EVERY_MS
    return Math.max(0, this.#firstAt + nextAtMs - this.#clock.now())
  }

  #release(toBytes: number): Uint8Array {
    if (toBytes <= this.#releasedBytes) return new Uint8Array(0)
    const ready = this.received.subarray(this.#releasedBytes, toBytes)
    this.#releasedBytes = toBytes
    return ready
  }
}

/** The next chunk, or the time that one may be waited for, whichever is first. */
class Arrivals {
  readonly #chunks: AsyncGenerator<Uint8Array, void, undefined>
  #pending: Promise<Uint8Array | 'over'> | null = null

  constructor(chunks: AsyncGenerator<Uint8Array, void, undefined>) {
    this.#chunks = chunks
  }

  async next(withinMs: number | null, clock: Clock, signal: AbortSignal): Promise<Uint8Array | 'over' | 'later'> {
    this.#pending ??= this.#chunks.next().then((result) => (result.done === true ? 'over' : result.value))
    if (withinMs === null) return this.#settled(await this.#pending)
    // Whether it fails is found out when it is waited for.
    this.#pending.catch(() => undefined)
    const nap = new Scope()
    const onAbort = (): void => nap.end(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const first = await Promise.race([this.#pending, clock.sleep(withinMs, nap.signal).then(() => 'later' as const)])
      return first === 'later' ? first : this.#settled(first)
    } finally {
      signal.removeEventListener('abort', onAbort)
      nap.end(new ScopeEnded())
    }
  }

  #settled(arrived: Uint8Array | 'over'): Uint8Array | 'over' {
    this.#pending = null
    return arrived
  }
}
