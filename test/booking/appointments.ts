import { appointmentSchema, type Appointment, type AppointmentInput } from '../../src/booking/appointment.ts'
import { newEvent, type DomainEvent, type EventType } from '../../src/events/event.ts'

/** A Monday: nine in the morning in New York. */
export const NINE = '2026-11-30T14:00:00.000Z'

export function minutesAfter(moment: string, minutes: number): string {
  return new Date(Date.parse(moment) + minutes * 60_000).toISOString()
}

/** An hour from nine, confirmed, unless told. */
export function visit(companyId: string, id: string, changes: Partial<AppointmentInput> = {}): Appointment {
  const startsAt = changes.startsAt ?? NINE
  return appointmentSchema.parse({
    id,
    companyId,
    resourceId: 'crew-1',
    serviceId: 'repair',
    startsAt,
    endsAt: minutesAfter(startsAt, 60),
    status: 'confirmed',
    customer: { name: 'Dana Reyes', phoneNumberE164: '+12395550143' },
    reason: 'the AC is warm',
    idempotencyKey: `key-${id}`,
    ...changes,
  })
}

export function event(appointment: Appointment, type: EventType = 'appointment.booked'): DomainEvent {
  return newEvent(new Date(NINE), { companyId: appointment.companyId, type, subject: `appointment/${appointment.id}`, data: { status: appointment.status } })
}
