import { ClientsViaError } from '../core/errors.ts'
import { knowledgeEntrySchema, type KnowledgeEntry } from '../tenancy/knowledge-entry.ts'
import type { KnowledgeFilter, KnowledgeRepository } from '../tenancy/repositories.ts'
import type { EmbeddedDatabase, Row } from './embedded-database.ts'
import { checkDocument, checkLimit, checkSame, checkVersion, readDocument, readDocuments, type RepositoryTools } from './embedded-documents.ts'

/** A company's entries are held in memory by every process that takes its calls; 2,000 are some 2 MB and far more than one trade has. */
export const MAX_ENTRIES_PER_COMPANY = 2000

/** A search box holds a phrase, not a page. */
const MAX_SEARCH_WORDS = 16

export class EmbeddedKnowledgeRepository implements KnowledgeRepository {
  readonly #database: EmbeddedDatabase
  readonly #tools: RepositoryTools

  constructor(database: EmbeddedDatabase, tools: RepositoryTools) {
    this.#database = database
    this.#tools = tools
  }

  async get(companyId: string, entryId: string): Promise<KnowledgeEntry | null> {
    const row = this.#row(companyId, entryId)
    return row === undefined ? null : readDocument(knowledgeEntrySchema, row, nameOf(row))
  }

  async listAll(companyId: string): Promise<readonly KnowledgeEntry[]> {
    const rows = this.#database.all(
      'SELECT company_id, entry_id, document FROM knowledge_entries WHERE company_id = ? ORDER BY entry_id LIMIT ?',
      companyId,
      MAX_ENTRIES_PER_COMPANY,
    )
    return readDocuments(knowledgeEntrySchema, rows, nameOf, this.#tools.report)
  }

  async list(companyId: string, filter: KnowledgeFilter): Promise<readonly KnowledgeEntry[]> {
    const text = (filter.text ?? '').trim()
    const match = text === '' ? null : matchExpression(companyId, text)
    if (text !== '' && match === null) return []
    const rows = this.#database.all(
      `SELECT company_id, entry_id, document FROM knowledge_entries
       WHERE company_id = ?1 AND entry_id > ?2
         AND (?3 IS NULL OR category = ?3)
         AND (?4 IS NULL OR (json_valid(document) AND EXISTS (SELECT 1 FROM json_each(document, '$.tags') WHERE value = ?4)))
         AND (?5 IS NULL OR row_id IN (SELECT rowid FROM knowledge_text WHERE knowledge_text MATCH ?5))
       ORDER BY entry_id LIMIT ?6`,
      companyId,
      filter.after ?? '',
      filter.category ?? null,
      filter.tag ?? null,
      match,
      checkLimit(filter.limit),
    )
    return readDocuments(knowledgeEntrySchema, rows, nameOf, this.#tools.report)
  }

  async save(companyId: string, entry: KnowledgeEntry, ifVersion?: number): Promise<KnowledgeEntry> {
    const checked = checkDocument(knowledgeEntrySchema, entry, `knowledge entry ${companyId}/${entry.id}`)
    checkSame('entry.companyId', companyId, checked.companyId)
    const now = this.#tools.clock.wallTime().toISOString()
    return this.#database.transaction(() => {
      const row = this.#row(companyId, checked.id)
      const storedVersion = Number(row?.['version'] ?? 0)
      checkVersion(`knowledge entry ${companyId}/${checked.id}`, storedVersion, ifVersion)
      if (row === undefined) this.#checkRoom(companyId)
      const stored = row === undefined ? null : this.#readOrReport(row)
      const saved: KnowledgeEntry = {
        ...checked,
        // An editor holds counts from when the page was opened: only recordUse counts.
        usage: stored === null ? checked.usage : stored.usage,
        version: storedVersion + 1,
        createdAt: stored?.createdAt ?? now,
        updatedAt: now,
      }
      this.#database.run(
        `INSERT INTO knowledge_entries (company_id, entry_id, version, category, document) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (company_id, entry_id) DO UPDATE SET version = excluded.version, category = excluded.category, document = excluded.document`,
        companyId,
        saved.id,
        saved.version,
        saved.category,
        JSON.stringify(saved),
      )
      this.#index(companyId, saved)
      this.#countUp(companyId)
      return saved
    })
  }

  async delete(companyId: string, entryId: string): Promise<boolean> {
    return this.#database.transaction(() => {
      const row = this.#row(companyId, entryId)
      if (row === undefined) return false
      this.#database.run('DELETE FROM knowledge_text WHERE rowid = ?', Number(row['row_id']))
      this.#database.run('DELETE FROM knowledge_entries WHERE company_id = ? AND entry_id = ?', companyId, entryId)
      this.#countUp(companyId)
      return true
    })
  }

  async version(companyId: string): Promise<number> {
    return Number(this.#database.get('SELECT version FROM knowledge_versions WHERE company_id = ?', companyId)?.['version'] ?? 0)
  }

  /** An entry that was deleted during the call is not an error: there is nothing left to count for. */
  async recordUse(companyId: string, entryId: string, use: Readonly<{ at: string; success: boolean }>): Promise<void> {
    this.#database.transaction(() => {
      const row = this.#row(companyId, entryId)
      if (row === undefined) return
      const entry = readDocument(knowledgeEntrySchema, row, nameOf(row))
      const { accessCount, lastAccessed, successRate } = entry.usage
      const successes = (successRate ?? 0) * accessCount + (use.success ? 1 : 0)
      const usage = {
        accessCount: accessCount + 1,
        lastAccessed: lastAccessed !== null && lastAccessed > use.at ? lastAccessed : use.at,
        successRate: Math.min(1, successes / (accessCount + 1)),
      }
      const counted = checkDocument(knowledgeEntrySchema, { ...entry, usage }, `use of ${nameOf(row)}`)
      this.#database.run(
        'UPDATE knowledge_entries SET document = ? WHERE company_id = ? AND entry_id = ?',
        JSON.stringify(counted),
        companyId,
        entryId,
      )
    })
  }

  #row(companyId: string, entryId: string): Row | undefined {
    return this.#database.get(
      'SELECT row_id, company_id, entry_id, version, document FROM knowledge_entries WHERE company_id = ? AND entry_id = ?',
      companyId,
      entryId,
    )
  }

  #readOrReport(row: Row): KnowledgeEntry | null {
    return readDocuments(knowledgeEntrySchema, [row], nameOf, this.#tools.report)[0] ?? null
  }

  #checkRoom(companyId: string): void {
    const count = Number(this.#database.get('SELECT count(*) AS count FROM knowledge_entries WHERE company_id = ?', companyId)?.['count'])
    if (count < MAX_ENTRIES_PER_COMPANY) return
    throw new ClientsViaError('CONFLICT', `company ${companyId} has ${count} knowledge entries, which is the most there can be`, { companyId, count })
  }

  #index(companyId: string, entry: KnowledgeEntry): void {
    const rowId = Number(this.#row(companyId, entry.id)?.['row_id'])
    this.#database.run('DELETE FROM knowledge_text WHERE rowid = ?', rowId)
    this.#database.run(
      'INSERT INTO knowledge_text (rowid, company, question, answer, tags, caller_phrases) VALUES (?, ?, ?, ?, ?, ?)',
      rowId,
      companyToken(companyId),
      entry.question,
      entry.answer,
      entry.tags.join(' '),
      entry.callerPhrases.join(' '),
    )
  }

  #countUp(companyId: string): void {
    this.#database.run(
      `INSERT INTO knowledge_versions (company_id, version) VALUES (?, 1)
       ON CONFLICT (company_id) DO UPDATE SET version = version + 1`,
      companyId,
    )
  }
}

/** The company is a word of the text index too, so that a search reads its own company's part of it. Hex survives any tokenizer. */
function companyToken(companyId: string): string {
  return `c${Buffer.from(companyId, 'utf8').toString('hex')}`
}

/** Every word, by its beginning, in any of the fields. Null when there is no word in the text. Quoted: nothing in it is an operator. */
function matchExpression(companyId: string, text: string): string | null {
  const words = text.match(/[\p{L}\p{N}]+/gu)
  if (words === null) return null
  const wanted = words.slice(0, MAX_SEARCH_WORDS).map((word) => `"${word}" *`)
  return `company : ${companyToken(companyId)} AND {question answer tags caller_phrases} : (${wanted.join(' AND ')})`
}

function nameOf(row: Row): string {
  return `knowledge entry ${String(row['company_id'])}/${String(row['entry_id'])}`
}
