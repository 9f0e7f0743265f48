import OpenAI from 'openai'
import { keepAliveFetch } from '../core/keep-alive-fetch.ts'

export type OpenAiAccount = Readonly<{
  /** Compatible servers often need none. */
  apiKey: string | null
  /** With its /v1; null: the vendor's own. */
  baseUrl: string | null
}>

/** The library refuses to start without a key, and looks for one in the environment. */
const NO_KEY = 'none'

/**
 * The official library as all of the product uses it: connections of its own that outlive a caller's thinking, and no retries, since whoever
 * waits has no time for a second try. `timeoutMs` bounds what the library does on its own, up to the headers; callers have their own deadlines.
 */
export function openAiClient({ apiKey, baseUrl }: OpenAiAccount, timeoutMs: number): Readonly<{ client: OpenAI; close: () => Promise<void> }> {
  const line = keepAliveFetch(timeoutMs)
  const client = new OpenAI({
    apiKey: apiKey ?? NO_KEY,
    ...(baseUrl === null ? {} : { baseURL: baseUrl }),
    maxRetries: 0,
    timeout: timeoutMs,
    fetch: line.fetch,
    // Its warnings would go to the console beside our log.
    logLevel: 'off',
  })
  return { client, close: () => line.close() }
}
