/** Digits that belong together, however they were written or said. `tokens` are places in the text; together they spell `digits`. */
export type DigitRun = Readonly<{
  digits: string
  tokens: readonly DigitToken[]
  /** Sizes of its parts as pauses and separators cut it: 123-45-6789 is [3, 2, 4]. */
  groups: readonly number[]
  /** Said or written as an international number: "+44 ...", "plus forty four ...". */
  international: boolean
}>
export type DigitToken = Readonly<{ start: number; end: number; digits: string }>

/** Every digit run of a text, in order. Words between two numbers part them, unless they are the sounds people make while they read. */
export function digitRuns(text: string): readonly DigitRun[] {
  const words = wordsOf(text)
  const runs: DigitRun[] = []
  let tokens: DigitToken[] = []
  let international = false
  let plusBefore = false
  const close = (): void => {
    if (tokens.length > 0) runs.push({ digits: tokens.map((token) => token.digits).join(''), tokens, groups: groupsOf(text, tokens), international })
    tokens = []
    international = false
  }
  for (let at = 0; at < words.length; ) {
    const read = readNumber(words, at, tokens.length > 0)
    if (read !== null) {
      const [first, last] = [words[at] as Word, words[at + read.words - 1] as Word]
      if (tokens.length === 0) international = plusBefore || text[first.start - 1] === '+'
      tokens.push({ start: first.start, end: last.end, digits: read.digits })
      plusBefore = false
      at += read.words
      continue
    }
    const word = (words[at] as Word).text
    plusBefore = word === 'plus'
    if (!FILLERS.has(word)) close()
    at += 1
  }
  close()
  return runs
}

type Word = Readonly<{ text: string; start: number; end: number }>

function wordsOf(text: string): Word[] {
  return [...text.matchAll(/\d+|[\p{L}']+/gu)].map((match) => ({ text: match[0].toLowerCase(), start: match.index, end: match.index + match[0].length }))
}

/** The number that begins at `at`: its digits as dictated, and how many words it took. */
function readNumber(words: readonly Word[], at: number, inRun: boolean): { digits: string; words: number } | null {
  const word = words[at]?.text ?? ''
  const next = words[at + 1]?.text ?? ''
  const repeat = REPEATS.get(word)
  if (repeat !== undefined) {
    const digit = singleDigit(next)
    return digit === null ? null : { digits: digit.repeat(repeat), words: 2 }
  }
  if (/^\d+$/.test(word)) return { digits: word, words: 1 }
  const ten = TENS.get(word)
  if (ten !== undefined) {
    const unit = UNITS.get(next)
    const spoken = unit === undefined || unit === '0' ? { digits: `${ten}0`, words: 1 } : { digits: `${ten}${unit}`, words: 2 }
    return withHundreds(spoken, words, at)
  }
  const teen = TEENS.get(word)
  if (teen !== undefined) return withHundreds({ digits: teen, words: 1 }, words, at)
  const unit = UNITS.get(word)
  if (unit !== undefined) return withHundreds({ digits: unit, words: 1 }, words, at)
  // "for" and "to" are digits only between digits.
  const alike = SOUND_ALIKES.get(word)
  return alike !== undefined && inRun && startsNumber(next) ? { digits: alike, words: 1 } : null
}

/** "forty one hundred" is dictated as 4100. */
function withHundreds(spoken: { digits: string; words: number }, words: readonly Word[], at: number): { digits: string; words: number } {
  const zeros = MULTIPLES.get(words[at + spoken.words]?.text ?? '')
  return zeros === undefined ? spoken : { digits: spoken.digits + zeros, words: spoken.words + 1 }
}

function singleDigit(word: string): string | null {
  return /^\d$/.test(word) ? word : (UNITS.get(word) ?? null)
}

function startsNumber(word: string): boolean {
  return /^\d+$/.test(word) || UNITS.has(word) || TEENS.has(word) || TENS.has(word) || REPEATS.has(word)
}

/** Parts are cut by anything but a plain space between single spoken digits; written groups are parts by themselves. */
function groupsOf(text: string, tokens: readonly DigitToken[]): number[] {
  const groups: number[] = []
  for (const [index, token] of tokens.entries()) {
    const before = tokens[index - 1]
    const between = before === undefined ? '' : text.slice(before.end, token.start)
    const written = /^\d/.test(text.slice(token.start, token.end)) || (before !== undefined && /\d$/.test(text.slice(before.start, before.end)))
    if (before !== undefined && between.trim() === '' && !written) groups[groups.length - 1] = (groups.at(-1) ?? 0) + token.digits.length
    else groups.push(token.digits.length)
  }
  return groups
}

const UNITS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    zero: '0', oh: '0', o: '0', nought: '0', naught: '0', aught: '0', one: '1', two: '2', three: '3', tree: '3', four: '4', five: '5', fife: '5', six: '6', seven: '7', eight: '8',
    nine: '9', niner: '9',
  }),
)
const TEENS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    ten: '10', eleven: '11', twelve: '12', thirteen: '13', fourteen: '14', fifteen: '15', sixteen: '16', seventeen: '17', eighteen: '18', nineteen: '19',
  }),
)
const TENS: ReadonlyMap<string, string> = new Map(
  Object.entries({ twenty: '2', thirty: '3', forty: '4', fourty: '4', fifty: '5', sixty: '6', seventy: '7', eighty: '8', ninety: '9' }),
)
const REPEATS: ReadonlyMap<string, number> = new Map([['double', 2], ['triple', 3], ['treble', 3], ['quadruple', 4]])
const MULTIPLES: ReadonlyMap<string, string> = new Map([['hundred', '00'], ['thousand', '000']])
const SOUND_ALIKES: ReadonlyMap<string, string> = new Map([['to', '2'], ['too', '2'], ['for', '4'], ['fore', '4'], ['ate', '8'], ['won', '1']])
const FILLERS: ReadonlySet<string> = new Set(
  'um uh uhm umm er erm ah hmm mm okay ok then and so dash hyphen space comma dot point next followed by again yeah yes right like'.split(' '),
)
