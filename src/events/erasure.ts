import { forgotten, names, numberPattern } from '../call/erasure.ts'
import type { ContactStore } from './contacts.ts'
import type { DomainEvent, EventStore } from './event.ts'
import type { Lead, LeadStore } from './lead.ts'
import type { Outbox, OutboxItem } from './outbox.ts'

type ForgetfulStore = Readonly<{
  name: string
  erase: (companyId: string, phoneNumberE164: string, signal: AbortSignal) => Promise<number>
  find: (companyId: string, phoneNumberE164: string, signal: AbortSignal) => Promise<number>
}>
export type EventStores = Readonly<{ eventLog: EventStore; outbox: Outbox; leads: LeadStore; contacts: ContactStore }>

const PAGE = 200

/** Everything of this room that may hold a caller's number or words. Leads before events: what an erased lead left in the log goes after it. */
export function eventStores(stores: EventStores): readonly ForgetfulStore[] {
  return [leadErasure(stores.leads), outboxErasure(stores.outbox), eventErasure(stores.eventLog), contactErasure(stores.contacts)]
}

/** The caller's own leads go whole; elsewhere only the number goes. */
function leadErasure(leads: LeadStore): ForgetfulStore {
  return {
    name: 'leads',
    erase: async (companyId, number, signal) => {
      const pattern = numberPattern(number)
      let erased = 0
      for (const lead of await everyLead(leads, companyId, signal)) {
        if (lead.phoneNumberE164 === number) erased += Number(await leads.delete(companyId, lead.id, signal))
        else if (names(lead, pattern)) {
          await leads.save(companyId, forgotten(lead, pattern), lead.version, [], signal)
          erased += 1
        }
      }
      return erased
    },
    find: async (companyId, number, signal) => (await everyLead(leads, companyId, signal)).filter((lead) => names(lead, numberPattern(number))).length,
  }
}

/** Messages to the caller go whole, sent or not. */
function outboxErasure(outbox: Outbox): ForgetfulStore {
  return {
    name: 'messages',
    erase: async (companyId, number, signal) => {
      const pattern = numberPattern(number)
      let erased = 0
      for (const item of await everyItem(outbox, companyId, signal)) {
        if (item.work.kind === 'message' && item.work.message.to === number) erased += Number(await outbox.delete(companyId, item.id, signal))
        else if (names(item, pattern)) erased += Number(await outbox.rewrite(companyId, ofNobody(forgotten(item, pattern)), signal))
      }
      return erased
    },
    find: async (companyId, number, signal) => (await everyItem(outbox, companyId, signal)).filter((item) => names(item, numberPattern(number))).length,
  }
}

/** The log stays whole: what happened stays known, to whom does not. The name beside the number goes with it. */
function eventErasure(eventLog: EventStore): ForgetfulStore {
  return {
    name: 'events',
    erase: async (companyId, number, signal) => {
      const pattern = numberPattern(number)
      let erased = 0
      for (const event of await everyEvent(eventLog, companyId, signal)) {
        if (names(event, pattern)) erased += Number(await eventLog.rewrite(companyId, withoutPerson(forgotten(event, pattern)), signal))
      }
      return erased
    },
    find: async (companyId, number, signal) => (await everyEvent(eventLog, companyId, signal)).filter((event) => names(event, numberPattern(number))).length,
  }
}

/** An opt-out stays honoured without its number. */
function contactErasure(contacts: ContactStore): ForgetfulStore {
  return {
    name: 'contacts',
    erase: async (companyId, number, signal) => Number(await contacts.forget(companyId, number, signal)),
    find: async (companyId, number, signal) => {
      const known = await contacts.get(companyId, number, signal)
      return known === null || known.phoneNumberE164 === null ? 0 : 1
    },
  }
}

/** What an event says of a person besides their number. */
const PERSONAL = new Set(['name', 'callerName', 'address', 'reason', 'answers', 'summary', 'slots', 'notes', 'from', 'text'])

/** An event that waits here, or has been worked on, is a copy of the one in the log. */
function ofNobody(item: OutboxItem): OutboxItem {
  return item.work.kind === 'event' ? { ...item, work: { kind: 'event', event: withoutPerson(item.work.event) } } : item
}

function withoutPerson(event: DomainEvent): DomainEvent {
  const data = JSON.parse(JSON.stringify(event.data), (key, value: unknown) => (PERSONAL.has(key) ? '[erased]' : value)) as DomainEvent['data']
  return { ...event, data }
}

async function everyLead(leads: LeadStore, companyId: string, signal: AbortSignal): Promise<readonly Lead[]> {
  return every((before) => leads.list(companyId, { before, limit: PAGE }, signal))
}

async function everyItem(outbox: Outbox, companyId: string, signal: AbortSignal): Promise<readonly OutboxItem[]> {
  const list = (kind: 'event' | 'message') => every((before) => outbox.list(companyId, { before, limit: PAGE, kind }, signal))
  return [...(await list('event')), ...(await list('message'))]
}

async function everyEvent(eventLog: EventStore, companyId: string, signal: AbortSignal): Promise<readonly DomainEvent[]> {
  return every((after) => eventLog.list(companyId, { after, limit: PAGE }, signal))
}

async function every<T extends Readonly<{ id: string }>>(page: (cursor: string | null) => Promise<readonly T[]>): Promise<readonly T[]> {
  const all: T[] = []
  let cursor: string | null = null
  for (;;) {
    const rows: readonly T[] = await page(cursor)
    all.push(...rows)
    cursor = rows.at(-1)?.id ?? null
    if (rows.length < PAGE || cursor === null) return all
  }
}
