export type Overflow = 'drop-oldest' | 'refuse'

/**
 * The one queue of the road. Bounded by construction: live audio drops the oldest and counts it, commands refuse the newest.
 * One consumer at a time. `close()` lets what is queued drain, `fail()` does too and then throws.
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly capacity: number
  readonly overflow: Overflow
  #items: T[] = []
  #droppedCount = 0
  #state: 'open' | 'closed' | 'failed' = 'open'
  #error: unknown = null
  #wake: (() => void) | null = null

  constructor(capacity: number, overflow: Overflow) {
    if (!Number.isInteger(capacity) || capacity < 1) throw new RangeError(`capacity must be a positive integer, got ${capacity}`)
    this.capacity = capacity
    this.overflow = overflow
  }

  get size(): number {
    return this.#items.length
  }

  get droppedCount(): number {
    return this.#droppedCount
  }

  /** False when the item was refused (queue full under 'refuse', or queue closed). */
  push(item: T): boolean {
    if (this.#state !== 'open') return false
    if (this.#items.length >= this.capacity) {
      this.#droppedCount += 1
      if (this.overflow === 'refuse') return false
      this.#items.shift()
    }
    this.#items.push(item)
    this.#wakeReader()
    return true
  }

  close(): void {
    if (this.#state !== 'open') return
    this.#state = 'closed'
    this.#wakeReader()
  }

  fail(error: unknown): void {
    if (this.#state !== 'open') return
    this.#state = 'failed'
    this.#error = error
    this.#wakeReader()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      while (this.#items.length > 0) yield this.#items.shift() as T
      if (this.#state === 'failed') throw this.#error
      if (this.#state === 'closed') return
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #wakeReader(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }
}
