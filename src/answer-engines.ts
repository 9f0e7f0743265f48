import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import type { ModelSpend } from './call/call-record.ts'
import type { Config } from './config.ts'
import { Breakers } from './core/breaker.ts'
import type { Clock, Instant } from './core/clock.ts'
import type { Metrics } from './observability/metrics.ts'
import type { Logger } from './observability/logger.ts'
import { AnswerCache } from './response/answer-cache.ts'
import type { CompanyContextDeps } from './response/company-context-source.ts'
import type { Embedder } from './response/embedder.ts'
import { guardedEmbedder, guardedIndex } from './response/guarded-meaning.ts'
import type { ModelDeps } from './response/model-answer.ts'
import { ModelMeter } from './response/model-meter.ts'
import { LISTED_PRICES } from './response/model-prices.ts'
import { OpenAiModel } from './response/openai-model.ts'
import { PromptLibrary } from './response/prompts.ts'
import type { Company } from './tenancy/company.ts'
import { SpeculationPolicy } from './response/speculation-policy.ts'
import { FileVectorStore } from './response/vector-store.ts'
import { VectorSync } from './response/vector-sync.ts'
import type { Stores } from './storage/open-store.ts'
import { OpenAiEmbedder } from './storage/openai-embedder.ts'
import { PineconeIndex } from './storage/pinecone-index.ts'

export type AnswerEngineDeps = Readonly<{
  config: Config
  clock: Clock
  logger: Logger
  metrics: Pick<Metrics, 'engineFailed' | 'modelSpent'>
  store: Pick<Stores, 'companies' | 'knowledge' | 'documents'>
  breakers: Breakers
  /** The encoder that comes along: alone, or behind the vendor's. */
  embedder: Embedder
  cacheDir: string
  /** The account a company brings along; null: it has none. */
  ownKey: (companyId: string) => Promise<string | null>
  /** What the company has spent since midnight UTC, in US cents. */
  spentTodayCents: (companyId: string) => Promise<number>
  signal: AbortSignal
}>

export type AnswerEngines = Readonly<{
  model: ModelDeps
  /** How a company's knowledge finds its meaning. */
  meaning: Pick<CompanyContextDeps, 'embedder' | 'vectors' | 'remote' | 'fallback'>
  /** Of one turn, as it ends. */
  spendOf: (companyId: string, callId: string, turn: number, answered: boolean) => ModelSpend | null
  /** A company may have saved knowledge: the index outside follows. */
  knowledgeChanged: (companyId: string) => void
  /** Opens connections, says in the log whether the keys are good, and brings over what the index outside is owed. Never rejects; nobody waits for it. */
  start: (isFirst: boolean) => Promise<void>
  /** As if nothing had ever been decided. For drills. */
  forgetDecided: () => void
  close: () => Promise<void>
}>

/** The vendor's encoder and index have this long alone; then the encoder that comes along begins too. A knowledge search has twice as long. */
const FALLBACK_AFTER_MS = 60
/** The last tenth of a company's money for the day is for its calls: they go on, answered from its own data. */
const MODEL_SHARE = 0.9
const KNOWN_COMPANIES = 5000
const MOST_ACCOUNTS = 200
/** How long a key that was changed goes on being used. */
const KEY_FRESH_MS = 60_000
const COLLECTION = 'vector-sync'
const SYNC_STATE = 'state'
const COMPANY_PAGE = 100

/** Language model, embeddings and vectors, as the configuration chooses them. */
export function createAnswerEngines(deps: AnswerEngineDeps): AnswerEngines {
  const { config, clock, logger, metrics, breakers, signal } = deps
  const { engines } = config
  const { openai } = engines
  const isReachable = openai.apiKey !== null || openai.baseUrl !== null
  const account = { clock, apiKey: openai.apiKey?.reveal() ?? null, baseUrl: openai.baseUrl, api: openai.api }
  const known = new LRUCache<string, number>({ max: KNOWN_COMPANIES })
  /** As it was when it was last asked; asking is also how it is found out. */
  const spentLately = (companyId: string): number => {
    void deps.spentTodayCents(companyId).then(
      (cents) => known.set(companyId, cents),
      () => undefined,
    )
    return known.get(companyId) ?? 0
  }
  const flat = config.rates.modelTokenCents
  const policy = new SpeculationPolicy(config.earlyModel)
  const decided = new AnswerCache()
  const meter = new ModelMeter({
    prices: { ...LISTED_PRICES, ...(flat === null ? {} : { [openai.model]: { input: flat * 1e6, cachedInput: flat * 1e6, output: flat * 1e6 } }), ...openai.prices },
    onSpent: (_companyId, cost) => metrics.modelSpent(cost),
  })
  const first = isReachable ? new OpenAiModel({ ...account, model: openai.model }) : null
  const quick = isReachable && openai.quickModel !== null ? new OpenAiModel({ ...account, model: openai.quickModel }) : null
  const ownModels = new LRUCache<string, OpenAiModel>({ max: MOST_ACCOUNTS, dispose: (own) => void own.close() })
  const ownKeys = new LRUCache<string, Readonly<{ key: string | null; readAt: Instant }>>({ max: KNOWN_COMPANIES })
  /** As it was when it was last read; a first turn that comes before it is answered on the server's account, or without a model. */
  const ownAnswer = (company: Company): OpenAiModel | null => {
    const known = ownKeys.get(company.id)
    if (known === undefined || clock.now() - known.readAt > KEY_FRESH_MS) {
      ownKeys.set(company.id, { key: known?.key ?? null, readAt: clock.now() })
      void deps.ownKey(company.id).then(
        (key) => ownKeys.set(company.id, { key, readAt: clock.now() }),
        (error: unknown) => logger.warn({ companyId: company.id, error: String(error) }, "a company's own key cannot be read"),
      )
    }
    const key = ownKeys.get(company.id)?.key ?? null
    if (key === null) return null
    const name = createHash('sha256').update(key).digest('hex').slice(0, 8)
    const kept = ownModels.get(name)
    if (kept !== undefined) return kept
    const made = new OpenAiModel({ ...account, apiKey: key, model: openai.model, account: name })
    ownModels.set(name, made)
    return made
  }
  const model: ModelDeps = {
    answer: first,
    ownAnswer,
    quick,
    prompts: new PromptLibrary(join(import.meta.dirname, '../prompts')),
    isDefault: engines.llm === 'openai',
    meter,
    cache: decided,
    policy,
    breakerOf: (name) => breakers.of(`${name} llm`),
    mayAsk: (company) => company.limits.dailySpendCents === null || spentLately(company.id) < MODEL_SHARE * company.limits.dailySpendCents,
    onFailure: () => metrics.engineFailed('llm'),
  }

  const encoder =
    engines.embeddings === 'openai' && isReachable
      ? new OpenAiEmbedder({ apiKey: account.apiKey, baseUrl: openai.baseUrl, model: openai.embeddingModel, dimensions: openai.embeddingDimensions })
      : null
  const index = engines.vectors === 'pinecone' && engines.pinecone.indexHost !== null ? new PineconeIndex({ clock, apiKey: engines.pinecone.apiKey?.reveal() ?? null, host: engines.pinecone.indexHost }) : null
  // One file a length of vector, and one owner a file.
  const files = new Map<number, FileVectorStore>()
  const vectorsOf = ({ dimensions }: Embedder): FileVectorStore => {
    const file = files.get(dimensions) ?? new FileVectorStore(join(deps.cacheDir, 'vectors'), dimensions, (error) => logger.warn({ error: String(error) }, 'vectors not kept on disk'))
    files.set(dimensions, file)
    return file
  }
  const own = { embedder: deps.embedder, vectors: vectorsOf(deps.embedder) }
  const remote = index === null ? null : guardedIndex(index, breakers.of('pinecone vectors'), clock)
  const sync =
    index === null
      ? null
      : new VectorSync({
          clock,
          knowledge: deps.store.knowledge,
          embedder: encoder ?? deps.embedder,
          index,
          state: {
            get: (companyId, inTime) => deps.store.documents.get(companyId, COLLECTION, SYNC_STATE, inTime),
            put: (companyId, state, inTime) => deps.store.documents.put(companyId, COLLECTION, SYNC_STATE, state, inTime),
            delete: async (companyId, inTime) => void (await deps.store.documents.delete(companyId, COLLECTION, SYNC_STATE, inTime)),
          },
          mishearings: async (companyId, inTime) => (await deps.store.companies.get(companyId, inTime))?.mishearings ?? {},
          onFailure: (companyId, error) => logger.warn({ companyId, error: String(error) }, 'vectors not brought over yet'),
          signal,
        })

  const warmModel = async (one: OpenAiModel): Promise<void> => {
    try {
      await one.warm(signal)
      logger.info({ model: one.name }, 'language model reachable')
    } catch (error) {
      if (!signal.aborted) logger.warn({ model: one.name, error: String(error) }, "language model not reachable; the companies' own answers stand")
    }
  }

  return {
    model,
    meaning:
      encoder === null
        ? { ...own, remote }
        : { embedder: guardedEmbedder(encoder, breakers.of(`${encoder.name} embeddings`), clock), vectors: vectorsOf(encoder), remote, fallback: { ...own, afterMs: FALLBACK_AFTER_MS, clock } },
    spendOf: (companyId, callId, turn, answered) => {
      const spend = meter.take(companyId, callId, turn, answered)
      if (spend !== null) {
        policy.settled(spend.wastedOutputTokens, true)
        policy.settled(spend.outputTokens - spend.wastedOutputTokens, false)
      }
      return spend
    },
    knowledgeChanged: (companyId) => sync?.changed(companyId),
    start: async (isFirst) => {
      try {
        for (const one of [first, quick]) if (one !== null && engines.llm !== 'none') await warmModel(one)
        if (sync === null || !isFirst) return
        let after: string | null = null
        do {
          const page: readonly { readonly id: string }[] = await deps.store.companies.list({ after, limit: COMPANY_PAGE }, signal)
          for (const company of page) sync.changed(company.id)
          after = page.length < COMPANY_PAGE ? null : (page.at(-1)?.id ?? null)
        } while (after !== null)
      } catch (error) {
        if (!signal.aborted) logger.warn({ error: String(error) }, 'vectors not compared')
      }
    },
    forgetDecided: () => decided.clear(),
    close: async () => {
      ownModels.clear()
      await Promise.all([first?.close(), quick?.close(), encoder?.close(), index?.close(), ...[...files.values()].map((file) => file.close())])
    },
  }
}
