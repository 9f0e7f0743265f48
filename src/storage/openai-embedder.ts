import { LRUCache } from 'lru-cache'
import { APIConnectionError, APIError, AuthenticationError, PermissionDeniedError, RateLimitError } from 'openai'
import { ClientsViaError } from '../core/errors.ts'
import { openAiClient } from '../engines/openai-client.ts'
import { orAborted, type Embedder } from '../response/embedder.ts'

export type OpenAiEmbedderOptions = Readonly<{
  apiKey: string | null
  /** With its /v1; null: the vendor's own. */
  baseUrl: string | null
  model: string
  dimensions: number
}>

/** Questions repeat within and between calls, and speculation asks the same one twice. 2 KB each. */
const CACHED_VECTORS = 4000
/** A request with more is refused or slow; a company's phrases are some hundreds. */
const BATCH_TEXTS = 128
/** A question's own deadline is far shorter; this bounds a batch of phrases in the background. */
const REQUEST_TIMEOUT_MS = 15_000
/** OpenAI's embeddings, or a compatible server's, at unit length. A text that was embedded lately costs nothing. */
export class OpenAiEmbedder implements Embedder {
  readonly name: string
  readonly dimensions: number
  /** Cosines of text-embedding-3 as its users report them; it spreads wider than the embedded encoder. */
  readonly cosines = { floor: 0.2, ceiling: 0.75 }
  readonly batchTexts = BATCH_TEXTS
  readonly #model: string
  readonly #openai: ReturnType<typeof openAiClient>
  readonly #cache = new LRUCache<string, Float32Array>({ max: CACHED_VECTORS })

  constructor(options: OpenAiEmbedderOptions) {
    this.name = `openai/${options.model}@${options.dimensions}`
    this.dimensions = options.dimensions
    this.#model = options.model
    this.#openai = openAiClient(options, REQUEST_TIMEOUT_MS)
  }

  async embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]> {
    signal.throwIfAborted()
    const missing = [...new Set(texts.filter((text) => !this.#cache.has(text)))]
    // Kept aside: a batch larger than the cache would push its own beginning out.
    const made = new Map<string, Float32Array>()
    for (let start = 0; start < missing.length; start += BATCH_TEXTS) {
      const batch = missing.slice(start, start + BATCH_TEXTS)
      const vectors = await orAborted(this.#ask(batch, signal), signal)
      for (const [index, text] of batch.entries()) {
        const vector = vectors[index] as Float32Array
        made.set(text, vector)
        this.#cache.set(text, vector)
      }
    }
    return texts.map((text) => made.get(text) ?? (this.#cache.get(text) as Float32Array))
  }

  async close(): Promise<void> {
    await this.#openai.close()
  }

  async #ask(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]> {
    try {
      const reply = await this.#openai.client.embeddings.create(
        // Only the newer models can shorten their vectors; a compatible server's has the length it has.
        { model: this.#model, input: [...texts], ...(this.#model.startsWith('text-embedding-3') ? { dimensions: this.dimensions } : {}) },
        { signal },
      )
      const vectors = Array.from<unknown, Float32Array | undefined>({ length: texts.length }, () => undefined)
      for (const { index, embedding } of reply.data) vectors[index] = unitLength(Float32Array.from(embedding))
      return vectors.map((vector) => {
        if (vector?.length === this.dimensions) return vector
        throw new ClientsViaError('ENGINE_FAILED', `${this.#model} gives vectors of ${vector?.length ?? 0} numbers where ${this.dimensions} were configured`)
      })
    } catch (error) {
      signal.throwIfAborted()
      throw named(this.name, error)
    }
  }
}

function named(name: string, error: unknown): unknown {
  const cause = { cause: error }
  if (error instanceof AuthenticationError || error instanceof PermissionDeniedError) return new ClientsViaError('ENGINE_UNAVAILABLE', `${name} does not accept the key`, { status: error.status }, cause)
  if (error instanceof RateLimitError) return new ClientsViaError('ENGINE_UNAVAILABLE', `${name} has had enough requests`, { status: 429 }, cause)
  if (error instanceof APIConnectionError) return new ClientsViaError('ENGINE_UNAVAILABLE', `${name} cannot be reached`, {}, cause)
  if (error instanceof APIError) return new ClientsViaError('ENGINE_FAILED', `${name} failed with status ${String(error.status)}`, { status: error.status }, cause)
  // An answer that breaks off or is no JSON surfaces as fetch's or the parser's own error.
  if (error instanceof TypeError || error instanceof SyntaxError || (error instanceof Error && !(error instanceof ClientsViaError))) return new ClientsViaError('ENGINE_FAILED', `${name} sent no answer that can be read`, {}, cause)
  return error
}

function unitLength(vector: Float32Array): Float32Array {
  let square = 0
  for (const value of vector) square += value * value
  if (square === 0) return vector
  const length = Math.sqrt(square)
  return vector.map((value) => value / length)
}
