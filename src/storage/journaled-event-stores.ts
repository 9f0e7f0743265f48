import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { contactId, contactSchema, type Contact, type ContactStore } from '../events/contacts.ts'
import { domainEventSchema, type DomainEvent, type EventPage, type EventStore } from '../events/event.ts'
import { leadSchema, type Lead, type LeadPage, type LeadStore, type NewLead } from '../events/lead.ts'
import { checkDocument, checkSame } from './embedded-documents.ts'
import { isAway, type JournaledWrites } from './journaled-writes.ts'

/** Of each kind, what is in the journal and may be asked for before it is in the database. */
const KEPT = 2000

const eventsSchema = z.object({ kind: z.literal('events'), companyId: z.string(), events: z.array(domainEventSchema) })
const leadChangeSchema = z.object({ kind: z.literal('lead'), companyId: z.string(), lead: leadSchema })
const heardSchema = contactSchema.omit({ id: true, companyId: true }).extend({ phoneNumberE164: z.string() })
const contactChangeSchema = z.object({ kind: z.literal('contact'), companyId: z.string(), contact: heardSchema, events: z.array(domainEventSchema) })

/** What happened during and after a call, kept also while the database is away. An event is known by its id. */
export class JournaledEventStore implements EventStore {
  readonly #eventLog: EventStore
  readonly #writes: JournaledWrites
  readonly #kept = new LRUCache<string, DomainEvent>({ max: KEPT })

  constructor(eventLog: EventStore, writes: JournaledWrites) {
    this.#eventLog = eventLog
    this.#writes = writes
    writes.replays('events', eventsSchema, ({ companyId, events }, signal) => eventLog.append(companyId, events, signal))
  }

  async append(companyId: string, events: readonly DomainEvent[], signal?: AbortSignal): Promise<void> {
    const checked = events.map((event) => {
      checkSame('event.companyId', companyId, event.companyId)
      return checkDocument(domainEventSchema, event, `event ${event.type} of ${event.subject}`)
    })
    const isJournaled = await this.#writes.write(`${companyId} events`, { kind: 'events', companyId, events: checked }, (inner) => this.#eventLog.append(companyId, checked, inner), signal)
    if (isJournaled) for (const event of checked) this.#kept.set(`${companyId} ${event.id}`, event)
  }

  async get(companyId: string, eventId: string, signal?: AbortSignal): Promise<DomainEvent | null> {
    try {
      const stored = await this.#writes.inTime((inner) => this.#eventLog.get(companyId, eventId, inner), signal)
      if (stored !== null) return stored
    } catch (error) {
      if (!isAway(error) || !this.#kept.has(`${companyId} ${eventId}`)) throw error
    }
    return this.#writes.isPending(`${companyId} events`) ? (this.#kept.get(`${companyId} ${eventId}`) ?? null) : null
  }

  list(companyId: string, page: EventPage, signal?: AbortSignal): Promise<readonly DomainEvent[]> {
    return this.#eventLog.list(companyId, page, signal)
  }

  newestId(companyId: string, signal?: AbortSignal): Promise<string | null> {
    return this.#eventLog.newestId(companyId, signal)
  }

  rewrite(companyId: string, event: DomainEvent, signal?: AbortSignal): Promise<boolean> {
    return this.#eventLog.rewrite(companyId, event, signal)
  }

  deleteBefore(companyId: string, before: string, limit: number, signal?: AbortSignal): Promise<number> {
    return this.#eventLog.deleteBefore(companyId, before, limit, signal)
  }
}

/** What callers wanted, kept also while the database is away. A lead is known by its key; people's edits of it are not journaled. */
export class JournaledLeadStore implements LeadStore {
  readonly #leads: LeadStore
  readonly #writes: JournaledWrites
  readonly #kept = new LRUCache<string, Lead>({ max: KEPT })

  constructor(leads: LeadStore, writes: JournaledWrites) {
    this.#leads = leads
    this.#writes = writes
    writes.replays('lead', leadChangeSchema, ({ companyId, lead }, signal) => leads.create(companyId, lead, signal))
  }

  async create(companyId: string, lead: NewLead, signal?: AbortSignal): Promise<Readonly<{ lead: Lead; created: boolean }>> {
    const checked: Lead = { ...checkDocument(leadSchema, lead, `lead ${companyId}/${lead.id}`), version: 1 }
    checkSame('lead.companyId', companyId, checked.companyId)
    const group = `${companyId} lead ${checked.idempotencyKey}`
    const kept = this.#writes.isPending(group) ? this.#kept.get(group) : undefined
    if (kept !== undefined) return { lead: kept, created: false }
    let made = { lead: checked, created: true }
    const isJournaled = await this.#writes.write(
      group,
      { kind: 'lead', companyId, lead: checked },
      async (inner) => {
        made = await this.#leads.create(companyId, checked, inner)
      },
      signal,
    )
    if (isJournaled) this.#kept.set(group, checked)
    return made
  }

  get(companyId: string, leadId: string, signal?: AbortSignal): Promise<Lead | null> {
    return this.#leads.get(companyId, leadId, signal)
  }

  list(companyId: string, page: LeadPage, signal?: AbortSignal): Promise<readonly Lead[]> {
    return this.#leads.list(companyId, page, signal)
  }

  save(companyId: string, lead: Lead, ifVersion: number, events: readonly DomainEvent[], signal?: AbortSignal): Promise<Lead> {
    return this.#leads.save(companyId, lead, ifVersion, events, signal)
  }

  delete(companyId: string, leadId: string, signal?: AbortSignal): Promise<boolean> {
    return this.#leads.delete(companyId, leadId, signal)
  }

  deleteBefore(companyId: string, before: string, limit: number, signal?: AbortSignal): Promise<number> {
    return this.#leads.deleteBefore(companyId, before, limit, signal)
  }
}

/** A STOP is kept whatever the database does, and counts here at once; nobody sends anything while it is away, since the outbox is away with it. */
export class JournaledContactStore implements ContactStore {
  readonly #contacts: ContactStore
  readonly #writes: JournaledWrites
  readonly #kept = new LRUCache<string, Contact>({ max: KEPT })

  constructor(contacts: ContactStore, writes: JournaledWrites) {
    this.#contacts = contacts
    this.#writes = writes
    writes.replays('contact', contactChangeSchema, async ({ companyId, contact, events }, signal) => {
      const known = await contacts.get(companyId, contact.phoneNumberE164, signal)
      // Their last word counts, and another machine may have heard one since.
      if (known === null || known.at <= contact.at) await contacts.set(companyId, contact, events, signal)
    })
  }

  async get(companyId: string, phoneNumberE164: string, signal?: AbortSignal): Promise<Contact | null> {
    const group = groupOf(companyId, phoneNumberE164)
    const kept = this.#writes.isPending(group) ? this.#kept.get(group) : undefined
    return kept ?? this.#writes.inTime((inner) => this.#contacts.get(companyId, phoneNumberE164, inner), signal)
  }

  async set(companyId: string, contact: z.output<typeof heardSchema>, events: readonly DomainEvent[], signal?: AbortSignal): Promise<boolean> {
    const group = groupOf(companyId, contact.phoneNumberE164)
    const checked = checkDocument(contactChangeSchema, { kind: 'contact', companyId, contact, events: [...events] }, `contact ${group}`)
    let isNews = true
    const isJournaled = await this.#writes.write(
      group,
      checked,
      async (inner) => {
        isNews = await this.#contacts.set(companyId, checked.contact, checked.events, inner)
      },
      signal,
    )
    if (isJournaled) this.#kept.set(group, { ...checked.contact, id: contactId(companyId, contact.phoneNumberE164), companyId })
    return isNews
  }

  list(companyId: string, page: Readonly<{ after: string | null; limit: number; state?: Contact['state'] }>, signal?: AbortSignal): Promise<readonly Contact[]> {
    return this.#contacts.list(companyId, page, signal)
  }

  forget(companyId: string, phoneNumberE164: string, signal?: AbortSignal): Promise<boolean> {
    return this.#contacts.forget(companyId, phoneNumberE164, signal)
  }
}

function groupOf(companyId: string, phoneNumberE164: string): string {
  return `${companyId} contact ${contactId(companyId, phoneNumberE164)}`
}
