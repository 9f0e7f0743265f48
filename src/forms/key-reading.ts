import { askedShape, type Expectation, type SlotShape } from '../core/expectation.ts'
import { ANSWER_SLOT, type Reading } from '../core/reading.ts'

/** What keys mean as the answer to what was asked, for the record of the turn: digits as they are, 1 and 2 for yes and no, a place in a list, a star for the point. */
export function keyReading(expectation: Expectation, keys: string): Reading | null {
  const shape = askedShape(expectation)
  if (shape === null) return null
  const digits = keys.replace(/\D/g, '')
  const value = keyedValue(shape, digits, keys)
  if (value === null) return null
  const slotId = expectation.kind === 'form' ? (expectation.asked ?? ANSWER_SLOT) : ANSWER_SLOT
  return { verdict: 'act', text: digits, slots: [{ slotId, value, spoken: digits, confidence: 1 }], doubtful: null, scores: { costPerToken: 0, maxWordRegret: 0, gap: null }, source: 'keys' }
}

function keyedValue(shape: SlotShape, digits: string, keys: string): string | null {
  switch (shape.kind) {
    case 'yes-no':
      return { '1': 'yes', '2': 'no' }[digits] ?? null
    case 'choice':
      return shape.options[Number(digits) - 1]?.value ?? null
    case 'digits':
      return shape.counts.includes(digits.length) ? digits : null
    case 'date':
      return digits.length >= 4 ? digits : null
    case 'money':
      return digits === '' ? null : keys.replace('*', '.').replace(/[^\d.]/g, '')
    case 'name':
    case 'spelling':
    case 'words':
      return null
  }
}
