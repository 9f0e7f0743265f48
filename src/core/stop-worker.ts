import type { Worker } from 'node:worker_threads'
import type { Clock } from './clock.ts'
import { Scope } from './scope.ts'

/** What a worker with native code is told instead of being terminated. */
export type StopRequest = Readonly<{ kind: 'stop' }>

/** Loading a model is the longest native step, a few seconds on a slow machine; a worker silent for longer is stuck for good. */
const STOP_WITHIN_MS = 10_000

/**
 * Ends a worker that runs native code. `worker.terminate()` in the middle of a native call takes the whole process with it (the
 * addon throws into an isolate that is going away), so the worker is asked, and exits by itself between two steps. Terminates it only
 * when it does not answer.
 */
export async function stopWorker(worker: Worker, clock: Clock): Promise<void> {
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  const waiting = new Scope()
  worker.postMessage({ kind: 'stop' } satisfies StopRequest)
  const gaveUp = clock.sleep(STOP_WITHIN_MS, waiting.signal).then(
    () => worker.terminate(),
    () => undefined,
  )
  await Promise.race([exited, gaveUp])
  waiting.end('stopped')
}
