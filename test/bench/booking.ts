/**
 * How long a caller's question for free times takes with a year of appointments in the store, and what a booking costs. The store is the
 * embedded one on a disk, asked over its thread as in the server. Run: npm run bench:booking [folder]
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { CompanyBookingDesk } from '../../src/booking/company-booking-desk.ts'
import type { Opening } from '../../src/booking/booking-desk.ts'
import { understandWhen } from '../../src/booking/when.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { openEmbeddedStore } from '../../src/storage/embedded-store.ts'
import { companySchema } from '../../src/tenancy/company.ts'
import { visit } from '../booking/appointments.ts'

const SIGNAL = new AbortController().signal
const NOW = new Date('2026-03-02T15:00:00.000Z')
const DAY_MS = 24 * 3_600_000
/** Half a year back and half a year ahead, two crews, three visits a crew and working day: the next two weeks two thirds full. */
const DAYS = 365
const STARTS = ['13:00', '15:00', '19:00'] as const

const folder = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'clientsvia-bench-'))
const store = await openEmbeddedStore({ dataDir: folder, onProblem: (problem) => process.stderr.write(`${problem.message}\n`) })
try {
  const file = JSON.parse(readFileSync(join(import.meta.dirname, '../../media/companies/polar-bay-air.json'), 'utf8')) as { company: unknown }
  const company = companySchema.parse(file.company)
  const desk = new CompanyBookingDesk({ clock: Object.assign(new SystemClock(), { wallTime: () => NOW }), companyOf: async () => company, appointments: store.appointments, away: () => [] })
  const filled = await fill()
  process.stdout.write(`node ${process.version}, ${availableParallelism()} processors, ${filled} appointments in the store\n`)
  const range = { from: NOW.toISOString(), to: new Date(NOW.getTime() + 15 * DAY_MS).toISOString() }
  const plain = { serviceId: 'ac-repair', ...range, partOfDay: null, resourceId: null } as const
  await measure('first 3 free times of 14 days', 2000, async () => (await desk.search(company.id, { ...plain, limit: 3 }, SIGNAL)).length)
  await measure('all free times of 14 days', 2000, async () => (await desk.search(company.id, { ...plain, limit: 200 }, SIGNAL)).length)
  await measure('nearest to a moment', 2000, async () => (await desk.search(company.id, { ...plain, limit: 3, near: '2026-03-10T15:00:00.000Z' }, SIGNAL)).length)
  const sentences = ['tomorrow afternoon', 'next Tuesday after four', 'the 10th at nine thirty', 'any time next week but not Monday']
  await measure('words understood', 2000, async (n) => (understandWhen(sentences[n % sentences.length] ?? '', NOW, company.timeZone, company.hours) === null ? 0 : 1))
  const openings = await desk.search(company.id, { ...plain, limit: 200 }, SIGNAL)
  const customer = { name: 'Dana Reyes', phoneNumberE164: '+12395550143', address: null }
  await measure('bookings, acknowledged by the disk', openings.length, async (n) => {
    const opening = openings[n] as Opening
    await desk.book(company.id, { opening, customer, reason: 'warm air', answers: {}, callSid: 'CA1' }, `bench-${n}`, SIGNAL)
    return 1
  })
} finally {
  await store.close()
  rmSync(folder, { recursive: true, force: true })
}

async function fill(): Promise<number> {
  const startMs = NOW.getTime() - (DAYS / 2) * DAY_MS
  let count = 0
  let waiting: Promise<unknown>[] = []
  for (let day = 0; day < DAYS; day++) {
    const date = new Date(startMs + day * DAY_MS)
    if (date.getUTCDay() === 0 || date.getUTCDay() === 6) continue
    for (const resourceId of ['crew-1', 'crew-2']) {
      for (const start of STARTS) {
        const startsAt = `${date.toISOString().slice(0, 10)}T${start}:00.000Z`
        const one = visit('polar-bay-air', `v-${count++}`, { resourceId, serviceId: 'ac-repair', startsAt, bufferMinutes: 30 })
        waiting.push(store.appointments.create('polar-bay-air', one, { capacity: 1, now: NOW.toISOString() }, []))
      }
    }
    if (waiting.length < 500) continue
    await Promise.all(waiting)
    waiting = []
  }
  await Promise.all(waiting)
  return count
}

async function measure(name: string, count: number, work: (n: number) => Promise<number>): Promise<void> {
  const tookMs: number[] = []
  let found = 0
  for (let n = 0; n < count; n++) {
    const startedAt = performance.now()
    found += await work(n)
    tookMs.push(performance.now() - startedAt)
  }
  tookMs.sort((a, b) => a - b)
  const at = (part: number): string => (tookMs[Math.min(tookMs.length - 1, Math.floor(tookMs.length * part))] ?? 0).toFixed(2)
  process.stdout.write(`${name.padEnd(36)} n ${String(count).padStart(5)}  p50 ${at(0.5)}  p95 ${at(0.95)}  p99 ${at(0.99)} ms  (${(found / count).toFixed(1)} found)\n`)
}
