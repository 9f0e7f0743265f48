import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { SystemClock } from '../core/clock.ts'
import { isClientsViaError, type ErrorCode } from '../core/errors.ts'
import type { DomainEvent } from '../events/event.ts'
import { EmbeddedDatabase } from './embedded-database.ts'
import { onEvent } from './embedded-event-log.ts'
import { MIGRATIONS } from './embedded-migrations.ts'
import { makeRepositories, type EmbeddedRepositories } from './embedded-repositories.ts'

/** The thread that owns the database file: one request after another, each acknowledged only once it is on the disk. */
export type StoreRequest =
  | Readonly<{ kind: 'ask'; id: number; repository: keyof EmbeddedRepositories; method: string; values: readonly unknown[] }>
  | Readonly<{ kind: 'close' }>
export type StoreReply =
  | Readonly<{ kind: 'ready' }>
  | Readonly<{ kind: 'result'; id: number; value: unknown }>
  | Readonly<{ kind: 'failure'; id: number | null; error: WireError }>
  | Readonly<{ kind: 'problem'; error: WireError }>
  | Readonly<{ kind: 'event'; event: DomainEvent }>
/** Our own errors by their parts; any other error is a defect and crosses as it is. */
export type WireError =
  | Readonly<{ kind: 'ours'; code: ErrorCode; message: string; details: Readonly<Record<string, unknown>> }>
  | Readonly<{ kind: 'defect'; error: unknown }>
export type StoreWorkerData = Readonly<{ path: string }>

if (parentPort === null) throw new Error('embedded-worker runs in a worker thread')
const port = parentPort
const reply = (message: StoreReply): void => port.postMessage(message)

try {
  serve((workerData as StoreWorkerData).path)
} catch (error) {
  reply({ kind: 'failure', id: null, error: toWire(error) })
  port.close()
}

function serve(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const database = EmbeddedDatabase.open(path)
  database.migrate(MIGRATIONS)
  onEvent(database, (event) => reply({ kind: 'event', event }))
  const repositories = makeRepositories(database, { clock: new SystemClock(), report: (problem) => reply({ kind: 'problem', error: toWire(problem) }) })
  port.on('message', (request: StoreRequest) => {
    if (request.kind === 'close') {
      database.close()
      port.close()
      return
    }
    answer(repositories, request).then(
      (value) => reply({ kind: 'result', id: request.id, value }),
      (error: unknown) => reply({ kind: 'failure', id: request.id, error: toWire(error) }),
    )
  })
  reply({ kind: 'ready' })
}

async function answer(repositories: EmbeddedRepositories, request: Extract<StoreRequest, { kind: 'ask' }>): Promise<unknown> {
  const repository = repositories[request.repository]
  const method: unknown = Reflect.get(repository, request.method)
  if (typeof method !== 'function') throw new TypeError(`${request.repository} has no method ${request.method}`)
  return await Reflect.apply(method, repository, request.values)
}

function toWire(error: unknown): WireError {
  return isClientsViaError(error)
    ? { kind: 'ours', code: error.code, message: error.message, details: error.details }
    : { kind: 'defect', error }
}
