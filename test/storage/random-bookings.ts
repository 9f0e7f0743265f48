import { DateTime } from 'luxon'
import { takesTime, type Appointment } from '../../src/booking/appointment.ts'
import type { AppointmentRepository } from '../../src/booking/appointment-repository.ts'
import { CompanyBookingDesk } from '../../src/booking/company-booking-desk.ts'
import { isClientsViaError } from '../../src/core/errors.ts'
import { companySchema } from '../../src/tenancy/company.ts'
import { minutesAfter, NINE, visit } from '../booking/appointments.ts'

export type WorkSize = Readonly<{
  /** How many randomised operations; the bar is 10,000 a store. */
  operations: number
  /** How many of them are under way at once. */
  atOnce: number
  /** The same seed, the same operations. */
  seed?: number
}>

const NOW = '2026-11-25T15:00:00.000Z'
const CAPACITIES: Readonly<Record<string, number>> = { 'crew-1': 1, 'crew-2': 2, chair: 3 }
const SIGNAL = new AbortController().signal

/** Books, holds, moves, cancels, confirms, repeats and deletes in one crowded day and night; then calls everything off and books it full. */
export async function randomBookings(
  appointments: AppointmentRepository,
  size: WorkSize,
): Promise<Readonly<{ counts: Readonly<Record<string, number>>; unexpected: readonly unknown[]; overbooked: readonly string[]; leftTaken: readonly string[] }>> {
  const known = new Map<string, Appointment>()
  const counts: Record<string, number> = {}
  const unexpected: unknown[] = []
  const random = generator(size.seed ?? size.operations)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const slot = (): Pick<Appointment, 'resourceId' | 'startsAt' | 'endsAt' | 'bufferMinutes'> => {
    const startsAt = minutesAfter(NINE, Math.floor(random() * 96) * 15)
    return { resourceId: pick(Object.keys(CAPACITIES)), startsAt, endsAt: minutesAfter(startsAt, 15 + Math.floor(random() * 4) * 15), bufferMinutes: pick([0, 0, 5, 15]) }
  }
  let clockMs = Date.parse(NOW)
  const operate = async (n: number): Promise<void> => {
    clockMs += 1000
    const now = new Date(clockMs).toISOString()
    const appointment = known.size === 0 ? null : pick([...known.values()])
    const what = appointment === null ? 'book' : pick(['book', 'book', 'hold', 'move', 'move', 'cancel', 'cancel', 'confirm', 'repeat', 'delete'])
    const count = (outcome: string): void => void (counts[`${what} ${outcome}`] = (counts[`${what} ${outcome}`] ?? 0) + 1)
    try {
      if (what === 'book' || what === 'hold' || appointment === null) {
        const hold = what === 'hold' ? { status: 'held' as const, heldUntil: new Date(clockMs + 60_000).toISOString() } : {}
        const given = visit('a', `op-${n}`, { ...slot(), ...hold })
        known.set(given.id, (await appointments.create('a', given, { capacity: CAPACITIES[given.resourceId] ?? 1, now }, [])).appointment)
      } else if (what === 'repeat') {
        const again = await appointments.create('a', visit('a', `op-${n}`, { ...slot(), idempotencyKey: appointment.idempotencyKey }), { capacity: 1, now }, [])
        if (again.created) known.set(again.appointment.id, again.appointment)
      } else if (what === 'delete') {
        await appointments.delete('a', appointment.id)
        known.delete(appointment.id)
      } else {
        const changed = what === 'move' ? { ...appointment, ...slot() } : { ...appointment, status: what === 'cancel' ? ('cancelled' as const) : ('confirmed' as const), heldUntil: null }
        const saved = await appointments.save('a', changed, appointment.version, { capacity: CAPACITIES[changed.resourceId] ?? 1, now }, [])
        if (known.has(saved.id)) known.set(saved.id, saved)
      }
      count('done')
    } catch (error) {
      if (isClientsViaError(error, 'CONFLICT')) count(error.details['taken'] === true ? 'taken' : 'stale')
      else if (isClientsViaError(error, 'NOT_FOUND')) count('gone')
      else unexpected.push(error)
      // Whoever lost a race reads again, as a client would.
      const fresh = appointment === null ? null : await appointments.get('a', appointment.id)
      if (fresh !== null && known.has(fresh.id)) known.set(fresh.id, fresh)
    }
  }
  const overbooked: string[] = []
  const look = async (n: number): Promise<void> => {
    const now = new Date(clockMs).toISOString()
    overbooked.push(...overfull(await everything(appointments, 'a'), CAPACITIES, now).map((problem) => `after ${n}: ${problem}`))
  }
  for (let n = 0; n < size.operations; ) {
    await Promise.all(Array.from({ length: Math.min(size.atOnce, size.operations - n) }, () => operate(n++)))
    if (n % (size.atOnce * 16) < size.atOnce) await look(n)
  }
  await look(size.operations)
  return { counts, unexpected, overbooked, leftTaken: await takenWhenAllIsOff(appointments, new Date(clockMs).toISOString()) }
}

/** Once all is called off, all of it can be had again. What cannot: a claim that outlived its appointment. */
async function takenWhenAllIsOff(appointments: AppointmentRepository, now: string): Promise<string[]> {
  const left: string[] = []
  for (const one of await everything(appointments, 'a')) {
    if (takesTime(one.status)) await appointments.save('a', { ...one, status: 'cancelled', heldUntil: null }, one.version, { capacity: 1, now: NOW }, [])
  }
  for (const [resourceId, capacity] of Object.entries(CAPACITIES)) {
    for (let seat = 0; seat < capacity; seat++) {
      const all = visit('a', `all-${resourceId}-${seat}`, { resourceId, startsAt: NINE, endsAt: minutesAfter(NINE, 24 * 60) })
      await appointments.create('a', all, { capacity, now }, []).catch((error: unknown) => left.push(`${resourceId} ${seat}: ${String(error)}`))
    }
  }
  return left
}

export type ZoneNight = Readonly<{ timeZone: string; now: string }>

/** Two days before clocks change, forward or back, by an hour or by half of one, or the date itself is skipped over. */
export const ZONE_NIGHTS: readonly ZoneNight[] = [
  { timeZone: 'America/New_York', now: '2026-10-30T15:00:00.000Z' },
  { timeZone: 'America/Los_Angeles', now: '2027-03-12T15:00:00.000Z' },
  { timeZone: 'Australia/Lord_Howe', now: '2026-10-02T01:00:00.000Z' },
  { timeZone: 'Europe/Berlin', now: '2027-03-26T09:00:00.000Z' },
  { timeZone: 'Pacific/Auckland', now: '2026-09-25T01:00:00.000Z' },
]

/** Through the desk, as calls do it: whatever is free is asked for and fought over, day and night. What is wrong afterwards. */
export async function randomCallers(appointments: AppointmentRepository, { timeZone, now }: ZoneNight, operations: number, atOnce: number): Promise<string[]> {
  const companyId = `zone-${timeZone.toLowerCase().replace(/[^a-z]+/g, '-')}`
  const daily = [{ opens: '00:00', closes: '05:00' }, { opens: '20:00', closes: '23:45' }]
  const company = companySchema.parse({
    id: companyId, name: 'Night watch', industry: 'hvac', agentId: 'desk', timeZone,
    hours: Object.fromEntries(['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'].map((day) => [day, daily])),
    services: [{ id: 'repair', name: 'Repair', durationMinutes: 45 }],
    resources: [{ id: 'crew-1', name: 'One' }, { id: 'crew-2', name: 'Two', capacity: 2 }],
  })
  const moment = new Date(now)
  const desk = new CompanyBookingDesk({ clock: { wallTime: () => moment }, companyOf: async () => company, appointments, away: () => [] })
  const random = generator(operations + timeZone.length)
  const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)]
  const own: Appointment[] = []
  const problems: string[] = []
  const search = { serviceId: 'repair', from: now, to: new Date(moment.getTime() + 4 * 24 * 3_600_000).toISOString(), partOfDay: null, resourceId: null, limit: 60 } as const
  const call = async (n: number): Promise<void> => {
    try {
      const opening = pick(await desk.search(companyId, search, SIGNAL))
      const mine = random() < 0.3 ? pick(own) : undefined
      if (mine !== undefined && (random() < 0.5 || opening === undefined)) await desk.cancel(companyId, mine.id, SIGNAL)
      else if (mine !== undefined && opening !== undefined) await desk.reschedule(companyId, mine.id, opening, SIGNAL)
      else if (opening !== undefined) {
        const customer = { name: 'Dana Reyes', phoneNumberE164: '+12395550143', address: null }
        own.push(await desk.book(companyId, { opening, anyResource: random() < 0.5, customer, reason: 'the AC is warm', answers: {}, callSid: null }, `call-${n}`, SIGNAL))
      }
    } catch (error) {
      if (!isClientsViaError(error, 'CONFLICT')) problems.push(String(error))
    }
  }
  for (let n = 0; n < operations; ) await Promise.all(Array.from({ length: Math.min(atOnce, operations - n) }, () => call(n++)))
  const booked = (await everything(appointments, companyId)).filter((one) => takesTime(one.status))
  if (booked.length === 0) problems.push('nothing was booked')
  problems.push(...overfull(booked, { 'crew-1': 1, 'crew-2': 2 }, now))
  for (const one of booked) {
    const [from, to] = [one.startsAt, one.endsAt].map((at) => DateTime.fromISO(at, { zone: timeZone }).toFormat('HH:mm')) as [string, string]
    const isInside = daily.some(({ opens, closes }) => opens <= from && to <= closes && from < to)
    // A clock that goes back in between shows an end before its start; the visit is as long as it should be.
    const goesBack = Date.parse(one.endsAt) - Date.parse(one.startsAt) === 45 * 60_000 && from > to && from < '05:00'
    if (!isInside && !goesBack) problems.push(`${one.startsAt} is ${from} to ${to} there`)
  }
  return problems
}

async function everything(appointments: AppointmentRepository, companyId: string): Promise<Appointment[]> {
  const all: Appointment[] = []
  for (let after: string | null = null; ; ) {
    const page: readonly Appointment[] = await appointments.list(companyId, { after, limit: 500 })
    all.push(...page)
    after = page.at(-1)?.id ?? null
    if (page.length < 500) return all
  }
}

/** Moments at which a resource has more than it can take, worked out from the appointments alone. */
export function overfull(all: readonly Appointment[], capacities: Readonly<Record<string, number>>, now: string): string[] {
  const problems: string[] = []
  for (const [resourceId, capacity] of Object.entries(capacities)) {
    const edges = all
      .filter((one) => one.resourceId === resourceId && takesTime(one.status) && (one.status !== 'held' || (one.heldUntil ?? '') > now))
      .flatMap((one) => [
        { atMs: Date.parse(one.startsAt), change: 1 },
        { atMs: Date.parse(one.endsAt) + one.bufferMinutes * 60_000, change: -1 },
      ])
      // Who leaves makes room before the next one comes.
      .sort((a, b) => a.atMs - b.atMs || a.change - b.change)
    let present = 0
    for (const { atMs, change } of edges) {
      present += change
      if (present > capacity) problems.push(`${resourceId} has ${present} of ${capacity} at ${new Date(atMs).toISOString()}`)
    }
  }
  return problems
}

/** The same numbers every time: a failure can be run again. */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
