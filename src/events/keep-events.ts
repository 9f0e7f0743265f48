import type { Clock } from '../core/clock.ts'
import type { Company } from '../tenancy/company.ts'
import type { EventStore } from './event.ts'
import type { LeadStore } from './lead.ts'
import type { Outbox } from './outbox.ts'

export type KeepEventsDeps = Readonly<{
  clock: Clock
  companies: Readonly<{ list: (page: Readonly<{ after: string | null; limit: number }>, signal?: AbortSignal) => Promise<readonly Company[]> }>
  eventLog: Pick<EventStore, 'deleteBefore'>
  outbox: Pick<Outbox, 'deleteEndedBefore'>
  leads: Pick<LeadStore, 'deleteBefore'>
  /** A company that could not be swept is tried again at the next round. */
  onFailure: (companyId: string, error: unknown) => void
}>

const SWEEP_EVERY_MS = 6 * 60 * 60_000
const DAY_MS = 24 * 60 * 60_000
const PAGE = 200

/** Sweeps now and then every six hours, until the signal aborts. */
export async function keepEvents(deps: KeepEventsDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sweepEvents(deps, signal)
    await deps.clock.sleep(SWEEP_EVERY_MS, signal).catch(() => undefined)
  }
}

/**
 * Messages and tasks that ended go with the transcripts, after `transcriptDays`: they hold the same numbers. Events, and leads that nobody has
 * touched for as long, after `auditDays`: they are the company's books.
 */
export async function sweepEvents(deps: KeepEventsDeps, signal: AbortSignal): Promise<void> {
  let after: string | null = null
  for (;;) {
    const page: readonly Company[] = await deps.companies.list({ after, limit: PAGE }, signal)
    for (const { id, retention } of page) {
      try {
        const [messagesBefore, eventsBefore] = [retention.transcriptDays, retention.auditDays].map((days) => new Date(deps.clock.wallTime().getTime() - days * DAY_MS).toISOString()) as [string, string]
        await all((limit) => deps.outbox.deleteEndedBefore(id, messagesBefore, limit, signal))
        await all((limit) => deps.eventLog.deleteBefore(id, eventsBefore, limit, signal))
        await all((limit) => deps.leads.deleteBefore(id, eventsBefore, limit, signal))
      } catch (error) {
        signal.throwIfAborted()
        deps.onFailure(id, error)
      }
    }
    after = page.at(-1)?.id ?? null
    if (page.length < PAGE || after === null) return
  }
}

/** A piece at a time: a write lock that is held for long makes calls wait for their records. */
async function all(sweep: (limit: number) => Promise<number>): Promise<void> {
  while ((await sweep(PAGE)) === PAGE);
}
