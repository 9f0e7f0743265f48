import { Secret } from './core/secret.ts'
import type { PriceList } from './response/model-meter.ts'
import { readPrices } from './response/model-prices.ts'

/** Which engine stands behind each contract where a company does not choose its own, and how the vendors are reached. */
export type EngineConfig = Readonly<{
  stt: 'embedded' | 'deepgram'
  tts: 'embedded' | 'deepgram' | 'openai'
  /** Speaks where the chosen vendor fails, before the one that comes along does; null: that one does at once. */
  ttsSecond: 'deepgram' | 'openai' | null
  llm: 'none' | 'openai'
  embeddings: 'embedded' | 'openai'
  vectors: 'embedded' | 'pinecone'
  deepgram: DeepgramConfig
  openai: OpenAiConfig
  pinecone: PineconeConfig
}>
/** Without key and address: only companies that bring a key of their own can use it. */
export type DeepgramConfig = Readonly<{
  apiKey: Secret | null
  /** http or https; the WebSocket address is derived. Null: the vendor's own. No trailing slash. */
  baseUrl: string | null
  /** 'nova-3' and its like speak v1, 'flux-…' speaks v2 and brings its own ends of turn. */
  model: string
}>
export type OpenAiConfig = Readonly<{
  apiKey: Secret | null
  /** With its /v1, as the vendor's own libraries take it. Null: the vendor's own. */
  baseUrl: string | null
  model: string
  api: 'responses' | 'chat'
  /** Asked beside the other where that is slow; null: none is. */
  quickModel: string | null
  /** US cents a million tokens, by model; over the list that comes along. */
  prices: PriceList
  embeddingModel: string
  embeddingDimensions: number
  ttsModel: string
}>
export type PineconeConfig = Readonly<{ apiKey: Secret | null; indexHost: string | null }>

/** The variables of .env.example that are about engines, as the schema read them. */
export type EngineValues = Readonly<{
  STT_ENGINE?: EngineConfig['stt'] | undefined
  TTS_ENGINE?: EngineConfig['tts'] | undefined
  TTS_SECOND_ENGINE?: 'deepgram' | 'openai' | undefined
  LLM_ENGINE?: EngineConfig['llm'] | undefined
  EMBEDDINGS_ENGINE?: EngineConfig['embeddings'] | undefined
  VECTORS?: EngineConfig['vectors'] | undefined
  DEEPGRAM_API_KEY?: string | undefined
  DEEPGRAM_BASE_URL?: string | undefined
  DEEPGRAM_MODEL: string
  OPENAI_API_KEY?: string | undefined
  OPENAI_BASE_URL?: string | undefined
  OPENAI_MODEL: string
  OPENAI_API?: OpenAiConfig['api'] | undefined
  OPENAI_QUICK_MODEL?: string | undefined
  MODEL_PRICES?: string | undefined
  OPENAI_EMBEDDING_MODEL?: string | undefined
  OPENAI_EMBEDDING_DIMENSIONS: number
  OPENAI_TTS_MODEL?: string | undefined
  PINECONE_API_KEY?: string | undefined
  PINECONE_INDEX_HOST?: string | undefined
}>

/** What was said outright, else the engine whose key or address is there, else the one that comes along. */
export function enginesOf(values: EngineValues): EngineConfig {
  const { deepgram, openai, pinecone } = present(values)
  // A compatible server (Ollama, vLLM) seldom speaks or embeds: there the model's name says that it does.
  const openAiSpeaks = values.OPENAI_API_KEY !== undefined || values.OPENAI_TTS_MODEL !== undefined
  const openAiEmbeds = values.OPENAI_API_KEY !== undefined || values.OPENAI_EMBEDDING_MODEL !== undefined
  const tts = deepgram ? 'deepgram' : openai && openAiSpeaks ? 'openai' : 'embedded'
  return {
    stt: values.STT_ENGINE ?? (deepgram ? 'deepgram' : 'embedded'),
    tts: values.TTS_ENGINE ?? tts,
    ttsSecond: values.TTS_SECOND_ENGINE ?? null,
    llm: values.LLM_ENGINE ?? (openai ? 'openai' : 'none'),
    embeddings: values.EMBEDDINGS_ENGINE ?? (openai && openAiEmbeds ? 'openai' : 'embedded'),
    vectors: values.VECTORS ?? (pinecone ? 'pinecone' : 'embedded'),
    deepgram: { apiKey: secretOrNull(values.DEEPGRAM_API_KEY), baseUrl: values.DEEPGRAM_BASE_URL ?? null, model: values.DEEPGRAM_MODEL },
    openai: {
      apiKey: secretOrNull(values.OPENAI_API_KEY),
      baseUrl: values.OPENAI_BASE_URL ?? null,
      model: values.OPENAI_MODEL,
      // Compatible servers all speak the older of the two.
      api: values.OPENAI_API ?? (values.OPENAI_BASE_URL === undefined ? 'responses' : 'chat'),
      quickModel: values.OPENAI_QUICK_MODEL ?? null,
      prices: values.MODEL_PRICES === undefined ? {} : readPrices(values.MODEL_PRICES),
      embeddingModel: values.OPENAI_EMBEDDING_MODEL ?? DEFAULT_EMBEDDING_MODEL,
      embeddingDimensions: values.OPENAI_EMBEDDING_DIMENSIONS,
      ttsModel: values.OPENAI_TTS_MODEL ?? DEFAULT_TTS_MODEL,
    },
    pinecone: { apiKey: secretOrNull(values.PINECONE_API_KEY), indexHost: values.PINECONE_INDEX_HOST ?? null },
  }
}

/** What the variables that were left out came to, for the report. */
export function engineSettings(engines: EngineConfig): [string, string][] {
  return [
    ['STT_ENGINE', engines.stt],
    ['TTS_ENGINE', engines.tts],
    ['LLM_ENGINE', engines.llm],
    ['EMBEDDINGS_ENGINE', engines.embeddings],
    ['VECTORS', engines.vectors],
    ['OPENAI_API', engines.openai.api],
    ['OPENAI_EMBEDDING_MODEL', engines.openai.embeddingModel],
    ['OPENAI_TTS_MODEL', engines.openai.ttsModel],
  ]
}

/** An engine that was named but cannot be reached, one sentence each. */
export function engineContradictions(values: EngineValues): string[] {
  const { deepgram, openai } = present(values)
  const problems: string[] = []
  const need = (isThere: boolean, variable: string, value: string | undefined, needed: string): void => {
    if (!isThere) problems.push(`${variable} is ${value}, but there is neither ${needed}: set one of them, or another engine`)
  }
  if (values.STT_ENGINE === 'deepgram') need(deepgram, 'STT_ENGINE', 'deepgram', 'DEEPGRAM_API_KEY nor DEEPGRAM_BASE_URL')
  if (values.TTS_ENGINE === 'deepgram') need(deepgram, 'TTS_ENGINE', 'deepgram', 'DEEPGRAM_API_KEY nor DEEPGRAM_BASE_URL')
  if (values.TTS_SECOND_ENGINE === 'deepgram') need(deepgram, 'TTS_SECOND_ENGINE', 'deepgram', 'DEEPGRAM_API_KEY nor DEEPGRAM_BASE_URL')
  for (const name of ['TTS_ENGINE', 'TTS_SECOND_ENGINE', 'LLM_ENGINE', 'EMBEDDINGS_ENGINE'] as const) {
    if (values[name] === 'openai') need(openai, name, 'openai', 'OPENAI_API_KEY nor OPENAI_BASE_URL')
  }
  if (values.VECTORS === 'pinecone' || values.PINECONE_API_KEY !== undefined) {
    if (values.PINECONE_INDEX_HOST === undefined) problems.push('PINECONE_INDEX_HOST is missing: it is the address of the index, as the Pinecone console shows it')
  }
  if (values.PINECONE_INDEX_HOST !== undefined && values.PINECONE_API_KEY === undefined && !values.PINECONE_INDEX_HOST.startsWith('http://')) {
    problems.push('PINECONE_API_KEY is missing: PINECONE_INDEX_HOST answers nobody without it')
  }
  return problems
}

const DEFAULT_EMBEDDING_MODEL = 'text-embedding-3-small'
const DEFAULT_TTS_MODEL = 'gpt-4o-mini-tts'

function present(values: EngineValues): Readonly<{ deepgram: boolean; openai: boolean; pinecone: boolean }> {
  return {
    deepgram: (values.DEEPGRAM_API_KEY ?? values.DEEPGRAM_BASE_URL) !== undefined,
    openai: (values.OPENAI_API_KEY ?? values.OPENAI_BASE_URL) !== undefined,
    pinecone: (values.PINECONE_API_KEY ?? values.PINECONE_INDEX_HOST) !== undefined,
  }
}

function secretOrNull(value: string | undefined): Secret | null {
  return value === undefined ? null : new Secret(value)
}
