import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { ClientsViaError } from '../core/errors.ts'
import type { DomainEvent } from '../events/event.ts'
import type { ReportProblem } from './embedded-documents.ts'
import type { EmbeddedRepositories } from './embedded-repositories.ts'
import type { StoreReply, StoreRequest, StoreWorkerData, WireError } from './embedded-worker.ts'

export interface EmbeddedStore extends EmbeddedRepositories {
  /** Requests sent and not yet answered. */
  readonly waiting: number
  /** Lets what was asked finish, then closes the file. Idempotent. */
  close(): Promise<void>
}

export type EmbeddedStoreOptions = Readonly<{
  /** Made if it is not there; the file in it is `clientsvia.db`. */
  dataDir: string
  /** A stored document that cannot be read, found while reading others: for the log. */
  onProblem: ReportProblem
  /** What happened and is on the disk: each event once, in the process that wrote it. */
  onEvent?: (event: DomainEvent) => void
}>

/**
 * At the 1,500 turn records a second that test/bench/store.ts measured this is more than three seconds of work. A store that far
 * behind is stuck, and saying so is better than growing until the process dies.
 */
const MAX_WAITING = 5000

/**
 * The store that comes with the server: one SQLite file, owned by a worker thread. A commit waits for the disk, now and then for tens of
 * milliseconds while SQLite checkpoints: that wait must not fall between two audio frames. A promise resolves once its write
 * is on the disk; one cut off by its signal may or may not have been stored. Throws STORE_FAILED when the file cannot be opened,
 * and from every method when the store is full, busy, overloaded or closed.
 */
export async function openEmbeddedStore(options: EmbeddedStoreOptions): Promise<EmbeddedStore> {
  const thread = new StoreThread(join(options.dataDir, 'clientsvia.db'), options.onProblem, options.onEvent ?? (() => undefined))
  await thread.ready()
  return {
    companies: remote(thread, 'companies'),
    agents: remote(thread, 'agents'),
    knowledge: remote(thread, 'knowledge'),
    calls: remote(thread, 'calls'),
    documents: remote(thread, 'documents'),
    eventLog: remote(thread, 'eventLog'),
    outbox: remote(thread, 'outbox'),
    leads: remote(thread, 'leads'),
    contacts: remote(thread, 'contacts'),
    messageTemplates: remote(thread, 'messageTemplates'),
    appointments: remote(thread, 'appointments'),
    get waiting() {
      return thread.waiting
    },
    close: () => thread.close(),
  }
}

/** A repository whose every method is asked of the thread. The compiler checks the calls: both sides share the contract. */
function remote<Name extends keyof EmbeddedRepositories>(thread: StoreThread, repository: Name): EmbeddedRepositories[Name] {
  return new Proxy({} as EmbeddedRepositories[Name], {
    get: (_, method) => {
      // Asked for when the object is awaited or printed; a repository is neither a promise nor a string.
      if (typeof method === 'symbol' || method === 'then') return undefined
      return (...values: readonly unknown[]) => thread.ask(repository, method, values)
    },
  })
}

type Pending = Readonly<{ resolve: (value: unknown) => void; reject: (reason: unknown) => void }>

class StoreThread {
  readonly #path: string
  readonly #onProblem: ReportProblem
  readonly #onEvent: (event: DomainEvent) => void
  readonly #pending = new Map<number, Pending>()
  #nextId = 1
  #worker: Worker | null = null
  #opening: Promise<void> | null = null
  #closing: Promise<void> | null = null

  constructor(path: string, onProblem: ReportProblem, onEvent: (event: DomainEvent) => void) {
    this.#path = path
    this.#onProblem = onProblem
    this.#onEvent = onEvent
  }

  get waiting(): number {
    return this.#pending.size
  }

  /** Starts the thread, or the next one after a crash. */
  ready(): Promise<void> {
    this.#opening ??= this.#open()
    return this.#opening
  }

  async ask(repository: keyof EmbeddedRepositories, method: string, values: readonly unknown[]): Promise<unknown> {
    const signal = values.find((value) => value instanceof AbortSignal)
    signal?.throwIfAborted()
    if (this.#closing !== null) throw new ClientsViaError('STORE_FAILED', 'the store is closed')
    if (this.#pending.size >= MAX_WAITING) throw new ClientsViaError('STORE_FAILED', `${MAX_WAITING} requests are waiting for the store`)
    const id = this.#nextId++
    const answered = new Promise<unknown>((resolve, reject) => {
      const onAbort = (): void => settle(() => reject(signal?.reason))
      const settle = (how: () => void): void => {
        this.#pending.delete(id)
        signal?.removeEventListener('abort', onAbort)
        how()
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#pending.set(id, { resolve: (value) => settle(() => resolve(value)), reject: (reason) => settle(() => reject(reason)) })
    })
    // A fixed place for the signal would differ from method to method; no method needs it on the other side.
    const sent = values.map((value) => (value instanceof AbortSignal ? undefined : value))
    try {
      if (this.#worker === null) await this.ready()
      this.#post({ kind: 'ask', id, repository, method, values: sent })
    } catch (error) {
      // The thread would not start, or a value cannot be sent to another thread.
      this.#pending.get(id)?.reject(error)
    }
    return answered
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  #post(request: StoreRequest): void {
    this.#worker?.postMessage(request)
  }

  async #open(): Promise<void> {
    const worker = new Worker(new URL('./embedded-worker.ts', import.meta.url), {
      name: 'embedded-store',
      workerData: { path: this.#path } satisfies StoreWorkerData,
      // It needs no secret, so it gets none.
      env: {},
    })
    await new Promise<void>((resolve, reject) => {
      worker.on('message', (reply: StoreReply) => {
        if (reply.kind === 'ready') {
          this.#worker = worker
          resolve()
        } else if (reply.kind === 'problem') this.#onProblem(storeError(reply.error))
        else if (reply.kind === 'event') this.#onEvent(reply.event)
        else if (reply.kind === 'result') this.#pending.get(reply.id)?.resolve(reply.value)
        else if (reply.id === null) reject(fromWire(reply.error))
        else this.#pending.get(reply.id)?.reject(fromWire(reply.error))
      })
      worker.on('error', (error) => this.#lose(worker, reject, error))
      worker.on('exit', () => this.#lose(worker, reject, null))
    })
  }

  /** Whatever was asked of a thread that is gone has no answer; the next request starts another thread. */
  #lose(worker: Worker, rejectOpening: (reason: unknown) => void, cause: unknown): void {
    const error = new ClientsViaError('STORE_FAILED', 'the store thread has ended', {}, { cause })
    rejectOpening(error)
    if (this.#worker !== worker && this.#worker !== null) return
    this.#worker = null
    this.#opening = null
    for (const pending of this.#pending.values()) pending.reject(error)
  }

  async #close(): Promise<void> {
    const worker = this.#worker
    if (worker === null) return
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
    // Requests are answered in order: this one comes after everything that was asked.
    this.#post({ kind: 'close' })
    await exited
  }
}

function fromWire(error: WireError): unknown {
  return error.kind === 'ours' ? new ClientsViaError(error.code, error.message, error.details) : error.error
}

function storeError(error: WireError): ClientsViaError {
  return error.kind === 'ours'
    ? new ClientsViaError(error.code, error.message, error.details)
    : new ClientsViaError('STORE_FAILED', 'a stored document cannot be read', {}, { cause: error.error })
}
