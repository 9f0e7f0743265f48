import type { z } from 'zod'
import { instant, later, type Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError, isClientsViaError } from '../core/errors.ts'
import type { Journal } from './journal.ts'

/** A write that takes longer goes to the journal; the database may still have made it, and making it again changes nothing. */
const DIRECT_MS = 1500
/** Shorter than the probe, so that each probe asks. */
const AWAY_MS = 900
/** While the database is away it is asked this often. */
const PROBE_MS = 1000
const LAST_PROBE_MS = 10_000
/** Another process may have died and left its journal; and this one shows that it lives. */
const ADOPT_EVERY_MS = 30_000

export type JournaledWritesOptions = Readonly<{
  journal: Journal
  clock: Clock
  onProblem: (problem: string, error: unknown) => void
}>

type Change = Readonly<{ kind: string; [field: string]: unknown }>
/** What a line of the journal asks for, or why it cannot be read. */
type ReadChange = (raw: unknown) => ((signal: AbortSignal) => Promise<unknown>) | z.ZodError

/**
 * Writes that survive the database being away: what it does not take goes to the journal and follows when it is back. Once one change
 * of a group is in the journal the later ones go there too, so that they arrive in order. Every change may be made twice without harm.
 */
export class JournaledWrites {
  readonly #journal: Journal
  readonly #clock: Clock
  readonly #onProblem: (problem: string, error: unknown) => void
  readonly #readers = new Map<string, ReadChange>()
  #awayUntil = instant(0)

  constructor(options: JournaledWritesOptions) {
    this.#journal = options.journal
    this.#clock = options.clock
    this.#onProblem = options.onProblem
  }

  get pending(): number {
    return this.#journal.pending
  }

  /** How a change of this kind is made when the database is back. */
  replays<S extends z.ZodType<Readonly<{ kind: string }>>>(kind: z.output<S>['kind'], schema: S, make: (change: z.output<S>, signal: AbortSignal) => Promise<unknown>): void {
    this.#readers.set(kind, (raw) => {
      const read = schema.safeParse(raw)
      return read.success ? (signal) => make(read.data, signal) : read.error
    })
  }

  isPending(group: string): boolean {
    return this.#journal.has(group)
  }

  /** True when it went to the journal. */
  async write(group: string, change: Change, direct: (signal: AbortSignal) => Promise<void>, signal?: AbortSignal): Promise<boolean> {
    if (!this.#journal.has(group)) {
      try {
        await this.inTime(direct, signal)
        return false
      } catch (error) {
        if (!isAway(error)) throw error
        this.#onProblem('the database does not take a record: it goes to the journal', error)
      }
    }
    await this.#journal.append({ group, change })
    return true
  }

  /** Into the journal whether or not the database is there. */
  async note(group: string, change: Change): Promise<void> {
    await this.#journal.append({ group, change })
  }

  /** While the database is known to be away nobody waits to find that out again. */
  async inTime<T>(work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.refuseWhileAway()
    try {
      return await withDeadline(this.#clock, DIRECT_MS, signal ?? null, work)
    } catch (error) {
      if (signal?.aborted !== true && isAway(error)) this.#awayUntil = later(this.#clock.now(), AWAY_MS)
      throw error
    }
  }

  /** Throws STORE_FAILED while the database is known to be away. */
  refuseWhileAway(): void {
    if (this.#clock.now() < this.#awayUntil) throw new ClientsViaError('STORE_FAILED', 'the database did not answer a moment ago')
  }

  /** Brings the journal's changes to the database whenever it is there, until the signal. */
  async keepReplaying(signal: AbortSignal): Promise<void> {
    let waitMs = PROBE_MS
    let adoptAt = later(this.#clock.now(), ADOPT_EVERY_MS)
    while (!signal.aborted) {
      if (this.#clock.now() >= adoptAt) {
        adoptAt = later(this.#clock.now(), ADOPT_EVERY_MS)
        await this.#journal.adoptAbandoned().catch((error: unknown) => this.#onProblem('the journal folder cannot be read', error))
      }
      if (this.#journal.pending > 0) {
        try {
          const count = this.#journal.pending
          await this.#journal.replay((change) => this.#make(change, signal))
          this.#onProblem(`${count} records brought from the journal to the database`, null)
          waitMs = PROBE_MS
        } catch (error) {
          if (signal.aborted) return
          waitMs = Math.min(LAST_PROBE_MS, Math.max(PROBE_MS, waitMs * 2))
          if (!isAway(error)) this.#onProblem('the journal cannot be replayed', error)
        }
      } else waitMs = PROBE_MS
      await this.#clock.sleep(waitMs, signal)
    }
  }

  async #make(raw: unknown, signal: AbortSignal): Promise<void> {
    const kind = kindOf(raw)
    const replay = this.#readers.get(kind)?.(raw) ?? new TypeError(`no such change: ${kind}`)
    if (typeof replay !== 'function') {
      this.#onProblem('a line of the journal is no record and is dropped', replay)
      return
    }
    try {
      await this.inTime(replay, signal)
    } catch (error) {
      // What the database will never take must not hold up everything behind it.
      if (isAway(error) || signal.aborted) throw error
      this.#onProblem(`a ${kind} of the journal was refused and is dropped`, error)
    }
  }
}

/** A document that cannot be read is the same failure by name, but waiting does not mend it. */
export function isAway(error: unknown): boolean {
  if (isClientsViaError(error, 'STORE_FAILED')) return !('document' in error.details)
  return isClientsViaError(error, 'DEADLINE_PASSED') || isClientsViaError(error, 'OVERLOADED')
}

function kindOf(raw: unknown): string {
  return typeof raw === 'object' && raw !== null && 'kind' in raw ? String(raw.kind) : ''
}
