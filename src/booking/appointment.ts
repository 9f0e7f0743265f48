import { z } from 'zod'
import { GRAIN_MINUTES } from '../tenancy/booking-config.ts'
import { phoneNumberE164Schema } from '../tenancy/company.ts'

/** 'requested': a person confirms it; 'held': taken while the caller decides; the rest speak for themselves. */
export const APPOINTMENT_STATUSES = ['requested', 'held', 'confirmed', 'cancelled', 'completed', 'no-show'] as const

/** A visit of days is several visits. Stores look this far back for what may still be going on. */
export const MAX_VISIT_MS = 24 * 3_600_000
export const MAX_BUFFER_MS = 4 * 3_600_000

/** One visit. Those that are held or confirmed, each with the buffer after it, never exceed the resource's capacity at any moment. */
export const appointmentSchema = z
  .strictObject({
    id: z.string().min(1).max(64),
    companyId: z.string().min(1).max(64),
    /** Who or what does it: a crew, a chair. */
    resourceId: z.string().min(1).max(64),
    /** What is done; null where it was booked by hand as something else. */
    serviceId: z.string().min(1).max(64).nullable().default(null),
    /** In UTC, on the calendar's grain; said in the company's own time zone. */
    startsAt: z.iso.datetime(),
    endsAt: z.iso.datetime(),
    /** After the visit, while the resource travels or cleans. */
    bufferMinutes: z.int().multipleOf(GRAIN_MINUTES).min(0).max(240).default(0),
    /** The arrival window that was promised. */
    window: z.strictObject({ startsAt: z.iso.datetime(), endsAt: z.iso.datetime() }).nullable().default(null),
    status: z.enum(APPOINTMENT_STATUSES).default('requested'),
    customer: z.strictObject({
      name: z.string().min(1).max(120),
      phoneNumberE164: phoneNumberE164Schema,
      /** Null where the visit is at the company's place. */
      address: z.strictObject({ street: z.string().min(1).max(120), unit: z.string().max(40).default(''), city: z.string().min(1).max(80), state: z.string().max(40), zip: z.string().max(12) }).nullable().default(null),
    }),
    reason: z.string().min(1).max(300),
    /** Answers to the company's own questions, by the question's id. */
    answers: z.record(z.string().regex(/^[a-z][a-z0-9_]{0,40}$/), z.string().max(300)).default({}),
    /** For 'held': the time is free again from then on. */
    heldUntil: z.iso.datetime().nullable().default(null),
    /** The call it was made in; null when a person made it. */
    callSid: z.string().min(1).max(64).nullable().default(null),
    /** The same request sent again gives the same appointment: call, turn and intent. */
    idempotencyKey: z.string().min(1).max(200),
    /** Optimistic lock; counts up on every save. */
    version: z.int().min(0).default(0),
    createdAt: z.iso.datetime().optional(),
    updatedAt: z.iso.datetime().optional(),
  })
  .refine((appointment) => Date.parse(appointment.startsAt) < Date.parse(appointment.endsAt), { message: 'must be after startsAt', path: ['endsAt'] })
  .refine((appointment) => Date.parse(appointment.endsAt) - Date.parse(appointment.startsAt) <= MAX_VISIT_MS, { message: 'must be within a day of startsAt', path: ['endsAt'] })
  .refine((appointment) => onGrain(appointment.startsAt), { message: `must be a multiple of ${GRAIN_MINUTES} minutes`, path: ['startsAt'] })
  .refine((appointment) => onGrain(appointment.endsAt), { message: `must be a multiple of ${GRAIN_MINUTES} minutes`, path: ['endsAt'] })
  .refine((appointment) => appointment.status !== 'held' || appointment.heldUntil !== null, { message: 'is needed while it is held', path: ['heldUntil'] })

/** Which of them take up the resource. */
export function takesTime(status: (typeof APPOINTMENT_STATUSES)[number]): boolean {
  return status === 'held' || status === 'confirmed'
}

function onGrain(moment: string): boolean {
  return Date.parse(moment) % (GRAIN_MINUTES * 60_000) === 0
}

export type Appointment = Readonly<z.infer<typeof appointmentSchema>>
export type AppointmentInput = z.input<typeof appointmentSchema>
