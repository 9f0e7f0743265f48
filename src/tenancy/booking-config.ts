import { z } from 'zod'

const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'must be HH:MM')
const id = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must be small letters, digits and hyphens')

/** What can be booked. */
export const serviceSchema = z.strictObject({
  id,
  name: z.string().min(1).max(80),
  /** Other ways callers name it. */
  aliases: z.array(z.string().min(1).max(80)).max(30).default([]),
  durationMinutes: z.int().min(5).max(24 * 60),
  /** Travel or cleaning after it, during which the resource is not free. */
  bufferMinutes: z.int().min(0).max(240).default(0),
  /** Who or what can do it; empty: any resource. */
  resourceIds: z.array(id).max(100).default([]),
  enabled: z.boolean().default(true),
})

/** Who or what does it: a crew, a chair. */
export const resourceSchema = z.strictObject({
  id,
  name: z.string().min(1).max(80),
  /** Appointments at the same time. */
  capacity: z.int().min(1).max(100).default(1),
  enabled: z.boolean().default(true),
})

export const bookingRulesSchema = z.strictObject({
  /** 'request': a person confirms. */
  mode: z.enum(['book', 'request']).default('book'),
  leadMinutes: z.int().min(0).max(60 * 24 * 14).default(120),
  horizonDays: z.int().min(1).max(365).default(14),
  stepMinutes: z.int().min(5).max(240).default(30),
  /** Arrival windows; empty: exact times. */
  windows: z.array(z.strictObject({ from: timeOfDay, to: timeOfDay })).max(12).default([]),
  holdMinutes: z.int().min(1).max(60).default(10),
})

export type Service = Readonly<z.infer<typeof serviceSchema>>
export type Resource = Readonly<z.infer<typeof resourceSchema>>
export type BookingRules = Readonly<z.infer<typeof bookingRulesSchema>>
