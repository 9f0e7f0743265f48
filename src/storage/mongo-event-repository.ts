import { ClientsViaError } from '../core/errors.ts'
import { domainEventSchema, type DomainEvent, type EventPage, type EventStore } from '../events/event.ts'
import { checkLimit, type RepositoryTools } from './embedded-documents.ts'
import type { MongoDatabase, MongoRecords, Stored } from './mongo-database.ts'
import { parsedRecord, readRecord, readRecords } from './mongo-documents.ts'
import { eventFields, type MongoEventLog } from './mongo-event-log.ts'

export class MongoEventRepository implements EventStore {
  readonly #tools: RepositoryTools
  readonly #log: MongoEventLog
  readonly #events: MongoRecords

  constructor(database: MongoDatabase, tools: RepositoryTools, log: MongoEventLog) {
    this.#tools = tools
    this.#log = log
    this.#events = database.collection('events')
  }

  append(companyId: string, events: readonly DomainEvent[], signal?: AbortSignal): Promise<void> {
    return this.#log.append(companyId, events, signal)
  }

  async get(companyId: string, eventId: string, signal?: AbortSignal): Promise<DomainEvent | null> {
    const record = await this.#find(companyId, eventId, signal)
    return record === null ? null : readRecord(domainEventSchema, parsedRecord(record), 'event')
  }

  async list(companyId: string, page: EventPage, signal?: AbortSignal): Promise<readonly DomainEvent[]> {
    const limit = checkLimit(page.limit)
    const after = page.after === null ? null : await this.#find(companyId, page.after, signal)
    if (page.after !== null && after === null) throw new ClientsViaError('INVALID_INPUT', 'after must be the id of an event of this company', { field: 'after' })
    const records = await this.#events.find(
      {
        companyId,
        seq: { $gt: Number(after?.['seq'] ?? 0) },
        ...(page.types !== undefined && { type: { $in: [...page.types] } }),
        ...(page.subject !== undefined && { subject: page.subject }),
        ...(page.callSid !== undefined && { callSid: page.callSid }),
      },
      { sort: { seq: 1 }, limit },
      signal,
    )
    return readRecords(domainEventSchema, records.map(parsedRecord), 'event', this.#tools.report)
  }

  async newestId(companyId: string, signal?: AbortSignal): Promise<string | null> {
    const [record] = await this.#events.find({ companyId }, { sort: { seq: -1 }, limit: 1 }, signal)
    return record === undefined ? null : String(record['eventId'])
  }

  async rewrite(companyId: string, event: DomainEvent, signal?: AbortSignal): Promise<boolean> {
    const [checked] = this.#log.check(companyId, [event])
    const found = await this.#find(companyId, event.id, signal)
    if (checked === undefined || found === null) return false
    return this.#events.change<boolean>(found._id, (stored) => ({ record: stored === null ? null : { ...stored, ...eventFields(checked) }, answer: stored !== null }), signal)
  }

  /** One whose task is not written yet stays until it is. */
  async deleteBefore(companyId: string, before: string, limit: number, signal?: AbortSignal): Promise<number> {
    const records = await this.#events.find({ companyId, at: { $lt: before }, hasSequels: false }, { sort: { at: 1 }, limit: checkLimit(limit) }, signal)
    return records.length === 0 ? 0 : this.#events.delete({ companyId, _id: { $in: records.map((record) => record._id) } }, signal)
  }

  async #find(companyId: string, eventId: string, signal?: AbortSignal): Promise<Stored | null> {
    const [record] = await this.#events.find({ companyId, eventId }, { sort: { seq: 1 }, limit: 1 }, signal)
    return record ?? null
  }
}
