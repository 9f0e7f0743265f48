/**
 * Whether anybody is ever booked over anybody: randomised bookings, moves, holds and cancellations, many at once, against the embedded store on
 * a disk and, with TEST_MONGODB_URL, against MongoDB. Run: npm run bench:double-booking [operations] [at once] [stores]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import type { AppointmentRepository } from '../../src/booking/appointment-repository.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { openEmbeddedStore } from '../../src/storage/embedded-store.ts'
import { MongoDatabase, PATIENT } from '../../src/storage/mongo-database.ts'
import { mongoRepositories } from '../../src/storage/mongo-repositories.ts'
import { migrateMongo } from '../../src/storage/mongo-schema.ts'
import { randomBookings, randomCallers, ZONE_NIGHTS } from '../storage/random-bookings.ts'

const operations = Number(process.argv[2] ?? 10_000)
const atOnce = Number(process.argv[3] ?? 20)
const stores = (process.argv[4] ?? 'embedded,mongodb').split(',')
const seed = Number(process.env['SEED'] ?? 1)
let wrong = 0

if (stores.includes('embedded')) {
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-bench-'))
  const store = await openEmbeddedStore({ dataDir: folder, onProblem: (problem) => process.stderr.write(`${problem.message}\n`) })
  await run('embedded', store.appointments)
  await store.close()
  rmSync(folder, { recursive: true, force: true })
}
const url = process.env['TEST_MONGODB_URL']
if (stores.includes('mongodb') && url !== undefined) {
  const database = MongoDatabase.open(url, `clientsvia-bench-${process.pid}`, PATIENT)
  await migrateMongo(database, () => undefined)
  const { appointments } = mongoRepositories(database, { clock: new SystemClock(), report: (problem) => process.stderr.write(`${problem.message}\n`) }, () => undefined)
  await run('mongodb', appointments)
  await database.run((db) => db.dropDatabase())
  await database.close()
}
process.exitCode = wrong === 0 ? 0 : 1

async function run(name: string, appointments: AppointmentRepository): Promise<void> {
  const startedAt = performance.now()
  const { counts, unexpected, overbooked, leftTaken } = await randomBookings(appointments, { operations, atOnce, seed })
  const tookMs = performance.now() - startedAt
  const zones: string[] = []
  for (const night of ZONE_NIGHTS) zones.push(...(await randomCallers(appointments, night, 100, atOnce)))
  wrong += unexpected.length + overbooked.length + leftTaken.length + zones.length
  const problems = [...unexpected.map(String), ...overbooked, ...leftTaken, ...zones]
  process.stdout.write(
    `${name.padEnd(9)} ${operations} operations, ${atOnce} at once, seed ${seed}: ${overbooked.length} double bookings, ${leftTaken.length} lost times, ${unexpected.length} failures, ` +
      `${zones.length} wrong of ${ZONE_NIGHTS.length} x 100 calls over clock changes; ${(tookMs / 1000).toFixed(1)} s, ${(tookMs / operations).toFixed(2)} ms an operation\n  ${JSON.stringify(counts)}\n`,
  )
  for (const problem of problems.slice(0, 20)) process.stdout.write(`  ${problem}\n`)
}
