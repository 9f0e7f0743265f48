import type { BookingPorts } from '../../src/admin/booking-contract.ts'
import type { AppointmentRepository } from '../../src/booking/appointment-repository.ts'
import { CompanyCalendars, type CalendarDocuments, type CompanyCalendarsDeps } from '../../src/booking/company-calendars.ts'
import { CompanyBookingDesk } from '../../src/booking/company-booking-desk.ts'
import type { Clock } from '../../src/core/clock.ts'
import { ClientsViaError } from '../../src/core/errors.ts'
import type { CompanyRepository } from '../../src/tenancy/repositories.ts'

type Stores = Readonly<{ companies: Pick<CompanyRepository, 'get' | 'list'>; appointments: AppointmentRepository; documents: CalendarDocuments }>

/** Booking as the admin API has it, over a test's own store. */
export function bookingPorts({ companies, appointments, documents }: Stores, clock: Clock, readers: CompanyCalendarsDeps['readers'] = NO_READERS): BookingPorts {
  const companyOf = async (companyId: string, signal: AbortSignal) => {
    const company = await companies.get(companyId, signal)
    if (company === null) throw new ClientsViaError('NOT_FOUND', 'no such company')
    return company
  }
  const calendars = new CompanyCalendars({ clock, companies, documents, readers, reveal: async () => null, onProblem: () => undefined })
  return {
    appointments,
    calendars,
    desk: new CompanyBookingDesk({ clock, companyOf, appointments, away: (companyId) => calendars.away(companyId) }),
    feedKey: new Uint8Array(32).fill(5),
    publicBaseUrl: () => 'https://voice.example.com',
  }
}

const silent = { read: async () => Promise.reject(new ClientsViaError('ENGINE_UNAVAILABLE', 'nobody is there')) }
const NO_READERS: CompanyCalendarsDeps['readers'] = { 'ics-url': silent, caldav: silent }
