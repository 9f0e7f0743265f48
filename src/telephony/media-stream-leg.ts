import { FRAME_MS, FRAME_SAMPLES } from '../audio/frame.ts'
import { BoundedQueue } from '../core/bounded-queue.ts'
import { later, type Clock, type Instant } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { Scope, ScopeEnded } from '../core/scope.ts'
import type { CallLeg, CallStart, LegEnd, LegEvent } from '../call/call-leg.ts'
import { CallerMedia } from './caller-media.ts'
import { outbound, type InboundMedia, type MediaStreamMessage } from './media-stream-protocol.ts'

/** What a leg needs of a WebSocket. */
export interface MediaSocket {
  send(text: string): void
  /** Starts the closing handshake. */
  close(code: number, reason: string): void
  /** Drops the connection without one. */
  terminate(): void
  /** Bytes given to `send` that the network has not taken. */
  readonly bufferedAmount: number
}

export type LegCount =
  | 'media-wrong-stream'
  | 'media-other-track'
  | 'media-duplicate'
  | 'media-implausible'
  | 'mark-unknown'
  | 'mark-echo-missing'
  | 'event-queue-overflow'
  | 'slow-consumer'

export type MediaStreamLegOptions = Readonly<{
  clock: Clock
  socket: MediaSocket
  start: CallStart
  /** The call's parent: when it ends, so does the leg, with close code 1001. */
  scope: Scope
  /** No media for this long means that nobody is there. */
  idleMs?: number
  count?: (what: LegCount) => void
}>

/**
 * 120 ms. Once a caller talks over the agent, the agent stops feeding after about 200 ms of accepted speech and what the carrier
 * still holds is heard to its end: 200 ms + 64 ms (two voice windows) + 120 ms stays under the 450 ms promised, with 60 ms for the
 * network. Less than 100 ms starves the caller whenever a busy event loop is late.
 */
export const PLAYOUT_LEAD_MS = 120
/** One timer then serves two frames, which halves the pacing's cost; the carrier never holds less than 80 ms in between. */
const REFILL_MS = 2 * FRAME_MS
/** Twilio sends 50 messages a second even in silence: ten seconds without one is a dead stream. */
const IDLE_MS = 10_000
/** 10 s of frames: a conversation that has not read for so long has failed, and the newest audio matters most. */
const EVENT_QUEUE_CAPACITY = 512
/** An echo that is this late after its audio must have ended was lost. */
const MARK_GRACE_MS = 1000
/** One second of outbound frames (50 of about 310 bytes): a peer that takes less is not listening in real time. */
const MAX_UNSENT_BYTES = 16 * 1024
const SLOW_CONSUMER_MS = 5000

type PendingMark = { readonly scope: Scope; cleared: boolean }

export class MediaStreamLeg implements CallLeg {
  readonly start: CallStart
  readonly ended: Promise<LegEnd>
  readonly #clock: Clock
  readonly #socket: MediaSocket
  readonly #scope: Scope
  readonly #idleMs: number
  readonly #count: (what: LegCount) => void
  readonly #events = new BoundedQueue<LegEvent>(EVENT_QUEUE_CAPACITY, 'drop-oldest')
  readonly #media: CallerMedia
  readonly #marks = new Map<string, PendingMark>()
  #lastMediaAt: Instant
  #playedOutAt: Instant
  #generation = 0
  #settleEnded: (end: LegEnd) => void = () => undefined
  #state: 'open' | 'over' = 'open'

  constructor(options: MediaStreamLegOptions) {
    this.start = options.start
    this.#clock = options.clock
    this.#socket = options.socket
    this.#idleMs = options.idleMs ?? IDLE_MS
    this.#count = options.count ?? (() => undefined)
    this.#scope = new Scope(options.scope)
    const now = this.#clock.now()
    this.#media = new CallerMedia(now)
    this.#lastMediaAt = now
    this.#playedOutAt = now
    this.ended = new Promise((resolve) => {
      this.#settleEnded = resolve
    })
    const onScopeEnd = (): void => this.end('connection-lost', 1001, 'server is shutting down')
    if (this.#scope.ended) onScopeEnd()
    else this.#scope.signal.addEventListener('abort', onScopeEnd, { once: true })
    void this.#watchForSilence()
  }

  get events(): AsyncIterable<LegEvent> {
    return this.#events
  }

  get bufferedMs(): number {
    return Math.max(0, this.#playedOutAt - this.#clock.now())
  }

  get lostFrameCount(): number {
    return this.#media.lostFrameCount
  }

  mediaNowMs(): number {
    return this.#media.mediaNowMs(this.#clock.now())
  }

  instantOf(mediaMs: number): Instant {
    return this.#media.instantOf(mediaMs)
  }

  /** One message of this leg's stream, after `start`. */
  receive(message: MediaStreamMessage): void {
    if (this.#state === 'over') return
    if ('streamSid' in message && message.streamSid !== this.start.streamSid) {
      this.#count('media-wrong-stream')
      return
    }
    switch (message.event) {
      case 'media':
        this.#receiveMedia(message)
        return
      case 'dtmf':
        this.#push({ kind: 'dtmf', digit: message.digit, at: this.#clock.now() })
        return
      case 'mark':
        this.#receiveMark(message.name)
        return
      case 'stop':
        this.end('caller-hung-up', 1000, 'stopped')
        return
      case 'connected':
      case 'start':
      case 'unknown':
        return
    }
  }

  /** The socket is gone. Closing in good order without `stop` is a hang-up too; anything else is a broken line. */
  connectionClosed(code: number): void {
    this.end(code === 1000 || code === 1005 ? 'caller-hung-up' : 'connection-lost', 1000, '')
  }

  async play(mulaw: Uint8Array, generation: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (mulaw.length !== FRAME_SAMPLES) {
      throw new ClientsViaError('AUDIO_MALFORMED', `a frame to play must have ${FRAME_SAMPLES} bytes, got ${mulaw.length}`)
    }
    if (this.#isStale(generation)) return
    if (this.#socket.bufferedAmount > MAX_UNSENT_BYTES) {
      await this.#waitForConsumer(signal)
      if (this.#isStale(generation)) return
    }
    this.#socket.send(outbound.media(this.start.streamSid, mulaw))
    // Counted from now when the carrier has run dry: after a blocked event loop no frame is late twice.
    this.#playedOutAt = later(this.bufferedMs > 0 ? this.#playedOutAt : this.#clock.now(), FRAME_MS)
    if (this.bufferedMs + FRAME_MS <= PLAYOUT_LEAD_MS) return
    await this.#clock.sleep(this.bufferedMs + REFILL_MS - PLAYOUT_LEAD_MS, signal)
  }

  /** @throws ClientsViaError INVALID_INPUT when a mark of this name is still pending. */
  mark(name: string, generation: number): void {
    if (this.#state === 'over') return
    if (this.#marks.has(name)) throw new ClientsViaError('INVALID_INPUT', `mark "${name}" is already pending`)
    if (this.#isStale(generation)) {
      this.#push({ kind: 'mark', name, cleared: true, at: this.#clock.now() })
      return
    }
    this.#socket.send(outbound.mark(this.start.streamSid, name))
    const pending: PendingMark = { scope: new Scope(this.#scope), cleared: false }
    this.#marks.set(name, pending)
    void this.#expireMark(name, pending.scope.signal)
  }

  clear(nextGeneration: number): Readonly<{ unplayedMs: number }> {
    const unplayedMs = this.bufferedMs
    this.#generation = Math.max(this.#generation, nextGeneration)
    if (this.#state === 'over') return { unplayedMs: 0 }
    for (const pending of this.#marks.values()) pending.cleared = true
    this.#playedOutAt = this.#clock.now()
    this.#socket.send(outbound.clear(this.start.streamSid))
    return { unplayedMs }
  }

  hangUp(): void {
    this.end('agent-ended', 1000, 'the agent ended the call')
  }

  /** Idempotent: the first reason stands. */
  end(end: LegEnd, code: number, reason: string): void {
    if (this.#state === 'over') return
    this.#media.flush((frame) => this.#push({ kind: 'audio', frame }))
    this.#state = 'over'
    this.#marks.clear()
    this.#events.close()
    this.#scope.end(new ScopeEnded())
    this.#settleEnded(end)
    this.#socket.close(code, reason)
  }

  #isStale(generation: number): boolean {
    return this.#state === 'over' || generation < this.#generation
  }

  #push(event: LegEvent): void {
    if (this.#events.size >= EVENT_QUEUE_CAPACITY) this.#count('event-queue-overflow')
    this.#events.push(event)
  }

  #receiveMedia(media: InboundMedia): void {
    // The agent's own voice comes back on the outbound track when a stream is set to both tracks.
    if (media.track !== 'inbound') {
      this.#count('media-other-track')
      return
    }
    const now = this.#clock.now()
    const verdict = this.#media.accept(media, now, (frame) => this.#push({ kind: 'audio', frame }))
    if (verdict === 'accepted') this.#lastMediaAt = now
    else this.#count(verdict === 'duplicate' ? 'media-duplicate' : 'media-implausible')
  }

  #receiveMark(name: string): void {
    if (!this.#marks.has(name)) {
      this.#count('mark-unknown')
      return
    }
    // Audio is played in order: an echo speaks for every mark before it.
    for (const earlier of this.#marks.keys()) {
      this.#settleMark(earlier)
      if (earlier === name) return
    }
  }

  #settleMark(name: string, how: Readonly<{ assumed?: true }> = {}): void {
    const pending = this.#marks.get(name)
    if (pending === undefined) return
    this.#marks.delete(name)
    this.#push({ kind: 'mark', name, cleared: pending.cleared, ...how, at: this.#clock.now() })
    pending.scope.end(new ScopeEnded())
  }

  async #expireMark(name: string, signal: AbortSignal): Promise<void> {
    if (!(await slept(this.#clock, this.bufferedMs + MARK_GRACE_MS, signal))) return
    this.#count('mark-echo-missing')
    this.#settleMark(name, { assumed: true })
  }

  async #waitForConsumer(signal: AbortSignal): Promise<void> {
    this.#count('slow-consumer')
    for (let waitedMs = 0; this.#socket.bufferedAmount > MAX_UNSENT_BYTES && this.#state === 'open'; waitedMs += FRAME_MS) {
      if (waitedMs >= SLOW_CONSUMER_MS) {
        this.end('connection-lost', 1008, 'the peer does not read')
        this.#socket.terminate()
        return
      }
      await this.#clock.sleep(FRAME_MS, signal)
    }
  }

  async #watchForSilence(): Promise<void> {
    for (;;) {
      const leftMs = this.#lastMediaAt + this.#idleMs - this.#clock.now()
      if (leftMs <= 0) {
        this.end('connection-lost', 1008, 'no media')
        return
      }
      if (!(await slept(this.#clock, leftMs, this.#scope.signal))) return
    }
  }
}

/** False when the signal ended the sleep. */
async function slept(clock: Clock, durationMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(durationMs, signal)
    return true
  } catch (error) {
    if (signal.aborted) return false
    throw error
  }
}
