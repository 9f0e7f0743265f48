import t, { type Test } from 'tap'
import { keepRound } from '../../src/booking/appointment-keeper.ts'
import { openCompanyWorld, type CompanyWorld } from '../admin-resources/company-world.ts'
import { visit } from './appointments.ts'

const BASE = '/companies/polar-bay'
const DANA = { name: 'Dana Reyes', phoneNumberE164: '+12395550143' }
const DAYS = Object.fromEntries(['monday', 'tuesday', 'wednesday', 'thursday', 'friday'].map((day) => [day, [{ opens: '08:00', closes: '17:00' }]]))

/** Polar Bay on Monday, March 2, ten in the morning, with one crew and its hours; all over REST. */
async function openShop(): Promise<CompanyWorld> {
  const world = await openCompanyWorld()
  const { polarBay } = world
  const company = await polarBay('GET', BASE)
  await polarBay('PATCH', BASE, { hours: DAYS }, { 'if-match': String(company.headers.etag) })
  await polarBay('POST', `${BASE}/resources`, { id: 'crew-1', name: 'Crew one' })
  await polarBay('POST', `${BASE}/services`, { id: 'repair', name: 'AC repair', durationMinutes: 60, resourceIds: ['crew-1'] })
  return world
}

async function etag(world: CompanyWorld, path: string): Promise<Record<string, string>> {
  return { 'if-match': String((await world.polarBay('GET', path)).headers.etag) }
}

t.test('services and resources are made, changed and deleted one by one, and must fit together', async (t) => {
  const world = await openShop()
  const { polarBay } = world
  t.match((await polarBay('GET', `${BASE}/services`)).json(), { items: [{ id: 'repair', durationMinutes: 60, bufferMinutes: 0, windows: null }] })
  const tag = await etag(world, `${BASE}/services/repair`)
  t.equal((await polarBay('PATCH', `${BASE}/services/repair`, { bufferMinutes: 30 }, tag)).json().bufferMinutes, 30)
  t.equal((await polarBay('PATCH', `${BASE}/services/repair`, { bufferMinutes: 15 }, tag)).statusCode, 412, 'an edit made on what is old is not taken')
  t.equal((await polarBay('PATCH', `${BASE}/services/repair`, { bufferMinutes: 15 })).statusCode, 428)
  t.equal((await polarBay('POST', `${BASE}/services`, { id: 'repair', name: 'Again', durationMinutes: 60 })).statusCode, 409)
  const refused = async (path: string, body: object): Promise<string[]> => (await polarBay('POST', `${BASE}/${path}`, body)).json().errors.map((error: { field: string }) => error.field)
  t.same(await refused('services', { name: 'X', durationMinutes: 7 }), ['durationMinutes'])
  t.same(await refused('services', { name: 'X', durationMinutes: 60, resourceIds: ['nobody'] }), ['services.1.resourceIds.0'])
  t.same(await refused('services', { name: 'X', durationMinutes: 60, colour: 'blue' }), ['colour'])
  t.same(await refused('services', { name: 'X', durationMinutes: 60, windows: [{ from: '08:00', to: '10:00' }, { from: '09:00', to: '11:00' }] }), ['services.1.windows'])
  t.same(await refused('resources', { name: 'X', daysOff: [{ from: '2026-03-05', to: '2026-03-04' }] }), ['daysOff.0.to'])
  t.equal((await polarBay('DELETE', `${BASE}/resources/crew-1`)).statusCode, 400, 'a crew that a service names is still needed')
  t.equal((await polarBay('DELETE', `${BASE}/services/repair`)).statusCode, 204)
  t.equal((await polarBay('DELETE', `${BASE}/resources/crew-1`)).statusCode, 204)
  t.equal((await polarBay('GET', `${BASE}/services/repair`)).statusCode, 404)
})

t.test('the rules decide what is offered, at once', async (t) => {
  const world = await openShop()
  const { polarBay } = world
  const offered = async (query: string): Promise<string[]> => (await polarBay('GET', `${BASE}/availability?serviceId=repair&${query}`)).json().items.map((item: { said: string }) => item.said)
  t.same(await offered('limit=2'), ['today at noon', 'today at 12:30 in the afternoon'])
  const rules = await polarBay('PATCH', `${BASE}/booking-rules`, { windows: [{ from: '08:00', to: '10:00' }, { from: '14:00', to: '16:00' }], sameDay: false }, await etag(world, `${BASE}/booking-rules`))
  t.match(rules.json(), { sameDay: false, leadMinutes: 120, horizonDays: 14 })
  t.same(await offered('limit=2'), ['tomorrow between 8 and 10 in the morning', 'tomorrow between 2 and 4 in the afternoon'])
  t.same(await offered(`when=${encodeURIComponent('Thursday after lunch')}`), ['Thursday, March fifth, between 2 and 4 in the afternoon'])
  t.equal((await polarBay('GET', `${BASE}/availability?serviceId=repair&when=${encodeURIComponent('next Friday morning')}`)).json().understood.said, 'Friday, March thirteenth, in the morning')
  for (const query of ['serviceId=none', 'serviceId=repair&when=purple', 'serviceId=repair&when=today&from=2026-03-02T00:00:00Z', 'serviceId=repair&limit=0', 'limit=3']) {
    t.equal((await polarBay('GET', `${BASE}/availability?${query}`)).statusCode, 400, query)
  }
})

t.test('a visit is booked, moved, confirmed and called off over the API', async (t) => {
  const world = await openShop()
  const { polarBay } = world
  const book = (body: object, headers: Record<string, string> = {}) => polarBay('POST', `${BASE}/appointments`, { serviceId: 'repair', customer: DANA, reason: 'warm air', startsAt: '2026-03-03T14:00:00.000Z', ...body }, headers)
  const made = await book({}, { 'idempotency-key': 'desk-0001' })
  t.equal(made.statusCode, 201)
  t.match(made.json(), { status: 'confirmed', resourceId: 'crew-1', startsAt: '2026-03-03T14:00:00.000Z', endsAt: '2026-03-03T15:00:00.000Z', callSid: null, version: 1 })
  t.notOk('idempotencyKey' in made.json())
  t.equal((await book({}, { 'idempotency-key': 'desk-0001' })).json().id, made.json().id, 'sent again, booked once')
  const taken = await book({ startsAt: '2026-03-03T14:30:00.000Z' })
  t.match([taken.statusCode, taken.json().code], [409, 'CONFLICT'])
  t.equal((await book({ startsAt: '2026-03-03T03:00:00.000Z' })).statusCode, 409, 'nobody is there at night')
  t.equal((await book({ startsAt: '2026-03-03T03:00:00.000Z', anyTime: true })).statusCode, 201, 'unless the company\'s own people say so')
  t.equal((await book({ startsAt: '2026-03-03T14:02:00.000Z' })).statusCode, 400)
  t.equal((await book({ customer: { name: 'X', phoneNumberE164: '555' } })).statusCode, 400)

  const path = `${BASE}/appointments/${made.json().id as string}`
  const change = async (body: object, headers?: Record<string, string>) => polarBay('PATCH', path, body, headers ?? (await etag(world, path)))
  t.equal((await change({ startsAt: '2026-03-03T15:00:00.000Z' }, { 'if-match': '"v9"' })).statusCode, 412)
  t.equal((await change({ startsAt: '2026-03-03T15:00:00.000Z' }, {})).statusCode, 428)
  t.match((await change({ startsAt: '2026-03-03T15:00:00.000Z' })).json(), { startsAt: '2026-03-03T15:00:00.000Z', version: 2 })
  t.equal((await change({ status: 'cancelled', startsAt: '2026-03-03T15:00:00.000Z' })).statusCode, 400, 'one change at a time')
  t.equal((await change({})).statusCode, 400)
  t.equal((await book({ startsAt: '2026-03-03T14:00:00.000Z' })).statusCode, 201, 'the old time is free again')
  t.equal((await change({ startsAt: '2026-03-03T14:00:00.000Z' })).statusCode, 409)
  t.equal((await polarBay('POST', `${path}/cancel`, {})).json().status, 'cancelled')
  t.equal((await change({ status: 'confirmed' })).statusCode, 409, 'what is called off stays so')

  const held = await book({ startsAt: '2026-03-04T14:00:00.000Z', status: 'held' })
  t.match(held.json(), { status: 'held', heldUntil: '2026-03-02T15:10:00.000Z' })
  t.equal((await polarBay('PATCH', `${BASE}/appointments/${held.json().id as string}`, { status: 'confirmed' }, { 'if-match': '"v1"' })).json().status, 'confirmed')
})

t.test('appointments are listed by what one looks for, page by page; who may not read transcripts sees no names', async (t) => {
  const world = await openShop()
  const { polarBay, repositories } = world
  for (const [id, startsAt] of [['one', '2026-03-03T14:00:00.000Z'], ['two', '2026-03-04T14:00:00.000Z'], ['three', '2026-03-05T14:00:00.000Z']] as const) {
    await repositories.appointments.create('polar-bay', visit('polar-bay', id, { startsAt, ...(id === 'two' ? { status: 'requested', customer: { name: 'Lee', phoneNumberE164: '+12395550199' } } : {}) }), { capacity: 1, now: startsAt }, [])
  }
  const ids = async (query: string): Promise<string[]> => (await polarBay('GET', `${BASE}/appointments?${query}`)).json().items.map((item: { id: string }) => item.id)
  t.same(await ids(''), ['one', 'two', 'three'])
  t.same(await ids('status=requested'), ['two'])
  t.same(await ids(`from=${encodeURIComponent('(239) 555-0199')}`), ['two'])
  t.same(await ids('startsFrom=2026-03-04T00:00:00Z&startsBefore=2026-03-05T00:00:00Z'), ['two'])
  const first = (await polarBay('GET', `${BASE}/appointments?limit=2`)).json()
  t.same(await ids(`limit=2&cursor=${first.nextCursor as string}`), ['three'])
  t.equal((await polarBay('GET', `${BASE}/appointments?limit=2&cursor=nonsense`)).statusCode, 400)
  const viewer = await world.as('polar-bay', 'read_only')
  t.match((await viewer('GET', `${BASE}/appointments/one`)).json(), { customer: { name: 'hidden', phoneNumberE164: /^\+1\*+43$/, address: null }, reason: 'hidden', startsAt: '2026-03-03T14:00:00.000Z' })
})

t.test('a caller who wants to be forgotten is forgotten in the calendar, too', async (t: Test) => {
  const world = await openShop()
  const { polarBay, repositories } = world
  const create = (id: string, startsAt: string, changes: Parameters<typeof visit>[2]) => repositories.appointments.create('polar-bay', visit('polar-bay', id, { startsAt, ...changes }), { capacity: 1, now: startsAt }, [])
  await create('past', '2026-02-03T14:00:00.000Z', { status: 'completed' })
  await create('theirs', '2026-03-03T14:00:00.000Z', {})
  await create('neighbour', '2026-03-04T14:00:00.000Z', { customer: { name: 'Lee', phoneNumberE164: '+12395550199' }, reason: 'call Dana at 239-555-0143 if nobody opens' })
  const erased = await polarBay('POST', `${BASE}/erasures`, { from: '+12395550143' })
  t.match(erased.json(), { clean: true })
  t.same(erased.json().stores.filter((store: { name: string }) => store.name === 'appointments'), [{ name: 'appointments', erased: 3, remaining: 0 }])
  t.same((await polarBay('GET', `${BASE}/appointments`)).json().items.map((item: { reason: string }) => item.reason), ['call Dana at [erased] if nobody opens'])
  const again = await polarBay('POST', `${BASE}/appointments`, { serviceId: 'repair', customer: DANA, reason: 'x', startsAt: '2026-03-03T14:00:00.000Z' })
  t.equal(again.statusCode, 201, 'and their time is free')
})

t.test('visits are kept as long as the company said, holds no longer than they last', async (t) => {
  const world = await openShop()
  const { repositories, ports, clock } = world
  const signal = new AbortController().signal
  const failures: string[] = []
  for (const companyId of ['polar-bay', 'harbor-lane']) {
    await repositories.appointments.create(companyId, visit(companyId, 'old', { startsAt: '2024-02-27T14:00:00.000Z', status: 'completed' }), { capacity: 1, now: '2024-02-27T14:00:00.000Z' }, [])
    await repositories.appointments.create(companyId, visit(companyId, 'recent', { startsAt: '2024-03-05T14:00:00.000Z', status: 'completed' }), { capacity: 1, now: '2024-02-27T14:00:00.000Z' }, [])
  }
  await repositories.appointments.create('polar-bay', visit('polar-bay', 'held', { startsAt: '2026-03-09T14:00:00.000Z', status: 'held', heldUntil: '2026-03-02T14:59:00.000Z' }), { capacity: 1, now: '2026-03-02T14:00:00.000Z' }, [])
  const done = await keepRound({ clock, companies: repositories.companies, appointments: repositories.appointments, desk: ports.booking.desk, onFailure: (companyId) => failures.push(companyId) }, true, signal)
  t.same([done, failures], [{ holds: 1, deleted: 2 }, []])
  t.same((await repositories.appointments.list('polar-bay', {})).map((one) => [one.id, one.status]), [['recent', 'completed'], ['held', 'cancelled']])
})
