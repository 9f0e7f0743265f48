import type { Filter } from 'mongodb'
import { ClientsViaError } from '../core/errors.ts'
import { newEvent, type DomainEvent } from '../events/event.ts'
import { leadSchema, type Lead, type LeadPage, type LeadStore, type NewLead } from '../events/lead.ts'
import { checkDocument, checkLimit, checkSame, checkVersion, type RepositoryTools } from './embedded-documents.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import { readRecord, readRecords } from './mongo-documents.ts'
import type { MongoEventLog } from './mongo-event-log.ts'
import { sequelFields, sequelsOf, sequelsTo, type Sequel } from './mongo-sequel.ts'

/** A lead is written with the events that tell of it. */
export class MongoLeadRepository implements LeadStore {
  readonly #tools: RepositoryTools
  readonly #log: MongoEventLog
  readonly #leads: MongoRecords

  constructor(database: MongoDatabase, tools: RepositoryTools, log: MongoEventLog) {
    this.#tools = tools
    this.#log = log
    this.#leads = database.collection('leads')
  }

  async create(companyId: string, lead: NewLead, signal?: AbortSignal): Promise<Readonly<{ lead: Lead; created: boolean }>> {
    const checked: Lead = { ...checkDocument(leadSchema, lead, `lead ${companyId}/${lead.id}`), version: 1 }
    checkSame('lead.companyId', companyId, checked.companyId)
    const wallTime = this.#tools.clock.wallTime()
    const told = newEvent(wallTime, { companyId, type: 'lead.created', subject: `lead/${checked.id}`, callSid: checked.callSid, data: { lead: checked } })
    const record = { _id: idOf(companyId, checked.id), companyId, revision: 1, ...fieldsOf(checked, sequelsTo({ events: [told] }, wallTime)) }
    if (await this.#leads.insert(record, signal)) {
      await this.#log.carryOut(this.#leads, record, signal)
      return { lead: checked, created: true }
    }
    const [known] = await this.#leads.find({ companyId, idempotencyKey: checked.idempotencyKey }, { sort: { _id: 1 }, limit: 1 }, signal)
    if (known === undefined) throw new ClientsViaError('CONFLICT', `there is a lead ${checked.id} already`, { field: 'id' })
    return { lead: readRecord(leadSchema, known, 'lead'), created: false }
  }

  async get(companyId: string, leadId: string, signal?: AbortSignal): Promise<Lead | null> {
    const record = await this.#leads.get(idOf(companyId, leadId), signal)
    return record === null ? null : readRecord(leadSchema, record, 'lead')
  }

  async list(companyId: string, page: LeadPage, signal?: AbortSignal): Promise<readonly Lead[]> {
    const limit = checkLimit(page.limit)
    const conditions: Filter<Stored>[] = []
    if (page.before !== null) {
      const before = await this.#leads.get(idOf(companyId, page.before), signal)
      if (before === null) throw new ClientsViaError('INVALID_INPUT', 'before must be the id of a lead of this company', { field: 'before' })
      conditions.push({ $or: [{ createdAt: { $lt: before['createdAt'] } }, { createdAt: before['createdAt'], leadId: { $lt: before['leadId'] } }] })
    }
    if (page.status !== undefined) conditions.push({ status: page.status })
    if (page.kind !== undefined) conditions.push({ kind: page.kind })
    if (page.phoneNumberE164 !== undefined) conditions.push({ phoneNumberE164: page.phoneNumberE164 })
    if (page.callSid !== undefined) conditions.push({ callSid: page.callSid })
    if (page.createdFrom !== undefined) conditions.push({ createdAt: { $gte: page.createdFrom } })
    if (page.createdBefore !== undefined) conditions.push({ createdAt: { $lt: page.createdBefore } })
    const query: Filter<Stored> = { companyId, ...(conditions.length > 0 && { $and: conditions }) }
    return readRecords(leadSchema, await this.#leads.find(query, { sort: { createdAt: -1, leadId: -1 }, limit }, signal), 'lead', this.#tools.report)
  }

  async save(companyId: string, lead: Lead, ifVersion: number, events: readonly DomainEvent[], signal?: AbortSignal): Promise<Lead> {
    const checked = checkDocument(leadSchema, lead, `lead ${companyId}/${lead.id}`)
    checkSame('lead.companyId', companyId, checked.companyId)
    const wallTime = this.#tools.clock.wallTime()
    const sequels = sequelsTo({ events: this.#log.check(companyId, events) }, wallTime)
    const id = idOf(companyId, checked.id)
    const { saved, record } = await this.#leads.change<{ saved: Lead; record: Stored }>(
      id,
      (before) => {
        if (before === null) throw new ClientsViaError('NOT_FOUND', 'no such lead')
        const stored = readRecord(leadSchema, before, 'lead')
        checkVersion(`lead ${companyId}/${checked.id}`, stored.version, ifVersion)
        const saved: Lead = { ...checked, version: stored.version + 1, createdAt: stored.createdAt, updatedAt: wallTime.toISOString() }
        const fields = { companyId, ...fieldsOf(saved, [...sequelsOf(before), ...sequels]) }
        return { record: fields, answer: { saved, record: { _id: id, ...fields } } }
      },
      signal,
    )
    await this.#log.carryOut(this.#leads, record, signal)
    return saved
  }

  async delete(companyId: string, leadId: string, signal?: AbortSignal): Promise<boolean> {
    return (await this.#leads.delete({ _id: idOf(companyId, leadId), companyId }, signal)) > 0
  }

  async deleteBefore(companyId: string, before: string, limit: number, signal?: AbortSignal): Promise<number> {
    const records = await this.#leads.find({ companyId, updatedAt: { $lt: before }, hasSequels: false }, { sort: { updatedAt: 1 }, limit: checkLimit(limit) }, signal)
    return records.length === 0 ? 0 : this.#leads.delete({ companyId, _id: { $in: records.map((record) => record._id) } }, signal)
  }
}

function fieldsOf(lead: Lead, sequels: readonly Sequel[]): Readonly<Record<string, unknown>> {
  const { id, createdAt, updatedAt, status, kind, phoneNumberE164, callSid, idempotencyKey } = lead
  return { leadId: id, createdAt, updatedAt, status, kind, phoneNumberE164, callSid, idempotencyKey, document: lead, ...sequelFields(sequels) }
}
