import { DateTime } from 'luxon'
import { correctedParts } from '../core/corrected-speech.ts'
import { WEEKDAYS, type Week } from '../tenancy/week.ts'
import type { TimeRange } from './booking-desk.ts'
import { sayMinutes, sayMinuteSpan } from './say-when.ts'
import { dayWish, type Days, type DayWish } from './spoken-days.ts'
import { clockOf, normalizedSpeech, timeWish, type OpenMinutes, type TimeWish } from './spoken-times.ts'
import type { WhenRequest } from './when-request.ts'

export { sayDay, sayOpening, sayTime } from './say-when.ts'
export { searchFor, type WhenRequest } from './when-request.ts'

const DAY = 24 * 60
const OPEN_DAYS = 365

/**
 * What a caller means by "tomorrow afternoon", "next Tuesday after four", "the 3rd", "first thing Monday", "not Tuesday": always ahead
 * of `now`, in days of the company's time zone. With the company's `hours`, an hour without "am" or "pm" is the one at which somebody
 * is there. What is put right on the way counts as it was put right. Null when the words name no time at all.
 */
export function understandWhen(text: string, now: Date, timeZone: string, hours: Week | null = null): WhenRequest | null {
  const local = DateTime.fromJSDate(now, { zone: timeZone })
  const { days: wanted, time, except, soonest } = correctedParts(text)
    .map((part) => wishIn(normalizedSpeech(part), local, hours))
    .reduce(putRight)
  if (wanted === null && except.length === 0 && !soonest && !time.any) return null

  const today = local.startOf('day')
  const days: Days = wanted ?? { from: today, to: today.plus({ days: OPEN_DAYS }), said: '' }
  const from = DateTime.max(days.from, local)
  const isOneDay = wanted !== null && days.to.diff(days.from, 'days').days < 1.5
  // Without a day, "at four" is any day's four: an hour of every day, earliest first.
  const [earliest, latest] = time.at !== null && !isOneDay ? [time.at, Math.min(DAY, time.at + 60)] : [time.from, time.to]
  const ruledOut = [...except, ...(wanted?.gaps ?? [])].filter((gap) => gap.to > from && gap.from < days.to)
  return {
    from: utc(from),
    to: utc(days.to),
    partOfDay: time.partOfDay,
    between: earliest > 0 || latest < DAY ? { from: clockOf(earliest), to: clockOf(latest) } : null,
    near: time.at === null || !isOneDay ? null : utc(onDay(days.from, time.at)),
    except: ruledOut.map((gap): TimeRange => ({ from: utc(gap.from), to: utc(gap.to) })),
    namesDay: wanted !== null,
    said: readBack(wanted, time, except, soonest),
  }
}

type Wish = DayWish & Readonly<{ time: TimeWish }>

function wishIn(said: string, local: DateTime, hours: Week | null): Wish {
  const guessed = timeWish(said, openMinutes(hours, null))
  const day = dayWish(guessed.rest, local)
  // Known days tell more about what "seven" is than the whole week does.
  return { ...day, time: day.days === null ? guessed : timeWish(said, openMinutes(hours, day.days)) }
}

/** "Tuesday at nine, no, Wednesday": what the later words name takes the place of what the earlier ones did; what they leave out stands. */
function putRight(earlier: Wish, later: Wish): Wish {
  const namesDay = later.days !== null || later.except.length > 0 || later.soonest
  return { ...(namesDay ? later : earlier), time: later.time.any ? later.time : earlier.time }
}

function readBack(days: Days | null, time: TimeWish, except: readonly Days[], soonest: boolean): string {
  const day = days?.said ?? (time.any ? '' : soonest || except.length > 0 ? 'as soon as possible' : '')
  const named = [...new Set(except.map((gap) => gap.said).filter((words) => words !== ''))]
  const without = named.length === 0 ? '' : `, but not ${named.join(' or ')}`
  return `${join(day, timeWords(time, day))}${without}`
}

function timeWords(time: TimeWish, day: string): string {
  if (time.at !== null) return `at ${sayMinutes(time.at)}`
  if (time.from > 0 && time.to < DAY) return `between ${sayMinuteSpan(time.from, time.to)}`
  if (time.from > 0) return `after ${sayMinutes(time.from)}`
  if (time.to < DAY) return `before ${sayMinutes(time.to)}`
  if (time.partOfDay === null) return ''
  if (day === 'today') return time.partOfDay === 'evening' ? 'tonight' : `this ${time.partOfDay}`
  return day === 'tomorrow' ? time.partOfDay : `in the ${time.partOfDay}`
}

function join(day: string, time: string): string {
  if (day === 'today' && /^(?:this |tonight)/.test(time)) return time
  if (day === '' || time === '') return day + time
  return `${day}${day.includes(',') ? ', ' : ' '}${time}`
}

/** When somebody is there on the days that may be meant. */
function openMinutes(hours: Week | null, days: Days | null): OpenMinutes {
  if (hours === null) return []
  const wanted = days === null ? WEEKDAYS : weekdaysOf(days)
  return wanted.flatMap((weekday) => hours[weekday].map(({ opens, closes }) => ({ from: minutesOf(opens), to: minutesOf(closes) })))
}

function weekdaysOf(days: Days): readonly (typeof WEEKDAYS)[number][] {
  const names: (typeof WEEKDAYS)[number][] = []
  for (let day = days.from; day < days.to && names.length < 7; day = day.plus({ days: 1 })) {
    const name = WEEKDAYS[day.weekday - 1]
    if (name !== undefined) names.push(name)
  }
  return names
}

function minutesOf(timeOfDay: string): number {
  const [hour = 0, minute = 0] = timeOfDay.split(':').map(Number)
  return hour * 60 + minute
}

function onDay(day: DateTime, minutes: number): DateTime {
  return day.set({ hour: Math.floor(minutes / 60), minute: minutes % 60 })
}

function utc(moment: DateTime): string {
  return moment.toUTC().toISO({ suppressMilliseconds: false }) ?? ''
}
