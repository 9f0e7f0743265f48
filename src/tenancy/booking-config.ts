import { z } from 'zod'
import { timeOfDaySchema, weekSchema } from './week.ts'

const id = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must be small letters, digits and hyphens')

/**
 * The grain of the calendar. Every start, length and buffer is a multiple of it, so that "no two at once" can be a unique key on
 * pieces of time, which every store has, instead of a question about intervals, which needs a transaction.
 */
export const GRAIN_MINUTES = 5

const windowSchema = z
  .strictObject({ from: timeOfDaySchema, to: timeOfDaySchema })
  .refine((window) => window.from < window.to, { message: 'must be after from', path: ['to'] })
const windowsSchema = z.array(windowSchema).max(12)
const leadMinutesSchema = z.int().min(0).max(60 * 24 * 14)
const skillSchema = z.string().min(1).max(60)

/** What can be booked. */
export const serviceSchema = z.strictObject({
  id,
  name: z.string().min(1).max(80),
  /** Other ways callers name it. */
  aliases: z.array(z.string().min(1).max(80)).max(30).default([]),
  durationMinutes: z.int().multipleOf(GRAIN_MINUTES).min(5).max(24 * 60),
  /** Travel or cleaning after it, during which the resource is not free. */
  bufferMinutes: z.int().multipleOf(GRAIN_MINUTES).min(0).max(240).default(0),
  /** Who or what can do it; empty: any resource. */
  resourceIds: z.array(id).max(100).default([]),
  /** What whoever does it must be able to do; all of them. */
  skills: z.array(skillSchema).max(20).default([]),
  /** Null: as the company's rules say. */
  leadMinutes: leadMinutesSchema.nullable().default(null),
  /** Null: the company's windows; empty: exact times. */
  windows: windowsSchema.nullable().default(null),
  enabled: z.boolean().default(true),
})

/** Who or what does it: a crew, a chair. */
export const resourceSchema = z.strictObject({
  id,
  name: z.string().min(1).max(80),
  /** Appointments at the same time. */
  capacity: z.int().min(1).max(100).default(1),
  /** What it can do. */
  skills: z.array(skillSchema).max(50).default([]),
  /** Its own week, within the company's hours; null: all of them. */
  hours: weekSchema.nullable().default(null),
  /** From `from` to `to`, both included. */
  daysOff: z
    .array(
      z
        .strictObject({ from: z.iso.date(), to: z.iso.date(), reason: z.string().max(80).default('') })
        .refine((off) => off.from <= off.to, { message: 'must not be before from', path: ['to'] }),
    )
    .max(100)
    .default([]),
  enabled: z.boolean().default(true),
})

export const bookingRulesSchema = z.strictObject({
  /** 'request': a person confirms. */
  mode: z.enum(['book', 'request']).default('book'),
  leadMinutes: leadMinutesSchema.default(120),
  /** False: the first day that can be booked is tomorrow. */
  sameDay: z.boolean().default(true),
  horizonDays: z.int().min(1).max(365).default(14),
  stepMinutes: z.int().multipleOf(GRAIN_MINUTES).min(5).max(240).default(30),
  /** Arrival windows; empty: exact times. */
  windows: windowsSchema.default([]),
  holdMinutes: z.int().min(1).max(60).default(10),
  /** Counts up when the addresses of the calendar feeds are to stop working. */
  feedEdition: z.int().min(1).max(1_000_000).default(1),
})

export const calendarFields = z.strictObject({
  id,
  name: z.string().min(1).max(80),
  /** 'file': uploaded once. */
  kind: z.enum(['ics-url', 'caldav', 'file']),
  /** Whose time it takes; null: everybody's. */
  resourceId: id.nullable().default(null),
  /** https; null for 'file', and where the address itself is a secret. */
  url: z.string().max(2000).nullable().default(null),
  /** The name of the company's secret that holds the address. */
  urlSecret: z.string().min(1).max(64).nullable().default(null),
  /** For 'caldav'. */
  username: z.string().max(200).default(''),
  /** The name of the company's secret that holds the password. */
  passwordSecret: z.string().min(1).max(64).nullable().default(null),
  enabled: z.boolean().default(true),
})

/** A calendar kept elsewhere, whose busy times are not offered. */
export const calendarSourceSchema = calendarFields
  .refine((calendar) => calendar.kind === 'file' || (calendar.url === null) !== (calendar.urlSecret === null), { message: 'is needed, or urlSecret, not both', path: ['url'] })
  .refine((calendar) => calendar.kind !== 'file' || (calendar.url === null && calendar.urlSecret === null), { message: 'a file has no address', path: ['url'] })

export type Service = Readonly<z.infer<typeof serviceSchema>>
export type Resource = Readonly<z.infer<typeof resourceSchema>>
export type BookingRules = Readonly<z.infer<typeof bookingRulesSchema>>
export type CalendarSource = Readonly<z.infer<typeof calendarSourceSchema>>
