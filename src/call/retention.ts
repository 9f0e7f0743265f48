import type { Clock } from '../core/clock.ts'
import type { Company } from '../tenancy/company.ts'
import type { CallRepository } from './call-record.ts'

export type RetentionDeps = Readonly<{
  clock: Clock
  companies: Readonly<{ list: (page: Readonly<{ after: string | null; limit: number }>, signal?: AbortSignal) => Promise<readonly Company[]> }>
  calls: Pick<CallRepository, 'list' | 'deleteCall'>
  /** Deletes recordings of before `before` (RFC 3339); returns how many. Null where nothing is recorded. */
  audio: ((companyId: string, before: string, signal: AbortSignal) => Promise<number>) | null
  /** A company that could not be swept is tried again at the next round. */
  onFailure: (companyId: string, error: unknown) => void
}>
export type Swept = Readonly<{ companies: number; calls: number; recordings: number }>

/** What is due a minute late harms nobody; what is a day late breaks a promise. */
const SWEEP_EVERY_MS = 60 * 60_000
const DAY_MS = 24 * 60 * 60_000
const PAGE = 200

/** Sweeps now and then every hour, until the signal aborts. */
export async function keepRetention(deps: RetentionDeps, onSwept: (swept: Swept) => void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      onSwept(await sweepRetention(deps, signal))
      await deps.clock.sleep(SWEEP_EVERY_MS, signal)
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
  }
}

/**
 * Deletes what a company no longer wants kept, class by class: recordings after `audioDays`, calls with their turns and gaps after
 * `transcriptDays`. A call that is going on is not touched.
 */
export async function sweepRetention(deps: RetentionDeps, signal: AbortSignal): Promise<Swept> {
  const swept = { companies: 0, calls: 0, recordings: 0 }
  let after: string | null = null
  for (;;) {
    const page: readonly Company[] = await deps.companies.list({ after, limit: PAGE }, signal)
    for (const company of page) {
      try {
        swept.recordings += (await deps.audio?.(company.id, cutOff(deps.clock, company.retention.audioDays), signal)) ?? 0
        swept.calls += await sweepCalls(deps, company, signal)
        swept.companies += 1
      } catch (error) {
        signal.throwIfAborted()
        deps.onFailure(company.id, error)
      }
    }
    after = page.at(-1)?.id ?? null
    if (page.length < PAGE || after === null) return swept
  }
}

async function sweepCalls(deps: RetentionDeps, company: Company, signal: AbortSignal): Promise<number> {
  const startedBefore = cutOff(deps.clock, company.retention.transcriptDays)
  const abandonedBefore = cutOff(deps.clock, 1)
  let deleted = 0
  let before: string | null = null
  for (;;) {
    const page = await deps.calls.list(company.id, { before, limit: PAGE, startedBefore }, signal)
    // A process that died left its calls "in progress": after a day nobody is on the line any more.
    const due = page.filter((call) => call.endedAt !== null || call.startedAt < abandonedBefore)
    for (const call of due) if (await deps.calls.deleteCall(company.id, call.callSid, signal)) deleted += 1
    if (page.length < PAGE) return deleted
    // The next page starts after a call that is still there, or afresh where none is.
    before = page.findLast((call) => !due.includes(call))?.callSid ?? null
  }
}

function cutOff(clock: Clock, days: number): string {
  return new Date(clock.wallTime().getTime() - days * DAY_MS).toISOString()
}
