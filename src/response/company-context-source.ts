import { LRUCache } from 'lru-cache'
import { later, type Clock, type Instant } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { AgentRepository, CompanyRepository, KnowledgeRepository } from '../tenancy/repositories.ts'
import type { CompanyContext, CompanyContextSource } from './company-context.ts'
import { orAborted, type Embedder, type VectorStore } from './embedder.ts'
import { loadKnowledgeIndex, type IndexedKnowledge, type MeaningFallback } from './knowledge.ts'
import type { VectorIndex } from './vector-index.ts'

export type CompanyContextDeps = Readonly<{
  companies: Pick<CompanyRepository, 'get'>
  agents: Pick<AgentRepository, 'getPublished'>
  knowledge: Pick<KnowledgeRepository, 'listAll' | 'version'>
  embedder: Embedder | null
  vectors?: VectorStore | null
  /** An index outside, and a second encoder behind the first: see KnowledgeOptions. */
  remote?: VectorIndex | null
  fallback?: MeaningFallback | null
  clock: Clock
  ttlMs?: number
  /** Told when a refresh in the background failed; the picture from before is served on. */
  onRefreshFailure?: (companyId: string, error: unknown) => void
  /** Ends background indexing. */
  signal?: AbortSignal
}>

/** A save invalidates at once in this process; this bounds how long another process's save stays unseen. */
const TTL_MS = 5 * 60_000
/** After a failed refresh the store is left alone for a moment. */
const RETRY_MS = 10_000
/** A context with its index and vectors is 1 to 4 MB. */
const MAX_COMPANIES = 500
/** A store that takes longer is down; a call must not wait for it. */
const LOAD_MS = 5_000

type Cached = { context: CompanyContext; index: IndexedKnowledge; freshUntil: Instant }

/** Company contexts from memory, refreshed behind the caller's back. Every value read is checked for its companyId. */
export class CachedCompanyContext implements CompanyContextSource {
  readonly #deps: CompanyContextDeps
  readonly #ttlMs: number
  readonly #cache = new LRUCache<string, Cached>({ max: MAX_COMPANIES })
  /** By company, its last index, also of what a save has made stale: most of a new one is in it. */
  readonly #indexes = new LRUCache<string, IndexedKnowledge>({ max: MAX_COMPANIES })
  readonly #loading = new Map<string, Promise<Cached>>()
  /** Counts invalidations, so that a load begun before a save is not kept after it. */
  readonly #generation = new Map<string, number>()

  constructor(deps: CompanyContextDeps) {
    this.#deps = deps
    this.#ttlMs = deps.ttlMs ?? TTL_MS
  }

  async load(companyId: string, signal: AbortSignal): Promise<CompanyContext> {
    signal.throwIfAborted()
    const cached = this.#cache.get(companyId)
    if (cached === undefined) return (await orAborted(this.#once(companyId, null), signal)).context
    if (this.#deps.clock.now() >= cached.freshUntil) void this.#refresh(companyId, cached)
    return cached.context
  }

  invalidate(companyId: string): void {
    this.#generation.set(companyId, this.#generationOf(companyId) + 1)
    this.#cache.delete(companyId)
    this.#loading.delete(companyId)
  }

  /** Another process's saves may have been missed: what is here is served on, and read anew. */
  doubt(): void {
    for (const cached of this.#cache.values()) cached.freshUntil = this.#deps.clock.now()
  }

  async #refresh(companyId: string, before: Cached): Promise<void> {
    before.freshUntil = later(this.#deps.clock.now(), RETRY_MS)
    try {
      await this.#once(companyId, before)
    } catch (error) {
      if (error instanceof ClientsViaError && error.code === 'NOT_FOUND') {
        this.#cache.delete(companyId)
        this.#indexes.delete(companyId)
      }
      this.#deps.onRefreshFailure?.(companyId, error)
    }
  }

  #once(companyId: string, before: Cached | null): Promise<Cached> {
    const running = this.#loading.get(companyId)
    if (running !== undefined) return running
    const generation = this.#generationOf(companyId)
    const loading = this.#read(companyId, before)
      .then((cached) => {
        if (this.#generationOf(companyId) === generation) this.#cache.set(companyId, cached)
        return cached
      })
      .finally(() => {
        if (this.#loading.get(companyId) === loading) this.#loading.delete(companyId)
      })
    this.#loading.set(companyId, loading)
    return loading
  }

  #generationOf(companyId: string): number {
    return this.#generation.get(companyId) ?? 0
  }

  #read(companyId: string, before: Cached | null): Promise<Cached> {
    const { clock, companies, agents, knowledge, embedder } = this.#deps
    return withDeadline(clock, LOAD_MS, null, async (signal) => {
      const company = await companies.get(companyId, signal)
      if (company === null || company.id !== companyId) throw new ClientsViaError('NOT_FOUND', `there is no company ${companyId}`, { companyId })
      const [agent, version] = await Promise.all([agents.getPublished(companyId, company.agentId, signal), knowledge.version(companyId, signal)])
      if (agent === null || agent.companyId !== companyId) {
        throw new ClientsViaError('NOT_FOUND', `company ${companyId} has no published agent ${company.agentId}`, { companyId, agentId: company.agentId })
      }
      const isSameKnowledge = before !== null && before.index.version === version && before.context.company.version === company.version
      const entries = isSameKnowledge ? [...before.context.entryById.values()] : await knowledge.listAll(companyId, signal)
      const index = isSameKnowledge
        ? before.index
        : await loadKnowledgeIndex(
            companyId,
            entries,
            version,
            embedder,
            {
              vectors: this.#deps.vectors ?? null,
              remote: this.#deps.remote ?? null,
              fallback: this.#deps.fallback ?? null,
              mishearings: company.mishearings,
              signal: this.#deps.signal ?? null,
              earlier: this.#indexes.get(companyId) ?? null,
            },
            signal,
          )
      this.#indexes.set(companyId, index)
      const context: CompanyContext = Object.freeze({ company, agent, knowledge: index, entryById: new Map(entries.map((entry) => [entry.id, entry])) })
      return { context, index, freshUntil: later(clock.now(), this.#ttlMs) }
    })
  }
}
