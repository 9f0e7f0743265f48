import { Worker } from 'node:worker_threads'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { orAborted, type Embedder } from './embedder.ts'

/** Questions repeat within and between calls, and speculation asks the same one twice. 2 KB each. */
const CACHED_VECTORS = 2000
/** Texts run together: 8 take about 60 ms, one alone 30 to 50 ms. */
const BATCH_TEXTS = 8
/** Beyond this the worker is a second behind; the lexical half answers alone. */
const MAX_WAITING_TEXTS = 128
/** A worker that dies is started again, each time later, at most this many times in a row. */
const MAX_RESTARTS = 5
const RESTART_BASE_MS = 500
/** Loading takes about a second. A worker that says nothing for this long hangs. */
const HANG_MS = 30_000

const messageSchema = z.union([
  z.object({ ready: z.literal(true) }),
  z.object({ id: z.number(), vectors: z.array(z.instanceof(Float32Array)) }),
  z.object({ id: z.number(), error: z.string() }),
])

type Job = { text: string; isQuestion: boolean; resolve: (vector: Float32Array) => void; reject: (error: unknown) => void; wanted: () => boolean }

/**
 * Universal Sentence Encoder lite (Apache-2.0, 512 dimensions, English) in a worker thread. Questions go before phrases that are
 * being indexed. A crashed worker rejects what it held with ENGINE_FAILED and is started again.
 */
export class EmbeddedEmbedder implements Embedder {
  readonly name = 'universal-sentence-encoder-lite@energetic-ai-0.2.0'
  readonly dimensions = 512
  readonly #clock: Clock
  readonly #cache = new LRUCache<string, Float32Array>({ max: CACHED_VECTORS })
  readonly #waiting: Job[] = []
  #running: { id: number; jobs: Job[] } | null = null
  #state: 'loading' | 'ready' | 'down' | 'closed' = 'loading'
  #worker: Worker | null = null
  #requestId = 0
  #restarts = 0
  readonly #life = new AbortController()

  /** `startAfter`: loading takes a second of a core, which a starting server has better uses for. Until then texts wait. */
  constructor(clock: Clock, startAfter?: Promise<unknown>) {
    this.#clock = clock
    if (startAfter === undefined) this.#worker = this.#start()
    else void startAfter.then(() => this.#state !== 'closed' && (this.#worker = this.#start()))
  }

  async embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]> {
    signal.throwIfAborted()
    return orAborted(Promise.all(texts.map((text) => this.#one(text, texts.length === 1, signal))), signal)
  }

  /** Questions that somebody waits for; phrases are indexed when there is time. */
  get unfinished(): number {
    if (this.#worker === null) return 0
    return [...this.#waiting, ...(this.#running?.jobs ?? [])].filter((job) => job.isQuestion).length
  }

  /** For tests and for whoever supervises the machine: ends the worker as a crash would. */
  async crash(): Promise<void> {
    await this.#worker?.terminate()
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    this.#life.abort(new ClientsViaError('ENGINE_UNAVAILABLE', 'the sentence encoder is closed'))
    this.#failAll(new ClientsViaError('ENGINE_UNAVAILABLE', 'the sentence encoder is closed'))
    await this.#worker?.terminate()
  }

  #one(text: string, isQuestion: boolean, signal: AbortSignal): Promise<Float32Array> {
    const known = this.#cache.get(text)
    if (known !== undefined) return Promise.resolve(known)
    if (this.#state === 'closed' || this.#state === 'down') {
      return Promise.reject(new ClientsViaError('ENGINE_UNAVAILABLE', 'the sentence encoder is not running'))
    }
    if (this.#waiting.length >= MAX_WAITING_TEXTS) {
      return Promise.reject(new ClientsViaError('ENGINE_UNAVAILABLE', 'the sentence encoder has too much to do'))
    }
    return new Promise((resolve, reject) => {
      const job: Job = { text, isQuestion, resolve, reject, wanted: () => !signal.aborted }
      const firstPhrase = isQuestion ? this.#waiting.findIndex((other) => !other.isQuestion) : -1
      if (firstPhrase === -1) this.#waiting.push(job)
      else this.#waiting.splice(firstPhrase, 0, job)
      this.#next()
    })
  }

  #next(): void {
    if (this.#state !== 'ready' || this.#running !== null) return
    const jobs: Job[] = []
    while (jobs.length < BATCH_TEXTS && this.#waiting.length > 0) {
      const job = this.#waiting[0] as Job
      // Questions do not share a batch with phrases: they would wait for them.
      if (jobs[0]?.isQuestion === true && !job.isQuestion) break
      this.#waiting.shift()
      if (job.wanted()) jobs.push(job)
      else job.reject(new ClientsViaError('ENGINE_UNAVAILABLE', 'nobody waits for it any more'))
    }
    if (jobs.length === 0) return
    const id = ++this.#requestId
    this.#running = { id, jobs }
    this.#worker?.postMessage({ id, texts: jobs.map((job) => job.text) })
    void this.#watch(id)
  }

  async #watch(id: number): Promise<void> {
    const running = new AbortController()
    const done = (): void => running.abort(new ClientsViaError('ENGINE_UNAVAILABLE', 'finished'))
    this.#life.signal.addEventListener('abort', done, { once: true })
    this.#settled = done
    try {
      await this.#clock.sleep(HANG_MS, running.signal)
      if (this.#running?.id === id) await this.#worker?.terminate()
    } catch (error) {
      if (!running.signal.aborted) throw error
    } finally {
      this.#life.signal.removeEventListener('abort', done)
    }
  }

  /** Ends the watch over the batch that runs. */
  #settled: () => void = () => undefined

  #start(): Worker {
    this.#state = 'loading'
    const worker = new Worker(new URL('./embedder-worker.ts', import.meta.url))
    worker.unref()
    worker.on('message', (message: unknown) => this.#onMessage(message))
    worker.on('error', () => undefined)
    worker.on('exit', () => this.#onExit())
    return worker
  }

  #onMessage(raw: unknown): void {
    const message = messageSchema.parse(raw)
    if ('ready' in message) {
      this.#state = 'ready'
      this.#next()
      return
    }
    const running = this.#running
    if (running === null || running.id !== message.id) return
    this.#running = null
    this.#restarts = 0
    this.#settled()
    if ('error' in message) {
      for (const job of running.jobs) job.reject(new ClientsViaError('ENGINE_FAILED', `the sentence encoder failed: ${message.error}`))
    } else {
      for (const [index, job] of running.jobs.entries()) {
        const vector = unitLength(message.vectors[index] ?? new Float32Array(this.dimensions))
        this.#cache.set(job.text, vector)
        job.resolve(vector)
      }
    }
    this.#next()
  }

  #onExit(): void {
    if (this.#state === 'closed') return
    this.#state = 'down'
    this.#settled()
    this.#failAll(new ClientsViaError('ENGINE_FAILED', 'the sentence encoder stopped'))
    if (this.#restarts >= MAX_RESTARTS) return
    this.#restarts++
    void this.#startAgain()
  }

  async #startAgain(): Promise<void> {
    try {
      await this.#clock.sleep(RESTART_BASE_MS * 2 ** (this.#restarts - 1), this.#life.signal)
      this.#worker = this.#start()
    } catch (error) {
      if (!this.#life.signal.aborted) throw error
    }
  }

  #failAll(error: ClientsViaError): void {
    const jobs = [...(this.#running?.jobs ?? []), ...this.#waiting.splice(0)]
    this.#running = null
    for (const job of jobs) job.reject(error)
  }
}

function unitLength(vector: Float32Array): Float32Array {
  let square = 0
  for (const value of vector) square += value * value
  if (square === 0) return vector
  const length = Math.sqrt(square)
  return vector.map((value) => value / length)
}
