import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { EmbeddedDatabase } from '../../src/storage/embedded-database.ts'
import { MIGRATIONS } from '../../src/storage/embedded-migrations.ts'
import { makeRepositories } from '../../src/storage/embedded-repositories.ts'
import { openEmbeddedStore } from '../../src/storage/embedded-store.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { appointmentRepositoryContract } from './appointment-repository-contract.ts'

/** The bar is 10,000 a store; a commit on a slow disk takes a millisecond, so the suite asks the file for fewer and the memory for all. */
const OPERATIONS_ON_DISK = Number(process.env['BOOKING_OPERATIONS'] ?? 800)

t.test('the repository keeps the contract', async (t) => {
  appointmentRepositoryContract(t, async () => {
    const database = EmbeddedDatabase.open(':memory:')
    database.migrate(MIGRATIONS)
    const { appointments, eventLog } = makeRepositories(database, { clock: new VirtualClock(), report: () => undefined })
    return { appointments, eventTypes: async (companyId) => (await eventLog.list(companyId, { after: null, limit: 100 })).map((event) => event.type) }
  })
})

t.test('and so does the store thread, many asking at once', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-appointments-'))
  const store = await openEmbeddedStore({ dataDir: folder, onProblem: (problem) => t.fail(problem.message) })
  t.teardown(async () => {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const emptied = async () => {
    for (const companyId of ['a', 'b']) await store.companies.delete(companyId)
    return { appointments: store.appointments, eventTypes: async (companyId: string) => (await store.eventLog.list(companyId, { after: null, limit: 100 })).map((event) => event.type) }
  }
  appointmentRepositoryContract(t, emptied, { operations: OPERATIONS_ON_DISK, atOnce: 64 })
})
