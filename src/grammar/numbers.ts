/** Number words, both ways. Compounds are one word each: "twenty-one". */
export const UNITS: readonly string[] = 'zero one two three four five six seven eight nine'.split(' ')
const TEENS: readonly string[] = 'ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'.split(' ')
const TENS: readonly string[] = 'twenty thirty forty fifty sixty seventy eighty ninety'.split(' ')
const ORDINAL_UNITS: readonly string[] = 'zeroth first second third fourth fifth sixth seventh eighth ninth'.split(' ')
const ORDINAL_TEENS: readonly string[] = 'tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth'.split(' ')

/** One word for 0 to 99. */
export function cardinalWord(n: number): string {
  if (n < 10) return UNITS[n] as string
  if (n < 20) return TEENS[n - 10] as string
  const tens = TENS[Math.floor(n / 10) - 2] as string
  return n % 10 === 0 ? tens : `${tens}-${UNITS[n % 10]}`
}

/** 0 to 9999: "two", "hundred", "forty-five". */
export function cardinalWords(n: number): string[] {
  if (n < 100) return [cardinalWord(n)]
  const [unit, name] = n < 1000 ? [100, 'hundred'] : [1000, 'thousand']
  const rest = n % unit
  return [cardinalWord(Math.floor(n / unit)), name, ...(rest === 0 ? [] : cardinalWords(rest))]
}

/** 1 to 31. */
export function ordinalWord(n: number): string {
  if (n < 10) return ORDINAL_UNITS[n] as string
  if (n < 20) return ORDINAL_TEENS[n - 10] as string
  if (n % 10 === 0) return `${(TENS[n / 10 - 2] as string).replace(/y$/, 'ie')}th`
  return `${TENS[Math.floor(n / 10) - 2]}-${ORDINAL_UNITS[n % 10]}`
}

/** "5th" */
export function ordinalFigure(n: number): string {
  const ending = n % 100 > 10 && n % 100 < 14 ? 'th' : (['th', 'st', 'nd', 'rd'][n % 10] ?? 'th')
  return `${n}${ending}`
}

export const CARDINALS: ReadonlyMap<string, number> = new Map(Array.from({ length: 100 }, (_, n) => [cardinalWord(n), n]))
export const ORDINALS: ReadonlyMap<string, number> = new Map(Array.from({ length: 31 }, (_, i) => [ordinalWord(i + 1), i + 1]))
export const REPEATS: ReadonlyMap<string, number> = new Map([['double', 2], ['triple', 3]])
const ZEROS: ReadonlySet<string> = new Set(['oh', 'zero'])

/** "five five oh", "double five twenty-one", "eight hundred" -> their digits; words that are no number are passed over. */
export function digitsOf(words: readonly string[]): string {
  let digits = ''
  let repeat = 1
  for (const word of words) {
    const repeats = REPEATS.get(word)
    if (repeats !== undefined) {
      repeat = repeats
      continue
    }
    const n = ZEROS.has(word) ? 0 : CARDINALS.get(word)
    if (word === 'hundred') digits += '00'
    else if (word === 'thousand') digits += '000'
    else if (/^\d+$/.test(word)) digits += word
    else if (n !== undefined) digits += String(n).repeat(repeat)
    else continue
    repeat = 1
  }
  return digits
}

/** "a hundred and fifty", "two thousand five hundred" -> the number; null when it is none. */
export function amountOf(words: readonly string[]): number | null {
  let total = 0
  let part: number | null = null
  for (const word of words) {
    const n = /^\d+$/.test(word) ? Number(word) : CARDINALS.get(word)
    if (word === 'a') part = 1
    else if (word === 'hundred') part = (part ?? 1) * 100
    else if (word === 'thousand') {
      total += (part ?? 1) * 1000
      part = null
    } else if (n !== undefined) part = (part ?? 0) + n
    else if (word !== 'and') return null
  }
  return part === null && total === 0 ? null : total + (part ?? 0)
}
