import { ClientsViaError } from '../core/errors.ts'
import { newEvent } from '../events/event.ts'
import {
  LOST_WORKER,
  isDeliveryNews,
  outboxItemSchema,
  type Lease,
  type NewOutboxItem,
  type Outbox,
  type OutboxDepth,
  type OutboxFilter,
  type OutboxItem,
  type Settlement,
} from '../events/outbox.ts'
import type { EmbeddedDatabase, Row } from './embedded-database.ts'
import { checkDocument, checkLimit, checkSame, type RepositoryTools } from './embedded-documents.ts'
import { addItems, appendEvents, dropMessages } from './embedded-event-log.ts'

const COLUMNS = `company_id, item_id, subject, dedupe_key, state, attempts, due_at, expires_at, reason, provider_id, delivery, created_at, updated_at, work`
/** Leases that run out are closed this many at a time: each is a row and an event. */
const MAX_CLOSED_AT_ONCE = 200

export class EmbeddedOutboxRepository implements Outbox {
  readonly #database: EmbeddedDatabase
  readonly #tools: RepositoryTools

  constructor(database: EmbeddedDatabase, tools: RepositoryTools) {
    this.#database = database
    this.#tools = tools
  }

  async add(companyId: string, items: readonly NewOutboxItem[], now: string): Promise<number> {
    return this.#database.transaction(() => addItems(this.#database, companyId, items, now))
  }

  async due(now: string, limit: number): Promise<readonly Readonly<{ companyId: string; itemId: string; dueAt: string }>[]> {
    this.#closeLostLeases(now)
    return this.#database
      .all(
        `SELECT company_id, item_id, due_at FROM outbox AS item
         WHERE state = 'waiting' AND due_at <= ?1 AND ${OLDEST_OF_SUBJECT} ORDER BY due_at, seq LIMIT ?2`,
        now,
        checkLimit(limit),
      )
      .map((row) => ({ companyId: String(row['company_id']), itemId: String(row['item_id']), dueAt: String(row['due_at']) }))
  }

  async claim(companyId: string, itemId: string, lease: Readonly<{ token: string; now: string; leaseUntil: string }>): Promise<Lease | null> {
    const item = this.#one(
      `UPDATE outbox AS item SET state = 'claimed', attempts = attempts + 1, lease_token = ?3, lease_until = ?5, updated_at = ?4
       WHERE company_id = ?1 AND item_id = ?2 AND state = 'waiting' AND due_at <= ?4 AND ${OLDEST_OF_SUBJECT} RETURNING ${COLUMNS}`,
      companyId,
      itemId,
      lease.token,
      lease.now,
      lease.leaseUntil,
    )
    return item === null ? null : { item, token: lease.token }
  }

  async beginSending(companyId: string, itemId: string, token: string, now: string, leaseUntil: string): Promise<boolean> {
    return (
      this.#database.run(
        `UPDATE outbox SET state = 'sending', begun_at = ?4, lease_until = ?5, updated_at = ?4
         WHERE company_id = ?1 AND item_id = ?2 AND state = 'claimed' AND lease_token = ?3 AND lease_until > ?4`,
        companyId,
        itemId,
        token,
        now,
        leaseUntil,
      ) > 0
    )
  }

  async settle(companyId: string, itemId: string, token: string, settlement: Settlement, now: string): Promise<boolean> {
    return this.#database.transaction(() => {
      const giveBack = settlement.state === 'waiting' && !settlement.countsAsAttempt ? 1 : 0
      const settled = this.#database.run(
        `UPDATE outbox SET state = ?4, reason = ?5, due_at = coalesce(?6, due_at), provider_id = coalesce(?7, provider_id), attempts = attempts - ?8,
           lease_token = NULL, lease_until = NULL, updated_at = ?9
         WHERE company_id = ?1 AND item_id = ?2 AND lease_token = ?3 AND state IN ('claimed', 'sending')`,
        companyId,
        itemId,
        token,
        settlement.state,
        settlement.reason.slice(0, 300),
        settlement.state === 'waiting' ? settlement.dueAt : null,
        settlement.state === 'done' ? settlement.providerId : null,
        giveBack,
        now,
      )
      if (settled === 0) return false
      if (settlement.dropSubject !== undefined) dropMessages(this.#database, companyId, settlement.dropSubject, now)
      addItems(this.#database, companyId, settlement.add ?? [], now)
      appendEvents(this.#database, companyId, settlement.events ?? [], this.#tools.clock.wallTime())
      return true
    })
  }

  async delivered(
    companyId: string,
    itemId: string,
    report: Readonly<{ providerId: string; delivery: OutboxItem['delivery']; reason: string }>,
    now: string,
  ): Promise<OutboxItem | null> {
    return this.#database.transaction(() => {
      const stored = this.#get(companyId, itemId)
      if (stored === null || stored.work.kind !== 'message') return null
      if (stored.providerId !== null && stored.providerId !== report.providerId) return null
      const provesTaken = stored.state === 'unknown' || stored.state === 'sending'
      const isNews = isDeliveryNews(stored.delivery, report.delivery)
      if (!provesTaken && !(stored.state === 'done' && isNews)) return null
      return this.#one(
        `UPDATE outbox SET state = 'done', delivery = ?3, provider_id = ?4, reason = ?5, lease_token = NULL, lease_until = NULL, updated_at = ?6
         WHERE company_id = ?1 AND item_id = ?2 RETURNING ${COLUMNS}`,
        companyId,
        itemId,
        isNews ? report.delivery : stored.delivery,
        report.providerId,
        report.reason.slice(0, 300),
        now,
      )
    })
  }

  async get(companyId: string, itemId: string): Promise<OutboxItem | null> {
    return this.#get(companyId, itemId)
  }

  async list(companyId: string, filter: OutboxFilter): Promise<readonly OutboxItem[]> {
    const limit = checkLimit(filter.limit)
    let beforeSeq: number | null = null
    if (filter.before !== null) {
      const row = this.#database.get('SELECT seq FROM outbox WHERE company_id = ? AND item_id = ?', companyId, filter.before)
      if (row === undefined) throw new ClientsViaError('INVALID_INPUT', 'before must be the id of an item of this company', { field: 'before' })
      beforeSeq = Number(row['seq'])
    }
    const rows = this.#database.all(
      `SELECT ${COLUMNS} FROM outbox
       WHERE company_id = ?1 AND kind = ?2
         AND (?3 IS NULL OR seq < ?3)
         AND (?4 IS NULL OR state = ?4)
         AND (?5 IS NULL OR subject = ?5)
         AND (?6 IS NULL OR recipient = ?6)
       ORDER BY seq DESC LIMIT ?7`,
      companyId,
      filter.kind,
      beforeSeq,
      filter.state ?? null,
      filter.subject ?? null,
      filter.to ?? null,
      limit,
    )
    return rows.flatMap((row) => {
      try {
        return [itemOf(row)]
      } catch (error) {
        if (!(error instanceof ClientsViaError)) throw error
        this.#tools.report(error)
        return []
      }
    })
  }

  async retry(companyId: string, itemId: string, now: string): Promise<OutboxItem | null> {
    return this.#one(
      `UPDATE outbox SET state = 'waiting', attempts = 0, due_at = ?3, expires_at = NULL, reason = 'tried again by hand', provider_id = NULL, delivery = 'none', updated_at = ?3
       WHERE company_id = ?1 AND item_id = ?2 AND state IN ('failed', 'unknown') RETURNING ${COLUMNS}`,
      companyId,
      itemId,
      now,
    )
  }

  async drop(companyId: string, itemId: string, reason: string, now: string): Promise<OutboxItem | null> {
    return this.#one(
      `UPDATE outbox SET state = 'dropped', reason = ?3, updated_at = ?4
       WHERE company_id = ?1 AND item_id = ?2 AND kind = 'message' AND state = 'waiting' RETURNING ${COLUMNS}`,
      companyId,
      itemId,
      reason.slice(0, 300),
      now,
    )
  }

  async sentSince(companyId: string, channel: 'sms' | 'email', since: string): Promise<number> {
    return Number(this.#database.get('SELECT count(*) AS n FROM outbox WHERE company_id = ? AND channel = ? AND begun_at >= ?', companyId, channel, since)?.['n'])
  }

  async rewrite(companyId: string, item: OutboxItem): Promise<boolean> {
    const checked = checkDocument(outboxItemSchema, item, `outbox item ${companyId}/${item.id}`)
    checkSame('item.companyId', companyId, checked.companyId)
    return (
      this.#database.run(
        'UPDATE outbox SET subject = ?, recipient = ?, work = ?, reason = ? WHERE company_id = ? AND item_id = ?',
        checked.subject,
        checked.work.kind === 'message' ? checked.work.message.to : null,
        JSON.stringify(checked.work),
        checked.reason,
        companyId,
        checked.id,
      ) > 0
    )
  }

  async delete(companyId: string, itemId: string): Promise<boolean> {
    return this.#database.run('DELETE FROM outbox WHERE company_id = ? AND item_id = ?', companyId, itemId) > 0
  }

  async deleteEndedBefore(companyId: string, before: string, limit: number): Promise<number> {
    return this.#database.run(
      `DELETE FROM outbox WHERE company_id = ?1 AND seq IN (
         SELECT seq FROM outbox WHERE company_id = ?1 AND state NOT IN ('waiting', 'claimed', 'sending') AND updated_at < ?2 ORDER BY seq LIMIT ?3)`,
      companyId,
      before,
      checkLimit(limit),
    )
  }

  async depth(): Promise<OutboxDepth> {
    const depth = { waiting: 0, claimed: 0, sending: 0, done: 0, failed: 0, unknown: 0, dropped: 0 }
    for (const row of this.#database.all('SELECT state, count(*) AS n FROM outbox GROUP BY state')) {
      const state = String(row['state'])
      if (state in depth) depth[state as keyof typeof depth] = Number(row['n'])
    }
    const oldest = this.#database.get(`SELECT min(due_at) AS due_at FROM outbox WHERE state = 'waiting'`)?.['due_at']
    return { ...depth, oldestDueAt: typeof oldest === 'string' ? oldest : null }
  }

  /** A worker that is gone: what it had not begun waits again, what it had begun may have been sent. */
  #closeLostLeases(now: string): void {
    this.#database.transaction(() => {
      this.#database.run(
        `UPDATE outbox SET state = 'waiting', lease_token = NULL, lease_until = NULL, updated_at = ?1 WHERE state = 'claimed' AND lease_until <= ?1`,
        now,
      )
      const lost = this.#database.all(
        `UPDATE outbox SET state = 'unknown', reason = ?2, lease_token = NULL, lease_until = NULL, updated_at = ?1
         WHERE seq IN (SELECT seq FROM outbox WHERE state = 'sending' AND lease_until <= ?1 LIMIT ?3) RETURNING ${COLUMNS}`,
        now,
        LOST_WORKER,
        MAX_CLOSED_AT_ONCE,
      )
      const wallTime = this.#tools.clock.wallTime()
      for (const row of lost) {
        const item = itemOf(row)
        const { message } = item.work as Extract<OutboxItem['work'], { kind: 'message' }>
        const event = newEvent(wallTime, {
          companyId: item.companyId,
          type: 'message.unknown',
          subject: `message/${item.id}`,
          callSid: message.callSid,
          data: { kind: message.kind, channel: message.channel, reason: LOST_WORKER },
        })
        appendEvents(this.#database, item.companyId, [event], wallTime)
      }
    })
  }

  #get(companyId: string, itemId: string): OutboxItem | null {
    return this.#one(`SELECT ${COLUMNS} FROM outbox WHERE company_id = ? AND item_id = ?`, companyId, itemId)
  }

  #one(sql: string, ...values: Parameters<EmbeddedDatabase['get']> extends [string, ...infer Values] ? Values : never): OutboxItem | null {
    const row = this.#database.get(sql, ...values)
    return row === undefined ? null : itemOf(row)
  }
}

/** Messages are independent; the tasks of one subject are done in the order they were written. */
const OLDEST_OF_SUBJECT = `(item.kind = 'message' OR NOT EXISTS (
  SELECT 1 FROM outbox AS older WHERE older.company_id = item.company_id AND older.subject = item.subject AND older.seq < item.seq
    AND older.kind = 'event' AND older.state IN ('waiting', 'claimed')))`

/** Throws STORE_FAILED for a row that cannot be read, naming it. */
function itemOf(row: Row): OutboxItem {
  const name = `outbox item ${String(row['company_id'])}/${String(row['item_id'])}`
  let work: unknown
  try {
    work = JSON.parse(String(row['work']))
  } catch {
    throw new ClientsViaError('STORE_FAILED', `${name} cannot be read: it is not JSON`, { document: name })
  }
  const parsed = outboxItemSchema.safeParse({
    id: row['item_id'],
    companyId: row['company_id'],
    work,
    subject: row['subject'],
    dedupeKey: row['dedupe_key'],
    state: row['state'],
    attempts: row['attempts'],
    dueAt: row['due_at'],
    expiresAt: row['expires_at'],
    reason: row['reason'],
    providerId: row['provider_id'],
    delivery: row['delivery'],
    createdAt: row['created_at'],
    updatedAt: row['updated_at'],
  })
  if (!parsed.success) throw new ClientsViaError('STORE_FAILED', `${name} cannot be read: ${parsed.error.issues.map((issue) => issue.path.join('.')).join(', ')}`, { document: name })
  return parsed.data
}
