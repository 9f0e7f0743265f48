import type { Filter } from 'mongodb'
import { ClientsViaError } from '../core/errors.ts'
import { newEvent } from '../events/event.ts'
import {
  LOST_WORKER,
  OUTBOX_STATES,
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
import { checkDocument, checkLimit, checkSame, type RepositoryTools } from './embedded-documents.ts'
import { KeyedTurns } from './keyed-turns.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import type { MongoEventLog } from './mongo-event-log.ts'
import { rowFields, rowOf, type OutboxRow } from './mongo-outbox-row.ts'
import { sequelsTo } from './mongo-sequel.ts'

/** Leases that run out are closed this many at a time: each is a record and an event. */
const MAX_CLOSED_AT_ONCE = 200
/** What is due is read in pieces, since tasks that wait for an older one are left out ... */
const DUE_PAGE = 200
/** ... and a thousand of these in a row are looked at before the next scan. */
const MAX_DUE_PAGES = 5
/** Keys of one item whose workers died with them before they could use them. */
const MAX_LOST_KEYS = 20
const ENDED = ['done', 'failed', 'unknown', 'dropped'] as const

/**
 * The outbox of any number of processes. An item is one record and changes in one step; what its end leads to is written in it. That one worker
 * has it is decided by a key of its own, which nobody can insert twice: a server may speak the protocol without keeping two updates apart.
 */
export class MongoOutboxRepository implements Outbox {
  readonly #tools: RepositoryTools
  readonly #log: MongoEventLog
  readonly #outbox: MongoRecords
  readonly #events: MongoRecords
  readonly #claims: MongoRecords
  readonly #turns = new KeyedTurns()

  constructor(database: MongoDatabase, tools: RepositoryTools, log: MongoEventLog) {
    this.#tools = tools
    this.#log = log
    this.#outbox = database.collection('outbox')
    this.#events = database.collection('events')
    this.#claims = database.collection('outbox_claims')
  }

  add(companyId: string, items: readonly NewOutboxItem[], now: string, signal?: AbortSignal): Promise<number> {
    return this.#log.addItems(companyId, this.#log.ordered(companyId, items), now, signal)
  }

  async due(now: string, limit: number, signal?: AbortSignal): Promise<readonly Readonly<{ companyId: string; itemId: string; dueAt: string }>[]> {
    const size = checkLimit(limit)
    await this.#closeLostLeases(now, signal)
    const due: Stored[] = []
    let last: Stored | undefined
    for (let page = 0; page < MAX_DUE_PAGES && due.length < size; page += 1) {
      const beyond: Filter<Stored> = last === undefined ? {} : { $or: [{ dueAt: { $gt: last['dueAt'] } }, { dueAt: last['dueAt'], order: { $gt: last['order'] } }, { dueAt: last['dueAt'], order: last['order'], _id: { $gt: last._id } }] }
      const records = await this.#outbox.find({ state: 'waiting', $and: [{ dueAt: { $lte: now } }, beyond] }, { sort: { dueAt: 1, order: 1, _id: 1 }, limit: DUE_PAGE }, signal)
      due.push(...(await this.#withoutBlocked(records, signal)))
      last = records.at(-1)
      if (records.length < DUE_PAGE) break
    }
    return due.slice(0, size).map((record) => ({ companyId: String(record['companyId']), itemId: String(record['itemId']), dueAt: String(record['dueAt']) }))
  }

  claim(companyId: string, itemId: string, lease: Readonly<{ token: string; now: string; leaseUntil: string }>, signal?: AbortSignal): Promise<Lease | null> {
    return this.#turns.take(idOf(companyId, itemId), () => this.#claim(companyId, itemId, lease, signal), signal)
  }

  async beginSending(companyId: string, itemId: string, token: string, now: string, leaseUntil: string, signal?: AbortSignal): Promise<boolean> {
    const row = await this.#move(
      companyId,
      itemId,
      (row) => {
        const isHeld = row.item.state === 'claimed' && row.leaseToken === token && row.leaseUntil !== null && row.leaseUntil > now
        return isHeld ? { ...row, begunAt: now, leaseUntil, item: { ...row.item, state: 'sending', updatedAt: now } } : null
      },
      signal,
    )
    return row !== null
  }

  async settle(companyId: string, itemId: string, token: string, settlement: Settlement, now: string, signal?: AbortSignal): Promise<boolean> {
    const wallTime = this.#tools.clock.wallTime()
    const { dropSubject, add = [], events = [] } = settlement
    const drop = dropSubject === undefined ? null : { ...dropSubject, upToOrder: this.#log.nextOrder() }
    const sequels = sequelsTo({ drop, items: this.#log.ordered(companyId, add), events: this.#log.check(companyId, events) }, wallTime)
    const id = idOf(companyId, itemId)
    const outcome = await this.#outbox.change<Stored | null>(
      id,
      (stored) => {
        const row = stored === null ? null : rowOf(stored)
        // Its first answer was lost on the way: what was written stands.
        if (row?.settledBy === token) return { record: null, answer: stored }
        if (row === null || row.leaseToken !== token || (row.item.state !== 'claimed' && row.item.state !== 'sending')) return { record: null, answer: null }
        const record = { companyId, ...rowFields({ ...settled(row, settlement, now), settledBy: token, sequels: [...row.sequels, ...sequels] }) }
        return { record, answer: { _id: id, ...record } }
      },
      signal,
    )
    if (outcome === null) return false
    await this.#log.carryOut(this.#outbox, outcome, signal)
    await this.#claims.delete({ _id: idOf(companyId, itemId, Number(outcome['claims'])) }, signal)
    return true
  }

  async delivered(
    companyId: string,
    itemId: string,
    report: Readonly<{ providerId: string; delivery: OutboxItem['delivery']; reason: string }>,
    now: string,
    signal?: AbortSignal,
  ): Promise<OutboxItem | null> {
    const row = await this.#move(
      companyId,
      itemId,
      (row) => {
        const { item } = row
        if (item.work.kind !== 'message' || (item.providerId !== null && item.providerId !== report.providerId)) return null
        const provesTaken = item.state === 'unknown' || item.state === 'sending'
        const isNews = isDeliveryNews(item.delivery, report.delivery)
        if (!provesTaken && !(item.state === 'done' && isNews)) return null
        const delivery = isNews ? report.delivery : item.delivery
        return { ...row, leaseToken: null, leaseUntil: null, item: { ...item, state: 'done', delivery, providerId: report.providerId, reason: report.reason.slice(0, 300), updatedAt: now } }
      },
      signal,
    )
    return row?.item ?? null
  }

  async get(companyId: string, itemId: string, signal?: AbortSignal): Promise<OutboxItem | null> {
    const record = await this.#outbox.get(idOf(companyId, itemId), signal)
    return record === null ? null : rowOf(record).item
  }

  async list(companyId: string, filter: OutboxFilter, signal?: AbortSignal): Promise<readonly OutboxItem[]> {
    const limit = checkLimit(filter.limit)
    const conditions: Filter<Stored>[] = []
    if (filter.before !== null) {
      const before = await this.#outbox.get(idOf(companyId, filter.before), signal)
      if (before === null) throw new ClientsViaError('INVALID_INPUT', 'before must be the id of an item of this company', { field: 'before' })
      conditions.push({ $or: [{ order: { $lt: before['order'] } }, { order: before['order'], itemId: { $lt: before['itemId'] } }] })
    }
    if (filter.state !== undefined) conditions.push({ state: filter.state })
    if (filter.subject !== undefined) conditions.push({ subject: filter.subject })
    if (filter.to !== undefined) conditions.push({ recipient: filter.to })
    const query: Filter<Stored> = { companyId, kind: filter.kind, ...(conditions.length > 0 && { $and: conditions }) }
    const records = await this.#outbox.find(query, { sort: { order: -1, itemId: -1 }, limit }, signal)
    return records.flatMap((record) => {
      try {
        return [rowOf(record).item]
      } catch (error) {
        if (!(error instanceof ClientsViaError)) throw error
        this.#tools.report(error)
        return []
      }
    })
  }

  async retry(companyId: string, itemId: string, now: string, signal?: AbortSignal): Promise<OutboxItem | null> {
    const row = await this.#move(
      companyId,
      itemId,
      (row) => {
        if (row.item.state !== 'failed' && row.item.state !== 'unknown') return null
        const anew = { state: 'waiting', attempts: 0, dueAt: now, expiresAt: null, reason: 'tried again by hand', providerId: null, delivery: 'none', updatedAt: now } as const
        return { ...row, settledBy: null, item: { ...row.item, ...anew } }
      },
      signal,
    )
    return row?.item ?? null
  }

  async drop(companyId: string, itemId: string, reason: string, now: string, signal?: AbortSignal): Promise<OutboxItem | null> {
    const row = await this.#move(
      companyId,
      itemId,
      (row) => (row.item.work.kind === 'message' && row.item.state === 'waiting' ? { ...row, item: { ...row.item, state: 'dropped', reason: reason.slice(0, 300), updatedAt: now } } : null),
      signal,
    )
    return row?.item ?? null
  }

  sentSince(companyId: string, channel: 'sms' | 'email', since: string, signal?: AbortSignal): Promise<number> {
    return this.#outbox.count({ companyId, channel, begunAt: { $gte: since } }, signal)
  }

  async rewrite(companyId: string, item: OutboxItem, signal?: AbortSignal): Promise<boolean> {
    const { subject, work, reason, ...checked } = checkDocument(outboxItemSchema, item, `outbox item ${companyId}/${item.id}`)
    checkSame('item.companyId', companyId, checked.companyId)
    return (await this.#move(companyId, item.id, (row) => ({ ...row, item: { ...row.item, subject, work, reason } }), signal)) !== null
  }

  async delete(companyId: string, itemId: string, signal?: AbortSignal): Promise<boolean> {
    const existed = (await this.#outbox.delete({ _id: idOf(companyId, itemId), companyId }, signal)) > 0
    await this.#claims.delete({ companyId, itemId }, signal)
    return existed
  }

  async deleteEndedBefore(companyId: string, before: string, limit: number, signal?: AbortSignal): Promise<number> {
    const records = await this.#outbox.find(
      { companyId, state: { $in: [...ENDED] }, updatedAt: { $lt: before }, hasSequels: false },
      { sort: { updatedAt: 1 }, limit: checkLimit(limit) },
      signal,
    )
    if (records.length === 0) return 0
    await this.#claims.delete({ companyId, itemId: { $in: records.map((record) => record['itemId']) } }, signal)
    return this.#outbox.delete({ companyId, _id: { $in: records.map((record) => record._id) } }, signal)
  }

  async depth(signal?: AbortSignal): Promise<OutboxDepth> {
    const depth = { waiting: 0, claimed: 0, sending: 0, done: 0, failed: 0, unknown: 0, dropped: 0 }
    for (const state of OUTBOX_STATES) depth[state] = await this.#outbox.count({ state }, signal)
    const [oldest] = await this.#outbox.find({ state: 'waiting' }, { sort: { dueAt: 1 }, limit: 1 }, signal)
    return { ...depth, oldestDueAt: oldest === undefined ? null : String(oldest['dueAt']) }
  }

  async #claim(companyId: string, itemId: string, lease: Readonly<{ token: string; now: string; leaseUntil: string }>, signal?: AbortSignal): Promise<Lease | null> {
    const stored = await this.#outbox.get(idOf(companyId, itemId), signal)
    const waiting = stored === null ? null : rowOf(stored)
    if (waiting === null || waiting.item.state !== 'waiting' || waiting.item.dueAt > lease.now) return null
    if (waiting.item.work.kind === 'event' && (await this.#isBlocked(companyId, waiting, signal))) return null
    const claim = await this.#takeKey(companyId, itemId, waiting.claims + 1, lease, signal)
    if (claim === null) return null
    const row = await this.#move(
      companyId,
      itemId,
      (row) => {
        if (row.item.state !== 'waiting' || row.item.dueAt > lease.now || row.claims >= claim) return null
        const item: OutboxItem = { ...row.item, state: 'claimed', attempts: row.item.attempts + 1, updatedAt: lease.now }
        return { ...row, item, claims: claim, leaseToken: lease.token, leaseUntil: lease.leaseUntil, settledBy: null }
      },
      signal,
    )
    if (row !== null) return { item: row.item, token: lease.token }
    await this.#claims.delete({ _id: idOf(companyId, itemId, claim) }, signal)
    return null
  }

  /** The key of the next claim, which is given out once; null when somebody has it. A worker that died with a key has it until its lease is over. */
  async #takeKey(companyId: string, itemId: string, first: number, lease: Readonly<{ now: string; leaseUntil: string }>, signal?: AbortSignal): Promise<number | null> {
    for (let claim = first; claim < first + MAX_LOST_KEYS; claim += 1) {
      const _id = idOf(companyId, itemId, claim)
      if (await this.#claims.insert({ _id, companyId, itemId, leaseUntil: lease.leaseUntil }, signal)) return claim
      const taken = await this.#claims.get(_id, signal)
      if (taken === null || String(taken['leaseUntil']) > lease.now) return null
    }
    return null
  }

  /** One step of one item: `next` says how it is afterwards; null leaves it as it is, and is the answer then. */
  #move(companyId: string, itemId: string, next: (row: OutboxRow) => OutboxRow | null | Promise<OutboxRow | null>, signal?: AbortSignal): Promise<OutboxRow | null> {
    return this.#outbox.change<OutboxRow | null>(
      idOf(companyId, itemId),
      async (stored) => {
        const row = stored === null ? null : await next(rowOf(stored))
        return row === null ? { record: null, answer: null } : { record: rowFields(row), answer: row }
      },
      signal,
    )
  }

  /** A worker that is gone: what it had not begun waits again, what it had begun may have been sent. */
  async #closeLostLeases(now: string, signal?: AbortSignal): Promise<void> {
    const lost = await this.#outbox.find({ state: { $in: ['claimed', 'sending'] }, leaseUntil: { $lte: now } }, { sort: { leaseUntil: 1 }, limit: MAX_CLOSED_AT_ONCE }, signal)
    for (const record of lost) {
      const closed = await this.#move(String(record['companyId']), String(record['itemId']), (row) => this.#withoutLostLease(row, now), signal)
      if (closed !== null) await this.#log.carryOut(this.#outbox, { _id: record._id, companyId: record['companyId'], ...rowFields(closed) }, signal)
    }
  }

  #withoutLostLease(row: OutboxRow, now: string): OutboxRow | null {
    const { item } = row
    if (row.leaseUntil === null || row.leaseUntil > now) return null
    const free = { ...row, leaseToken: null, leaseUntil: null }
    if (item.state === 'claimed') return { ...free, item: { ...item, state: 'waiting', updatedAt: now } }
    if (item.state !== 'sending' || item.work.kind !== 'message') return null
    const { kind, channel, callSid } = item.work.message
    const wallTime = this.#tools.clock.wallTime()
    const told = newEvent(wallTime, { companyId: item.companyId, type: 'message.unknown', subject: `message/${item.id}`, callSid, data: { kind, channel, reason: LOST_WORKER } })
    return { ...free, sequels: [...row.sequels, ...sequelsTo({ events: [told] }, wallTime)], item: { ...item, state: 'unknown', reason: LOST_WORKER, updatedAt: now } }
  }

  /** Messages are independent; the tasks of one subject are done in the order they were written. */
  async #withoutBlocked(records: readonly Stored[], signal?: AbortSignal): Promise<readonly Stored[]> {
    const tasks = records.filter((record) => record['kind'] === 'event')
    if (tasks.length === 0) return records
    const subjects = new Map(tasks.map(({ companyId, subject }) => [JSON.stringify([companyId, subject]), { companyId, subject }]))
    const open = await this.#outbox.find({ isOpenTask: true, $or: [...subjects.values()] }, { sort: { order: 1 }, limit: 0 }, signal)
    const oldest = new Map<string, string>()
    for (const { _id, companyId, subject } of open) {
      const key = JSON.stringify([companyId, subject])
      if (!oldest.has(key)) oldest.set(key, _id)
    }
    return records.filter((record) => record['kind'] !== 'event' || oldest.get(JSON.stringify([record['companyId'], record['subject']])) === record._id)
  }

  /** By an older task, or by an older event whose task is about to be written. */
  async #isBlocked(companyId: string, { item: { subject }, order }: OutboxRow, signal?: AbortSignal): Promise<boolean> {
    if ((await this.#outbox.count({ companyId, subject, isOpenTask: true, order: { $lt: order } }, signal)) > 0) return true
    return (await this.#events.count({ companyId, subject, hasSequels: true, seq: { $lt: order } }, signal)) > 0
  }
}

function settled(row: OutboxRow, settlement: Settlement, now: string): OutboxRow {
  const { item } = row
  const isGivenBack = settlement.state === 'waiting' && !settlement.countsAsAttempt
  return {
    ...row,
    leaseToken: null,
    leaseUntil: null,
    item: {
      ...item,
      state: settlement.state,
      reason: settlement.reason.slice(0, 300),
      dueAt: settlement.state === 'waiting' ? settlement.dueAt : item.dueAt,
      providerId: settlement.state === 'done' ? (settlement.providerId ?? item.providerId) : item.providerId,
      attempts: item.attempts - Number(isGivenBack),
      updatedAt: now,
    },
  }
}
