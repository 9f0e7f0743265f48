import type { Clock } from '../core/clock.ts'
import type { AuditLog } from './audit-log.ts'

export type AuditRetentionDeps = Readonly<{
  clock: Clock
  audit: Pick<AuditLog, 'listCompanies' | 'trim'>
  /** How long a company wants its log kept; null for the platform and for companies that are no more. */
  daysOf: (companyId: string, signal: AbortSignal) => Promise<number | null>
  /** A chain that could not be swept is tried again at the next round. */
  onFailure: (companyId: string, error: unknown) => void
}>

/** The platform's own log, and that of a company that was deleted: who deleted it, for one. */
const DEFAULT_DAYS = 365
const DAY_MS = 24 * 60 * 60_000

/** Drops the audit rows whose time is over, company by company; returns how many. */
export async function sweepAudit(deps: AuditRetentionDeps, signal: AbortSignal): Promise<number> {
  let dropped = 0
  for (const companyId of await deps.audit.listCompanies(signal)) {
    try {
      const days = (await deps.daysOf(companyId, signal)) ?? DEFAULT_DAYS
      dropped += await deps.audit.trim(companyId, new Date(deps.clock.wallTime().getTime() - days * DAY_MS), signal)
    } catch (error) {
      signal.throwIfAborted()
      deps.onFailure(companyId, error)
    }
  }
  return dropped
}
