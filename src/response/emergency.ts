import type { EmergencyRule } from '../tenancy/agent.ts'
import { likeness, plainText, word, words, type Word } from './words.ts'

export type EmergencyMatch = Readonly<{ rule: EmergencyRule; phrase: string }>

/** Words between two words of a phrase: "smell a lot of gas" is "smell gas", a whole clause between them is not. */
const MAX_GAP_WORDS = 3
/** Sound-alikes count; mere look-alikes do not, a false alarm frightens. */
const MIN_LIKENESS = 0.85

/**
 * The most severe rule that the words set off, or null. Pure and quick (well under a millisecond), so it also runs on half-heard text.
 * A phrase is its words in order, inflected or misspelt by ear, with small gaps. "no ac and baby" asks for both halves, in either order.
 */
export function findEmergency(text: string, rules: readonly EmergencyRule[], mishearings: Readonly<Record<string, string>> = {}): EmergencyMatch | null {
  const heard = words(plainText(text, mishearings))
  if (heard.length === 0) return null
  let worst: EmergencyMatch | null = null
  for (const rule of rules) {
    if (worst !== null && worst.rule.severity >= rule.severity) continue
    const phrase = firstPhrase(heard, rule)
    if (phrase !== null) worst = { rule, phrase }
  }
  return worst
}

/** The first of the phrases that is said, and is not part of one that spares it; found as generously as an emergency's. */
export function saidPhrase(text: string, said: Pick<EmergencyRule, 'phrases' | 'notWhen'>, mishearings: Readonly<Record<string, string>> = {}): string | null {
  return firstPhrase(words(plainText(text, mishearings)), said)
}

function firstPhrase(heard: readonly Word[], rule: Pick<EmergencyRule, 'phrases' | 'notWhen'>): string | null {
  const spared = rule.notWhen.flatMap((phrase) => spans(heard, phraseWords(phrase), 1))
  for (const phrase of rule.phrases) {
    const halves = phrase.split(/\s+and\s+/)
    const isHeard = halves.every((half) => spans(heard, phraseWords(half), MAX_GAP_WORDS).some((span) => !spared.some((other) => overlaps(span, other))))
    if (isHeard) return phrase
  }
  return null
}

type Span = Readonly<{ from: number; to: number }>

const phraseCache = new Map<string, readonly Word[]>()
/** All rules of a few hundred companies. */
const PHRASE_CACHE_SIZE = 20_000

function phraseWords(phrase: string): readonly Word[] {
  const known = phraseCache.get(phrase)
  if (known !== undefined) return known
  const made = words(plainText(phrase))
  if (phraseCache.size >= PHRASE_CACHE_SIZE) phraseCache.clear()
  phraseCache.set(phrase, made)
  return made
}

/** Every place where the phrase begins and can be followed to its end. */
function spans(heard: readonly Word[], phrase: readonly Word[], maxGap: number): Span[] {
  const found: Span[] = []
  const first = phrase[0]
  if (first === undefined) return found
  for (let start = 0; start < heard.length; start++) {
    if (!same(heard[start] as Word, first)) continue
    let at = start
    let complete = true
    for (const wanted of phrase.slice(1)) {
      const next = nextMatch(heard, at, wanted, maxGap)
      if (next === null) {
        complete = false
        break
      }
      at = next
    }
    if (complete) found.push({ from: start, to: at })
  }
  return found
}

const NEGATION = new Set(['not', 'no', 'never', 'without'])

function nextMatch(heard: readonly Word[], after: number, wanted: Word, maxGap: number): number | null {
  for (let index = after + 1; index < heard.length && index <= after + 1 + maxGap; index++) {
    const candidate = heard[index] as Word
    if (same(candidate, wanted)) return index
    if (NEGATION.has(candidate.text)) return null
  }
  return null
}

const NOT = word('not')

function same(heard: Word, wanted: Word): boolean {
  if (wanted.text === NOT.text || wanted.text.length < 4) return heard.text === wanted.text || heard.stem === wanted.stem
  return likeness(heard, wanted) >= MIN_LIKENESS
}

function overlaps(a: Span, b: Span): boolean {
  return a.from <= b.to && b.from <= a.to
}
