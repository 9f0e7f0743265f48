import type { Filter } from 'mongodb'
import { z } from 'zod'
import { appointmentSchema, takesTime, type Appointment } from '../booking/appointment.ts'
import type { AppointmentFilter, AppointmentRepository, BusyTime, WriteTerms } from '../booking/appointment-repository.ts'
import { ClientsViaError } from '../core/errors.ts'
import { domainEventSchema, type DomainEvent, type EventStore } from '../events/event.ts'
import { checkDocument, checkLimit, checkSame, checkVersion, type RepositoryTools } from './embedded-documents.ts'
import { KeyedTurns } from './keyed-turns.ts'
import { MongoCalendar } from './mongo-calendar.ts'
import { idOf, type MongoDatabase, type MongoRecords, type RecordChange, type Stored } from './mongo-database.ts'
import { parsedRecord, readRecord, readRecords } from './mongo-documents.ts'

/** A change that was written: the appointment, how it took time before, and what is to be told of it. */
type Written = Readonly<{ checked: Appointment; before: Appointment | null; untold: readonly DomainEvent[] }>
/** Appointments whose events were not passed on, found in one round. */
const MAX_UNTOLD = 200

/**
 * Appointments, and the time they take in the calendar beside them. The time is claimed first, then the appointment is written with the events that tell
 * of it, then the events are passed on: who dies in between leaves a claim that is checked before it counts against anybody, or
 * events that the next round passes on.
 */
export class MongoAppointmentRepository implements AppointmentRepository {
  readonly #tools: RepositoryTools
  readonly #appointments: MongoRecords
  /** Which appointment has an idempotency key. */
  readonly #keys: MongoRecords
  readonly #calendar: MongoCalendar
  readonly #events: Pick<EventStore, 'append'>
  readonly #turns = new KeyedTurns()

  constructor(database: MongoDatabase, tools: RepositoryTools, events: Pick<EventStore, 'append'>) {
    this.#tools = tools
    this.#appointments = database.collection('appointments')
    this.#keys = database.collection('appointment_keys')
    this.#calendar = new MongoCalendar(database, tools.clock, (companyId, appointmentId, signal) => this.get(companyId, appointmentId, signal))
    this.#events = events
  }

  async get(companyId: string, appointmentId: string, signal?: AbortSignal): Promise<Appointment | null> {
    const record = await this.#appointments.get(idOf(companyId, appointmentId), signal)
    return record === null ? null : readAppointment(record)
  }

  async findByKey(companyId: string, idempotencyKey: string, signal?: AbortSignal): Promise<Appointment | null> {
    const key = await this.#keys.get(idOf(companyId, idempotencyKey), signal)
    if (key === null) return null
    const named = await this.get(companyId, String(key['appointmentId']), signal)
    if (named !== null && named.idempotencyKey === idempotencyKey) return named
    // Of two who want one key, who names their appointment last need not be who writes it first; or it was never written.
    const [record] = await this.#appointments.find({ companyId, idempotencyKey }, { sort: { _id: 1 }, limit: 1 }, signal)
    return record === undefined ? null : readAppointment(record)
  }

  async list(companyId: string, filter: AppointmentFilter, signal?: AbortSignal): Promise<readonly Appointment[]> {
    const limit = checkLimit(filter.limit)
    const conditions: Filter<Stored>[] = []
    if (filter.after !== undefined && filter.after !== null) {
      const after = await this.#appointments.get(idOf(companyId, filter.after), signal)
      if (after === null) throw new ClientsViaError('INVALID_INPUT', 'after must be the id of an appointment of this company', { field: 'after' })
      const { startsAtMs, appointmentId } = after
      conditions.push({ $or: [{ startsAtMs: { $gt: startsAtMs } }, { startsAtMs, appointmentId: { $gt: appointmentId } }] })
    }
    if (filter.statuses !== undefined) conditions.push({ status: { $in: [...filter.statuses] } })
    if (filter.resourceId !== undefined) conditions.push({ resourceId: filter.resourceId })
    if (filter.serviceId !== undefined) conditions.push({ serviceId: filter.serviceId })
    if (filter.phoneNumberE164 !== undefined) conditions.push({ phoneNumberE164: filter.phoneNumberE164 })
    if (filter.callSid !== undefined) conditions.push({ callSid: filter.callSid })
    if (filter.heldUntilBefore !== undefined) conditions.push({ heldUntilMs: { $lte: Date.parse(filter.heldUntilBefore) } })
    if (filter.startsFrom !== undefined) conditions.push({ startsAtMs: { $gte: Date.parse(filter.startsFrom) } })
    if (filter.startsBefore !== undefined) conditions.push({ startsAtMs: { $lt: Date.parse(filter.startsBefore) } })
    const query: Filter<Stored> = { companyId, ...(conditions.length > 0 && { $and: conditions }) }
    const records = await this.#appointments.find(query, { sort: { startsAtMs: 1, appointmentId: 1 }, limit }, signal)
    return readRecords(appointmentSchema, records.map(withDocument), 'appointment', this.#tools.report)
  }

  async busy(companyId: string, range: Readonly<{ from: string; to: string; now: string }>, signal?: AbortSignal): Promise<readonly BusyTime[]> {
    return this.#calendar.busy(companyId, { fromMs: Date.parse(range.from), toMs: Date.parse(range.to), nowMs: Date.parse(range.now) }, signal)
  }

  async create(
    companyId: string,
    appointment: Appointment,
    terms: WriteTerms,
    events: readonly DomainEvent[],
    signal?: AbortSignal,
  ): Promise<Readonly<{ appointment: Appointment; created: boolean }>> {
    const at = this.#tools.clock.wallTime().toISOString()
    const checked = checkDocument(appointmentSchema, { ...appointment, version: 1, createdAt: at, updatedAt: at }, `appointment ${companyId}/${appointment.id}`)
    checkSame('appointment.companyId', companyId, checked.companyId)
    const checkedEvents = events.map((event) => checkEvent(companyId, event))
    const work = async (): Promise<Readonly<{ appointment: Appointment; created: boolean }>> => {
      const known = await this.findByKey(companyId, checked.idempotencyKey, signal)
      if (known !== null) return { appointment: known, created: false }
      if (takesTime(checked.status)) await this.#calendar.claim(companyId, checked, null, terms, signal)
      await this.#name(companyId, checked, signal)
      if (await this.#appointments.insert({ _id: idOf(companyId, checked.id), revision: 1, ...fieldsOf(checked, checkedEvents) }, signal)) {
        if (takesTime(checked.status)) await this.#calendar.settle(companyId, checked, null, signal)
        await this.#tell(companyId, checked.id, checkedEvents, signal)
        return { appointment: checked, created: true }
      }
      await this.#calendar.release(companyId, checked, checked.version, signal)
      // Another process was first with the same key; else the id is somebody else's.
      const first = await this.findByKey(companyId, checked.idempotencyKey, signal)
      if (first !== null) return { appointment: first, created: false }
      throw new ClientsViaError('CONFLICT', `there is an appointment ${checked.id} already`, { field: 'id' })
    }
    return this.#turns.take(`${companyId} ${checked.idempotencyKey}`, work, signal)
  }

  async save(companyId: string, appointment: Appointment, ifVersion: number, terms: WriteTerms, events: readonly DomainEvent[], signal?: AbortSignal): Promise<Appointment> {
    const name = `appointment ${companyId}/${appointment.id}`
    const checkedEvents = events.map((event) => checkEvent(companyId, event))
    // Held or confirmed as it was read, claimed as it shall be: what one try leaves for the next, and for what follows.
    let claimed: Appointment | null = null
    const decide = async (record: Stored | null): Promise<RecordChange<Written>> => {
      if (claimed !== null) await this.#calendar.release(companyId, claimed, claimed.version, signal)
      claimed = null
      if (record === null) throw new ClientsViaError('NOT_FOUND', `${name} is not there`, { appointmentId: appointment.id })
      const stored = readAppointment(record)
      checkVersion(name, stored.version, ifVersion)
      const { idempotencyKey, callSid, createdAt } = stored
      const changed = { ...appointment, idempotencyKey, callSid, createdAt, version: stored.version + 1, updatedAt: this.#tools.clock.wallTime().toISOString() }
      const checked = checkDocument(appointmentSchema, changed, name)
      checkSame('appointment.companyId', companyId, checked.companyId)
      const before = takesTime(stored.status) ? stored : null
      if (takesTime(checked.status)) {
        await this.#calendar.claim(companyId, checked, before, terms, signal)
        claimed = checked
      } else if (before !== null) await this.#calendar.doubt(companyId, before, signal)
      // What was not told of it yet is told first.
      const untold = [...untoldOf(record), ...checkedEvents]
      return { record: fieldsOf(checked, untold), answer: { checked, before, untold } }
    }
    const work = async (): Promise<Appointment> => {
      const { checked, before, untold } = await this.#appointments.change<Written>(idOf(companyId, appointment.id), decide, signal)
      if (takesTime(checked.status)) await this.#calendar.settle(companyId, checked, before, signal)
      else if (before !== null) await this.#calendar.release(companyId, before, before.version, signal)
      await this.#tell(companyId, checked.id, untold, signal)
      return checked
    }
    return this.#turns.take(`${companyId} ${appointment.id}`, work, signal)
  }

  async delete(companyId: string, appointmentId: string, signal?: AbortSignal): Promise<boolean> {
    const work = async (): Promise<boolean> => {
      const stored = await this.get(companyId, appointmentId, signal)
      if (stored === null) return false
      if (takesTime(stored.status)) await this.#calendar.doubt(companyId, stored, signal)
      const existed = (await this.#appointments.delete({ _id: idOf(companyId, appointmentId) }, signal)) > 0
      if (takesTime(stored.status)) await this.#calendar.release(companyId, stored, stored.version, signal)
      await this.#keys.delete({ _id: idOf(companyId, stored.idempotencyKey), appointmentId }, signal)
      return existed
    }
    return this.#turns.take(`${companyId} ${appointmentId}`, work, signal)
  }

  async deleteEndedBefore(companyId: string, before: string, limit: number, signal?: AbortSignal): Promise<number> {
    const beforeMs = Date.parse(before)
    const records = await this.#appointments.find({ companyId, startsAtMs: { $lt: beforeMs }, endsAtMs: { $lt: beforeMs } }, { sort: { startsAtMs: 1 }, limit: checkLimit(limit) }, signal)
    for (const record of records) await this.delete(companyId, String(record['appointmentId']), signal)
    return records.length
  }

  /** Passes on the events that a process which died has left. */
  async tellLeftBehind(signal?: AbortSignal): Promise<number> {
    const records = await this.#appointments.find({ hasUntold: true }, { sort: { _id: 1 }, limit: MAX_UNTOLD }, signal)
    for (const record of records) await this.#tell(String(record['companyId']), String(record['appointmentId']), untoldOf(record), signal)
    return records.length
  }

  /** Before the appointment itself: one that is there can be found by its key. */
  async #name(companyId: string, { id: appointmentId, idempotencyKey }: Appointment, signal?: AbortSignal): Promise<void> {
    const key: Stored = { _id: idOf(companyId, idempotencyKey), companyId, appointmentId }
    if (!(await this.#keys.insert(key, signal))) await this.#keys.put(key, signal)
  }

  /** An event that is there already is not written again, so that telling twice does no harm. */
  async #tell(companyId: string, appointmentId: string, events: readonly DomainEvent[], signal?: AbortSignal): Promise<void> {
    if (events.length === 0) return
    await this.#events.append(companyId, events, signal)
    const told = new Set(events.map((event) => event.id))
    await this.#appointments.change<void>(
      idOf(companyId, appointmentId),
      (record) => {
        if (record === null) return { record: null, answer: undefined }
        const untold = untoldOf(record).filter((event) => !told.has(event.id))
        return { record: fieldsOf(readAppointment(record), untold), answer: undefined }
      },
      signal,
    )
  }
}

function fieldsOf(appointment: Appointment, untold: readonly DomainEvent[]): Readonly<Record<string, unknown>> {
  return {
    companyId: appointment.companyId,
    appointmentId: appointment.id,
    idempotencyKey: appointment.idempotencyKey,
    resourceId: appointment.resourceId,
    serviceId: appointment.serviceId,
    status: appointment.status,
    phoneNumberE164: appointment.customer.phoneNumberE164,
    callSid: appointment.callSid,
    startsAtMs: Date.parse(appointment.startsAt),
    endsAtMs: Date.parse(appointment.endsAt),
    heldUntilMs: appointment.status === 'held' && appointment.heldUntil !== null ? Date.parse(appointment.heldUntil) : null,
    // As text: what an event says has keys of its own making.
    untold: untold.map((event) => JSON.stringify(event)),
    hasUntold: untold.length > 0,
    json: JSON.stringify(appointment),
  }
}

function readAppointment(record: Stored): Appointment {
  return readRecord(appointmentSchema, withDocument(record), 'appointment')
}

/** Those of before schema 3 hold the document itself. As text it is a third of the work for a server that keeps records as text, and answers have keys of their own. */
function withDocument(record: Stored): Stored {
  return record['json'] === undefined ? record : parsedRecord(record)
}

function untoldOf(record: Stored): DomainEvent[] {
  return z.array(z.string()).parse(record['untold'] ?? []).map((text) => domainEventSchema.parse(JSON.parse(text)))
}

function checkEvent(companyId: string, event: DomainEvent): DomainEvent {
  const checked = checkDocument(domainEventSchema, event, `event ${event.type} of ${event.subject}`)
  checkSame('event.companyId', companyId, checked.companyId)
  return checked
}
