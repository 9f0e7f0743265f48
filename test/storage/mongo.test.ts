import t from 'tap'
import { isClientsViaError, type ClientsViaError } from '../../src/core/errors.ts'
import type { DomainEvent } from '../../src/events/event.ts'
import { MongoAgentRepository } from '../../src/storage/mongo-agent-repository.ts'
import { MongoAppointmentRepository } from '../../src/storage/mongo-appointment-repository.ts'
import { MongoCallRepository } from '../../src/storage/mongo-call-repository.ts'
import { MongoCompanyRepository } from '../../src/storage/mongo-company-repository.ts'
import { MongoDatabase, PATIENT } from '../../src/storage/mongo-database.ts'
import { MongoDocumentRepository } from '../../src/storage/mongo-document-repository.ts'
import { MongoKnowledgeRepository } from '../../src/storage/mongo-knowledge-repository.ts'
import { checkMongoSchema, migrateMongo } from '../../src/storage/mongo-schema.ts'
import { mongoSecurityStore } from '../../src/storage/mongo-security-store.ts'
import { testSecurityStore } from '../security/repository-contract.ts'
import { mongoService } from '../support/services.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { event, NINE, visit } from '../booking/appointments.ts'
import { appointmentRepositoryContract } from './appointment-repository-contract.ts'
import { callRepositoryContract } from './call-repository-contract.ts'
import { company, entry, gap, turn } from './fixtures.ts'
import { agentRepositoryContract, companyRepositoryContract, knowledgeRepositoryContract } from './tenancy-repositories-contract.ts'

// Against SQLite each of the contracts' operations is microseconds, here several round trips.
t.setTimeout(120_000)

const mongo = await mongoService()
if (mongo !== null) mongoTests(mongo.url)

function mongoTests(url: string): void {
  const name = `clientsvia-test-${process.pid}`
  const database = MongoDatabase.open(url, name, PATIENT)
  t.before(async () => migrateMongo(database, () => undefined))
  t.teardown(async () => {
    await database.run((db) => db.dropDatabase())
    await database.close()
  })
  const problems: ClientsViaError[] = []
  const tools = { clock: new VirtualClock(), report: (problem: ClientsViaError): void => void problems.push(problem) }
  const collections = async (): Promise<string[]> => (await database.run((db) => db.listCollections().toArray())).map((one) => one.name)

  /** The same indexes, nothing in them. */
  const emptied = async (): Promise<MongoDatabase> => {
    for (const collection of await collections()) if (collection !== 'schema') await database.collection(collection).delete({})
    problems.length = 0
    return database
  }
  const tenancy = async () => {
    const empty = await emptied()
    return { companies: new MongoCompanyRepository(empty, tools), agents: new MongoAgentRepository(empty, tools), knowledge: new MongoKnowledgeRepository(empty, tools) }
  }

  void t.test('MongoDB keeps every contract', async (t) => {
    companyRepositoryContract(t, tenancy)
    agentRepositoryContract(t, tenancy)
    knowledgeRepositoryContract(t, tenancy)
    callRepositoryContract(t, async () => new MongoCallRepository(await emptied(), tools))
  })

  void t.test('and the contract of appointments', async (t) =>
    appointmentRepositoryContract(
      t,
      async () => {
        const events: DomainEvent[] = []
        const append = async (_: string, more: readonly DomainEvent[]): Promise<void> => void events.push(...more)
        return { appointments: new MongoAppointmentRepository(await emptied(), tools, { append }), eventTypes: async () => events.map((one) => one.type) }
      },
      { operations: 200, atOnce: 20 },
    ))

  void t.test('a process that dies while it books leaves no time taken and no event untold', async (t) => {
    const told: string[] = []
    const clock = new VirtualClock(new Date('2026-11-25T15:00:00Z'))
    const state = { dies: true }
    const append = async (_: string, events: readonly DomainEvent[]): Promise<void> => {
      if (state.dies) throw new Error('killed')
      told.push(...events.map((one) => one.type))
    }
    const appointments = new MongoAppointmentRepository(await emptied(), { ...tools, clock }, { append })
    const terms = { capacity: 1, now: '2026-11-25T15:00:00.000Z' }
    await t.rejects(appointments.create('a', visit('a', 'booked'), terms, [event(visit('a', 'booked'))]), { message: 'killed' })
    state.dies = false
    t.equal(await appointments.tellLeftBehind(), 1)
    t.same(told, ['appointment.booked'])
    t.equal(await appointments.tellLeftBehind(), 0)
    // Claimed, and the appointment never written.
    await appointments.delete('a', 'booked')
    const orphan = { appointmentId: 'never', version: 1, startsAtMs: Date.parse(NINE), endsAtMs: Date.parse(NINE) + 3_600_000, heldUntilMs: null, doubtAtMs: clock.wallTime().getTime() + 60_000 }
    const day = Math.floor(Date.parse(NINE) / 86_400_000)
    await database.collection('appointment_days').put({ _id: `a/crew-1/${day}`, companyId: 'a', resourceId: 'crew-1', day, revision: 1, claims: [orphan] })
    await t.rejects(appointments.create('a', visit('a', 'early'), terms, []), { code: 'CONFLICT' }, 'it may be about to be written')
    await clock.advance(61_000)
    t.equal((await appointments.create('a', visit('a', 'later'), terms, [])).created, true)
  })

  void t.test('and the contract of users, sessions and audit', async (t) => testSecurityStore(t, async () => ({ ...mongoSecurityStore(await emptied(), tools.clock), close: () => undefined })))

  void t.test('two servers, one database: what races is decided once', async (t) => {
    await emptied()
    const other = MongoDatabase.open(url, name, PATIENT)
    t.teardown(() => other.close())
    const both = [new MongoCompanyRepository(database, tools), new MongoCompanyRepository(other, tools)]
    const saves = await Promise.allSettled(both.map((companies, i) => companies.save(`c${i}`, company(`c${i}`, { phoneNumbers: ['+15550100000'] }))))
    t.equal(saves.filter((save) => save.status === 'fulfilled').length, 1, 'a number is one company\'s')
    const chain = (seq: number, previous: string): string => `${seq}<${previous}`
    const fact = { at: '2026-03-02T15:00:00.000Z', action: 'a.b', result: 'done' as const, reason: '', actor: { kind: 'system' as const, id: '', companyId: 'a' }, target: '', address: '', userAgent: '', traceId: '', details: { 'a.b': 1 } }
    const audits = [mongoSecurityStore(database, tools.clock).audit, mongoSecurityStore(other, tools.clock).audit]
    await Promise.all(Array.from({ length: 10 }, (_, i) => (audits[i % 2] as (typeof audits)[0]).append('a', fact, chain)))
    const rows = await (audits[0] as (typeof audits)[0]).list('a', { afterSeq: 0, limit: 20 })
    t.same(rows.map((row) => row.seq), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    rows.slice(1).forEach((row, i) => t.equal(row.previousHash, rows[i]?.hash))
    t.same(rows[0]?.fact, fact)
  })

  void t.test('a number whose save died half-way can be had by whoever asks next', async (t) => {
    const { companies } = await tenancy()
    await database.collection('phone_numbers').insert({ _id: '+15550100000', companyId: 'died', version: 1 })
    await database.collection('phone_numbers').insert({ _id: '+15550100001', companyId: 'saving', version: 1, claimedAtMs: tools.clock.wallTime().getTime() })
    t.equal(await companies.findByPhoneNumber('+15550100000'), null)
    await t.rejects(companies.save('a', company('a', { phoneNumbers: ['+15550100001'] })), { code: 'CONFLICT' }, 'its company may be about to be written')
    await companies.save('a', company('a', { phoneNumbers: ['+15550100000'] }))
    t.equal((await companies.findByPhoneNumber('+15550100000'))?.id, 'a')
  })

  void t.test('a record that no longer fits is left out of lists, reported, and thrown when asked for by name', async (t) => {
    const { knowledge } = await tenancy()
    await knowledge.save('a', entry('a', 'good'))
    await knowledge.save('a', entry('a', 'bad'))
    await database.collection('knowledge_entries').update({ _id: 'a/bad' }, { $set: { 'document.question': 7 } })
    t.same((await knowledge.listAll('a')).map((one) => one.id), ['good'])
    t.match(problems, [{ code: 'STORE_FAILED', message: /knowledge entry a\/bad cannot be read: question/ }])
    await t.rejects(knowledge.get('a', 'bad'), { code: 'STORE_FAILED', message: /question/ })
    await knowledge.save('a', entry('a', 'bad', { question: 'Better?' }))
    t.equal((await knowledge.get('a', 'bad'))?.question, 'Better?')
  })

  void t.test('documents and traces keep keys that databases dislike, and no id reaches into another', async (t) => {
    const documents = new MongoDocumentRepository(await emptied())
    const odd = { 'a.b': { $set: 1 }, '': null }
    await documents.put('a', 'notes', 'x/y', odd)
    t.same(await documents.get('a', 'notes', 'x/y'), odd)
    t.equal(await documents.get('a', 'notes/x', 'y'), null)
    t.same((await documents.list('a', 'notes', { after: null, limit: 10 })).map((one) => one.documentId), ['x/y'])
    t.ok(await documents.delete('a', 'notes', 'x/y'))
    const calls = new MongoCallRepository(database, tools)
    const traced = turn(1, { trace: [{ step: 'x', detail: odd }] })
    await calls.saveTurn('a', 'CA1', traced)
    t.same(await calls.turns('a', 'CA1'), [traced])
    await t.rejects(calls.saveGap('b', gap('a', 'g', 'CA1')), { code: 'INVALID_INPUT' })
  })

  void t.test('every index begins with the company, but for those that find one and those that let go', async (t) => {
    for (const collection of await collections()) {
      const indexes = await database.run((db) => db.collection(collection).indexes())
      for (const index of indexes) t.ok(['_id', 'companyId', 'expiresAt', 'hasUntold', 'hasSequels', 'state'].includes(Object.keys(index.key)[0] as string), `${collection} ${index.name}`)
    }
  })

  void t.test('a database that was never prepared is refused, and so is one of a newer server', async (t) => {
    const bare = MongoDatabase.open(url, `${name}-bare`, PATIENT)
    t.teardown(async () => {
      await bare.run((db) => db.dropDatabase())
      await bare.close()
    })
    await t.rejects(checkMongoSchema(bare), { code: 'CONFIG_INVALID', message: /migrate/ })
    const said: string[] = []
    await migrateMongo(bare, (line) => said.push(line))
    await migrateMongo(bare, () => undefined)
    await checkMongoSchema(bare)
    t.match(said.join('\n'), /schema 2/)
    await bare.collection('schema').put({ _id: 'schema', version: 99 })
    await t.rejects(checkMongoSchema(bare), { code: 'CONFIG_INVALID', message: /newer/ })
  })

  void t.test('whoever has hung up does not wait, and a database that is not there says so within its deadline', async (t) => {
    const gone = MongoDatabase.open('mongodb://127.0.0.1:9', 'nowhere')
    t.teardown(() => gone.close())
    const calls = new MongoCallRepository(gone, tools)
    const hungUp = new AbortController()
    const waiting = calls.get('a', 'CA1', hungUp.signal)
    hungUp.abort(new Error('hung up'))
    await t.rejects(waiting, { message: 'hung up' })
    const error = await calls.get('a', 'CA1').catch((reason: unknown) => reason)
    t.ok(isClientsViaError(error, 'STORE_FAILED'))
  })
}
