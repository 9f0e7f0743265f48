import type { AppointmentRepository } from '../booking/appointment-repository.ts'
import type { CompanyBookingDesk } from '../booking/company-booking-desk.ts'

/** What the booking resources need beyond the company itself. Every method takes companyId first. */
export type BookingPorts = Readonly<{
  /** Over the company as it is stored now, not as calls have it cached. */
  desk: CompanyBookingDesk
  appointments: AppointmentRepository
}>
