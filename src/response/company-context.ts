import type { Agent } from '../tenancy/agent.ts'
import type { Company } from '../tenancy/company.ts'
import type { KnowledgeEntry } from '../tenancy/knowledge-entry.ts'

export type KnowledgeMatch = Readonly<{
  entry: KnowledgeEntry
  /** 0 to 1, fused. */
  score: number
  lexicalScore: number
  semanticScore: number | null
  matchedPhrase: string
}>

/** A search over one company's knowledge at one version. Lexical always; semantic when its vectors are there in time. */
export interface KnowledgeIndex {
  readonly companyId: string
  /** Counts up on any save or delete: what was made from it is good for one version. */
  readonly version: number
  search(text: string, options: { limit: number }, signal: AbortSignal): Promise<readonly KnowledgeMatch[]>
  /** The lexical half alone, at once: what is left when `search` is cut off by its deadline. */
  searchByWords(text: string, options: { limit: number }): readonly KnowledgeMatch[]
  /** What the text means, for comparing questions with each other; null where nobody knows. Asked again after a search, it costs nothing. */
  meaningOf(text: string, signal: AbortSignal): Promise<Float32Array | null>
}

/** A call's frozen picture of its company: a save during the call is for the next one. */
export type CompanyContext = Readonly<{
  company: Company
  agent: Agent
  knowledge: KnowledgeIndex
  /** For reading entries by id (follow-ups), not for scanning. */
  entryById: ReadonlyMap<string, KnowledgeEntry>
}>

export interface CompanyContextSource {
  /** From memory in well under a millisecond once loaded; single flight; throws NOT_FOUND for an unknown company. */
  load(companyId: string, signal: AbortSignal): Promise<CompanyContext>
  /** Every save calls it: the next load reads afresh. */
  invalidate(companyId: string): void
}
