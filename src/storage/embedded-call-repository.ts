import type { CallOutcome, CallRecord, CallRepository, Gap, TurnRecord } from '../call/call-record.ts'
import { ClientsViaError } from '../core/errors.ts'
import { callRecordSchema, gapSchema, turnRecordSchema } from './embedded-call-documents.ts'
import type { EmbeddedDatabase, Row } from './embedded-database.ts'
import { checkDocument, checkLimit, checkSame, readDocument, readDocuments, type RepositoryTools } from './embedded-documents.ts'

export class EmbeddedCallRepository implements CallRepository {
  readonly #database: EmbeddedDatabase
  readonly #tools: RepositoryTools

  constructor(database: EmbeddedDatabase, tools: RepositoryTools) {
    this.#database = database
    this.#tools = tools
  }

  /** A second leg of the same call begins it again: the record it has is kept. */
  async begin(companyId: string, call: CallRecord): Promise<void> {
    const checked = this.#check(companyId, call)
    this.#database.run(
      `INSERT INTO calls (company_id, call_sid, started_at, outcome, from_number, document) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (company_id, call_sid) DO NOTHING`,
      ...columnsOf(checked),
    )
  }

  async get(companyId: string, callSid: string): Promise<CallRecord | null> {
    return this.#get(companyId, callSid)
  }

  async list(
    companyId: string,
    page: Readonly<{ before: string | null; limit: number; outcome?: CallOutcome; from?: string; startedFrom?: string; startedBefore?: string }>,
  ): Promise<readonly CallRecord[]> {
    const limit = checkLimit(page.limit)
    let before: Row | undefined
    if (page.before !== null) {
      before = this.#database.get('SELECT started_at, call_sid FROM calls WHERE company_id = ? AND call_sid = ?', companyId, page.before)
      if (before === undefined) throw new ClientsViaError('INVALID_INPUT', 'before must be the callSid of a call of this company', { field: 'before' })
    }
    const rows = this.#database.all(
      `SELECT company_id, call_sid, document FROM calls
       WHERE company_id = ?1
         AND (?2 IS NULL OR (started_at, call_sid) < (?2, ?3))
         AND (?4 IS NULL OR outcome = ?4)
         AND (?5 IS NULL OR from_number = ?5)
         AND (?6 IS NULL OR started_at >= ?6)
         AND (?7 IS NULL OR started_at < ?7)
       ORDER BY started_at DESC, call_sid DESC LIMIT ?8`,
      companyId,
      before === undefined ? null : String(before['started_at']),
      before === undefined ? null : String(before['call_sid']),
      page.outcome ?? null,
      page.from ?? null,
      page.startedFrom ?? null,
      page.startedBefore ?? null,
      limit,
    )
    return readDocuments(callRecordSchema, rows, callName, this.#tools.report)
  }

  async update(companyId: string, callSid: string, patch: Partial<CallRecord>): Promise<CallRecord | null> {
    return this.#database.transaction(() => {
      const stored = this.#get(companyId, callSid)
      if (stored === null) return null
      const checked = this.#check(companyId, { ...stored, ...patch })
      checkSame('callSid', callSid, checked.callSid)
      const [, , startedAt, outcome, from, document] = columnsOf(checked)
      this.#database.run(
        'UPDATE calls SET started_at = ?, outcome = ?, from_number = ?, document = ? WHERE company_id = ? AND call_sid = ?',
        startedAt,
        outcome,
        from,
        document,
        companyId,
        callSid,
      )
      return checked
    })
  }

  /** The call need not be known: a turn is not lost because the call's own record could not be written. */
  async saveTurn(companyId: string, callSid: string, turn: TurnRecord): Promise<void> {
    const checked = checkDocument(turnRecordSchema, turn, `turn ${turn.turn} of call ${companyId}/${callSid}`)
    this.#database.run(
      `INSERT INTO turns (company_id, call_sid, turn, document) VALUES (?, ?, ?, ?)
       ON CONFLICT (company_id, call_sid, turn) DO UPDATE SET document = excluded.document`,
      companyId,
      callSid,
      checked.turn,
      JSON.stringify(checked),
    )
  }

  async turns(companyId: string, callSid: string): Promise<readonly TurnRecord[]> {
    const rows = this.#database.all(
      'SELECT company_id, call_sid, turn, document FROM turns WHERE company_id = ? AND call_sid = ? ORDER BY turn',
      companyId,
      callSid,
    )
    return readDocuments(turnRecordSchema, rows, (row) => `turn ${String(row['turn'])} of ${callName(row)}`, this.#tools.report)
  }

  async saveGap(companyId: string, gap: Gap): Promise<void> {
    const checked = checkDocument(gapSchema, gap, `gap ${companyId}/${gap.id}`)
    checkSame('gap.companyId', companyId, checked.companyId)
    this.#writeGap(companyId, checked)
  }

  async gap(companyId: string, gapId: string): Promise<Gap | null> {
    const row = this.#database.get('SELECT company_id, gap_id, document FROM gaps WHERE company_id = ? AND gap_id = ?', companyId, gapId)
    return row === undefined ? null : readDocument(gapSchema, row, gapName(row))
  }

  async gaps(companyId: string, page: Readonly<{ after: string | null; limit: number; solved?: boolean }>): Promise<readonly Gap[]> {
    const rows = this.#database.all(
      `SELECT company_id, gap_id, document FROM gaps
       WHERE company_id = ?1 AND gap_id > ?2 AND (?3 IS NULL OR solved = ?3)
       ORDER BY gap_id LIMIT ?4`,
      companyId,
      page.after ?? '',
      page.solved === undefined ? null : Number(page.solved),
      checkLimit(page.limit),
    )
    return readDocuments(gapSchema, rows, gapName, this.#tools.report)
  }

  async solveGap(companyId: string, gapId: string, entryId: string): Promise<boolean> {
    return this.#database.transaction(() => {
      const row = this.#database.get('SELECT company_id, gap_id, document FROM gaps WHERE company_id = ? AND gap_id = ?', companyId, gapId)
      if (row === undefined) return false
      this.#writeGap(companyId, { ...readDocument(gapSchema, row, gapName(row)), solvedByEntryId: entryId })
      return true
    })
  }

  /** The caller's words go with it: turns and gaps too. */
  async deleteCall(companyId: string, callSid: string): Promise<boolean> {
    return this.#database.transaction(() => {
      this.#database.run('DELETE FROM turns WHERE company_id = ? AND call_sid = ?', companyId, callSid)
      this.#database.run('DELETE FROM gaps WHERE company_id = ? AND call_sid = ?', companyId, callSid)
      return this.#database.run('DELETE FROM calls WHERE company_id = ? AND call_sid = ?', companyId, callSid) > 0
    })
  }

  #get(companyId: string, callSid: string): CallRecord | null {
    const row = this.#database.get('SELECT company_id, call_sid, document FROM calls WHERE company_id = ? AND call_sid = ?', companyId, callSid)
    return row === undefined ? null : readDocument(callRecordSchema, row, callName(row))
  }

  #check(companyId: string, call: CallRecord): CallRecord {
    const checked = checkDocument(callRecordSchema, call, `call ${companyId}/${call.callSid}`)
    checkSame('call.companyId', companyId, checked.companyId)
    return checked
  }

  #writeGap(companyId: string, gap: Gap): void {
    this.#database.run(
      `INSERT INTO gaps (company_id, gap_id, call_sid, solved, document) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (company_id, gap_id) DO UPDATE SET call_sid = excluded.call_sid, solved = excluded.solved, document = excluded.document`,
      companyId,
      gap.id,
      gap.callSid,
      gap.solvedByEntryId === null ? 0 : 1,
      JSON.stringify(gap),
    )
  }
}

function columnsOf(call: CallRecord): [string, string, string, string, string, string] {
  return [call.companyId, call.callSid, call.startedAt, call.outcome, call.from, JSON.stringify(call)]
}

function callName(row: Row): string {
  return `call ${String(row['company_id'])}/${String(row['call_sid'])}`
}

function gapName(row: Row): string {
  return `gap ${String(row['company_id'])}/${String(row['gap_id'])}`
}
