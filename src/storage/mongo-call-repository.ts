import type { Filter } from 'mongodb'
import type { CallOutcome, CallRecord, CallRepository, Gap, TurnRecord } from '../call/call-record.ts'
import { ClientsViaError } from '../core/errors.ts'
import { callRecordSchema, gapSchema, turnRecordSchema } from './embedded-call-documents.ts'
import { checkDocument, checkLimit, checkSame, type RepositoryTools } from './embedded-documents.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import { parsedRecord, readRecord, readRecords } from './mongo-documents.ts'

/** A call of half an hour has some two hundred. */
const MAX_TURNS = 5000

export class MongoCallRepository implements CallRepository {
  readonly #tools: RepositoryTools
  readonly #calls: MongoRecords
  readonly #turns: MongoRecords
  readonly #gaps: MongoRecords

  constructor(database: MongoDatabase, tools: RepositoryTools) {
    this.#tools = tools
    this.#calls = database.collection('calls')
    this.#turns = database.collection('turns')
    this.#gaps = database.collection('gaps')
  }

  /** A second leg of the same call begins it again: the record it has is kept. */
  async begin(companyId: string, call: CallRecord, signal?: AbortSignal): Promise<void> {
    const checked = this.#check(companyId, call)
    await this.#calls.insert({ _id: idOf(companyId, checked.callSid), revision: 1, ...fieldsOf(checked) }, signal)
  }

  async get(companyId: string, callSid: string, signal?: AbortSignal): Promise<CallRecord | null> {
    const record = await this.#calls.get(idOf(companyId, callSid), signal)
    return record === null ? null : readRecord(callRecordSchema, record, 'call')
  }

  async list(
    companyId: string,
    page: Readonly<{ before: string | null; limit: number; outcome?: CallOutcome; from?: string; startedFrom?: string; startedBefore?: string }>,
    signal?: AbortSignal,
  ): Promise<readonly CallRecord[]> {
    const limit = checkLimit(page.limit)
    const conditions: Filter<Stored>[] = []
    if (page.before !== null) {
      const before = await this.#calls.get(idOf(companyId, page.before), signal)
      if (before === null) throw new ClientsViaError('INVALID_INPUT', 'before must be the callSid of a call of this company', { field: 'before' })
      const { startedAt, callSid } = before
      conditions.push({ $or: [{ startedAt: { $lt: startedAt } }, { startedAt, callSid: { $lt: callSid } }] })
    }
    if (page.outcome !== undefined) conditions.push({ outcome: page.outcome })
    if (page.from !== undefined) conditions.push({ from: page.from })
    if (page.startedFrom !== undefined) conditions.push({ startedAt: { $gte: page.startedFrom } })
    if (page.startedBefore !== undefined) conditions.push({ startedAt: { $lt: page.startedBefore } })
    const filter: Filter<Stored> = { companyId, ...(conditions.length > 0 && { $and: conditions }) }
    const records = await this.#calls.find(filter, { sort: { startedAt: -1, callSid: -1 }, limit }, signal)
    return readRecords(callRecordSchema, records, 'call', this.#tools.report)
  }

  async update(companyId: string, callSid: string, patch: Partial<CallRecord>, signal?: AbortSignal): Promise<CallRecord | null> {
    return this.#calls.change<CallRecord | null>(
      idOf(companyId, callSid),
      (before) => {
        if (before === null) return { record: null, answer: null }
        const checked = this.#check(companyId, { ...readRecord(callRecordSchema, before, 'call'), ...patch })
        checkSame('callSid', callSid, checked.callSid)
        return { record: fieldsOf(checked), answer: checked }
      },
      signal,
    )
  }

  /** The call need not be known: a turn is not lost because the call's own record could not be written. */
  async saveTurn(companyId: string, callSid: string, turn: TurnRecord, signal?: AbortSignal): Promise<void> {
    const checked = checkDocument(turnRecordSchema, turn, `turn ${turn.turn} of call ${companyId}/${callSid}`)
    // As text: what a step notes in its trace has keys of its own making, and not every server takes every key.
    await this.#turns.put({ _id: idOf(companyId, callSid, checked.turn), companyId, callSid, turn: checked.turn, json: JSON.stringify(checked) }, signal)
  }

  async turns(companyId: string, callSid: string, signal?: AbortSignal): Promise<readonly TurnRecord[]> {
    const records = await this.#turns.find({ companyId, callSid }, { sort: { turn: 1 }, limit: MAX_TURNS }, signal)
    return readRecords(turnRecordSchema, records.map(parsedRecord), 'turn', this.#tools.report)
  }

  async saveGap(companyId: string, gap: Gap, signal?: AbortSignal): Promise<void> {
    const checked = checkDocument(gapSchema, gap, `gap ${companyId}/${gap.id}`)
    checkSame('gap.companyId', companyId, checked.companyId)
    await this.#gaps.change<void>(idOf(companyId, checked.id), () => ({ record: gapFields(checked), answer: undefined }), signal)
  }

  async gap(companyId: string, gapId: string, signal?: AbortSignal): Promise<Gap | null> {
    const record = await this.#gaps.get(idOf(companyId, gapId), signal)
    return record === null ? null : readRecord(gapSchema, record, 'gap')
  }

  async gaps(companyId: string, page: Readonly<{ after: string | null; limit: number; solved?: boolean }>, signal?: AbortSignal): Promise<readonly Gap[]> {
    const limit = checkLimit(page.limit)
    const filter: Filter<Stored> = { companyId, gapId: { $gt: page.after ?? '' }, ...(page.solved !== undefined && { solved: page.solved }) }
    return readRecords(gapSchema, await this.#gaps.find(filter, { sort: { gapId: 1 }, limit }, signal), 'gap', this.#tools.report)
  }

  async solveGap(companyId: string, gapId: string, entryId: string, signal?: AbortSignal): Promise<boolean> {
    return this.#gaps.change<boolean>(
      idOf(companyId, gapId),
      (before) => {
        if (before === null) return { record: null, answer: false }
        return { record: gapFields({ ...readRecord(gapSchema, before, 'gap'), solvedByEntryId: entryId }), answer: true }
      },
      signal,
    )
  }

  /** The caller's words go with it, and go first: turns and gaps. */
  async deleteCall(companyId: string, callSid: string, signal?: AbortSignal): Promise<boolean> {
    await this.#turns.delete({ companyId, callSid }, signal)
    await this.#gaps.delete({ companyId, callSid }, signal)
    return (await this.#calls.delete({ _id: idOf(companyId, callSid) }, signal)) > 0
  }

  #check(companyId: string, call: CallRecord): CallRecord {
    const checked = checkDocument(callRecordSchema, call, `call ${companyId}/${call.callSid}`)
    checkSame('call.companyId', companyId, checked.companyId)
    return checked
  }
}

function fieldsOf(call: CallRecord): Readonly<Record<string, unknown>> {
  const { companyId, callSid, startedAt, outcome, from } = call
  return { companyId, callSid, startedAt, outcome, from, document: call }
}

function gapFields(gap: Gap): Readonly<Record<string, unknown>> {
  return { companyId: gap.companyId, gapId: gap.id, callSid: gap.callSid, solved: gap.solvedByEntryId !== null, document: gap }
}
