import fc from 'fast-check'
import { DateTime } from 'luxon'
import t from 'tap'
import { companySchema, type Company, type CompanyInput } from '../../src/tenancy/company.ts'
import { isOpen, nextOpening, speakTime, spokenHolidays, spokenHours, spokenOpening } from '../../src/tenancy/hours.ts'

type Hours = NonNullable<CompanyInput['hours']>
const day = (opens: string, closes: string): { opens: string; closes: string }[] => [{ opens, closes }]
const week = (intervals: { opens: string; closes: string }[]): Hours => ({
  monday: intervals,
  tuesday: intervals,
  wednesday: intervals,
  thursday: intervals,
  friday: intervals,
  saturday: intervals,
  sunday: intervals,
})
const weekdays = (intervals: { opens: string; closes: string }[]): Hours => ({ ...week(intervals), saturday: [], sunday: [] })

function company(hours: Hours, changes: Partial<CompanyInput> = {}): Company {
  return companySchema.parse({ id: 'a', name: 'A', industry: 'hvac', timeZone: 'America/New_York', agentId: 'x', hours, ...changes })
}
const at = (local: string, zone = 'America/New_York'): Date => DateTime.fromISO(local, { zone }).toJSDate()
const polarBay = company({ ...weekdays(day('08:00', '17:00')), saturday: day('09:00', '14:00') })

t.test('a company is open on its own clock, wherever the server is', async (t) => {
  const cases: [string, boolean][] = [
    ['2026-03-02T07:59:59', false],
    ['2026-03-02T08:00', true],
    ['2026-03-02T16:59:59', true],
    ['2026-03-02T17:00', false],
    ['2026-03-07T10:00', true],
    ['2026-03-07T15:00', false],
    ['2026-03-08T10:00', false],
  ]
  for (const [local, expected] of cases) t.equal(isOpen(polarBay, at(local)), expected, local)
  t.ok(isOpen(polarBay, new Date('2026-03-06T13:00:00Z')), 'eight in winter')
  t.ok(isOpen(polarBay, new Date('2026-03-09T12:00:00Z')), 'eight in summer is an hour earlier elsewhere')
  t.notOk(isOpen(polarBay, new Date('2026-03-09T21:00:00Z')))
})

t.test('a holiday replaces the hours of its day', async (t) => {
  const festive = company(weekdays(day('08:00', '17:00')), {
    holidays: [
      { date: '2026-11-26', name: 'Thanksgiving' },
      { date: '2026-12-24', name: 'Christmas Eve', intervals: day('08:00', '12:00') },
    ],
  })
  t.notOk(isOpen(festive, at('2026-11-26T10:00')))
  t.ok(isOpen(festive, at('2026-12-24T11:00')))
  t.notOk(isOpen(festive, at('2026-12-24T13:00')))
  t.same(nextOpening(festive, at('2026-11-25T18:00')), at('2026-11-27T08:00'))
  t.equal(spokenHolidays(festive, at('2026-11-22T10:00')), 'closed on Thursday, November 26 for Thanksgiving')
  t.equal(spokenHolidays(festive, at('2026-12-24T23:00')), 'open eight to noon on Thursday, December 24 for Christmas Eve')
  t.equal(spokenHolidays(festive, at('2026-10-01T10:00')), '')
})

t.test('hours around the change of the clocks', async (t) => {
  const night = company(week(day('01:30', '02:30')))
  // Forward: 02:00 is 03:00, so the period ends where the gap does.
  t.ok(isOpen(night, new Date('2026-03-08T06:59:59Z')))
  t.notOk(isOpen(night, new Date('2026-03-08T07:00:00Z')))
  // Back: 01:30 comes twice and the first one opens; 02:30 comes once.
  t.same(nextOpening(night, new Date('2026-11-01T05:00:00Z')), new Date('2026-11-01T05:30:00Z'))
  t.ok(isOpen(night, new Date('2026-11-01T06:15:00Z')), 'open through the repeated hour')
  t.notOk(isOpen(night, new Date('2026-11-01T07:30:00Z')))
  t.same(nextOpening(company(week(day('02:30', '12:00'))), at('2026-03-08T00:10')), new Date('2026-03-08T07:00:00Z'), 'at 02:30, which is not there')
  const skipped = company(week(day('02:10', '02:40')))
  t.same(nextOpening(skipped, at('2026-03-08T00:10')), at('2026-03-09T02:10'), 'that night they do not come')
  const always = company(week(day('00:00', '24:00')))
  t.ok(isOpen(always, new Date('2026-11-01T06:30:00Z')))
  t.ok(isOpen(company(week(day('00:00', '24:00')), { timeZone: 'America/Havana' }), at('2026-03-08T01:00', 'America/Havana')), 'a day without a midnight')
})

t.test('open and next opening agree with a plain minute-by-minute look at the clock', async (t) => {
  const minute = fc.integer({ min: 0, max: 24 * 60 }).map((m) => `${String(Math.floor(m / 60)).padStart(2, '0')}:${String(m % 60).padStart(2, '0')}`)
  const interval = fc
    .tuple(minute, minute)
    .filter(([a, b]) => a !== b)
    .map(([a, b]) => (a < b ? day(a, b) : day(b, a)))
  const start = fc.constantFrom('2026-03-07T22:00:00Z', '2026-10-31T20:00:00Z', '2026-03-28T20:00:00Z', '2026-10-24T18:00:00Z', '2026-07-01T12:00:00Z')
  const zone = fc.constantFrom('America/New_York', 'Europe/London', 'Australia/Lord_Howe', 'America/Havana', 'Asia/Kolkata')
  const agrees = fc.property(interval, start, zone, fc.integer({ min: 0, max: 2000 }), (intervals, from, timeZone, offset) => {
    const one = company(week(intervals), { timeZone })
    const moment = new Date(new Date(from).getTime() + offset * 60_000)
    const clock = new Intl.DateTimeFormat('en-CA', { timeZone, hourCycle: 'h23', dateStyle: 'short', timeStyle: 'short' })
    const read = (ms: number): string => clock.format(new Date(ms)).replace(', ', 'T')
    const today = read(moment.getTime()).slice(0, 10)
    const [{ opens, closes } = { opens: '', closes: '' }] = intervals
    // Between the first minute of the day that shows `opens` or later, and the first that shows `closes` or later.
    let hasOpened = false
    let hasClosed = false
    for (let ms = moment.getTime() - 26 * 3_600_000; ms <= moment.getTime(); ms += 60_000) {
      const shown = read(ms)
      if (shown.slice(0, 10) !== today) continue
      hasOpened ||= shown.slice(11) >= opens
      hasClosed ||= shown.slice(11) >= closes
    }
    const opening = nextOpening(one, moment)
    return isOpen(one, moment) === (hasOpened && !hasClosed) && opening !== null && opening >= moment && isOpen(one, opening)
  })
  t.doesNotThrow(() => fc.assert(agrees, { numRuns: 40 }))
})

t.test('the next opening', async (t) => {
  t.same(nextOpening(polarBay, at('2026-03-02T12:00')), at('2026-03-02T12:00'), 'it is open')
  t.same(nextOpening(polarBay, at('2026-03-02T06:00')), at('2026-03-02T08:00'))
  t.same(nextOpening(polarBay, at('2026-03-07T14:00')), at('2026-03-09T08:00'), 'over the Sunday on which clocks change')
  t.equal(nextOpening(company({}), at('2026-03-02T12:00')), null, 'never')
  t.equal(spokenOpening(polarBay, at('2026-03-02T08:00'), at('2026-03-02T06:00')), 'today at eight')
  t.equal(spokenOpening(polarBay, at('2026-03-03T08:30'), at('2026-03-02T18:00')), 'tomorrow at eight thirty')
  t.equal(spokenOpening(polarBay, at('2026-03-09T08:00'), at('2026-03-07T18:00')), 'on Monday at eight')
  t.equal(spokenOpening(polarBay, at('2026-03-16T09:00'), at('2026-03-07T18:00')), 'on Monday, March 16 at nine')
  t.equal(spokenOpening(polarBay, at('2026-03-02T18:00'), at('2026-03-02T07:00')), 'today at six in the evening')
})

t.test('the week is said the way a person says it', async (t) => {
  const cases: [Hours, string][] = [
    [polarBay.hours, 'Monday to Friday eight to five, Saturday nine to two'],
    [{ ...weekdays(day('08:00', '17:00')), friday: day('08:00', '13:00') }, 'Monday to Thursday eight to five, Friday eight to one'],
    [week(day('07:00', '18:00')), 'every day seven to six'],
    [week(day('00:00', '24:00')), 'every day around the clock'],
    [{ monday: day('08:00', '12:00').concat(day('13:00', '17:30')) }, 'Monday eight to noon and one to five thirty'],
    [{ monday: day('10:00', '16:00'), wednesday: day('10:00', '16:00'), friday: day('10:00', '16:00') }, 'Monday, Wednesday and Friday ten to four'],
    [{ saturday: day('08:00', '20:00'), sunday: day('08:00', '20:00') }, 'Saturday and Sunday eight in the morning to eight in the evening'],
    [{ tuesday: day('09:00', '11:00') }, 'Tuesday nine in the morning to eleven in the morning'],
    [{ tuesday: day('18:00', '24:00') }, 'Tuesday six in the evening to midnight'],
    [{}, ''],
  ]
  for (const [hours, expected] of cases) t.equal(spokenHours(company(hours)), expected)
  t.equal(speakTime('17:05', 'with-day-part'), 'five oh five in the afternoon')
  t.equal(speakTime('00:45'), 'twelve forty five')
  t.equal(speakTime('22:15', 'with-day-part'), 'ten fifteen at night')
})
