import { LRUCache } from 'lru-cache'
import type { KnowledgeEntry } from '../tenancy/knowledge-entry.ts'
import { ClientsViaError } from '../core/errors.ts'
import { orAborted, type Embedder, type VectorStore } from './embedder.ts'
import type { KnowledgeIndex, KnowledgeMatch } from './company-context.ts'
import { SoundMatch } from './sound-match.ts'
import { contentWeight, likeness, plainText, word, words, type Word } from './words.ts'

export interface IndexedKnowledge extends KnowledgeIndex {
  /** Resolves when every phrase has its vector, or when that has been given up. Never rejects; search answers before it. */
  readonly ready: Promise<'semantic' | 'lexical'>
}

export type KnowledgeOptions = Readonly<{
  vectors?: VectorStore | null
  mishearings?: Readonly<Record<string, string>>
  /** Ends the work in the background. */
  signal?: AbortSignal | null
}>

/**
 * Indexes one company's knowledge at one version. Every way of asking is a document of its own: a caller's words are compared with
 * words that callers use, not with the answer's. Throws INVALID_INPUT for another company's entry.
 */
export function createKnowledgeIndex(
  companyId: string,
  entries: readonly KnowledgeEntry[],
  version: number,
  embedder: Embedder | null,
  options: KnowledgeOptions = {},
): IndexedKnowledge {
  const foreign = entries.find((entry) => entry.companyId !== companyId)
  if (foreign !== undefined) {
    throw new ClientsViaError('INVALID_INPUT', `knowledge entry ${foreign.id} belongs to another company`, { companyId, entryId: foreign.id })
  }
  return new PhraseIndex(companyId, entries, version, embedder, options)
}

/** Larger batches keep a caller's question waiting behind them: 8 texts are about 60 ms of the worker. */
const INDEX_BATCH = 8
/** Questions of the calls of a minute or two; each holds one score an entry. */
const CACHED_SEARCHES = 64

/** What is left of a score: how callers' words and their meaning share it, chosen on the lists of test/bench/answers.ts that may be seen. */
const LEXICAL_SHARE = 0.5
/** The closest phrase decides most of the lexical score; the entry's whole vocabulary the rest. */
const PHRASE_SHARE = 0.6
/** A word that no entry uses tells none of them apart. */
const UNSEEN_WORD_SHARE = 0.5
/** Cosines of the sentence encoder: below the first two sentences have nothing in common, above the second they mean the same. */
const COSINE_FLOOR = 0.2
const COSINE_CEILING = 0.85
/** An entry about prices for a question about prices, and the other way round. */
const PRICE_BONUS = 0.08
const PRICE_MALUS = 0.14

type Phrase = Readonly<{ entry: KnowledgeEntry; text: string; plain: string; words: readonly Weighted[]; weight: number }>
type Weighted = Readonly<{ word: Word; weight: number }>
type Scored = { score: number; phrase: Phrase }

class PhraseIndex implements IndexedKnowledge {
  readonly companyId: string
  readonly version: number
  readonly ready: Promise<'semantic' | 'lexical'>
  readonly #embedder: Embedder | null
  readonly #mishearings: Readonly<Record<string, string>>
  readonly #phrases: Phrase[] = []
  readonly #vectors: Float32Array[] = []
  readonly #rarity: ReadonlyMap<string, number>
  /** Every stem an entry's phrases use: a rare word shared with one of them says much, whatever the sentence around it. */
  readonly #vocabulary = new Map<string, Set<string>>()
  readonly #sounds: SoundMatch
  /** By text: a question is searched when it is foreseen, and again when the turn is committed. */
  readonly #searched = new LRUCache<string, ReadonlyMap<string, Scored>>({ max: CACHED_SEARCHES })

  constructor(companyId: string, entries: readonly KnowledgeEntry[], version: number, embedder: Embedder | null, options: KnowledgeOptions) {
    this.companyId = companyId
    this.version = version
    this.#embedder = embedder
    this.#mishearings = options.mishearings ?? {}
    const enabled = entries.filter((entry) => entry.enabled)
    this.#rarity = rarity(enabled, this.#mishearings)
    for (const entry of enabled) {
      const stems = new Set<string>()
      this.#vocabulary.set(entry.id, stems)
      for (const text of new Set([entry.question, ...entry.callerPhrases])) {
        const plain = plainText(text, this.#mishearings)
        const weighted = this.#weigh(plain)
        for (const { word: used } of weighted) stems.add(used.stem)
        this.#phrases.push({ entry, text, plain, words: weighted, weight: sum(weighted) })
      }
    }
    this.#sounds = new SoundMatch(this.#phrases.flatMap((phrase) => phrase.words.map((entry) => entry.word)))
    this.ready = embedder === null ? Promise.resolve('lexical') : this.#embedPhrases(embedder, options.vectors ?? null, options.signal ?? null)
  }

  async search(text: string, options: { limit: number }, signal: AbortSignal): Promise<readonly KnowledgeMatch[]> {
    signal.throwIfAborted()
    const plain = plainText(text, this.#mishearings)
    const lexical = this.#lexicalScores(plain)
    if (this.#embedder === null || this.#vectors.length < this.#phrases.length || plain === '') return this.#fuse(plain, lexical, null, options.limit)
    let semantic: Map<string, Scored> | null = null
    try {
      const [vector] = await orAborted(this.#embedder.embed([plain], signal), signal)
      if (vector !== undefined) semantic = this.#semanticScores(vector)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof ClientsViaError)) throw error
    }
    return this.#fuse(plain, lexical, semantic, options.limit)
  }

  searchByWords(text: string, options: { limit: number }): readonly KnowledgeMatch[] {
    const plain = plainText(text, this.#mishearings)
    return this.#fuse(plain, this.#lexicalScores(plain), null, options.limit)
  }

  async meaningOf(text: string, signal: AbortSignal): Promise<Float32Array | null> {
    signal.throwIfAborted()
    const plain = plainText(text, this.#mishearings)
    if (this.#embedder === null || this.#vectors.length < this.#phrases.length || plain === '') return null
    try {
      const [vector] = await orAborted(this.#embedder.embed([plain], signal), signal)
      return vector ?? null
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof ClientsViaError)) throw error
      return null
    }
  }

  #weigh(plain: string): Weighted[] {
    return words(plain)
      .map((entry) => ({ word: entry, weight: contentWeight(entry.text) * (this.#rarity.get(entry.stem) ?? UNKNOWN_WORD_RARITY) }))
      .filter((entry) => entry.weight > 0)
  }

  #lexicalScores(plain: string): ReadonlyMap<string, Scored> {
    const known = this.#searched.get(plain)
    if (known !== undefined) return known
    const best = new Map<string, Scored>()
    const asked = this.#read(plain)
    if (asked.stems.size > 0) {
      for (const phrase of this.#phrases) {
        const score = phrase.plain === plain ? 1 : 0.98 * overlap(asked, phrase, plain)
        if (score === 0) continue
        const before = best.get(phrase.entry.id)
        if (before === undefined || score > before.score) best.set(phrase.entry.id, { score, phrase })
      }
    }
    for (const [id, scored] of best) if (scored.score < 1) scored.score = Math.min(0.98, PHRASE_SHARE * scored.score + (1 - PHRASE_SHARE) * this.#explained(id, asked))
    this.#searched.set(plain, best)
    return best
  }

  /** What was said as words that the company's phrases use. */
  #read(plain: string): Asked {
    const heard = words(plain)
    const stems = new Map<string, Heard[]>()
    for (const { from, to, stem, quality } of this.#sounds.readings(heard)) {
      const places = stems.get(stem) ?? []
      for (let place = from; place <= to; place++) places.push({ place, quality })
      stems.set(stem, places)
    }
    const weights = heard.map((entry) => contentWeight(entry.text) * (this.#rarity.get(entry.stem) ?? UNKNOWN_WORD_RARITY))
    return { stems, weights, isKnown: heard.map((entry) => this.#rarity.has(entry.stem)) }
  }

  /** How much of what was said the entry has words for, 0 to 1. */
  #explained(entryId: string, asked: Asked): number {
    const stems = this.#vocabulary.get(entryId) ?? new Set<string>()
    const explained = new Array<number>(asked.weights.length).fill(0)
    for (const [stem, places] of asked.stems) {
      if (!stems.has(stem)) continue
      for (const { place, quality } of places) explained[place] = Math.max(explained[place] as number, quality)
    }
    let known = 0
    let total = 0
    for (const [place, weight] of asked.weights.entries()) {
      known += weight * (explained[place] as number)
      total += asked.isKnown[place] === true || explained[place] !== 0 ? weight : weight * UNSEEN_WORD_SHARE
    }
    return total === 0 ? 0 : known / total
  }

  #semanticScores(query: Float32Array): Map<string, Scored> {
    const best = new Map<string, Scored & { second: number }>()
    for (const [index, phrase] of this.#phrases.entries()) {
      const cosine = dot(query, this.#vectors[index] as Float32Array)
      const known = best.get(phrase.entry.id)
      if (known === undefined) best.set(phrase.entry.id, { score: cosine, phrase, second: cosine })
      else if (cosine > known.score) best.set(phrase.entry.id, { score: cosine, phrase, second: known.score })
      else if (cosine > known.second) known.second = cosine
    }
    for (const scored of best.values()) {
      const cosine = 0.75 * scored.score + 0.25 * scored.second
      scored.score = Math.min(1, Math.max(0, (cosine - COSINE_FLOOR) / (COSINE_CEILING - COSINE_FLOOR)))
    }
    return best
  }

  #fuse(plain: string, lexical: ReadonlyMap<string, Scored>, semantic: Map<string, Scored> | null, limit: number): readonly KnowledgeMatch[] {
    const heard = words(plain)
    const isAboutPrice = asksPrice(plain)
    const matches: KnowledgeMatch[] = []
    for (const id of new Set([...lexical.keys(), ...(semantic?.keys() ?? [])])) {
      const byWords = lexical.get(id)
      const byMeaning = semantic?.get(id)
      const phrase = (byWords !== undefined && byWords.score >= (byMeaning?.score ?? 0) ? byWords : (byMeaning ?? byWords))?.phrase
      if (phrase === undefined || !isAllowed(phrase.entry, heard, plain)) continue
      const lexicalScore = byWords?.score ?? 0
      const semanticScore = byMeaning?.score ?? null
      let score = lexicalScore
      if (semanticScore !== null && lexicalScore < 1) score = LEXICAL_SHARE * lexicalScore + (1 - LEXICAL_SHARE) * semanticScore
      if (lexicalScore < 1) {
        const isPriced = phrase.entry.tags.includes('price')
        if (isAboutPrice && isPriced) score += PRICE_BONUS
        if (isAboutPrice !== isPriced && (isAboutPrice || phrase.entry.category === 'prices')) score -= PRICE_MALUS
      }
      score = Math.min(1, Math.max(0, score)) * phrase.entry.confidence
      matches.push({ entry: phrase.entry, score, lexicalScore, semanticScore, matchedPhrase: phrase.text })
    }
    return matches.sort((a, b) => b.score - a.score || b.entry.priority - a.entry.priority).slice(0, limit)
  }

  async #embedPhrases(embedder: Embedder, store: VectorStore | null, signal: AbortSignal | null): Promise<'semantic' | 'lexical'> {
    const lifetime = signal ?? new AbortController().signal
    const vectors: Float32Array[] = []
    try {
      for (let start = 0; start < this.#phrases.length; start += INDEX_BATCH) {
        const batch = this.#phrases.slice(start, start + INDEX_BATCH).map((phrase) => phrase.plain)
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

/** A word no phrase has: a name, a place, a mishearing. It counts, but it must not outweigh what was understood. */
const UNKNOWN_WORD_RARITY = 0.7

/** 1 for a word of one entry, towards 0 for a word of all of them. */
function rarity(entries: readonly KnowledgeEntry[], mishearings: Readonly<Record<string, string>>): Map<string, number> {
  const entryCount = new Map<string, number>()
  for (const entry of entries) {
    const stems = new Set([entry.question, ...entry.callerPhrases].flatMap((text) => words(plainText(text, mishearings)).map((item) => item.stem)))
    for (const stem of stems) entryCount.set(stem, (entryCount.get(stem) ?? 0) + 1)
  }
  const most = Math.log(1 + entries.length)
  return new Map([...entryCount].map(([stem, count]) => [stem, Math.max(0.15, Math.log(1 + entries.length / count) / most)]))
}

type Heard = Readonly<{ place: number; quality: number }>
/** The question: every stem it may contain with its places, and what each heard word weighs. */
type Asked = Readonly<{ stems: ReadonlyMap<string, readonly Heard[]>; weights: readonly number[]; isKnown: readonly boolean[] }>

/** How much of the phrase was said, and how much of what was said is in the phrase; the first matters a little more. */
function overlap(asked: Asked, phrase: Phrase, plain: string): number {
  let covered = 0
  const explained = new Map<number, number>()
  for (const target of phrase.words) {
    let best = 0
    for (const { place, quality } of asked.stems.get(target.word.stem) ?? []) {
      best = Math.max(best, quality)
      if (quality > (explained.get(place) ?? 0)) explained.set(place, quality)
    }
    covered += best * target.weight
  }
  if (covered === 0) return 0
  let said = 0
  let total = 0
  for (const [place, weight] of asked.weights.entries()) {
    total += weight
    said += weight * (explained.get(place) ?? 0)
  }
  const recall = covered / phrase.weight
  const precision = total === 0 ? 0 : said / total
  if (recall === 0 || precision === 0) return 0
  const together = (recall * precision) / (0.55 * precision + 0.45 * recall)
  return 0.88 * together + 0.12 * sharedWords(plain, phrase.plain)
}

function sharedWords(a: string, b: string): number {
  const left = new Set(a.split(' '))
  const right = new Set(b.split(' '))
  let shared = 0
  for (const entry of left) if (right.has(entry)) shared++
  return (2 * shared) / (left.size + right.size)
}

function isAllowed(entry: KnowledgeEntry, heard: readonly Word[], plain: string): boolean {
  const isSaid = (term: string): boolean => {
    const target = plainText(term)
    return target.includes(' ') ? ` ${plain} `.includes(` ${target} `) : heard.some((candidate) => likeness(candidate, word(target)) >= 0.85)
  }
  if (entry.negativeWords.some(isSaid)) return false
  return entry.anchorWords.length === 0 || entry.anchorWords.some(isSaid)
}

const PRICE_WORDS = /\bwhat (?:does|do|would|will) [a-z ]+ run\b|\b(?:how much|cost|costs|price|prices|priced|pricing|charge|charges|fee|fees|rate|rates|dollars?|expensive|run me|set me back|pay for|quote|ballpark)\b/

/** "How much time" is not about money. */
export function asksPrice(plain: string): boolean {
  return PRICE_WORDS.test(plain) && !/\bhow much (?:time|longer|notice)\b/.test(plain)
}

function dot(a: Float32Array, b: Float32Array): number {
  let total = 0
  for (let index = 0; index < a.length; index++) total += (a[index] as number) * (b[index] as number)
  return total
}

function sum(entries: readonly Weighted[]): number {
  return entries.reduce((total, entry) => total + entry.weight, 0)
}
