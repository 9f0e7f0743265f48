import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { ClientsViaError } from '../core/errors.ts'
import type { Dispatch, DispatchQueue } from '../events/dispatch-queue.ts'
import { EmbeddedQueue } from '../events/embedded-queue.ts'

export type BullMqQueueOptions = Readonly<{
  url: string
  /** Of every key in Redis; processes that share work share it. */
  prefix?: string
  /** Redis is away: this process works for itself until it is back. */
  onProblem: (error: unknown) => void
}>

const NAME = 'outbox'
/** Offering work may wait this long; a scan comes every second. */
const COMMAND_TIMEOUT_MS = 1000
const CONNECT_TIMEOUT_MS = 1000
/** A worker that is gone for this long has its work handed to another; the outbox decides whether it may still be done. */
const LOCK_MS = 120_000
/** How long an idle worker waits in one request to Redis, in seconds; also how late it notices that it is to stop. */
const DRAIN_DELAY_SECONDS = 2

/**
 * The queue of many processes, in Redis. It spreads the work; what is to be done, and by whom, the outbox alone knows. So nothing is lost with
 * Redis, and while it is away each process works on what it finds itself.
 */
export class BullMqQueue implements DispatchQueue {
  readonly #options: BullMqQueueOptions
  readonly #connection: Redis
  readonly #queue: Queue<Dispatch>
  readonly #local = new EmbeddedQueue()
  readonly #prefix: string

  constructor(options: BullMqQueueOptions) {
    this.#options = options
    this.#prefix = options.prefix ?? 'clientsvia'
    this.#connection = this.#connect({ commandTimeout: COMMAND_TIMEOUT_MS, enableOfflineQueue: false, maxRetriesPerRequest: 0 })
    this.#queue = new Queue(NAME, { connection: this.#connection, prefix: this.#prefix, skipVersionCheck: true })
    this.#queue.on('error', () => undefined)
  }

  /** When Redis is reached for the first time; before that, what is offered is worked on here. */
  async ready(): Promise<void> {
    await this.#queue.waitUntilReady()
  }

  async offer(items: readonly Dispatch[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    try {
      // BullMQ waits for its first connection, however long that takes.
      if (this.#connection.status !== 'ready') throw new ClientsViaError('STORE_FAILED', 'Redis is not connected')
      await this.#queue.addBulk(
        items.map((data) => ({
          name: 'item',
          data,
          // The same item twice is one job while it waits or is worked on; once it is over it is gone, and may be offered again.
          opts: { jobId: jobIdOf(data), removeOnComplete: true, removeOnFail: true },
        })),
      )
    } catch (error) {
      this.#options.onProblem(error)
      await this.#local.offer(items, signal)
    }
  }

  async consume(work: (item: Dispatch) => Promise<void>, concurrency: number, signal: AbortSignal): Promise<void> {
    // Waits in Redis for the next job, so it has a connection of its own, and no deadline on it.
    const connection = this.#connect({ maxRetriesPerRequest: null })
    const worker = new Worker<Dispatch>(NAME, (job) => (signal.aborted ? Promise.resolve() : work(job.data)), {
      connection, prefix: this.#prefix, concurrency, lockDuration: LOCK_MS, drainDelay: DRAIN_DELAY_SECONDS, skipVersionCheck: true,
    })
    worker.on('error', () => undefined)
    try {
      await this.#local.consume(work, concurrency, signal)
    } finally {
      // Waits for what is being worked on. Where Redis is away nothing is, and nobody is there to say goodbye to.
      if (connection.status === 'ready') await worker.close()
      else void worker.close(true).catch(() => undefined)
      connection.disconnect()
    }
  }

  async close(): Promise<void> {
    if (this.#connection.status === 'ready') await this.#queue.close().catch(() => undefined)
    else void this.#queue.close().catch(() => undefined)
    this.#connection.disconnect()
    await this.#local.close()
  }

  #connect(options: Readonly<{ commandTimeout?: number; enableOfflineQueue?: boolean; maxRetriesPerRequest: number | null }>): Redis {
    const redis = new Redis(this.#options.url, { ...options, connectTimeout: CONNECT_TIMEOUT_MS, retryStrategy: (attempt) => Math.min(2000, 50 * 2 ** Math.min(attempt, 10)) })
    // Every failed attempt to connect says why; without a listener each would end the process.
    redis.on('error', () => undefined)
    return redis
  }
}

/** BullMQ keeps the colon for itself. */
function jobIdOf({ companyId, itemId }: Dispatch): string {
  return `${Buffer.from(companyId).toString('base64url')}.${itemId}`
}
