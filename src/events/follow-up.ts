import { DateTime } from 'luxon'
import { z } from 'zod'
import { appointmentSchema, type Appointment } from '../booking/appointment.ts'
import { uuidv7 } from '../core/ids.ts'
import type { Company } from '../tenancy/company.ts'
import type { MessageKind, NotificationSettings } from '../tenancy/notifications.ts'
import { contactId } from './contacts.ts'
import type { DomainEvent } from './event.ts'
import { leadSchema } from './lead.ts'
import type { Message } from './message.ts'
import { plainFact, readableNumber } from './message-texts.ts'
import type { DropSubject, NewOutboxItem } from './outbox.ts'

/** What an appointment's event says: the visit as it is now, and where it was before. */
export const appointmentFactSchema = z.looseObject({
  appointment: appointmentSchema,
  previous: z.looseObject({ startsAt: z.iso.datetime() }).nullish(),
})
const leadFactSchema = z.looseObject({ lead: leadSchema })
const missedCallSchema = z.looseObject({ from: z.string().max(32) })

export type FollowUp = Readonly<{ add: readonly NewOutboxItem[]; dropSubject: DropSubject | null }>
const NOTHING: FollowUp = { add: [], dropSubject: null }

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
/** A reminder due this soon after the booking tells nobody anything. */
const TOO_SOON_MS = 30 * MINUTE_MS
/** Later than this before the visit, each is of no use. */
const DAY_REMINDER_UNTIL_MS = 2 * HOUR_MS
const HOUR_REMINDER_UNTIL_MS = 10 * MINUTE_MS
/** News of a day ago is not news; somebody has noticed otherwise. */
const NEWS_KEEPS_MS = 2 * DAY_MS

/**
 * What follows from an event: messages to write, with the time each is due, and messages that are no longer true. A pure function of what
 * it is given, and every message has a key made of the event: asked again, it writes nothing twice. Throws a ZodError for an event that is not
 * what its type says.
 */
export function followUpOf(event: DomainEvent, company: Company, wallTime: Date): FollowUp {
  switch (event.type) {
    case 'appointment.requested':
    case 'appointment.booked':
    case 'appointment.rescheduled':
    case 'appointment.cancelled':
    case 'appointment.change_asked':
      return visitFollowUp(event, event.type, company, wallTime)
    case 'lead.created': {
      const { lead } = leadFactSchema.parse(event.data)
      const facts = {
        customer_name: plainFact(lead.callerName ?? 'somebody'),
        caller_number: lead.phoneNumberE164 === null ? 'a withheld number' : readableNumber(lead.phoneNumberE164),
        lead_kind: LEAD_WORDS[lead.kind],
        summary: plainFact(lead.summary, 300),
        when: sayMoment(new Date(event.at), company.timeZone),
      }
      return { add: toPeople(event, company, 'lead', 'lead_for_people', facts, wallTime), dropSubject: null }
    }
    case 'call.missed': {
      const from = missedCallSchema.parse(event.data).from
      const facts = { caller_number: /^\+\d+$/.test(from) ? readableNumber(from) : 'a withheld number', when: sayMoment(new Date(event.at), company.timeZone) }
      return { add: toPeople(event, company, 'missed_call', 'missed_call_for_people', facts, wallTime), dropSubject: null }
    }
    default:
      return NOTHING
  }
}

const LEAD_WORDS = { order: 'order', callback: 'request for a call', unfinished: 'request, unfinished', message: 'message' } as const
const VISIT_WORDS = {
  'appointment.requested': { kind: 'appointment_requested', setting: 'confirmation', what: 'requested' },
  'appointment.booked': { kind: 'appointment_confirmed', setting: 'confirmation', what: 'booked' },
  'appointment.rescheduled': { kind: 'appointment_rescheduled', setting: 'rescheduled', what: 'moved' },
  'appointment.cancelled': { kind: 'appointment_cancelled', setting: 'cancelled', what: 'cancelled' },
} as const satisfies Record<string, { kind: MessageKind; setting: keyof NotificationSettings['customers']; what: string }>

function visitFollowUp(event: DomainEvent, type: keyof typeof VISIT_WORDS | 'appointment.change_asked', company: Company, wallTime: Date): FollowUp {
  const { appointment, previous } = appointmentFactSchema.parse(event.data)
  const facts = visitFacts(appointment, company)
  const peopleFacts = { ...facts, caller_number: readableNumber(appointment.customer.phoneNumberE164) }
  if (type === 'appointment.change_asked') {
    return { add: toPeople(event, company, 'change_asked', 'change_asked_for_people', peopleFacts, wallTime), dropSubject: null }
  }
  const { kind, setting, what } = VISIT_WORDS[type]
  const previousWhen = previous === undefined || previous === null ? '' : sayMoment(new Date(previous.startsAt), company.timeZone)
  const people = toPeople(event, company, 'appointment', 'appointment_for_people', { ...peopleFacts, what, previous_when: previousWhen }, wallTime)
  // Somebody else comes, at the same time: nothing that the customer was told has changed.
  if (type === 'appointment.rescheduled' && previous?.startsAt === appointment.startsAt) return { dropSubject: null, add: people }
  const { customers } = company.notifications
  const hasBegun = Date.parse(appointment.startsAt) <= wallTime.getTime()
  const told: Told = {
    event, wallTime, channel: 'sms', to: appointment.customer.phoneNumberE164, audience: 'customer', anyHour: false,
    visit: { appointmentId: appointment.id, startsAt: appointment.startsAt },
  }
  const news = customers[setting] && !hasBegun ? [item(told, kind, type === 'appointment.rescheduled' ? { ...facts, previous_when: previousWhen } : facts, 'news', wallTime, sooner(appointment.startsAt, later(wallTime, NEWS_KEEPS_MS)))] : []
  const reminders = type === 'appointment.booked' || type === 'appointment.rescheduled' ? remindersOf(told, appointment, facts, customers) : []
  return {
    // Whatever was still to be said of it is said anew, as it stands now.
    dropSubject: { subject: event.subject, prefix: 'customer:', reason: `the visit was ${what} since` },
    add: [...news, ...reminders, ...people],
  }
}

function remindersOf(told: Told, appointment: Appointment, facts: Facts, customers: NotificationSettings['customers']): NewOutboxItem[] {
  const startsAtMs = Date.parse(appointment.startsAt)
  const reminder = (kind: MessageKind, beforeMs: number, untilMs: number): NewOutboxItem[] => {
    const dueAtMs = startsAtMs - beforeMs
    return dueAtMs < told.wallTime.getTime() + TOO_SOON_MS ? [] : [item(told, kind, facts, kind, new Date(dueAtMs), new Date(startsAtMs - untilMs))]
  }
  return [
    ...(customers.reminderDayBefore ? reminder('reminder_day_before', DAY_MS, DAY_REMINDER_UNTIL_MS) : []),
    ...(customers.reminderHourBefore ? reminder('reminder_hour_before', HOUR_MS, HOUR_REMINDER_UNTIL_MS) : []),
  ]
}

function toPeople(event: DomainEvent, company: Company, topic: NotificationSettings['people'][number]['about'][number], kind: MessageKind, facts: Facts, wallTime: Date): NewOutboxItem[] {
  return company.notifications.people
    .filter((person) => person.about.includes(topic))
    .flatMap((person) => {
      const told = { event, wallTime, audience: 'people', anyHour: person.anyHour, visit: null } as const
      const expires = later(wallTime, NEWS_KEEPS_MS)
      return [
        ...(person.phoneNumberE164 === null ? [] : [item({ ...told, channel: 'sms', to: person.phoneNumberE164 }, kind, facts, 'news', wallTime, expires)]),
        ...(person.email === null ? [] : [item({ ...told, channel: 'email', to: person.email }, kind, facts, 'news', wallTime, expires)]),
      ]
    })
}

type Facts = Readonly<Record<string, string>>
type Told = Readonly<{ event: DomainEvent; wallTime: Date } & Pick<Message, 'channel' | 'to' | 'audience' | 'anyHour' | 'visit'>>

function item(told: Told, kind: MessageKind, facts: Facts, about: string, dueAt: Date, expiresAt: Date): NewOutboxItem {
  const { event, wallTime, ...message } = told
  return {
    id: uuidv7(wallTime),
    subject: event.subject,
    // Without the number: this key outlives an erasure.
    dedupeKey: `${told.audience}:${about}:${event.id}:${told.channel}:${contactId(event.companyId, told.to)}`,
    dueAt: dueAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
    work: { kind: 'message', message: { ...message, kind, facts, eventId: event.id, callSid: event.callSid } },
  }
}

function visitFacts(appointment: Appointment, company: Company): Facts {
  const { timeZone } = company
  const local = DateTime.fromISO(appointment.startsAt, { zone: timeZone }).setLocale('en-US')
  return {
    customer_name: plainFact(appointment.customer.name),
    service: company.services.find((one) => one.id === appointment.serviceId)?.name ?? 'your visit',
    when: sayVisit(appointment, timeZone),
    date: local.toFormat('ccc, LLL d'),
    time: appointment.window === null ? local.toFormat('h:mm a') : sayWindow(appointment.window, timeZone),
    reason: plainFact(appointment.reason, 300),
  }
}

/** "Tue, Mar 3, 8:00 AM", or "Tue, Mar 3, 8:00 AM to 10:00 AM" where a window was promised. */
function sayVisit(appointment: Pick<Appointment, 'startsAt' | 'window'>, timeZone: string): string {
  if (appointment.window === null) return sayMoment(new Date(appointment.startsAt), timeZone)
  return `${DateTime.fromISO(appointment.window.startsAt, { zone: timeZone }).setLocale('en-US').toFormat('ccc, LLL d')}, ${sayWindow(appointment.window, timeZone)}`
}

function sayWindow(window: Readonly<{ startsAt: string; endsAt: string }>, timeZone: string): string {
  const [from, to] = [window.startsAt, window.endsAt].map((moment) => DateTime.fromISO(moment, { zone: timeZone }).setLocale('en-US').toFormat('h:mm a'))
  return `${from} to ${to}`
}

function sayMoment(moment: Date, timeZone: string): string {
  return DateTime.fromJSDate(moment, { zone: timeZone }).setLocale('en-US').toFormat('ccc, LLL d, h:mm a')
}

function later(moment: Date, ms: number): Date {
  return new Date(moment.getTime() + ms)
}

function sooner(moment: string, other: Date): Date {
  return new Date(Math.min(Date.parse(moment), other.getTime()))
}
