import { ClientsViaError } from '../core/errors.ts'
import { domainEventSchema, type DomainEvent, type EventPage, type EventStore } from '../events/event.ts'
import type { EmbeddedDatabase, Row } from './embedded-database.ts'
import { checkDocument, checkLimit, checkSame, readDocument, readDocuments, type RepositoryTools } from './embedded-documents.ts'
import { appendEvents } from './embedded-event-log.ts'

export class EmbeddedEventRepository implements EventStore {
  readonly #database: EmbeddedDatabase
  readonly #tools: RepositoryTools

  constructor(database: EmbeddedDatabase, tools: RepositoryTools) {
    this.#database = database
    this.#tools = tools
  }

  async append(companyId: string, events: readonly DomainEvent[]): Promise<void> {
    this.#database.transaction(() => appendEvents(this.#database, companyId, events, this.#tools.clock.wallTime()))
  }

  async get(companyId: string, eventId: string): Promise<DomainEvent | null> {
    const row = this.#database.get('SELECT company_id, event_id, document FROM events WHERE company_id = ? AND event_id = ?', companyId, eventId)
    return row === undefined ? null : readDocument(domainEventSchema, row, nameOf(row))
  }

  async list(companyId: string, page: EventPage): Promise<readonly DomainEvent[]> {
    const limit = checkLimit(page.limit)
    let afterSeq = 0
    if (page.after !== null) {
      const row = this.#database.get('SELECT seq FROM events WHERE company_id = ? AND event_id = ?', companyId, page.after)
      if (row === undefined) throw new ClientsViaError('INVALID_INPUT', 'after must be the id of an event of this company', { field: 'after' })
      afterSeq = Number(row['seq'])
    }
    const rows = this.#database.all(
      `SELECT company_id, event_id, document FROM events
       WHERE company_id = ?1 AND seq > ?2
         AND (?3 IS NULL OR type IN (SELECT value FROM json_each(?3)))
         AND (?4 IS NULL OR subject = ?4)
         AND (?5 IS NULL OR call_sid = ?5)
       ORDER BY seq LIMIT ?6`,
      companyId,
      afterSeq,
      page.types === undefined ? null : JSON.stringify(page.types),
      page.subject ?? null,
      page.callSid ?? null,
      limit,
    )
    return readDocuments(domainEventSchema, rows, nameOf, this.#tools.report)
  }

  async newestId(companyId: string): Promise<string | null> {
    const row = this.#database.get('SELECT event_id FROM events WHERE company_id = ? ORDER BY seq DESC LIMIT 1', companyId)
    return row === undefined ? null : String(row['event_id'])
  }

  async rewrite(companyId: string, event: DomainEvent): Promise<boolean> {
    const checked = checkDocument(domainEventSchema, event, `event ${companyId}/${event.id}`)
    checkSame('event.companyId', companyId, checked.companyId)
    return (
      this.#database.run('UPDATE events SET subject = ?, document = ? WHERE company_id = ? AND event_id = ?', checked.subject, JSON.stringify(checked), companyId, checked.id) > 0
    )
  }

  async deleteBefore(companyId: string, before: string, limit: number): Promise<number> {
    return this.#database.run(
      'DELETE FROM events WHERE company_id = ?1 AND seq IN (SELECT seq FROM events WHERE company_id = ?1 AND at < ?2 ORDER BY seq LIMIT ?3)',
      companyId,
      before,
      checkLimit(limit),
    )
  }
}

function nameOf(row: Row): string {
  return `event ${String(row['company_id'])}/${String(row['event_id'])}`
}
