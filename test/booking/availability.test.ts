import fc from 'fast-check'
import { DateTime } from 'luxon'
import t from 'tap'
import { checkOpening, findOpenings, type BookingCompany, type TakenTime } from '../../src/booking/availability.ts'
import type { Opening, OpeningSearch } from '../../src/booking/booking-desk.ts'
import { companySchema, type CompanyInput } from '../../src/tenancy/company.ts'
import { isOpen } from '../../src/tenancy/hours.ts'

const ZONE = 'America/New_York'
/** A Wednesday, ten in the morning in New York; the Thursday after it is Thanksgiving. */
const NOW = new Date('2026-11-25T15:00:00.000Z')
const WORKDAYS = { monday: [{ opens: '08:00', closes: '17:00' }], tuesday: [{ opens: '08:00', closes: '17:00' }], wednesday: [{ opens: '08:00', closes: '17:00' }], thursday: [{ opens: '08:00', closes: '17:00' }], friday: [{ opens: '08:00', closes: '17:00' }] }
const AROUND_THE_CLOCK = Object.fromEntries(['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'].map((day) => [day, [{ opens: '00:00', closes: '24:00' }]]))
const NOTHING_TAKEN: TakenTime = { appointments: [], away: [] }

function company(changes: Partial<CompanyInput> = {}): BookingCompany {
  return companySchema.parse({
    id: 'a', name: 'A', industry: 'hvac', agentId: 'desk', timeZone: ZONE, hours: WORKDAYS,
    services: [{ id: 'repair', name: 'Repair', durationMinutes: 60 }],
    resources: [{ id: 'crew-1', name: 'Crew one' }],
    ...changes,
  })
}

function search(from: string, to: string, changes: Partial<OpeningSearch> = {}): OpeningSearch {
  const utc = (local: string): string => DateTime.fromISO(local, { zone: ZONE }).toUTC().toISO() ?? ''
  return { serviceId: 'repair', from: utc(from), to: utc(to), partOfDay: null, resourceId: null, limit: 100, ...changes }
}

function taken(local: string, minutes: number, resourceId = 'crew-1'): TakenTime {
  const startsAtMs = DateTime.fromISO(local, { zone: ZONE }).toMillis()
  return { appointments: [{ resourceId, startsAtMs, endsAtMs: startsAtMs + minutes * 60_000 }], away: [] }
}

function local(openings: readonly Opening[], zone = ZONE): string[] {
  return openings.map((one) => DateTime.fromISO(one.startsAt, { zone }).toFormat('LL-dd HH:mm'))
}

t.test('a company without windows offers every step of its hours on which a visit still fits', async (t) => {
  const monday = local(findOpenings(company({ booking: { stepMinutes: 60 } }), search('2026-11-30', '2026-12-01'), NOTHING_TAKEN, NOW))
  t.same(monday, ['08', '09', '10', '11', '12', '13', '14', '15', '16'].map((hour) => `11-30 ${hour}:00`))
})

t.test('nothing is offered on a holiday, on a closed day, before the lead time or beyond the horizon', async (t) => {
  const days = (changes: Partial<CompanyInput>): string[] => [...new Set(local(findOpenings(company(changes), search('2026-11-20', '2027-03-01'), NOTHING_TAKEN, NOW)).map((one) => one.slice(0, 5)))]
  t.same(days({ booking: { horizonDays: 7 }, holidays: [{ date: '2026-11-26', name: 'Thanksgiving', intervals: [] }] }), ['11-25', '11-27', '11-30', '12-01', '12-02'])
  t.same(days({ booking: { horizonDays: 1, sameDay: false } }), ['11-26'])
  const first = (leadMinutes: number | null, own: number | null): string | undefined =>
    local(findOpenings(company({ booking: { leadMinutes: leadMinutes ?? 120 }, services: [{ id: 'repair', name: 'Repair', durationMinutes: 60, leadMinutes: own }] }), search('2026-11-25', '2026-11-27'), NOTHING_TAKEN, NOW))[0]
  t.equal(first(120, null), '11-25 12:00')
  t.equal(first(120, 0), '11-25 10:00', 'a service may have a lead time of its own')
  const half = company({ holidays: [{ date: '2026-11-30', name: 'Half day', intervals: [{ opens: '08:00', closes: '10:00' }] }], booking: { stepMinutes: 30 } })
  t.same(local(findOpenings(half, search('2026-11-30', '2026-12-01'), NOTHING_TAKEN, NOW)), ['11-30 08:00', '11-30 08:30', '11-30 09:00'])
})

t.test('an appointment takes all of its time, not only its start, and so does the buffer of the next', async (t) => {
  const after = (bufferMinutes: number): string[] =>
    local(findOpenings(company({ services: [{ id: 'repair', name: 'Repair', durationMinutes: 60, bufferMinutes }], booking: { stepMinutes: 30 } }), search('2026-11-30T10:00', '2026-11-30T14:00'), taken('2026-11-30T11:45', 30), NOW))
  t.same(after(0), ['11-30 10:00', '11-30 10:30', '11-30 12:30', '11-30 13:00', '11-30 13:30'])
  t.same(after(30), ['11-30 10:00', '11-30 12:30', '11-30 13:00', '11-30 13:30'])
})

t.test('arrival windows are promised, and visits close ranks in them', async (t) => {
  const hvac = company({ booking: { windows: [{ from: '08:00', to: '10:00' }, { from: '10:00', to: '12:00' }, { from: '12:00', to: '14:00' }, { from: '14:00', to: '16:00' }] }, resources: [{ id: 'crew-1', name: 'One' }, { id: 'crew-2', name: 'Two' }] })
  const monday = findOpenings(hvac, search('2026-11-30', '2026-12-01'), taken('2026-11-30T08:00', 60), NOW)
  t.same(local(monday), ['11-30 08:00', '11-30 10:00', '11-30 12:00', '11-30 14:00'], 'one for each window')
  t.same(monday.map((one) => one.resourceId), ['crew-2', 'crew-2', 'crew-2', 'crew-2'], 'given to who has less to do that day')
  t.match(monday[0]?.window, { startsAt: '2026-11-30T13:00:00.000Z', endsAt: '2026-11-30T15:00:00.000Z' })
  const both = { appointments: [...taken('2026-11-30T08:00', 60).appointments, ...taken('2026-11-30T08:00', 150, 'crew-2').appointments], away: [] }
  t.same(local(findOpenings(hvac, search('2026-11-30', '2026-12-01'), both, NOW)), ['11-30 09:00', '11-30 10:00', '11-30 12:00', '11-30 14:00'], 'later in the window once its beginning is taken')
  t.same(local(findOpenings(hvac, search('2026-11-25', '2026-11-26'), NOTHING_TAKEN, NOW)), ['11-25 12:00', '11-25 14:00'], 'a window that has begun when the lead time ends is not promised')
  t.same(local(findOpenings(hvac, search('2026-11-30', '2026-12-01', { between: { from: '09:00', to: '10:00' } }), NOTHING_TAKEN, NOW)), ['11-30 08:00'], '"at nine" is the window that nine lies in')
  t.same(local(findOpenings(hvac, search('2026-11-30', '2026-12-01', { near: '2026-11-30T18:00:00.000Z' }), NOTHING_TAKEN, NOW))[0], '11-30 12:00')
  const saturday = company({ hours: { saturday: [{ opens: '09:00', closes: '11:00' }] }, booking: { windows: [{ from: '08:00', to: '10:00' }, { from: '10:00', to: '12:00' }] } })
  t.same(findOpenings(saturday, search('2026-11-28', '2026-11-29'), NOTHING_TAKEN, NOW).map((one) => one.window), [
    { startsAt: '2026-11-28T14:00:00.000Z', endsAt: '2026-11-28T15:00:00.000Z' },
    { startsAt: '2026-11-28T15:00:00.000Z', endsAt: '2026-11-28T16:00:00.000Z' },
  ], 'and never before or after hours')
})

t.test('what a caller asked for is what is searched', async (t) => {
  const open = company({ booking: { stepMinutes: 60 } })
  const hours = (changes: Partial<OpeningSearch>): string[] => local(findOpenings(open, search('2026-11-30', '2026-12-02', changes), NOTHING_TAKEN, NOW))
  t.same(hours({ partOfDay: 'afternoon', limit: 2 }), ['11-30 12:00', '11-30 13:00'])
  t.same(hours({ partOfDay: 'evening' }), [])
  t.same(hours({ between: { from: '16:00', to: '24:00' } }), ['11-30 16:00', '12-01 16:00'])
  t.same(hours({ except: [{ from: '2026-11-30T05:00:00.000Z', to: '2026-12-01T05:00:00.000Z' }], limit: 1 }), ['12-01 08:00'])
  t.same(hours({ near: '2026-12-01T18:30:00.000Z', limit: 3 }), ['12-01 13:00', '12-01 14:00', '12-01 12:00'])
  t.same(hours({ limit: 0 }), [])
  t.same(findOpenings(open, search('2026-11-30', '2026-12-02', { serviceId: 'nothing' }), NOTHING_TAKEN, NOW), [])
})

t.test('only who can do it, is there and is not away is offered', async (t) => {
  const three = company({
    services: [{ id: 'repair', name: 'Repair', durationMinutes: 60, skills: ['Gas'] }],
    resources: [
      { id: 'apprentice', name: 'A' },
      { id: 'crew-1', name: 'One', skills: ['gas'], daysOff: [{ from: '2026-11-30', to: '2026-12-01' }] },
      { id: 'crew-2', name: 'Two', skills: ['gas', 'solar'], hours: { ...WORKDAYS, monday: [{ opens: '13:00', closes: '20:00' }] } },
      { id: 'crew-3', name: 'Three', skills: ['gas'], enabled: false },
    ],
    booking: { stepMinutes: 60 },
  })
  const offered = (away: TakenTime['away'] = []): string[] => findOpenings(three, search('2026-11-30', '2026-12-01'), { appointments: [], away }, NOW).map((one) => `${one.resourceId} ${local([one])[0]?.slice(6) ?? ''}`)
  t.same(offered(), ['crew-2 13:00', 'crew-2 14:00', 'crew-2 15:00', 'crew-2 16:00'], 'own hours lie within the company\'s')
  const atOneMs = DateTime.fromISO('2026-11-30T13:30', { zone: ZONE }).toMillis()
  const away = (resourceId: string | null) => [{ resourceId, startsAtMs: atOneMs, endsAtMs: atOneMs + 60_000 }]
  t.same(offered(away('crew-2')), ['crew-2 14:00', 'crew-2 15:00', 'crew-2 16:00'])
  t.same(offered(away(null)), ['crew-2 14:00', 'crew-2 15:00', 'crew-2 16:00'])
  t.same(offered(away('crew-1')).length, 4)
})

t.test('a visit goes on over midnight where somebody is there', async (t) => {
  const always = company({ hours: AROUND_THE_CLOCK, services: [{ id: 'repair', name: 'R', durationMinutes: 120, bufferMinutes: 30 }], booking: { stepMinutes: 60 } })
  t.ok(local(findOpenings(always, search('2026-11-30T22:00', '2026-12-01T03:00'), NOTHING_TAKEN, NOW)).includes('11-30 23:00'))
  t.same(local(findOpenings(always, search('2026-11-30T21:00', '2026-12-01T02:00'), taken('2026-12-01T00:00', 60), NOW)), ['11-30 21:00', '12-01 01:00'], 'and so does the buffer')
})

t.test('on the nights when clocks change, an hour that is not there is not offered, and one that is there twice is offered once', async (t) => {
  const always = company({ hours: AROUND_THE_CLOCK, services: [{ id: 'repair', name: 'R', durationMinutes: 30 }], booking: { stepMinutes: 30, horizonDays: 365, leadMinutes: 0 } })
  const spring = findOpenings(always, search('2027-03-14T01:00', '2027-03-14T04:00'), NOTHING_TAKEN, NOW)
  t.same(local(spring), ['03-14 01:00', '03-14 01:30', '03-14 03:00', '03-14 03:30'])
  const everyFifty = company({ hours: AROUND_THE_CLOCK, services: [{ id: 'repair', name: 'R', durationMinutes: 30 }], booking: { stepMinutes: 50, horizonDays: 365, leadMinutes: 0 } })
  t.same(local(findOpenings(everyFifty, search('2027-03-14T00:00', '2027-03-14T04:00'), NOTHING_TAKEN, NOW)), ['03-14 00:00', '03-14 00:50', '03-14 01:40', '03-14 03:20'], 'half past two is not three')
  const autumn = findOpenings(always, search('2027-11-07T00:30', '2027-11-07T03:00'), NOTHING_TAKEN, new Date('2027-11-01T00:00:00Z'))
  t.same(local(autumn), ['11-07 00:30', '11-07 01:00', '11-07 01:30', '11-07 02:00', '11-07 02:30'])
  t.equal(Date.parse(autumn[3]?.startsAt ?? '') - Date.parse(autumn[2]?.startsAt ?? ''), 90 * 60_000, 'the second one o\'clock lies between')
})

t.test('an opening that is brought back is worked out again, not trusted', async (t) => {
  const hvac = company({ booking: { windows: [{ from: '08:00', to: '10:00' }], holdMinutes: 10 } })
  const [opening] = findOpenings(hvac, search('2026-11-30', '2026-12-01'), NOTHING_TAKEN, NOW)
  if (opening === undefined) return t.fail('nothing is free')
  const check = (changes: Partial<Opening>, when = NOW, time: TakenTime = NOTHING_TAKEN, anyTime = false) => checkOpening(hvac, { ...opening, ...changes }, time, when, anyTime)
  t.same(check({}), { opening })
  t.same(check({ endsAt: '2026-11-30T23:00:00.000Z', window: null }), { opening }, 'its length and window are the company\'s')
  t.same(check({ resourceId: 'crew-9' }), { refused: 'not-offered' })
  t.same(check({ startsAt: '2026-11-30T13:07:00.000Z' }), { refused: 'not-open' })
  t.same(check({ startsAt: '2026-11-30T15:00:00.000Z' }), { refused: 'not-open' }, 'after the window')
  t.same(check({ startsAt: '2026-11-28T13:00:00.000Z' }), { refused: 'not-open' }, 'on a Saturday')
  t.same(check({ startsAt: '2027-01-04T13:00:00.000Z' }), { refused: 'too-far' })
  t.same(check({}, new Date('2026-11-30T11:10:00.000Z')), { opening }, 'whoever thought about it for ten minutes still gets it')
  t.same(check({}, new Date('2026-11-30T11:11:00.000Z')), { refused: 'too-soon' })
  t.same(check({}, NOW, taken('2026-11-30T08:30', 60)), { refused: 'taken' })
  t.match(check({ startsAt: '2026-11-28T13:00:00.000Z' }, NOW, NOTHING_TAKEN, true), { opening: { startsAt: '2026-11-28T13:00:00.000Z' } }, 'the company\'s own people may')
  t.same(check({}, NOW, taken('2026-11-30T08:30', 60), true), { refused: 'taken' }, 'but not over somebody else')
})

/** Nights on which clocks change, and one on which they do not. */
const NIGHTS: readonly (readonly [zone: string, utc: string])[] = [
  ['America/New_York', '2027-03-14T07:00:00Z'], ['America/New_York', '2027-11-07T06:00:00Z'], ['Europe/London', '2027-03-28T01:00:00Z'], ['Europe/London', '2027-10-31T01:00:00Z'],
  ['Australia/Lord_Howe', '2027-10-02T15:30:00Z'], ['Australia/Lord_Howe', '2027-04-03T15:00:00Z'], ['America/Santiago', '2027-09-05T04:00:00Z'], ['America/Santiago', '2027-04-04T03:00:00Z'],
  ['Africa/Cairo', '2027-04-29T22:00:00Z'], ['Asia/Kathmandu', '2027-06-01T00:00:00Z'], ['America/St_Johns', '2027-03-14T05:30:00Z'], ['UTC', '2027-03-14T00:00:00Z'],
]
const QUARTER_MS = 15 * 60_000

t.test('in every zone, on every night: what is offered fits, and what fits is offered', async () => {
  const hour = fc.integer({ min: 0, max: 23 })
  const interval = fc.tuple(hour, fc.integer({ min: 1, max: 24 })).map(([opens, length]) => ({ opens: `${String(opens).padStart(2, '0')}:00`, closes: `${String(Math.min(24, opens + length)).padStart(2, '0')}:00` }))
  const day = fc.array(interval, { maxLength: 2 })
  const week = fc.record({ monday: day, tuesday: day, wednesday: day, thursday: day, friday: day, saturday: day, sunday: day })
  const appointment = fc.record({ resource: fc.integer({ min: 0, max: 1 }), start: fc.integer({ min: 0, max: 280 }), length: fc.integer({ min: 1, max: 12 }) })
  fc.assert(
    fc.property(
      fc.constantFrom(...NIGHTS), week, fc.option(week), fc.constantFrom(15, 30), fc.integer({ min: 1, max: 10 }), fc.integer({ min: 0, max: 4 }), fc.integer({ min: 1, max: 2 }), fc.array(appointment, { maxLength: 30 }),
      ([zone, night], hours, ownHours, stepMinutes, quarters, bufferQuarters, capacity, appointments) => {
        const fromMs = Math.floor(Date.parse(night) / 86_400_000) * 86_400_000 - 86_400_000
        const now = new Date(fromMs - 86_400_000)
        const shop = company({
          timeZone: zone, hours,
          services: [{ id: 'repair', name: 'R', durationMinutes: quarters * 15, bufferMinutes: bufferQuarters * 15 }],
          resources: [{ id: 'r0', name: 'R0', capacity, hours: ownHours }, { id: 'r1', name: 'R1' }],
          booking: { stepMinutes, leadMinutes: 0, horizonDays: 30 },
        })
        const busy = appointments.map(({ resource, start, length }) => ({ resourceId: `r${resource}`, startsAtMs: fromMs + start * QUARTER_MS, endsAtMs: fromMs + (start + length) * QUARTER_MS }))
        const moments = Array.from({ length: 288 + 100 }, (_, n) => fromMs + n * QUARTER_MS)
        const offered = new Set<string>()
        for (const resourceId of ['r0', 'r1']) {
          const wanted = { serviceId: 'repair', from: new Date(fromMs).toISOString(), to: new Date(fromMs + 288 * QUARTER_MS).toISOString(), partOfDay: null, resourceId, limit: 500 }
          for (const one of findOpenings(shop, wanted, { appointments: busy, away: [] }, now)) offered.add(`${resourceId} ${Date.parse(one.startsAt)}`)
        }
        // The same by brute force: the company's clock at every quarter of an hour, and everybody who is there.
        const expected = new Set<string>()
        for (const [index, resource] of shop.resources.entries()) {
          const there = moments.map((ms) => isOpen(shop, new Date(ms)) && (resource.hours === null || isOpen({ ...shop, hours: resource.hours, holidays: [] }, new Date(ms))))
          const present = moments.map((ms) => busy.filter((one) => one.resourceId === `r${index}` && one.startsAtMs <= ms && ms < one.endsAtMs).length)
          const clock = moments.map((ms) => DateTime.fromMillis(ms, { zone }).toFormat('yyyy-LL-dd HH:mm'))
          for (let n = 0; n < 288; n++) {
            const open = there.slice(n, n + quarters).every(Boolean)
            const room = present.slice(n, n + quarters + bufferQuarters).every((count) => count < resource.capacity)
            const isFirst = clock.indexOf(clock[n] ?? '') === n || clock.lastIndexOf(clock[n] ?? '', n - 1) === -1
            if (open && room && isFirst && Number(clock[n]?.slice(-2)) % stepMinutes === 0) expected.add(`${resource.id} ${moments[n] ?? 0}`)
          }
        }
        const wrong = [...offered].filter((one) => !expected.has(one)).map((one) => `offered ${one}`)
        const missed = [...expected].filter((one) => !offered.has(one)).map((one) => `missed ${one}`)
        const problems = [...wrong, ...missed].map((one) => one.replace(/\d{10,}/, (ms) => DateTime.fromMillis(Number(ms), { zone }).toISO() ?? ''))
        if (problems.length > 0) throw new Error(`${zone}: ${problems.slice(0, 5).join('; ')}`)
      },
    ),
    // More with BOOKING_NIGHTS; each asks a zone for some thousand moments.
    { numRuns: Number(process.env['BOOKING_NIGHTS'] ?? 24), seed: 11 },
  )
})
