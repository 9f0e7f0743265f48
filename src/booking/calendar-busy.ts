import ICAL from 'ical.js'
import { DateTime, IANAZone } from 'luxon'
import { ClientsViaError } from '../core/errors.ts'
import { joined, type Span } from './working-time.ts'

export type BusyRange = Readonly<{ timeZone: string; fromMs: number; toMs: number }>

/** Appointments in our own feeds end so: a calendar that shows our feed must not make our own visits busy a second time. */
export const OWN_UID_SUFFIX = '@appointments.clientsvia'
/** A daily event of thirty years is 11,000; what repeats more often than that is not somebody's calendar. */
const MOST_REPEATS = 20_000
/** Over the whole file, so that one of a thousand endless events is still an end. */
const MOST_STEPS = 200_000
const MOST_BUSY = 20_000
const DAY_MS = 24 * 3_600_000

/**
 * The busy times of an iCalendar text from `fromMs` to `toMs`, repeats, exceptions and zones worked out; joined and by start. All-day
 * events and times without a zone are the company's. What is marked free, cancelled or our own takes no time. Throws INVALID_INPUT for
 * what is not a calendar. Heavy: for a worker.
 */
export function busyTimes(text: string, range: BusyRange): readonly Span[] {
  const found: Span[] = []
  let steps = 0
  for (const { master, exceptions } of eventsOf(text)) {
    const event = new ICAL.Event(master, { exceptions: [...exceptions] })
    if (!event.isRecurring()) {
      add(found, spanOf(event.component, event.startDate, event.endDate, range), event.component, range)
      continue
    }
    const repeats = event.iterator()
    for (let n = 0; n < MOST_REPEATS && steps < MOST_STEPS; n++, steps++) {
      const next = repeats.next() as ICAL.Time | null
      if (next === null || next === undefined) break
      const { item, startDate, endDate } = event.getOccurrenceDetails(next)
      const span = spanOf(item.component, startDate, endDate, range)
      // An exception may have been moved anywhere; the series itself only goes forward.
      if (item === event && span !== null && span.startsAtMs >= range.toMs) break
      add(found, span, item.component, range)
    }
    if (found.length > MOST_BUSY) break
  }
  return joined(found.sort((a, b) => a.startsAtMs - b.startsAtMs)).slice(0, MOST_BUSY)
}

type Series = Readonly<{ master: ICAL.Component; exceptions: readonly ICAL.Component[] }>

/** By UID: the event and what was changed of its repeats. A change whose event is not there stands for itself. */
function eventsOf(text: string): readonly Series[] {
  const masters = new Map<string, { master: ICAL.Component; exceptions: ICAL.Component[] }>()
  const changes: ICAL.Component[] = []
  for (const calendar of calendarsOf(text)) {
    for (const component of calendar.getAllSubcomponents('vevent')) {
      if (component.hasProperty('recurrence-id')) changes.push(component)
      else if (component.hasProperty('dtstart')) masters.set(uidOf(component) || `#${masters.size}`, { master: component, exceptions: [] })
    }
  }
  const alone: Series[] = []
  for (const change of changes) {
    const series = masters.get(uidOf(change))
    if (series !== undefined) series.exceptions.push(change)
    else if (change.hasProperty('dtstart')) alone.push({ master: change, exceptions: [] })
  }
  return [...masters.values(), ...alone]
}

function calendarsOf(text: string): readonly ICAL.Component[] {
  let parsed: unknown
  try {
    parsed = ICAL.parse(text)
  } catch (cause) {
    throw notACalendar(cause)
  }
  // One calendar is [name, ...]; several are a list of those.
  const several = Array.isArray(parsed) && Array.isArray(parsed[0]) ? (parsed as unknown[][]) : [parsed as unknown[]]
  const components = several.map((one) => new ICAL.Component(one as ConstructorParameters<typeof ICAL.Component>[0]))
  if (components.some((component) => component.name !== 'vcalendar')) throw notACalendar(null)
  return components
}

function add(found: Span[], span: Span | null, component: ICAL.Component, range: BusyRange): void {
  if (span === null || span.startsAtMs >= range.toMs || span.endsAtMs <= range.fromMs || span.startsAtMs >= span.endsAtMs || !takesTime(component)) return
  found.push(span)
}

function takesTime(component: ICAL.Component): boolean {
  const value = (name: string): string => String(component.getFirstPropertyValue(name) ?? '').toUpperCase()
  return value('status') !== 'CANCELLED' && value('transp') !== 'TRANSPARENT' && value('x-microsoft-cdo-busystatus') !== 'FREE' && !uidOf(component).endsWith(OWN_UID_SUFFIX)
}

/** Null for times that no clock shows. */
function spanOf(component: ICAL.Component, start: ICAL.Time, end: ICAL.Time | null, { timeZone }: BusyRange): Span | null {
  const zone = zoneOf(component)
  const startsAtMs = momentOf(start, zone, timeZone)
  const endsAtMs = end === null ? startsAtMs : momentOf(end, zone, timeZone)
  if (!Number.isFinite(startsAtMs) || !Number.isFinite(endsAtMs)) return null
  // An all-day event without an end is that day.
  return { startsAtMs, endsAtMs: start.isDate && endsAtMs <= startsAtMs ? startsAtMs + DAY_MS : endsAtMs }
}

/** The zone as the event names it: today's rules of a zone that is known go before the rules a file brought along. */
function zoneOf(component: ICAL.Component): string | null {
  const named = component.getFirstProperty('dtstart')?.getParameter('tzid')
  if (typeof named !== 'string') return null
  // Some write "/mozilla.org/20050126_1/America/New_York".
  const name = IANAZone.isValidZone(named) ? named : (/([A-Za-z_]+\/[A-Za-z_]+(?:\/[A-Za-z_]+)?)$/.exec(named)?.[1] ?? '')
  return IANAZone.isValidZone(name) ? name : null
}

function momentOf(time: ICAL.Time, zone: string | null, companyZone: string): number {
  if (!time.isDate && time.zone === ICAL.Timezone.utcTimezone) return time.toUnixTime() * 1000
  const { year, month, day, hour, minute, second } = time
  if (time.isDate) return DateTime.fromObject({ year, month, day }, { zone: companyZone }).toMillis()
  const isFloating = time.zone === ICAL.Timezone.localTimezone
  if (zone === null && !isFloating) return time.toUnixTime() * 1000
  return DateTime.fromObject({ year, month, day, hour, minute, second: Math.min(59, second) }, { zone: zone ?? companyZone }).toMillis()
}

function uidOf(component: ICAL.Component): string {
  return String(component.getFirstPropertyValue('uid') ?? '')
}

function notACalendar(cause: unknown): ClientsViaError {
  return new ClientsViaError('INVALID_INPUT', 'it is not an iCalendar file', { field: 'ics' }, { cause })
}
