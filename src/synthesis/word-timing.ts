import { PAUSE_AFTER_SENTENCE_MS } from './clauses.ts'
import { spokenText } from './spoken-text.ts'

/**
 * Taken off the playout position so that estimates err on the unheard side. At 18 clause ends of voices slt, kal and awb the estimate
 * was from 126 ms early to 323 ms late.
 */
export const TIMING_MARGIN_MS = 130

/**
 * How much of a sentence was heard when its playout stopped `heardMs` into `audioMs`. A word counts only if it had ended, by
 * estimate, `TIMING_MARGIN_MS` before that: rounding is always towards "not heard". Complete when all but the closing pause was
 * played. With `wordEndsMs` (one per whitespace-separated word, from an engine that knows) no estimate and no margin is used.
 */
export function wordsHeard(
  text: string,
  audioMs: number,
  heardMs: number,
  wordEndsMs: readonly number[] | null = null,
): { text: string; complete: boolean } {
  const words = text.split(/\s+/).filter((word) => word !== '')
  const speechMs = Math.max(0, audioMs - PAUSE_AFTER_SENTENCE_MS)
  if (audioMs > 0 && heardMs >= (speechMs > 0 ? speechMs : audioMs)) return { text: words.join(' '), complete: true }
  const exact = wordEndsMs !== null && wordEndsMs.length === words.length ? wordEndsMs : null
  const ends = exact ?? estimatedEnds(words, speechMs)
  const until = heardMs - (exact === null ? TIMING_MARGIN_MS : 0)
  let count = 0
  while (count < words.length && (ends[count] as number) <= until) count += 1
  // A dash or quotation mark between words is only heard together with what follows it.
  while (count > 0 && !/[\p{L}\p{N}]/u.test(words[count - 1] as string)) count -= 1
  return { text: words.slice(0, count).join(' '), complete: false }
}

/** Where each word and the pause after it end, in ms, if the words share `speechMs` by what there is to pronounce in them. Never falls. */
export function estimatedEnds(words: readonly string[], speechMs: number): number[] {
  const weights = words.map((word, i) => spokenWeight(word) + (i < words.length - 1 ? pauseWeight(word) : 0))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  let spoken = 0
  return weights.map((weight) => {
    spoken += weight
    return total === 0 ? speechMs : (spoken / total) * speechMs
  })
}

/** What there is to pronounce in a text, pauses between its words included, in the measure of `estimatedEnds`: at one pace, weights are times. */
export function weightOf(text: string): number {
  const words = text.split(/\s+/).filter((word) => word !== '')
  return words.reduce((sum, word, i) => sum + spokenWeight(word) + (i < words.length - 1 ? pauseWeight(word) : 0), 0)
}

/** A vowel group lasts about twice as long as a consonant; "$89.95" weighs what "eighty nine dollars and ninety five cents" does. */
const VOWEL_WEIGHT = 1.3
const CONSONANT_WEIGHT = 0.6
/** A pause at a comma takes as long as two syllables. */
const COMMA_WEIGHT = 3
const STOP_WEIGHT = 5

function spokenWeight(word: string): number {
  const letters = spokenText(word).toLowerCase()
  const vowels = letters.replace(/e\b/g, '').match(/[aeiouy]+/g)?.length ?? 0
  const consonants = letters.match(/[bcdfghjklmnpqrstvwxz]+/g)?.length ?? 0
  return vowels * VOWEL_WEIGHT + consonants * CONSONANT_WEIGHT
}

/** What the pause after a word weighs; 0 where there is none. */
export function pauseWeight(word: string): number {
  if (/[.!?]["')]*$/.test(word)) return STOP_WEIGHT
  return /[,;:]["')]*$/.test(word) ? COMMA_WEIGHT : 0
}
