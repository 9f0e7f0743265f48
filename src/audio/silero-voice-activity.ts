import { Worker } from 'node:worker_threads'
import type { Clock } from '../core/clock.ts'
import { Scope } from '../core/scope.ts'
import { stopWorker } from '../core/stop-worker.ts'
import type { AudioFrame } from './frame.ts'
import { LARGEST_BATCH, WINDOW_MS, WINDOW_SAMPLES } from './silero-model.ts'
import type { VoiceReply, VoiceRequest } from './silero-worker.ts'
import type { VoiceActivityEngine, VoiceActivitySession, VoiceProbability } from './voice-activity.ts'

export type VoiceActivityStats = Readonly<{ sessions: number; droppedWindows: number; restarts: number; windows: number; batches: number }>

/**
 * Silero VAD v5 for every call of the process, in one worker thread. A batch holds at most one window of each call and leaves as soon as
 * the worker is free: one call alone never waits for company, a hundred travel together. Measured at 8 kHz: 0.2 ms a window alone,
 * 0.05 ms in batches of 8 and more.
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
  #sendScheduled = false
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
        this.#droppedWindows += session.take(frame)
        if (session.hasWindow) this.#enqueue(session)
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
    if (this.#state !== 'idle' || this.#sendScheduled) return
    // Frames that arrive in the same turn of the loop travel in one batch.
    this.#sendScheduled = true
    setImmediate(() => {
      this.#sendScheduled = false
      if (this.#state === 'idle') this.#sendBatch()
    })
  }

  #sendBatch(): void {
    const batch: Sent[] = []
    const samples = new Int16Array(LARGEST_BATCH * WINDOW_SAMPLES)
    for (const session of this.#waiting.splice(0, LARGEST_BATCH)) {
      session.waiting = false
      const window = session.closed ? null : session.nextWindow()
      if (window === null) continue
      samples.set(window.samples, batch.length * WINDOW_SAMPLES)
      batch.push({ session, mediaMs: window.endMs, fresh: window.fresh })
    }
    if (batch.length === 0) return
    this.#inWorker = batch
    this.#state = 'judging'
    this.#post({ kind: 'windows', sessions: batch.map((sent) => sent.session.id), fresh: batch.map((sent) => sent.fresh), samples })
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
      for (const { session } of judged) if (session.hasWindow && !session.waiting) this.#requeue(session)
    }
    // The next batch is on its way before anyone reacts to this one.
    if (this.#waiting.length > 0) this.#sendBatch()
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
    for (const session of this.#sessions.values()) session.forgetState()
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
/** A probability later than this is of no use to turn-taking any more. */
const BACKLOG_MS = 300
const BACKLOG_WINDOWS = Math.floor(BACKLOG_MS / WINDOW_MS)
/** Rounding of media times, not lost audio. */
const JUMP_TOLERANCE_MS = 2
const SAMPLES_A_MS = 8

type Sent = Readonly<{ session: Session; mediaMs: number; fresh: boolean }>
type Window = Readonly<{ samples: Int16Array; endMs: number; fresh: boolean }>

/** Cuts one call's frames into windows and holds those not yet judged. */
class Session {
  readonly id: number
  readonly onProbability: (voice: VoiceProbability) => void
  closed = false
  waiting = false
  readonly #windows: Window[] = []
  #filling = new Int16Array(WINDOW_SAMPLES)
  #filled = 0
  /** Media time of the next sample; null before the first frame. */
  #nextMs: number | null = null
  #fresh = true

  constructor(id: number, onProbability: (voice: VoiceProbability) => void) {
    this.id = id
    this.onProbability = onProbability
  }

  get hasWindow(): boolean {
    return this.#windows.length > 0
  }

  /** Returns how many old windows had to go. */
  take(frame: AudioFrame): number {
    if (this.#nextMs === null || Math.abs(frame.mediaMs - this.#nextMs) > JUMP_TOLERANCE_MS) {
      this.#nextMs = frame.mediaMs
      this.#filled = 0
      this.#fresh = true
    }
    for (let at = 0; at < frame.samples.length; ) {
      const piece = frame.samples.subarray(at, at + WINDOW_SAMPLES - this.#filled)
      this.#filling.set(piece, this.#filled)
      this.#filled += piece.length
      at += piece.length
      this.#nextMs += piece.length / SAMPLES_A_MS
      if (this.#filled === WINDOW_SAMPLES) this.#finishWindow(this.#nextMs)
    }
    const excess = Math.max(0, this.#windows.length - BACKLOG_WINDOWS)
    const dropped = this.#windows.splice(0, excess)
    const oldest = this.#windows[0]
    // What remains no longer follows what the model heard.
    if (dropped.length > 0 && oldest !== undefined) this.#windows[0] = { ...oldest, fresh: true }
    return dropped.length
  }

  nextWindow(): Window | null {
    return this.#windows.shift() ?? null
  }

  forgetState(): void {
    const oldest = this.#windows[0]
    if (oldest === undefined) this.#fresh = true
    else this.#windows[0] = { ...oldest, fresh: true }
  }

  #finishWindow(endMs: number): void {
    this.#windows.push({ samples: this.#filling, endMs, fresh: this.#fresh })
    this.#filling = new Int16Array(WINDOW_SAMPLES)
    this.#filled = 0
    this.#fresh = false
  }
}
