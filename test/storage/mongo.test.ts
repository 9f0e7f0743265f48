import t from 'tap'
import type { Appointment } from '../../src/booking/appointment.ts'
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
import { event, minutesAfter, NINE, visit } from '../booking/appointments.ts'
import { appointmentRepositoryContract } from './appointment-repository-contract.ts'
import { callRepositoryContract } from './call-repository-contract.ts'
import { company, entry, gap, turn } from './fixtures.ts'
import { agentRepositoryContract, companyRepositoryContract, knowledgeRepositoryContract } from './tenancy-repositories-contract.ts'

// Against SQLite each of the contracts' operations is microseconds, here several round trips.
t.setTimeout(240_000)

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
      { operations: 300, atOnce: 20 },
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

  void t.test('a process that dies at any step of a booking, a move or a cancellation leaves no time taken that nobody has, and none free that somebody has', async (t) => {
    const terms = { capacity: 1, now: '2026-11-25T15:00:00.000Z' }
    const midnight = '2026-12-02T23:30:00.000Z'
    const works: Record<string, (appointments: MongoAppointmentRepository, mine: Appointment) => Promise<unknown>> = {
      book: (appointments) => appointments.create('a', visit('a', 'new', { startsAt: minutesAfter(NINE, 240), endsAt: minutesAfter(NINE, 300) }), terms, []),
      'move over midnight': (appointments, mine) => appointments.save('a', { ...mine, startsAt: midnight, endsAt: minutesAfter(midnight, 60) }, 1, terms, []),
      'move by a little': (appointments, mine) => appointments.save('a', { ...mine, startsAt: minutesAfter(NINE, 30), endsAt: minutesAfter(NINE, 90) }, 1, terms, []),
      cancel: (appointments, mine) => appointments.save('a', { ...mine, status: 'cancelled' }, 1, terms, []),
      delete: (appointments) => appointments.delete('a', 'mine'),
    }
    for (const [name, work] of Object.entries(works)) {
      for (let step = 0, finished = false; !finished && step < 40; step++) {
        await emptied()
        const clock = new VirtualClock(new Date(terms.now))
        const append = async (): Promise<void> => undefined
        const alive = new MongoAppointmentRepository(database, { ...tools, clock }, { append })
        const { appointment: mine } = await alive.create('a', visit('a', 'mine'), terms, [])
        const dying = new MongoAppointmentRepository(diesAfter(database, step), { ...tools, clock }, { append })
        finished = await work(dying, mine).then(() => true, () => false)
        await clock.advance(61_000)
        // Whoever books every half hour of three days meets exactly those who are there.
        const there = (await alive.list('a', {})).filter((one) => one.status === 'confirmed')
        for (const startsAt of [minutesAfter(NINE, -30), NINE, minutesAfter(NINE, 30), minutesAfter(NINE, 60), minutesAfter(NINE, 240), minutesAfter(NINE, 270), midnight, minutesAfter(midnight, 30)]) {
          const endsAt = minutesAfter(startsAt, 30)
          const isTaken = there.some((one) => one.startsAt < endsAt && one.endsAt > startsAt)
          const busy = await alive.busy('a', { from: startsAt, to: endsAt, now: terms.now })
          const booked = await alive.create('a', visit('a', `try-${startsAt}`, { startsAt, endsAt }), terms, []).then(() => true, (error: unknown) => !isClientsViaError(error, 'CONFLICT'))
          t.equal(busy.length > 0, isTaken, `${name} ${step}: ${startsAt} is shown as it is`)
          t.equal(booked, !isTaken, `${name} ${step}: ${startsAt} can be had or not, as it is`)
        }
      }
    }
  })

  void t.test('a calendar of before schema 3 is read as it is, and its keys are found once it is prepared', async (t) => {
    await emptied()
    const appointments = new MongoAppointmentRepository(database, tools, { append: async () => undefined })
    const { appointment } = await appointments.create('a', visit('a', 'old'), { capacity: 1, now: '2026-11-25T15:00:00.000Z' }, [])
    for (const name of ['appointments', 'appointment_days'] as const) {
      for (const record of await database.collection(name).find({}, { sort: { _id: 1 }, limit: 0 })) {
        const { json, ...rest } = record
        await database.collection(name).put({ ...rest, _id: record._id, [name === 'appointments' ? 'document' : 'claims']: JSON.parse(String(json)) })
      }
    }
    await database.collection('appointment_keys').delete({})
    await database.collection('schema').put({ _id: 'schema', version: 2 })
    await migrateMongo(database, () => undefined)
    t.same(await appointments.findByKey('a', 'key-old'), appointment)
    await t.rejects(appointments.create('a', visit('a', 'over-it'), { capacity: 1, now: '2026-11-25T15:00:00.000Z' }, []), { code: 'CONFLICT' })
    t.match(await appointments.save('a', { ...appointment, status: 'cancelled' }, 1, { capacity: 1, now: '2026-11-25T15:00:00.000Z' }, []), { version: 2 })
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
    t.match(said.join('\n'), /schema 3/)
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

/** The database of a process that is killed when it has given so many commands. */
function diesAfter(database: MongoDatabase, commands: number): MongoDatabase {
  let left = commands
  const counted = (records: object): object =>
    new Proxy(records, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name)
        if (typeof member !== 'function') return member
        return async (...args: unknown[]) => {
          left -= 1
          if (left < 0) throw new Error('killed')
          return Reflect.apply(member, target, args)
        }
      },
    })
  return new Proxy(database, { get: (target, name) => (name === 'collection' ? (of: string) => counted(target.collection(of)) : Reflect.get(target, name)) })
}
