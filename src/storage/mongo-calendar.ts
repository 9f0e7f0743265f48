import { z } from 'zod'
import { takesTime, type Appointment } from '../booking/appointment.ts'
import { takenError, type BusyTime, type WriteTerms } from '../booking/appointment-repository.ts'
import type { Clock } from '../core/clock.ts'
import { idOf, type MongoDatabase, type MongoRecords } from './mongo-database.ts'

const DAY_MS = 24 * 3_600_000
const MINUTE_MS = 60_000
/** A claim whose appointment should have been written by now; before it counts against anybody its appointment is looked up. */
const DOUBTED_AFTER_MS = 60_000

/** One stretch of a resource's time. `doubtAtMs`: from then on its appointment is asked whether it is still true; null: it is. */
const claimSchema = z.object({
  appointmentId: z.string(),
  version: z.number(),
  startsAtMs: z.number(),
  endsAtMs: z.number(),
  heldUntilMs: z.number().nullable().default(null),
  doubtAtMs: z.number().nullable().default(null),
})
type Claim = z.infer<typeof claimSchema>

/**
 * Who has which time: one record for a resource and a day, changed in one step, so that of all that want one time exactly as many get it as there is
 * room. A visit over midnight claims day after day, and gives back what it has when one of them is full.
 */
export class MongoCalendar {
  readonly #days: MongoRecords
  readonly #clock: Clock
  readonly #appointmentOf: (companyId: string, appointmentId: string, signal?: AbortSignal) => Promise<Appointment | null>

  constructor(database: MongoDatabase, clock: Clock, appointmentOf: (companyId: string, appointmentId: string, signal?: AbortSignal) => Promise<Appointment | null>) {
    this.#days = database.collection('appointment_days')
    this.#clock = clock
    this.#appointmentOf = appointmentOf
  }

  /** What is taken from `from` to `to`, by whom it may; holds that have run out at `now` and claims whose appointment is not there are not. By start. */
  async busy(companyId: string, range: Readonly<{ fromMs: number; toMs: number; nowMs: number }>, signal?: AbortSignal): Promise<readonly BusyTime[]> {
    const { fromMs, toMs, nowMs } = range
    const days = { $gte: Math.floor(fromMs / DAY_MS), $lte: Math.floor((toMs - 1) / DAY_MS) }
    const records = await this.#days.find({ companyId, day: days }, { sort: { day: 1, resourceId: 1 }, limit: 0 }, signal)
    // One over midnight is in both days.
    const found = new Map<string, BusyTime>()
    for (const record of records) {
      const resourceId = String(record['resourceId'])
      const overlapping = claimsOf(record).filter((claim) => claim.startsAtMs < toMs && claim.endsAtMs > fromMs)
      for (const { appointmentId, startsAtMs, endsAtMs } of await this.#standing(companyId, overlapping, nowMs, signal)) {
        found.set(`${resourceId} ${appointmentId} ${startsAtMs} ${endsAtMs}`, { resourceId, startsAtMs, endsAtMs })
      }
    }
    return [...found.values()].sort((a, b) => a.startsAtMs - b.startsAtMs)
  }

  /**
   * Beside what the appointment has `before`, which does not stand in its own way and is doubted from here on: should this process die, its old and its new
   * claims are both asked about before they count. Throws CONFLICT when there is no room; then nothing is claimed.
   */
  async claim(companyId: string, appointment: Appointment, before: Appointment | null, terms: WriteTerms, signal?: AbortSignal): Promise<void> {
    const claimed: number[] = []
    const doubtAtMs = this.#nowMs() + DOUBTED_AFTER_MS
    const wanted = claimOf(appointment, doubtAtMs)
    try {
      for (const day of daysOf(appointment)) {
        await this.#days.change<void>(
          dayId(companyId, appointment.resourceId, day),
          async (record) => {
            const all = await this.#standing(companyId, claimsOf(record), Date.parse(terms.now), signal)
            const others = all.filter((claim) => claim.appointmentId !== appointment.id)
            if (!hasRoom(others, wanted, terms.capacity)) throw takenError(appointment)
            const own = all.filter((claim) => claim.appointmentId === appointment.id && claim.version !== appointment.version).map((claim) => ({ ...claim, doubtAtMs }))
            return { record: dayRecord(companyId, appointment.resourceId, day, [...others, ...own, wanted]), answer: undefined }
          },
          signal,
        )
        claimed.push(day)
      }
    } catch (error) {
      for (const day of claimed) await this.#drop(companyId, appointment.resourceId, day, appointment.id, (claim) => claim.version !== appointment.version, signal)
      throw error
    }
    if (before !== null) await this.#doubt(companyId, before, daysLeft(before, appointment), signal)
  }

  /** The appointment is written as it is here: its claims stand, and those of how it was before are given up. */
  async settle(companyId: string, appointment: Appointment, before: Appointment | null, signal?: AbortSignal): Promise<void> {
    for (const day of daysOf(appointment)) {
      await this.#days.change<void>(
        dayId(companyId, appointment.resourceId, day),
        (record) => {
          const others = claimsOf(record).filter((claim) => claim.appointmentId !== appointment.id)
          return { record: dayRecord(companyId, appointment.resourceId, day, [...others, claimOf(appointment, null)]), answer: undefined }
        },
        signal,
      )
    }
    if (before === null) return
    for (const day of daysLeft(before, appointment)) await this.#drop(companyId, before.resourceId, day, before.id, (claim) => claim.version > before.version, signal)
  }

  /** About to be given up: should this process die, its claims are asked about before they count. */
  async doubt(companyId: string, appointment: Appointment, signal?: AbortSignal): Promise<void> {
    await this.#doubt(companyId, appointment, daysOf(appointment), signal)
  }

  async #doubt(companyId: string, appointment: Appointment, days: readonly number[], signal?: AbortSignal): Promise<void> {
    const doubtAtMs = this.#nowMs() + DOUBTED_AFTER_MS
    for (const day of days) {
      await this.#days.change<void>(
        dayId(companyId, appointment.resourceId, day),
        (record) => {
          const claims = claimsOf(record)
          if (!claims.some((claim) => claim.appointmentId === appointment.id)) return { record: null, answer: undefined }
          const doubted = claims.map((claim) => (claim.appointmentId === appointment.id ? { ...claim, doubtAtMs } : claim))
          return { record: dayRecord(companyId, appointment.resourceId, day, doubted), answer: undefined }
        },
        signal,
      )
    }
  }

  /** Gives back what was claimed for this version of the appointment. */
  async release(companyId: string, appointment: Appointment, version: number, signal?: AbortSignal): Promise<void> {
    for (const day of daysOf(appointment)) await this.#drop(companyId, appointment.resourceId, day, appointment.id, (claim) => claim.version !== version, signal)
  }

  async #drop(companyId: string, resourceId: string, day: number, appointmentId: string, isKept: (claim: Claim) => boolean, signal?: AbortSignal): Promise<void> {
    await this.#days.change<void>(
      dayId(companyId, resourceId, day),
      (record) => {
        const claims = claimsOf(record)
        const rest = claims.filter((claim) => claim.appointmentId !== appointmentId || isKept(claim))
        return { record: rest.length === claims.length ? null : dayRecord(companyId, resourceId, day, rest), answer: undefined }
      },
      signal,
    )
  }

  /** Without holds that have run out, and without claims whose appointment was never written, or has gone elsewhere. */
  async #standing(companyId: string, claims: readonly Claim[], nowMs: number, signal?: AbortSignal): Promise<Claim[]> {
    const standing: Claim[] = []
    for (const claim of claims) {
      if (claim.heldUntilMs !== null && claim.heldUntilMs <= nowMs) continue
      if (claim.doubtAtMs === null || claim.doubtAtMs > this.#nowMs()) standing.push(claim)
      else {
        const appointment = await this.#appointmentOf(companyId, claim.appointmentId, signal)
        if (appointment !== null && takesTime(appointment.status) && appointment.version === claim.version) standing.push({ ...claim, doubtAtMs: null })
      }
    }
    return standing
  }

  #nowMs(): number {
    return this.#clock.wallTime().getTime()
  }
}

/** Whether one more fits at every moment of `wanted`. */
function hasRoom(others: readonly Claim[], wanted: Claim, capacity: number): boolean {
  const overlapping = others.filter((claim) => claim.startsAtMs < wanted.endsAtMs && claim.endsAtMs > wanted.startsAtMs)
  // The number changes only where one of them begins.
  const moments = [wanted.startsAtMs, ...overlapping.map((claim) => Math.max(claim.startsAtMs, wanted.startsAtMs))]
  return moments.every((moment) => overlapping.filter((claim) => claim.startsAtMs <= moment && claim.endsAtMs > moment).length < capacity)
}

function claimOf(appointment: Appointment, doubtAtMs: number | null): Claim {
  return {
    appointmentId: appointment.id,
    version: appointment.version,
    startsAtMs: Date.parse(appointment.startsAt),
    endsAtMs: Date.parse(appointment.endsAt) + appointment.bufferMinutes * MINUTE_MS,
    heldUntilMs: appointment.status === 'held' && appointment.heldUntil !== null ? Date.parse(appointment.heldUntil) : null,
    doubtAtMs,
  }
}

/** The UTC days it touches, buffer included; ascending, so that two who want the same days meet on the first. */
function daysOf(appointment: Appointment): number[] {
  const { startsAtMs, endsAtMs } = claimOf(appointment, null)
  const first = Math.floor(startsAtMs / DAY_MS)
  const last = Math.floor((endsAtMs - 1) / DAY_MS)
  return Array.from({ length: last - first + 1 }, (_, n) => first + n)
}

/** Of the days it had, those that it no longer has. */
function daysLeft(before: Appointment, after: Appointment): number[] {
  const kept = before.resourceId === after.resourceId ? new Set(daysOf(after)) : new Set<number>()
  return daysOf(before).filter((day) => !kept.has(day))
}

function dayId(companyId: string, resourceId: string, day: number): string {
  return idOf(companyId, resourceId, day)
}

function dayRecord(companyId: string, resourceId: string, day: number, claims: readonly Claim[]): Readonly<Record<string, unknown>> {
  // Most have two nulls, and a busy day has a hundred claims.
  return { companyId, resourceId, day, json: JSON.stringify(claims, (_, value: unknown) => value ?? undefined) }
}

/** Records of before schema 3 hold the claims themselves. */
function claimsOf(record: Readonly<Record<string, unknown>> | null): Claim[] {
  const claims: unknown = typeof record?.['json'] === 'string' ? JSON.parse(record['json']) : (record?.['claims'] ?? [])
  return z.array(claimSchema).parse(claims)
}
