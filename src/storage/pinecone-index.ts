import { AsyncLocalStorage } from 'node:async_hooks'
import { Pinecone, type Index, type RecordMetadata } from '@pinecone-database/pinecone'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError } from '../core/errors.ts'
import { keepAliveFetch } from '../core/keep-alive-fetch.ts'
import type { IndexedPhrase, PhraseMatch, VectorIndex } from '../response/vector-index.ts'

export type PineconeIndexOptions = Readonly<{
  clock: Clock
  apiKey: string | null
  /** The index's own address; plain http is taken. */
  host: string
}>

/** A question is worth this much: later, this process searches its own copy. */
const QUERY_MS = 150
/** Writes and lists are nobody's to wait for. */
const BACKGROUND_MS = 15_000
const CONNECT_MS = 5000
/** The service takes a thousand at most, and two megabytes. */
const UPSERT_BATCH = 100
const LIST_PAGE = 100
/** The library refuses to start without a key. */
const NO_KEY = 'none'

/** What every record carries; a match without it is not ours. */
const metadataSchema = z.object({ companyId: z.string(), model: z.string(), entryId: z.string(), text: z.string() })
type Metadata = RecordMetadata & z.infer<typeof metadataSchema>

/** Pinecone's data plane through the official library. The namespace is the company, and so is a field of every record, checked on every match. */
export class PineconeIndex implements VectorIndex {
  readonly name = 'pinecone'
  readonly #clock: Clock
  readonly #index: Index<Metadata>
  readonly #line = keepAliveFetch(CONNECT_MS)
  /** The library takes no signal; its fetch finds the request's here. */
  readonly #signals = new AsyncLocalStorage<AbortSignal>()

  constructor(options: PineconeIndexOptions) {
    this.#clock = options.clock
    const client = new Pinecone({
      apiKey: options.apiKey ?? NO_KEY,
      maxRetries: 0,
      fetchApi: (input, init) => this.#line.fetch(input instanceof Request ? input.url : input, { ...init, signal: this.#signals.getStore() ?? null }),
    })
    this.#index = client.index<Metadata>({ host: options.host })
  }

  async query(companyId: string, model: string, vector: Float32Array, limit: number, signal: AbortSignal): Promise<readonly PhraseMatch[]> {
    const { matches } = await this.#run(QUERY_MS, signal, () =>
      this.#of(companyId).query({ vector: [...vector], topK: limit, includeMetadata: true, filter: { companyId: { $eq: companyId }, model: { $eq: model } } }),
    )
    return matches.flatMap((match) => {
      const metadata = metadataSchema.safeParse(match.metadata)
      if (!metadata.success || match.score === undefined || metadata.data.model !== model) return []
      if (metadata.data.companyId !== companyId) {
        throw new ClientsViaError('ENGINE_FAILED', `${this.name} answered with another company's record`, { companyId })
      }
      return [{ entryId: metadata.data.entryId, text: metadata.data.text, cosine: match.score }]
    })
  }

  async upsert(companyId: string, model: string, phrases: readonly IndexedPhrase[], signal: AbortSignal): Promise<void> {
    for (let start = 0; start < phrases.length; start += UPSERT_BATCH) {
      const records = phrases.slice(start, start + UPSERT_BATCH).map(({ id, entryId, text, vector }) => ({ id, values: [...vector], metadata: { companyId, model, entryId, text } }))
      await this.#run(BACKGROUND_MS, signal, () => this.#of(companyId).upsert({ records }))
    }
  }

  async delete(companyId: string, phraseIds: readonly string[], signal: AbortSignal): Promise<void> {
    for (let start = 0; start < phraseIds.length; start += UPSERT_BATCH) {
      const ids = phraseIds.slice(start, start + UPSERT_BATCH)
      await this.#run(BACKGROUND_MS, signal, () => this.#of(companyId).deleteMany({ ids }))
    }
  }

  async list(companyId: string, after: string | null, signal: AbortSignal): Promise<Readonly<{ ids: readonly string[]; next: string | null }>> {
    const page = await this.#run(BACKGROUND_MS, signal, () => this.#of(companyId).listPaginated({ limit: LIST_PAGE, ...(after === null ? {} : { paginationToken: after }) }))
    return { ids: (page.vectors ?? []).flatMap((vector) => vector.id ?? []), next: page.pagination?.next ?? null }
  }

  async close(): Promise<void> {
    await this.#line.close()
  }

  #of(companyId: string): Index<Metadata> {
    // The service's own default namespace would be everybody's.
    if (companyId === '') throw new ClientsViaError('INVALID_INPUT', 'a vector belongs to a company')
    return this.#index.namespace(companyId)
  }

  async #run<T>(durationMs: number, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    try {
      return await withDeadline(this.#clock, durationMs, signal, (inTime) => this.#signals.run(inTime, work))
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof ClientsViaError ? error : named(error)
    }
  }
}

/** The library has an error class for each status and one for the line; what matters is whether to ask again. */
function named(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const isLine = /Connection/.test(error.name)
  const isDenied = /Authorization|Status: 40[13]|Status: 429/.test(`${error.name} ${error.message}`)
  return new ClientsViaError(isLine || isDenied ? 'ENGINE_UNAVAILABLE' : 'ENGINE_FAILED', isLine ? 'pinecone cannot be reached' : `pinecone failed: ${error.name}`, {}, { cause: error })
}
