import cluster, { type Worker } from 'node:cluster'
import { availableParallelism } from 'node:os'
import { AggregatorRegistry } from 'prom-client'
import { CallLedger } from '../call/call-directory.ts'
import type { Clock } from '../core/clock.ts'
import { Scope } from '../core/scope.ts'
import type { Logger } from '../observability/logger.ts'
import { InMemoryMediaTokens } from '../telephony/media-tokens.ts'
import { PrimaryLink } from './primary-link.ts'
import { channelTo } from './process-channel.ts'
import type { WorkerPlace } from './worker-place.ts'

export type PrimaryOptions = Readonly<{
  clock: Clock
  logger: Logger
  workers: number
  maxCalls: number
  /** The environment of every worker process. */
  environment: NodeJS.ProcessEnv
  shutdownGraceMs: number
}>

/** A worker that dies at once again and again must not keep a processor busy with starting it. */
const FIRST_RESTART_MS = 200
const LONGEST_RESTART_MS = 10_000
/** One that lived this long died of something new. */
const LIVED_MS = 60_000
/** After the calls' grace: closing stores and engines. */
const CLOSING_MS = 15_000

/**
 * Starts the worker processes, keeps what they share, and replaces one that dies. The first one does what must be done once: seeding,
 * the first owner, sweeps. Resolves when every worker has ended after `stop`.
 */
export function runPrimary(options: PrimaryOptions): Readonly<{ over: Promise<void>; stop: () => void }> {
  const { clock, logger } = options
  const lifetime = new Scope()
  const aggregator = new AggregatorRegistry()
  const link = new PrimaryLink({
    ledger: new CallLedger({ maxCalls: options.maxCalls }),
    tokens: new InMemoryMediaTokens(clock),
    metrics: () => aggregator.clusterMetrics(),
    // The first migrates and seeds the store and makes the model files that the others read: they start when it is done.
    ready: () => {
      if (!othersStarted) for (let place = 1; place < options.workers; place++) start(place, 0)
      othersStarted = true
    },
  })
  const { promise: over, resolve: finish } = Promise.withResolvers<void>()
  const alive = new Map<number, Worker>()
  let othersStarted = false
  // Two cores and two processes: each needs a recogniser thread, and no more.
  const sttWorkers = options.environment['STT_WORKERS'] ?? String(Math.max(1, Math.floor((availableParallelism() - 1) / options.workers)))

  const start = (place: number, restarts: number): void => {
    const worker = cluster.fork({ ...options.environment, STT_WORKERS: sttWorkers, ...placeEnvironment({ place, of: options.workers }) })
    const name = `${place}.${worker.id}`
    const bornAt = clock.now()
    alive.set(place, worker)
    link.join(name, channelTo(worker))
    worker.once('exit', (code, killedBy) => {
      alive.delete(place)
      link.leave(name)
      if (lifetime.ended) {
        if (alive.size === 0) finish()
        return
      }
      const again = clock.now() - bornAt > LIVED_MS ? 0 : restarts + 1
      logger.error({ worker: place, code, killedBy, restarts: again }, 'worker process ended, starting another')
      const pauseMs = Math.min(LONGEST_RESTART_MS, FIRST_RESTART_MS * 2 ** Math.max(0, again - 1))
      void clock.sleep(pauseMs, lifetime.signal).then(
        () => start(place, again),
        () => undefined,
      )
    })
  }
  start(0, 0)

  return {
    over,
    stop: () => {
      if (lifetime.ended) return
      lifetime.end('the server stops')
      link.broadcast('stop', null)
      if (alive.size === 0) finish()
      void clock.sleep(options.shutdownGraceMs + CLOSING_MS, new Scope().signal).then(() => {
        for (const worker of alive.values()) worker.kill('SIGKILL')
      })
    },
  }
}

function placeEnvironment(place: WorkerPlace): Record<string, string> {
  return { CLIENTSVIA_WORKER: `${place.place}/${place.of}` }
}
