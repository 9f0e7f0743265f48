import { z } from 'zod'
import { uuidv7 } from '../core/ids.ts'

/** What can happen at a company that somebody may want to know of, or act on. */
export const EVENT_TYPES = [
  // A visit. `data` is an AppointmentFact: see follow-up.ts.
  'appointment.requested',
  'appointment.held',
  'appointment.booked',
  'appointment.rescheduled',
  'appointment.cancelled',
  'appointment.completed',
  'appointment.no_show',
  /** A reminder of it was sent. */
  'appointment.reminded',
  /** The customer texted C: they will be there. */
  'appointment.acknowledged',
  /** The customer texted R: they want another time. */
  'appointment.change_asked',
  'lead.created',
  'lead.contacted',
  'lead.converted',
  'lead.closed',
  'message.sent',
  'message.delivered',
  'message.failed',
  /** The provider was asked and never answered: it may have sent it, so it is not sent again. */
  'message.unknown',
  /** Not sent on purpose: opted out, no longer true, or nowhere to send it. */
  'message.dropped',
  'message.received',
  'contact.opted_out',
  'contact.opted_in',
  /** Somebody called and spoke to nobody. */
  'call.missed',
] as const
export type EventType = (typeof EVENT_TYPES)[number]

/** Types that something follows from: each such event is written together with a task for the outbox. The others are only kept. */
const FOLLOWED_UP: ReadonlySet<EventType> = new Set([
  'appointment.requested',
  'appointment.booked',
  'appointment.rescheduled',
  'appointment.cancelled',
  'appointment.change_asked',
  'lead.created',
  'call.missed',
])

/** An event is a fact with a few fields, not a document store: a transcript belongs to its call. */
const MAX_DATA_CHARS = 16 * 1024

export const domainEventSchema = z.strictObject({
  /** UUID version 7. */
  id: z.uuid(),
  companyId: z.string().min(1).max(64),
  type: z.enum(EVENT_TYPES),
  /** RFC 3339, UTC: when it happened. */
  at: z.iso.datetime(),
  /** What it happened to: `appointment/ID`, `lead/ID`, `message/ID`, `contact/+15550100099`, `call/SID`. Tasks of one subject are done in order. */
  subject: z.string().min(3).max(160),
  /** The call it came of; null for what came by text, by hand or by the clock. */
  callSid: z.string().min(1).max(64).nullable().default(null),
  data: z.record(z.string(), z.unknown()).refine((data) => JSON.stringify(data).length <= MAX_DATA_CHARS, `must have at most ${MAX_DATA_CHARS} characters as JSON`),
})

export type DomainEvent = Readonly<z.infer<typeof domainEventSchema>>

/** A new event, happening now. */
export function newEvent(wallTime: Date, event: Omit<DomainEvent, 'id' | 'at' | 'callSid'> & Readonly<{ callSid?: string | null }>): DomainEvent {
  return { ...event, callSid: event.callSid ?? null, id: uuidv7(wallTime), at: wallTime.toISOString() }
}

export function needsFollowUp(type: EventType): boolean {
  return FOLLOWED_UP.has(type)
}

export type EventPage = Readonly<{
  /** The id of the last event of the page before; null: from the beginning. INVALID_INPUT when the company has no such event. */
  after: string | null
  limit: number
  types?: readonly EventType[]
  subject?: string
  callSid?: string
}>

/** Append-only, in the order in which they were committed. companyId first, always. */
export interface EventStore {
  /** All of them or none, each with its task for the outbox where something follows from it. An event that is there already is not written again. */
  append(companyId: string, events: readonly DomainEvent[], signal?: AbortSignal): Promise<void>
  get(companyId: string, eventId: string, signal?: AbortSignal): Promise<DomainEvent | null>
  list(companyId: string, page: EventPage, signal?: AbortSignal): Promise<readonly DomainEvent[]>
  /** The newest event's id; null where nothing ever happened: where a reader starts who wants only what comes. */
  newestId(companyId: string, signal?: AbortSignal): Promise<string | null>
  /** Replaces what an event says, for a caller who wants to be forgotten. False when it is not there. */
  rewrite(companyId: string, event: DomainEvent, signal?: AbortSignal): Promise<boolean>
  /** Deletes events of before `before` (RFC 3339), at most `limit` of them; returns how many. */
  deleteBefore(companyId: string, before: string, limit: number, signal?: AbortSignal): Promise<number>
}
