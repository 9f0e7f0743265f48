import type { Resource, Service } from '../tenancy/booking-config.ts'
import type { Company } from '../tenancy/company.ts'
import type { BusyTime } from './appointment-repository.ts'
import type { Opening, OpeningSearch } from './booking-desk.ts'
import { dayAt, companyDays, minutesOfDay, type CompanyDay } from './company-days.ts'
import { GRAIN_MS } from './grains.ts'
import { byResource, Occupancy, overlaps } from './occupancy.ts'
import { joined, openSpans, workSpans, type Span } from './working-time.ts'

export type BookingCompany = Pick<Company, 'timeZone' | 'hours' | 'holidays' | 'services' | 'resources' | 'booking'>

/** Time that an outside calendar takes; of everybody where `resourceId` is null. Milliseconds since 1970. */
export type AwayTime = Span & Readonly<{ resourceId: string | null }>
export type TakenTime = Readonly<{ appointments: readonly BusyTime[]; away: readonly AwayTime[] }>

const MINUTE_MS = 60_000
const GRAIN_MINUTES = GRAIN_MS / MINUTE_MS
/** Nobody is read more than this; a page of a calendar is less. */
const MOST_OPENINGS = 500
const PARTS: Readonly<Record<'morning' | 'afternoon' | 'evening', readonly [number, number]>> = { morning: [0, 12 * 60], afternoon: [12 * 60, 17 * 60], evening: [17 * 60, 24 * 60] }

/**
 * Free times of a service, worked out from the company's rules and what is taken: no clock, no store. Earliest first, or closest to
 * `search.near`; one for each start, or for each arrival window, given to whoever has least to do that day. Empty where nothing is
 * free, and for a service that is not offered.
 */
export function findOpenings(company: BookingCompany, search: OpeningSearch, taken: TakenTime, now: Date): readonly Opening[] {
  const planner = plannerFor(company, search.serviceId, taken)
  if (planner === null) return []
  const bounds = bookableSpan(company, planner.service, now)
  const wanted: Span = { startsAtMs: Math.max(bounds.startsAtMs, Date.parse(search.from)), endsAtMs: Math.min(bounds.endsAtMs, Date.parse(search.to)) }
  const limit = Math.min(search.limit, MOST_OPENINGS)
  if (wanted.startsAtMs >= wanted.endsAtMs || limit < 1) return []
  const resources = planner.resources.filter((resource) => search.resourceId === null || resource.id === search.resourceId)
  const picked = new Map<string, number>()
  const openings: Opening[] = []
  for (const day of companyDays(company.timeZone, wanted.startsAtMs, wanted.endsAtMs)) {
    const candidates = planner.candidates(day, resources).filter((candidate) => suits(candidate, day, search, wanted))
    for (const group of byMoment(candidates)) {
      const best = leastBusy(group, planner, day, picked)
      picked.set(best.resource.id, (picked.get(best.resource.id) ?? 0) + 1)
      openings.push(openingOf(planner.service, best))
      if (openings.length >= limit && (search.near ?? null) === null) return openings
    }
  }
  const near = search.near ?? null
  return near === null ? openings : closestFirst(openings, Date.parse(near)).slice(0, limit)
}

export type Refusal = 'not-offered' | 'not-open' | 'too-soon' | 'too-far' | 'taken'

/**
 * Whether an opening may be had at `now`: what it says is worked out again, not trusted. A caller may have thought about it for as long
 * as a hold lasts. `anyTime` is for the company's own people: hours and lead time do not bind them, room does.
 */
export function checkOpening(company: BookingCompany, opening: Opening, taken: TakenTime, now: Date, anyTime = false): Readonly<{ opening: Opening }> | Readonly<{ refused: Refusal }> {
  const planner = plannerFor(company, opening.serviceId, taken)
  const resource = planner?.resources.find((one) => one.id === opening.resourceId)
  if (planner === null || resource === undefined) return { refused: 'not-offered' }
  const startsAtMs = Date.parse(opening.startsAt)
  if (startsAtMs % GRAIN_MS !== 0) return { refused: 'not-open' }
  const visit: Span = { startsAtMs, endsAtMs: startsAtMs + planner.service.durationMinutes * MINUTE_MS }
  const day = dayAt(company.timeZone, startsAtMs)
  const window = planner.windows(day).find((one) => one.startsAtMs <= startsAtMs && startsAtMs < one.endsAtMs) ?? null
  if (!anyTime) {
    const bounds = bookableSpan(company, planner.service, now)
    const offeredAtMs = window?.startsAtMs ?? startsAtMs
    if (offeredAtMs < bounds.startsAtMs - company.booking.holdMinutes * MINUTE_MS || startsAtMs < now.getTime()) return { refused: 'too-soon' }
    if (startsAtMs >= bounds.endsAtMs) return { refused: 'too-far' }
    if (!planner.isAtWork(resource, visit, day) || (planner.worksByWindows && window === null)) return { refused: 'not-open' }
  }
  if (!planner.hasRoom(resource, visit)) return { refused: 'taken' }
  return { opening: openingOf(planner.service, { resource, visit, window }) }
}

/** From the first moment that may be booked to the end of the last day, at `now`. */
export function bookableSpan(company: Pick<Company, 'timeZone' | 'booking'>, service: Pick<Service, 'leadMinutes'>, now: Date): Span {
  const today = dayAt(company.timeZone, now.getTime())
  const earliestMs = now.getTime() + (service.leadMinutes ?? company.booking.leadMinutes) * MINUTE_MS
  // Noon of the last day, give or take the hour that clocks are changed by, is in that day.
  const { endsAtMs } = dayAt(company.timeZone, today.startsAtMs + (company.booking.horizonDays * 24 + 12) * 60 * MINUTE_MS)
  return { startsAtMs: company.booking.sameDay ? earliestMs : Math.max(earliestMs, today.endsAtMs), endsAtMs }
}

/** Who can do a service: enabled, named by it or by nobody, with every skill it asks for. */
export function resourcesFor(company: Pick<Company, 'resources'>, service: Pick<Service, 'resourceIds' | 'skills'>): readonly Resource[] {
  return company.resources.filter(
    (resource) =>
      resource.enabled &&
      (service.resourceIds.length === 0 || service.resourceIds.includes(resource.id)) &&
      service.skills.every((skill) => resource.skills.some((own) => own.toLowerCase() === skill.toLowerCase())),
  )
}

type Candidate = Readonly<{ resource: Resource; visit: Span; window: Span | null }>

function plannerFor(company: BookingCompany, serviceId: string, taken: TakenTime): Planner | null {
  const service = company.services.find((one) => one.id === serviceId && one.enabled)
  return service === undefined ? null : new Planner(company, service, taken)
}

/** One service of one company, against what is taken. */
class Planner {
  readonly service: Service
  readonly resources: readonly Resource[]
  readonly worksByWindows: boolean
  readonly #company: BookingCompany
  readonly #windows: readonly Readonly<{ from: number; to: number }>[]
  readonly #occupancy = new Map<string, Occupancy>()
  readonly #atWork = new Map<string, readonly Span[]>()

  constructor(company: BookingCompany, service: Service, taken: TakenTime) {
    this.#company = company
    this.service = service
    this.resources = resourcesFor(company, service)
    this.#windows = (service.windows ?? company.booking.windows).map(({ from, to }) => ({ from: minutesOfDay(from), to: minutesOfDay(to) }))
    this.worksByWindows = this.#windows.length > 0
    const appointments = byResource(taken.appointments)
    for (const resource of this.resources) {
      const away = taken.away.filter((one) => one.resourceId === null || one.resourceId === resource.id)
      this.#occupancy.set(resource.id, new Occupancy(resource.capacity, appointments.get(resource.id) ?? [], away))
    }
  }

  /** Everything that begins on `day` and is free; by start. */
  candidates(day: CompanyDay, resources: readonly Resource[]): readonly Candidate[] {
    const found = resources.flatMap((resource) => (this.worksByWindows ? this.#inWindows(day, resource) : this.#onTheStep(day, resource)))
    return found.sort((a, b) => offeredAt(a) - offeredAt(b))
  }

  /** The arrival windows of a day as they are promised: no more of them than the company is open. */
  windows(day: CompanyDay): readonly Span[] {
    const open = joined(openSpans(this.#company, day))
    return this.#windows.flatMap(({ from, to }) => {
      const window = { startsAtMs: day.momentOf(from), endsAtMs: day.momentOf(to) }
      return open
        .map((span) => ({ startsAtMs: Math.max(window.startsAtMs, span.startsAtMs), endsAtMs: Math.min(window.endsAtMs, span.endsAtMs) }))
        .filter((span) => span.startsAtMs < span.endsAtMs)
    })
  }

  isAtWork(resource: Resource, visit: Span, day: CompanyDay): boolean {
    return this.#worksAround(day, resource).some((span) => span.startsAtMs <= visit.startsAtMs && visit.endsAtMs <= span.endsAtMs)
  }

  /** The buffer after it must be free, too, but may lie after hours. */
  hasRoom(resource: Resource, visit: Span): boolean {
    const whole = { startsAtMs: visit.startsAtMs, endsAtMs: visit.endsAtMs + this.service.bufferMinutes * MINUTE_MS }
    return this.#occupancy.get(resource.id)?.hasRoom(whole) ?? false
  }

  load(resource: Resource, day: CompanyDay): number {
    return this.#occupancy.get(resource.id)?.load(day) ?? 0
  }

  #onTheStep(day: CompanyDay, resource: Resource): Candidate[] {
    return this.#worksOn(day, resource)
      .flatMap((span) => [...this.#starts(day, span)])
      .flatMap((startsAtMs) => this.#candidate(day, resource, startsAtMs, null))
  }

  /** The earliest start in each window: visits close ranks, and what is left of the window stays whole. */
  #inWindows(day: CompanyDay, resource: Resource): Candidate[] {
    return this.windows(day).flatMap((window) => {
      for (const span of this.#worksOn(day, resource)) {
        const part = { startsAtMs: Math.max(span.startsAtMs, window.startsAtMs), endsAtMs: Math.min(span.endsAtMs, window.endsAtMs) }
        for (const startsAtMs of this.#starts(day, part)) {
          const [candidate] = this.#candidate(day, resource, startsAtMs, window)
          if (candidate !== undefined) return [candidate]
        }
      }
      return []
    })
  }

  #candidate(day: CompanyDay, resource: Resource, startsAtMs: number, window: Span | null): [Candidate] | [] {
    const visit = { startsAtMs, endsAtMs: startsAtMs + this.service.durationMinutes * MINUTE_MS }
    return this.isAtWork(resource, visit, day) && this.hasRoom(resource, visit) ? [{ resource, visit, window }] : []
  }

  /** On the wall clock: from when the span begins, every `stepMinutes`; a time that the clock skips is none, one it shows twice is one. */
  *#starts(day: CompanyDay, span: Span): Generator<number> {
    const first = Math.ceil(day.minutesAt(span.startsAtMs) / GRAIN_MINUTES) * GRAIN_MINUTES
    for (let minutes = first; minutes < 24 * 60; minutes += this.#company.booking.stepMinutes) {
      if (!day.has(minutes)) continue
      const startsAtMs = day.momentOf(minutes)
      if (startsAtMs >= span.endsAtMs) return
      if (startsAtMs >= span.startsAtMs && startsAtMs % GRAIN_MS === 0) yield startsAtMs
    }
  }

  #worksOn(day: CompanyDay, resource: Resource): readonly Span[] {
    return this.#remembered(`${resource.id} ${day.date}`, () => workSpans(openSpans(this.#company, day), resource, day))
  }

  /** With the days before and after: around the clock, a visit goes on over midnight. */
  #worksAround(day: CompanyDay, resource: Resource): readonly Span[] {
    return this.#remembered(`${resource.id} ${day.date} around`, () => {
      const days = [dayAt(this.#company.timeZone, day.startsAtMs - 1), day, dayAt(this.#company.timeZone, day.endsAtMs)]
      return joined(days.flatMap((one) => this.#worksOn(one, resource)))
    })
  }

  #remembered(key: string, work: () => readonly Span[]): readonly Span[] {
    const known = this.#atWork.get(key)
    if (known !== undefined) return known
    const spans = work()
    this.#atWork.set(key, spans)
    return spans
  }
}

/** When the caller is to expect somebody. */
function offeredAt(candidate: Candidate): number {
  return candidate.window?.startsAtMs ?? candidate.visit.startsAtMs
}

function suits(candidate: Candidate, day: CompanyDay, search: OpeningSearch, wanted: Span): boolean {
  const atMs = offeredAt(candidate)
  if (atMs < wanted.startsAtMs || atMs >= wanted.endsAtMs) return false
  if (search.except?.some((gap) => atMs >= Date.parse(gap.from) && atMs < Date.parse(gap.to)) === true) return false
  const minutes = day.minutesAt(atMs)
  if (search.partOfDay !== null) {
    const [from, to] = PARTS[search.partOfDay]
    if (minutes < from || minutes >= to) return false
  }
  const between = search.between ?? null
  if (between === null) return true
  const [from, to] = [minutesOfDay(between.from), minutesOfDay(between.to)]
  if (candidate.window === null) return minutes >= from && minutes < to
  const until = candidate.window.endsAtMs >= day.endsAtMs ? 24 * 60 : day.minutesAt(candidate.window.endsAtMs)
  // "Between ten and two" is any window in there; "at nine" is the window that nine lies in.
  return (minutes >= from && until <= to) || (minutes <= from && to <= until)
}

/** Those that are offered for the same moment, together; by moment. */
function byMoment(candidates: readonly Candidate[]): readonly Candidate[][] {
  const groups: Candidate[][] = []
  for (const candidate of candidates) {
    const last = groups.at(-1)
    if (last?.[0] !== undefined && offeredAt(last[0]) === offeredAt(candidate)) last.push(candidate)
    else groups.push([candidate])
  }
  return groups
}

function leastBusy(group: readonly Candidate[], planner: Planner, day: CompanyDay, picked: ReadonlyMap<string, number>): Candidate {
  const cost = (candidate: Candidate): readonly [number, number] => [planner.load(candidate.resource, day), picked.get(candidate.resource.id) ?? 0]
  return group.reduce((best, candidate) => {
    const [load, times] = cost(candidate)
    const [bestLoad, bestTimes] = cost(best)
    return load < bestLoad || (load === bestLoad && times < bestTimes) ? candidate : best
  })
}

function openingOf(service: Service, { resource, visit, window }: Candidate): Opening {
  return {
    serviceId: service.id,
    resourceId: resource.id,
    startsAt: new Date(visit.startsAtMs).toISOString(),
    endsAt: new Date(visit.endsAtMs).toISOString(),
    window: window === null ? null : { startsAt: new Date(window.startsAtMs).toISOString(), endsAt: new Date(window.endsAtMs).toISOString() },
  }
}

function closestFirst(openings: readonly Opening[], nearMs: number): readonly Opening[] {
  const distance = ({ startsAt, window }: Opening): number => {
    if (window === null) return Math.abs(Date.parse(startsAt) - nearMs)
    const span = { startsAtMs: Date.parse(window.startsAt), endsAtMs: Date.parse(window.endsAt) }
    return overlaps(span, { startsAtMs: nearMs, endsAtMs: nearMs + 1 }) ? 0 : Math.min(Math.abs(span.startsAtMs - nearMs), Math.abs(span.endsAtMs - nearMs) + 1)
  }
  return [...openings].sort((a, b) => distance(a) - distance(b))
}
