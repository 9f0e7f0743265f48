import type { Resource } from '../tenancy/booking-config.ts'
import type { Company } from '../tenancy/company.ts'
import type { Week } from '../tenancy/week.ts'
import { minutesOfDay, type CompanyDay } from './company-days.ts'

/** From `startsAtMs` to `endsAtMs`, which is not part of it. */
export type Span = Readonly<{ startsAtMs: number; endsAtMs: number }>

/** The company's opening hours of one day: a holiday's own where it is one. By start. */
export function openSpans(company: Pick<Company, 'hours' | 'holidays'>, day: CompanyDay): readonly Span[] {
  const holiday = company.holidays.find((one) => one.date === day.date)
  return spansOf(holiday?.intervals ?? company.hours[day.weekday], day)
}

/** When a resource works on that day: its own hours within the company's, none on its days off. By start. */
export function workSpans(open: readonly Span[], resource: Pick<Resource, 'hours' | 'daysOff'>, day: CompanyDay): readonly Span[] {
  if (resource.daysOff.some((off) => off.from <= day.date && day.date <= off.to)) return []
  return resource.hours === null ? open : common(open, spansOf(resource.hours[day.weekday], day))
}

/** Spans that touch are one: a visit may go on over midnight where somebody is there. Expects them by start. */
export function joined(spans: readonly Span[]): readonly Span[] {
  const whole: Span[] = []
  for (const span of spans) {
    const last = whole.at(-1)
    if (last === undefined || span.startsAtMs > last.endsAtMs) whole.push(span)
    else if (span.endsAtMs > last.endsAtMs) whole[whole.length - 1] = { startsAtMs: last.startsAtMs, endsAtMs: span.endsAtMs }
  }
  return whole
}

function spansOf(intervals: Week['monday'], day: CompanyDay): readonly Span[] {
  return intervals
    .map(({ opens, closes }) => ({ startsAtMs: day.momentOf(minutesOfDay(opens)), endsAtMs: day.momentOf(minutesOfDay(closes)) }))
    // Hours that the clock skips altogether are no hours.
    .filter((span) => span.startsAtMs < span.endsAtMs)
    .sort((a, b) => a.startsAtMs - b.startsAtMs)
}

function common(some: readonly Span[], others: readonly Span[]): readonly Span[] {
  return some
    .flatMap((one) => others.map((other) => ({ startsAtMs: Math.max(one.startsAtMs, other.startsAtMs), endsAtMs: Math.min(one.endsAtMs, other.endsAtMs) })))
    .filter((span) => span.startsAtMs < span.endsAtMs)
    .sort((a, b) => a.startsAtMs - b.startsAtMs)
}
