import { Worker } from 'node:worker_threads'
import type { Clock, Instant } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { Reading } from '../core/reading.ts'
import { Scope } from '../core/scope.ts'
import { stopWorker } from '../core/stop-worker.ts'
import type { ListenFor } from './listener.ts'
import type { MoonshineReply, MoonshineRequest, MoonshineWorkerData } from './moonshine-worker.ts'

/** What to decode. `urgency` 'final' is never dropped; 'partial' gives way to everything. */
export type DecodeRequest = Readonly<{ samples: Int16Array; tailPadMs: number; urgency: 'final' | 'partial'; listenFor: ListenFor }>
export type DecodeResult =
  | Readonly<{
      outcome: 'text'
      text: string
      /** Null where nothing in particular was listened for. */
      reading: Reading | null
      decodeMs: number
    }>
  /** A partial that gave way, or a request its owner withdrew. */
  | Readonly<{ outcome: 'dropped' }>
  /** The engine failed twice on it, or cannot start. */
  | Readonly<{ outcome: 'failed'; reason: string }>
export type DecodeHandle = { withdraw(): void }

export interface DecodePool {
  /** Whether a partial asked for now would be run at once. */
  readonly hasRoomForPartial: boolean
  /** `onResult` is called once, on the media loop, later than this call returns. */
  decode(request: DecodeRequest, onResult: (result: DecodeResult) => void): DecodeHandle
}

export type MoonshinePoolStats = Readonly<{
  workers: number
  ready: number
  queued: number
  running: number
  /** Whether a partial asked for now would be run at once. */
  roomForPartial: boolean
  decoder: 'split' | 'merged' | null
  finals: number
  partials: number
  droppedPartials: number
  restarts: number
  failures: number
  /** Of the last decodes of either kind, without the wait in the queue. */
  recentDecodeMs: readonly number[]
}>

/**
 * The recogniser's worker threads, shared by all calls; one decode at a time each. Finals wait in order of arrival and interrupt a running
 * partial when no worker is free. Partials are taken only when a worker is idle, nothing waits, and the last partial was a while ago.
 * The queue is bounded by its owners: a session asks for one final at a time. A worker that dies is replaced and its work asked again once.
 */
export class MoonshinePool implements DecodePool {
  readonly #clock: Clock
  readonly #cacheDir: string | null
  readonly #lifetime = new Scope()
  readonly #slots: Slot[]
  readonly #queue: Job[] = []
  #nextId = 0
  #partialsRestUntil: Instant
  #decoder: 'split' | 'merged' | null = null
  #finals = 0
  #partials = 0
  #droppedPartials = 0
  #restarts = 0
  #failures = 0
  #lastDeath = ''
  readonly #recentDecodeMs: number[] = []
  #onReady: (() => void)[] = []

  constructor(clock: Clock, size: number, cacheDir: string | null) {
    this.#clock = clock
    this.#cacheDir = cacheDir
    this.#partialsRestUntil = clock.now()
    this.#slots = Array.from({ length: size }, () => ({ worker: null, state: 'down', job: null, deathsInARow: 0 }))
    // The first worker makes the split decoder if there is none yet; the others then only read it.
    this.#start(this.#slots[0] as Slot)
  }

  /** Resolves when a worker has its model loaded. Rejects with ENGINE_UNAVAILABLE after repeated failures to start. */
  async warm(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      const check = (): void => {
        const ready = this.#slots.some((slot) => slot.state === 'idle' || slot.state === 'busy')
        const hopeless = this.#slots.some((slot) => slot.deathsInARow >= STARTS_BEFORE_GIVING_UP)
        if (!ready && !hopeless && !this.#lifetime.ended) {
          this.#onReady.push(check)
          return
        }
        signal.removeEventListener('abort', onAbort)
        if (ready) resolve()
        else reject(new ClientsViaError('ENGINE_UNAVAILABLE', 'the embedded recogniser does not start', { reason: this.#lastDeath }))
      }
      check()
    })
  }

  get hasRoomForPartial(): boolean {
    return this.#queue.length === 0 && this.#clock.now() >= this.#partialsRestUntil && this.#slots.some((slot) => slot.state === 'idle')
  }

  decode(request: DecodeRequest, onResult: (result: DecodeResult) => void): DecodeHandle {
    const job: Job = { id: this.#nextId++, request, onResult, attempts: 0, startedAt: this.#clock.now(), withdrawn: false }
    if (request.urgency === 'partial' && !this.hasRoomForPartial) {
      this.#droppedPartials += 1
      job.withdrawn = true
      queueMicrotask(() => onResult({ outcome: 'dropped' }))
      return { withdraw: () => undefined }
    }
    this.#queue.push(job)
    this.#dispatch()
    return { withdraw: () => this.#withdraw(job) }
  }

  get unfinished(): number {
    if (this.#lifetime.ended) return 0
    return this.#queue.length + this.#slots.filter((slot) => slot.job !== null || slot.state === 'starting').length
  }

  get stats(): MoonshinePoolStats {
    return {
      workers: this.#slots.length,
      ready: this.#slots.filter((slot) => slot.state === 'idle' || slot.state === 'busy').length,
      queued: this.#queue.length,
      running: this.#slots.filter((slot) => slot.job !== null).length,
      roomForPartial: this.hasRoomForPartial,
      decoder: this.#decoder,
      finals: this.#finals,
      partials: this.#partials,
      droppedPartials: this.#droppedPartials,
      restarts: this.#restarts,
      failures: this.#failures,
      recentDecodeMs: [...this.#recentDecodeMs],
    }
  }

  /** Ends every worker as a crash would; new ones take over. For drills and tests. */
  async restartWorkers(): Promise<void> {
    await this.#stopWorkers()
  }

  async close(): Promise<void> {
    if (this.#lifetime.ended) return
    this.#lifetime.end(new Error('recogniser pool closed'))
    this.#tellWaiters()
    for (const job of this.#queue.splice(0)) this.#finish(job, { outcome: 'dropped' })
    await this.#stopWorkers()
  }

  async #stopWorkers(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => (slot.worker === null ? undefined : stopWorker(slot.worker, this.#clock))))
  }

  #dispatch(): void {
    if (this.#lifetime.ended) return
    for (const slot of this.#slots) {
      if (slot.state !== 'idle') continue
      const job = this.#queue.shift()
      if (job === undefined) return
      this.#run(slot, job)
    }
    // Every worker is busy and a final waits: a partial gives way.
    if (this.#queue.length === 0) return
    const yielding = this.#slots.find((slot) => slot.job?.request.urgency === 'partial' && !slot.job.withdrawn)
    if (yielding?.job) this.#withdraw(yielding.job)
  }

  #run(slot: Slot, job: Job): void {
    slot.state = 'busy'
    slot.job = job
    job.attempts += 1
    job.startedAt = this.#clock.now()
    // Copied, not transferred: the samples must survive the worker, to be asked again.
    this.#post(slot, { kind: 'decode', id: job.id, samples: job.request.samples, tailPadMs: job.request.tailPadMs, listenFor: job.request.listenFor })
  }

  #withdraw(job: Job): void {
    if (job.withdrawn) return
    job.withdrawn = true
    const queuedAt = this.#queue.indexOf(job)
    if (queuedAt >= 0) {
      this.#queue.splice(queuedAt, 1)
      queueMicrotask(() => job.onResult({ outcome: 'dropped' }))
      return
    }
    const slot = this.#slots.find((candidate) => candidate.job === job)
    if (slot !== undefined) this.#post(slot, { kind: 'cancel', id: job.id })
  }

  #receive(slot: Slot, reply: MoonshineReply): void {
    if (this.#lifetime.ended) return
    const job = slot.job
    slot.job = null
    slot.state = 'idle'
    if (reply.kind === 'ready') {
      this.#decoder = reply.decoder
      this.#tellWaiters()
      for (const other of this.#slots) if (other.state === 'down' && other.deathsInARow === 0) this.#start(other)
      this.#dispatch()
      return
    }
    slot.deathsInARow = 0
    this.#dispatch()
    if (job === null) return
    const decodeMs = this.#clock.now() - job.startedAt
    if (job.request.urgency === 'partial') this.#partialsRestUntil = (this.#clock.now() + decodeMs * PARTIAL_REST) as Instant
    if (reply.kind === 'cancelled') {
      if (job.request.urgency === 'partial') this.#droppedPartials += 1
      this.#finish(job, { outcome: 'dropped' })
      return
    }
    if (job.request.urgency === 'final') this.#finals += 1
    else this.#partials += 1
    this.#recentDecodeMs.push(decodeMs)
    if (this.#recentDecodeMs.length > RECENT_KEPT) this.#recentDecodeMs.shift()
    this.#finish(job, { outcome: 'text', text: reply.text, reading: reply.reading, decodeMs })
  }

  #finish(job: Job, result: DecodeResult): void {
    job.withdrawn = true
    job.onResult(result)
  }

  #start(slot: Slot): void {
    const workerData: MoonshineWorkerData = { cacheDir: this.#cacheDir }
    const worker = new Worker(new URL('./moonshine-worker.ts', import.meta.url), { workerData })
    slot.worker = worker
    slot.state = 'starting'
    let reason = 'the recogniser worker ended'
    worker.on('message', (reply: MoonshineReply) => this.#receive(slot, reply))
    worker.on('error', (error) => {
      reason = error instanceof Error ? error.message : String(error)
    })
    worker.on('exit', () => {
      if (!this.#lifetime.ended) void this.#replace(slot, reason)
    })
  }

  async #replace(slot: Slot, reason: string): Promise<void> {
    const diedAtStart = slot.state === 'starting'
    const job = slot.job
    slot.state = 'down'
    slot.worker = null
    slot.job = null
    slot.deathsInARow += 1
    this.#restarts += 1
    this.#lastDeath = reason
    if (job !== null) this.#retry(job, reason)
    if (diedAtStart && slot.deathsInARow >= STARTS_BEFORE_GIVING_UP) {
      // Nobody is left to do the work: say so now, so that the call can ask the caller again or go to another engine.
      if (!this.#slots.some((other) => other.state === 'idle' || other.state === 'busy')) this.#failAll(reason)
      this.#tellWaiters()
    }
    try {
      if (slot.deathsInARow > 1) await this.#clock.sleep(Math.min(LONGEST_RESTART_PAUSE_MS, FIRST_RESTART_PAUSE_MS * 2 ** slot.deathsInARow), this.#lifetime.signal)
    } catch {
      return
    }
    if (this.#lifetime.ended) return
    this.#start(slot)
    this.#dispatch()
  }

  #retry(job: Job, reason: string): void {
    if (job.withdrawn || job.request.urgency === 'partial') {
      this.#finish(job, { outcome: 'dropped' })
    } else if (job.attempts < MOST_ATTEMPTS) {
      this.#queue.unshift(job)
    } else {
      this.#failures += 1
      this.#finish(job, { outcome: 'failed', reason })
    }
  }

  #failAll(reason: string): void {
    for (const job of this.#queue.splice(0)) {
      this.#failures += 1
      this.#finish(job, { outcome: 'failed', reason })
    }
  }

  #tellWaiters(): void {
    const waiters = this.#onReady
    this.#onReady = []
    for (const check of waiters) check()
  }

  #post(slot: Slot, request: MoonshineRequest): void {
    slot.worker?.postMessage(request)
  }
}

type Job = {
  readonly id: number
  readonly request: DecodeRequest
  readonly onResult: (result: DecodeResult) => void
  attempts: number
  startedAt: Instant
  withdrawn: boolean
}
type Slot = { worker: Worker | null; state: 'down' | 'starting' | 'idle' | 'busy'; job: Job | null; deathsInARow: number }

/** Once more after a crash: audio that kills two workers would kill a third. */
const MOST_ATTEMPTS = 2
const STARTS_BEFORE_GIVING_UP = 3
const FIRST_RESTART_PAUSE_MS = 50
const LONGEST_RESTART_PAUSE_MS = 10_000
/** After a partial of n ms, none for 1.5 n: two fifths of a worker at most go to text that will be revised. */
const PARTIAL_REST = 1.5
const RECENT_KEPT = 256
