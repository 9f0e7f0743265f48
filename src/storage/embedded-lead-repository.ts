import { ClientsViaError } from '../core/errors.ts'
import { newEvent, type DomainEvent } from '../events/event.ts'
import { leadSchema, type Lead, type LeadPage, type LeadStore, type NewLead } from '../events/lead.ts'
import type { EmbeddedDatabase, Row, SqlValue } from './embedded-database.ts'
import { checkDocument, checkLimit, checkSame, checkVersion, readDocument, readDocuments, type RepositoryTools } from './embedded-documents.ts'
import { appendEvents } from './embedded-event-log.ts'

export class EmbeddedLeadRepository implements LeadStore {
  readonly #database: EmbeddedDatabase
  readonly #tools: RepositoryTools

  constructor(database: EmbeddedDatabase, tools: RepositoryTools) {
    this.#database = database
    this.#tools = tools
  }

  async create(companyId: string, lead: NewLead): Promise<Readonly<{ lead: Lead; created: boolean }>> {
    const checked: Lead = { ...checkDocument(leadSchema, lead, `lead ${companyId}/${lead.id}`), version: 1 }
    checkSame('lead.companyId', companyId, checked.companyId)
    return this.#database.transaction(() => {
      const inserted = this.#database.run(
        `INSERT INTO leads (company_id, lead_id, created_at, updated_at, status, kind, phone_number_e164, call_sid, idempotency_key, document)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (company_id, idempotency_key) DO NOTHING`,
        ...columnsOf(checked),
      )
      if (inserted === 0) {
        const row = this.#database.get('SELECT company_id, lead_id, document FROM leads WHERE company_id = ? AND idempotency_key = ?', companyId, checked.idempotencyKey)
        if (row === undefined) throw new ClientsViaError('CONFLICT', `there is a lead ${checked.id} already`, { field: 'id' })
        return { lead: readDocument(leadSchema, row, nameOf(row)), created: false }
      }
      const wallTime = this.#tools.clock.wallTime()
      const event = newEvent(wallTime, { companyId, type: 'lead.created', subject: `lead/${checked.id}`, callSid: checked.callSid, data: { lead: checked } })
      appendEvents(this.#database, companyId, [event], wallTime)
      return { lead: checked, created: true }
    })
  }

  async get(companyId: string, leadId: string): Promise<Lead | null> {
    return this.#get(companyId, leadId)
  }

  async list(companyId: string, page: LeadPage): Promise<readonly Lead[]> {
    const limit = checkLimit(page.limit)
    let before: Row | undefined
    if (page.before !== null) {
      before = this.#database.get('SELECT created_at, lead_id FROM leads WHERE company_id = ? AND lead_id = ?', companyId, page.before)
      if (before === undefined) throw new ClientsViaError('INVALID_INPUT', 'before must be the id of a lead of this company', { field: 'before' })
    }
    const rows = this.#database.all(
      `SELECT company_id, lead_id, document FROM leads
       WHERE company_id = ?1
         AND (?2 IS NULL OR (created_at, lead_id) < (?2, ?3))
         AND (?4 IS NULL OR status = ?4)
         AND (?5 IS NULL OR kind = ?5)
         AND (?6 IS NULL OR phone_number_e164 = ?6)
         AND (?7 IS NULL OR call_sid = ?7)
         AND (?8 IS NULL OR created_at >= ?8)
         AND (?9 IS NULL OR created_at < ?9)
       ORDER BY created_at DESC, lead_id DESC LIMIT ?10`,
      companyId,
      before === undefined ? null : String(before['created_at']),
      before === undefined ? null : String(before['lead_id']),
      page.status ?? null,
      page.kind ?? null,
      page.phoneNumberE164 ?? null,
      page.callSid ?? null,
      page.createdFrom ?? null,
      page.createdBefore ?? null,
      limit,
    )
    return readDocuments(leadSchema, rows, nameOf, this.#tools.report)
  }

  async save(companyId: string, lead: Lead, ifVersion: number, events: readonly DomainEvent[]): Promise<Lead> {
    const checked = checkDocument(leadSchema, lead, `lead ${companyId}/${lead.id}`)
    checkSame('lead.companyId', companyId, checked.companyId)
    return this.#database.transaction(() => {
      const stored = this.#get(companyId, checked.id)
      if (stored === null) throw new ClientsViaError('NOT_FOUND', 'no such lead')
      checkVersion(`lead ${companyId}/${checked.id}`, stored.version, ifVersion)
      const wallTime = this.#tools.clock.wallTime()
      const saved: Lead = { ...checked, version: stored.version + 1, createdAt: stored.createdAt, updatedAt: wallTime.toISOString() }
      this.#database.run(
        'UPDATE leads SET updated_at = ?, status = ?, kind = ?, phone_number_e164 = ?, call_sid = ?, idempotency_key = ?, document = ? WHERE company_id = ? AND lead_id = ?',
        saved.updatedAt,
        saved.status,
        saved.kind,
        saved.phoneNumberE164,
        saved.callSid,
        saved.idempotencyKey,
        JSON.stringify(saved),
        companyId,
        saved.id,
      )
      appendEvents(this.#database, companyId, events, wallTime)
      return saved
    })
  }

  async delete(companyId: string, leadId: string): Promise<boolean> {
    return this.#database.run('DELETE FROM leads WHERE company_id = ? AND lead_id = ?', companyId, leadId) > 0
  }

  async deleteBefore(companyId: string, before: string, limit: number): Promise<number> {
    return this.#database.run(
      'DELETE FROM leads WHERE company_id = ?1 AND lead_id IN (SELECT lead_id FROM leads WHERE company_id = ?1 AND updated_at < ?2 LIMIT ?3)',
      companyId,
      before,
      checkLimit(limit),
    )
  }

  #get(companyId: string, leadId: string): Lead | null {
    const row = this.#database.get('SELECT company_id, lead_id, document FROM leads WHERE company_id = ? AND lead_id = ?', companyId, leadId)
    return row === undefined ? null : readDocument(leadSchema, row, nameOf(row))
  }
}

function columnsOf(lead: Lead): SqlValue[] {
  return [lead.companyId, lead.id, lead.createdAt, lead.updatedAt, lead.status, lead.kind, lead.phoneNumberE164, lead.callSid, lead.idempotencyKey, JSON.stringify(lead)]
}

function nameOf(row: Row): string {
  return `lead ${String(row['company_id'])}/${String(row['lead_id'])}`
}
