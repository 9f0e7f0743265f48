import { askedShape, type Expectation } from '../core/expectation.ts'
import { ANSWER_SLOT, type Reading } from '../core/reading.ts'

/**
 * How much of what may be said an utterance says: everything that was asked for; that, but with a doubt about it; or some of a form that
 * has room for more.
 */
export type AnswerState = 'whole' | 'doubtful' | 'part'

/**
 * By what was understood, not by its marks: held to a grammar, a recogniser ends a whole answer in a comma as often as in a full stop.
 * Null where the reading does not tell: words that any sentence would fill, numbers and letters, which are counted elsewhere.
 */
export function answerState(expectation: Expectation, reading: Reading | null): AnswerState | null {
  if (reading === null || reading.verdict === 'outside' || reading.slots.length === 0) return null
  if (expectation.kind === 'form' && expectation.asked === null) {
    const said = new Set(reading.slots.map((slot) => slot.slotId))
    return expectation.slots.every((slot) => said.has(slot.id)) ? 'whole' : 'part'
  }
  const whole = reading.verdict === 'act' ? 'whole' : 'doubtful'
  const answer = reading.slots.find((slot) => slot.slotId === (expectation.kind === 'form' ? expectation.asked : ANSWER_SLOT))
  if (answer === undefined) return null
  switch (askedShape(expectation)?.kind) {
    case 'choice':
    case 'yes-no':
    case 'money':
      return whole
    case 'date':
      // "Tuesday" may go on: "in the morning".
      return namesAnHour(answer.spoken) ? whole : null
    case 'digits':
    case 'name':
    case 'spelling':
    case 'words':
    case undefined:
      return null
  }
}

/** An hour, or a part of the day. */
export function namesAnHour(words: string): boolean {
  return TIME_OF_DAY.test(words)
}

const TIME_OF_DAY = /\b(?:morning|afternoon|evening|tonight|noon|midday|lunchtime|o'clock|[ap]\.?m|(?:at|after|before|around|by|until) (?:\d|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half|quarter)|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve) (?:thirty|fifteen|forty five)|\d{1,2}:\d\d)\b/i
