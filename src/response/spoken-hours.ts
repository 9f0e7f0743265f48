import { DateTime } from 'luxon'
import { WEEKDAYS, type Company } from '../tenancy/company.ts'
import { spokenNumber } from './spoken-numbers.ts'

export type Weekday = (typeof WEEKDAYS)[number]
type Interval = Readonly<{ opens: string; closes: string }>

/** A company's hours at one moment, in its own time zone, in words a voice can say. */
export type HoursNow = Readonly<{
  open: boolean
  /** "Monday through Friday from eight to five, and Saturday from nine to two". */
  week: string
  /** "from eight to five", or "closed". */
  today: string
  /** When today's current interval ends: "five". Empty while closed. */
  closes: string
  /** "tomorrow at eight", "Monday at eight"; empty when nothing is open within two weeks. */
  nextOpen: string
  weekday: Weekday
}>

/** How far ahead the next opening is looked for; beyond two weeks a caller needs a person, not a date. */
const LOOK_AHEAD_DAYS = 14

export function hoursAt(company: Company, wallTime: Date): HoursNow {
  const now = DateTime.fromJSDate(wallTime, { zone: company.timeZone })
  const time = now.toFormat('HH:mm')
  const current = intervalsOn(company, now).find((interval) => interval.opens <= time && time < interval.closes)
  return {
    open: current !== undefined,
    week: spokenWeek(company),
    today: spokenDay(intervalsOn(company, now)),
    closes: current === undefined ? '' : spokenTime(current.closes),
    nextOpen: nextOpening(company, now),
    weekday: weekdayOf(now),
  }
}

/** Hours on the next such weekday, holidays included: "from eight to five", or "closed". */
export function hoursOnDay(company: Company, wallTime: Date, weekday: Weekday): Readonly<{ open: boolean; spoken: string; holiday: string }> {
  const now = DateTime.fromJSDate(wallTime, { zone: company.timeZone })
  const ahead = (WEEKDAYS.indexOf(weekday) - WEEKDAYS.indexOf(weekdayOf(now)) + 7) % 7
  const day = now.plus({ days: ahead })
  const intervals = intervalsOn(company, day)
  return { open: intervals.length > 0, spoken: spokenDay(intervals), holiday: holidayOn(company, day)?.name ?? '' }
}

export function weekdayAfter(weekday: Weekday, days: number): Weekday {
  return WEEKDAYS[(WEEKDAYS.indexOf(weekday) + days) % 7] as Weekday
}

export function dayName(weekday: Weekday): string {
  return `${weekday[0]?.toUpperCase()}${weekday.slice(1)}`
}

function weekdayOf(day: DateTime): Weekday {
  return WEEKDAYS[day.weekday - 1] as Weekday
}

function holidayOn(company: Company, day: DateTime): Company['holidays'][number] | undefined {
  return company.holidays.find((holiday) => holiday.date === day.toISODate())
}

function intervalsOn(company: Company, day: DateTime): readonly Interval[] {
  return holidayOn(company, day)?.intervals ?? company.hours[weekdayOf(day)]
}

function nextOpening(company: Company, now: DateTime): string {
  const time = now.toFormat('HH:mm')
  for (let ahead = 0; ahead <= LOOK_AHEAD_DAYS; ahead++) {
    const day = now.plus({ days: ahead })
    const next = intervalsOn(company, day).find((interval) => ahead > 0 || interval.opens > time)
    if (next === undefined) continue
    const when = ahead === 0 ? 'today' : ahead === 1 ? 'tomorrow' : ahead < 7 ? dayName(weekdayOf(day)) : `on ${dayName(weekdayOf(day))} of next week`
    return `${when} at ${spokenTime(next.opens)}`
  }
  return ''
}

/** Days with the same hours are said together. */
function spokenWeek(company: Company): string {
  const groups: { from: Weekday; to: Weekday; spoken: string }[] = []
  for (const weekday of WEEKDAYS) {
    const spoken = spokenDay(company.hours[weekday])
    const last = groups.at(-1)
    if (last?.spoken === spoken) last.to = weekday
    else groups.push({ from: weekday, to: weekday, spoken })
  }
  const open = groups.filter((group) => group.spoken !== 'closed')
  if (open.length === 0) return 'by appointment only'
  if (open.length === 1 && open[0]?.from === 'monday' && open[0].to === 'sunday') return `every day ${open[0].spoken}`
  const parts = open.map((group) => {
    if (group.from === group.to) return `${dayName(group.from)} ${group.spoken}`
    const joiner = weekdayAfter(group.from, 1) === group.to ? 'and' : 'through'
    return `${dayName(group.from)} ${joiner} ${dayName(group.to)} ${group.spoken}`
  })
  const last = parts.pop() as string
  return parts.length === 0 ? last : `${parts.join(', ')}, and ${last}`
}

function spokenDay(intervals: readonly Interval[]): string {
  if (intervals.length === 0) return 'closed'
  return intervals
    .map((interval) => {
      if (interval.opens === '00:00' && interval.closes === '24:00') return 'around the clock'
      const isPlain = interval.opens >= '06:00' && interval.opens < '12:00' && interval.closes >= '12:00' && interval.closes <= '21:00'
      return isPlain
        ? `from ${spokenTime(interval.opens)} to ${spokenTime(interval.closes)}`
        : `from ${spokenTime(interval.opens)}${partOfDay(interval.opens)} to ${spokenTime(interval.closes)}${partOfDay(interval.closes)}`
    })
    .join(' and ')
}

/** '17:30' -> "five thirty". */
export function spokenTime(time: string): string {
  if (time === '12:00') return 'noon'
  if (time === '24:00' || time === '00:00') return 'midnight'
  const [hour, minute] = time.split(':').map(Number) as [number, number]
  const spokenHour = spokenNumber(hour % 12 === 0 ? 12 : hour % 12)
  if (minute === 0) return spokenHour
  return minute < 10 ? `${spokenHour} oh ${spokenNumber(minute)}` : `${spokenHour} ${spokenNumber(minute)}`
}

function partOfDay(time: string): string {
  if (time === '12:00' || time === '24:00' || time === '00:00') return ''
  return time < '12:00' ? ' in the morning' : time < '18:00' ? ' in the afternoon' : ' in the evening'
}
