import { ClientsViaError } from '../core/errors.ts'
import type { KnowledgeEntry } from '../tenancy/knowledge-entry.ts'
import { orAborted, type Embedder, type VectorStore } from './embedder.ts'
import type { VectorIndex } from './vector-index.ts'

/** One way of asking, as written and as compared. */
export type MeaningPhrase = Readonly<{ entry: KnowledgeEntry; text: string; plain: string }>
export type ScoredPhrase<P extends MeaningPhrase> = { score: number; phrase: P }

/** Larger batches keep a caller's question waiting behind them: 8 texts are about 60 ms of the embedded encoder. */
const INDEX_BATCH = 8
/** Cosines of the embedded encoder: below the first two sentences have nothing in common, above the second they mean the same. */
const COSINES = { floor: 0.2, ceiling: 0.85 }
/** The two best phrases of some ten entries, and of as many again that were switched off meanwhile. */
const REMOTE_PHRASES = 40

/** The meaning half of a search, by one encoder: vectors of every phrase in memory, and perhaps an index elsewhere that is asked first. */
export class MeaningSearch<P extends MeaningPhrase> {
  /** Resolves when every phrase has its vector, or when that has been given up. Never rejects. */
  readonly ready: Promise<'semantic' | 'lexical'>
  readonly #companyId: string
  readonly #embedder: Embedder
  readonly #remote: VectorIndex | null
  readonly #phrases: readonly P[]
  readonly #vectors: Float32Array[] = []

  constructor(companyId: string, phrases: readonly P[], embedder: Embedder, store: VectorStore | null, remote: VectorIndex | null, signal: AbortSignal | null) {
    this.#companyId = companyId
    this.#phrases = phrases
    this.#embedder = embedder
    this.#remote = remote
    this.ready = this.#embedPhrases(store, signal)
  }

  /** Null while the phrases have no vectors, and where the encoder has none for the words. */
  async vectorOf(plain: string, signal: AbortSignal): Promise<Float32Array | null> {
    if (this.#vectors.length < this.#phrases.length) return null
    try {
      const [vector] = await orAborted(this.#embedder.embed([plain], signal), signal)
      return vector ?? null
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof ClientsViaError)) throw error
      return null
    }
  }

  /** Each entry's score, 0 to 1, with the phrase that came closest; null where nobody knows the meaning. */
  async scores(plain: string, signal: AbortSignal): Promise<ReadonlyMap<string, ScoredPhrase<P>> | null> {
    const vector = await this.vectorOf(plain, signal)
    if (vector === null) return null
    return this.#scored((await this.#remoteCosines(vector, signal)) ?? this.#phrases.map((phrase, index) => ({ phrase, cosine: dot(vector, this.#vectors[index] as Float32Array) })))
  }

  /** Null: it was late, failed, or has not caught up with this knowledge; what is in memory answers. */
  async #remoteCosines(vector: Float32Array, signal: AbortSignal): Promise<Readonly<{ phrase: P; cosine: number }>[] | null> {
    if (this.#remote === null) return null
    try {
      const matches = await this.#remote.query(this.#companyId, this.#embedder.name, vector, REMOTE_PHRASES, signal)
      const known = matches.flatMap(({ entryId, text, cosine }) => {
        const phrase = this.#phrases.find((candidate) => candidate.entry.id === entryId && candidate.text === text)
        return phrase === undefined ? [] : [{ phrase, cosine }]
      })
      return known.length === 0 ? null : known
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof ClientsViaError)) throw error
      return null
    }
  }

  /** Mostly the closest phrase of an entry; what was closest before it has a quarter. */
  #scored(cosines: readonly Readonly<{ phrase: P; cosine: number }>[]): ReadonlyMap<string, ScoredPhrase<P>> {
    const best = new Map<string, ScoredPhrase<P> & { second: number }>()
    for (const { phrase, cosine } of cosines) {
      const known = best.get(phrase.entry.id)
      if (known === undefined) best.set(phrase.entry.id, { score: cosine, phrase, second: cosine })
      else if (cosine > known.score) best.set(phrase.entry.id, { score: cosine, phrase, second: known.score })
      else if (cosine > known.second) known.second = cosine
    }
    const { floor, ceiling } = this.#embedder.cosines ?? COSINES
    for (const scored of best.values()) {
      const cosine = 0.75 * scored.score + 0.25 * scored.second
      scored.score = Math.min(1, Math.max(0, (cosine - floor) / (ceiling - floor)))
    }
    return best
  }

  async #embedPhrases(store: VectorStore | null, signal: AbortSignal | null): Promise<'semantic' | 'lexical'> {
    const lifetime = signal ?? new AbortController().signal
    const embedder = this.#embedder
    const batchTexts = embedder.batchTexts ?? INDEX_BATCH
    const vectors: Float32Array[] = []
    try {
      for (let start = 0; start < this.#phrases.length; start += batchTexts) {
        const batch = this.#phrases.slice(start, start + batchTexts).map((phrase) => phrase.plain)
        const known = batch.map((text) => store?.get(embedder.name, text) ?? null)
        const missing = batch.filter((_, index) => known[index] === null)
        const made = missing.length === 0 ? [] : await orAborted(embedder.embed(missing, lifetime), lifetime)
        if (store !== null && made.length > 0) {
          await store.put(embedder.name, missing.map((text, index) => ({ text, vector: made[index] as Float32Array })))
        }
        let next = 0
        for (const vector of known) vectors.push(vector ?? (made[next++] as Float32Array))
      }
    } catch (error) {
      if (error instanceof ClientsViaError || lifetime.aborted) return 'lexical'
      throw error
    }
    this.#vectors.push(...vectors)
    return 'semantic'
  }
}

/** Four sums side by side: one alone waits for itself at every step, and this runs over every phrase of a company. */
function dot(a: Float32Array, b: Float32Array): number {
  let [first, second, third, fourth] = [0, 0, 0, 0]
  let index = 0
  for (; index + 3 < a.length; index += 4) {
    first += (a[index] as number) * (b[index] as number)
    second += (a[index + 1] as number) * (b[index + 1] as number)
    third += (a[index + 2] as number) * (b[index + 2] as number)
    fourth += (a[index + 3] as number) * (b[index + 3] as number)
  }
  for (; index < a.length; index++) first += (a[index] as number) * (b[index] as number)
  return first + second + third + fourth
}
