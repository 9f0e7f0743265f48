import { askedShape, digitsWanted, type Expectation } from '../core/expectation.ts'
import type { TurnPreset } from './turn-detector.ts'
import type { AnswerState } from './answer-state.ts'
import { COMPLETE, INCOMPLETE, textCompleteness, type Completeness } from './text-completeness.ts'

/** How long to wait after the last voiced frame, ms. */
export type TurnWaits = Readonly<{
  /** The sentence sounds finished, or every digit asked for has been said. */
  completeMs: number
  /** A bare answer: "yes" ... "it is". */
  answerMs: number
  neutralMs: number
  /** It ends in a filler, a comma, an auxiliary ... */
  incompleteMs: number
  /** Digits of the number asked for are missing. */
  digitsMissingMs: number
  /** One digit is missing, or nothing was recognised, while digits are asked for: more likely misheard than unsaid. */
  digitsUnsureMs: number
  /** The next letter of a word that is being spelled, while the caller's pace is not known yet. */
  spellingMs: number
}>

export type WaitPlan = Readonly<{
  waitMs: number
  /** What of it a complete sentence would not have got. */
  patienceMs: number
  score: number
  rule: string
  complete: boolean
  /** The text covers the last speech. */
  fresh: boolean
}>

export function waitsOf(preset: TurnPreset, overrides: Partial<TurnWaits>): TurnWaits {
  return { ...PRESET_WAITS[preset], ...overrides }
}

/**
 * The wait that the words ask for. `text` is null while there is none that covers the last speech: then the neutral wait runs, for
 * the recogniser to catch up, and it is not patience, for nothing sounds unfinished.
 */
export function planWait(input: {
  text: string | null
  anyText: boolean
  answer: AnswerState | null
  expectation: Expectation
  /** The longest pause that this turn went on after, ms; 0 before the first. */
  longestPauseMs: number
  waits: TurnWaits
}): WaitPlan {
  const { text, answer, expectation, longestPauseMs, waits } = input
  if (text === null) {
    const spelling = askedShape(expectation)?.kind === 'spelling'
    const dictating = spelling || digitsWanted(expectation) !== null
    const waitMs = bounded(spelling ? waits.spellingMs : dictating ? waits.digitsMissingMs : waits.neutralMs)
    const rule = input.anyText ? 'text-late' : 'no-text'
    return { waitMs, patienceMs: dictating ? waitMs - bounded(waits.completeMs) : 0, score: -0.3, rule, complete: false, fresh: false }
  }
  const completeness = textCompleteness(text, expectation, answer)
  const { score, cue, letters } = completeness
  const waitMs = bounded(letters > 0 ? spellingWait(letters, longestPauseMs, waits.spellingMs) : waitFor(completeness, expectation, waits))
  return { waitMs, patienceMs: Math.max(0, waitMs - bounded(waits.completeMs)), score, rule: cue, complete: score >= COMPLETE, fresh: true }
}

/** Who spells keeps a pace: after some letters the next one is due when it always was, and a little later. */
function spellingWait(letters: number, longestPauseMs: number, spellingMs: number): number {
  if (letters < PACE_LETTERS) return spellingMs
  return Math.min(Math.max(longestPauseMs * PACE_SLACK, spellingMs * SHORTEST_PACE), spellingMs * LONGEST_PACE)
}

const PACE_LETTERS = 3
const PACE_SLACK = 1.6
const SHORTEST_PACE = 0.6
const LONGEST_PACE = 1.3

function waitFor({ score, cue, missingDigits, isBareAnswer }: Completeness, expectation: Expectation, waits: TurnWaits): number {
  if (missingDigits > 1) return waits.digitsMissingMs
  if (missingDigits === 1 || (digitsWanted(expectation) !== null && cue === 'no-words')) return waits.digitsUnsureMs
  if (score >= COMPLETE) return isBareAnswer ? waits.answerMs : waits.completeMs
  return score <= INCOMPLETE ? waits.incompleteMs : waits.neutralMs
}

function bounded(waitMs: number): number {
  return Math.min(Math.max(waitMs, SHORTEST_WAIT_MS), LONGEST_WAIT_MS)
}

/** Shorter and every second breath is a turn; longer and the caller asks "hello?". */
const SHORTEST_WAIT_MS = 200
const LONGEST_WAIT_MS = 2500

/**
 * Callers' pauses inside a turn outlast 700 ms one time in eight, so plain sentences wait that long and a little; a recogniser puts a
 * full stop after most pauses, so a full stop is no reason to be quicker. One second for missing digits cuts one ten-digit number in nine.
 */
const PRESET_WAITS: Readonly<Record<TurnPreset, TurnWaits>> = {
  brisk: { completeMs: 300, answerMs: 350, neutralMs: 600, incompleteMs: 1200, digitsMissingMs: 1000, digitsUnsureMs: 600, spellingMs: 1200 },
  balanced: { completeMs: 300, answerMs: 450, neutralMs: 740, incompleteMs: 1400, digitsMissingMs: 1000, digitsUnsureMs: 600, spellingMs: 1500 },
  patient: { completeMs: 300, answerMs: 600, neutralMs: 900, incompleteMs: 1800, digitsMissingMs: 1500, digitsUnsureMs: 900, spellingMs: 1900 },
}
