import { ClientsViaError } from '../core/errors.ts'
import { auditFactSchema, type AuditFact, type AuditHead, type AuditRow } from '../security/records.ts'
import type { AuditFilter, AuditRepository } from '../security/repositories.ts'
import { checkDocument, checkLimit } from './embedded-documents.ts'
import { KeyedTurns } from './keyed-turns.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import { readRecord } from './mongo-documents.ts'

/** Processes that append to one chain at once; each round one of them wins. */
const MAX_TRIES = 32
/** Companies with a chain. */
const MAX_COMPANIES = 100_000

/**
 * The audit log. A row's key is its place in the company's chain, so that no place is taken twice; the head follows. A process that dies
 * between the two leaves a head that is one behind, which the next row puts right. MongoDB has no way to forbid changes: give
 * the server's user no right to update `audit_rows`, and let `audit verify` find what was done some other way.
 */
export class MongoAuditRepository implements AuditRepository {
  readonly #rows: MongoRecords
  readonly #heads: MongoRecords
  readonly #turns = new KeyedTurns()

  constructor(database: MongoDatabase) {
    this.#rows = database.collection('audit_rows')
    this.#heads = database.collection('audit_heads')
  }

  append(companyId: string, fact: AuditFact, chain: (seq: number, previousHash: string) => string, signal?: AbortSignal): Promise<AuditRow> {
    const checked = checkDocument(auditFactSchema, fact, 'audit fact')
    const attempt = async (): Promise<AuditRow> => {
      for (let tries = 0; tries < MAX_TRIES; tries += 1) {
        const head = await this.head(companyId, signal)
        const seq = (head?.seq ?? 0) + 1
        const row: AuditRow = { companyId, seq, fact: checked, previousHash: head?.hash ?? '', hash: chain(seq, head?.hash ?? '') }
        const isWritten = await this.#rows.insert(recordOf(row), signal)
        await this.#moveHead(companyId, isWritten ? row : await this.#rowAt(companyId, seq, signal), signal)
        if (isWritten) return row
      }
      throw new ClientsViaError('OVERLOADED', 'too many audit rows of one company at once')
    }
    return this.#turns.take(companyId, attempt, signal)
  }

  async list(companyId: string, filter: AuditFilter, signal?: AbortSignal): Promise<readonly AuditRow[]> {
    const at = { ...(filter.from !== undefined && { $gte: filter.from }), ...(filter.until !== undefined && { $lt: filter.until }) }
    const records = await this.#rows.find(
      {
        companyId,
        seq: { $gt: filter.afterSeq },
        ...(filter.action !== undefined && { action: filter.action }),
        ...(filter.actorId !== undefined && { actorId: filter.actorId }),
        ...(Object.keys(at).length > 0 && { at }),
      },
      { sort: { seq: 1 }, limit: checkLimit(filter.limit) },
      signal,
    )
    return records.map(rowOf)
  }

  async head(companyId: string, signal?: AbortSignal): Promise<AuditHead | null> {
    const record = await this.#heads.get(idOf(companyId), signal)
    return record === null ? null : { seq: Number(record['seq']), hash: String(record['hash']) }
  }

  async trim(companyId: string, throughSeq: number, limit: number, signal?: AbortSignal): Promise<number> {
    const size = checkLimit(limit)
    const anchor = await this.#rows.find({ companyId, action: 'audit.trimmed', seq: { $gt: throughSeq }, trimmedThrough: { $gte: throughSeq } }, { sort: { seq: 1 }, limit: 1 }, signal)
    if (anchor.length === 0) throw new ClientsViaError('CONFLICT', `nothing in the log says that rows up to ${throughSeq} were dropped`, { companyId, throughSeq })
    const oldest = await this.#rows.find({ companyId, seq: { $lte: throughSeq } }, { sort: { seq: 1 }, limit: size }, signal)
    return this.#rows.delete({ companyId, seq: { $lte: Number(oldest.at(-1)?.['seq'] ?? 0) } }, signal)
  }

  async listCompanies(signal?: AbortSignal): Promise<readonly string[]> {
    const records = await this.#heads.find({}, { sort: { companyId: 1 }, limit: MAX_COMPANIES }, signal)
    return records.map((record) => String(record['companyId']))
  }

  async #rowAt(companyId: string, seq: number, signal?: AbortSignal): Promise<AuditRow> {
    const record = await this.#rows.get(idOf(companyId, seq), signal)
    if (record === null) throw new ClientsViaError('STORE_FAILED', `audit row ${seq} is gone`)
    return rowOf(record)
  }

  /** Forward only. */
  async #moveHead(companyId: string, { seq, hash }: AuditRow, signal?: AbortSignal): Promise<void> {
    await this.#heads.change<void>(
      idOf(companyId),
      (record) => ({ record: Number(record?.['seq'] ?? 0) >= seq ? null : { companyId, seq, hash }, answer: undefined }),
      signal,
    )
  }
}

function recordOf({ companyId, seq, fact, previousHash, hash }: AuditRow): Stored {
  // The details as text: their keys are the facts' own, and not every server takes every key.
  const document = { ...fact, details: JSON.stringify(fact.details) }
  const { throughSeq } = fact.details
  const trimmedThrough = typeof throughSeq === 'number' ? throughSeq : undefined
  return { _id: idOf(companyId, seq), companyId, seq, at: fact.at, action: fact.action, actorId: fact.actor.id, trimmedThrough, previousHash, hash, document }
}

function rowOf(record: Stored): AuditRow {
  const seq = Number(record['seq'])
  const stored: unknown = record['document']
  const document = typeof stored === 'object' && stored !== null && 'details' in stored ? { ...stored, details: JSON.parse(String(stored.details)) as unknown } : stored
  return {
    companyId: String(record['companyId']),
    seq,
    fact: readRecord(auditFactSchema, { _id: record._id, document }, 'audit row'),
    previousHash: String(record['previousHash']),
    hash: String(record['hash']),
  }
}
