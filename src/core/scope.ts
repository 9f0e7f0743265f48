/**
 * A lifetime: server > call > turn > reply. Ending a scope ends everything below it, newest first, and nothing above it.
 *
 * `AbortSignal.any` is not used: a signal derived from one long-lived signal keeps about 1 KB each after collection, which is
 * 226 MiB after 200,000 turns. A scope removes itself from its parent when it ends.
 */
export class Scope {
  readonly #controller = new AbortController()
  readonly #children = new Set<Scope>()
  readonly #parent: Scope | null

  constructor(parent: Scope | null = null) {
    this.#parent = parent
    if (parent === null) return
    if (parent.signal.aborted) this.#controller.abort(parent.signal.reason)
    else parent.#children.add(this)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get ended(): boolean {
    return this.#controller.signal.aborted
  }

  /** How many scopes below this one are still open; a test's way to see a leak. */
  get openChildren(): number {
    return this.#children.size
  }

  /** Idempotent. `reason` is what every pending await below rejects with. */
  end(reason: unknown): void {
    if (this.ended) return
    if (this.#parent !== null) this.#parent.#children.delete(this)
    for (const child of [...this.#children].reverse()) child.end(reason)
    this.#children.clear()
    this.#controller.abort(reason)
  }

  [Symbol.dispose](): void {
    this.end(new ScopeEnded())
  }
}

/** The reason of a scope that ended because its work was done. Without a stack: there are hundreds a turn, and nothing went wrong anywhere. */
export class ScopeEnded extends Error {
  constructor() {
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super('scope ended')
    Error.stackTraceLimit = stackTraceLimit
    this.name = 'ScopeEnded'
  }
}
