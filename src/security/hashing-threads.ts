import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Options } from '@node-rs/argon2'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { stopWorker } from '../core/stop-worker.ts'
import type { HashingReply, HashingRequest } from './hashing-worker.ts'
import type { HashingEngine } from './passwords.ts'

/** A hash takes 19 MiB and some 25 ms of a core: two of these are 80 sign-ins a second, and on a small machine one is enough. */
const MOST_THREADS = 2

type Pending = Readonly<{ resolve: (value: string | boolean) => void; reject: (reason: unknown) => void }>
type Thread = { readonly worker: Worker; readonly pending: Map<number, Pending> }

/** Argon2 on threads of its own, with a lower claim on the processor: signing in does not move a call. */
export class HashingThreads implements HashingEngine {
  readonly concurrency: number
  readonly #clock: Clock
  readonly #threads: Thread[] = []
  #nextId = 1

  constructor(clock: Clock, threads = Math.max(1, Math.min(MOST_THREADS, availableParallelism() - 1))) {
    this.#clock = clock
    this.concurrency = threads
  }

  async hash(password: string, options: Options): Promise<string> {
    return String(await this.#ask((id) => ({ kind: 'hash', id, password, options })))
  }

  async verify(stored: string, password: string): Promise<boolean> {
    return (await this.#ask((id) => ({ kind: 'verify', id, stored, password }))) === true
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.splice(0).map(({ worker }) => stopWorker(worker, this.#clock)))
  }

  #ask(requestOf: (id: number) => HashingRequest): Promise<string | boolean> {
    const thread = this.#leastBusy()
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      thread.pending.set(id, { resolve, reject })
      thread.worker.postMessage(requestOf(id))
    })
  }

  #leastBusy(): Thread {
    const free = this.#threads.find((thread) => thread.pending.size === 0)
    if (free !== undefined) return free
    if (this.#threads.length < this.concurrency) return this.#start()
    return this.#threads.reduce((least, thread) => (thread.pending.size < least.pending.size ? thread : least))
  }

  #start(): Thread {
    // It needs no secret but the one it is asked about, so it gets no environment.
    const worker = new Worker(new URL('./hashing-worker.ts', import.meta.url), { name: 'password-hashing', env: {} })
    // A server that has nothing else to do may end.
    worker.unref()
    const thread: Thread = { worker, pending: new Map() }
    this.#threads.push(thread)
    worker.on('message', (reply: HashingReply) => {
      const pending = thread.pending.get(reply.id)
      thread.pending.delete(reply.id)
      if ('error' in reply) pending?.reject(new ClientsViaError('ENGINE_FAILED', `a password could not be hashed: ${reply.error}`))
      else pending?.resolve(reply.value)
    })
    const lose = (): void => {
      const place = this.#threads.indexOf(thread)
      if (place >= 0) this.#threads.splice(place, 1)
      for (const pending of thread.pending.values()) pending.reject(new ClientsViaError('ENGINE_UNAVAILABLE', 'the thread that hashes passwords has ended'))
      thread.pending.clear()
    }
    worker.on('error', lose)
    worker.on('exit', lose)
    return thread
  }
}
