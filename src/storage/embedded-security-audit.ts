import { ClientsViaError } from '../core/errors.ts'
import { auditFactSchema, type AuditFact, type AuditHead, type AuditRow } from '../security/records.ts'
import type { AuditFilter, AuditRepository } from '../security/repositories.ts'
import type { EmbeddedDatabase, Row } from './embedded-database.ts'
import { checkDocument, checkLimit, readDocument } from './embedded-documents.ts'

export class EmbeddedAuditRepository implements AuditRepository {
  readonly #database: EmbeddedDatabase

  constructor(database: EmbeddedDatabase) {
    this.#database = database
  }

  async append(companyId: string, fact: AuditFact, chain: (seq: number, previousHash: string) => string, signal?: AbortSignal): Promise<AuditRow> {
    signal?.throwIfAborted()
    const checked = checkDocument(auditFactSchema, fact, 'audit fact')
    return this.#database.transaction(() => {
      const head = this.#head(companyId)
      const seq = (head?.seq ?? 0) + 1
      const previousHash = head?.hash ?? ''
      const hash = chain(seq, previousHash)
      this.#database.run(
        `INSERT INTO audit_rows (company_id, seq, at, action, actor_id, previous_hash, hash, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        companyId, seq, checked.at, checked.action, checked.actor.id, previousHash, hash, JSON.stringify(checked),
      )
      this.#database.run(
        `INSERT INTO audit_heads (company_id, seq, hash) VALUES (?, ?, ?)
         ON CONFLICT (company_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash`,
        companyId, seq, hash,
      )
      return { companyId, seq, fact: checked, previousHash, hash }
    })
  }

  async list(companyId: string, filter: AuditFilter, signal?: AbortSignal): Promise<readonly AuditRow[]> {
    signal?.throwIfAborted()
    const rows = this.#database.all(
      `SELECT company_id, seq, previous_hash, hash, document FROM audit_rows
       WHERE company_id = ? AND seq > ? AND (? = '' OR action = ?) AND (? = '' OR actor_id = ?) AND at >= ? AND at < ? ORDER BY seq LIMIT ?`,
      companyId, filter.afterSeq, filter.action ?? '', filter.action ?? '', filter.actorId ?? '', filter.actorId ?? '',
      filter.from ?? '', filter.until ?? '9', checkLimit(filter.limit),
    )
    return rows.map(auditRowOf)
  }

  async head(companyId: string, signal?: AbortSignal): Promise<AuditHead | null> {
    signal?.throwIfAborted()
    return this.#head(companyId)
  }

  async trim(companyId: string, throughSeq: number, limit: number, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted()
    const anchor = this.#database.get(
      `SELECT seq FROM audit_rows WHERE company_id = ? AND action = 'audit.trimmed' AND seq > ? AND json_extract(document, '$.details.throughSeq') >= ? LIMIT 1`,
      companyId, throughSeq, throughSeq,
    )
    if (anchor === undefined) throw new ClientsViaError('CONFLICT', `nothing in the log says that rows up to ${throughSeq} were dropped`, { companyId, throughSeq })
    return this.#database.run(
      `DELETE FROM audit_rows WHERE company_id = ? AND seq IN (SELECT seq FROM audit_rows WHERE company_id = ? AND seq <= ? ORDER BY seq LIMIT ?)`,
      companyId, companyId, throughSeq, checkLimit(limit),
    )
  }

  async listCompanies(signal?: AbortSignal): Promise<readonly string[]> {
    signal?.throwIfAborted()
    return this.#database.all('SELECT company_id FROM audit_heads ORDER BY company_id').map((row) => String(row['company_id']))
  }

  #head(companyId: string): AuditHead | null {
    const row = this.#database.get('SELECT seq, hash FROM audit_heads WHERE company_id = ?', companyId)
    return row === undefined ? null : { seq: Number(row['seq']), hash: String(row['hash']) }
  }
}

function auditRowOf(row: Row): AuditRow {
  const seq = Number(row['seq'])
  return {
    companyId: String(row['company_id']),
    seq,
    fact: readDocument(auditFactSchema, row, `audit row ${seq}`),
    previousHash: String(row['previous_hash']),
    hash: String(row['hash']),
  }
}
