import { contactId, contactSchema, type Contact, type ContactStore } from '../events/contacts.ts'
import type { DomainEvent } from '../events/event.ts'
import type { EmbeddedDatabase, Row } from './embedded-database.ts'
import { checkDocument, checkLimit, readDocument, readDocuments, type RepositoryTools } from './embedded-documents.ts'
import { appendEvents } from './embedded-event-log.ts'

export class EmbeddedContactRepository implements ContactStore {
  readonly #database: EmbeddedDatabase
  readonly #tools: RepositoryTools

  constructor(database: EmbeddedDatabase, tools: RepositoryTools) {
    this.#database = database
    this.#tools = tools
  }

  async get(companyId: string, phoneNumberE164: string): Promise<Contact | null> {
    return this.#get(companyId, contactId(companyId, phoneNumberE164))
  }

  async set(companyId: string, contact: Omit<Contact, 'id' | 'companyId'> & Readonly<{ phoneNumberE164: string }>, events: readonly DomainEvent[]): Promise<boolean> {
    const id = contactId(companyId, contact.phoneNumberE164)
    const checked = checkDocument(contactSchema, { ...contact, id, companyId }, `contact ${companyId}/${id}`)
    return this.#database.transaction(() => {
      const known = this.#get(companyId, id)
      if (known?.state === checked.state && known.phoneNumberE164 !== null) return false
      this.#write(checked)
      appendEvents(this.#database, companyId, events, this.#tools.clock.wallTime())
      return true
    })
  }

  async list(companyId: string, page: Readonly<{ after: string | null; limit: number; state?: Contact['state'] }>): Promise<readonly Contact[]> {
    const rows = this.#database.all(
      `SELECT company_id, contact_hash, document FROM contact_preferences
       WHERE company_id = ?1 AND contact_hash > ?2 AND (?3 IS NULL OR state = ?3) ORDER BY contact_hash LIMIT ?4`,
      companyId,
      page.after ?? '',
      page.state ?? null,
      checkLimit(page.limit),
    )
    return readDocuments(contactSchema, rows, nameOf, this.#tools.report)
  }

  async forget(companyId: string, phoneNumberE164: string): Promise<boolean> {
    const id = contactId(companyId, phoneNumberE164)
    return this.#database.transaction(() => {
      const known = this.#get(companyId, id)
      if (known === null || known.phoneNumberE164 === null) return false
      if (known.state === 'opted-in') this.#database.run('DELETE FROM contact_preferences WHERE company_id = ? AND contact_hash = ?', companyId, id)
      else this.#write({ ...known, phoneNumberE164: null })
      return true
    })
  }

  #get(companyId: string, id: string): Contact | null {
    const row = this.#database.get('SELECT company_id, contact_hash, document FROM contact_preferences WHERE company_id = ? AND contact_hash = ?', companyId, id)
    return row === undefined ? null : readDocument(contactSchema, row, nameOf(row))
  }

  #write(contact: Contact): void {
    this.#database.run(
      `INSERT INTO contact_preferences (company_id, contact_hash, state, document) VALUES (?, ?, ?, ?)
       ON CONFLICT (company_id, contact_hash) DO UPDATE SET state = excluded.state, document = excluded.document`,
      contact.companyId,
      contact.id,
      contact.state,
      JSON.stringify(contact),
    )
  }
}

function nameOf(row: Row): string {
  return `contact ${String(row['company_id'])}/${String(row['contact_hash'])}`
}
