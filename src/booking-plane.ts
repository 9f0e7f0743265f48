import { CalDavReader } from './booking/calendar-caldav.ts'
import { IcsUrlReader } from './booking/calendar-ics-url.ts'
import { CompanyCalendars, type CalendarDocuments } from './booking/company-calendars.ts'
import { appointmentStore } from './booking/appointment-erasure.ts'
import type { Appointment } from './booking/appointment.ts'
import { keepAppointments } from './booking/appointment-keeper.ts'
import type { BookingCompany } from './booking/availability.ts'
import { CompanyBookingDesk } from './booking/company-booking-desk.ts'
import type { EffectsForTurn } from './booking/effect.ts'
import { EffectRunner } from './booking/effect-runner.ts'
import type { BookingPorts } from './admin/booking-contract.ts'
import type { PersonalStore } from './admin/admin-contract.ts'
import type { Clock } from './core/clock.ts'
import { ClientsViaError, isClientsViaError } from './core/errors.ts'
import { uuidv7 } from './core/ids.ts'
import type { Scope } from './core/scope.ts'
import type { Lead, LeadStore } from './events/lead.ts'
import type { Logger } from './observability/logger.ts'
import type { CompanyContextSource } from './response/company-context.ts'
import type { AppointmentRepository } from './booking/appointment-repository.ts'
import type { CompanyRepository } from './tenancy/repositories.ts'

export type BookingPlaneDeps = Readonly<{
  logger: Logger
  clock: Clock
  scope: Scope
  store: Readonly<{ companies: CompanyRepository; appointments: AppointmentRepository; leads: Pick<LeadStore, 'create' | 'list'>; documents: CalendarDocuments }>
  contexts: Pick<CompanyContextSource, 'load'>
  /** A company's secret in plain text; null when there is none of that name. */
  reveal: (companyId: string, name: string, signal: AbortSignal) => Promise<string | null>
  publicBaseUrl: () => string
}>

export type BookingPlane = Readonly<{
  /** For calls: over the company as it is cached for them. */
  desk: CompanyBookingDesk
  effects: EffectsForTurn
  /** The key of the feeds' addresses comes with the server's other keys. */
  ports: Omit<BookingPorts, 'feedKey'>
  personal: PersonalStore
  /** What one call has left: for the load harness, which asks on loopback. */
  madeBy: (companyId: string, callSid: string) => Promise<Readonly<{ appointments: readonly Appointment[]; leads: readonly Lead[] }>>
  /** Outside calendars, holds that run out, visits that were kept long enough: until the scope ends. Of several processes the first does the work. */
  start: (isFirst: boolean) => void
}>

const MADE_BY_A_CALL = 50

/** Appointments, for the calls and for the people at their desks. */
export function createBookingPlane({ logger, clock, scope, store, contexts, reveal, publicBaseUrl }: BookingPlaneDeps): BookingPlane {
  const stored = async (companyId: string, signal: AbortSignal): Promise<BookingCompany> => {
    const company = await store.companies.get(companyId, signal)
    if (company === null) throw new ClientsViaError('NOT_FOUND', 'no such company', { companyId })
    return company
  }
  const asCalled = async (companyId: string, signal: AbortSignal): Promise<BookingCompany> => {
    try {
      return (await contexts.load(companyId, signal)).company
    } catch (error) {
      // A company whose agent is not published yet takes no calls, but it may take bookings.
      if (!isClientsViaError(error, 'NOT_FOUND')) throw error
      return stored(companyId, signal)
    }
  }
  const { appointments } = store
  const calendars = new CompanyCalendars({
    clock,
    companies: store.companies,
    documents: store.documents,
    readers: { 'ics-url': new IcsUrlReader(), caldav: new CalDavReader() },
    reveal,
    onProblem: (companyId, calendarId, problem) => logger.warn({ companyId, calendarId, problem }, 'calendar not read'),
  })
  const away = (companyId: string): ReturnType<typeof calendars.away> => calendars.away(companyId)
  const desk = new CompanyBookingDesk({ clock, companyOf: asCalled, appointments, away })
  const runner = new EffectRunner({
    clock,
    desk,
    keepLead: async (companyId, lead, { callSid, idempotencyKey }, signal) => {
      const wallTime = clock.wallTime()
      const at = wallTime.toISOString()
      await store.leads.create(companyId, { ...lead, slots: { ...lead.slots }, id: uuidv7(wallTime), companyId, callSid, idempotencyKey, createdAt: at, updatedAt: at }, signal)
    },
    signal: scope.signal,
    onFailure: (companyId, callSid, kind, error) => logger.error({ companyId, callSid, effect: kind, error: String(error) }, 'effect failed'),
  })
  return {
    desk,
    effects: runner.forTurn,
    ports: { desk: new CompanyBookingDesk({ clock, companyOf: stored, appointments, away }), appointments, calendars, publicBaseUrl },
    personal: appointmentStore(appointments),
    madeBy: async (companyId, callSid) => ({
      appointments: await appointments.list(companyId, { callSid, limit: MADE_BY_A_CALL }),
      leads: await store.leads.list(companyId, { before: null, limit: MADE_BY_A_CALL, callSid }),
    }),
    start: (isFirst) => {
      void calendars.keep(isFirst, scope.signal).catch((error: unknown) => logger.error({ error: String(error) }, 'calendars no longer read'))
      if (!isFirst) return
      const onFailure = (companyId: string, error: unknown): void => logger.error({ companyId, error: String(error) }, 'appointments not kept')
      void keepAppointments({ clock, companies: store.companies, appointments, desk, onFailure }, scope.signal).catch((error: unknown) =>
        logger.error({ error: String(error) }, 'appointments no longer kept'),
      )
    },
  }
}
