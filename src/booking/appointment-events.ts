import { newEvent, type DomainEvent, type EventType } from '../events/event.ts'
import type { Appointment } from './appointment.ts'

/** The `data` of every appointment.* event that comes of a change: the whole appointment as it is then. */
export type AppointmentFact = Readonly<{
  appointment: Appointment
  /** Where it was before it was moved. */
  previous: Readonly<{ resourceId: string; startsAt: string; endsAt: string; window: Appointment['window'] }> | null
}>

/** What an appointment's new status is called among the events. */
const TYPE_OF: Readonly<Record<Appointment['status'], EventType>> = {
  requested: 'appointment.requested',
  held: 'appointment.held',
  confirmed: 'appointment.booked',
  cancelled: 'appointment.cancelled',
  completed: 'appointment.completed',
  'no-show': 'appointment.no_show',
}

/** The event of a change from `before` (null: it is new) to `after`; null when nothing that others follow has changed. */
export function changeEvent(before: Appointment | null, after: Appointment, wallTime: Date): DomainEvent | null {
  // Nobody was told of a visit that was only held: nobody need be told that it is off.
  if (before?.status === 'held' && after.status === 'cancelled') return null
  const moved = before !== null && (before.startsAt !== after.startsAt || before.endsAt !== after.endsAt || before.resourceId !== after.resourceId)
  const type = before?.status !== after.status ? TYPE_OF[after.status] : moved ? 'appointment.rescheduled' : null
  if (type === null) return null
  const previous = before === null || !moved ? null : { resourceId: before.resourceId, startsAt: before.startsAt, endsAt: before.endsAt, window: before.window }
  const fact: AppointmentFact = { appointment: after, previous }
  return newEvent(wallTime, { companyId: after.companyId, type, subject: `appointment/${after.id}`, callSid: after.callSid, data: { ...fact } })
}
