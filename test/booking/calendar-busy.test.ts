import { DateTime } from 'luxon'
import t from 'tap'
import { busyTimes } from '../../src/booking/calendar-busy.ts'

const ZONE = 'America/New_York'

function calendar(...events: readonly string[]): string {
  const body = events.map((event, index) => `BEGIN:VEVENT\nUID:event-${index}\n${event.trim()}\nEND:VEVENT`).join('\n')
  return `BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n${body}\nEND:VCALENDAR\n`.replaceAll('\n', '\r\n')
}

/** "12-01 09:00-10:00", in the company's zone. */
function busy(text: string, from = '2026-11-01', to = '2027-01-01', zone = ZONE): string[] {
  const at = (local: string): number => DateTime.fromISO(local, { zone }).toMillis()
  const local = (ms: number, format: string): string => DateTime.fromMillis(ms, { zone }).toFormat(format)
  return busyTimes(text, { timeZone: zone, fromMs: at(from), toMs: at(to) }).map(({ startsAtMs, endsAtMs }) => {
    const sameDay = local(startsAtMs, 'LL-dd') === local(endsAtMs - 1, 'LL-dd')
    return `${local(startsAtMs, 'LL-dd HH:mm')}-${local(endsAtMs, sameDay ? 'HH:mm' : 'LL-dd HH:mm')}`
  })
}

t.test('single events in UTC, in a zone, without a zone and of whole days', async (t) => {
  t.same(busy(calendar('DTSTART:20261201T140000Z\nDTEND:20261201T150000Z')), ['12-01 09:00-10:00'])
  t.same(busy(calendar('DTSTART;TZID=Europe/London:20261201T140000\nDURATION:PT30M')), ['12-01 09:00-09:30'])
  t.same(busy(calendar('DTSTART:20261201T090000\nDTEND:20261201T100000')), ['12-01 09:00-10:00'], 'without a zone: the company\'s')
  t.same(busy(calendar('DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261226')), ['12-24 00:00-12-26 00:00'])
  t.same(busy(calendar('DTSTART;VALUE=DATE:20261224')), ['12-24 00:00-00:00'])
  t.same(busy(calendar('DTSTART;TZID="/mozilla.org/20050126_1/Europe/London":20261201T140000\nDURATION:PT1H')), ['12-01 09:00-10:00'])
})

t.test('a zone that the file brings along is understood', async (t) => {
  const zone = `BEGIN:VTIMEZONE\r\nTZID:Eastern Standard Time\r\nBEGIN:STANDARD\r\nDTSTART:16010101T020000\r\nTZOFFSETFROM:-0400\r\nTZOFFSETTO:-0500\r\nRRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=11\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\nDTSTART:16010101T020000\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0400\r\nRRULE:FREQ=YEARLY;BYDAY=2SU;BYMONTH=3\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE`
  const text = calendar('DTSTART;TZID=Eastern Standard Time:20261201T090000\nDTEND;TZID=Eastern Standard Time:20261201T100000').replace('BEGIN:VEVENT', `${zone}\r\nBEGIN:VEVENT`)
  t.same(busy(text), ['12-01 09:00-10:00'])
})

t.test('repeats keep their time on the wall over the night when clocks change', async (t) => {
  const weekly = calendar('DTSTART;TZID=America/New_York:20261018T093000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=4')
  t.same(busy(weekly, '2026-10-01', '2026-12-01'), ['10-18 09:30-10:30', '10-25 09:30-10:30', '11-01 09:30-10:30', '11-08 09:30-10:30'])
})

t.test('exceptions, moved repeats and cancelled ones', async (t) => {
  const series = calendar(
    'DTSTART;TZID=America/New_York:20261201T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=5\nEXDATE;TZID=America/New_York:20261202T090000',
    'X:1',
  )
  const moved = series.replace('UID:event-1\r\nX:1', 'UID:event-0\r\nRECURRENCE-ID;TZID=America/New_York:20261203T090000\r\nDTSTART;TZID=America/New_York:20261203T150000\r\nDURATION:PT2H')
  t.same(busy(moved), ['12-01 09:00-10:00', '12-03 15:00-17:00', '12-04 09:00-10:00', '12-05 09:00-10:00'])
  const cancelled = series.replace('UID:event-1\r\nX:1', 'UID:event-0\r\nRECURRENCE-ID;TZID=America/New_York:20261203T090000\r\nDTSTART;TZID=America/New_York:20261203T090000\r\nDURATION:PT1H\r\nSTATUS:CANCELLED')
  t.same(busy(cancelled), ['12-01 09:00-10:00', '12-04 09:00-10:00', '12-05 09:00-10:00'])
})

t.test('what is free, cancelled or our own takes no time', async (t) => {
  const at = 'DTSTART:20261201T140000Z\nDTEND:20261201T150000Z'
  t.same(busy(calendar(`${at}\nTRANSP:TRANSPARENT`, `${at}\nSTATUS:CANCELLED`, `${at}\nX-MICROSOFT-CDO-BUSYSTATUS:FREE`)), [])
  t.same(busy(calendar(at).replace('UID:event-0', 'UID:0195-42@appointments.clientsvia')), [], 'a calendar that shows our feed is no reason against our own visits')
})

t.test('what overlaps is one; what lies outside is none; what never ends comes to an end', async (t) => {
  t.same(busy(calendar('DTSTART:20261201T140000Z\nDTEND:20261201T153000Z', 'DTSTART:20261201T150000Z\nDTEND:20261201T160000Z')), ['12-01 09:00-11:00'])
  t.same(busy(calendar('DTSTART:20251201T140000Z\nDTEND:20251201T153000Z', 'DTSTART:20301201T140000Z\nDTEND:20301201T153000Z')), [])
  t.equal(busy(calendar('DTSTART:20000101T140000Z\nDURATION:PT30M\nRRULE:FREQ=DAILY'), '2026-12-01', '2026-12-08').length, 7, 'a quarter of a century of mornings is gone through')
  t.same(busy(calendar('DTSTART:20261201T140000Z\nDURATION:PT30M\nRRULE:FREQ=SECONDLY'), '2030-01-01', '2030-01-02'), [])
})

t.test('what is not a calendar is refused as such', async (t) => {
  for (const text of ['', 'hello', '<html></html>', 'BEGIN:VCARD\r\nVERSION:4.0\r\nFN:X\r\nEND:VCARD', 'BEGIN:VCALENDAR\r\nBEGIN:VEVENT']) {
    t.throws(() => busyTimes(text, { timeZone: ZONE, fromMs: 0, toMs: 1 }), { code: 'INVALID_INPUT' }, text.slice(0, 20))
  }
})
