import type { BookingPorts } from '../../src/admin/booking-contract.ts'
import type { AppointmentRepository } from '../../src/booking/appointment-repository.ts'
import { CompanyBookingDesk } from '../../src/booking/company-booking-desk.ts'
import type { Clock } from '../../src/core/clock.ts'
import { ClientsViaError } from '../../src/core/errors.ts'
import type { CompanyRepository } from '../../src/tenancy/repositories.ts'

type Stores = Readonly<{ companies: Pick<CompanyRepository, 'get'>; appointments: AppointmentRepository }>

/** Booking as the admin API has it, over a test's own store. */
export function bookingPorts({ companies, appointments }: Stores, clock: Pick<Clock, 'wallTime'>): BookingPorts {
  const companyOf = async (companyId: string, signal: AbortSignal) => {
    const company = await companies.get(companyId, signal)
    if (company === null) throw new ClientsViaError('NOT_FOUND', 'no such company')
    return company
  }
  return { appointments, desk: new CompanyBookingDesk({ clock, companyOf, appointments, away: () => [] }) }
}
