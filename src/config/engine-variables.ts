import { z } from 'zod'
import { PRICE_LIST_PATTERN } from '../response/model-prices.ts'
import { about, cents, engineOf, engineUrl, modelName, text, whole } from './variables.ts'

/** Which engine stands behind each contract, how its vendor is reached, and what that costs. What follows from it is in src/engine-config.ts. */
export const engineVariables = {
  STT_ENGINE: engineOf('embedded', 'deepgram').register(about, {
    says: 'Who listens where a company does not choose: embedded or deepgram. Without it: Deepgram where its key or address is set.',
    example: 'embedded',
    default: null,
  }),
  TTS_ENGINE: engineOf('embedded', 'deepgram', 'openai').register(about, {
    says: 'Who speaks where a company does not choose: embedded, deepgram or openai. Without it: the first of the last two that is set.',
    example: 'embedded',
    default: null,
  }),
  TTS_SECOND_ENGINE: engineOf('deepgram', 'openai').register(about, {
    says: 'Who speaks where that one fails in a call: deepgram or openai. Without it, and behind it: the voice that comes along.',
    example: 'openai',
    default: null,
  }),
  LLM_ENGINE: engineOf('none', 'openai').register(about, {
    says: 'The language model behind the rules and the knowledge: none or openai. Without it: OpenAI where its key or address is set.',
    example: 'none',
    default: null,
  }),
  EMBEDDINGS_ENGINE: engineOf('embedded', 'openai').register(about, {
    says: 'Who turns sentences into vectors: embedded or openai. Without it: OpenAI where its key is set.',
    example: 'embedded',
    default: null,
  }),
  VECTORS: engineOf('embedded', 'pinecone').register(about, {
    says: 'Where the vectors of the knowledge are searched: embedded or pinecone. Without it: Pinecone where its index is set.',
    example: 'embedded',
    default: null,
  }),
  DEEPGRAM_API_KEY: text().optional().register(about, { says: 'Deepgram: live recognition and Aura voices.', example: '', default: null, secret: true }),
  DEEPGRAM_BASE_URL: engineUrl().register(about, {
    says: 'Another address for it: self-hosted, or in a region. http or https; wss is derived. A key is then optional.',
    example: 'https://api.eu.deepgram.com',
    default: null,
  }),
  DEEPGRAM_MODEL: modelName().register(about, {
    says: 'Its listening model; one whose name begins with flux brings its own ends of turn.',
    example: 'flux-general-en',
    default: 'nova-3',
  }),
  OPENAI_API_KEY: text().optional().register(about, { says: 'OpenAI: language model, embeddings, voices.', example: '', default: null, secret: true }),
  OPENAI_BASE_URL: engineUrl().register(about, {
    says: 'A compatible server instead, such as Ollama or vLLM, with its /v1. http or https. A key is then optional.',
    example: 'http://127.0.0.1:11434/v1',
    default: null,
  }),
  OPENAI_MODEL: modelName().register(about, { says: 'The language model.', example: 'gpt-4.1-mini', default: 'gpt-4.1-mini' }),
  OPENAI_API: engineOf('responses', 'chat').register(about, {
    says: 'How it is asked: responses or chat. Without it: responses at OpenAI, chat at a compatible server.',
    example: 'chat',
    default: null,
  }),
  OPENAI_QUICK_MODEL: modelName().optional().register(about, {
    says: 'A quicker, cheaper model, asked beside the other where that has said nothing at half of its time; the first good sentence speaks.',
    example: 'gpt-4.1-nano',
    default: null,
  }),
  MODEL_PRICES: text().regex(PRICE_LIST_PATTERN, 'must be model=input/cached/output in cents a million tokens, separated by commas').optional().register(about, {
    says: "What a million tokens cost you, in US cents, as model=input/cached input/output. Without it: OpenAI's list for its own models.",
    example: 'gpt-4.1-mini=40/10/160',
    default: null,
  }),
  OPENAI_EMBEDDING_MODEL: modelName().optional().register(about, { says: 'Its model for embeddings. Without it: text-embedding-3-small.', example: 'text-embedding-3-small', default: null }),
  OPENAI_EMBEDDING_DIMENSIONS: whole(16, 4096).register(about, { says: "Length of its vectors; a compatible server's must be named.", example: '512', default: '512' }),
  OPENAI_TTS_MODEL: modelName().optional().register(about, { says: 'Its speaking model. Without it: gpt-4o-mini-tts.', example: 'tts-1', default: null }),
  PINECONE_API_KEY: text().optional().register(about, { says: 'Pinecone: vectors of large knowledge bases.', example: '', default: null, secret: true }),
  PINECONE_INDEX_HOST: engineUrl().register(about, { says: "The index's own address.", example: 'https://knowledge-abc1234.svc.us-east-1.pinecone.io', default: null }),
  STT_MINUTE_CENTS: cents().register(about, { says: 'What a minute of recognition costs you at its vendor, in US cents.', example: '0.77', default: null }),
  TTS_CHARACTER_CENTS: cents().register(about, { says: 'What a spoken character costs you at its vendor, in US cents.', example: '0.003', default: null }),
}
export type EngineValues = z.output<z.ZodObject<typeof engineVariables>>
