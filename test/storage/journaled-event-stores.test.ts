import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { SystemClock } from '../../src/core/clock.ts'
import { ClientsViaError } from '../../src/core/errors.ts'
import { Scope } from '../../src/core/scope.ts'
import { EmbeddedDatabase } from '../../src/storage/embedded-database.ts'
import { MIGRATIONS } from '../../src/storage/embedded-migrations.ts'
import { makeRepositories } from '../../src/storage/embedded-repositories.ts'
import { Journal } from '../../src/storage/journal.ts'
import { JournaledContactStore, JournaledEventStore, JournaledLeadStore } from '../../src/storage/journaled-event-stores.ts'
import { JournaledReports } from '../../src/storage/journaled-reports.ts'
import { JournaledWrites } from '../../src/storage/journaled-writes.ts'
import { InboundTexts } from '../../src/events/inbound-texts.ts'
import { at, CALLER, event, item, lead } from '../events/fixtures.ts'
import { eventStoresContract } from '../events/stores-contract.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

/** A database that can be gone, behind the journal of one process. */
async function world(t: Test) {
  const clock = new VirtualClock(new Date(at(0)))
  const embedded = EmbeddedDatabase.open(':memory:')
  embedded.migrate(MIGRATIONS)
  const stored = makeRepositories(embedded, { clock, report: () => undefined })
  const state = { isThere: true }
  const canBeGone = <T extends object>(store: T): T =>
    new Proxy(store, {
      get: (target, name) =>
        async (...values: never[]) => {
          if (!state.isThere) throw new ClientsViaError('STORE_FAILED', 'gone')
          return (Reflect.get(target, name) as (...values: never[]) => Promise<unknown>).apply(target, values)
        },
    })
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-journaled-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const scope = new Scope()
  t.teardown(() => scope.end('over'))
  const problems: string[] = []
  const open = async () => {
    const journal = await Journal.open({ folder, clock: new SystemClock(), onProblem: (problem) => problems.push(problem) })
    const writes = new JournaledWrites({ journal, clock, onProblem: (problem) => problems.push(problem) })
    return {
      journal,
      writes,
      eventLog: new JournaledEventStore(canBeGone(stored.eventLog), writes),
      leads: new JournaledLeadStore(canBeGone(stored.leads), writes),
      contacts: new JournaledContactStore(canBeGone(stored.contacts), writes),
      outbox: canBeGone(stored.outbox),
      reports: new JournaledReports(writes),
    }
  }
  const process = await open()
  t.teardown(() => process.journal.close())
  const comesBack = async (writes = process.writes): Promise<void> => {
    state.isThere = true
    void writes.keepReplaying(scope.signal).catch(() => undefined)
    for (let i = 0; i < 200 && writes.pending > 0; i += 1) {
      await clock.advance(1000)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
  return { ...process, stored, state, clock, problems, comesBack, open }
}

t.test('with the database there the journal is not noticed', async (t) =>
  eventStoresContract(t, async (t) => {
    const { stored, eventLog, leads, contacts } = await world(t)
    return { ...stored, eventLog, leads, contacts }
  }),
)

t.test('a lead and an event of a call that ends while the database is away are there when it is back, each once', async (t) => {
  const { eventLog, leads, state, stored, writes, comesBack } = await world(t)
  const missed = event('a', 'call.missed', 'call/CA1', { data: { from: CALLER } })
  state.isThere = false
  t.match(await leads.create('a', lead('a', 'L1')), { created: true, lead: { id: 'L1', version: 1 } })
  t.match(await leads.create('a', lead('a', 'L2', { idempotencyKey: 'key-L1' })), { created: false, lead: { id: 'L1' } }, 'the same request again')
  await eventLog.append('a', [missed])
  await eventLog.append('a', [missed])
  t.same(await eventLog.get('a', missed.id), missed, 'who asks here is told')
  await t.rejects(leads.list('a', { before: null, limit: 10 }), { code: 'STORE_FAILED' }, 'people at their desks are told that it is away')
  t.ok(writes.pending > 0)
  await comesBack()
  t.equal(writes.pending, 0)
  t.same((await stored.leads.list('a', { before: null, limit: 10 })).map((one) => one.id), ['L1'])
  t.same((await stored.eventLog.list('a', { after: null, limit: 10 })).map((one) => one.type).sort(), ['call.missed', 'lead.created'])
  t.equal((await stored.outbox.list('a', { before: null, limit: 10, kind: 'event' })).length, 2, 'and somebody is told of each, once')
})

t.test('a process that is gone leaves its leads to the next one', async (t) => {
  const { leads, journal, state, stored, open, comesBack } = await world(t)
  state.isThere = false
  await leads.create('a', lead('a', 'L1'))
  await journal.close()
  const next = await open()
  t.teardown(() => next.journal.close())
  await comesBack(next.writes)
  t.equal((await stored.leads.get('a', 'L1'))?.summary, 'Wants a call about a furnace.')
})

t.test('a STOP while the database is away counts here at once, and everywhere when it is back', async (t) => {
  const { contacts, state, stored, comesBack } = await world(t)
  await contacts.set('a', { phoneNumberE164: CALLER, state: 'opted-in', source: 'text', at: at(0) }, [])
  state.isThere = false
  t.ok(await contacts.set('a', { phoneNumberE164: CALLER, state: 'opted-out', source: 'text', at: at(1) }, [event('a', 'contact.opted_out', `contact/${CALLER}`)]))
  t.equal((await contacts.get('a', CALLER))?.state, 'opted-out')
  await comesBack()
  t.equal((await stored.contacts.get('a', CALLER))?.state, 'opted-out')
  t.equal((await stored.eventLog.list('a', { after: null, limit: 10 })).length, 1)
})

t.test('a START that another machine heard later is not undone by a STOP out of the journal', async (t) => {
  const { contacts, state, stored, comesBack } = await world(t)
  state.isThere = false
  await contacts.set('a', { phoneNumberE164: CALLER, state: 'opted-out', source: 'text', at: at(1) }, [])
  await stored.contacts.set('a', { phoneNumberE164: CALLER, state: 'opted-in', source: 'text', at: at(2) }, [])
  await comesBack()
  t.equal((await stored.contacts.get('a', CALLER))?.state, 'opted-in')
})

void t.test('what the carrier says once about a text, while the database is away, is settled when it is back', async (t) => {
  const { stored, state, journal, comesBack, ...process } = await world(t)
  const { signal } = new AbortController()
  const texts = new InboundTexts({ ...process, companies: { findByPhoneNumber: async () => null }, appointments: null })
  const one = item('x')
  await stored.outbox.add('a', [one], at(0))
  await stored.outbox.claim('a', one.id, { token: 'w', now: at(1), leaseUntil: at(60) })
  await stored.outbox.beginSending('a', one.id, 'w', at(1), at(60))
  state.isThere = false
  await texts.reported({ companyId: 'a', itemId: one.id, messageSid: 'SM7', delivery: 'sent', errorCode: null }, signal)
  await texts.reported({ companyId: 'a', itemId: one.id, messageSid: 'SM7', delivery: 'undelivered', errorCode: '21610' }, signal)
  t.equal(journal.pending, 2)
  await comesBack()
  t.match(await stored.outbox.get('a', one.id), { state: 'done', delivery: 'undelivered', providerId: 'SM7' })
  t.match(await stored.contacts.get('a', CALLER), { state: 'opted-out', source: 'carrier' }, 'the carrier knows of a STOP that we do not')
  t.same((await stored.eventLog.list('a', { after: null, limit: 20 })).map(({ type }) => type).sort(), ['message.failed', 'message.sent'])
})
