import { ClientsViaError } from '../core/errors.ts'
import { companySchema, type Company } from '../tenancy/company.ts'
import type { CompanyRepository } from '../tenancy/repositories.ts'
import type { EmbeddedDatabase, Row } from './embedded-database.ts'
import { deleteEventsOf } from './embedded-event-log.ts'
import { checkDocument, checkLimit, checkSame, checkVersion, readDocument, readDocuments, type RepositoryTools } from './embedded-documents.ts'
import { SEED_MARKS } from './seed.ts'

export class EmbeddedCompanyRepository implements CompanyRepository {
  readonly #database: EmbeddedDatabase
  readonly #tools: RepositoryTools

  constructor(database: EmbeddedDatabase, tools: RepositoryTools) {
    this.#database = database
    this.#tools = tools
  }

  async get(companyId: string): Promise<Company | null> {
    const row = this.#database.get('SELECT company_id, document FROM companies WHERE company_id = ?', companyId)
    return row === undefined ? null : readDocument(companySchema, row, nameOf(row))
  }

  async findByPhoneNumber(phoneNumberE164: string): Promise<Company | null> {
    const row = this.#database.get(
      `SELECT companies.company_id, document FROM company_phone_numbers JOIN companies USING (company_id) WHERE phone_number_e164 = ?`,
      phoneNumberE164,
    )
    return row === undefined ? null : readDocument(companySchema, row, nameOf(row))
  }

  async list(page: Readonly<{ after: string | null; limit: number }>): Promise<readonly Company[]> {
    const rows = this.#database.all(
      'SELECT company_id, document FROM companies WHERE company_id > ? ORDER BY company_id LIMIT ?',
      page.after ?? '',
      checkLimit(page.limit),
    )
    return readDocuments(companySchema, rows, nameOf, this.#tools.report)
  }

  async save(companyId: string, company: Company, ifVersion?: number): Promise<Company> {
    const checked = checkDocument(companySchema, company, `company ${companyId}`)
    checkSame('company.id', companyId, checked.id)
    const now = this.#tools.clock.wallTime().toISOString()
    return this.#database.transaction(() => {
      const stored = this.#database.get(
        // Not by reading the document: a corrupt one must not keep an admin from saving a good one over it.
        `SELECT version, CASE WHEN json_valid(document) THEN document ->> '$.createdAt' END AS created_at FROM companies WHERE company_id = ?`,
        companyId,
      )
      const storedVersion = Number(stored?.['version'] ?? 0)
      checkVersion(`company ${companyId}`, storedVersion, ifVersion)
      const createdAt = String(stored?.['created_at'] ?? now)
      const saved: Company = { ...checked, version: storedVersion + 1, createdAt, updatedAt: now }
      this.#savePhoneNumbers(companyId, saved.phoneNumbers)
      this.#database.run(
        `INSERT INTO companies (company_id, version, document) VALUES (?, ?, ?)
         ON CONFLICT (company_id) DO UPDATE SET version = excluded.version, document = excluded.document`,
        companyId,
        saved.version,
        JSON.stringify(saved),
      )
      return saved
    })
  }

  /** Nothing of a company outlives it: agents, knowledge, calls and other rooms' documents go too. */
  async delete(companyId: string): Promise<boolean> {
    return this.#database.transaction(() => {
      const existed = this.#database.run('DELETE FROM companies WHERE company_id = ?', companyId) > 0
      this.#database.run('DELETE FROM knowledge_text WHERE rowid IN (SELECT row_id FROM knowledge_entries WHERE company_id = ?)', companyId)
      this.#database.run('DELETE FROM company_phone_numbers WHERE company_id = ?', companyId)
      this.#database.run('DELETE FROM agent_drafts WHERE company_id = ?', companyId)
      this.#database.run('DELETE FROM agent_versions WHERE company_id = ?', companyId)
      this.#database.run('DELETE FROM knowledge_entries WHERE company_id = ?', companyId)
      this.#database.run('DELETE FROM turns WHERE company_id = ?', companyId)
      this.#database.run('DELETE FROM gaps WHERE company_id = ?', companyId)
      this.#database.run('DELETE FROM calls WHERE company_id = ?', companyId)
      deleteEventsOf(this.#database, companyId)
      this.#database.run('DELETE FROM appointment_claims WHERE company_id = ?', companyId)
      this.#database.run('DELETE FROM appointments WHERE company_id = ?', companyId)
      // Seed marks stay: they hold no personal data and are how a deleted demo company stays deleted.
      this.#database.run('DELETE FROM documents WHERE company_id = ? AND collection <> ?', companyId, SEED_MARKS)
      // The knowledge version counts on, so that no cache made for a deleted company fits a new one of the same id.
      this.#database.run('UPDATE knowledge_versions SET version = version + 1 WHERE company_id = ?', companyId)
      return existed
    })
  }

  #savePhoneNumbers(companyId: string, phoneNumbers: readonly string[]): void {
    this.#database.run('DELETE FROM company_phone_numbers WHERE company_id = ?', companyId)
    for (const phoneNumberE164 of new Set(phoneNumbers)) {
      const taken = this.#database.get('SELECT company_id FROM company_phone_numbers WHERE phone_number_e164 = ?', phoneNumberE164)
      if (taken !== undefined) {
        // The other company is not named: an admin of this one may not know of it.
        throw new ClientsViaError('CONFLICT', `phone number ${phoneNumberE164} belongs to another company`, { field: 'phoneNumbers', phoneNumberE164 })
      }
      this.#database.run('INSERT INTO company_phone_numbers (phone_number_e164, company_id) VALUES (?, ?)', phoneNumberE164, companyId)
    }
  }
}

function nameOf(row: Row): string {
  return `company ${String(row['company_id'])}`
}
