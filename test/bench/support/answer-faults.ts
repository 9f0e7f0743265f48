import { answerFromSources, OpenAiStandIn } from '../../vendors/openai.ts'
import { FAULTS } from '../../vendors/faults.ts'
import { PineconeStandIn } from '../../vendors/pinecone.ts'
import type { FaultSubject } from './fault-calls.ts'
import { seedGenerated } from './generated-company.ts'

/** A stream that is still flowing while its first sentence is heard: the fault falls into the second one. */
const FIRST_TOKEN_MS = 250
const TOKEN_MS = 60
/** The model words an answer from all that was found, the week's hours too; which of it the caller hears before hanging up is its own affair. */
const QUESTIONS = [
  { wav: 'faq-hours.wav', answer: /saturday|monday through friday/i },
  { wav: 'back-channel-question.wav', answer: /plan/i },
] as const
/** What comes along still speaks and listens. */
const OWN_EARS = { STT_ENGINE: 'embedded', TTS_ENGINE: 'embedded', DEMO_COMPANIES: 'false' } as const

/** Every answer is a model's to word: where it cannot, the company's own words are due. */
export async function answering(api: 'responses' | 'chat'): Promise<FaultSubject> {
  const vendor = await OpenAiStandIn.start()
  vendor.firstTokenMs = FIRST_TOKEN_MS
  vendor.tokenMs = TOKEN_MS
  vendor.reply = (request) => ({ text: `Happy to tell you. ${answerFromSources(request).text}` })
  return {
    name: `answering (OpenAI ${api})`,
    faults: FAULTS,
    environment: { ...OWN_EARS, LLM_ENGINE: 'openai', EMBEDDINGS_ENGINE: 'embedded', OPENAI_BASE_URL: vendor.baseUrl, OPENAI_API: api },
    during: 'agent-speaks',
    questions: QUESTIONS,
    seed: seedGenerated,
    fail: (fault) => vendor.fail(fault),
    fresh: (platform) => {
      platform.answers.forgetDecided()
      platform.phrases.forgetSpoken()
    },
    stop: () => vendor.stop(),
  }
}

/** What a question means, by the vendor's encoder and index; the words of it are always there. */
export async function searching(ill: 'embeddings' | 'vectors'): Promise<FaultSubject> {
  const openai = await OpenAiStandIn.start()
  const pinecone = await PineconeStandIn.start()
  openai.embeddingMs = 20
  pinecone.queryMs = 10
  return {
    name: ill === 'embeddings' ? 'meaning (OpenAI embeddings)' : 'vectors (Pinecone)',
    faults: FAULTS,
    environment: {
      STT_ENGINE: 'embedded', TTS_ENGINE: 'embedded', LLM_ENGINE: 'none', EMBEDDINGS_ENGINE: 'openai', VECTORS: 'pinecone',
      OPENAI_BASE_URL: openai.baseUrl, OPENAI_EMBEDDING_DIMENSIONS: '256', PINECONE_INDEX_HOST: pinecone.host,
    },
    during: 'caller-speaks',
    fail: (fault) => (ill === 'embeddings' ? openai : pinecone).fail(fault),
    fresh: () => undefined,
    stop: async () => {
      await Promise.all([openai.stop(), pinecone.stop()])
    },
  }
}
