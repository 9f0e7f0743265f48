import { MongoDatabase } from '../../../src/storage/mongo-database.ts'
import { migrateMongo } from '../../../src/storage/mongo-schema.ts'
import { FaultyStore, MONGO_WIRE, REDIS_WIRE } from '../../vendors/faulty-store.ts'
import { FAULTS, clock } from '../../vendors/faults.ts'
import type { Platform } from '../../../src/platform.ts'
import type { FaultSubject } from './fault-calls.ts'

/** What comes along speaks, listens and answers: nothing but the store can be ill. */
const OWN_ENGINES = { STT_ENGINE: 'embedded', TTS_ENGINE: 'embedded', LLM_ENGINE: 'none', EMBEDDINGS_ENGINE: 'embedded' } as const
/** Probes of a store that was away are up to ten seconds apart. */
const WELL_WITHIN_MS = 30_000
const POLL_MS = 50

let lanes = 0

/** Sessions, leases and caches in a real Redis (TEST_REDIS_URL), over a wire that can be ill. */
export async function sharing(): Promise<FaultSubject> {
  const url = new URL(given('TEST_REDIS_URL'))
  // Calls of another lane are another installation's.
  const database = (lanes += 1) % 16
  const wire = await FaultyStore.open({ host: url.hostname, port: Number(url.port) }, REDIS_WIRE)
  return {
    name: 'shared state (Redis)',
    faults: FAULTS,
    environment: { ...OWN_ENGINES, REDIS_URL: `redis://127.0.0.1:${wire.port}/${database}` },
    during: 'caller-speaks',
    fail: (fault) => wire.fail(fault),
    fresh: undegraded,
    healed: undegraded,
    stop: () => wire.close(),
  }
}

/** Every record in a real MongoDB (TEST_MONGODB_URL), over a wire that can be ill. */
export async function keeping(): Promise<FaultSubject> {
  const mongoUrl = given('TEST_MONGODB_URL')
  const url = new URL(mongoUrl)
  const name = `clientsvia-faults-${process.pid}-${(lanes += 1)}`
  const database = MongoDatabase.open(mongoUrl, name)
  await migrateMongo(database, () => undefined)
  const wire = await FaultyStore.open({ host: url.hostname, port: Number(url.port) }, MONGO_WIRE)
  return {
    name: 'records (MongoDB)',
    faults: FAULTS,
    environment: { ...OWN_ENGINES, MONGODB_URL: `mongodb://127.0.0.1:${wire.port}/${name}` },
    during: 'caller-speaks',
    fail: (fault) => wire.fail(fault),
    fresh: undegraded,
    healed: undegraded,
    stop: async () => {
      await wire.close()
      await database.run((db) => db.dropDatabase())
      await database.close()
    },
  }
}

/** Until the server says that nothing is away any more, and that nothing waits to be written. */
async function undegraded(platform: Platform): Promise<void> {
  const since = clock.now()
  while (clock.now() - since < WELL_WITHIN_MS) {
    const { body } = await platform.app.inject({ method: 'GET', url: '/readyz', remoteAddress: '127.0.0.1' })
    if (!/degraded/.test(body)) return
    await clock.sleep(POLL_MS)
  }
}

function given(variable: string): string {
  const url = process.env[variable]
  if (url === undefined) throw new Error(`${variable} names the server: source .ci/services in a bash first`)
  return url
}
