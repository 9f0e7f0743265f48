import type { Filter } from 'mongodb'
import { z } from 'zod'
import { appointmentSchema, MAX_BUFFER_MS, MAX_VISIT_MS, takesTime, type Appointment } from '../booking/appointment.ts'
import type { AppointmentFilter, AppointmentRepository, BusyTime, WriteTerms } from '../booking/appointment-repository.ts'
import { ClientsViaError } from '../core/errors.ts'
import { domainEventSchema, type DomainEvent, type EventStore } from '../events/event.ts'
import { checkDocument, checkLimit, checkSame, checkVersion, type RepositoryTools } from './embedded-documents.ts'
import { KeyedTurns } from './keyed-turns.ts'
import { MongoCalendar } from './mongo-calendar.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import { readRecord, readRecords } from './mongo-documents.ts'

const MINUTE_MS = 60_000
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
  readonly #calendar: MongoCalendar
  readonly #events: Pick<EventStore, 'append'>
  readonly #turns = new KeyedTurns()

  constructor(database: MongoDatabase, tools: RepositoryTools, events: Pick<EventStore, 'append'>) {
    this.#tools = tools
    this.#appointments = database.collection('appointments')
    this.#calendar = new MongoCalendar(database, tools.clock, (companyId, appointmentId, signal) => this.get(companyId, appointmentId, signal))
    this.#events = events
  }

  async get(companyId: string, appointmentId: string, signal?: AbortSignal): Promise<Appointment | null> {
    const record = await this.#appointments.get(idOf(companyId, appointmentId), signal)
    return record === null ? null : readRecord(appointmentSchema, record, 'appointment')
  }

  async findByKey(companyId: string, idempotencyKey: string, signal?: AbortSignal): Promise<Appointment | null> {
    const [record] = await this.#appointments.find({ companyId, idempotencyKey }, { sort: { _id: 1 }, limit: 1 }, signal)
    return record === undefined ? null : readRecord(appointmentSchema, record, 'appointment')
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
    return readRecords(appointmentSchema, records, 'appointment', this.#tools.report)
  }

  async busy(companyId: string, range: Readonly<{ from: string; to: string; now: string }>, signal?: AbortSignal): Promise<readonly BusyTime[]> {
    const fromMs = Date.parse(range.from)
    const records = await this.#appointments.find(
      {
        companyId,
        status: { $in: ['held', 'confirmed'] },
        startsAtMs: { $gt: fromMs - MAX_VISIT_MS - MAX_BUFFER_MS, $lt: Date.parse(range.to) },
        busyUntilMs: { $gt: fromMs },
        $or: [{ heldUntilMs: null }, { heldUntilMs: { $gt: Date.parse(range.now) } }],
      },
      { sort: { startsAtMs: 1 }, limit: 0 },
      signal,
    )
    return records.map((record) => ({ resourceId: String(record['resourceId']), startsAtMs: Number(record['startsAtMs']), endsAtMs: Number(record['busyUntilMs']) }))
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
      if (takesTime(checked.status)) await this.#calendar.claim(companyId, checked, terms, signal)
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
    const work = async (): Promise<Appointment> => {
      const record = await this.#appointments.get(idOf(companyId, appointment.id), signal)
      if (record === null) throw new ClientsViaError('NOT_FOUND', `${name} is not there`, { appointmentId: appointment.id })
      const stored = readRecord(appointmentSchema, record, 'appointment')
      checkVersion(name, stored.version, ifVersion)
      const { idempotencyKey, callSid, createdAt } = stored
      const changed = { ...appointment, idempotencyKey, callSid, createdAt, version: stored.version + 1, updatedAt: this.#tools.clock.wallTime().toISOString() }
      const checked = checkDocument(appointmentSchema, changed, name)
      checkSame('appointment.companyId', companyId, checked.companyId)
      if (takesTime(stored.status)) await this.#calendar.doubt(companyId, stored, signal)
      if (takesTime(checked.status)) await this.#calendar.claim(companyId, checked, terms, signal)
      // What was not told of it yet is told first.
      const untold = [...untoldOf(record), ...checkedEvents]
      const isWritten = await this.#appointments.change<boolean>(
        record._id,
        (before) => {
          if (before === null || before['revision'] !== record['revision']) return { record: null, answer: false }
          return { record: fieldsOf(checked, untold), answer: true }
        },
        signal,
      )
      if (!isWritten) {
        await this.#calendar.release(companyId, checked, checked.version, signal)
        checkVersion(name, (await this.get(companyId, appointment.id, signal))?.version ?? 0, ifVersion)
        throw new ClientsViaError('NOT_FOUND', `${name} is not there`, { appointmentId: appointment.id })
      }
      if (takesTime(checked.status)) await this.#calendar.settle(companyId, checked, stored, signal)
      else await this.#calendar.release(companyId, stored, stored.version, signal)
      await this.#tell(companyId, checked.id, untold, signal)
      return checked
    }
    return this.#turns.take(`${companyId} ${appointment.id}`, work, signal)
  }

  async delete(companyId: string, appointmentId: string, signal?: AbortSignal): Promise<boolean> {
    const work = async (): Promise<boolean> => {
      const stored = await this.get(companyId, appointmentId, signal)
      const existed = (await this.#appointments.delete({ _id: idOf(companyId, appointmentId) }, signal)) > 0
      if (stored !== null) await this.#calendar.release(companyId, stored, stored.version, signal)
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
        return { record: fieldsOf(readRecord(appointmentSchema, record, 'appointment'), untold), answer: undefined }
      },
      signal,
    )
  }
}

function fieldsOf(appointment: Appointment, untold: readonly DomainEvent[]): Readonly<Record<string, unknown>> {
  const endsAtMs = Date.parse(appointment.endsAt)
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
    endsAtMs,
    busyUntilMs: endsAtMs + appointment.bufferMinutes * MINUTE_MS,
    heldUntilMs: appointment.status === 'held' && appointment.heldUntil !== null ? Date.parse(appointment.heldUntil) : null,
    // As text: what an event says has keys of its own making.
    untold: untold.map((event) => JSON.stringify(event)),
    hasUntold: untold.length > 0,
    document: appointment,
  }
}

function untoldOf(record: Stored): DomainEvent[] {
  return z.array(z.string()).parse(record['untold'] ?? []).map((text) => domainEventSchema.parse(JSON.parse(text)))
}

function checkEvent(companyId: string, event: DomainEvent): DomainEvent {
  const checked = checkDocument(domainEventSchema, event, `event ${event.type} of ${event.subject}`)
  checkSame('event.companyId', companyId, checked.companyId)
  return checked
}
