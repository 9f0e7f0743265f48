import { Worker } from 'node:worker_threads'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { Scope, ScopeEnded } from '../core/scope.ts'
import type { FliteReply, FliteRequest } from './flite-protocol.ts'
import type { Priority } from './speaking.ts'

/** One voice thread speaks some 40 times faster than real time; a second one would take the core that the recogniser needs. */
const DEFAULT_WORKERS = 1
/** About 4 s of work for one thread: a caller further back than that is better served by the next engine. */
const MAX_LIVE_CLAUSES = 64
/** A company's greeting, fixed lines and answers, cut into clauses, several companies at once. */
const MAX_WARM_CLAUSES = 256
/** A clause takes 0.02 to 0.2 s; a thread that is silent for this long hangs. */
const CLAUSE_DEADLINE_MS = 5000
/** A crash may be the thread's fault, so the clause gets a second thread; after that it is the clause's. */
const ATTEMPTS = 2

/** Node says at the start of each thread that WASI is experimental. It is: that is why it has a thread to itself. */
const QUIET_ABOUT_WASI = ['--disable-warning=ExperimentalWarning']

type Job = {
  readonly request: FliteRequest
  readonly priority: Priority
  readonly resolve: (mulaw: Uint8Array) => void
  readonly reject: (error: unknown) => void
  attempts: number
  abandoned: boolean
}

type Seat = { worker: Worker | null; job: Job | null; watch: Scope | null }

/** A bounded set of voice threads behind two bounded queues: callers first, cache filling when nobody waits, on one thread at most. */
export class FlitePool {
  readonly #clock: Clock
  readonly #seats: Seat[]
  readonly #live: Job[] = []
  readonly #warm: Job[] = []
  #lastId = 0
  #closed = false

  constructor(options: Readonly<{ clock: Clock; workers?: number }>) {
    const workers = options.workers ?? DEFAULT_WORKERS
    if (!Number.isInteger(workers) || workers < 1) throw new RangeError(`workers must be a positive integer, got ${workers}`)
    this.#clock = options.clock
    this.#seats = Array.from({ length: workers }, () => ({ worker: null, job: null, watch: null }))
  }

  /** Clauses waiting for a thread. */
  get queued(): number {
    return this.#live.length + this.#warm.length
  }

  /** Clauses that a caller waits for. */
  get unfinished(): number {
    return this.#live.length + this.#seats.filter((seat) => seat.job?.priority === 'live').length
  }

  /** The threads that run now; for diagnosis, and for a test that kills one. */
  get workers(): readonly Worker[] {
    return this.#seats.flatMap((seat) => (seat.worker === null ? [] : [seat.worker]))
  }

  /** One clause as µ-law. Rejects with the signal's reason at once, ENGINE_UNAVAILABLE (queue full, closed) or ENGINE_FAILED. */
  speak(clause: Omit<FliteRequest, 'id'>, priority: Priority, signal: AbortSignal): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      if (this.#closed) return reject(new ClientsViaError('ENGINE_UNAVAILABLE', 'the embedded voice is closed'))
      const queue = priority === 'live' ? this.#live : this.#warm
      if (queue.length >= (priority === 'live' ? MAX_LIVE_CLAUSES : MAX_WARM_CLAUSES)) {
        return reject(new ClientsViaError('ENGINE_UNAVAILABLE', 'the embedded voice has too many sentences waiting', { queued: queue.length }))
      }
      const onAbort = (): void => {
        job.abandoned = true
        const position = queue.indexOf(job)
        if (position >= 0) queue.splice(position, 1)
        reject(signal.reason)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      const job: Job = {
        request: { ...clause, id: ++this.#lastId },
        priority,
        resolve: (mulaw) => {
          signal.removeEventListener('abort', onAbort)
          resolve(mulaw)
        },
        reject: (error) => {
          signal.removeEventListener('abort', onAbort)
          reject(error)
        },
        attempts: 0,
        abandoned: false,
      }
      queue.push(job)
      this.#dispatch()
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    const closed = new ClientsViaError('ENGINE_UNAVAILABLE', 'the embedded voice is closed')
    for (const job of [...this.#live.splice(0), ...this.#warm.splice(0)]) job.reject(closed)
    await Promise.all(
      this.#seats.map(async (seat) => {
        const { worker, job } = seat
        this.#clear(seat)
        if (job !== null) job.reject(closed)
        seat.worker = null
        if (worker !== null) await worker.terminate()
      }),
    )
  }

  #dispatch(): void {
    for (const seat of this.#seats) {
      if (seat.job !== null) continue
      const job = this.#live.shift() ?? (this.#warming() ? undefined : this.#warm.shift())
      if (job === undefined) return
      this.#start(seat, job)
    }
  }

  #warming(): boolean {
    return this.#seats.some((seat) => seat.job?.priority === 'warm')
  }

  #start(seat: Seat, job: Job): void {
    const worker = seat.worker ?? this.#hire(seat)
    seat.job = job
    job.attempts += 1
    // A thread keeps the process alive while somebody waits for it, and only then.
    worker.ref()
    worker.postMessage(job.request)
    const watch = new Scope()
    seat.watch = watch
    this.#clock.sleep(CLAUSE_DEADLINE_MS, watch.signal).then(
      () => this.#lost(seat, worker, new Error(`no answer within ${CLAUSE_DEADLINE_MS} ms`)),
      () => undefined,
    )
  }

  #hire(seat: Seat): Worker {
    const worker = new Worker(new URL('./flite-worker.ts', import.meta.url), { execArgv: QUIET_ABOUT_WASI })
    seat.worker = worker
    worker.on('message', (reply: FliteReply) => this.#settle(seat, worker, reply))
    worker.on('error', (error) => this.#lost(seat, worker, error))
    worker.on('exit', (code) => this.#lost(seat, worker, new Error(`the voice thread ended with status ${code}`)))
    return worker
  }

  #settle(seat: Seat, worker: Worker, reply: FliteReply): void {
    const job = seat.job
    if (seat.worker !== worker || job === null || job.request.id !== reply.id) return
    this.#clear(seat)
    worker.unref()
    if (reply.kind === 'spoken') job.resolve(reply.mulaw)
    else job.reject(new ClientsViaError('ENGINE_FAILED', `the embedded voice could not speak a clause: ${reply.reason}`))
    this.#dispatch()
  }

  /** The thread crashed or hangs: its clause goes to the head of the queue for a new thread, once. */
  #lost(seat: Seat, worker: Worker, cause: unknown): void {
    if (seat.worker !== worker) return
    const job = seat.job
    seat.worker = null
    this.#clear(seat)
    worker.unref()
    void worker.terminate()
    if (job !== null && !job.abandoned) {
      if (job.attempts < ATTEMPTS) (job.priority === 'live' ? this.#live : this.#warm).unshift(job)
      else job.reject(new ClientsViaError('ENGINE_FAILED', 'the embedded voice crashed twice on one clause', {}, { cause }))
    }
    this.#dispatch()
  }

  #clear(seat: Seat): void {
    seat.job = null
    const watch = seat.watch
    seat.watch = null
    watch?.end(new ScopeEnded())
  }
}
