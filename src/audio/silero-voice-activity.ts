import { Worker } from 'node:worker_threads'
import { instant, type Clock, type Instant } from '../core/clock.ts'
import { Scope } from '../core/scope.ts'
import { stopWorker } from '../core/stop-worker.ts'
import type { AudioFrame } from './frame.ts'
import { LARGEST_BATCH, WINDOW_SAMPLES } from './silero-model.ts'
import { SileroWindows } from './silero-windows.ts'
import type { VoiceReply, VoiceRequest } from './silero-worker.ts'
import type { VoiceActivityEngine, VoiceActivitySession, VoiceProbability } from './voice-activity.ts'

export type VoiceActivityStats = Readonly<{ sessions: number; droppedWindows: number; restarts: number; windows: number; batches: number }>

/**
 * Silero VAD v5 for every call of the process, in one worker thread. A batch holds at most one window of each call and leaves as soon as
 * the worker is free: few calls never wait for company, a hundred travel together. Measured at 8 kHz: 0.2 ms a window alone, 0.05 ms
 * in batches of 8 and more; so where there are many calls the next batch waits for some of them, by milliseconds.
 *
 * Results come in media order. After a worker's death its sessions go on in a new worker with empty memory; windows that were inside are
 * lost and not reported (the caller of `open` decides by energy then).
 */
export class SileroVoiceActivity implements VoiceActivityEngine {
  readonly #clock: Clock
  readonly #lifetime = new Scope()
  readonly #sessions = new Map<number, Session>()
  /** Sessions with a window to judge, each once, longest waiting first. */
  readonly #waiting: Session[] = []
  #inWorker: readonly Sent[] = []
  #worker: Worker
  #state: 'starting' | 'idle' | 'judging' | 'dead' | 'closed' = 'starting'
  /** What is scheduled of the next batch. */
  #send: 'none' | 'later' | 'now' = 'none'
  #sentAt: Instant = instant(-Infinity)
  #nextId = 0
  #droppedWindows = 0
  #restarts = 0
  #windows = 0
  #batches = 0
  #deathsInARow = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#worker = this.#startWorker()
  }

  open(onProbability: (voice: VoiceProbability) => void): VoiceActivitySession {
    const session = new Session(this.#nextId++, onProbability)
    this.#sessions.set(session.id, session)
    return {
      push: (frame) => {
        if (session.closed || this.#state === 'closed') return
        this.#droppedWindows += session.windows.take(frame)
        if (session.windows.count > 0) this.#enqueue(session)
      },
      close: () => {
        if (session.closed) return
        session.closed = true
        this.#sessions.delete(session.id)
        if (this.#state !== 'dead' && this.#state !== 'closed') this.#post({ kind: 'forget', session: session.id })
      },
    }
  }

  /** Resolves when the model is loaded: windows that come earlier are judged late or dropped. Rejects if the engine is closed first. */
  async warm(signal: AbortSignal): Promise<void> {
    while (this.#state === 'starting' || this.#state === 'dead') {
      signal.throwIfAborted()
      this.#lifetime.signal.throwIfAborted()
      await this.#clock.sleep(WARM_POLL_MS, signal)
    }
    this.#lifetime.signal.throwIfAborted()
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#lifetime.end(new Error('voice activity engine closed'))
    this.#sessions.clear()
    this.#waiting.length = 0
    await stopWorker(this.#worker, this.#clock)
  }

  get stats(): VoiceActivityStats {
    return { sessions: this.#sessions.size, droppedWindows: this.#droppedWindows, restarts: this.#restarts, windows: this.#windows, batches: this.#batches }
  }

  /** Calls with a window that waits or is being judged, and the model while it loads. */
  get unfinished(): number {
    if (this.#state === 'closed') return 0
    return this.#waiting.length + this.#inWorker.length + (this.#state === 'starting' ? 1 : 0)
  }

  /** Ends the worker as a crash would; a new one takes over. For drills and tests. */
  async restartWorker(): Promise<void> {
    await stopWorker(this.#worker, this.#clock)
  }

  #enqueue(session: Session): void {
    if (!session.waiting) {
      session.waiting = true
      this.#waiting.push(session)
    }
    this.#sendSoon()
  }

  /** Frames that arrive in the same turn of the loop travel in one batch, and so do those of a few milliseconds where there are many calls. */
  #sendSoon(): void {
    if (this.#state !== 'idle' || this.#send === 'now' || this.#waiting.length === 0) return
    const waitMs = this.#waiting.length >= LARGEST_BATCH ? 0 : this.#sentAt + companyMs(this.#sessions.size) - this.#clock.now()
    if (waitMs <= 0) {
      this.#send = 'now'
      setImmediate(() => this.#sendWaiting())
    } else if (this.#send === 'none') {
      this.#send = 'later'
      void this.#clock.sleep(waitMs, this.#lifetime.signal).then(
        () => this.#sendWaiting(),
        () => undefined,
      )
    }
  }

  #sendWaiting(): void {
    this.#send = 'none'
    if (this.#state === 'idle') this.#sendBatch()
  }

  #sendBatch(): void {
    const sessions = this.#waiting.splice(0, LARGEST_BATCH)
    const mulaw = new Uint8Array(sessions.length * WINDOW_SAMPLES)
    const batch: Sent[] = []
    for (const session of sessions) {
      session.waiting = false
      const window = session.closed ? null : session.windows.next(mulaw, batch.length * WINDOW_SAMPLES)
      if (window !== null) batch.push({ session, mediaMs: window.endMs, fresh: window.fresh })
    }
    if (batch.length === 0) return
    this.#inWorker = batch
    this.#state = 'judging'
    this.#sentAt = this.#clock.now()
    const request: VoiceRequest = { kind: 'windows', sessions: batch.map((sent) => sent.session.id), fresh: batch.map((sent) => sent.fresh), mulaw }
    this.#worker.postMessage(request, [mulaw.buffer])
  }

  #receive(reply: VoiceReply): void {
    if (this.#state === 'closed') return
    const judged = this.#inWorker
    this.#inWorker = []
    this.#state = 'idle'
    if (reply.kind === 'probabilities') {
      this.#deathsInARow = 0
      this.#windows += judged.length
      this.#batches += 1
      for (const { session } of judged) if (session.windows.count > 0 && !session.waiting) this.#requeue(session)
    }
    // The next batch is on its way before anyone reacts to this one.
    if (this.#waiting.length > 0 && this.#sentAt + companyMs(this.#sessions.size) <= this.#clock.now()) this.#sendBatch()
    else this.#sendSoon()
    if (reply.kind === 'ready') return
    judged.forEach(({ session, mediaMs }, i) => {
      if (!session.closed) session.onProbability({ mediaMs, probability: reply.probabilities[i] as number })
    })
  }

  #requeue(session: Session): void {
    session.waiting = true
    this.#waiting.push(session)
  }

  #post(request: VoiceRequest): void {
    this.#worker.postMessage(request)
  }

  #startWorker(): Worker {
    const worker = new Worker(new URL('./silero-worker.ts', import.meta.url))
    worker.on('message', (reply: VoiceReply) => this.#receive(reply))
    // The exit that follows an error is what is acted upon.
    worker.on('error', () => undefined)
    worker.on('exit', () => {
      if (this.#state !== 'closed') void this.#replaceWorker()
    })
    return worker
  }

  async #replaceWorker(): Promise<void> {
    this.#state = 'dead'
    this.#inWorker = []
    this.#restarts += 1
    for (const session of this.#sessions.values()) session.windows.forgetState()
    const pauseMs = this.#deathsInARow === 0 ? 0 : Math.min(LONGEST_RESTART_PAUSE_MS, FIRST_RESTART_PAUSE_MS * 2 ** this.#deathsInARow)
    this.#deathsInARow += 1
    try {
      if (pauseMs > 0) await this.#clock.sleep(pauseMs, this.#lifetime.signal)
    } catch {
      return
    }
    if (this.#lifetime.ended) return
    this.#state = 'starting'
    this.#worker = this.#startWorker()
  }
}

const WARM_POLL_MS = 10
/** A worker that dies at every start (no memory, a missing model) is tried again ever more slowly; calls go by energy meanwhile. */
const FIRST_RESTART_PAUSE_MS = 50
const LONGEST_RESTART_PAUSE_MS = 5000

/** A few calls are judged at once. From there on company is waited for: longer with more calls, and never as long as a frame's half. */
const CALLS_JUDGED_AT_ONCE = 12
const LONGEST_COMPANY_MS = 8

/** How long after a batch the next one leaves, where it is not full before. */
function companyMs(calls: number): number {
  return calls <= CALLS_JUDGED_AT_ONCE ? 0 : Math.min(LONGEST_COMPANY_MS, calls / CALLS_JUDGED_AT_ONCE)
}

type Sent = Readonly<{ session: Session; mediaMs: number; fresh: boolean }>

class Session {
  readonly id: number
  readonly onProbability: (voice: VoiceProbability) => void
  readonly windows = new SileroWindows()
  closed = false
  waiting = false

  constructor(id: number, onProbability: (voice: VoiceProbability) => void) {
    this.id = id
    this.onProbability = onProbability
  }
}
