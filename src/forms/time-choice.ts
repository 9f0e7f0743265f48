import type { ChoiceOption } from '../core/expectation.ts'
import type { TimeOffer } from './form-state.ts'

const ORDINALS: readonly (readonly string[])[] = [
  ['first', 'first one', 'the first one', 'the earlier one', 'earliest', 'number one', 'option one'],
  ['second', 'second one', 'the second one', 'number two', 'option two'],
  ['third', 'third one', 'the third one', 'number three', 'option three'],
]
const LAST = /\b(?:last|latest|later) (?:one|time)\b|\bthe (?:last|latter)\b/i
const ANY = /\b(?:either|any of (?:those|them)|whichever|doesn't matter|does not matter|no preference|you choose|earliest|soonest|the sooner|first (?:one|available))\b/i
const NONE = /\b(?:none|neither|nothing|don't work|do not work|doesn't work|does not work|can't (?:do|make)|cannot (?:do|make)|won't work|other (?:times?|days?)|something else|anything else|different (?:time|day)|(?:anything|something) (?:later|earlier|sooner)|(?:later|earlier) (?:than that|in the day|that day))\b/i

/** Which of the offered times the words mean: its place, 'none', or null where they do not say. */
export function chosenTime(text: string, offers: readonly TimeOffer[]): number | 'none' | null {
  const plain = text.toLowerCase().replace(/[.,!?]/g, ' ').replace(/\s+/g, ' ').trim()
  if (NONE.test(plain)) return 'none'
  const scores = offers.map((offer, index) => scoreOf(plain, offer) + (ORDINALS[index]?.some((name) => hasWords(plain, name)) === true ? 5 : 0))
  const best = Math.max(...scores)
  const winners = scores.flatMap((score, index) => (score === best ? [index] : []))
  if (best > 0 && winners.length === 1) return winners[0] as number
  if (LAST.test(plain)) return offers.length - 1
  if (ANY.test(plain)) return 0
  return null
}

function scoreOf(plain: string, offer: TimeOffer): number {
  const starts = offer.startWords.filter((words) => hasWords(plain, words))
  const others = offer.otherWords.filter((words) => hasWords(plain, words))
  const longest = Math.max(0, ...starts.map((words) => words.split(' ').length))
  return (starts.length > 0 ? 2 + longest : 0) + others.length
}

function hasWords(plain: string, words: string): boolean {
  return ` ${plain} `.includes(` ${words} `)
}

/** The offered times as the ear may hear them chosen. */
export function timeOptions(offers: readonly TimeOffer[]): ChoiceOption[] {
  return offers.map((offer, index) => {
    const unique = [...offer.startWords, ...offer.otherWords].filter((words) => offers.every((other) => other === offer || ![...other.startWords, ...other.otherWords].includes(words)))
    return { value: String(index), aliases: [...new Set([...(ORDINALS[index] ?? []), ...unique, ...(offers.length === 1 ? ['yes', 'that works', 'sounds good'] : [])])] }
  })
}
