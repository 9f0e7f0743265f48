import { DateTime } from 'luxon'
import type { Opening } from './booking-desk.ts'

const ORDINALS = [
  '', 'first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth', 'ninth', 'tenth', 'eleventh', 'twelfth', 'thirteenth', 'fourteenth', 'fifteenth',
  'sixteenth', 'seventeenth', 'eighteenth', 'nineteenth', 'twentieth', 'twenty-first', 'twenty-second', 'twenty-third', 'twenty-fourth', 'twenty-fifth', 'twenty-sixth',
  'twenty-seventh', 'twenty-eighth', 'twenty-ninth', 'thirtieth', 'thirty-first',
]

/** An opening as it is offered and read back: "Tuesday, December first, between 8 and 10 in the morning"; "tomorrow at 2:30 in the afternoon". */
export function sayOpening(opening: Pick<Opening, 'startsAt' | 'window'>, timeZone: string, now: Date): string {
  const { window } = opening
  const day = sayDay(new Date(window?.startsAt ?? opening.startsAt), timeZone, now)
  const time = window === null ? `at ${sayTime(new Date(opening.startsAt), timeZone)}` : `between ${saySpan(new Date(window.startsAt), new Date(window.endsAt), timeZone)}`
  return `${day}${day.includes(',') ? ', ' : ' '}${time}`
}

/** "today", "tomorrow", "Tuesday, December first"; with its year from a year ahead on. */
export function sayDay(moment: Date, timeZone: string, now: Date): string {
  const day = DateTime.fromJSDate(moment, { zone: timeZone }).setLocale('en-US').startOf('day')
  const ahead = Math.round(day.diff(DateTime.fromJSDate(now, { zone: timeZone }).startOf('day'), 'days').days)
  if (ahead === 0) return 'today'
  if (ahead === 1) return 'tomorrow'
  return `${day.toFormat('cccc, LLLL')} ${ORDINALS[day.day] ?? String(day.day)}${ahead > 360 ? `, ${day.year}` : ''}`
}

/** "8 in the morning", "2:30 in the afternoon", "noon". */
export function sayTime(moment: Date, timeZone: string): string {
  const local = DateTime.fromJSDate(moment, { zone: timeZone })
  return sayMinutes(local.hour * 60 + local.minute)
}

/** Of a day: 0 is midnight. */
export function sayMinutes(minutes: number): string {
  const clock = onTheDial(minutes)
  return /\d/.test(clock) ? `${clock} ${partOf(minutes)}` : clock
}

/** "8 and 10 in the morning", "10 and noon", "11 in the morning and 1 in the afternoon". */
export function sayMinuteSpan(from: number, to: number): string {
  const [first, last] = [onTheDial(from), onTheDial(to)]
  if (!/\d/.test(first) || !/\d/.test(last) || partOf(from) === partOf(to)) return `${first} and ${sayMinutes(to)}`
  return `${sayMinutes(from)} and ${sayMinutes(to)}`
}

function saySpan(from: Date, to: Date, timeZone: string): string {
  const [first, last] = [from, to].map((moment) => DateTime.fromJSDate(moment, { zone: timeZone })).map((local) => local.hour * 60 + local.minute)
  return sayMinuteSpan(first ?? 0, last ?? 0)
}

function onTheDial(minutes: number): string {
  const hour = Math.floor(minutes / 60) % 24
  const minute = minutes % 60
  if (minute === 0 && hour === 12) return 'noon'
  if (minute === 0 && hour === 0) return 'midnight'
  return `${hour % 12 === 0 ? 12 : hour % 12}${minute === 0 ? '' : `:${String(minute).padStart(2, '0')}`}`
}

function partOf(minutes: number): string {
  const hour = Math.floor(minutes / 60) % 24
  if (hour < 5) return 'at night'
  if (hour < 12) return 'in the morning'
  if (hour < 18) return 'in the afternoon'
  return hour < 22 ? 'in the evening' : 'at night'
}
