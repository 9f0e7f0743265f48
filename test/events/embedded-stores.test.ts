import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { EmbeddedDatabase } from '../../src/storage/embedded-database.ts'
import { appendEvents } from '../../src/storage/embedded-event-log.ts'
import { MIGRATIONS } from '../../src/storage/embedded-migrations.ts'
import { makeRepositories } from '../../src/storage/embedded-repositories.ts'
import { openEmbeddedStore } from '../../src/storage/embedded-store.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { company } from '../storage/fixtures.ts'
import { at, event, item, lead } from './fixtures.ts'
import { eventStoresContract } from './stores-contract.ts'

function inMemory() {
  const database = EmbeddedDatabase.open(':memory:')
  database.migrate(MIGRATIONS)
  return { database, ...makeRepositories(database, { clock: new VirtualClock(), report: (problem) => { throw problem } }) }
}

t.test('the embedded repositories keep the contract', async (t) => eventStoresContract(t, async () => inMemory()))

t.test('and so does the store thread', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-events-'))
  const store = await openEmbeddedStore({ dataDir: folder, onProblem: () => undefined })
  t.teardown(async () => {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  })
  eventStoresContract(t, async () => {
    for (const companyId of ['a', 'b']) await store.companies.delete(companyId)
    return store
  })
})

t.test('another repository writes its change and the event together, or neither', async (t) => {
  const { database, eventLog, outbox } = inMemory()
  const wallTime = new Date(at(0))
  const booked = event('a', 'appointment.booked', 'appointment/A1')
  t.throws(() =>
    database.transaction(() => {
      appendEvents(database, 'a', [booked], wallTime)
      throw new TypeError('the change could not be written')
    }),
  )
  t.same(await eventLog.list('a', { after: null, limit: 10 }), [])
  t.same(await outbox.list('a', { before: null, limit: 10, kind: 'event' }), [])
  database.transaction(() => appendEvents(database, 'a', [booked], wallTime))
  t.same(await eventLog.list('a', { after: null, limit: 10 }), [booked])
  t.equal((await outbox.due(at(0), 10)).length, 1)
})

t.test('nothing of a company outlives it', async (t) => {
  const { database, companies, eventLog, outbox, leads } = inMemory()
  await companies.save('a', company('a'))
  await eventLog.append('a', [event('a', 'appointment.booked', 'appointment/A1')])
  await outbox.add('a', [item('x')], at(0))
  await leads.create('a', lead('a', 'L1'))
  await leads.create('b', lead('b', 'L1'))
  await companies.delete('a')
  for (const table of ['events', 'outbox', 'leads']) t.same(database.all(`SELECT DISTINCT company_id FROM ${table}`).map((row) => row['company_id']), ['b'], table)
})
