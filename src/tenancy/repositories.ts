import type { Agent } from './agent.ts'
import type { Company } from './company.ts'
import type { KnowledgeEntry } from './knowledge-entry.ts'

/** companyId first, always. Every method may throw STORE_FAILED; a missing thing is null, not an error. */
export interface CompanyRepository {
  get(companyId: string, signal?: AbortSignal): Promise<Company | null>
  /** The one look-up that starts from something else: which company does this number belong to. */
  findByPhoneNumber(phoneNumberE164: string, signal?: AbortSignal): Promise<Company | null>
  list(page: Readonly<{ after: string | null; limit: number }>, signal?: AbortSignal): Promise<readonly Company[]>
  /** Creates or replaces. `ifVersion` guards against lost updates: CONFLICT when the stored version differs. Phone numbers are unique: CONFLICT. */
  save(companyId: string, company: Company, ifVersion?: number, signal?: AbortSignal): Promise<Company>
  delete(companyId: string, signal?: AbortSignal): Promise<boolean>
}

export interface AgentRepository {
  /** The published version, which calls run on; null before the first publish. */
  getPublished(companyId: string, agentId: string, signal?: AbortSignal): Promise<Agent | null>
  getDraft(companyId: string, agentId: string, signal?: AbortSignal): Promise<Agent | null>
  getVersion(companyId: string, agentId: string, version: number, signal?: AbortSignal): Promise<Agent | null>
  list(companyId: string, signal?: AbortSignal): Promise<readonly Agent[]>
  listVersions(companyId: string, agentId: string, signal?: AbortSignal): Promise<readonly Readonly<{ version: number; publishedAt: string }>[]>
  saveDraft(companyId: string, agent: Agent, ifVersion?: number, signal?: AbortSignal): Promise<Agent>
  /** Freezes the draft as the next version. */
  publish(companyId: string, agentId: string, signal?: AbortSignal): Promise<Agent>
  delete(companyId: string, agentId: string, signal?: AbortSignal): Promise<boolean>
}

export type KnowledgeFilter = Readonly<{ category?: string; tag?: string; text?: string; after?: string | null; limit?: number }>

export interface KnowledgeRepository {
  get(companyId: string, entryId: string, signal?: AbortSignal): Promise<KnowledgeEntry | null>
  /** Everything a call needs, for the in-memory index; bounded by the company's entry limit. */
  listAll(companyId: string, signal?: AbortSignal): Promise<readonly KnowledgeEntry[]>
  /** By id, after `after`; lexical match when `text` is given. */
  list(companyId: string, filter: KnowledgeFilter, signal?: AbortSignal): Promise<readonly KnowledgeEntry[]>
  save(companyId: string, entry: KnowledgeEntry, ifVersion?: number, signal?: AbortSignal): Promise<KnowledgeEntry>
  delete(companyId: string, entryId: string, signal?: AbortSignal): Promise<boolean>
  /** Counts up on any save or delete: indexes and cached answers are for one version. */
  version(companyId: string, signal?: AbortSignal): Promise<number>
  recordUse(companyId: string, entryId: string, use: Readonly<{ at: string; success: boolean }>, signal?: AbortSignal): Promise<void>
}
