import { ClientsViaError, isClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import { domainEventSchema, needsFollowUp, type DomainEvent } from '../events/event.ts'
import { workSchema, type NewOutboxItem } from '../events/outbox.ts'
import { checkDocument, checkSame, type RepositoryTools } from './embedded-documents.ts'
import { KeyedTurns } from './keyed-turns.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import { newRow, rowFields, rowOf } from './mongo-outbox-row.ts'
import { sequelFields, sequelsOf, sequelsTo, type OrderedItem, type Sequel } from './mongo-sequel.ts'

/** Processes that append to one company's log at once; each round one of them wins. */
const MAX_TRIES = 32
/** A process that lives has carried it out by then. */
const LEFT_BEHIND_MS = 10_000
/** Found in one round, of each collection. */
const MAX_LEFT_BEHIND = 200
/** Records that have sequels. */
const WITH_SEQUELS = ['event_batches', 'events', 'outbox', 'leads', 'contacts'] as const

/**
 * Events in the order they were committed: an event's key is its place in its company's log, and whoever takes a place has seen the one before
 * it taken, so that a reader who has read up to a place never misses one before it. The other repositories pass on here what their changes
 * lead to.
 */
export class MongoEventLog {
  readonly #tools: RepositoryTools
  readonly #onEvent: (event: DomainEvent) => void
  readonly #events: MongoRecords
  readonly #batches: MongoRecords
  readonly #outbox: MongoRecords
  readonly #withSequels: readonly MongoRecords[]
  readonly #turns = new KeyedTurns()
  #lastOrder = 0

  /** `onEvent`: told of every event that this process has stored, once. */
  constructor(database: MongoDatabase, tools: RepositoryTools, onEvent: (event: DomainEvent) => void) {
    this.#tools = tools
    this.#onEvent = onEvent
    this.#events = database.collection('events')
    this.#batches = database.collection('event_batches')
    this.#outbox = database.collection('outbox')
    this.#withSequels = WITH_SEQUELS.map((name) => database.collection(name))
  }

  /** All of them or none. Several are written down together first, so that nobody has to remember the rest. */
  async append(companyId: string, events: readonly DomainEvent[], signal?: AbortSignal): Promise<void> {
    const checked = this.check(companyId, events)
    const [first, ...others] = checked
    if (first === undefined) return
    if (others.length === 0) {
      await this.#appendOne(companyId, first, signal)
      return
    }
    const batch = { _id: idOf(companyId, uuidv7(this.#tools.clock.wallTime())), companyId, revision: 1, ...sequelFields(sequelsTo({ events: checked }, this.#tools.clock.wallTime())) }
    await this.#batches.insert(batch, signal)
    await this.#carryOut(this.#batches, batch, signal)
  }

  /** Throws INVALID_INPUT for an event that is not valid, or is another company's. */
  check(companyId: string, events: readonly DomainEvent[]): readonly DomainEvent[] {
    return events.map((event) => {
      const checked = checkDocument(domainEventSchema, event, `event ${event.type} of ${event.subject}`)
      checkSame('event.companyId', companyId, checked.companyId)
      return checked
    })
  }

  /** The order of items about to be written. */
  ordered(companyId: string, items: readonly NewOutboxItem[]): readonly OrderedItem[] {
    return items.map((item) => ({ ...item, work: checkDocument(workSchema, item.work, `outbox item ${companyId}/${item.id}`), order: this.nextOrder() }))
  }

  nextOrder(): number {
    this.#lastOrder = Math.max(this.#lastOrder + 1, this.#tools.clock.wallTime().getTime() * 1000)
    return this.#lastOrder
  }

  /** Returns how many are new. */
  async addItems(companyId: string, items: readonly OrderedItem[], now: string, signal?: AbortSignal): Promise<number> {
    let added = 0
    for (const item of items) {
      const isNew = await this.#outbox.insert({ _id: idOf(companyId, item.id), revision: 1, ...rowFields(newRow(companyId, item, now)) }, signal)
      added += Number(isNew)
    }
    return added
  }

  /** Carries out what was just written in a record. What does not succeed at once is safe there, and is done with what others have left. */
  async carryOut(records: MongoRecords, record: Stored, signal?: AbortSignal): Promise<void> {
    try {
      await this.#carryOut(records, record, signal)
    } catch (error) {
      signal?.throwIfAborted()
      if (!isClientsViaError(error, 'STORE_FAILED') && !isClientsViaError(error, 'OVERLOADED')) throw error
    }
  }

  /** Carries out what processes that died have left; returns in how many records. */
  async finishLeftBehind(signal?: AbortSignal): Promise<number> {
    const before = new Date(this.#tools.clock.wallTime().getTime() - LEFT_BEHIND_MS).toISOString()
    let finished = 0
    for (const records of this.#withSequels) {
      for (const record of await records.find({ hasSequels: true }, { sort: { _id: 1 }, limit: MAX_LEFT_BEHIND }, signal)) {
        if (sequelsOf(record).some((sequel) => sequel.at > before)) continue
        await this.#carryOut(records, record, signal)
        finished += 1
      }
    }
    return finished
  }

  async #carryOut(records: MongoRecords, record: Stored, signal?: AbortSignal): Promise<void> {
    const sequels = sequelsOf(record)
    if (sequels.length === 0) return
    const companyId = String(record['companyId'])
    for (const { at, drop, items, events } of sequels) {
      if (drop !== null) await this.#dropMessages(companyId, drop, at, signal)
      await this.addItems(companyId, items, at, signal)
      for (const event of events) await this.#appendOne(companyId, event, signal)
    }
    await this.#cross(records, record, sequels, signal)
  }

  /** They are done: the record forgets them. */
  async #cross(records: MongoRecords, record: Stored, done: readonly Sequel[], signal?: AbortSignal): Promise<void> {
    if (records.name === this.#batches.name) {
      await records.delete({ _id: record._id }, signal)
      return
    }
    const ids = new Set(done.map((sequel) => sequel.id))
    await records.change<void>(
      record._id,
      (stored) => {
        if (stored === null || stored['hasSequels'] !== true) return { record: null, answer: undefined }
        const rest = sequelsOf(stored).filter((sequel) => !ids.has(sequel.id))
        const fields = records.name === this.#outbox.name ? rowFields({ ...rowOf(stored), sequels: rest }) : { ...stored, ...sequelFields(rest) }
        return { record: fields, answer: undefined }
      },
      signal,
    )
  }

  /** An event that is there already is left as it is. */
  #appendOne(companyId: string, event: DomainEvent, signal?: AbortSignal): Promise<void> {
    const attempt = async (): Promise<void> => {
      for (let tries = 0; tries < MAX_TRIES; tries += 1) {
        const [newest] = await this.#events.find({ companyId }, { sort: { seq: -1 }, limit: 1 }, signal)
        const record = this.#recordOf(event, Number(newest?.['seq'] ?? 0) + 1)
        if (await this.#events.insert(record, signal)) {
          this.#onEvent(event)
          await this.carryOut(this.#events, record, signal)
          return
        }
        // Either the place is taken, or the event is there.
        if ((await this.#events.count({ companyId, eventId: event.id }, signal)) > 0) return
      }
      throw new ClientsViaError('OVERLOADED', 'too many events of one company at once')
    }
    return this.#turns.take(companyId, attempt, signal)
  }

  #recordOf(event: DomainEvent, seq: number): Stored {
    const wallTime = this.#tools.clock.wallTime()
    const task: OrderedItem = { id: uuidv7(wallTime), work: { kind: 'event', event }, subject: event.subject, dedupeKey: `event:${event.id}`, dueAt: wallTime.toISOString(), expiresAt: null, order: seq }
    return {
      _id: idOf(event.companyId, seq),
      revision: 1,
      seq,
      ...eventFields(event),
      ...sequelFields(sequelsTo({ items: needsFollowUp(event.type) ? [task] : [] }, wallTime)),
    }
  }

  /** Also what a worker holds but has not begun to send: its lease is gone with it. */
  async #dropMessages(companyId: string, { subject, prefix, reason, upToOrder }: NonNullable<Sequel['drop']>, now: string, signal?: AbortSignal): Promise<void> {
    const found = await this.#outbox.find({ companyId, subject, kind: 'message', state: { $in: ['waiting', 'claimed'] }, order: { $lte: upToOrder } }, { sort: { order: 1 }, limit: 0 }, signal)
    for (const { _id } of found.filter((record) => String(record['dedupeKey']).startsWith(prefix))) {
      await this.#outbox.change<void>(
        _id,
        (stored) => {
          const row = stored === null ? null : rowOf(stored)
          if (row === null || (row.item.state !== 'waiting' && row.item.state !== 'claimed')) return { record: null, answer: undefined }
          return { record: rowFields({ ...row, leaseToken: null, leaseUntil: null, item: { ...row.item, state: 'dropped', reason: reason.slice(0, 300), updatedAt: now } }), answer: undefined }
        },
        signal,
      )
    }
  }
}

/** What an event is searched by, and the event. As text: what it says has keys of its own making. */
export function eventFields(event: DomainEvent): Readonly<Record<string, unknown>> {
  const { companyId, id, type, at, subject, callSid } = event
  return { companyId, eventId: id, type, at, subject, callSid, json: JSON.stringify(event) }
}
