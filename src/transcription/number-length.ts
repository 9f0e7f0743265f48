/**
 * What it costs a long number to be read as so few digits, in nats: `voiceMs` of speech hold more. Without it "nine" alone, which the model
 * thinks likely and ends early on, drives a ten-digit number said unclearly out of the beam.
 */
export function tooFewDigits(voiceMs: number): (plain: string) => number {
  const fewest = voiceMs / SLOWEST_DIGIT_MS
  return (plain) => Math.max(0, fewest - digitsIn(plain)) * MISSING_DIGIT
}

/** Pauses are not counted in: they were cut out. Callers take 300 to 700 ms a digit. */
const SLOWEST_DIGIT_MS = 1000
/** In nats. */
const MISSING_DIGIT = 2
/** "Fifteen", "hundred". */
const DIGITS_A_WORD = 2

/** Other words are taken for numbers as well: they too take time to say. */
function digitsIn(plain: string): number {
  return (plain.match(/\d/g)?.length ?? 0) + (plain.match(/[a-z]+/g)?.length ?? 0) * DIGITS_A_WORD
}
