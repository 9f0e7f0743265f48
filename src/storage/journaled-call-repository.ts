import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { CallOutcome, CallRecord, CallRepository, Gap, TurnRecord } from '../call/call-record.ts'
import { callRecordSchema, gapSchema, turnRecordSchema } from './embedded-call-documents.ts'
import { checkDocument } from './embedded-documents.ts'
import { isAway, type JournaledWrites } from './journaled-writes.ts'

/** Calls of this process that are known without asking, some 500 bytes each. */
const KNOWN_CALLS = 5000
/** Turns that are in the journal only, for a call that comes back; 4 KB each. */
const KEPT_TURNS = 2000

/** Everything that is written about a call. Each is idempotent by (companyId, callSid[, turn]). */
const beginSchema = z.object({ kind: z.literal('begin'), companyId: z.string(), call: callRecordSchema })
const updateSchema = z.object({ kind: z.literal('update'), companyId: z.string(), callSid: z.string(), patch: callRecordSchema.partial() })
const turnSchema = z.object({ kind: z.literal('turn'), companyId: z.string(), callSid: z.string(), turn: turnRecordSchema })
const gapChangeSchema = z.object({ kind: z.literal('gap'), companyId: z.string(), gap: gapSchema })
const deleteSchema = z.object({ kind: z.literal('delete'), companyId: z.string(), callSid: z.string() })

/** Calls whose records survive the database being away: see JournaledWrites. */
export class JournaledCallRepository implements CallRepository {
  readonly #calls: CallRepository
  readonly #writes: JournaledWrites
  readonly #known = new LRUCache<string, CallRecord>({ max: KNOWN_CALLS })
  readonly #keptTurns = new LRUCache<string, Readonly<{ group: string; turn: TurnRecord }>>({ max: KEPT_TURNS })

  constructor(calls: CallRepository, writes: JournaledWrites) {
    this.#calls = calls
    this.#writes = writes
    writes.replays('begin', beginSchema, ({ companyId, call }, signal) => calls.begin(companyId, call as CallRecord, signal))
    writes.replays('update', updateSchema, ({ companyId, callSid, patch }, signal) => calls.update(companyId, callSid, patch as Partial<CallRecord>, signal))
    writes.replays('turn', turnSchema, ({ companyId, callSid, turn }, signal) => calls.saveTurn(companyId, callSid, turn as TurnRecord, signal))
    writes.replays('gap', gapChangeSchema, ({ companyId, gap }, signal) => calls.saveGap(companyId, gap as Gap, signal))
    writes.replays('delete', deleteSchema, ({ companyId, callSid }, signal) => calls.deleteCall(companyId, callSid, signal))
  }

  async begin(companyId: string, call: CallRecord, signal?: AbortSignal): Promise<void> {
    const group = groupOf(companyId, call.callSid)
    if (!this.#known.has(group)) this.#known.set(group, call)
    await this.#writes.write(group, { kind: 'begin', companyId, call: checkDocument(callRecordSchema, call, `call ${companyId}/${call.callSid}`) }, (inner) => this.#calls.begin(companyId, call, inner), signal)
  }

  async get(companyId: string, callSid: string, signal?: AbortSignal): Promise<CallRecord | null> {
    const group = groupOf(companyId, callSid)
    const known = this.#known.get(group)
    if (known !== undefined && this.#writes.isPending(group)) return known
    try {
      return await this.#writes.inTime((inner) => this.#calls.get(companyId, callSid, inner), signal)
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
    const change = { kind: 'update', companyId, callSid, patch: checkDocument(callRecordSchema.partial(), patch, `change of call ${companyId}/${callSid}`) }
    let stored: CallRecord | null | undefined
    const isJournaled = await this.#writes.write(
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
    const isJournaled = await this.#writes.write(group, { kind: 'turn', companyId, callSid, turn: checked }, (inner) => this.#calls.saveTurn(companyId, callSid, turn, inner), signal)
    if (isJournaled) this.#keptTurns.set(`${group} ${turn.turn}`, { group, turn })
  }

  /** What is still in the journal included, so that a call which comes back knows what was said. */
  async turns(companyId: string, callSid: string, signal?: AbortSignal): Promise<readonly TurnRecord[]> {
    const group = groupOf(companyId, callSid)
    const kept = this.#writes.isPending(group) ? [...this.#keptTurns.values()].filter((one) => one.group === group).map((one) => one.turn) : []
    try {
      const stored = await this.#writes.inTime((inner) => this.#calls.turns(companyId, callSid, inner), signal)
      return merged(stored, kept)
    } catch (error) {
      if (kept.length > 0 && isAway(error)) return merged([], kept)
      throw error
    }
  }

  async saveGap(companyId: string, gap: Gap, signal?: AbortSignal): Promise<void> {
    const checked = checkDocument(gapSchema, gap, `gap ${companyId}/${gap.id}`)
    await this.#writes.write(groupOf(companyId, gap.callSid), { kind: 'gap', companyId, gap: checked }, (inner) => this.#calls.saveGap(companyId, gap, inner), signal)
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
    const wasPending = this.#writes.isPending(group)
    // Else the journal would bring it back.
    if (wasPending) await this.#writes.note(group, { kind: 'delete', companyId, callSid })
    this.#known.delete(group)
    return existed || wasPending
  }
}

function groupOf(companyId: string, callSid: string): string {
  return `${companyId} ${callSid}`
}

function merged(stored: readonly TurnRecord[], kept: readonly TurnRecord[]): readonly TurnRecord[] {
  const byNumber = new Map([...stored, ...kept].map((turn) => [turn.turn, turn]))
  return [...byNumber.values()].sort((a, b) => a.turn - b.turn)
}
