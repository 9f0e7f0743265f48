import t, { type Test } from 'tap'
import type { BookingDesk, AppointmentRequest, Opening } from '../../src/booking/booking-desk.ts'
import type { AwayTime } from '../../src/booking/availability.ts'
import { CompanyBookingDesk } from '../../src/booking/company-booking-desk.ts'
import { EffectRunner } from '../../src/booking/effect-runner.ts'
import type { Effect, LeadInput } from '../../src/booking/effect.ts'
import { EmbeddedDatabase } from '../../src/storage/embedded-database.ts'
import { MIGRATIONS } from '../../src/storage/embedded-migrations.ts'
import { makeRepositories, type EmbeddedRepositories } from '../../src/storage/embedded-repositories.ts'
import { companySchema, type Company, type CompanyInput } from '../../src/tenancy/company.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const SIGNAL = new AbortController().signal
const CALLER = '+12395550143'
const WORKDAYS = Object.fromEntries(['monday', 'tuesday', 'wednesday', 'thursday', 'friday'].map((day) => [day, [{ opens: '08:00', closes: '17:00' }]]))

type Office = Readonly<{ desk: CompanyBookingDesk; clock: VirtualClock; repositories: EmbeddedRepositories; away: AwayTime[]; change: (changes: Partial<CompanyInput>) => void }>

/** A company with two crews on a Wednesday at ten; its store is the real one, in memory. */
function office(changes: Partial<CompanyInput> = {}): Office {
  const database = EmbeddedDatabase.open(':memory:')
  database.migrate(MIGRATIONS)
  const clock = new VirtualClock(new Date('2026-11-25T15:00:00.000Z'))
  const repositories = makeRepositories(database, { clock, report: () => undefined })
  const plain: CompanyInput = {
    id: 'a', name: 'A', industry: 'hvac', agentId: 'desk', timeZone: 'America/New_York', hours: WORKDAYS,
    services: [{ id: 'repair', name: 'Repair', durationMinutes: 60 }],
    resources: [{ id: 'crew-1', name: 'One' }, { id: 'crew-2', name: 'Two' }],
    booking: { windows: [{ from: '08:00', to: '10:00' }, { from: '10:00', to: '12:00' }] },
  }
  let company: Company = companySchema.parse({ ...plain, ...changes })
  const away: AwayTime[] = []
  const desk = new CompanyBookingDesk({ clock, companyOf: async () => company, appointments: repositories.appointments, away: () => away })
  return { desk, clock, repositories, away, change: (more) => void (company = companySchema.parse({ ...plain, ...changes, ...more })) }
}

const monday = { serviceId: 'repair', from: '2026-11-30T05:00:00.000Z', to: '2026-12-01T05:00:00.000Z', partOfDay: null, resourceId: null, limit: 10 } as const

function request(opening: Opening, changes: Partial<AppointmentRequest> = {}): AppointmentRequest {
  return { opening, customer: { name: 'Dana Reyes', phoneNumberE164: CALLER, address: null }, reason: 'the AC is warm', answers: {}, callSid: 'CA1', ...changes }
}

async function first(desk: BookingDesk): Promise<Opening> {
  const [opening] = await desk.search('a', monday, SIGNAL)
  if (opening === undefined) throw new Error('nothing is free on Monday')
  return opening
}

t.test('a time that is searched can be booked, once, and is then offered with the other crew, then no more', async (t) => {
  const { desk, repositories } = office({ booking: { windows: [{ from: '08:00', to: '09:00' }] } })
  const opening = await first(desk)
  const appointment = await desk.book('a', request(opening), 'CA1:4:book', SIGNAL)
  t.match(appointment, { status: 'confirmed', serviceId: 'repair', resourceId: 'crew-1', startsAt: '2026-11-30T13:00:00.000Z', window: opening.window, callSid: 'CA1' })
  t.same(await desk.book('a', request(opening), 'CA1:4:book', SIGNAL), appointment, 'the same turn again is the same appointment')
  await t.rejects(desk.book('a', request(opening), 'CA2:2:book', SIGNAL), { code: 'CONFLICT', details: { taken: true } })
  t.same((await desk.search('a', monday, SIGNAL)).map((one) => one.resourceId), ['crew-2'])
  t.equal((await desk.book('a', request(opening, { anyResource: true }), 'CA2:3:book', SIGNAL)).resourceId, 'crew-2', 'anybody will do')
  t.same(await desk.search('a', monday, SIGNAL), [])
  t.same((await repositories.eventLog.list('a', { after: null, limit: 10 })).map((event) => [event.type, event.subject === `appointment/${appointment.id}`]), [['appointment.booked', true], ['appointment.booked', false]])
})

t.test('a hundred callers at once: as many get the time as there are crews', async (t) => {
  const { desk } = office()
  const opening = await first(desk)
  const outcomes = await Promise.allSettled(Array.from({ length: 100 }, (_, n) => desk.book('a', request(opening, { anyResource: true }), `CA${n}:1:book`, SIGNAL)))
  const done = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value.resourceId] : []))
  t.same(done.sort(), ['crew-1', 'crew-2'])
})

t.test('where a person confirms, a call only asks, and the confirmation takes the time', async (t) => {
  const { desk } = office({ booking: { mode: 'request' } })
  const opening = await first(desk)
  const [one, other] = [await desk.book('a', request(opening), 'k1', SIGNAL), await desk.book('a', request(opening), 'k2', SIGNAL)]
  t.same([one.status, other.status], ['requested', 'requested'])
  t.equal((await desk.confirm('a', one.id, SIGNAL)).status, 'confirmed')
  t.equal((await desk.confirm('a', one.id, SIGNAL)).version, 2, 'twice is once')
  await t.rejects(desk.confirm('a', other.id, SIGNAL), { code: 'CONFLICT' })
})

t.test('a hold keeps the time while somebody decides, and is given up by itself', async (t) => {
  const { desk, clock, repositories } = office({ resources: [{ id: 'crew-1', name: 'One' }], booking: { holdMinutes: 10 } })
  const opening = await first(desk)
  const held = await desk.hold('a', request(opening), 'k1', SIGNAL)
  await t.rejects(desk.book('a', request(opening), 'k2', SIGNAL), { code: 'CONFLICT' })
  await clock.advance(9 * 60_000)
  t.equal((await desk.confirm('a', held.id, SIGNAL)).status, 'confirmed')
  const second = (await desk.search('a', monday, SIGNAL))[0] as Opening
  const late = await desk.hold('a', request(second), 'k3', SIGNAL)
  await clock.advance(10 * 60_000)
  await t.rejects(desk.confirm('a', late.id, SIGNAL), { code: 'CONFLICT' }, 'a yes after that is too late')
  t.equal(await desk.endHolds('a', SIGNAL), 1)
  t.equal(await desk.endHolds('a', SIGNAL), 0)
  const types = (await repositories.eventLog.list('a', { after: null, limit: 10 })).map((event) => event.type)
  t.same(types, ['appointment.held', 'appointment.booked', 'appointment.held'], 'nobody was told of it, so nobody is told that it is off')
  t.equal((await desk.book('a', request(second), 'k4', SIGNAL)).status, 'confirmed')
})

t.test('an appointment is moved in one step, frees its old time, and cannot be moved onto another', async (t) => {
  const { desk, repositories } = office({ resources: [{ id: 'crew-1', name: 'One' }] })
  const [eight, ten] = await desk.search('a', monday, SIGNAL)
  if (eight === undefined || ten === undefined) return t.fail('two windows')
  const mine = await desk.book('a', request(eight), 'k1', SIGNAL)
  await desk.book('a', request(ten), 'k2', SIGNAL)
  await t.rejects(desk.reschedule('a', mine.id, ten, SIGNAL), { code: 'CONFLICT' })
  t.same(await desk.reschedule('a', mine.id, eight, SIGNAL), mine, 'to where it is: nothing')
  const later = { ...eight, startsAt: '2026-11-30T14:00:00.000Z' }
  const moved = await desk.reschedule('a', mine.id, later, SIGNAL)
  t.match(moved, { startsAt: '2026-11-30T14:00:00.000Z', endsAt: '2026-11-30T15:00:00.000Z', version: 2 })
  const half = await desk.reschedule('a', mine.id, { ...eight, startsAt: '2026-11-30T13:30:00.000Z' }, SIGNAL)
  t.equal(half.startsAt, '2026-11-30T13:30:00.000Z', 'its own old time is not in its way')
  const [event] = (await repositories.eventLog.list('a', { after: null, limit: 10 })).filter((one) => one.type === 'appointment.rescheduled')
  t.match(event?.data, { previous: { startsAt: '2026-11-30T13:00:00.000Z' }, appointment: { startsAt: '2026-11-30T14:00:00.000Z' } })
  t.equal((await desk.cancel('a', mine.id, SIGNAL)).status, 'cancelled')
  t.equal((await desk.cancel('a', mine.id, SIGNAL)).version, 4, 'twice is once')
  await t.rejects(desk.reschedule('a', mine.id, eight, SIGNAL), { code: 'CONFLICT' })
  await t.rejects(desk.cancel('a', 'nobody', SIGNAL), { code: 'NOT_FOUND' })
})

t.test('callers find their own visits, soonest first, and nobody else\'s', async (t) => {
  const { desk, clock } = office()
  const openings = await desk.search('a', monday, SIGNAL)
  const [eight, ten] = openings
  if (eight === undefined || ten === undefined) return t.fail('two windows')
  const late = await desk.book('a', request(ten), 'k1', SIGNAL)
  const soon = await desk.book('a', request(eight), 'k2', SIGNAL)
  await desk.book('a', request({ ...eight, resourceId: 'crew-2' }, { customer: { name: 'Lee', phoneNumberE164: '+12395550199', address: null } }), 'k3', SIGNAL)
  t.same((await desk.upcoming('a', CALLER, SIGNAL)).map((one) => one.id), [soon.id, late.id])
  await desk.cancel('a', soon.id, SIGNAL)
  t.same((await desk.upcoming('a', CALLER, SIGNAL)).map((one) => one.id), [late.id])
  await clock.advance(6 * 24 * 3_600_000)
  t.same(await desk.upcoming('a', CALLER, SIGNAL), [])
})

t.test('who had the latest visit under a number is known by it; one that was called off, or is long over, says nothing', async (t) => {
  const { desk, clock } = office()
  t.equal(await desk.customer('a', CALLER, SIGNAL), null)
  const [eight, ten] = await desk.search('a', monday, SIGNAL)
  if (eight === undefined || ten === undefined) return t.fail('two windows')
  const address = { street: '12 Palm Street', unit: '', city: 'Estero', state: 'FL', zip: '' }
  await desk.book('a', request(eight, { customer: { name: 'Dana Reyes', phoneNumberE164: CALLER, address } }), 'k1', SIGNAL)
  const second = await desk.book('a', request(ten, { customer: { name: 'Dana Reyes-Lee', phoneNumberE164: CALLER, address: null } }), 'k2', SIGNAL)
  t.match(await desk.customer('a', CALLER, SIGNAL), { name: 'Dana Reyes-Lee' })
  await desk.cancel('a', second.id, SIGNAL)
  t.match(await desk.customer('a', CALLER, SIGNAL), { name: 'Dana Reyes', address: { street: '12 Palm Street' } })
  t.equal(await desk.customer('a', '+12395550199', SIGNAL), null)
  await clock.advance(3 * 366 * 24 * 3_600_000)
  t.equal(await desk.customer('a', CALLER, SIGNAL), null)
})

t.test('what an outside calendar takes is neither offered nor booked', async (t) => {
  const { desk, away } = office()
  const opening = await first(desk)
  away.push({ resourceId: null, startsAtMs: Date.parse('2026-11-30T13:30:00Z'), endsAtMs: Date.parse('2026-11-30T13:45:00Z') })
  await t.rejects(desk.book('a', request(opening), 'k1', SIGNAL), { code: 'CONFLICT' })
  t.equal((await first(desk)).startsAt, '2026-11-30T14:00:00.000Z')
})

t.test('the company\'s own people may book outside hours, but over nobody', async (t) => {
  const { desk } = office({ resources: [{ id: 'crew-1', name: 'One' }] })
  const sunday = { serviceId: 'repair', startsAt: '2026-11-29T20:00:00.000Z', resourceId: null, customer: { name: 'Lee', phoneNumberE164: CALLER, address: null }, reason: 'x', answers: {}, status: 'confirmed', anyTime: true } as const
  await t.rejects(desk.bookByHand('a', { ...sunday, anyTime: false }, 'k0', SIGNAL), { code: 'CONFLICT' })
  t.match(await desk.bookByHand('a', sunday, 'k1', SIGNAL), { status: 'confirmed', resourceId: 'crew-1', window: null })
  await t.rejects(desk.bookByHand('a', sunday, 'k2', SIGNAL), { code: 'CONFLICT' })
  await t.rejects(desk.bookByHand('a', { ...sunday, serviceId: 'none' }, 'k3', SIGNAL), { code: 'INVALID_INPUT' })
})

t.test('a visit that is over can be called completed or missed, but not cancelled', async (t) => {
  const { desk } = office()
  const { id } = await desk.book('a', request(await first(desk)), 'k1', SIGNAL)
  t.equal((await desk.setStatus('a', id, 'completed', 1, SIGNAL)).status, 'completed')
  await t.rejects(desk.setStatus('a', id, 'no-show', 1, SIGNAL), { code: 'CONFLICT', details: { expected: 1, stored: 2 } })
  t.equal((await desk.setStatus('a', id, 'no-show', 2, SIGNAL)).status, 'no-show')
  await t.rejects(desk.cancel('a', id, SIGNAL), { code: 'CONFLICT' })
})

type Leads = { lead: LeadInput; key: string }[]

function runner(office: Office, desk: BookingDesk = office.desk, leads: Leads = []): { runner: EffectRunner; leads: Leads; failures: string[] } {
  const failures: string[] = []
  const keepLead = async (_: string, lead: LeadInput, facts: { idempotencyKey: string }): Promise<void> => void leads.push({ lead, key: facts.idempotencyKey })
  return { leads, failures, runner: new EffectRunner({ clock: office.clock, desk, keepLead, signal: SIGNAL, onFailure: (_company, _call, kind) => failures.push(kind) }) }
}

const LEAD: Effect = { kind: 'lead', lead: { kind: 'callback', formId: null, callerName: null, phoneNumberE164: CALLER, summary: 'wants a call', slots: {} } }
const DONE = Promise.resolve()

t.test('nothing happens before the turn is committed, and nothing at all when it is given up', async (t) => {
  const { runner: effects, leads } = runner(office())
  const { promise: committed, resolve: commit } = Promise.withResolvers<void>()
  const forTurn = effects.forTurn({ companyId: 'a', callSid: 'CA1', turn: 1, committed })
  const given = new AbortController()
  const givenUp = forTurn.perform(LEAD, given.signal)
  given.abort(new Error('the caller went on'))
  await t.rejects(givenUp, { message: 'the caller went on' })
  const waiting = forTurn.perform(LEAD, SIGNAL)
  t.equal(leads.length, 0)
  commit()
  t.same(await waiting, { kind: 'done', appointment: null })
  t.same(leads.map((one) => one.key), ['CA1:1:lead'])
})

t.test('an effect is done once for its call, turn and kind, however often and at once it is asked for', async (t) => {
  const one = office()
  const { runner: effects, leads } = runner(one)
  const opening = await first(one.desk)
  const book: Effect = { kind: 'book', request: request(opening) }
  const turn = effects.forTurn({ companyId: 'a', callSid: 'CA1', turn: 4, committed: DONE })
  const results = await Promise.all([turn.perform(book, SIGNAL), turn.perform(book, SIGNAL), effects.forTurn({ companyId: 'a', callSid: 'CA1', turn: 4, committed: DONE }).perform(book, SIGNAL), turn.perform(LEAD, SIGNAL)])
  t.same(results.map((result) => result.kind), ['done', 'done', 'done', 'done'])
  t.equal((await one.repositories.appointments.list('a', {})).length, 1)
  t.equal(leads.length, 1)
  // A process that has forgotten finds it in the store.
  const { runner: restarted } = runner(one)
  t.match(await restarted.forTurn({ companyId: 'a', callSid: 'CA1', turn: 4, committed: DONE }).perform(book, SIGNAL), { kind: 'done', appointment: { version: 1 } })
  // Cut in on, and asked for the same again a turn later: still theirs.
  t.match(await effects.forTurn({ companyId: 'a', callSid: 'CA1', turn: 5, committed: DONE }).perform(book, SIGNAL), { kind: 'done', appointment: { version: 1 } })
  t.equal((await one.repositories.appointments.list('a', {})).length, 1)
})

t.test('a caller who went on before the reply was heard, and wants another time, gets that one and not both', async (t) => {
  const one = office()
  const { runner: effects } = runner(one)
  const [eight, ten] = await one.desk.search('a', monday, SIGNAL)
  if (eight === undefined || ten === undefined) return t.fail('two windows')
  const turn = effects.forTurn({ companyId: 'a', callSid: 'CA1', turn: 4, committed: DONE })
  await turn.perform({ kind: 'book', request: request(eight) }, SIGNAL)
  t.match(await turn.perform({ kind: 'book', request: request(ten) }, SIGNAL), { kind: 'done', appointment: { startsAt: ten.startsAt, status: 'confirmed' } })
  t.same((await one.desk.upcoming('a', CALLER, SIGNAL)).map((each) => each.startsAt), [ten.startsAt])
})

t.test('of two callers who want one time, the slower one hears what is still free near it', async (t) => {
  const one = office({ resources: [{ id: 'crew-1', name: 'One' }] })
  const { runner: effects, failures } = runner(one)
  const opening = await first(one.desk)
  const other = { name: 'Lee', phoneNumberE164: '+12395550199', address: null }
  const results = await Promise.all([
    effects.forTurn({ companyId: 'a', callSid: 'CA1', turn: 1, committed: DONE }).perform({ kind: 'book', request: request(opening) }, SIGNAL),
    effects.forTurn({ companyId: 'a', callSid: 'CA2', turn: 1, committed: DONE }).perform({ kind: 'book', request: request(opening, { callSid: 'CA2', customer: other }) }, SIGNAL),
  ])
  t.same(results.map((result) => result.kind), ['done', 'taken'])
  const [, taken] = results
  t.match(taken, { alternatives: [{ startsAt: '2026-11-30T14:00:00.000Z' }, { startsAt: '2026-11-30T15:00:00.000Z' }, {}] })
  const mine = (await one.desk.upcoming('a', CALLER, SIGNAL))[0]
  const ten = (await one.desk.search('a', monday, SIGNAL))[1] as Opening
  t.match(await effects.forTurn({ companyId: 'a', callSid: 'CA1', turn: 2, committed: DONE }).perform({ kind: 'reschedule', appointmentId: mine?.id ?? '', opening: ten }, SIGNAL), { kind: 'done', appointment: { startsAt: ten.startsAt } })
  t.match(await effects.forTurn({ companyId: 'a', callSid: 'CA1', turn: 3, committed: DONE }).perform({ kind: 'cancel', appointmentId: mine?.id ?? '' }, SIGNAL), { kind: 'done', appointment: { status: 'cancelled' } })
  t.match(await effects.forTurn({ companyId: 'a', callSid: 'CA1', turn: 4, committed: DONE }).perform({ kind: 'cancel', appointmentId: 'nobody' }, SIGNAL), { kind: 'failed' })
  t.same(failures, ['cancel'], 'a failure is an answer, and is reported')
})

t.test('a store that does not answer in time is a failure, and a booking that lands after that is undone', async (t: Test) => {
  const one = office()
  const opening = await first(one.desk)
  const { promise: slow, resolve: answer } = Promise.withResolvers<void>()
  const desk: BookingDesk = Object.assign(Object.create(one.desk) as BookingDesk, {
    book: async (...args: Parameters<BookingDesk['book']>) => {
      await slow
      return one.desk.book(...args)
    },
    cancel: (...args: Parameters<BookingDesk['cancel']>) => one.desk.cancel(...args),
  })
  const { runner: effects, failures } = runner(one, desk)
  const asked = effects.forTurn({ companyId: 'a', callSid: 'CA1', turn: 1, committed: DONE }).perform({ kind: 'book', request: request(opening) }, SIGNAL)
  await one.clock.advance(3000)
  t.match(await asked, { kind: 'failed' })
  t.same(failures, ['book'])
  answer()
  await one.clock.advance(1)
  t.same((await one.repositories.appointments.list('a', {})).map((each) => each.status), ['cancelled'])
})
