import { soundDistance } from '../grammar/likeness.ts'
import type { FormSlot } from '../tenancy/form.ts'

/** Distance a letter of the option. Of speech that none of the options was, the nearest one is farther, or another is nearly as near. */
const LIKE_IT = 0.45
/** How much farther the next best must be. */
const CLEARLY_LIKEST = 0.25
/** A name with fewer letters than this is like too much. */
const LEAST_LETTERS = 8

/**
 * The one option that the words are like as a whole, whatever the borders of the words: "no one eats drinks" for Bonita Springs. Null where none is, or two are.
 */
export function likestOption(slot: FormSlot, text: string): string | null {
  const words = lettersOf(text)
  const near = slot.options
    .map(({ value, aliases }) => ({ value, gap: Math.min(...[value, ...aliases].map((name) => gapTo(name, words))) }))
    .sort((a, b) => a.gap - b.gap)
  const [best, next] = near
  if (best === undefined || lettersOf(best.value).length < LEAST_LETTERS || best.gap > LIKE_IT || (next?.gap ?? Infinity) - best.gap < CLEARLY_LIKEST) return null
  return best.value
}

/** "U. S. please": all but the one phrase by sound, and farther from the other. */
export function isLike(text: string, phrase: string, other: string): boolean {
  const words = lettersOf(text)
  const gap = gapTo(phrase, words)
  return gap <= ALL_BUT_IT && gapTo(other, words) - gap >= FARTHER
}

const ALL_BUT_IT = 0.2
const FARTHER = 0.1

function gapTo(name: string, words: string): number {
  const letters = lettersOf(name)
  return letters === '' ? Infinity : soundDistance(words, letters) / letters.length
}

function lettersOf(text: string): string {
  return text.toLowerCase().replace(/[^a-z]/g, '')
}
