import type { Clock } from '../core/clock.ts'
import { later } from '../core/clock.ts'
import type { Company } from '../tenancy/company.ts'
import type { CompanyRepository } from '../tenancy/repositories.ts'
import type { AppointmentRepository } from './appointment-repository.ts'
import type { CompanyBookingDesk } from './company-booking-desk.ts'

export type AppointmentKeeperDeps = Readonly<{
  clock: Clock
  companies: Pick<CompanyRepository, 'list'>
  appointments: Pick<AppointmentRepository, 'deleteEndedBefore'>
  desk: Pick<CompanyBookingDesk, 'endHolds'>
  /** A company that could not be seen to is tried again at the next round. */
  onFailure: (companyId: string, error: unknown) => void
}>

/** A hold's time is free by itself when it has run out; this only makes the record say so. */
const HOLDS_EVERY_MS = 60_000
const RETENTION_EVERY_MS = 60 * 60_000
const DAY_MS = 24 * 60 * 60_000
const PAGE = 200
/** Between two such pieces the store answers others. */
const DELETE_AT_ONCE = 100

/** Every minute the holds, every hour what a company no longer wants kept: until the signal aborts. */
export async function keepAppointments(deps: AppointmentKeeperDeps, signal: AbortSignal): Promise<void> {
  let retentionAt = deps.clock.now()
  while (!signal.aborted) {
    const retentionIsDue = deps.clock.now() >= retentionAt
    if (retentionIsDue) retentionAt = later(deps.clock.now(), RETENTION_EVERY_MS)
    try {
      await keepRound(deps, retentionIsDue, signal)
      await deps.clock.sleep(HOLDS_EVERY_MS, signal)
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
  }
}

/** One round through all companies. Visits are deleted `retention.appointmentDays` after they ended. */
export async function keepRound(deps: AppointmentKeeperDeps, withRetention: boolean, signal: AbortSignal): Promise<Readonly<{ holds: number; deleted: number }>> {
  const done = { holds: 0, deleted: 0 }
  for (let after: string | null = null; ; ) {
    const page: readonly Company[] = await deps.companies.list({ after, limit: PAGE }, signal)
    for (const company of page) {
      try {
        done.holds += await deps.desk.endHolds(company.id, signal)
        if (withRetention) done.deleted += await deleteOld(deps, company, signal)
      } catch (error) {
        signal.throwIfAborted()
        deps.onFailure(company.id, error)
      }
    }
    after = page.at(-1)?.id ?? null
    if (page.length < PAGE || after === null) return done
  }
}

async function deleteOld(deps: AppointmentKeeperDeps, company: Company, signal: AbortSignal): Promise<number> {
  const before = new Date(deps.clock.wallTime().getTime() - company.retention.appointmentDays * DAY_MS).toISOString()
  let deleted = 0
  for (;;) {
    const some = await deps.appointments.deleteEndedBefore(company.id, before, DELETE_AT_ONCE, signal)
    deleted += some
    if (some < DELETE_AT_ONCE) return deleted
  }
}
