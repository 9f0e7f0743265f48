import { Scope, ScopeEnded } from '../core/scope.ts'
import type { Priority } from './speaking.ts'

/** One synthesis in progress and everybody who listens to it; it is stopped when the last listener leaves. */
export class SharedSynthesis {
  readonly priority: Priority
  readonly #source: (signal: AbortSignal) => AsyncIterable<Uint8Array>
  readonly #onEnd: (whole: Uint8Array | null) => void
  readonly #scope = new Scope()
  readonly #chunks: Uint8Array[] = []
  #listeners = 0
  #state: 'running' | 'done' | 'failed' = 'running'
  #error: unknown = null
  #waiters: (() => void)[] = []

  /** `onEnd` is called once, before any listener learns of the end: with the whole audio, or with null if it is not whole. */
  constructor(priority: Priority, source: (signal: AbortSignal) => AsyncIterable<Uint8Array>, onEnd: (whole: Uint8Array | null) => void) {
    this.priority = priority
    this.#source = source
    this.#onEnd = onEnd
  }

  /** Once. */
  start(): void {
    void this.#run()
  }

  get stopped(): boolean {
    return this.#scope.ended
  }

  /** From its first chunk, whenever one joins. */
  async *listen(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    signal.throwIfAborted()
    this.#listeners += 1
    const wake = (): void => this.#notify()
    signal.addEventListener('abort', wake, { once: true })
    try {
      for (let i = 0; ; ) {
        signal.throwIfAborted()
        const chunk = this.#chunks[i]
        if (chunk !== undefined) {
          i += 1
          yield chunk
        } else if (this.#state === 'done') return
        else if (this.#state === 'failed') throw this.#error
        else await new Promise<void>((resolve) => this.#waiters.push(resolve))
      }
    } finally {
      signal.removeEventListener('abort', wake)
      this.#listeners -= 1
      if (this.#listeners === 0 && this.#state === 'running') this.stop(new ScopeEnded())
    }
  }

  stop(reason: unknown): void {
    this.#scope.end(reason)
  }

  async #run(): Promise<void> {
    try {
      for await (const chunk of this.#source(this.#scope.signal)) {
        this.#chunks.push(chunk)
        this.#notify()
      }
      this.#scope.signal.throwIfAborted()
      this.#onEnd(Buffer.concat(this.#chunks))
      this.#state = 'done'
    } catch (error) {
      this.#error = error
      this.#state = 'failed'
      this.#onEnd(null)
    }
    this.#notify()
  }

  #notify(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }
}
