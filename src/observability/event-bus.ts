import { BoundedQueue } from '../core/bounded-queue.ts'

/** Something that happened, for whoever watches. Never read by the road itself. */
export type CompanyEvent = Readonly<{
  /** Counts up by one per company in this process; a gap tells a reader that it missed something. */
  id: number
  companyId: string
  /** What is kept in the event store too has its type for a kind, and `data.eventId`. */
  kind: 'call.started' | 'turn.finished' | 'limit.reached' | 'call.ended' | 'call.missed' | `${'appointment' | 'lead' | 'message' | 'contact'}.${string}`
  /** RFC 3339. */
  at: string
  /** Empty for what came of no call. */
  callSid: string
  data: Readonly<Record<string, unknown>>
}>

/** A reader that falls this far behind misses the oldest: a browser tab asleep must not grow the server. */
const QUEUE_CAPACITY = 200
/** Kept for a reader that comes back with the id of the last event it saw. */
const REMEMBERED_EVENTS = 100
/** Companies whose recent events are kept; the one that was quiet longest goes first. */
const REMEMBERED_COMPANIES = 500

type Company = { lastId: number; recent: CompanyEvent[]; readers: Set<BoundedQueue<CompanyEvent>> }

/** What happens, company by company, to any number of readers. Publishing never waits and never fails. */
export class EventBus {
  readonly #companies = new Map<string, Company>()

  publish(companyId: string, event: Omit<CompanyEvent, 'id' | 'companyId'>): void {
    const company = this.#companyOf(companyId)
    const numbered: CompanyEvent = { ...event, companyId, id: ++company.lastId }
    company.recent.push(numbered)
    if (company.recent.length > REMEMBERED_EVENTS) company.recent.shift()
    for (const reader of company.readers) reader.push(numbered)
  }

  readerCount(companyId: string): number {
    return this.#companies.get(companyId)?.readers.size ?? 0
  }

  /** Drops what is remembered of a company, for a caller who wants to be forgotten; returns how many events that were. */
  forget(companyId: string): number {
    const recent = this.#companies.get(companyId)?.recent ?? []
    return recent.splice(0, recent.length).length
  }

  /** The company's events from now on, those after `afterId` first; ends when the signal aborts. */
  async *subscribe(companyId: string, afterId: number | null, signal: AbortSignal): AsyncGenerator<CompanyEvent, void, undefined> {
    const company = this.#companyOf(companyId)
    const queue = new BoundedQueue<CompanyEvent>(QUEUE_CAPACITY, 'drop-oldest')
    // An id from before a restart is larger than any of ours: everything remembered is then new to its reader.
    const missed = afterId === null ? [] : company.recent.filter((event) => event.id > afterId || afterId > company.lastId)
    for (const event of missed) queue.push(event)
    const onAbort = (): void => queue.close()
    company.readers.add(queue)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) queue.close()
    try {
      for await (const event of queue) {
        if (signal.aborted) return
        // The wall between companies holds here too, whatever happened to the map.
        if (event.companyId === companyId) yield event
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      company.readers.delete(queue)
    }
  }

  #companyOf(companyId: string): Company {
    const known = this.#companies.get(companyId) ?? { lastId: 0, recent: [], readers: new Set<BoundedQueue<CompanyEvent>>() }
    this.#companies.delete(companyId)
    this.#companies.set(companyId, known)
    if (this.#companies.size > REMEMBERED_COMPANIES) this.#forgetQuietest()
    return known
  }

  #forgetQuietest(): void {
    for (const [companyId, company] of this.#companies) {
      if (company.readers.size > 0) continue
      this.#companies.delete(companyId)
      return
    }
  }
}
