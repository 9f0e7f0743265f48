import { z } from 'zod'

/** What people are told about. */
export const MESSAGE_KINDS = [
  'appointment_requested',
  'appointment_confirmed',
  'appointment_rescheduled',
  'appointment_cancelled',
  'reminder_day_before',
  'reminder_hour_before',
  'lead_for_people',
  'appointment_for_people',
  'change_asked_for_people',
  'missed_call_for_people',
  'password_link',
] as const
export type MessageKind = (typeof MESSAGE_KINDS)[number]
export const MESSAGE_CHANNELS = ['sms', 'email'] as const
export type MessageChannelName = (typeof MESSAGE_CHANNELS)[number]

const phoneNumberE164 = z.string().regex(/^\+[1-9]\d{6,14}$/, 'must be an E.164 number such as +15550100000')
const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be HH:MM')

/** What the company's own people may be told about. */
export const TOPICS = ['lead', 'appointment', 'change_asked', 'missed_call'] as const

export const notificationSettingsSchema = z.strictObject({
  people: z
    .array(
      z
        .strictObject({
          name: z.string().min(1).max(120),
          phoneNumberE164: phoneNumberE164.nullable().default(null),
          email: z.email().max(254).nullable().default(null),
          about: z.array(z.enum(TOPICS)).default([...TOPICS]),
          /** Texts reach them at night too. */
          anyHour: z.boolean().default(false),
        })
        .refine((person) => person.phoneNumberE164 !== null || person.email !== null, { message: 'is needed, or an email', path: ['phoneNumberE164'] }),
    )
    .max(20)
    .default([]),
  /** What customers are texted about their own visits. */
  customers: z
    .strictObject({
      confirmation: z.boolean().default(true),
      rescheduled: z.boolean().default(true),
      cancelled: z.boolean().default(true),
      reminderDayBefore: z.boolean().default(true),
      reminderHourBefore: z.boolean().default(true),
    })
    .prefault({}),
  /** The number that texts come from; null: the company's first. */
  smsFromE164: phoneNumberE164.nullable().default(null),
  /** 'transactional': whoever gave their number for a visit is texted about that visit. 'explicit': only who has texted START. */
  consent: z.enum(['transactional', 'explicit']).default('transactional'),
  /** When somebody may be texted; what is due at night waits for the morning. */
  textingHours: z
    .strictObject({ from: timeOfDay.default('08:00'), to: timeOfDay.default('21:00') })
    .prefault({})
    .refine((hours) => hours.from < hours.to, { message: 'must be after from', path: ['to'] }),
  /**
   * Whose night it is. 'callee': a customer's, by where their number is at home; the company's where a number does not say, for the
   * company's own people, and in the hour before a visit, when the customer is about to be there. 'company': always the company's.
   */
  textingZone: z.enum(['callee', 'company']).default('callee'),
  /** A loop in somebody's calendar must not text a town. */
  limits: z
    .strictObject({
      textsPerHour: z.int().min(1).max(10_000).default(100),
      textsPerDay: z.int().min(1).max(100_000).default(1000),
      emailsPerDay: z.int().min(1).max(100_000).default(1000),
    })
    .prefault({}),
})
export type NotificationSettings = Readonly<z.infer<typeof notificationSettingsSchema>>

/** A company's own wording of one kind on one channel; Liquid. */
export const messageTemplateSchema = z.strictObject({
  /** E-mail only. */
  subject: z.string().max(200).default(''),
  text: z.string().min(1).max(4000),
})
export type MessageTemplate = Readonly<z.infer<typeof messageTemplateSchema>>
