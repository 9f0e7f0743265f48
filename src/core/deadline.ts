import type { Clock } from './clock.ts'
import { ClientsViaError } from './errors.ts'
import { OneShot } from './one-shot.ts'
import { Scope, ScopeEnded } from './scope.ts'

/** One for all: an error of its own for each would look up where it was made, every few milliseconds of every reply. */
const FINISHED = new ScopeEnded()

/**
 * Runs `work` under a deadline. A late `work` is cut off: its signal aborts and the call rejects with DEADLINE_PASSED in the same
 * tick, whether or not `work` listens. Aborting `parent` rejects with the parent's reason.
 */
export async function withDeadline<T>(
  clock: Clock,
  durationMs: number,
  parent: AbortSignal | null,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  parent?.throwIfAborted()
  const scope = new Scope()
  const onParentAbort = (): void => scope.end(parent?.reason)
  parent?.addEventListener('abort', onParentAbort, { once: true })
  const expired = clock.sleep(durationMs, scope.signal).then(() => {
    const error = new ClientsViaError('DEADLINE_PASSED', `no result within ${Math.round(durationMs)} ms`, { durationMs })
    scope.end(error)
    throw error
  })
  try {
    return await Promise.race([work(scope.signal), expired])
  } finally {
    parent?.removeEventListener('abort', onParentAbort)
    scope.end(FINISHED)
    expired.catch(() => undefined)
  }
}

/**
 * A deadline for each piece of a stream. `until` settles with `work`, or rejects as soon as its deadline passes or the parent aborts, whether
 * or not `work` listens; between two of them no time passes. One timer a stream, where `withDeadline` would take one a piece. `close` it.
 */
export class MovingDeadline {
  readonly #timer: OneShot
  readonly #scope = new Scope()
  readonly #parent: AbortSignal
  /** Of what is awaited now; nothing happens where that has settled. */
  #reject: (reason: unknown) => void = () => undefined

  constructor(clock: Clock, parent: AbortSignal) {
    this.#parent = parent
    this.#timer = new OneShot(clock, this.#scope)
    parent.addEventListener('abort', this.#onAbort, { once: true })
  }

  until<T>(durationMs: number, work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      work.then(resolve, reject)
      if (this.#parent.aborted) return reject(this.#parent.reason)
      this.#reject = reject
      this.#timer.start(durationMs, () => this.#reject(new ClientsViaError('DEADLINE_PASSED', `no result within ${Math.round(durationMs)} ms`, { durationMs })))
    })
  }

  close(): void {
    this.#parent.removeEventListener('abort', this.#onAbort)
    this.#scope.end(FINISHED)
  }

  readonly #onAbort = (): void => this.#reject(this.#parent.reason)
}
