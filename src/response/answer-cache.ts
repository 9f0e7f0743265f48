import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Turn } from './answer-step.ts'
import { contentWords, words } from './words.ts'

/** A decided answer, whole and checked: said again, it needs neither a model nor, in the same voice, a synthesis. */
export type DecidedAnswer = Readonly<{ companyId: string; texts: readonly string[]; entryIds: readonly string[]; question: string }>

type Kept = DecidedAnswer & Readonly<{ family: string; meaning: Float32Array | null }>

/** A few hundred bytes each, 1 KB more with its meaning: 20 MB at most. A company's repeated questions are some dozens. */
const MAX_ANSWERS = 10_000
/** Of one company and version; compared one by one. */
const MAX_FAMILY = 200
/** An answer that nobody asks for again is made again. */
const TTL_MS = 24 * 60 * 60_000
/** Cosine of two questions. "How much is a tune up" and "how much is a check up" are at 0.85: alike is not enough to say the same. */
const SAME_MEANING = 0.93

/** Answers for words that could have been spoken before anything else and by anybody. Never across companies: checked again on every read. */
export class AnswerCache {
  readonly #answers = new LRUCache<string, Kept>({ max: MAX_ANSWERS, ttl: TTL_MS })
  /** Keys by company and versions, for near matches. */
  readonly #families = new LRUCache<string, Set<string>>({ max: MAX_ANSWERS })

  /** Asked in these very words, fillers and politeness aside. */
  find(turn: Turn): DecidedAnswer | null {
    const key = keyOf(turn)
    return key === null ? null : this.#read(key, turn)
  }

  /** Asked in other words for the same thing. */
  findAlike(turn: Turn, meaning: Float32Array): DecidedAnswer | null {
    if (keyOf(turn) === null) return null
    const asked = telling(turn.plain)
    let best: { key: string; cosine: number } | null = null
    for (const key of this.#families.get(familyOf(turn)) ?? []) {
      const kept = this.#answers.peek(key)
      if (kept === undefined || kept.meaning === null || kept.meaning.length !== meaning.length || telling(kept.question) !== asked) continue
      const cosine = dot(kept.meaning, meaning)
      if (cosine >= SAME_MEANING && cosine > (best?.cosine ?? 0)) best = { key, cosine }
    }
    return best === null ? null : this.#read(best.key, turn)
  }

  keep(turn: Turn, answer: Readonly<{ texts: readonly string[]; entryIds: readonly string[] }>, meaning: Float32Array | null): void {
    const key = keyOf(turn)
    if (key === null || answer.texts.length === 0) return
    const family = familyOf(turn)
    const { companyId } = turn.question
    this.#answers.set(key, { companyId, texts: [...answer.texts], entryIds: [...answer.entryIds], question: turn.plain, family, meaning })
    const keys = this.#families.get(family) ?? new Set()
    keys.add(key)
    if (keys.size > MAX_FAMILY) keys.delete(keys.values().next().value as string)
    this.#families.set(family, keys)
  }

  clear(): void {
    this.#answers.clear()
    this.#families.clear()
  }

  get size(): number {
    return this.#answers.size
  }

  #read(key: string, turn: Turn): DecidedAnswer | null {
    const kept = this.#answers.get(key)
    return kept !== undefined && kept.companyId === turn.question.companyId && kept.family === familyOf(turn) ? kept : null
  }
}

/**
 * Whether the answer depends on nothing but these words and the company: no pronoun that points back, no offer that is open, no name,
 * number or "my" that makes it one caller's own. Such a question is also put to the model without what was said before it.
 */
export function standsAlone(turn: Turn): boolean {
  const { input, dialogue } = turn.question
  if (input.kind !== 'speech' || dialogue.offer !== null || turn.understanding.isFollowUp) return false
  if (POINTS_BACK.test(turn.plain) || PERSONAL.test(turn.plain) || /\d{4,}|@/.test(turn.text)) return false
  return contentWords(turn.plain).length >= 1 && words(turn.plain).length >= 3
}

const POINTS_BACK = /\b(?:it|its|that|this|these|those|they|them|their|he|him|she|her|same|other|another|again|else|instead|also|too|either|then|there|before|earlier|you said|you told|still)\b/
const PERSONAL = /\b(?:my name|i am|this is|call me|my (?:address|number|phone|email|account|appointment|order|bill|birthday|card|husband|wife|son|daughter|mother|father|doctor)|spelled|i live|i called|last time|yesterday|appointment)\b/

function keyOf(turn: Turn): string | null {
  if (!standsAlone(turn)) return null
  const { rest } = turn.understanding
  return `${familyOf(turn)}:${hashOf(rest === '' ? turn.plain : rest)}`
}

/**
 * Everything but the question that an answer depends on; of the talk before it nothing, for the question stands alone. A save of any of it
 * makes a new family, and the old answers are never found again.
 */
function familyOf(turn: Turn): string {
  const { companyId, context } = turn.question
  const { open, week, today } = turn.hours
  // Prices that expire and hours that change are in the scope that sources are rendered with.
  const state = hashOf(JSON.stringify([context.company.version, open, week, today, turn.hours.weekday, turn.scope['prices']]))
  return `response:${companyId}:${context.knowledge.version}:${context.agent.version}:${state}`
}

/** Words that change an answer while the sentence means nearly the same: numbers, days, a "not", and everything that names a thing. */
function telling(plain: string): string {
  const named = contentWords(plain).map((entry) => entry.stem)
  const small = words(plain).map((entry) => entry.text).filter((text) => /^(?:not|no|never|without|except|only|before|after|today|tomorrow|now|free|how|much|many|long|when|where|who|why|which|\d+)$/.test(text))
  return [...new Set([...named, ...small])].sort().join(' ')
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function dot(a: Float32Array, b: Float32Array): number {
  let total = 0
  for (let index = 0; index < a.length; index++) total += (a[index] as number) * (b[index] as number)
  return total
}
