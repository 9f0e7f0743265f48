import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { CallOutcome, CallRecord, CallRepository, Gap, TurnRecord } from '../call/call-record.ts'
import { instant, later, type Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError, isClientsViaError } from '../core/errors.ts'
import { callRecordSchema, gapSchema, turnRecordSchema } from './embedded-call-documents.ts'
import { checkDocument } from './embedded-documents.ts'
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
/** Calls of this process that are known without asking, some 500 bytes each. */
const KNOWN_CALLS = 5000
/** Turns that are in the journal only, for a call that comes back; 4 KB each. */
const KEPT_TURNS = 2000

/** Everything that is written about a call. Each is idempotent by (companyId, callSid[, turn]). */
const changeSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('begin'), companyId: z.string(), call: callRecordSchema }),
  z.object({ kind: z.literal('update'), companyId: z.string(), callSid: z.string(), patch: callRecordSchema.partial() }),
  z.object({ kind: z.literal('turn'), companyId: z.string(), callSid: z.string(), turn: turnRecordSchema }),
  z.object({ kind: z.literal('gap'), companyId: z.string(), gap: gapSchema }),
  z.object({ kind: z.literal('delete'), companyId: z.string(), callSid: z.string() }),
])
type Change = z.output<typeof changeSchema>

export type JournaledCallsOptions = Readonly<{
  calls: CallRepository
  journal: Journal
  clock: Clock
  onProblem: (problem: string, error: unknown) => void
}>

/**
 * Calls whose records survive the database being away: what it does not take goes to the journal and follows when it is back. Once one
 * record of a call is in the journal the later ones go there too, so that they arrive in order.
 */
export class JournaledCallRepository implements CallRepository {
  readonly #calls: CallRepository
  readonly #journal: Journal
  readonly #clock: Clock
  readonly #onProblem: (problem: string, error: unknown) => void
  #awayUntil = instant(0)
  readonly #known = new LRUCache<string, CallRecord>({ max: KNOWN_CALLS })
  readonly #keptTurns = new LRUCache<string, Readonly<{ group: string; turn: TurnRecord }>>({ max: KEPT_TURNS })

  constructor(options: JournaledCallsOptions) {
    this.#calls = options.calls
    this.#journal = options.journal
    this.#clock = options.clock
    this.#onProblem = options.onProblem
  }

  get pending(): number {
    return this.#journal.pending
  }

  async begin(companyId: string, call: CallRecord, signal?: AbortSignal): Promise<void> {
    const group = groupOf(companyId, call.callSid)
    if (!this.#known.has(group)) this.#known.set(group, call)
    await this.#write(group, { kind: 'begin', companyId, call: checkDocument(callRecordSchema, call, `call ${companyId}/${call.callSid}`) }, (inner) => this.#calls.begin(companyId, call, inner), signal)
  }

  async get(companyId: string, callSid: string, signal?: AbortSignal): Promise<CallRecord | null> {
    const group = groupOf(companyId, callSid)
    const known = this.#known.get(group)
    if (known !== undefined && this.#journal.has(group)) return known
    try {
      return await this.#inTime((inner) => this.#calls.get(companyId, callSid, inner), signal)
    } catch (error) {
      if (known !== undefined && isAway(error)) return known
      throw error
    }
  }

  list(
    companyId: string,
    page: Readonly<{ before: string | null; limit: number; outcome?: CallOutcome; from?: string; startedFrom?: string; startedBefore?: string }>,
    signal?: AbortSignal,
  ): Promise<readonly CallRecord[]> {
    return this.#calls.list(companyId, page, signal)
  }

  async update(companyId: string, callSid: string, patch: Partial<CallRecord>, signal?: AbortSignal): Promise<CallRecord | null> {
    const group = groupOf(companyId, callSid)
    const known = this.#known.get(group)
    const expected = known === undefined ? null : { ...known, ...patch }
    const change: Change = { kind: 'update', companyId, callSid, patch: checkDocument(callRecordSchema.partial(), patch, `change of call ${companyId}/${callSid}`) }
    let stored: CallRecord | null | undefined
    const isJournaled = await this.#write(
      group,
      change,
      async (inner) => {
        stored = await this.#calls.update(companyId, callSid, patch, inner)
      },
      signal,
    )
    const result = isJournaled ? expected : (stored ?? null)
    if (result !== null && known !== undefined) this.#known.set(group, result)
    return result
  }

  async saveTurn(companyId: string, callSid: string, turn: TurnRecord, signal?: AbortSignal): Promise<void> {
    const group = groupOf(companyId, callSid)
    const checked = checkDocument(turnRecordSchema, turn, `turn ${turn.turn} of call ${companyId}/${callSid}`)
    const isJournaled = await this.#write(group, { kind: 'turn', companyId, callSid, turn: checked }, (inner) => this.#calls.saveTurn(companyId, callSid, turn, inner), signal)
    if (isJournaled) this.#keptTurns.set(`${group} ${turn.turn}`, { group, turn })
  }

  /** What is still in the journal included, so that a call which comes back knows what was said. */
  async turns(companyId: string, callSid: string, signal?: AbortSignal): Promise<readonly TurnRecord[]> {
    const group = groupOf(companyId, callSid)
    const kept = this.#journal.has(group) ? [...this.#keptTurns.values()].filter((one) => one.group === group).map((one) => one.turn) : []
    try {
      const stored = await this.#inTime((inner) => this.#calls.turns(companyId, callSid, inner), signal)
      return merged(stored, kept)
    } catch (error) {
      if (kept.length > 0 && isAway(error)) return merged([], kept)
      throw error
    }
  }

  async saveGap(companyId: string, gap: Gap, signal?: AbortSignal): Promise<void> {
    const checked = checkDocument(gapSchema, gap, `gap ${companyId}/${gap.id}`)
    await this.#write(groupOf(companyId, gap.callSid), { kind: 'gap', companyId, gap: checked }, (inner) => this.#calls.saveGap(companyId, gap, inner), signal)
  }

  gap(companyId: string, gapId: string, signal?: AbortSignal): Promise<Gap | null> {
    return this.#calls.gap(companyId, gapId, signal)
  }

  gaps(companyId: string, page: Readonly<{ after: string | null; limit: number; solved?: boolean }>, signal?: AbortSignal): Promise<readonly Gap[]> {
    return this.#calls.gaps(companyId, page, signal)
  }

  solveGap(companyId: string, gapId: string, entryId: string, signal?: AbortSignal): Promise<boolean> {
    return this.#calls.solveGap(companyId, gapId, entryId, signal)
  }

  async deleteCall(companyId: string, callSid: string, signal?: AbortSignal): Promise<boolean> {
    const group = groupOf(companyId, callSid)
    const existed = await this.#calls.deleteCall(companyId, callSid, signal)
    const wasPending = this.#journal.has(group)
    // Else the journal would bring it back.
    if (wasPending) await this.#journal.append({ group, change: { kind: 'delete', companyId, callSid } satisfies Change })
    this.#known.delete(group)
    return existed || wasPending
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
    const parsed = changeSchema.safeParse(raw)
    if (!parsed.success) {
      this.#onProblem('a line of the journal is no record and is dropped', parsed.error)
      return
    }
    const change = parsed.data
    try {
      await this.#inTime((inner) => this.#apply(change, inner), signal)
    } catch (error) {
      // What the database will never take must not hold up everything behind it.
      if (isAway(error) || signal.aborted) throw error
      this.#onProblem(`a ${change.kind} of the journal was refused and is dropped`, error)
    }
  }

  async #apply(change: Change, signal: AbortSignal): Promise<unknown> {
    switch (change.kind) {
      case 'begin':
        return this.#calls.begin(change.companyId, change.call as CallRecord, signal)
      case 'update':
        return this.#calls.update(change.companyId, change.callSid, change.patch as Partial<CallRecord>, signal)
      case 'turn':
        return this.#calls.saveTurn(change.companyId, change.callSid, change.turn as TurnRecord, signal)
      case 'gap':
        return this.#calls.saveGap(change.companyId, change.gap as Gap, signal)
      case 'delete':
        return this.#calls.deleteCall(change.companyId, change.callSid, signal)
    }
  }

  /** True when it went to the journal. */
  async #write(group: string, change: Change, direct: (signal: AbortSignal) => Promise<void>, signal?: AbortSignal): Promise<boolean> {
    if (!this.#journal.has(group)) {
      try {
        await this.#inTime(direct, signal)
        return false
      } catch (error) {
        if (!isAway(error)) throw error
        this.#onProblem('the database does not take a record: it goes to the journal', error)
      }
    }
    await this.#journal.append({ group, change })
    return true
  }

  /** While the database is known to be away nobody waits to find that out again. */
  async #inTime<T>(work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#clock.now() < this.#awayUntil) throw new ClientsViaError('STORE_FAILED', 'the database did not answer a moment ago')
    try {
      return await withDeadline(this.#clock, DIRECT_MS, signal ?? null, work)
    } catch (error) {
      if (signal?.aborted !== true && isAway(error)) this.#awayUntil = later(this.#clock.now(), AWAY_MS)
      throw error
    }
  }
}

function groupOf(companyId: string, callSid: string): string {
  return `${companyId} ${callSid}`
}

/** A document that cannot be read is the same failure by name, but waiting does not mend it. */
function isAway(error: unknown): boolean {
  if (isClientsViaError(error, 'STORE_FAILED')) return !('document' in error.details)
  return isClientsViaError(error, 'DEADLINE_PASSED') || isClientsViaError(error, 'OVERLOADED')
}

function merged(stored: readonly TurnRecord[], kept: readonly TurnRecord[]): readonly TurnRecord[] {
  const byNumber = new Map([...stored, ...kept].map((turn) => [turn.turn, turn]))
  return [...byNumber.values()].sort((a, b) => a.turn - b.turn)
}
