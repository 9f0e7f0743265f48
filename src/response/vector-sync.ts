import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { KnowledgeEntry } from '../tenancy/knowledge-entry.ts'
import type { KnowledgeRepository } from '../tenancy/repositories.ts'
import type { Embedder } from './embedder.ts'
import type { IndexedPhrase, VectorIndex } from './vector-index.ts'
import { plainText } from './words.ts'

export type VectorSyncDeps = Readonly<{
  clock: Clock
  knowledge: Pick<KnowledgeRepository, 'listAll' | 'version'>
  embedder: Embedder
  index: VectorIndex
  /** What was brought over last, kept over a restart. */
  state: Readonly<{
    get: (companyId: string, signal: AbortSignal) => Promise<unknown>
    put: (companyId: string, state: SyncState, signal: AbortSignal) => Promise<void>
    delete: (companyId: string, signal: AbortSignal) => Promise<void>
  }>
  mishearings: (companyId: string, signal: AbortSignal) => Promise<Readonly<Record<string, string>>>
  onFailure: (companyId: string, error: unknown) => void
  signal: AbortSignal
}>

const syncStateSchema = z.strictObject({ version: z.int(), model: z.string(), ids: z.array(z.string()) })
export type SyncState = Readonly<z.infer<typeof syncStateSchema>>

/** A vendor that is away is asked again, each time later, until it is back: the knowledge's version remembers what is owed to it. */
const RETRY_BASE_MS = 2000
const LONGEST_RETRY_MS = 5 * 60_000
/** Pages of a hundred ids; more is a namespace that somebody else fills. */
const MAX_PAGES = 200

/**
 * Brings knowledge to a vector index outside. The store is the outbox: every save counts a company's version up in the same
 * transaction, and a version that has not been brought over is owed, whenever the process dies. One company at a time, the newest
 * state only.
 */
export class VectorSync {
  readonly #deps: VectorSyncDeps
  readonly #owed = new Set<string>()
  #running: Promise<void> | null = null
  /** Companies whose namespace was compared with what should be there, since the start. */
  readonly #reconciled = new Set<string>()

  constructor(deps: VectorSyncDeps) {
    this.#deps = deps
  }

  /** A company's knowledge may have changed. Returns at once. */
  changed(companyId: string): void {
    this.#owed.add(companyId)
    this.#running ??= this.#work().finally(() => {
      this.#running = null
    })
  }

  /** Resolves when nothing is owed, or the signal has aborted. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  /** Everything of a company goes: it was deleted. */
  async forget(companyId: string): Promise<void> {
    this.#owed.delete(companyId)
    this.#reconciled.delete(companyId)
    await this.#deps.index.delete(companyId, await this.#idsThere(companyId), this.#deps.signal)
    await this.#deps.state.delete(companyId, this.#deps.signal)
  }

  async #work(): Promise<void> {
    let failures = 0
    for (;;) {
      const [companyId] = this.#owed
      if (companyId === undefined || this.#deps.signal.aborted) return
      this.#owed.delete(companyId)
      try {
        await this.#sync(companyId)
        failures = 0
      } catch (error) {
        if (this.#deps.signal.aborted) return
        this.#owed.add(companyId)
        this.#deps.onFailure(companyId, error)
        failures += 1
        const waitMs = Math.min(LONGEST_RETRY_MS, RETRY_BASE_MS * 2 ** (failures - 1))
        await this.#deps.clock.sleep(waitMs, this.#deps.signal).catch(() => undefined)
      }
    }
  }

  async #sync(companyId: string): Promise<void> {
    const { knowledge, embedder, index, state, signal } = this.#deps
    const version = await knowledge.version(companyId, signal)
    const read = syncStateSchema.safeParse(await state.get(companyId, signal))
    const known = read.success && read.data.model === embedder.name ? read.data : null
    const isCompared = this.#reconciled.has(companyId)
    if (known?.version === version && isCompared) return
    const entries = await knowledge.listAll(companyId, signal)
    const wanted = wantedPhrases(companyId, embedder.name, entries)
    // What was written down may be wrong: a namespace is compared with the truth once a start, and after a change of model.
    const there = new Set(known !== null && isCompared ? known.ids : await this.#idsThere(companyId))
    const missing = [...wanted.values()].filter((phrase) => !there.has(phrase.id))
    const gone = [...there].filter((id) => !wanted.has(id))
    if (missing.length > 0) {
      const mishearings = await this.#deps.mishearings(companyId, signal)
      const vectors = await embedder.embed(missing.map((phrase) => plainText(phrase.text, mishearings)), signal)
      await index.upsert(companyId, embedder.name, missing.map((phrase, place): IndexedPhrase => ({ ...phrase, vector: vectors[place] as Float32Array })), signal)
    }
    if (gone.length > 0) await index.delete(companyId, gone, signal)
    await state.put(companyId, { version, model: embedder.name, ids: [...wanted.keys()] }, signal)
    this.#reconciled.add(companyId)
  }

  async #idsThere(companyId: string): Promise<string[]> {
    const ids: string[] = []
    let after: string | null = null
    for (let page = 0; page < MAX_PAGES; page++) {
      const found: Awaited<ReturnType<VectorIndex['list']>> = await this.#deps.index.list(companyId, after, this.#deps.signal)
      ids.push(...found.ids)
      after = found.next
      if (after === null) return ids
    }
    throw new ClientsViaError('ENGINE_FAILED', `the namespace of ${companyId} has more than ${ids.length} records`, { companyId })
  }
}

/** By an id that changes with model, entry and words: a changed phrase is a new one, and the old one goes. */
function wantedPhrases(companyId: string, model: string, entries: readonly KnowledgeEntry[]): Map<string, Omit<IndexedPhrase, 'vector'>> {
  const wanted = new Map<string, Omit<IndexedPhrase, 'vector'>>()
  for (const entry of entries) {
    if (!entry.enabled || entry.companyId !== companyId) continue
    for (const text of new Set([entry.question, ...entry.callerPhrases])) {
      const id = createHash('sha256').update(JSON.stringify([model, entry.id, text])).digest('base64url')
      wanted.set(id, { id, entryId: entry.id, text })
    }
  }
  return wanted
}
