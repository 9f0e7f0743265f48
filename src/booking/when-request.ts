import type { OpeningSearch, TimeRange } from './booking-desk.ts'

/** When a caller would like to come, as a range to search. Times in UTC, RFC 3339. */
export type WhenRequest = Readonly<{
  /** Never before now. */
  from: string
  /** Not part of it. A year ahead where no day was named: the rules' horizon ends it sooner. */
  to: string
  partOfDay: OpeningSearch['partOfDay']
  /** 'HH:MM' in the company's time zone, of every day in the range: "after four" is 16:00 to 24:00. */
  between: Readonly<{ from: string; to: string }> | null
  /** The one moment that was named ("Tuesday at four"), which may be free or not: openings near it come first. */
  near: string | null
  /** What was ruled out ("not Tuesday"). */
  except: readonly TimeRange[]
  /** Whether a day was named at all; "in the afternoon" alone names none, and goes with the day that was talked of before. */
  namesDay: boolean
  /** As it is read back: "tomorrow afternoon", "Tuesday, December first, after 4 in the afternoon". */
  said: string
}>

/** The search that a request comes to. */
export function searchFor(when: WhenRequest, serviceId: string, limit: number, resourceId: string | null = null): OpeningSearch {
  const { from, to, partOfDay, between, near, except } = when
  return { serviceId, from, to, partOfDay, resourceId, limit, between, near, except }
}
