import { z } from 'zod'
import { bookingRulesSchema, calendarSourceSchema, resourceSchema, serviceSchema } from './booking-config.ts'
import { formSchema } from './form.ts'
import { notificationSettingsSchema } from './notifications.ts'
import { openIntervalSchema, weekSchema } from './week.ts'

export { WEEKDAYS } from './week.ts'

export const phoneNumberE164Schema = z.string().regex(/^\+[1-9]\d{6,14}$/, 'must be an E.164 number such as +15550100000')

export const transferTargetSchema = z.strictObject({
  id: z.string().min(1).max(64),
  /** Said to the caller: "our service desk". */
  label: z.string().min(1).max(80),
  phoneNumberE164: phoneNumberE164Schema,
  /** Words callers use for it. */
  aliases: z.array(z.string().min(1).max(60)).max(20).default([]),
  priority: z.int().min(0).max(100).default(50),
  availability: z.enum(['always', 'business-hours']).default('business-hours'),
  /** For emergencies. */
  onCall: z.boolean().default(false),
  timeoutSeconds: z.int().min(5).max(120).default(25),
  enabled: z.boolean().default(true),
})

export const companySchema = z.strictObject({
  id: z.string().min(1).max(64),
  name: z.string().min(1).max(120),
  industry: z.string().min(1).max(60),
  /** IANA name. */
  timeZone: z.string().refine(isTimeZone, 'must be an IANA time zone such as America/New_York'),
  phoneNumbers: z.array(phoneNumberE164Schema).max(50).default([]),
  /** 'forward' and 'suspended' calls are answered without the agent. */
  status: z.enum(['active', 'forward', 'suspended']).default('active'),
  statusMessage: z.string().max(300).default(''),
  forwardToE164: phoneNumberE164Schema.nullable().default(null),
  agentId: z.string().min(1).max(64),
  hours: weekSchema.prefault({}),
  holidays: z
    .array(z.strictObject({ date: z.iso.date(), name: z.string().min(1).max(80), intervals: z.array(openIntervalSchema).max(4).default([]) }))
    .max(100)
    .default([]),
  /** Said before everything else while set, for example a storm closing. */
  emergencyMessage: z.string().max(300).default(''),
  /** Facts a template may say: {{ variables.service_area }}. */
  variables: z.record(z.string().regex(/^[a-z][a-z0-9_]{0,40}$/), z.string().max(300)).default({}),
  /** The only prices that may ever be said: {{ prices.tune_up }}. */
  prices: z
    .record(
      z.string().regex(/^[a-z][a-z0-9_]{0,40}$/),
      z.strictObject({
        label: z.string().min(1).max(80),
        /** As it is said: "89 dollars". */
        spoken: z.string().min(1).max(120),
        amountCents: z.int().min(0),
        currency: z.string().length(3).default('USD'),
        validUntil: z.iso.date().nullable().default(null),
      }),
    )
    .default({}),
  serviceZipCodes: z.array(z.string().regex(/^\d{5}$/)).max(500).default([]),
  transferTargets: z.array(transferTargetSchema).max(50).default([]),
  /** Words of the trade, for the recogniser. */
  vocabulary: z.array(z.string().min(1).max(60)).max(300).default([]),
  /** What the recogniser tends to hear -> what was meant. */
  mishearings: z.record(z.string().min(1).max(60), z.string().min(1).max(60)).default({}),
  /** Calls are recorded only where this says so, and only once the caller has heard the notice to its end. */
  recording: z
    .strictObject({
      mode: z.enum(['off', 'announce']).default('off'),
      /** Of calls with a number of a state where everybody on the line has to agree, or of no known place. */
      allPartyStates: z.enum(['announce', 'do-not-record']).default('announce'),
      notice: z.string().min(10).max(300).default('This call may be recorded. Just say so if you would rather not be.'),
    })
    .prefault({}),
  retention: z
    .strictObject({
      audioDays: z.int().min(0).max(3650).default(0),
      transcriptDays: z.int().min(0).max(3650).default(30),
      auditDays: z.int().min(30).max(3650).default(365),
      /** After the visit. */
      appointmentDays: z.int().min(1).max(3650).default(730),
    })
    .prefault({}),
  limits: z
    .strictObject({
      concurrentCalls: z.int().min(1).max(10_000).default(50),
      callMinutes: z.int().min(1).max(240).default(30),
      minutesPerDay: z.int().min(1).max(1_000_000).default(10_000),
      turnsPerCall: z.int().min(1).max(1000).default(200),
      dailySpendCents: z.int().min(0).nullable().default(null),
    })
    .prefault({}),
  /** What can be booked, who or what does it, and by which rules. */
  services: z.array(serviceSchema).max(100).default([]),
  resources: z.array(resourceSchema).max(100).default([]),
  booking: bookingRulesSchema.prefault({}),
  /** Calendars kept elsewhere: what is busy there is not offered. */
  calendars: z.array(calendarSourceSchema).max(50).default([]),
  /** What the agent asks for, slot by slot. */
  forms: z.array(formSchema).max(20).default([]),
  /** Who is told of what, and when people may be texted. */
  notifications: notificationSettingsSchema.prefault({}),
  /** Optimistic lock; counts up on every save. */
  version: z.int().min(0).default(0),
  createdAt: z.iso.datetime().optional(),
  updatedAt: z.iso.datetime().optional(),
})

export type Company = Readonly<z.infer<typeof companySchema>>
export type CompanyInput = z.input<typeof companySchema>
export type TransferTarget = Readonly<z.infer<typeof transferTargetSchema>>

/** Asking costs a tenth of a millisecond, every time a company is read; there are some 600 zones, so what is known stays known. */
const KNOWN_ZONES = new Set<string>()

function isTimeZone(zone: string): boolean {
  if (KNOWN_ZONES.has(zone)) return true
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
  } catch {
    return false
  }
  KNOWN_ZONES.add(zone)
  return true
}
