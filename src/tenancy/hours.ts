import { DateTime } from 'luxon'
import { WEEKDAYS, type Company } from './company.ts'

type OpeningHours = Pick<Company, 'timeZone' | 'hours' | 'holidays'>
type Interval = Readonly<{ opens: string; closes: string }>

/** Holidays may close a company for weeks; beyond two months nobody is told "we open on". */
const LOOK_AHEAD_DAYS = 62

/**
 * Whether somebody is there at `at`, on the company's own clock. Each interval of a day happens once: from the first moment that
 * its clock shows `opens` or later to the first moment that it shows `closes` or later, also on the nights when clocks change.
 */
export function isOpen(company: OpeningHours, at: Date): boolean {
  const day = DateTime.fromJSDate(at, { zone: company.timeZone }).startOf('day')
  return periodsOn(company, day).some((period) => at.getTime() >= period.opensAtMs && at.getTime() < period.closesAtMs)
}

/** When it opens next: `at` itself while it is open; null when it stays closed for two months. */
export function nextOpening(company: OpeningHours, at: Date): Date | null {
  let day = DateTime.fromJSDate(at, { zone: company.timeZone }).startOf('day')
  for (let n = 0; n < LOOK_AHEAD_DAYS; n++) {
    for (const period of periodsOn(company, day)) {
      if (at.getTime() < period.closesAtMs) return new Date(Math.max(at.getTime(), period.opensAtMs))
    }
    day = day.plus({ days: 1 }).startOf('day')
  }
  return null
}

/** The week as it is said: "Monday to Friday eight to five, Saturday nine to two". Closed days are not named; '' when all are closed. */
export function spokenHours(company: OpeningHours): string {
  const groups = new Map<string, string[]>()
  for (const weekday of WEEKDAYS) {
    if (company.hours[weekday].length === 0) continue
    const spoken = spokenIntervals(company.hours[weekday])
    groups.set(spoken, [...(groups.get(spoken) ?? []), weekday])
  }
  return [...groups].map(([spoken, weekdays]) => `${spokenWeekdays(weekdays)} ${spoken}`).join(', ')
}

/** Holidays from the day of `at` on: "closed on Thursday, November 26 for Thanksgiving"; '' when there is none within `days` days. */
export function spokenHolidays(company: OpeningHours, at: Date, days = 7): string {
  const today = DateTime.fromJSDate(at, { zone: company.timeZone }).startOf('day')
  const last = today.plus({ days: days - 1 })
  return [...company.holidays]
    .sort((a, b) => (a.date < b.date ? -1 : 1))
    .map((holiday) => ({ ...holiday, day: DateTime.fromISO(holiday.date, { zone: company.timeZone }) }))
    .filter(({ day }) => day >= today && day <= last)
    .map(({ day, name, intervals }) => {
      const open = intervals.length === 0 ? 'closed' : `open ${spokenIntervals(intervals)}`
      return `${open} on ${day.setLocale('en-US').toFormat('cccc, LLLL d')} for ${name}`
    })
    .join(', ')
}

/** An opening as it is said at `at`: "today at eight", "tomorrow at eight thirty", "on Monday at nine", "on Monday, March 16 at nine". */
export function spokenOpening(company: OpeningHours, opening: Date, at: Date): string {
  const local = DateTime.fromJSDate(opening, { zone: company.timeZone }).setLocale('en-US')
  const today = DateTime.fromJSDate(at, { zone: company.timeZone }).startOf('day')
  const daysAhead = Math.round(local.startOf('day').diff(today, 'days').days)
  const time = speakTime(local.toFormat('HH:mm'), opensAmbiguously(local.hour) ? 'with-day-part' : 'plain')
  if (daysAhead === 0) return `today at ${time}`
  if (daysAhead === 1) return `tomorrow at ${time}`
  return `on ${local.toFormat(daysAhead < 7 ? 'cccc' : 'cccc, LLLL d')} at ${time}`
}

/** 'HH:MM' in words: "eight", "two thirty", "five oh five", "noon", "midnight"; with its part of the day: "eight in the morning". */
export function speakTime(timeOfDay: string, style: 'plain' | 'with-day-part' = 'plain'): string {
  const [hour = 0, minute = 0] = timeOfDay.split(':').map(Number)
  if (minute === 0 && hour === 12) return 'noon'
  if (minute === 0 && (hour === 0 || hour === 24)) return 'midnight'
  const spoken = `${numberWord(hour % 12 === 0 ? 12 : hour % 12)}${minute === 0 ? '' : minute < 10 ? ` oh ${numberWord(minute)}` : ` ${numberWord(minute)}`}`
  return style === 'plain' ? spoken : `${spoken} ${dayPart(hour)}`
}

type Period = Readonly<{ opensAtMs: number; closesAtMs: number }>

function periodsOn(company: OpeningHours, day: DateTime): Period[] {
  const date = day.toISODate()
  const holiday = company.holidays.find((one) => one.date === date)
  const weekday = WEEKDAYS[day.weekday - 1]
  const intervals: readonly Interval[] = holiday?.intervals ?? (weekday === undefined ? [] : company.hours[weekday])
  return intervals
    .map((interval) => ({ opensAtMs: firstMoment(day, interval.opens).toMillis(), closesAtMs: firstMoment(day, interval.closes).toMillis() }))
    // Hours that the clock skips altogether are no hours.
    .filter((period) => period.opensAtMs < period.closesAtMs)
    .sort((a, b) => a.opensAtMs - b.opensAtMs)
}

/** The first moment of `day` at which its clock shows `timeOfDay` or later. */
export function firstMoment(day: DateTime, timeOfDay: string): DateTime {
  if (timeOfDay === '24:00') return day.plus({ days: 1 }).startOf('day')
  const [hour = 0, minute = 0] = timeOfDay.split(':').map(Number)
  // Twice on the night that clocks go back: the earlier one.
  let moment = DateTime.min(...day.set({ hour, minute }).getPossibleOffsets()) ?? day
  // Never on the night that they go forward: back to where the gap ends.
  if (moment.toFormat('HH:mm') !== timeOfDay) {
    for (let before = moment.minus({ minutes: 1 }); before >= day && before.toFormat('HH:mm') >= timeOfDay; before = before.minus({ minutes: 1 })) {
      moment = before
    }
  }
  return moment
}

function spokenIntervals(intervals: readonly Interval[]): string {
  return [...intervals]
    .sort((a, b) => (a.opens < b.opens ? -1 : 1))
    .map(({ opens, closes }) => {
      if (opens === '00:00' && closes === '24:00') return 'around the clock'
      // "eight to five" can only be one thing; "six to seven" could be an hour or thirteen.
      const style = isUnambiguous(opens, closes) ? 'plain' : 'with-day-part'
      return `${speakTime(opens, style)} to ${speakTime(closes, style)}`
    })
    .join(' and ')
}

function isUnambiguous(opens: string, closes: string): boolean {
  if (opens === '12:00' || closes === '12:00') return true
  const onTheDial = (time: string): string => {
    const hour = Number(time.slice(0, 2)) % 12
    return `${String(hour === 0 ? 12 : hour).padStart(2, '0')}${time.slice(2)}`
  }
  const startsInTheMorning = opens >= '05:00' && opens < '12:00'
  return (startsInTheMorning && closes > '12:00' && onTheDial(closes) < onTheDial(opens)) || (opens > '12:00' && closes <= '18:00')
}

function opensAmbiguously(hour: number): boolean {
  return hour < 6 || hour > 16
}

/** "Monday to Friday"; "Saturday and Sunday"; "Monday, Wednesday and Friday"; "every day". */
function spokenWeekdays(weekdays: readonly string[]): string {
  if (weekdays.length === WEEKDAYS.length) return 'every day'
  const places = weekdays.map((weekday) => WEEKDAYS.findIndex((one) => one === weekday))
  const names = weekdays.map((weekday) => weekday.charAt(0).toUpperCase() + weekday.slice(1))
  const items: string[] = []
  for (let first = 0; first < names.length; ) {
    let last = first
    while (places[last + 1] === (places[last] ?? 0) + 1) last += 1
    // Two days in a row are listed; a "to" is for three or more.
    if (last - first >= 2) items.push(`${names[first]} to ${names[last]}`)
    else items.push(...names.slice(first, last + 1))
    first = last + 1
  }
  const final = items.pop() ?? ''
  return items.length === 0 ? final : `${items.join(', ')} and ${final}`
}

const BELOW_TWENTY =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'.split(' ')
const TENS = ['', '', 'twenty', 'thirty', 'forty', 'fifty']

/** 0 to 59, which is all a clock shows. */
function numberWord(value: number): string {
  const word = BELOW_TWENTY[value]
  if (word !== undefined) return word
  const ones = value % 10
  return `${TENS[Math.floor(value / 10)] ?? ''}${ones === 0 ? '' : ` ${BELOW_TWENTY[ones]}`}`
}

function dayPart(hour: number): string {
  if (hour < 5) return 'at night'
  if (hour < 12) return 'in the morning'
  if (hour < 18) return 'in the afternoon'
  return hour < 21 ? 'in the evening' : 'at night'
}
