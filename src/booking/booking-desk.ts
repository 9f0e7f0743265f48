import type { Appointment } from './appointment.ts'

/** A free time: what a caller is offered. */
export type Opening = Readonly<{
  serviceId: string
  resourceId: string
  /** UTC, RFC 3339. Said in the company's own time zone. */
  startsAt: string
  endsAt: string
  /** The arrival window it is offered as ("between eight and ten"), where the company works by windows. */
  window: Readonly<{ startsAt: string; endsAt: string }> | null
}>

/** From `from` (included) to `to` (not), UTC. Empty lists: nothing is free there. */
export type OpeningSearch = Readonly<{
  serviceId: string
  from: string
  to: string
  /** In the company's time zone; null: any time of day. */
  partOfDay: 'morning' | 'afternoon' | 'evening' | null
  resourceId: string | null
  limit: number
  /** 'HH:MM' in the company's time zone, of every day: "after four" is 16:00 to 24:00. */
  between?: Readonly<{ from: string; to: string }> | null
  /** What was ruled out: "not Tuesday". */
  except?: readonly TimeRange[]
  /** Closest to this moment first, instead of earliest first. */
  near?: string | null
}>

/** UTC, RFC 3339; `to` is not part of it. */
export type TimeRange = Readonly<{ from: string; to: string }>

export type AppointmentRequest = Readonly<{
  opening: Opening
  /** Whoever else can do it at that time may, where nobody was asked for by name: who loses a race for one crew gets the other. */
  anyResource?: boolean
  customer: Appointment['customer']
  reason: string
  answers: Readonly<Record<string, string>>
  callSid: string | null
}>

/** Everything about a company's appointments. companyId first, always. Times in UTC; what a day is, the company's time zone says. */
export interface BookingDesk {
  /** Reads only, so that a reply prepared during a pause may ask. Earliest first, spread over resources. */
  search(companyId: string, search: OpeningSearch, signal: AbortSignal): Promise<readonly Opening[]>
  /** Confirms it, or asks for it where the company books by request. The same key again gives the same appointment. CONFLICT: the time is taken. */
  book(companyId: string, request: AppointmentRequest, idempotencyKey: string, signal: AbortSignal): Promise<Appointment>
  /** Keeps the time for the rules' `holdMinutes` while somebody decides. CONFLICT: the time is taken. */
  hold(companyId: string, request: AppointmentRequest, idempotencyKey: string, signal: AbortSignal): Promise<Appointment>
  /** Of one that is held or asked for. CONFLICT: the hold has run out, or the time is taken. */
  confirm(companyId: string, appointmentId: string, signal: AbortSignal): Promise<Appointment>
  /** To where it is already: nothing happens. NOT_FOUND; CONFLICT: the time is taken, or the appointment is over. */
  reschedule(companyId: string, appointmentId: string, opening: Opening, signal: AbortSignal): Promise<Appointment>
  /** One that is cancelled stays so. NOT_FOUND. */
  cancel(companyId: string, appointmentId: string, signal: AbortSignal): Promise<Appointment>
  /** Who had the latest visit under a number; null: nobody ever had one. */
  customer(companyId: string, phoneNumberE164: string, signal: AbortSignal): Promise<Appointment['customer'] | null>
  /** The caller's own, still to come, soonest first. */
  upcoming(companyId: string, phoneNumberE164: string, signal: AbortSignal): Promise<readonly Appointment[]>
}
