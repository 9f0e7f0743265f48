import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { Scope, ScopeEnded } from '../core/scope.ts'

/** One way to an answer. It starts when `afterMs` have passed, or as soon as every way before it has come to nothing. */
export type Attempt<T> = Readonly<{ name: string; afterMs: number; run: (signal: AbortSignal) => Promise<T | null> }>

/** `scope` is the winner's: an answer that goes on does so until whoever reads it ends it. */
export type Hedged<T> = Readonly<{ value: T; name: string; scope: Scope }>

/**
 * The first good answer of several ways, the better one given a start. A way that fails or has nothing costs no time: the next begins
 * at once. Null when none was good by `deadlineMs`; the others are cut off. Rejects only with the signal's reason.
 */
export async function hedged<T>(
  clock: Clock,
  attempts: readonly Attempt<T>[],
  deadlineMs: number,
  signal: AbortSignal,
  onFailure: (name: string, error: unknown) => void,
): Promise<Hedged<T> | null> {
  signal.throwIfAborted()
  const race = Promise.withResolvers<Hedged<T> | null>()
  const timers = new Scope()
  const runs = attempts.map((attempt) => ({ attempt, scope: new Scope(), start: Promise.withResolvers<void>(), state: 'open' as 'open' | 'out' }))
  const onAbort = (): void => race.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const startNext = (): void => {
    const next = runs.findIndex((run) => run.state === 'open')
    if (next === -1) race.resolve(null)
    else runs[next]?.start.resolve()
  }
  for (const run of runs) {
    void clock.sleep(run.attempt.afterMs, timers.signal).then(run.start.resolve, () => undefined)
    void run.start.promise
      .then(() => (run.scope.ended ? null : run.attempt.run(run.scope.signal)))
      .catch((error: unknown) => {
        if (!run.scope.ended) onFailure(run.attempt.name, error)
        return null
      })
      .then((value) => {
        if (value !== null) race.resolve({ value, name: run.attempt.name, scope: run.scope })
        run.state = 'out'
        startNext()
      })
  }
  startNext()
  void clock.sleep(Math.max(0, deadlineMs), timers.signal).then(
    () => {
      for (const run of runs) if (run.state === 'open') onFailure(run.attempt.name, new ClientsViaError('DEADLINE_PASSED', `no answer within ${Math.round(deadlineMs)} ms`))
      race.resolve(null)
    },
    () => undefined,
  )
  let winner: Scope | null = null
  try {
    const won = await race.promise
    winner = won?.scope ?? null
    return won
  } finally {
    signal.removeEventListener('abort', onAbort)
    timers.end(new ScopeEnded())
    for (const run of runs) if (run.scope !== winner) run.scope.end(signal.aborted ? signal.reason : new ScopeEnded())
  }
}
