import { newEvent, type DomainEvent, type EventType } from '../../src/events/event.ts'
import type { NewLead } from '../../src/events/lead.ts'
import type { Message } from '../../src/events/message.ts'
import type { NewOutboxItem } from '../../src/events/outbox.ts'
import { uuidv7 } from '../../src/core/ids.ts'

export const CALLER = '+12395550143'
const START = new Date('2026-03-02T15:00:00.000Z')

export function event(companyId: string, type: EventType, subject: string, changes: Partial<DomainEvent> = {}): DomainEvent {
  return { ...newEvent(START, { companyId, type, subject, data: {} }), ...changes }
}

export function message(changes: Partial<Message> = {}): Message {
  return { kind: 'reminder_day_before', channel: 'sms', to: CALLER, audience: 'customer', anyHour: false, visit: null, facts: { when: 'Thu, Mar 5, 10:00 AM' }, eventId: null, callSid: null, ...changes }
}

export function item(dedupeKey: string, changes: Partial<NewOutboxItem> = {}, sent: Partial<Message> = {}): NewOutboxItem {
  return {
    id: uuidv7(START),
    work: { kind: 'message', message: message(sent) },
    subject: 'appointment/A1',
    dedupeKey,
    dueAt: START.toISOString(),
    expiresAt: null,
    ...changes,
  }
}

export function lead(companyId: string, id: string, changes: Partial<NewLead> = {}): NewLead {
  return {
    id, companyId, kind: 'callback', callerName: 'Dana', phoneNumberE164: CALLER, summary: 'Wants a call about a furnace.', slots: { street: 'Main Street' },
    callSid: 'CA1', idempotencyKey: `key-${id}`, createdAt: START.toISOString(), updatedAt: START.toISOString(), ...changes,
  }
}

/** RFC 3339, that many seconds after everything here begins. */
export function at(seconds: number): string {
  return new Date(START.getTime() + seconds * 1000).toISOString()
}

/** A time zone where it is between twelve and one now: for tests on the real clock, so that none of them runs at night. */
export function noonZone(): string {
  const west = new Date().getUTCHours() - 12
  return `Etc/GMT${west < 0 ? '' : '+'}${west}`
}
