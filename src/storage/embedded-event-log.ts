import { uuidv7 } from '../core/ids.ts'
import { domainEventSchema, needsFollowUp, type DomainEvent } from '../events/event.ts'
import { workSchema, type DropSubject, type NewOutboxItem } from '../events/outbox.ts'
import type { EmbeddedDatabase } from './embedded-database.ts'
import { checkDocument, checkSame } from './embedded-documents.ts'

/**
 * For other repositories, inside their own transaction: what they changed and that it happened are stored together or not at all, and so
 * is the task of whoever must act on it. An event that is there already is left as it is.
 */
export function appendEvents(database: EmbeddedDatabase, companyId: string, events: readonly DomainEvent[], wallTime: Date): void {
  for (const given of events) {
    const event = checkDocument(domainEventSchema, given, `event ${given.type} of ${given.subject}`)
    checkSame('event.companyId', companyId, event.companyId)
    const isNew =
      database.run(
        `INSERT INTO events (company_id, event_id, type, at, subject, call_sid, document) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (company_id, event_id) DO NOTHING`,
        companyId,
        event.id,
        event.type,
        event.at,
        event.subject,
        event.callSid,
        JSON.stringify(event),
      ) > 0
    if (!isNew) continue
    const listener = LISTENERS.get(database)
    if (listener !== undefined) database.afterCommit(() => listener(event))
    if (!needsFollowUp(event.type)) continue
    const now = wallTime.toISOString()
    addItems(database, companyId, [{ id: uuidv7(wallTime), work: { kind: 'event', event }, subject: event.subject, dedupeKey: `event:${event.id}`, dueAt: now, expiresAt: null }], now)
  }
}

const LISTENERS = new WeakMap<EmbeddedDatabase, (event: DomainEvent) => void>()

/** Every event that is committed through `database` from now on, once. */
export function onEvent(database: EmbeddedDatabase, listener: (event: DomainEvent) => void): void {
  LISTENERS.set(database, listener)
}

/** Inside the caller's transaction. Returns how many are new. */
export function addItems(database: EmbeddedDatabase, companyId: string, items: readonly NewOutboxItem[], now: string): number {
  let added = 0
  for (const item of items) {
    const work = checkDocument(workSchema, item.work, `outbox item ${companyId}/${item.id}`)
    const message = work.kind === 'message' ? work.message : null
    added += database.run(
      `INSERT INTO outbox (company_id, item_id, kind, subject, dedupe_key, channel, recipient, state, attempts, due_at, expires_at, reason,
         provider_id, delivery, created_at, updated_at, work)
       VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', 0, ?, ?, '', NULL, 'none', ?, ?, ?)
       ON CONFLICT (company_id, dedupe_key) DO NOTHING`,
      companyId,
      item.id,
      work.kind,
      item.subject,
      item.dedupeKey,
      message?.channel ?? null,
      message?.to ?? null,
      item.dueAt,
      item.expiresAt,
      now,
      now,
      JSON.stringify(work),
    )
  }
  return added
}

/** Also what a worker holds but has not begun to send: its lease is gone with it. */
export function dropMessages(database: EmbeddedDatabase, companyId: string, drop: DropSubject, now: string): void {
  database.run(
    `UPDATE outbox SET state = 'dropped', reason = ?1, lease_token = NULL, lease_until = NULL, updated_at = ?2
     WHERE company_id = ?3 AND subject = ?4 AND kind = 'message' AND state IN ('waiting', 'claimed') AND substr(dedupe_key, 1, length(?5)) = ?5`,
    drop.reason,
    now,
    companyId,
    drop.subject,
    drop.prefix,
  )
}

/** With the company itself, in its transaction. */
export function deleteEventsOf(database: EmbeddedDatabase, companyId: string): void {
  database.run('DELETE FROM events WHERE company_id = ?', companyId)
  database.run('DELETE FROM outbox WHERE company_id = ?', companyId)
  database.run('DELETE FROM leads WHERE company_id = ?', companyId)
  database.run('DELETE FROM message_templates WHERE company_id = ?', companyId)
  database.run('DELETE FROM contact_preferences WHERE company_id = ?', companyId)
}
