import { join } from 'node:path'
import t from 'tap'
import type { CallRecord } from '../../src/call/call-record.ts'
import { loadConfig } from '../../src/config.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { loadScript } from '../../src/load/call-script.ts'
import type { CallerTransport } from '../../src/load/caller-transport.ts'
import { placeCall } from '../../src/load/simulated-caller.ts'
import { SocketTransport } from '../../src/load/socket-transport.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { createPlatform } from '../../src/platform.ts'
import { MongoCallRepository } from '../../src/storage/mongo-call-repository.ts'
import { MongoDatabase, PATIENT } from '../../src/storage/mongo-database.ts'
import { migrateMongo } from '../../src/storage/mongo-schema.ts'
import { dataDir } from '../support/data-dir.ts'
import { FaultyLink } from '../support/faulty-link.ts'
import { mongoService, redisService, type Service } from '../support/services.ts'
import { until } from '../support/until.ts'

const RECORDINGS = join(import.meta.dirname, '../../media/calls')
const COMPANY = 'polar-bay-air'
const clock = new SystemClock()
const never = new AbortController().signal

// Calls are as long as people speak.
t.setTimeout(150_000)

const mongo = await mongoService()
const redis = await redisService(3)
if (mongo !== null && redis !== null) storeFaults(mongo, redis)

function storeFaults(mongo: Service, redis: Service): void {
  t.test('Redis and MongoDB are stopped in the middle of one call and before another: both are answered, and no record is lost', { timeout: 150_000 }, async (t) => {
    const name = `clientsvia-calls-${process.pid}`
    const database = MongoDatabase.open(mongo.url, name, PATIENT)
    t.teardown(async () => {
      await database.run((db) => db.dropDatabase())
      await database.close()
    })
    await migrateMongo(database, () => undefined)
    const [mongoWire, redisWire] = [await FaultyLink.open(mongo), await FaultyLink.open(redis)]
    const config = loadConfig({
      PORT: '0',
      DATA_DIR: dataDir(t),
      SHUTDOWN_GRACE_SECONDS: '1',
      // Nor does a busy machine turn the calls of this test away.
      LOOP_LAG_LIMIT_MS: '600000',
      ADMIN_EMAIL: 'owner@example.com',
      ADMIN_PASSWORD: 'a heron waits for the tide',
      STT_WORKERS: '1',
      MONGODB_URL: `mongodb://127.0.0.1:${mongoWire.port}/${name}`,
      REDIS_URL: redis.url.replace(`${redis.host}:${redis.port}`, `127.0.0.1:${redisWire.port}`),
    })
    const platform = await createPlatform(config, createLogger({ level: 'silent', speech: false, version: 'test' }))
    t.teardown(async () => {
      await platform.stop()
      await Promise.all([mongoWire.close(), redisWire.close()])
    })
    const { publicBaseUrl: target } = await platform.start()
    const script = await loadScript(RECORDINGS, 'faq-hours')
    const call = async (transport: CallerTransport = new SocketTransport(clock, null)) => placeCall({ clock, transport, target, script }, never)
    const ready = async (): Promise<{ status: string; parts: Record<string, { ok: boolean; detail: string }> }> =>
      (await (await fetch(`${target}/readyz`)).json()) as { status: string; parts: Record<string, { ok: boolean; detail: string }> }

    const underWay = call()
    while (platform.service.registry.liveCount === 0) await clock.sleep(20)
    // Into the greeting: the call has begun in both stores.
    await clock.sleep(800)
    mongoWire.set('down')
    // The worse half: it neither answers nor closes.
    redisWire.set('hang')
    await clock.sleep(300)
    const during = await call()
    redisWire.set('down')
    const before = await underWay
    const health = await ready()
    t.equal(health.status, 'ok', 'the server stays in use')
    t.match(health.parts['mongodb']?.detail, /degraded.*records wait on this disk/)
    t.match(health.parts['redis']?.detail, /degraded/)

    for (const evidence of [before, during]) t.same(evidence.problems, [])
    mongoWire.set('up')
    redisWire.set('up')
    const stored = new MongoCallRepository(database, { clock, report: (problem) => t.fail(problem.message) })
    const finished = async (callSid: string): Promise<CallRecord | null> => {
      for (let i = 0; i < 300; i += 1) {
        const record = await stored.get(COMPANY, callSid)
        if (record !== null && record.endedAt !== null) return record
        await clock.sleep(50)
      }
      return stored.get(COMPANY, callSid)
    }
    for (const evidence of [before, during]) {
      const record = await finished(evidence.callSid)
      t.match(record, { companyId: COMPANY, callSid: evidence.callSid, outcome: /completed|caller-hung-up/ })
      const turns = await stored.turns(COMPANY, evidence.callSid)
      t.same(turns.map((turn) => turn.turn), [...turns.keys()], 'every turn, each once')
      // Which words, on a machine as busy as a test's may be, is not for this test to say.
      t.ok(turns.some((turn) => turn.turn > 0 && turn.delivered !== ''), 'the caller was answered')
    }
    await until(async () => !JSON.stringify(await ready()).includes('"degraded":true'))
  })
}
