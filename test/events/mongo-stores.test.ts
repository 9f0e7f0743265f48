import t, { type Test } from 'tap'
import type { ClientsViaError } from '../../src/core/errors.ts'
import type { DomainEvent } from '../../src/events/event.ts'
import { MongoDatabase, PATIENT, type MongoRecords } from '../../src/storage/mongo-database.ts'
import { MongoEventLog } from '../../src/storage/mongo-event-log.ts'
import { MongoLeadRepository } from '../../src/storage/mongo-lead-repository.ts'
import { MongoOutboxRepository } from '../../src/storage/mongo-outbox-repository.ts'
import { mongoRepositories } from '../../src/storage/mongo-repositories.ts'
import { migrateMongo } from '../../src/storage/mongo-schema.ts'
import { company } from '../storage/fixtures.ts'
import { mongoService } from '../support/services.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { at, CALLER, event, item, lead } from './fixtures.ts'
import { eventStoresContract } from './stores-contract.ts'

t.setTimeout(120_000)

const COLLECTIONS = ['event_batches', 'events', 'outbox', 'outbox_claims', 'leads', 'contacts', 'message_templates', 'companies']
const mongo = await mongoService()
if (mongo !== null) mongoTests(mongo.url)

function mongoTests(url: string): void {
  const name = `clientsvia-events-${process.pid}`
  const database = MongoDatabase.open(url, name, PATIENT)
  t.before(async () => migrateMongo(database, () => undefined))
  t.teardown(async () => {
    await database.run((db) => db.dropDatabase())
    await database.close()
  })
  const report = (problem: ClientsViaError): void => {
    throw problem
  }
  const world = async () => {
    for (const collection of COLLECTIONS) await database.collection(collection).delete({})
    const clock = new VirtualClock(new Date(at(0)))
    const told: DomainEvent[] = []
    return { clock, told, ...mongoRepositories(database, { clock, report }, (event) => told.push(event)) }
  }

  void t.test('MongoDB keeps the contract of events, tasks, messages, leads, contacts and templates', async (t) => eventStoresContract(t, world))

  void t.test('two servers that go for the same text: one sends it, every time', async (t) => {
    const here = await world()
    const other = MongoDatabase.open(url, name, PATIENT)
    t.teardown(() => other.close())
    const there = mongoRepositories(other, { clock: here.clock, report }, () => undefined)
    const items = Array.from({ length: 12 }, (_, n) => item(`text-${n}`))
    await here.outbox.add('a', items, at(0))
    const begun: number[] = []
    for (const { id } of items) {
      const tries = [here, there, here, there].map(async ({ outbox }, n) => {
        const lease = await outbox.claim('a', id, { token: `w${n}`, now: at(0), leaseUntil: at(60) })
        return lease !== null && (await outbox.beginSending('a', id, `w${n}`, at(1), at(60)))
      })
      begun.push((await Promise.all(tries)).filter(Boolean).length)
    }
    t.same(begun, items.map(() => 1), 'never both, and never neither')
    t.same(await here.outbox.due(at(59), 50), [])
  })

  void t.test('a worker that dies with the key of a claim keeps it until its lease is over', async (t) => {
    const { outbox } = await world()
    const one = item('x')
    await outbox.add('a', [one], at(0))
    await database.collection('outbox_claims').insert({ _id: `a/${one.id}/1`, companyId: 'a', itemId: one.id, leaseUntil: at(60) })
    t.equal(await outbox.claim('a', one.id, { token: 'w', now: at(59), leaseUntil: at(99) }), null)
    t.match(await outbox.claim('a', one.id, { token: 'w', now: at(60), leaseUntil: at(120) }), { token: 'w', item: { attempts: 1 } })
    await outbox.settle('a', one.id, 'w', { state: 'waiting', reason: 'not at night', dueAt: at(70), countsAsAttempt: false }, at(61))
    t.match(await outbox.claim('a', one.id, { token: 'v', now: at(70), leaseUntil: at(130) }), { token: 'v' })
    t.ok(await outbox.delete('a', one.id))
    t.equal(await database.collection('outbox_claims').count({ itemId: one.id }), 0, 'and no key outlives its item')
  })

  void t.test('two servers append to one log: every event has a place, and a reader who follows it misses none', async (t) => {
    const here = await world()
    const other = MongoDatabase.open(url, name, PATIENT)
    t.teardown(() => other.close())
    const there = mongoRepositories(other, { clock: here.clock, report }, () => undefined)
    const events = Array.from({ length: 30 }, (_, n) => event('a', 'message.sent', `message/M${n}`))
    const read: string[] = []
    let isWritten = false
    const reader = async (): Promise<void> => {
      for (let last: string | null = null; ; ) {
        const wasWritten = isWritten
        const page: readonly DomainEvent[] = await here.eventLog.list('a', { after: last, limit: 10 })
        read.push(...page.map((one) => one.id))
        last = page.at(-1)?.id ?? last
        if (wasWritten && page.length === 0) return
      }
    }
    const reading = reader()
    await Promise.all(events.map((one, n) => (n % 2 === 0 ? here : there).eventLog.append('a', [one])))
    isWritten = true
    await reading
    t.same([...read].sort(), events.map((one) => one.id).sort())
  })

  void t.test('a process that dies between a change and what it leads to leaves that to the next one', async (t) => {
    const { clock, leads, eventLog, outbox, told, finishLeftBehind } = await world()
    const dies = dyingLog(t)
    await t.rejects(mongoLeads(dies, clock).create('a', lead('a', 'L1')), { message: 'killed' })
    t.equal((await leads.get('a', 'L1'))?.id, 'L1', 'the lead itself is there')
    t.same(await eventLog.list('a', { after: null, limit: 10 }), [])
    await finishLeftBehind(new AbortController().signal)
    t.same(told, [], 'its process may be at it')
    await clock.advance(11_000)
    await finishLeftBehind(new AbortController().signal)
    await finishLeftBehind(new AbortController().signal)
    t.same(told.map((one) => one.type), ['lead.created'])
    t.match(await outbox.list('a', { before: null, limit: 10, kind: 'event' }), [{ state: 'waiting', subject: 'lead/L1' }])
  })

  void t.test('a task whose consequences are not all written holds up those after it of its subject', async (t) => {
    const { clock, eventLog, outbox, finishLeftBehind } = await world()
    await eventLog.append('a', [event('a', 'appointment.booked', 'appointment/A1'), event('a', 'appointment.cancelled', 'appointment/A1')])
    const [first] = await outbox.due(at(1), 1)
    await outbox.claim('a', first?.itemId ?? '', { token: 'w', now: at(1), leaseUntil: at(60) })
    const dying = mongoOutbox(dyingLog(t), clock)
    const reminder = item('reminder:1')
    await t.rejects(dying.settle('a', first?.itemId ?? '', 'w', { state: 'done', reason: '', providerId: null, add: [reminder] }, at(2)), { message: 'killed' })
    t.same(await outbox.due(at(3), 10), [], 'the cancellation would find nothing to drop')
    await clock.advance(20_000)
    await finishLeftBehind(new AbortController().signal)
    t.equal((await outbox.get('a', reminder.id))?.state, 'waiting')
    t.equal((await outbox.due(at(30), 10)).length, 2)
  })

  void t.test('a STOP that one server takes counts at once on the other', async (t) => {
    const here = await world()
    const other = MongoDatabase.open(url, name, PATIENT)
    t.teardown(() => other.close())
    const there = mongoRepositories(other, { clock: here.clock, report }, () => undefined)
    for (const state of ['opted-out', 'opted-in', 'opted-out'] as const) {
      await here.contacts.set('a', { phoneNumberE164: CALLER, state, source: 'text', at: at(0) }, [])
      t.equal((await there.contacts.get('a', CALLER))?.state, state)
    }
  })

  void t.test('nothing of a company outlives it', async (t) => {
    const { companies, eventLog, outbox, leads, contacts, messageTemplates } = await world()
    await companies.save('a', company('a'))
    await eventLog.append('a', [event('a', 'appointment.booked', 'appointment/A1')])
    await outbox.add('a', [item('x')], at(0))
    for (const companyId of ['a', 'b']) {
      await leads.create(companyId, lead(companyId, 'L1'))
      await contacts.set(companyId, { phoneNumberE164: CALLER, state: 'opted-out', source: 'text', at: at(0) }, [])
      await messageTemplates.save(companyId, 'reminder_day_before', 'sms', { subject: '', text: 'Hello.' }, undefined)
    }
    await companies.delete('a')
    for (const collection of ['events', 'outbox', 'leads', 'contacts', 'message_templates']) {
      const left = await database.collection(collection).find({}, { sort: { _id: 1 }, limit: 0 })
      t.same([...new Set(left.map((record) => record['companyId']))], ['b'], collection)
    }
  })

  /** A log whose process is killed before it passes anything on. */
  function dyingLog(t: Test): MongoEventLog {
    const clock = new VirtualClock(new Date(at(0)))
    const log = new MongoEventLog(database, { clock, report }, () => undefined)
    t.capture(log, 'carryOut', async (_records: MongoRecords) => {
      throw new Error('killed')
    })
    return log
  }
  function mongoLeads(log: MongoEventLog, clock: VirtualClock): MongoLeadRepository {
    return new MongoLeadRepository(database, { clock, report }, log)
  }
  function mongoOutbox(log: MongoEventLog, clock: VirtualClock): MongoOutboxRepository {
    return new MongoOutboxRepository(database, { clock, report }, log)
  }
}
