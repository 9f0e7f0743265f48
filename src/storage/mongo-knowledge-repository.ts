import { stemmer } from 'stemmer'
import type { Filter } from 'mongodb'
import { ClientsViaError } from '../core/errors.ts'
import { knowledgeEntrySchema, type KnowledgeEntry } from '../tenancy/knowledge-entry.ts'
import type { KnowledgeFilter, KnowledgeRepository } from '../tenancy/repositories.ts'
import { checkDocument, checkLimit, checkSame, checkVersion, type RepositoryTools } from './embedded-documents.ts'
import { MAX_ENTRIES_PER_COMPANY } from './embedded-knowledge-repository.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import { readRecord, readRecords } from './mongo-documents.ts'

/** A search box holds a phrase, not a page. */
const MAX_SEARCH_WORDS = 16

/**
 * Entries with their words, stemmed, in an array that is indexed behind the company. MongoDB's $text would search the same with one index a
 * collection, of one language, that no server but MongoDB's own has.
 */
export class MongoKnowledgeRepository implements KnowledgeRepository {
  readonly #tools: RepositoryTools
  readonly #entries: MongoRecords
  readonly #versions: MongoRecords

  constructor(database: MongoDatabase, tools: RepositoryTools) {
    this.#tools = tools
    this.#entries = database.collection('knowledge_entries')
    this.#versions = database.collection('knowledge_versions')
  }

  async get(companyId: string, entryId: string, signal?: AbortSignal): Promise<KnowledgeEntry | null> {
    const record = await this.#entries.get(idOf(companyId, entryId), signal)
    return record === null ? null : readRecord(knowledgeEntrySchema, record, 'knowledge entry')
  }

  async listAll(companyId: string, signal?: AbortSignal): Promise<readonly KnowledgeEntry[]> {
    const records = await this.#entries.find({ companyId }, { sort: { entryId: 1 }, limit: MAX_ENTRIES_PER_COMPANY }, signal)
    return readRecords(knowledgeEntrySchema, records, 'knowledge entry', this.#tools.report)
  }

  async list(companyId: string, filter: KnowledgeFilter, signal?: AbortSignal): Promise<readonly KnowledgeEntry[]> {
    const text = (filter.text ?? '').trim()
    const words = wordsOf(text).slice(0, MAX_SEARCH_WORDS)
    const limit = checkLimit(filter.limit)
    if (text !== '' && words.length === 0) return []
    const query: Filter<Stored> = {
      companyId,
      entryId: { $gt: filter.after ?? '' },
      ...(filter.category !== undefined && { category: filter.category }),
      ...(filter.tag !== undefined && { tags: filter.tag }),
      // Every word, by its beginning. They are letters and digits only: nothing in them is an operator.
      ...(words.length > 0 && { $and: words.map((word) => ({ words: { $regex: `^${word}` } })) }),
    }
    const records = await this.#entries.find(query, { sort: { entryId: 1 }, limit }, signal)
    return readRecords(knowledgeEntrySchema, records, 'knowledge entry', this.#tools.report)
  }

  async save(companyId: string, entry: KnowledgeEntry, ifVersion?: number, signal?: AbortSignal): Promise<KnowledgeEntry> {
    const checked = checkDocument(knowledgeEntrySchema, entry, `knowledge entry ${companyId}/${entry.id}`)
    checkSame('entry.companyId', companyId, checked.companyId)
    const now = this.#tools.clock.wallTime().toISOString()
    const saved = await this.#entries.change<KnowledgeEntry>(
      idOf(companyId, checked.id),
      async (before) => {
        const version = Number(before?.['version'] ?? 0)
        checkVersion(`knowledge entry ${companyId}/${checked.id}`, version, ifVersion)
        if (before === null) await this.#checkRoom(companyId, signal)
        const stored = before === null ? undefined : readRecords(knowledgeEntrySchema, [before], 'knowledge entry', this.#tools.report)[0]
        const next: KnowledgeEntry = {
          ...checked,
          // An editor holds counts from when the page was opened: only recordUse counts.
          usage: stored?.usage ?? checked.usage,
          version: version + 1,
          createdAt: stored?.createdAt ?? now,
          updatedAt: now,
        }
        return { record: recordOf(next), answer: next }
      },
      signal,
    )
    await this.#countUp(companyId, signal)
    return saved
  }

  async delete(companyId: string, entryId: string, signal?: AbortSignal): Promise<boolean> {
    if ((await this.#entries.delete({ _id: idOf(companyId, entryId) }, signal)) === 0) return false
    await this.#countUp(companyId, signal)
    return true
  }

  async version(companyId: string, signal?: AbortSignal): Promise<number> {
    return Number((await this.#versions.get(idOf(companyId), signal))?.['version'] ?? 0)
  }

  /** An entry that was deleted during the call is not an error: there is nothing left to count for. */
  async recordUse(companyId: string, entryId: string, use: Readonly<{ at: string; success: boolean }>, signal?: AbortSignal): Promise<void> {
    await this.#entries.change<void>(
      idOf(companyId, entryId),
      (before) => {
        if (before === null) return { record: null, answer: undefined }
        const entry = readRecord(knowledgeEntrySchema, before, 'knowledge entry')
        const { accessCount, lastAccessed, successRate } = entry.usage
        const successes = (successRate ?? 0) * accessCount + (use.success ? 1 : 0)
        const usage = {
          accessCount: accessCount + 1,
          lastAccessed: lastAccessed !== null && lastAccessed > use.at ? lastAccessed : use.at,
          successRate: Math.min(1, successes / (accessCount + 1)),
        }
        return { record: recordOf(checkDocument(knowledgeEntrySchema, { ...entry, usage }, `use of knowledge entry ${companyId}/${entryId}`)), answer: undefined }
      },
      signal,
    )
  }

  async #checkRoom(companyId: string, signal?: AbortSignal): Promise<void> {
    const count = await this.#entries.count({ companyId }, signal)
    if (count < MAX_ENTRIES_PER_COMPANY) return
    throw new ClientsViaError('CONFLICT', `company ${companyId} has ${count} knowledge entries, which is the most there can be`, { companyId, count })
  }

  /** After the change: whoever reads the new version finds the new entries. */
  async #countUp(companyId: string, signal?: AbortSignal): Promise<void> {
    await this.#versions.increment(idOf(companyId), 'version', { companyId }, signal)
  }
}

function recordOf(entry: KnowledgeEntry): Readonly<Record<string, unknown>> {
  const { companyId, id, version, category, tags } = entry
  const words = new Set([entry.question, entry.answer, ...tags, ...entry.callerPhrases].flatMap(wordsOf))
  return { companyId, entryId: id, version, category, tags, words: [...words], document: entry }
}

/** Stems, without case and accents, so that another form of a word finds it. */
function wordsOf(text: string): string[] {
  const plain = text.normalize('NFD').replace(/\p{M}+/gu, '').toLowerCase()
  return (plain.match(/[\p{L}\p{N}]+/gu) ?? []).map((word) => stemmer(word))
}
