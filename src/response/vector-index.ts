/** One way of asking that a company's knowledge knows, as a vector index keeps it. */
export type IndexedPhrase = Readonly<{ id: string; entryId: string; text: string; vector: Float32Array }>

/** `cosine` as the index worked it out, 1 for the same meaning. */
export type PhraseMatch = Readonly<{ entryId: string; text: string; cosine: number }>

/**
 * Where vectors are searched outside this process. A company's phrases are in a namespace of its own, named by this server and checked
 * again on everything that comes back: what carries another company's mark is an error, not a match. Rejects with ENGINE_UNAVAILABLE,
 * ENGINE_FAILED, DEADLINE_PASSED or the signal's reason.
 */
export interface VectorIndex {
  readonly name: string
  /** The nearest `limit` phrases, nearest first, of the embedder called `model`. */
  query(companyId: string, model: string, vector: Float32Array, limit: number, signal: AbortSignal): Promise<readonly PhraseMatch[]>
  /** Adds or replaces; what was asked twice is there once. */
  upsert(companyId: string, model: string, phrases: readonly IndexedPhrase[], signal: AbortSignal): Promise<void>
  delete(companyId: string, phraseIds: readonly string[], signal: AbortSignal): Promise<void>
  /** Everything that is there, a page at a time: for comparing with what should be. */
  list(companyId: string, after: string | null, signal: AbortSignal): Promise<Readonly<{ ids: readonly string[]; next: string | null }>>
}
