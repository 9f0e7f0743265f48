import type { Clock } from '../core/clock.ts'
import { ClientsViaError, isClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import { takesTime, type Appointment } from './appointment.ts'
import { changeEvent } from './appointment-events.ts'
import type { AppointmentRepository, WriteTerms } from './appointment-repository.ts'
import { bookableSpan, checkOpening, findOpenings, resourcesFor, type AwayTime, type BookingCompany, type Refusal, type TakenTime } from './availability.ts'
import type { AppointmentRequest, BookingDesk, Opening, OpeningSearch } from './booking-desk.ts'
import { dayAt } from './company-days.ts'
import type { Span } from './working-time.ts'

export type BookingDeskDeps = Readonly<{
  clock: Pick<Clock, 'wallTime'>
  /** The company as its calls run on it. NOT_FOUND. */
  companyOf: (companyId: string, signal: AbortSignal) => Promise<BookingCompany>
  appointments: AppointmentRepository
  /** What outside calendars take, as far as it is known: kept in memory, so that no caller ever waits for somebody else's server. */
  away: (companyId: string) => readonly AwayTime[]
}>

/** What a person at the company wants booked. Null resource: whoever has least to do. */
export type BookingByHand = Readonly<{
  serviceId: string
  startsAt: string
  resourceId: string | null
  customer: Appointment['customer']
  reason: string
  answers: Readonly<Record<string, string>>
  status: 'requested' | 'held' | 'confirmed'
  /** Outside hours, windows and lead time, too; never over somebody else. */
  anyTime: boolean
}>

/** How often a change is tried again when somebody else has saved the appointment in between. */
const MOST_TRIES = 3
/** A caller with more than this to come is no caller. */
const MOST_UPCOMING = 20
/** Visits last a day at most: what began before that is over. */
const LONGEST_VISIT_MS = 24 * 3_600_000
/** Who came last two years ago may have moved. */
const REMEMBERED_MS = 2 * 366 * 24 * 3_600_000
/** One a week; of a number with more of them the first hundred say who it is. */
const MOST_KNOWN = 100
/** Visits that somebody wanted and did not call off. */
const KEPT: readonly Appointment['status'][] = ['requested', 'confirmed', 'completed', 'no-show']
const OVER: readonly Appointment['status'][] = ['cancelled', 'completed', 'no-show']
const WHY: Readonly<Record<Refusal, string>> = {
  'not-offered': 'nobody offers that service there',
  'not-open': 'nobody works at that time',
  'too-soon': 'that is too soon',
  'too-far': 'that is too far ahead',
  taken: 'that time is taken',
}

export class CompanyBookingDesk implements BookingDesk {
  readonly #deps: BookingDeskDeps

  constructor(deps: BookingDeskDeps) {
    this.#deps = deps
  }

  async search(companyId: string, search: OpeningSearch, signal: AbortSignal): Promise<readonly Opening[]> {
    const company = await this.#deps.companyOf(companyId, signal)
    const now = this.#deps.clock.wallTime()
    const service = company.services.find((one) => one.id === search.serviceId && one.enabled)
    if (service === undefined) return []
    const bounds = bookableSpan(company, service, now)
    const span = { startsAtMs: Math.max(bounds.startsAtMs, Date.parse(search.from)), endsAtMs: Math.min(bounds.endsAtMs, Date.parse(search.to)) }
    if (span.startsAtMs >= span.endsAtMs) return []
    return findOpenings(company, search, await this.#taken(companyId, company, span, now, signal), now)
  }

  async book(companyId: string, request: AppointmentRequest, idempotencyKey: string, signal: AbortSignal): Promise<Appointment> {
    const company = await this.#deps.companyOf(companyId, signal)
    return this.#create(companyId, company, request, company.booking.mode === 'book' ? 'confirmed' : 'requested', idempotencyKey, false, signal)
  }

  async hold(companyId: string, request: AppointmentRequest, idempotencyKey: string, signal: AbortSignal): Promise<Appointment> {
    return this.#create(companyId, await this.#deps.companyOf(companyId, signal), request, 'held', idempotencyKey, false, signal)
  }

  /** Throws INVALID_INPUT for a service that is not there, CONFLICT as `book` does. */
  async bookByHand(companyId: string, wanted: BookingByHand, idempotencyKey: string, signal: AbortSignal): Promise<Appointment> {
    const company = await this.#deps.companyOf(companyId, signal)
    const service = company.services.find((one) => one.id === wanted.serviceId)
    if (service === undefined) throw new ClientsViaError('INVALID_INPUT', `serviceId: there is no service "${wanted.serviceId}"`, { field: 'serviceId' })
    const startsAtMs = Date.parse(wanted.startsAt)
    const atThatTime = { serviceId: service.id, from: wanted.startsAt, to: new Date(startsAtMs + 1).toISOString(), partOfDay: null, resourceId: null, limit: 1 }
    const leastBusy = wanted.resourceId === null ? (await this.search(companyId, atThatTime, signal))[0] : undefined
    const resourceId = wanted.resourceId ?? leastBusy?.resourceId ?? resourcesFor(company, service)[0]?.id
    if (resourceId === undefined) throw new ClientsViaError('CONFLICT', WHY['not-offered'], { refused: 'not-offered' })
    const opening: Opening = { serviceId: service.id, resourceId, startsAt: new Date(startsAtMs).toISOString(), endsAt: new Date(startsAtMs).toISOString(), window: null }
    const { customer, reason, answers } = wanted
    const request = { opening, anyResource: wanted.resourceId === null, customer, reason, answers, callSid: null }
    return this.#create(companyId, company, request, wanted.status, idempotencyKey, wanted.anyTime, signal)
  }

  async confirm(companyId: string, appointmentId: string, signal: AbortSignal): Promise<Appointment> {
    return this.setStatus(companyId, appointmentId, 'confirmed', null, signal)
  }

  async cancel(companyId: string, appointmentId: string, signal: AbortSignal): Promise<Appointment> {
    return this.setStatus(companyId, appointmentId, 'cancelled', null, signal)
  }

  /** `ifVersion` null: whatever it has become meanwhile. A visit that is over stays over, but may be called completed or missed. */
  async setStatus(companyId: string, appointmentId: string, status: 'confirmed' | 'cancelled' | 'completed' | 'no-show', ifVersion: number | null, signal: AbortSignal): Promise<Appointment> {
    return this.#change(companyId, appointmentId, ifVersion, signal, (before, now) => {
      if (before.status === status) return before
      const mayFollow = status === 'confirmed' || status === 'cancelled' ? !OVER.includes(before.status) : before.status !== 'cancelled' && before.status !== 'held'
      if (!mayFollow) throw new ClientsViaError('CONFLICT', `the appointment is ${before.status}`, { status: before.status })
      if (before.status === 'held' && status === 'confirmed' && Date.parse(before.heldUntil ?? '') <= now.getTime()) {
        throw new ClientsViaError('CONFLICT', 'the hold has run out', { taken: true })
      }
      return { ...before, status, heldUntil: null }
    })
  }

  async reschedule(companyId: string, appointmentId: string, opening: Opening, signal: AbortSignal): Promise<Appointment> {
    return this.move(companyId, appointmentId, opening, false, null, signal)
  }

  async move(companyId: string, appointmentId: string, opening: Opening, anyTime: boolean, ifVersion: number | null, signal: AbortSignal): Promise<Appointment> {
    const company = await this.#deps.companyOf(companyId, signal)
    return this.#change(companyId, appointmentId, ifVersion, signal, async (before, now) => {
      if (OVER.includes(before.status)) throw new ClientsViaError('CONFLICT', `the appointment is ${before.status}`, { status: before.status })
      if (before.resourceId === opening.resourceId && Date.parse(before.startsAt) === Date.parse(opening.startsAt) && before.serviceId === opening.serviceId) return before
      const taken = await this.#taken(companyId, company, aroundOf(opening.startsAt), now, signal)
      const checked = allowed(checkOpening(company, opening, without(taken, before), now, anyTime))
      return { ...before, ...placeOf(company, checked) }
    })
  }

  async upcoming(companyId: string, phoneNumberE164: string, signal: AbortSignal): Promise<readonly Appointment[]> {
    const nowMs = this.#deps.clock.wallTime().getTime()
    const found = await this.#deps.appointments.list(
      companyId,
      { phoneNumberE164, statuses: ['requested', 'confirmed'], startsFrom: new Date(nowMs - LONGEST_VISIT_MS).toISOString(), limit: MOST_UPCOMING },
      signal,
    )
    return found.filter((appointment) => Date.parse(appointment.endsAt) > nowMs)
  }

  async customer(companyId: string, phoneNumberE164: string, signal: AbortSignal): Promise<Appointment['customer'] | null> {
    const since = new Date(this.#deps.clock.wallTime().getTime() - REMEMBERED_MS).toISOString()
    const found = await this.#deps.appointments.list(companyId, { phoneNumberE164, statuses: KEPT, startsFrom: since, limit: MOST_KNOWN }, signal)
    return found.at(-1)?.customer ?? null
  }

  /** Puts an end to holds that have run out; their time was free from that moment on. How many. */
  async endHolds(companyId: string, signal: AbortSignal): Promise<number> {
    const now = this.#deps.clock.wallTime()
    const over = await this.#deps.appointments.list(companyId, { statuses: ['held'], heldUntilBefore: now.toISOString(), limit: 100 }, signal)
    for (const before of over) {
      const after: Appointment = { ...before, status: 'cancelled', heldUntil: null }
      try {
        await this.#deps.appointments.save(companyId, after, before.version, { capacity: 1, now: now.toISOString() }, [], signal)
      } catch (error) {
        // Another process was faster, or somebody erased it.
        if (!isClientsViaError(error, 'CONFLICT') && !isClientsViaError(error, 'NOT_FOUND')) throw error
      }
    }
    return over.length
  }

  async #create(
    companyId: string,
    company: BookingCompany,
    request: AppointmentRequest,
    status: 'requested' | 'held' | 'confirmed',
    idempotencyKey: string,
    anyTime: boolean,
    signal: AbortSignal,
  ): Promise<Appointment> {
    const { appointments, clock } = this.#deps
    // The time that a first try has taken would look taken to the second.
    const known = await appointments.findByKey(companyId, idempotencyKey, signal)
    if (known !== null) return known
    const now = clock.wallTime()
    const taken = await this.#taken(companyId, company, aroundOf(request.opening.startsAt), now, signal)
    let refusal: unknown = null
    for (const opening of ways(company, request)) {
      const checked = checkOpening(company, opening, taken, now, anyTime)
      if ('refused' in checked) {
        refusal ??= refused(checked.refused)
        continue
      }
      const appointment: Appointment = {
        id: uuidv7(now),
        companyId,
        ...placeOf(company, checked.opening),
        status,
        heldUntil: status === 'held' ? new Date(now.getTime() + company.booking.holdMinutes * 60_000).toISOString() : null,
        customer: request.customer,
        reason: request.reason,
        answers: { ...request.answers },
        callSid: request.callSid,
        idempotencyKey,
        version: 0,
      }
      const event = changeEvent(null, appointment, now)
      try {
        const created = await appointments.create(companyId, appointment, termsFor(company, appointment, now), event === null ? [] : [event], signal)
        return created.appointment
      } catch (error) {
        if (!isTaken(error)) throw error
        refusal ??= error
      }
    }
    throw refusal ?? refused('not-offered')
  }

  async #change(
    companyId: string,
    appointmentId: string,
    ifVersion: number | null,
    signal: AbortSignal,
    changed: (before: Appointment, now: Date) => Appointment | Promise<Appointment>,
  ): Promise<Appointment> {
    const { appointments, clock } = this.#deps
    const company = await this.#deps.companyOf(companyId, signal)
    for (let tries = 1; ; tries++) {
      const before = await appointments.get(companyId, appointmentId, signal)
      if (before === null) throw new ClientsViaError('NOT_FOUND', 'no such appointment', { appointmentId })
      const now = clock.wallTime()
      if (ifVersion !== null && before.version !== ifVersion) {
        throw new ClientsViaError('CONFLICT', 'somebody else has saved the appointment', { expected: ifVersion, stored: before.version })
      }
      const after = await changed(before, now)
      if (after === before) return before
      const event = changeEvent(before, after, now)
      try {
        return await appointments.save(companyId, after, before.version, termsFor(company, after, now), event === null ? [] : [event], signal)
      } catch (error) {
        const isStale = isClientsViaError(error, 'CONFLICT') && 'expected' in error.details
        if (!isStale || ifVersion !== null || tries >= MOST_TRIES) throw error
      }
    }
  }

  /** With the whole days around: who has less to do that day is asked first. */
  async #taken(companyId: string, company: BookingCompany, span: Span, now: Date, signal: AbortSignal): Promise<TakenTime> {
    const from = dayAt(company.timeZone, span.startsAtMs).startsAtMs
    // The last visit of the last day, and its buffer, may end on the day after.
    const to = dayAt(company.timeZone, span.endsAtMs).endsAtMs + LONGEST_VISIT_MS
    const range = { from: new Date(from).toISOString(), to: new Date(to).toISOString(), now: now.toISOString() }
    return { appointments: await this.#deps.appointments.busy(companyId, range, signal), away: this.#deps.away(companyId).filter((one) => one.startsAtMs < to && one.endsAtMs > from) }
  }
}

/** The opening itself; then, where anybody will do, the same time with everybody else. */
function ways(company: BookingCompany, request: AppointmentRequest): readonly Opening[] {
  const { opening } = request
  const service = company.services.find((one) => one.id === opening.serviceId)
  if (request.anyResource !== true || service === undefined) return [opening]
  return [opening, ...resourcesFor(company, service).filter((resource) => resource.id !== opening.resourceId).map((resource) => ({ ...opening, resourceId: resource.id }))]
}

function placeOf(company: BookingCompany, opening: Opening): Pick<Appointment, 'serviceId' | 'resourceId' | 'startsAt' | 'endsAt' | 'window' | 'bufferMinutes'> {
  const { serviceId, resourceId, startsAt, endsAt, window } = opening
  return { serviceId, resourceId, startsAt, endsAt, window, bufferMinutes: company.services.find((one) => one.id === serviceId)?.bufferMinutes ?? 0 }
}

function termsFor(company: BookingCompany, appointment: Appointment, now: Date): WriteTerms {
  return { capacity: company.resources.find((one) => one.id === appointment.resourceId)?.capacity ?? 1, now: now.toISOString() }
}

function aroundOf(startsAt: string): Span {
  return { startsAtMs: Date.parse(startsAt), endsAtMs: Date.parse(startsAt) + 1 }
}

/** An appointment does not stand in its own way. */
function without(taken: TakenTime, appointment: Appointment): TakenTime {
  if (!takesTime(appointment.status)) return taken
  const startsAtMs = Date.parse(appointment.startsAt)
  const endsAtMs = Date.parse(appointment.endsAt) + appointment.bufferMinutes * 60_000
  const own = taken.appointments.findIndex((one) => one.resourceId === appointment.resourceId && one.startsAtMs === startsAtMs && one.endsAtMs === endsAtMs)
  return { ...taken, appointments: taken.appointments.filter((_, index) => index !== own) }
}

function allowed(checked: ReturnType<typeof checkOpening>): Opening {
  if ('refused' in checked) throw refused(checked.refused)
  return checked.opening
}

function refused(why: Refusal): ClientsViaError {
  return new ClientsViaError('CONFLICT', WHY[why], { refused: why, taken: why === 'taken' })
}

function isTaken(error: unknown): boolean {
  return isClientsViaError(error, 'CONFLICT') && error.details['taken'] === true
}
