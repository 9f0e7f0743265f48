import { createHmac } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../core/clock.ts'
import type { AuditFact, AuditRow } from './records.ts'
import type { AuditFilter, AuditRepository } from './repositories.ts'

/** What a caller of the log gives; time is the log's own. */
export type AuditNote = Omit<AuditFact, 'at'>
export type ChainReport = Readonly<{ companyId: string; rows: number; intact: true } | { companyId: string; rows: number; intact: false; badSeq: number; problem: string }>

const VERIFY_PAGE = 500
/** Some milliseconds of the store. */
const TRIM_PAGE = 200
const MAX_USER_AGENT = 200

/**
 * Append only, one chain per company: each row's hash covers the row before it. The hash is keyed, so that somebody who can write to
 * the store but does not hold the key cannot write a new chain either; the head is kept apart, so that rows cut off at the end are
 * missed.
 */
export class AuditLog {
  readonly #repository: AuditRepository
  readonly #clock: Clock
  readonly #key: Uint8Array

  constructor(repository: AuditRepository, clock: Clock, key: Uint8Array) {
    this.#repository = repository
    this.#clock = clock
    this.#key = key
  }

  record(companyId: string, note: AuditNote, signal?: AbortSignal): Promise<AuditRow> {
    const fact: AuditFact = {
      ...note,
      at: this.#clock.wallTime().toISOString(),
      userAgent: note.userAgent.slice(0, MAX_USER_AGENT),
      target: note.target.slice(0, 300),
      reason: note.reason.slice(0, 500),
    }
    return this.#repository.append(companyId, fact, (seq, previousHash) => this.#hash(companyId, seq, previousHash, fact), signal)
  }

  list(companyId: string, filter: AuditFilter, signal?: AbortSignal): Promise<readonly AuditRow[]> {
    return this.#repository.list(companyId, filter, signal)
  }

  /** Reads a company's whole chain and names the first row that is missing, moved or changed. */
  async verify(companyId: string, signal?: AbortSignal): Promise<ChainReport> {
    // The head first: rows added meanwhile come after it.
    const head = await this.#repository.head(companyId, signal)
    let rows = 0
    let expectedSeq = 1
    let previousHash = ''
    let start: Start | null = null
    let anchor: Anchor | null = null
    for await (const row of this.rows(companyId, {}, signal)) {
      const bad = (problem: string): ChainReport => ({ companyId, rows, intact: false, badSeq: expectedSeq, problem })
      if (start === null) {
        // The oldest rows may be gone; a row that is still to come has to say so.
        start = { seq: row.seq, previousHash: row.previousHash }
        if (row.seq > 1) [expectedSeq, previousHash] = [row.seq, row.previousHash]
      }
      if (row.seq !== expectedSeq) return bad(`row ${expectedSeq} is missing`)
      if (row.previousHash !== previousHash) return bad(`row ${expectedSeq} does not follow the row before it`)
      if (row.hash !== this.#hash(companyId, row.seq, row.previousHash, row.fact)) return bad(`row ${expectedSeq} was changed`)
      if (head !== null && row.seq === head.seq && row.hash !== head.hash) return bad(`row ${expectedSeq} is not the one that the head names`)
      anchor = anchorOf(row) ?? anchor
      previousHash = row.hash
      expectedSeq += 1
      rows += 1
    }
    if (start !== null && start.seq > 1) {
      const missing = missingBefore(start, anchor)
      if (missing !== null) return { companyId, rows, intact: false, badSeq: missing, problem: `row ${missing} is missing, and nothing says that its time was over` }
    }
    if ((head?.seq ?? 0) >= expectedSeq) return { companyId, rows, intact: false, badSeq: expectedSeq, problem: `row ${expectedSeq} is missing from the end` }
    if (head === null && rows > 0) return { companyId, rows, intact: false, badSeq: 1, problem: 'the head of the chain is missing' }
    return { companyId, rows, intact: true }
  }

  /**
   * Drops rows from before `before`, the oldest first, a page at a time. First a row is added that says through which row, and the hash
   * of that row: the chain goes on from it. Returns how many rows went.
   */
  async trim(companyId: string, before: Date, signal: AbortSignal): Promise<number> {
    const [firstKept] = await this.#repository.list(companyId, { afterSeq: 0, from: before.toISOString(), limit: 1 }, signal)
    const head = await this.#repository.head(companyId, signal)
    const throughSeq = firstKept === undefined ? (head?.seq ?? 0) : firstKept.seq - 1
    const [last] = throughSeq === 0 ? [] : await this.#repository.list(companyId, { afterSeq: throughSeq - 1, limit: 1 }, signal)
    if (last === undefined || last.seq !== throughSeq) return 0
    const actor = { kind: 'system', id: '', companyId } as const
    const details = { throughSeq, throughHash: last.hash, before: before.toISOString() }
    await this.record(companyId, { action: TRIMMED, result: 'done', reason: 'retention', actor, target: `audit/${throughSeq}`, address: '', userAgent: '', traceId: '', details }, signal)
    for (let dropped = 0; ; ) {
      const count = await this.#repository.trim(companyId, throughSeq, TRIM_PAGE, signal)
      dropped += count
      if (count < TRIM_PAGE) return dropped
      // The store shares its thread with live calls.
      await setImmediate(undefined, { signal })
    }
  }

  listCompanies(signal?: AbortSignal): Promise<readonly string[]> {
    return this.#repository.listCompanies(signal)
  }

  async verifyAll(signal?: AbortSignal): Promise<readonly ChainReport[]> {
    const reports: ChainReport[] = []
    for (const companyId of await this.#repository.listCompanies(signal)) reports.push(await this.verify(companyId, signal))
    return reports
  }

  /** The whole chain, or a part of it, page by page. */
  async *rows(companyId: string, filter: Omit<AuditFilter, 'afterSeq' | 'limit'>, signal?: AbortSignal): AsyncGenerator<AuditRow> {
    let afterSeq = 0
    for (;;) {
      const page = await this.#repository.list(companyId, { ...filter, afterSeq, limit: VERIFY_PAGE }, signal)
      yield* page
      const last = page.at(-1)
      if (last === undefined || page.length < VERIFY_PAGE) return
      afterSeq = last.seq
    }
  }

  #hash(companyId: string, seq: number, previousHash: string, fact: AuditFact): string {
    return createHmac('sha256', this.#key).update(canonical([companyId, seq, previousHash, fact])).digest('base64url')
  }
}

const TRIMMED = 'audit.trimmed'

type Start = Readonly<{ seq: number; previousHash: string }>
type Anchor = Readonly<{ throughSeq: number; throughHash: string }>

function anchorOf(row: AuditRow): Anchor | null {
  const { throughSeq, throughHash } = row.fact.details
  return row.fact.action === TRIMMED && typeof throughSeq === 'number' && typeof throughHash === 'string' ? { throughSeq, throughHash } : null
}

/** The first row that is gone without a word; null where the anchor speaks for all of them. A sweep that was cut short left some that may go. */
function missingBefore(start: Start, anchor: Anchor | null): number | null {
  if (anchor === null) return 1
  if (anchor.throughSeq < start.seq - 1) return anchor.throughSeq + 1
  return anchor.throughSeq === start.seq - 1 && anchor.throughHash !== start.previousHash ? start.seq : null
}

/** One spelling per value: keys sorted, so that a store that returns them in another order still verifies. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
