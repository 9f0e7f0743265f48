import fc from 'fast-check'
import { DateTime } from 'luxon'
import t from 'tap'
import { sayDay, sayOpening, understandWhen, type WhenRequest } from '../../src/booking/when.ts'
import { weekSchema } from '../../src/tenancy/week.ts'

const ZONE = 'America/New_York'
/** A Wednesday, ten in the morning in New York. */
const NOW = new Date('2026-11-25T15:00:00.000Z')

/** "Tue 12-01 00:00 > Wed 12-02 00:00 part btw near": a request on one line. */
function line(when: WhenRequest | null, zone = ZONE): string {
  if (when === null) return 'nothing'
  const local = (moment: string): string => DateTime.fromISO(moment, { zone }).setLocale('en-US').toFormat('ccc LL-dd HH:mm')
  const parts = [`${local(when.from)} > ${local(when.to)}`]
  if (when.partOfDay !== null) parts.push(when.partOfDay)
  if (when.between !== null) parts.push(`${when.between.from}-${when.between.to}`)
  if (when.near !== null) parts.push(`near ${local(when.near)}`)
  return parts.join(', ')
}

t.test('what callers say of days and times is understood as they mean it', async (t) => {
  const meant: Readonly<Record<string, string>> = {
    'tomorrow afternoon': 'Thu 11-26 00:00 > Fri 11-27 00:00, afternoon',
    'next Tuesday after four': 'Tue 12-01 00:00 > Wed 12-02 00:00, 16:00-24:00',
    'the 3rd': 'Thu 12-03 00:00 > Fri 12-04 00:00',
    'on the third please': 'Thu 12-03 00:00 > Fri 12-04 00:00',
    'first thing Monday': 'Mon 11-30 00:00 > Tue 12-01 00:00, morning, 00:00-10:00',
    'as soon as possible': 'Wed 11-25 10:00 > Thu 11-25 00:00',
    'whenever you have something': 'Wed 11-25 10:00 > Thu 11-25 00:00',
    'this weekend': 'Sat 11-28 00:00 > Mon 11-30 00:00',
    'any time next week': 'Mon 11-30 00:00 > Mon 12-07 00:00',
    'Friday at two thirty': 'Fri 11-27 00:00 > Sat 11-28 00:00, near Fri 11-27 14:30',
    'between ten and two on Monday': 'Mon 11-30 00:00 > Tue 12-01 00:00, 10:00-14:00',
    'from nine to eleven tomorrow': 'Thu 11-26 00:00 > Fri 11-27 00:00, 09:00-11:00',
    'December first at nine': 'Tue 12-01 00:00 > Wed 12-02 00:00, near Tue 12-01 09:00',
    'Tuesday the eighth': 'Tue 12-08 00:00 > Wed 12-09 00:00',
    'in two weeks': 'Wed 12-09 00:00 > Thu 12-10 00:00',
    'a week from Tuesday': 'Tue 12-08 00:00 > Wed 12-09 00:00',
    'three days from now': 'Sat 11-28 00:00 > Sun 11-29 00:00',
    'the day after tomorrow': 'Fri 11-27 00:00 > Sat 11-28 00:00',
    'half past four tomorrow': 'Thu 11-26 00:00 > Fri 11-27 00:00, near Thu 11-26 16:30',
    'a quarter to nine on Friday': 'Fri 11-27 00:00 > Sat 11-28 00:00, near Fri 11-27 08:45',
    'Monday any time before noon': 'Mon 11-30 00:00 > Tue 12-01 00:00, 00:00-12:00',
    'tomorrow but not in the morning': 'Thu 11-26 00:00 > Fri 11-27 00:00, 12:00-24:00',
    'Thursday evening at seven': 'Thu 11-26 00:00 > Fri 11-27 00:00, near Thu 11-26 19:00',
    'tonight': 'Wed 11-25 10:00 > Thu 11-26 00:00, evening',
    'this afternoon': 'Wed 11-25 10:00 > Thu 11-26 00:00, afternoon',
    'Wednesday': 'Wed 12-02 00:00 > Thu 12-03 00:00',
    'this Friday': 'Fri 11-27 00:00 > Sat 11-28 00:00',
    'next Friday': 'Fri 12-04 00:00 > Sat 12-05 00:00',
    'by Friday': 'Wed 11-25 10:00 > Sat 11-28 00:00',
    'after the tenth': 'Fri 12-11 00:00 > Thu 11-25 00:00',
    'early next week': 'Mon 11-30 00:00 > Thu 12-03 00:00',
    'tomorrow or Saturday': 'Thu 11-26 00:00 > Sun 11-29 00:00',
    'Monday through Wednesday': 'Mon 11-30 00:00 > Thu 12-03 00:00',
    'mornings are best': 'Wed 11-25 10:00 > Thu 11-25 00:00, morning',
    'four': 'Wed 11-25 10:00 > Thu 11-25 00:00, 16:00-17:00',
    'January fifteenth in the afternoon': 'Fri 01-15 00:00 > Sat 01-16 00:00, afternoon',
    '12/3 at 8 a.m.': 'Thu 12-03 00:00 > Fri 12-04 00:00, near Thu 12-03 08:00',
  }
  const understood = Object.fromEntries(Object.keys(meant).map((text) => [text, line(understandWhen(text, NOW, ZONE))]))
  t.same(understood, meant)
})

t.test('words that name no time are none', async (t) => {
  for (const text of ['you came last week', 'yesterday', 'yes please', 'my AC is broken', 'the first one', 'the second one', 'no', '', 'I have two units', 'call me at this number', 'Dana Reyes']) {
    t.equal(understandWhen(text, NOW, ZONE), null, text)
  }
})

t.test('what is ruled out is left out of the search', async (t) => {
  const days = (text: string): string[] =>
    (understandWhen(text, NOW, ZONE)?.except ?? []).slice(0, 3).map(({ from }) => DateTime.fromISO(from, { zone: ZONE }).toFormat('ccc LL-dd'))
  t.same(days('not Tuesday'), ['Tue 12-01', 'Tue 12-08', 'Tue 12-15'])
  t.same(days('next week, but not Monday or Friday'), ['Mon 11-30', 'Fri 12-04'])
  t.same(days('any day but tomorrow'), ['Thu 11-26'])
  t.same(days('Monday or Friday'), ['Sat 11-28'], 'and so are the days between two that were named')
  t.same(days('tomorrow or Saturday'), ['Fri 11-27'])
  t.same(days('next week Tuesday or Thursday'), ['Wed 12-02'])
  t.equal(understandWhen('next week, but not Monday', NOW, ZONE)?.said, 'next week, but not Monday')
})

t.test('an hour is the one at which somebody is there', async (t) => {
  const bakery = weekSchema.parse({ tuesday: [{ opens: '04:00', closes: '12:00' }] })
  const bar = weekSchema.parse({ tuesday: [{ opens: '17:00', closes: '24:00' }] })
  t.equal(line(understandWhen('Tuesday at five', NOW, ZONE, bakery)), 'Tue 12-01 00:00 > Wed 12-02 00:00, near Tue 12-01 05:00')
  t.equal(line(understandWhen('Tuesday at nine', NOW, ZONE, bar)), 'Tue 12-01 00:00 > Wed 12-02 00:00, near Tue 12-01 21:00')
  t.equal(line(understandWhen('Tuesday at five am', NOW, ZONE, bar)), 'Tue 12-01 00:00 > Wed 12-02 00:00, near Tue 12-01 05:00', 'what was said outright stands')
})

t.test('a request is read back in words', async (t) => {
  const said = (text: string): string | undefined => understandWhen(text, NOW, ZONE)?.said
  t.equal(said('tomorrow afternoon'), 'tomorrow afternoon')
  t.equal(said('next Tuesday after four'), 'Tuesday, December first, after 4 in the afternoon')
  t.equal(said('Tuesday morning'), 'Tuesday, December first, in the morning')
  t.equal(said('this afternoon'), 'this afternoon')
  t.equal(said('asap'), 'as soon as possible')
})

t.test('an opening is said in the company\'s own day and hour', async (t) => {
  const say = (startsAt: string, window: [string, string] | null = null, zone = ZONE): string =>
    sayOpening({ startsAt, window: window === null ? null : { startsAt: window[0], endsAt: window[1] } }, zone, NOW)
  t.equal(say('2026-12-01T13:00:00Z', ['2026-12-01T13:00:00Z', '2026-12-01T15:00:00Z']), 'Tuesday, December first, between 8 and 10 in the morning')
  t.equal(say('2026-11-26T17:00:00Z', ['2026-11-26T17:00:00Z', '2026-11-26T19:00:00Z']), 'tomorrow between noon and 2 in the afternoon')
  t.equal(say('2026-11-26T16:00:00Z', ['2026-11-26T15:00:00Z', '2026-11-26T17:00:00Z']), 'tomorrow between 10 and noon')
  t.equal(say('2026-11-26T16:00:00Z', ['2026-11-26T16:00:00Z', '2026-11-26T18:00:00Z']), 'tomorrow between 11 in the morning and 1 in the afternoon')
  t.equal(say('2026-11-25T19:30:00Z'), 'today at 2:30 in the afternoon')
  t.equal(say('2026-12-03T17:00:00Z'), 'Thursday, December third, at noon')
  t.equal(say('2026-11-30T20:00:00Z', null, 'Asia/Tokyo'), 'Tuesday, December first, at 5 in the morning', 'where it is another day')
  t.equal(sayDay(new Date('2028-02-29T15:00:00Z'), ZONE, NOW), 'Tuesday, February twenty-ninth, 2028')
})

t.test('whatever is said, wherever and whenever: a request lies ahead, begins before it ends and can be read back', async () => {
  const words = ['next', 'this', 'tuesday', 'friday', 'sunday', 'tomorrow', 'today', 'at', 'after', 'before', 'between', 'and', 'four', 'ten', 'twelve', 'noon', 'thirty', 'pm', 'am', 'morning', 'evening',
    'not', 'week', 'weekend', 'the', 'third', 'thirty first', 'december', 'february', 'in', 'two', 'weeks', 'from', 'or', 'through', 'first', 'thing', 'asap', 'any', 'day', 'but', 'by', 'month']
  const zones = [ZONE, 'Australia/Lord_Howe', 'America/St_Johns', 'Asia/Kathmandu', 'Pacific/Apia', 'Europe/London', 'America/Sao_Paulo', 'UTC']
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 8 }),
      fc.constantFrom(...zones),
      fc.date({ min: new Date('2026-01-01T00:00:00Z'), max: new Date('2028-12-31T00:00:00Z'), noInvalidDate: true }),
      (sentence, zone, now) => {
        const when = understandWhen(sentence.join(' '), now, zone)
        if (when === null) return true
        const [from, to] = [Date.parse(when.from), Date.parse(when.to)]
        // "before today" is over before it begins: nothing can be free there, which is what the search will say.
        const empty = / (?:before|by|until)|^(?:before|by|until)/.test(` ${sentence.join(' ')}`) && to <= from
        return from >= now.getTime() && (from < to || empty) && when.except.every((gap) => gap.from < gap.to) && (when.between === null || when.between.from < when.between.to)
      },
    ),
    { numRuns: 1500, seed: 4 },
  )
})
