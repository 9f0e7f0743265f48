/**
 * How many digits of a number a caller has said so far: "five five five, oh one" is 5, "555-01" too, "double five" is 2, "twenty one"
 * is 2, "eight hundred" is 3. It counts; it does not read the number.
 */
export function countSpokenDigits(text: string): number {
  const words = wordsOf(text)
  let count = 0
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i] as string
    const next = words[i + 1]
    if (REPEATERS.has(word) && next !== undefined && isDigit(next)) {
      count += REPEATERS.get(word) as number
      i += 1
    } else if (isDigit(word)) count += 1
    else if (TEENS.has(word)) count += 2
    else if (TENS.has(word)) {
      count += 2
      // "twenty one" is two digits, "twenty oh one" is four.
      if (next !== undefined && UNITS.has(next)) i += 1
    } else if (MULTIPLES.has(word) && i > 0) count += MULTIPLES.get(word) as number
    else if (NUMERALS.test(word)) count += word.length
    else if (SOUND_ALIKES.has(word) && (isNumberWord(words[i - 1]) || isNumberWord(next))) count += 1
  }
  return count
}

/** True when the last thing said is a digit or a single spelled letter: whoever dictates goes on. "This one" is no digit. */
export function endsInDictation(text: string): boolean {
  const words = wordsOf(text)
  const last = words.at(-1)
  if (last === undefined) return false
  if (last === 'one' && words.length > 1) return isNumberWord(words.at(-2))
  return isNumberWord(last) || (last.length === 1 && last !== 'a' && last !== 'i')
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/\d+|[a-z]+/g) ?? []
}

function isDigit(word: string): boolean {
  return UNITS.has(word) || ZEROS.has(word) || /^\d$/.test(word)
}

function isNumberWord(word: string | undefined): boolean {
  if (word === undefined) return false
  return isDigit(word) || TEENS.has(word) || TENS.has(word) || REPEATERS.has(word) || NUMERALS.test(word)
}

const NUMERALS = /^\d+$/
const UNITS: ReadonlySet<string> = new Set(['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'])
const ZEROS: ReadonlySet<string> = new Set(['zero', 'oh', 'o', 'nought', 'naught'])
const TEENS: ReadonlySet<string> = new Set(
  ['ten', 'eleven', 'twelve', 'thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen', 'eighteen', 'nineteen'],
)
const TENS: ReadonlySet<string> = new Set(['twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety'])
const REPEATERS: ReadonlyMap<string, number> = new Map([['double', 2], ['triple', 3]])
/** The zeros that follow: "eight hundred" is 800. */
const MULTIPLES: ReadonlyMap<string, number> = new Map([['hundred', 2], ['thousand', 3]])
/** What recognisers write for a digit said alone; believed only next to another digit. */
const SOUND_ALIKES: ReadonlySet<string> = new Set(['won', 'to', 'too', 'for', 'fore', 'ate'])
