import type { AppointmentRepository } from '../booking/appointment-repository.ts'
import type { CompanyBookingDesk } from '../booking/company-booking-desk.ts'
import type { CompanyCalendars } from '../booking/company-calendars.ts'

/** What the booking resources need beyond the company itself. Every method takes companyId first. */
export type BookingPorts = Readonly<{
  /** Over the company as it is stored now, not as calls have it cached. */
  desk: CompanyBookingDesk
  appointments: AppointmentRepository
  calendars: Pick<CompanyCalendars, 'state' | 'refresh' | 'upload' | 'forget'>
  /** Signs the addresses of calendar feeds; the same in every process. */
  feedKey: Uint8Array
  /** Where the server is reached from outside, without a slash at the end. */
  publicBaseUrl: () => string
}>
