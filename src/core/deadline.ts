import type { Clock } from './clock.ts'
import { ClientsViaError } from './errors.ts'
import { Scope } from './scope.ts'

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
    scope.end(new Error('finished'))
    expired.catch(() => undefined)
  }
}
