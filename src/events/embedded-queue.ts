import type { Dispatch, DispatchQueue } from './dispatch-queue.ts'

/** Far above what a scan finds at once; beyond it the outbox keeps the rest. */
const CAPACITY = 10_000

/** The queue of one process. */
export class EmbeddedQueue implements DispatchQueue {
  /** Waiting, oldest first, and what is being worked on: an item is in one of them at most. */
  readonly #waiting = new Map<string, Dispatch>()
  readonly #working = new Set<string>()
  #wake: () => void = () => undefined

  async offer(items: readonly Dispatch[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    for (const item of items) {
      const key = `${item.companyId}/${item.itemId}`
      if (this.#working.has(key) || this.#waiting.size >= CAPACITY) continue
      this.#waiting.set(key, item)
    }
    this.#wake()
  }

  async consume(work: (item: Dispatch) => Promise<void>, concurrency: number, signal: AbortSignal): Promise<void> {
    const running = new Set<Promise<void>>()
    const onAbort = (): void => this.#wake()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      while (!signal.aborted) {
        const next = running.size < concurrency ? this.#take() : null
        if (next === null) {
          await new Promise<void>((resolve) => (this.#wake = resolve))
          continue
        }
        const done = work(next.item)
          .catch(() => undefined)
          .finally(() => {
            this.#working.delete(next.key)
            running.delete(done)
            this.#wake()
          })
        running.add(done)
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      await Promise.all(running)
    }
  }

  async close(): Promise<void> {
    this.#waiting.clear()
  }

  #take(): Readonly<{ key: string; item: Dispatch }> | null {
    for (const [key, item] of this.#waiting) {
      this.#waiting.delete(key)
      this.#working.add(key)
      return { key, item }
    }
    return null
  }
}
