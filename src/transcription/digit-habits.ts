/**
 * Digits that the decoder writes by habit. In a number that is read out all ten are about equally likely; the text that the model has learned from
 * is full of ones and twos and short of eights, nines and zeros, and where the sound leaves it open the model writes what it has seen most.
 * So part of what it writes of each when it hears nothing at all is taken off again. Nats, to be subtracted; 0 for what is no single digit.
 */
export function habitOf(spelling: string): number {
  const bare = spelling.replace(/^-/, '')
  const digit = /^\d$/.test(bare) ? Number(bare) : DIGIT_NAMES.indexOf(bare.toLowerCase())
  if (digit < 0) return 0
  const table = /^\d$/.test(bare) ? IN_FIGURES : /^[A-Z]/.test(bare) ? CAPITALS : IN_WORDS
  return HABIT_SHARE * (table[digit] as number)
}

const DIGIT_NAMES: readonly string[] = 'zero one two three four five six seven eight nine'.split(' ')
/** Log-probabilities of the digits beside their mean, over six kinds of noise, as the first digit and behind one to three others. */
const IN_FIGURES: readonly number[] = [-0.6, 1.45, 1.25, -0.1, 0.1, -0.45, -0.65, 0.05, -0.4, -0.45]
const IN_WORDS: readonly number[] = [-2.3, 1.2, 0.9, 1.45, 0.8, 0.1, -0.4, -0.05, -0.45, -1.2]
const CAPITALS: readonly number[] = [-0.6, 3.2, 1.5, 0.95, 0.4, 0.25, -0.65, 0.3, -2.85, -2.4]
/** Of 275 accented strings 84.4 % were right without it, 86.5 with half, 86.9 with 0.8, 85.1 with more than all; of 48 numbers of ten 41.7, 43.8, 37.5, 31.3. */
const HABIT_SHARE = 0.4
