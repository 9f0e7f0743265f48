import { contactId, contactSchema, type Contact, type ContactStore } from '../events/contacts.ts'
import type { DomainEvent } from '../events/event.ts'
import { checkDocument, checkLimit, type RepositoryTools } from './embedded-documents.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import { readRecord, readRecords } from './mongo-documents.ts'
import type { MongoEventLog } from './mongo-event-log.ts'
import { sequelFields, sequelsOf, sequelsTo, type Sequel } from './mongo-sequel.ts'

/** Who may be texted. Read from the primary each time and kept nowhere else: a STOP counts for every process from the moment it is written. */
export class MongoContactRepository implements ContactStore {
  readonly #tools: RepositoryTools
  readonly #log: MongoEventLog
  readonly #contacts: MongoRecords

  constructor(database: MongoDatabase, tools: RepositoryTools, log: MongoEventLog) {
    this.#tools = tools
    this.#log = log
    this.#contacts = database.collection('contacts')
  }

  async get(companyId: string, phoneNumberE164: string, signal?: AbortSignal): Promise<Contact | null> {
    const record = await this.#contacts.get(idOf(companyId, contactId(companyId, phoneNumberE164)), signal)
    return record === null ? null : readRecord(contactSchema, record, 'contact')
  }

  async set(companyId: string, contact: Omit<Contact, 'id' | 'companyId'> & Readonly<{ phoneNumberE164: string }>, events: readonly DomainEvent[], signal?: AbortSignal): Promise<boolean> {
    const contactHash = contactId(companyId, contact.phoneNumberE164)
    const checked = checkDocument(contactSchema, { ...contact, id: contactHash, companyId }, `contact ${companyId}/${contactHash}`)
    const sequels = sequelsTo({ events: this.#log.check(companyId, events) }, this.#tools.clock.wallTime())
    const id = idOf(companyId, contactHash)
    const record = await this.#contacts.change<Stored | null>(
      id,
      (before) => {
        const known = before === null ? null : readRecord(contactSchema, before, 'contact')
        if (known?.state === checked.state && known.phoneNumberE164 !== null) return { record: null, answer: null }
        const fields = fieldsOf(checked, [...sequelsOf(before), ...sequels])
        return { record: fields, answer: { _id: id, ...fields } }
      },
      signal,
    )
    if (record === null) return false
    await this.#log.carryOut(this.#contacts, record, signal)
    return true
  }

  async list(companyId: string, page: Readonly<{ after: string | null; limit: number; state?: Contact['state'] }>, signal?: AbortSignal): Promise<readonly Contact[]> {
    const filter = { companyId, contactHash: { $gt: page.after ?? '' }, ...(page.state !== undefined && { state: page.state }) }
    const records = await this.#contacts.find(filter, { sort: { contactHash: 1 }, limit: checkLimit(page.limit) }, signal)
    return readRecords(contactSchema, records, 'contact', this.#tools.report)
  }

  async forget(companyId: string, phoneNumberE164: string, signal?: AbortSignal): Promise<boolean> {
    const id = idOf(companyId, contactId(companyId, phoneNumberE164))
    const known = await this.get(companyId, phoneNumberE164, signal)
    if (known === null || known.phoneNumberE164 === null) return false
    // Not if they have written STOP since it was read.
    if (known.state === 'opted-in') return (await this.#contacts.delete({ _id: id, companyId, state: 'opted-in' }, signal)) > 0
    return this.#contacts.change<boolean>(
      id,
      (before) => {
        const stored = before === null ? null : readRecord(contactSchema, before, 'contact')
        if (stored === null || stored.phoneNumberE164 === null) return { record: null, answer: false }
        // What is still to be told of it would name the number.
        return { record: fieldsOf({ ...stored, phoneNumberE164: null }, []), answer: true }
      },
      signal,
    )
  }
}

function fieldsOf(contact: Contact, sequels: readonly Sequel[]): Readonly<Record<string, unknown>> {
  return { companyId: contact.companyId, contactHash: contact.id, state: contact.state, document: contact, ...sequelFields(sequels) }
}
