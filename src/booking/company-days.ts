import { LRUCache } from 'lru-cache'
import { DateTime } from 'luxon'
import { firstMoment } from '../tenancy/hours.ts'
import { WEEKDAYS } from '../tenancy/week.ts'

const MINUTE_MS = 60_000
const DAY_MINUTES = 24 * 60
/** A year in each of a dozen zones. Days never change, so what is known stays known. */
const MOST_DAYS = 4400

/** One day on a company's calendar, as moments. */
export interface CompanyDay {
  /** 'YYYY-MM-DD'. */
  readonly date: string
  readonly weekday: (typeof WEEKDAYS)[number]
  readonly startsAtMs: number
  /** The first moment of the next day. */
  readonly endsAtMs: number
  /** The first moment at which the day's clock shows `minutes` (0 to 1440) or later. */
  momentOf(minutes: number): number
  /** Whether the clock ever shows `minutes` on this day: not in the hour that is skipped when clocks go forward. */
  has(minutes: number): boolean
  /** What the clock shows at a moment of this day, in minutes. */
  minutesAt(momentMs: number): number
}

const known = new LRUCache<string, CompanyDay>({ max: MOST_DAYS })

/** The days, in the company's zone, that have any moment from `fromMs` to `toMs` (not included). */
export function companyDays(timeZone: string, fromMs: number, toMs: number): readonly CompanyDay[] {
  const days: CompanyDay[] = []
  for (let day = dayAt(timeZone, fromMs); day.startsAtMs < toMs; day = dayAt(timeZone, day.endsAtMs)) days.push(day)
  return days
}

/** The day that a moment lies in. */
export function dayAt(timeZone: string, momentMs: number): CompanyDay {
  return dayOf(DateTime.fromMillis(momentMs, { zone: timeZone }).startOf('day'), timeZone)
}

function dayOf(start: DateTime, timeZone: string): CompanyDay {
  const date = start.toISODate() ?? ''
  const key = `${timeZone} ${date}`
  const day = known.get(key) ?? (isPlain(start) ? new PlainDay(start, date) : new ChangingDay(start, date))
  known.set(key, day)
  return day
}

/** A day of 24 hours from midnight to midnight, which nearly all are. */
function isPlain(start: DateTime): boolean {
  if (start.hour !== 0 || start.minute !== 0) return false
  const end = start.plus({ days: 1 }).startOf('day')
  // Two changes on one day that cancel out have never been made.
  return end.toMillis() - start.toMillis() === DAY_MINUTES * MINUTE_MS && end.offset === start.offset
}

class PlainDay implements CompanyDay {
  readonly date: string
  readonly weekday: (typeof WEEKDAYS)[number]
  readonly startsAtMs: number
  readonly endsAtMs: number

  constructor(start: DateTime, date: string) {
    this.date = date
    this.weekday = weekdayOf(start)
    this.startsAtMs = start.toMillis()
    this.endsAtMs = this.startsAtMs + DAY_MINUTES * MINUTE_MS
  }

  momentOf(minutes: number): number {
    return this.startsAtMs + minutes * MINUTE_MS
  }

  has(): boolean {
    return true
  }

  minutesAt(momentMs: number): number {
    return Math.floor((momentMs - this.startsAtMs) / MINUTE_MS)
  }
}

/** A day on which the clock is changed: asked of the zone, moment by moment. */
class ChangingDay implements CompanyDay {
  readonly date: string
  readonly weekday: (typeof WEEKDAYS)[number]
  readonly startsAtMs: number
  readonly endsAtMs: number
  readonly #start: DateTime

  constructor(start: DateTime, date: string) {
    this.date = date
    this.weekday = weekdayOf(start)
    this.startsAtMs = start.toMillis()
    this.endsAtMs = start.plus({ days: 1 }).startOf('day').toMillis()
    this.#start = start
  }

  momentOf(minutes: number): number {
    return firstMoment(this.#start, clockOf(minutes)).toMillis()
  }

  has(minutes: number): boolean {
    return minutes < DAY_MINUTES && this.minutesAt(this.momentOf(minutes)) === minutes
  }

  minutesAt(momentMs: number): number {
    const local = DateTime.fromMillis(momentMs, { zone: this.#start.zone })
    return local.hour * 60 + local.minute
  }
}

/** 'HH:MM' as minutes of the day; '24:00' is 1440. */
export function minutesOfDay(timeOfDay: string): number {
  const [hour = 0, minute = 0] = timeOfDay.split(':').map(Number)
  return hour * 60 + minute
}

function clockOf(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`
}

function weekdayOf(start: DateTime): (typeof WEEKDAYS)[number] {
  return WEEKDAYS[start.weekday - 1] ?? 'monday'
}
