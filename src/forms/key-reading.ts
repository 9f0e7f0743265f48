import { askedShape, type Expectation } from '../core/expectation.ts'
import { ANSWER_SLOT, type Reading } from '../core/reading.ts'

/** What keys mean as the answer to what was asked, for the record of the turn: digits as they are, 1 and 2 for yes and no, a place in a list. */
export function keyReading(expectation: Expectation, keys: string): Reading | null {
  const shape = askedShape(expectation)
  if (shape === null) return null
  const digits = keys.replace(/\D/g, '')
  const value = shape.kind === 'yes-no' ? ({ '1': 'yes', '2': 'no' }[digits] ?? null) : shape.kind === 'choice' ? (shape.options[Number(digits) - 1]?.value ?? null) : shape.kind === 'digits' && shape.counts.includes(digits.length) ? digits : null
  if (value === null) return null
  const slotId = expectation.kind === 'form' ? (expectation.asked ?? ANSWER_SLOT) : ANSWER_SLOT
  return { verdict: 'act', text: digits, slots: [{ slotId, value, spoken: digits, confidence: 1 }], doubtful: null, scores: { costPerToken: 0, maxWordRegret: 0, gap: null }, source: 'keys' }
}
