import { cardinalWord, cardinalWords, ordinalWord, UNITS } from './numbers.ts'

/** The words of a phrase that a company wrote down: lower case, numbers as words, one spelling where there are several. */
export function grammarWords(phrase: string): string[] {
  const words = plainTokens(phrase).flatMap((token) => (isNumeral(token) ? (readings(token)[0] ?? [token]) : [SAME_WORD.get(token) ?? token]))
  return compounded(words)
}

/** Words and numerals of any text. Hyphens part words; apostrophes, ordinals and the colon of a time do not. */
export function plainTokens(text: string): string[] {
  const plain = text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[\u2018\u2019]/g, "'")
    .replace(/\b([ap])\.\s?m\b\.?/g, '$1m')
    .replace(/(\d)(?=[ap]m\b|oz\b|ounces?\b)/g, '$1 ')
    .replaceAll('&', ' and ')
    .replace(/(\d),(?=\d{3}\b)/g, '$1')
  return plain.match(/\$?\d+(?:[:.]\d\d(?!\d))?(?:st|nd|rd|th)?|[a-z]+(?:'[a-z]+)*/g) ?? []
}

export function isNumeral(token: string): boolean {
  return /^\$?\d/.test(token)
}

/** Every way a written number may have been said, most usual first. */
export function readings(numeral: string): string[][] {
  const ordinal = /^(\d+)(?:st|nd|rd|th)$/.exec(numeral)
  if (ordinal !== null) {
    const n = Number(ordinal[1])
    return n >= 1 && n <= 31 ? [[ordinalWord(n)]] : []
  }
  const time = /^(\d\d?):(\d\d)$/.exec(numeral)
  if (time !== null) return [[...cardinalWords(Number(time[1])), ...minuteWords(Number(time[2]))]]
  const price = /^\$(\d+)(?:\.(\d\d))?$/.exec(numeral)
  if (price !== null && (price[1] as string).length <= 4) {
    const cents = Number(price[2] ?? 0)
    return [[...cardinalWords(Number(price[1])), 'dollars', ...(cents === 0 ? [] : [cardinalWord(cents), 'cents'])]]
  }
  const digits = numeral.replaceAll(/\D/g, '')
  const each = [...digits].map((digit) => UNITS[Number(digit)] as string)
  const n = Number(digits)
  if (digits.length > 4 || digits.startsWith('0')) return [each]
  const ways = [cardinalWords(n), each]
  if (digits.length === 4 || digits.length === 3) {
    const minutes = n % 100
    ways.push([...cardinalWords(Math.floor(n / 100)), ...minuteWords(minutes)])
  }
  return ways
}

function minuteWords(minutes: number): string[] {
  if (minutes === 0) return []
  return minutes < 10 ? ['oh', cardinalWord(minutes)] : [cardinalWord(minutes)]
}

/**
 * "Iced mocha" is said "ice mocha": between consonants the "d" or "t" of such an ending is not heard, and the recogniser writes what it hears.
 * Null for words without one, and for "roasted", whose ending is a syllable.
 */
export function withoutEnding(word: string): string | null {
  const stem = /^(.*[aeiouy].*)ed$|^(i[a-z])ed$/.exec(word)
  const bare = stem?.[1] ?? stem?.[2]
  if (bare === undefined || /[tde]$/.test(bare)) return null
  if (/([bgmnpr])\1$/.test(bare)) return bare.slice(0, -1)
  if (bare.endsWith('i')) return `${bare.slice(0, -1)}y`
  return /[xwy]$|[^aeiou][^aeioucgvsz]$|[aeiou]{2}[a-z]$|sh$|ch$|ss$|ll$/.test(bare) ? bare : `${bare}e`
}

/** "twenty one" -> "twenty-one", "twenty first" -> "twenty-first". */
export function compounded(words: readonly string[]): string[] {
  const result: string[] = []
  for (const word of words) {
    const last = result.at(-1)
    if (last !== undefined && TENS.has(last) && UNIT_ENDS.has(word)) result[result.length - 1] = `${last}-${word}`
    else result.push(word)
  }
  return result
}

export const TENS: ReadonlySet<string> = new Set('twenty thirty forty fifty sixty seventy eighty ninety'.split(' '))
export const UNIT_ENDS: ReadonlySet<string> = new Set(
  'one two three four five six seven eight nine first second third fourth fifth sixth seventh eighth ninth'.split(' '),
)
/** One spelling for words that are written in several ways, on both sides: in what the company wrote and in what was heard. */
export const SAME_WORD: ReadonlyMap<string, string> = new Map(
  Object.entries({
    oz: 'ounce', ounces: 'ounce', bucks: 'dollars', buck: 'dollars', dollar: 'dollars', cent: 'cents', ok: 'okay', yea: 'yeah', ya: 'yeah', o: 'oh', nought: 'zero', naught: 'zero',
    tonite: 'tonight', tmrw: 'tomorrow', mon: 'monday', tue: 'tuesday', tues: 'tuesday', wed: 'wednesday', thu: 'thursday', thur: 'thursday', thurs: 'thursday', fri: 'friday',
    sat: 'saturday', sun: 'sunday', jan: 'january', feb: 'february', mar: 'march', apr: 'april', jun: 'june', jul: 'july', aug: 'august', sept: 'september', sep: 'september',
    oct: 'october', nov: 'november', dec: 'december', doubleshot: 'double shot', umm: 'um', uhh: 'uh', erm: 'um', er: 'uh', ah: 'uh', hmm: 'um', hm: 'um', treble: 'triple',
    pls: 'please', thx: 'thanks', fourty: 'forty', niner: 'nine',
  }),
)
