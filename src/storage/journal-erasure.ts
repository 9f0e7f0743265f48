import type { Clock } from '../core/clock.ts'
import type { JournalEntry } from './journal.ts'

/** While the database is there, what waits is brought to it within a probe or two; longer than that, an admin is told and asks again. */
const DRAIN_MS = 3000
const LOOK_EVERY_MS = 250

/**
 * What waits on this machine's disk for the database, as a store that can be asked about a caller. A turn that waits does not say whose call
 * it is of, so all that waits of the company counts. It must be asked first: what waits is erased where it arrives, so that erasing means
 * waiting for it a while, and saying how much is still here.
 */
export function journalStore(journal: Readonly<{ entries: () => Promise<readonly JournalEntry[]> }>, clock: Clock) {
  const find = async (companyId: string): Promise<number> => (await journal.entries()).filter(({ change }) => isOf(change, companyId)).length
  return {
    name: 'records that wait for the database',
    erase: async (companyId: string, _phoneNumberE164: string, signal: AbortSignal): Promise<number> => {
      for (let waitedMs = 0; waitedMs < DRAIN_MS && (await find(companyId)) > 0; waitedMs += LOOK_EVERY_MS) await clock.sleep(LOOK_EVERY_MS, signal)
      return 0
    },
    find,
  }
}

function isOf(change: unknown, companyId: string): boolean {
  return typeof change === 'object' && change !== null && 'companyId' in change && change.companyId === companyId
}
