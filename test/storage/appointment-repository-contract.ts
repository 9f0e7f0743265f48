import type { AppointmentRepository } from '../../src/booking/appointment-repository.ts'
import { isClientsViaError } from '../../src/core/errors.ts'
import { event, minutesAfter, NINE, visit } from '../booking/appointments.ts'
import { randomBookings, randomCallers, ZONE_NIGHTS, type WorkSize } from './random-bookings.ts'

type Test = import('tap').Test

export type AppointmentStoreUnderTest = Readonly<{
  appointments: AppointmentRepository
  /** Types of the events of a company in the order they were written; null where events are kept elsewhere. */
  eventTypes: ((companyId: string) => Promise<readonly string[]>) | null
}>

const NOW = '2026-11-25T15:00:00.000Z'
const terms = (capacity = 1, now = NOW) => ({ capacity, now })

/** What any store of appointments must do. `make` gives an empty one. */
export function appointmentRepositoryContract(t: Test, make: (t: Test) => Promise<AppointmentStoreUnderTest>, size: WorkSize = { operations: 10_000, atOnce: 64 }): void {
  t.test('an appointment is kept exactly as it was, in its own company only', async (t) => {
    const { appointments } = await make(t)
    const given = visit('a', 'one', {
      customer: { name: 'Dana Reyes', phoneNumberE164: '+12395550143', address: { street: '12 Palm Way', city: 'Fort Myers', state: 'FL', zip: '33901' } },
      window: { startsAt: NINE, endsAt: minutesAfter(NINE, 120) },
      answers: { gate_code: '4411' },
      callSid: 'CA1',
      bufferMinutes: 30,
    })
    const { appointment, created } = await appointments.create('a', given, terms(), [])
    t.equal(created, true)
    t.match(appointment, { ...given, version: 1, createdAt: String, updatedAt: String })
    t.same(await appointments.get('a', 'one'), appointment)
    t.same(await appointments.findByKey('a', 'key-one'), appointment)
    t.equal(await appointments.get('b', 'one'), null)
    t.equal(await appointments.findByKey('b', 'key-one'), null)
    t.same(await appointments.list('b', {}), [])
    t.equal(await appointments.delete('b', 'one'), false)
    await t.rejects(appointments.create('b', given, terms(), []), { code: 'INVALID_INPUT' })
    await t.rejects(appointments.save('a', { ...appointment, startsAt: minutesAfter(NINE, 7) }, 1, terms(), []), { code: 'INVALID_INPUT' }, 'no start between two grains')
  })

  t.test('a time is given once, whatever part of it is wanted again, buffer included', async (t) => {
    const { appointments } = await make(t)
    const create = (id: string, startsAt: string, minutes = 60, bufferMinutes = 0, resourceId = 'crew-1') =>
      appointments.create('a', visit('a', id, { startsAt, endsAt: minutesAfter(startsAt, minutes), bufferMinutes, resourceId }), terms(), [])
    await create('first', NINE, 60, 30)
    for (const [id, minutes, length] of [['same', 0, 60], ['inside', 15, 15], ['around', -30, 120], ['tail', 55, 60], ['in the buffer', 85, 30], ['into it', -60, 65]] as const) {
      await t.rejects(create(`not-${id.replaceAll(' ', '-')}`, minutesAfter(NINE, minutes), length), { code: 'CONFLICT', details: { taken: true } }, id)
    }
    await t.rejects(create('own-buffer', minutesAfter(NINE, -60), 60, 5), { code: 'CONFLICT' }, 'and neither may its own buffer reach into it')
    await create('before', minutesAfter(NINE, -60))
    await create('after', minutesAfter(NINE, 90))
    await create('elsewhere', NINE, 60, 0, 'crew-2')
    await appointments.create('b', visit('b', 'first'), terms(), [])
    t.equal((await appointments.list('a', {})).length, 4, 'those that were refused left nothing behind')
  })

  t.test('a resource takes as many at once as it has room for, and asking or having been costs no room', async (t) => {
    const { appointments } = await make(t)
    for (const n of [1, 2, 3]) await appointments.create('a', visit('a', `seat-${n}`), terms(3), [])
    await t.rejects(appointments.create('a', visit('a', 'seat-4'), terms(3), []), { code: 'CONFLICT' })
    for (const status of ['requested', 'cancelled', 'completed', 'no-show'] as const) await appointments.create('a', visit('a', status, { status }), terms(3), [])
    // Two that follow one another on different seats leave no seat whole, but room at every moment.
    await appointments.create('a', visit('a', 'left-1', { resourceId: 'chair', endsAt: minutesAfter(NINE, 30) }), terms(2), [])
    await appointments.create('a', visit('a', 'both', { resourceId: 'chair', startsAt: NINE, endsAt: minutesAfter(NINE, 15) }), terms(2), [])
    await appointments.create('a', visit('a', 'right', { resourceId: 'chair', startsAt: minutesAfter(NINE, 30), endsAt: minutesAfter(NINE, 60) }), terms(2), [])
    await appointments.create('a', visit('a', 'long', { resourceId: 'chair', startsAt: minutesAfter(NINE, 15), endsAt: minutesAfter(NINE, 60) }), terms(2), [])
  })

  t.test('of a hundred who want the last seats at once, as many get them as there are, and the rest are told', async (t) => {
    const { appointments } = await make(t)
    for (const capacity of [1, 3]) {
      const startsAt = minutesAfter(NINE, capacity * 1440)
      const outcomes = await Promise.allSettled(
        Array.from({ length: 100 }, (_, n) => appointments.create('a', visit('a', `try-${capacity}-${n}`, { startsAt }), terms(capacity), [])),
      )
      t.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, capacity)
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
      t.equal(refused.filter((outcome) => isClientsViaError(outcome.reason, 'CONFLICT') && outcome.reason.details['taken'] === true).length, 100 - capacity)
    }
    t.equal((await appointments.list('a', { limit: 200 })).length, 4)
  })

  t.test('the same key is one appointment, also for those who come at once, and whatever became of it', async (t) => {
    const { appointments } = await make(t)
    const outcomes = await Promise.all(Array.from({ length: 20 }, (_, n) => appointments.create('a', visit('a', `id-${n}`, { idempotencyKey: 'call-1:turn-4:book' }), terms(1), [])))
    t.equal(outcomes.filter((outcome) => outcome.created).length, 1)
    t.equal(new Set(outcomes.map((outcome) => outcome.appointment.id)).size, 1)
    const [first] = outcomes
    if (first === undefined) return
    await appointments.save('a', { ...first.appointment, status: 'cancelled' }, 1, terms(), [])
    const again = await appointments.create('a', visit('a', 'later', { idempotencyKey: 'call-1:turn-4:book' }), terms(), [])
    t.match(again, { created: false, appointment: { id: first.appointment.id, status: 'cancelled' } })
    t.equal((await appointments.create('b', visit('b', 'other', { idempotencyKey: 'call-1:turn-4:book' }), terms(), [])).created, true, 'keys are a company\'s own')
  })

  t.test('a move takes the new time and gives the old one back, or changes nothing', async (t) => {
    const { appointments } = await make(t)
    const { appointment } = await appointments.create('a', visit('a', 'mine'), terms(), [])
    await appointments.create('a', visit('a', 'theirs', { startsAt: minutesAfter(NINE, 120) }), terms(), [])
    const moved = (minutes: number) => ({ ...appointment, startsAt: minutesAfter(NINE, minutes), endsAt: minutesAfter(NINE, minutes + 60) })
    await t.rejects(appointments.save('a', moved(90), 1, terms(), []), { code: 'CONFLICT', details: { taken: true } })
    t.same(await appointments.get('a', 'mine'), appointment)
    await t.rejects(appointments.create('a', visit('a', 'sneak'), terms(), []), { code: 'CONFLICT' }, 'the old time is still held')
    const half = await appointments.save('a', moved(30), 1, terms(), [])
    t.match(half, { startsAt: minutesAfter(NINE, 30), version: 2 }, 'it may overlap its own old time')
    await appointments.create('a', visit('a', 'freed', { endsAt: minutesAfter(NINE, 30) }), terms(), [])
    await t.rejects(appointments.save('a', { ...half, status: 'cancelled' }, 1, terms(), []), { code: 'CONFLICT', details: { expected: 1, stored: 2 } })
    const elsewhere = await appointments.save('a', { ...half, resourceId: 'crew-2' }, 2, terms(), [])
    await appointments.create('a', visit('a', 'again', { startsAt: minutesAfter(NINE, 30) }), terms(), [])
    await appointments.save('a', { ...elsewhere, status: 'cancelled' }, 3, terms(), [])
    await appointments.create('a', visit('a', 'crew-2', { resourceId: 'crew-2', startsAt: minutesAfter(NINE, 30) }), terms(), [])
    await t.rejects(appointments.save('a', elsewhere, 4, terms(), []), { code: 'CONFLICT' }, 'and what was given up is gone')
    await t.rejects(appointments.save('a', visit('a', 'nobody'), 1, terms(), []), { code: 'NOT_FOUND' })
    t.match(await appointments.get('a', 'mine'), { idempotencyKey: 'key-mine', version: 4 })
    await appointments.delete('a', 'crew-2')
    t.match(await appointments.save('a', elsewhere, 4, terms(), []), { status: 'confirmed', version: 5 }, 'until somebody else gives it back')
  })

  t.test('a hold keeps the time for as long as it says and not a moment longer', async (t) => {
    const { appointments } = await make(t)
    const { appointment } = await appointments.create('a', visit('a', 'held', { status: 'held', heldUntil: '2026-11-25T15:10:00.000Z' }), terms(), [])
    await t.rejects(appointments.create('a', visit('a', 'too-early'), terms(1, '2026-11-25T15:09:59.000Z'), []), { code: 'CONFLICT' })
    const range = { from: NINE, to: minutesAfter(NINE, 60) }
    t.equal((await appointments.busy('a', { ...range, now: '2026-11-25T15:09:59.000Z' })).length, 1)
    t.equal((await appointments.busy('a', { ...range, now: '2026-11-25T15:10:00.000Z' })).length, 0)
    t.same((await appointments.list('a', { statuses: ['held'], heldUntilBefore: '2026-11-25T15:09:59.000Z' })).length, 0)
    t.same((await appointments.list('a', { statuses: ['held'], heldUntilBefore: '2026-11-25T15:10:00.000Z' })).map((one) => one.id), ['held'])
    await appointments.create('a', visit('a', 'next'), terms(1, '2026-11-25T15:10:00.000Z'), [])
    await t.rejects(appointments.save('a', { ...appointment, status: 'confirmed', heldUntil: null }, 1, terms(1, '2026-11-25T15:11:00.000Z'), []), { code: 'CONFLICT' }, 'who comes too late has lost it')
    await appointments.save('a', { ...appointment, status: 'cancelled', heldUntil: null }, 1, terms(1, '2026-11-25T15:11:00.000Z'), [])
    t.equal((await appointments.busy('a', { ...range, now: NOW })).length, 1, 'and letting it go takes nothing from the one who came after')
    await t.rejects(appointments.create('a', visit('a', 'third'), terms(1, '2026-11-25T15:12:00.000Z'), []), { code: 'CONFLICT' })
  })

  t.test('appointments are listed by start, page by page, by whatever one looks for', async (t) => {
    const { appointments } = await make(t)
    const add = (id: string, minutes: number, changes: Parameters<typeof visit>[2] = {}) => appointments.create('a', visit('a', id, { startsAt: minutesAfter(NINE, minutes), ...changes }), terms(5), [])
    await add('c', 120, { callSid: 'CA7' })
    await add('b', 60, { customer: { name: 'Lee', phoneNumberE164: '+12395550199' } })
    await add('a2', 60, { status: 'requested', serviceId: 'tune-up' })
    await add('a1', 0, { resourceId: 'crew-2' })
    const ids = async (filter: Parameters<typeof appointments.list>[1]): Promise<string[]> => (await appointments.list('a', filter)).map((one) => one.id)
    t.same(await ids({}), ['a1', 'a2', 'b', 'c'])
    t.same(await ids({ limit: 2 }), ['a1', 'a2'])
    t.same(await ids({ limit: 2, after: 'a2' }), ['b', 'c'])
    t.same(await ids({ statuses: ['requested', 'held'] }), ['a2'])
    t.same(await ids({ resourceId: 'crew-2' }), ['a1'])
    t.same(await ids({ serviceId: 'tune-up' }), ['a2'])
    t.same(await ids({ phoneNumberE164: '+12395550199' }), ['b'])
    t.same(await ids({ callSid: 'CA7' }), ['c'])
    t.same(await ids({ startsFrom: minutesAfter(NINE, 60), startsBefore: minutesAfter(NINE, 120) }), ['a2', 'b'])
    await t.rejects(appointments.list('a', { after: 'nobody' }), { code: 'INVALID_INPUT' })
    await t.rejects(appointments.list('b', { after: 'a1' }), { code: 'INVALID_INPUT' })
    t.same(
      (await appointments.busy('a', { from: minutesAfter(NINE, 30), to: minutesAfter(NINE, 120), now: NOW })).map((one) => [one.resourceId, one.startsAtMs, one.endsAtMs]),
      [
        ['crew-2', Date.parse(NINE), Date.parse(minutesAfter(NINE, 60))],
        ['crew-1', Date.parse(minutesAfter(NINE, 60)), Date.parse(minutesAfter(NINE, 120))],
      ],
      'what reaches into a range is busy there; what is only asked for is not',
    )
    t.equal(await appointments.deleteEndedBefore('a', minutesAfter(NINE, 121), 2), 2)
    t.equal(await appointments.deleteEndedBefore('a', minutesAfter(NINE, 121), 2), 1)
    t.same(await ids({}), ['c'])
    t.equal(await appointments.delete('a', 'c'), true)
    t.equal(await appointments.delete('a', 'c'), false)
    await appointments.create('a', visit('a', 'new', { startsAt: minutesAfter(NINE, 120) }), terms(1), [])
  })

  t.test('what happened is written with the appointment, or neither is', async (t) => {
    const { appointments, eventTypes } = await make(t)
    if (eventTypes === null) {
      t.comment('events are kept elsewhere')
      return
    }
    const { appointment } = await appointments.create('a', visit('a', 'one'), terms(), [event(visit('a', 'one'))])
    await appointments.create('a', visit('a', 'one-again', { idempotencyKey: 'key-one' }), terms(), [event(appointment)])
    await t.rejects(appointments.create('a', visit('a', 'two'), terms(), [event(visit('a', 'two'))]), { code: 'CONFLICT' })
    await t.rejects(appointments.save('a', { ...appointment, status: 'cancelled' }, 9, terms(), [event(appointment, 'appointment.cancelled')]), { code: 'CONFLICT' })
    await appointments.save('a', { ...appointment, status: 'cancelled' }, 1, terms(), [event(appointment, 'appointment.cancelled')])
    t.same(await eventTypes('a'), ['appointment.booked', 'appointment.cancelled'])
  })

  t.test(`in ${size.operations} random operations, ${size.atOnce} at a time, nobody is booked over anybody, and no time is lost`, { timeout: 300_000 }, async (t) => {
    const { appointments } = await make(t)
    const { counts, unexpected, overbooked, leftTaken } = await randomBookings(appointments, size)
    t.same(unexpected, [])
    t.same(overbooked, [])
    t.comment(JSON.stringify(counts))
    t.ok((counts['book done'] ?? 0) > 0 && (counts['move done'] ?? 0) > 0 && (counts['cancel done'] ?? 0) > 0, 'all kinds of work were done')
    t.ok((counts['book taken'] ?? 0) > 0 && (counts['move taken'] ?? 0) > 0, 'and there was something to fight for')
    t.same(leftTaken, [], 'no claim outlives its appointment')
  })

  t.test(`callers book, move and cancel over the nights when clocks change, in ${ZONE_NIGHTS.length} zones: nobody meets anybody, and everything is inside opening hours`, { timeout: 300_000 }, async (t) => {
    const { appointments } = await make(t)
    for (const night of ZONE_NIGHTS) t.same(await randomCallers(appointments, night, Math.min(200, Math.ceil(size.operations / 20)), size.atOnce), [], night.timeZone)
  })
}
