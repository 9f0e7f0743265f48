import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createBookingPlane } from '../../src/booking-plane.ts'
import { InMemoryCallDirectory } from '../../src/call/call-directory.ts'
import { loadConfig } from '../../src/config.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { Scope } from '../../src/core/scope.ts'
import type { Lead } from '../../src/events/lead.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { INITIAL_DIALOGUE, type DialogueState } from '../../src/response/dialogue.ts'
import { createResponder } from '../../src/response/intelligence-loop.ts'
import { MongoDatabase, PATIENT } from '../../src/storage/mongo-database.ts'
import { mongoRepositories } from '../../src/storage/mongo-repositories.ts'
import { migrateMongo } from '../../src/storage/mongo-schema.ts'
import { openStore } from '../../src/storage/open-store.ts'
import { contextOf, demoCompany, questionOf, replyTo } from '../support/fake-company.ts'
import { FaultyLink } from '../support/faulty-link.ts'
import { mongoService, type Service } from '../support/services.ts'

t.setTimeout(120_000)

/** All that the form wants to know, but for the city: after it free times are looked for. */
const DETAILS = ["Hi, I'd like to schedule an appointment.", 'My AC needs a repair.', 'Next Tuesday morning.', 'Jane Smith.', 'Yes.', '12 Palm Street.']
const CALLER = '+12395550142'
const mongo = await mongoService()
if (mongo !== null) withMongo(mongo)

/** A call that books, over a MongoDB behind a wire that can be cut or held. */
async function bookingCall(t: Test, service: Service) {
  const clock = new SystemClock()
  const name = `clientsvia-away-${process.pid}-${Math.floor(Math.random() * 1e6)}`
  const database = MongoDatabase.open(service.url, name, PATIENT)
  await migrateMongo(database, () => undefined)
  const wire = await FaultyLink.open(service)
  const dataDir = mkdtempSync(join(tmpdir(), 'clientsvia-away-'))
  const scope = new Scope()
  const logger = createLogger({ level: 'silent', speech: false, version: 'test' })
  const store = await openStore({
    config: loadConfig({ DATA_DIR: dataDir, MONGODB_URL: `mongodb://127.0.0.1:${wire.port}/${name}` }),
    clock, logger, directory: new InMemoryCallDirectory({ maxCalls: 10 }), onEvent: () => undefined, signal: scope.signal,
  })
  t.teardown(async () => {
    wire.set('up')
    scope.end('over')
    await store.close()
    await wire.close()
    await database.run((db) => db.dropDatabase())
    await database.close()
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 })
  })
  store.start(scope.signal)
  const context = contextOf(demoCompany('polar-bay-air'))
  const companyId = context.company.id
  await store.companies.save(companyId, context.company)
  const booking = createBookingPlane({ logger, clock, scope, store, contexts: { load: async () => context }, reveal: async () => null, publicBaseUrl: () => 'http://127.0.0.1' })
  const responder = createResponder({ model: null, desk: booking.desk })
  let dialogue: DialogueState = { ...INITIAL_DIALOGUE, greeted: true }
  let turn = 0
  const say = async (words: string): Promise<{ said: string; tookMs: number }> => {
    turn += 1
    const effects = booking.effects({ companyId, callSid: 'CA1', turn, committed: Promise.resolve() })
    const startedAt = clock.now()
    const reply = await replyTo(responder, { ...questionOf(context, words, { dialogue, wallTime: clock.wallTime(), turn }), from: CALLER, effects })
    dialogue = reply.dialogue
    return { said: reply.said, tookMs: clock.now() - startedAt }
  }
  const stored = mongoRepositories(database, { clock, report: (problem) => t.fail(problem.message) }, () => undefined)
  /** What people at the company find when the database is back. */
  const leadsAfterwards = async (): Promise<readonly Lead[]> => {
    wire.set('up')
    for (let i = 0; i < 400; i += 1) {
      const leads = await stored.leads.list(companyId, { before: null, limit: 10 })
      // Its event follows it.
      if (leads.length > 0 && (await stored.eventLog.newestId(companyId)) !== null) return leads
      await clock.sleep(50)
    }
    return []
  }
  return { wire, say, stored, leadsAfterwards, companyId }
}

function withMongo(service: Service): void {
  for (const state of ['down', 'hang'] as const) {
    void t.test(`MongoDB is ${state === 'down' ? 'stopped' : 'there and says nothing'} before a time is asked for: the caller is told and called back, and what they said is kept`, async (t) => {
      const { wire, say, stored, leadsAfterwards, companyId } = await bookingCall(t, service)
      for (const words of DETAILS) await say(words)
      wire.set(state)
      const answer = await say('Fort Myers.')
      t.match(answer.said, /can't see the calendar right now.*call you back/)
      t.ok(answer.tookMs < 4000, `within the deadline of one look, not of every one: ${Math.round(answer.tookMs)} ms`)
      t.match((await say("No, that's all, thank you.")).said, /\w/)
      t.match(await leadsAfterwards(), [{ kind: 'callback', phoneNumberE164: CALLER, callSid: 'CA1', summary: /repair/i }])
      t.match(await stored.eventLog.list(companyId, { after: null, limit: 10 }), [{ type: 'lead.created', callSid: 'CA1' }], 'and people are told of it once')
      t.same(await stored.appointments.list(companyId, { limit: 10 }), [])
    })
  }

  void t.test('MongoDB goes while the booking is made: it is either in the books or a person calls back, never neither', async (t) => {
    const { wire, say, stored, leadsAfterwards, companyId } = await bookingCall(t, service)
    let last = ''
    for (const words of [...DETAILS, 'Fort Myers.', 'The first one.']) last = (await say(words)).said
    t.match(last, /Shall I book it\?$/)
    wire.set('hang')
    const answer = await say('Yes, please.')
    t.match(answer.said, /can't book it right now.*call you back/)
    const leads = await leadsAfterwards()
    t.match(leads, [{ kind: 'callback', callerName: 'Jane Smith', phoneNumberE164: CALLER, callSid: 'CA1' }])
    const booked = await stored.appointments.list(companyId, { limit: 10 })
    t.ok(booked.every((one) => one.status === 'cancelled'), 'one that came through late is undone: the caller was told that it is not booked')
  })
}
