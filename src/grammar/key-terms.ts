import { askedShape, type Expectation, type SlotShape } from '../core/expectation.ts'
import { ADDRESS_WORDS } from './address-words.ts'

/** Deepgram refuses a line with more than 500 tokens of key terms. A token is three or four letters; the rest is for where that is wrong. */
const MOST_TOKENS = 450
const LETTERS_A_TOKEN = 3
const MOST_TERMS = 100

/**
 * Terms a cloud recogniser should be told to listen for: what answers the question first, then the company's own vocabulary. In order of use,
 * no term twice.
 */
export function keyTerms(expectation: Expectation, vocabulary: readonly string[]): string[] {
  const terms = new Map<string, string>()
  const add = (term: string): void => {
    const trimmed = term.trim()
    const key = trimmed.toLowerCase()
    if (trimmed !== '' && !terms.has(key)) terms.set(key, trimmed)
  }
  for (const word of likelyWords(expectation)) add(word)
  for (const shape of shapesOf(expectation)) if (shape.kind === 'choice') for (const option of shape.options) for (const phrase of [option.value, ...option.aliases]) add(phrase)
  for (const term of vocabulary) add(term)
  let tokens = 0
  const fitting = [...terms.values()].filter((term) => {
    const itsTokens = Math.ceil(term.length / LETTERS_A_TOKEN)
    if (tokens + itsTokens > MOST_TOKENS) return false
    tokens += itsTokens
    return true
  })
  return fitting.slice(0, MOST_TERMS)
}

/** Of an answer in free words, those that are known: what an address is made of. */
export function likelyWords(expectation: Expectation): readonly string[] {
  const shape = askedShape(expectation)
  return shape?.kind === 'words' && shape.of === 'address' ? ADDRESS_WORDS : []
}

function shapesOf(expectation: Expectation): readonly SlotShape[] {
  if (expectation.kind === 'open') return []
  if (expectation.kind !== 'form') return [expectation]
  const asked = expectation.slots.filter((slot) => slot.id === expectation.asked)
  return [...asked, ...expectation.slots.filter((slot) => slot.id !== expectation.asked)].map((slot) => slot.shape)
}
