import { appointmentSchema, MAX_BUFFER_MS, MAX_VISIT_MS, takesTime, type Appointment } from '../booking/appointment.ts'
import type { AppointmentFilter, AppointmentRepository, BusyTime, WriteTerms } from '../booking/appointment-repository.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { DomainEvent } from '../events/event.ts'
import { claimTime, releaseTime } from './embedded-appointment-claims.ts'
import type { EmbeddedDatabase, Row, SqlValue } from './embedded-database.ts'
import { checkDocument, checkLimit, checkSame, checkVersion, readDocument, readDocuments, type RepositoryTools } from './embedded-documents.ts'
import { appendEvents } from './embedded-event-log.ts'

const MINUTE_MS = 60_000

export class EmbeddedAppointmentRepository implements AppointmentRepository {
  readonly #database: EmbeddedDatabase
  readonly #tools: RepositoryTools

  constructor(database: EmbeddedDatabase, tools: RepositoryTools) {
    this.#database = database
    this.#tools = tools
  }

  async get(companyId: string, appointmentId: string): Promise<Appointment | null> {
    const row = this.#database.get('SELECT company_id, appointment_id, document FROM appointments WHERE company_id = ? AND appointment_id = ?', companyId, appointmentId)
    return row === undefined ? null : readDocument(appointmentSchema, row, nameOf(row))
  }

  async findByKey(companyId: string, idempotencyKey: string): Promise<Appointment | null> {
    return this.#byKey(companyId, idempotencyKey)
  }

  async list(companyId: string, filter: AppointmentFilter): Promise<readonly Appointment[]> {
    const limit = checkLimit(filter.limit)
    let after: Row | undefined
    if (filter.after !== undefined && filter.after !== null) {
      after = this.#database.get('SELECT starts_at_ms, appointment_id FROM appointments WHERE company_id = ? AND appointment_id = ?', companyId, filter.after)
      if (after === undefined) throw new ClientsViaError('INVALID_INPUT', 'after must be the id of an appointment of this company', { field: 'after' })
    }
    const rows = this.#database.all(
      `SELECT company_id, appointment_id, document FROM appointments
       WHERE company_id = ?1
         AND (?2 IS NULL OR (starts_at_ms, appointment_id) > (?2, ?3))
         AND (?4 IS NULL OR status IN (SELECT value FROM json_each(?4)))
         AND (?5 IS NULL OR resource_id = ?5)
         AND (?6 IS NULL OR service_id = ?6)
         AND (?7 IS NULL OR phone_number = ?7)
         AND (?8 IS NULL OR call_sid = ?8)
         AND (?9 IS NULL OR held_until_ms <= ?9)
         AND (?10 IS NULL OR starts_at_ms >= ?10)
         AND (?11 IS NULL OR starts_at_ms < ?11)
       ORDER BY starts_at_ms, appointment_id LIMIT ?12`,
      companyId,
      after === undefined ? null : Number(after['starts_at_ms']),
      after === undefined ? null : String(after['appointment_id']),
      filter.statuses === undefined ? null : JSON.stringify(filter.statuses),
      filter.resourceId ?? null,
      filter.serviceId ?? null,
      filter.phoneNumberE164 ?? null,
      filter.callSid ?? null,
      msOrNull(filter.heldUntilBefore),
      msOrNull(filter.startsFrom),
      msOrNull(filter.startsBefore),
      limit,
    )
    return readDocuments(appointmentSchema, rows, nameOf, this.#tools.report)
  }

  async busy(companyId: string, range: Readonly<{ from: string; to: string; now: string }>): Promise<readonly BusyTime[]> {
    const fromMs = Date.parse(range.from)
    return this.#database
      .all(
        `SELECT resource_id, starts_at_ms, busy_until_ms FROM appointments
         WHERE company_id = ? AND status IN ('held', 'confirmed') AND starts_at_ms > ? AND starts_at_ms < ? AND busy_until_ms > ?
           AND (held_until_ms IS NULL OR held_until_ms > ?)
         ORDER BY starts_at_ms`,
        companyId,
        fromMs - MAX_VISIT_MS - MAX_BUFFER_MS,
        Date.parse(range.to),
        fromMs,
        Date.parse(range.now),
      )
      .map((row) => ({ resourceId: String(row['resource_id']), startsAtMs: Number(row['starts_at_ms']), endsAtMs: Number(row['busy_until_ms']) }))
  }

  async create(
    companyId: string,
    appointment: Appointment,
    terms: WriteTerms,
    events: readonly DomainEvent[],
  ): Promise<Readonly<{ appointment: Appointment; created: boolean }>> {
    const wallTime = this.#tools.clock.wallTime()
    const at = wallTime.toISOString()
    const checked = checkDocument(appointmentSchema, { ...appointment, version: 1, createdAt: at, updatedAt: at }, `appointment ${companyId}/${appointment.id}`)
    checkSame('appointment.companyId', companyId, checked.companyId)
    return this.#database.transaction(() => {
      const known = this.#byKey(companyId, checked.idempotencyKey)
      if (known !== null) return { appointment: known, created: false }
      if (this.#version(companyId, checked.id) !== null) throw new ClientsViaError('CONFLICT', `there is an appointment ${checked.id} already`, { field: 'id' })
      if (takesTime(checked.status)) claimTime(this.#database, companyId, checked, terms)
      this.#database.run(
        `INSERT INTO appointments (company_id, appointment_id, idempotency_key, resource_id, service_id, status, phone_number, call_sid, starts_at_ms,
           ends_at_ms, busy_until_ms, held_until_ms, version, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        companyId,
        checked.id,
        checked.idempotencyKey,
        ...columnsOf(checked),
      )
      appendEvents(this.#database, companyId, events, wallTime)
      return { appointment: checked, created: true }
    })
  }

  async save(companyId: string, appointment: Appointment, ifVersion: number, terms: WriteTerms, events: readonly DomainEvent[]): Promise<Appointment> {
    const name = `appointment ${companyId}/${appointment.id}`
    const wallTime = this.#tools.clock.wallTime()
    return this.#database.transaction(() => {
      const row = this.#database.get('SELECT company_id, appointment_id, document FROM appointments WHERE company_id = ? AND appointment_id = ?', companyId, appointment.id)
      if (row === undefined) throw new ClientsViaError('NOT_FOUND', `${name} is not there`, { appointmentId: appointment.id })
      const stored = readDocument(appointmentSchema, row, name)
      checkVersion(name, stored.version, ifVersion)
      const { idempotencyKey, callSid, createdAt } = stored
      const changed = { ...appointment, idempotencyKey, callSid, createdAt, version: stored.version + 1, updatedAt: wallTime.toISOString() }
      const checked = checkDocument(appointmentSchema, changed, name)
      checkSame('appointment.companyId', companyId, checked.companyId)
      releaseTime(this.#database, companyId, checked.id)
      if (takesTime(checked.status)) claimTime(this.#database, companyId, checked, terms)
      this.#database.run(
        `UPDATE appointments SET resource_id = ?, service_id = ?, status = ?, phone_number = ?, call_sid = ?, starts_at_ms = ?, ends_at_ms = ?,
           busy_until_ms = ?, held_until_ms = ?, version = ?, document = ? WHERE company_id = ? AND appointment_id = ?`,
        ...columnsOf(checked),
        companyId,
        checked.id,
      )
      appendEvents(this.#database, companyId, events, wallTime)
      return checked
    })
  }

  async delete(companyId: string, appointmentId: string): Promise<boolean> {
    return this.#database.transaction(() => {
      releaseTime(this.#database, companyId, appointmentId)
      return this.#database.run('DELETE FROM appointments WHERE company_id = ? AND appointment_id = ?', companyId, appointmentId) > 0
    })
  }

  async deleteEndedBefore(companyId: string, before: string, limit: number): Promise<number> {
    return this.#database.transaction(() => {
      const rows = this.#database.all(
        'SELECT appointment_id FROM appointments WHERE company_id = ? AND starts_at_ms < ? AND ends_at_ms < ? ORDER BY starts_at_ms LIMIT ?',
        companyId,
        Date.parse(before),
        Date.parse(before),
        checkLimit(limit),
      )
      for (const row of rows) {
        const appointmentId = String(row['appointment_id'])
        releaseTime(this.#database, companyId, appointmentId)
        this.#database.run('DELETE FROM appointments WHERE company_id = ? AND appointment_id = ?', companyId, appointmentId)
      }
      return rows.length
    })
  }

  #byKey(companyId: string, idempotencyKey: string): Appointment | null {
    const row = this.#database.get('SELECT company_id, appointment_id, document FROM appointments WHERE company_id = ? AND idempotency_key = ?', companyId, idempotencyKey)
    return row === undefined ? null : readDocument(appointmentSchema, row, nameOf(row))
  }

  #version(companyId: string, appointmentId: string): number | null {
    const row = this.#database.get('SELECT version FROM appointments WHERE company_id = ? AND appointment_id = ?', companyId, appointmentId)
    return row === undefined ? null : Number(row['version'])
  }
}

function columnsOf(appointment: Appointment): SqlValue[] {
  const endsAtMs = Date.parse(appointment.endsAt)
  return [
    appointment.resourceId,
    appointment.serviceId,
    appointment.status,
    appointment.customer.phoneNumberE164,
    appointment.callSid,
    Date.parse(appointment.startsAt),
    endsAtMs,
    endsAtMs + appointment.bufferMinutes * MINUTE_MS,
    appointment.status === 'held' ? msOrNull(appointment.heldUntil) : null,
    appointment.version,
    JSON.stringify(appointment),
  ]
}

function msOrNull(moment: string | null | undefined): number | null {
  return moment === undefined || moment === null ? null : Date.parse(moment)
}

function nameOf(row: Row): string {
  return `appointment ${String(row['company_id'])}/${String(row['appointment_id'])}`
}
