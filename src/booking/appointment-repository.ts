import { ClientsViaError } from '../core/errors.ts'
import type { DomainEvent } from '../events/event.ts'
import type { Appointment } from './appointment.ts'

/** One stretch of a resource's time that is taken, buffer included. Milliseconds since 1970. */
export type BusyTime = Readonly<{ resourceId: string; startsAtMs: number; endsAtMs: number }>

export type AppointmentFilter = Readonly<{
  statuses?: readonly Appointment['status'][]
  resourceId?: string
  serviceId?: string
  phoneNumberE164?: string
  callSid?: string
  /** Holds that have run out at this moment. */
  heldUntilBefore?: string
  /** RFC 3339; included. */
  startsFrom?: string
  /** Not included. */
  startsBefore?: string
  /** The id of the last one of the page before. INVALID_INPUT when there is none. */
  after?: string | null
  limit?: number
}>

/** What a write must respect. `capacity`: of the appointment's resource, now; `now`: RFC 3339, holds of before are over. */
export type WriteTerms = Readonly<{ capacity: number; now: string }>

/**
 * Where appointments are kept. The one promise that cannot be kept above it: at no moment do appointments that are held or confirmed,
 * with their buffers, exceed a resource's capacity, however many are written at once. A store keeps it by writing, for every piece of
 * five minutes that an appointment takes, a claim whose key (company, resource, piece, seat below capacity) is unique; pieces in
 * ascending order, so that of all that want one time exactly as many win as there are seats. The claims of a hold that has run out
 * count for nothing: whoever wants the time takes them over. companyId first, always.
 */
export interface AppointmentRepository {
  get(companyId: string, appointmentId: string, signal?: AbortSignal): Promise<Appointment | null>
  findByKey(companyId: string, idempotencyKey: string, signal?: AbortSignal): Promise<Appointment | null>
  /** By start, then id. */
  list(companyId: string, filter: AppointmentFilter, signal?: AbortSignal): Promise<readonly Appointment[]>
  /** Of what is held (and not run out at `now`) or confirmed and overlaps from `from` to `to`, RFC 3339; by start. */
  busy(companyId: string, range: Readonly<{ from: string; to: string; now: string }>, signal?: AbortSignal): Promise<readonly BusyTime[]>
  /**
   * The same idempotency key again gives what was stored then, whatever it has become, with `created: false`, and writes nothing.
   * CONFLICT with `details.taken`: no seat is left at some moment of it; then nothing was written.
   */
  create(
    companyId: string,
    appointment: Appointment,
    terms: WriteTerms,
    events: readonly DomainEvent[],
    signal?: AbortSignal,
  ): Promise<Readonly<{ appointment: Appointment; created: boolean }>>
  /**
   * Replaces it, time and resource too, in one step: either the new time is claimed and the old one let go, or nothing changes.
   * CONFLICT with `details.expected` when the stored version is not `ifVersion`, with `details.taken` as above; NOT_FOUND.
   * The idempotency key, callSid and createdAt stay as they were.
   */
  save(
    companyId: string,
    appointment: Appointment,
    ifVersion: number,
    terms: WriteTerms,
    events: readonly DomainEvent[],
    signal?: AbortSignal,
  ): Promise<Appointment>
  /** With its claims. */
  delete(companyId: string, appointmentId: string, signal?: AbortSignal): Promise<boolean>
  /** Of those that have ended before `before`, RFC 3339, at most `limit`. How many. */
  deleteEndedBefore(companyId: string, before: string, limit: number, signal?: AbortSignal): Promise<number>
}

/** What every store throws when a time is gone. */
export function takenError(appointment: Pick<Appointment, 'resourceId' | 'startsAt'>): ClientsViaError {
  return new ClientsViaError('CONFLICT', 'that time is taken', { taken: true, resourceId: appointment.resourceId, startsAt: appointment.startsAt })
}
