import { isDeepStrictEqual } from 'node:util'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { inPieces } from '../core/pieces.ts'
import type { KnowledgeEntry } from '../tenancy/knowledge-entry.ts'
import type { Embedder, VectorStore } from './embedder.ts'
import type { KnowledgeIndex, KnowledgeMatch } from './company-context.ts'
import { hedged } from './hedge.ts'
import { MeaningSearch } from './meaning-search.ts'
import { SoundMatch } from './sound-match.ts'
import type { VectorIndex } from './vector-index.ts'
import { contentWeight, likeness, plainText, word, words, type Word } from './words.ts'

export interface IndexedKnowledge extends KnowledgeIndex {
  /** Resolves when every phrase has its vector, or when that has been given up. Never rejects; search answers before it. */
  readonly ready: Promise<'semantic' | 'lexical'>
}

/** A second way to the meaning: begun where the first has said nothing after `afterMs`, or has failed. */
export type MeaningFallback = Readonly<{ embedder: Embedder; vectors: VectorStore | null; afterMs: number; clock: Clock }>

export type KnowledgeOptions = Readonly<{
  vectors?: VectorStore | null
  /** Searched instead of the vectors in memory, which answer where it does not. */
  remote?: VectorIndex | null
  fallback?: MeaningFallback | null
  mishearings?: Readonly<Record<string, string>>
  /** Ends the work in the background. */
  signal?: AbortSignal | null
  /** The index of an earlier version: phrases that are still there are not read again. */
  earlier?: IndexedKnowledge | null
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
  checkOwner(companyId, entries)
  const reader = new PhraseReader(options)
  const phrases = enabledOf(entries).map((entry) => reader.phrasesOf(entry))
  return new PhraseIndex(companyId, phrases, version, embedder, options)
}

/** The same, a few entries at a time: two thousand of them take half a second that calls beside it would hear. */
export async function loadKnowledgeIndex(
  companyId: string,
  entries: readonly KnowledgeEntry[],
  version: number,
  embedder: Embedder | null,
  options: KnowledgeOptions,
  signal: AbortSignal,
): Promise<IndexedKnowledge> {
  checkOwner(companyId, entries)
  const reader = new PhraseReader(options)
  const phrases: EntryPhrases[] = []
  for await (const piece of inPieces(enabledOf(entries), signal)) for (const entry of piece) phrases.push(reader.phrasesOf(entry))
  return new PhraseIndex(companyId, phrases, version, embedder, options)
}

function checkOwner(companyId: string, entries: readonly KnowledgeEntry[]): void {
  const foreign = entries.find((entry) => entry.companyId !== companyId)
  if (foreign !== undefined) {
    throw new ClientsViaError('INVALID_INPUT', `knowledge entry ${foreign.id} belongs to another company`, { companyId, entryId: foreign.id })
  }
}

function enabledOf(entries: readonly KnowledgeEntry[]): readonly KnowledgeEntry[] {
  return entries.filter((entry) => entry.enabled)
}

/** Questions of the calls of a minute or two; each holds one score an entry. */
const CACHED_SEARCHES = 64

/** What is left of a score: how callers' words and their meaning share it, chosen on the lists of test/bench/answers.ts that may be seen. */
const LEXICAL_SHARE = 0.5
/** The closest phrase decides most of the lexical score; the entry's whole vocabulary the rest. */
const PHRASE_SHARE = 0.6
/** A word that no entry uses tells none of them apart. */
const UNSEEN_WORD_SHARE = 0.5
/** The knowledge stage has a deadline of its own, which is shorter: this only bounds a search that nobody ends. */
const MEANING_MS = 10_000
/** An entry about prices for a question about prices, and the other way round. */
const PRICE_BONUS = 0.08
const PRICE_MALUS = 0.14

type Phrase = Readonly<{ entry: KnowledgeEntry; text: string; plain: string; words: readonly Weighted[]; weight: number }>
type Weighted = Readonly<{ word: Word; weight: number }>
type Scored = { score: number; phrase: Phrase }

/** A text as it is compared. */
type ReadText = Readonly<{ text: string; plain: string; words: readonly Word[] }>
type EntryPhrases = Readonly<{ entry: KnowledgeEntry; texts: readonly ReadText[] }>

/** Reading a text costs more than anything else here, and most texts of a new version were in the one before. */
class PhraseReader {
  readonly #mishearings: Readonly<Record<string, string>>
  readonly #known: ReadonlyMap<string, ReadText>

  constructor({ mishearings = {}, earlier = null }: KnowledgeOptions) {
    this.#mishearings = mishearings
    this.#known = earlier instanceof PhraseIndex && earlier.readsAlike(mishearings) ? earlier.texts : new Map()
  }

  phrasesOf(entry: KnowledgeEntry): EntryPhrases {
    return { entry, texts: [...new Set([entry.question, ...entry.callerPhrases])].map((text) => this.#known.get(text) ?? this.#read(text)) }
  }

  #read(text: string): ReadText {
    const plain = plainText(text, this.#mishearings)
    return { text, plain, words: words(plain) }
  }
}

class PhraseIndex implements IndexedKnowledge {
  readonly companyId: string
  readonly version: number
  readonly ready: Promise<'semantic' | 'lexical'>
  readonly #meaning: MeaningSearch<Phrase> | null
  readonly #fallback: Readonly<{ search: MeaningSearch<Phrase>; afterMs: number; clock: Clock }> | null
  readonly #mishearings: Readonly<Record<string, string>>
  readonly #phrases: Phrase[] = []
  readonly texts = new Map<string, ReadText>()
  readonly #rarity: ReadonlyMap<string, number>
  /** Every stem an entry's phrases use: a rare word shared with one of them says much, whatever the sentence around it. */
  readonly #vocabulary = new Map<string, Set<string>>()
  readonly #sounds: SoundMatch
  /** By text: a question is searched when it is foreseen, and again when the turn is committed. */
  readonly #searched = new LRUCache<string, ReadonlyMap<string, Scored>>({ max: CACHED_SEARCHES })

  constructor(companyId: string, entries: readonly EntryPhrases[], version: number, embedder: Embedder | null, options: KnowledgeOptions) {
    this.companyId = companyId
    this.version = version
    this.#mishearings = options.mishearings ?? {}
    this.#rarity = rarity(entries)
    for (const { entry, texts } of entries) {
      const stems = new Set<string>()
      this.#vocabulary.set(entry.id, stems)
      for (const read of texts) {
        const weighted = this.#weigh(read.words)
        for (const { word: used } of weighted) stems.add(used.stem)
        this.#phrases.push({ entry, text: read.text, plain: read.plain, words: weighted, weight: sum(weighted) })
        this.texts.set(read.text, read)
      }
    }
    this.#sounds = new SoundMatch(this.#phrases.flatMap((phrase) => phrase.words.map((entry) => entry.word)))
    const signal = options.signal ?? null
    const { fallback } = options
    this.#meaning = embedder === null ? null : new MeaningSearch(companyId, this.#phrases, embedder, options.vectors ?? null, options.remote ?? null, signal)
    this.#fallback =
      fallback === undefined || fallback === null
        ? null
        : { search: new MeaningSearch(companyId, this.#phrases, fallback.embedder, fallback.vectors, null, signal), afterMs: fallback.afterMs, clock: fallback.clock }
    const known = [this.#meaning?.ready, this.#fallback?.search.ready].filter((ready) => ready !== undefined)
    this.ready = Promise.all(known).then((ready) => (ready.includes('semantic') ? 'semantic' : 'lexical'))
  }

  readsAlike(mishearings: Readonly<Record<string, string>>): boolean {
    return isDeepStrictEqual(mishearings, this.#mishearings)
  }

  async search(text: string, options: { limit: number }, signal: AbortSignal): Promise<readonly KnowledgeMatch[]> {
    signal.throwIfAborted()
    const plain = plainText(text, this.#mishearings)
    const lexical = this.#lexicalScores(plain)
    const semantic = plain === '' ? null : await this.#meaningScores(plain, signal)
    return this.#fuse(plain, lexical, semantic, options.limit)
  }

  searchByWords(text: string, options: { limit: number }): readonly KnowledgeMatch[] {
    const plain = plainText(text, this.#mishearings)
    return this.#fuse(plain, this.#lexicalScores(plain), null, options.limit)
  }

  async meaningOf(text: string, signal: AbortSignal): Promise<Float32Array | null> {
    signal.throwIfAborted()
    const plain = plainText(text, this.#mishearings)
    return plain === '' ? null : ((await this.#meaning?.vectorOf(plain, signal)) ?? null)
  }

  async #meaningScores(plain: string, signal: AbortSignal): Promise<ReadonlyMap<string, Scored> | null> {
    const first = this.#meaning
    const second = this.#fallback
    if (first === null) return second === null ? null : second.search.scores(plain, signal)
    if (second === null) return first.scores(plain, signal)
    const ways = [
      { name: 'first', afterMs: 0, run: (inTime: AbortSignal) => first.scores(plain, inTime) },
      { name: 'second', afterMs: second.afterMs, run: (inTime: AbortSignal) => second.search.scores(plain, inTime) },
    ]
    // A failure of either was said where it happened: the engine is asked through its own breaker.
    const won = await hedged(second.clock, ways, MEANING_MS, signal, () => undefined)
    won?.scope.end('read')
    return won?.value ?? null
  }

  #weigh(used: readonly Word[]): Weighted[] {
    return used
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
    const explained = Array.from(asked.weights, () => 0)
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

  #fuse(plain: string, lexical: ReadonlyMap<string, Scored>, semantic: ReadonlyMap<string, Scored> | null, limit: number): readonly KnowledgeMatch[] {
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
}

/** A word no phrase has: a name, a place, a mishearing. It counts, but it must not outweigh what was understood. */
const UNKNOWN_WORD_RARITY = 0.7

/** 1 for a word of one entry, towards 0 for a word of all of them. */
function rarity(entries: readonly EntryPhrases[]): Map<string, number> {
  const entryCount = new Map<string, number>()
  for (const { texts } of entries) {
    const stems = new Set(texts.flatMap((read) => read.words.map((used) => used.stem)))
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

function sum(entries: readonly Weighted[]): number {
  return entries.reduce((total, entry) => total + entry.weight, 0)
}
