const UNITS = new Map(
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'
    .split(' ')
    .map((name, value) => [name, value] as const),
)
const TENS = new Map('twenty thirty forty fifty sixty seventy eighty ninety'.split(' ').map((name, index) => [name, (index + 2) * 10] as const))
const UNIT_NAMES = [...UNITS.keys()]
const TENS_NAMES = [...TENS.keys()]

/** 0 to 99 as it is said. */
export function spokenNumber(value: number): string {
  if (value < 20) return UNIT_NAMES[value] ?? String(value)
  const tens = TENS_NAMES[Math.floor(value / 10) - 2]
  if (tens === undefined) return String(value)
  return value % 10 === 0 ? tens : `${tens} ${UNIT_NAMES[value % 10]}`
}

/** "3 3 9 0 1", which a voice reads digit by digit. */
export function spokenDigits(digits: string): string {
  return [...digits].map((digit) => UNIT_NAMES[Number(digit)] ?? digit).join(' ')
}

/**
 * Writes number words as figures: "fifty nine hundred" -> "5900", "eighty nine" -> "89". Two numbers that do not make one stay two:
 * "eight thirty" -> "8 30", "three three nine" -> "3 3 9". A lone "one" stays a word ("one moment"), and so does "oh".
 */
export function numbersAsFigures(text: string): string {
  const tokens = text.split(' ')
  const out: string[] = []
  let index = 0
  while (index < tokens.length) {
    const read = readNumber(tokens, index)
    if (read === null) {
      out.push(tokens[index] as string)
      index++
      continue
    }
    out.push(String(read.value))
    index = read.next
  }
  return out.join(' ')
}

type Read = Readonly<{ value: number; next: number }>

function readNumber(tokens: readonly string[], start: number): Read | null {
  let read = readBelowHundred(tokens, start)
  if (read === null) return null
  const follow = tokens[read.next]
  if (follow === 'hundred') {
    const rest = readBelowHundred(tokens, read.next + (tokens[read.next + 1] === 'and' ? 2 : 1))
    read = rest === null ? { value: read.value * 100, next: read.next + 1 } : { value: read.value * 100 + rest.value, next: rest.next }
  }
  if (tokens[read.next] === 'thousand') {
    const rest: Read | null = readNumber(tokens, read.next + 1)
    return rest === null || rest.value >= 1000
      ? { value: read.value * 1000, next: read.next + 1 }
      : { value: read.value * 1000 + rest.value, next: rest.next }
  }
  const isLoneOne = tokens[start] === 'one' && read.next === start + 1 && !isNumberWord(tokens[start + 1]) && !isNumberWord(tokens[start - 1])
  return isLoneOne && !['dollar', 'percent', "o'clock", 'p', 'a', 'am', 'pm'].includes(tokens[start + 1] ?? '') ? null : read
}

function readBelowHundred(tokens: readonly string[], start: number): Read | null {
  const first = tokens[start]
  if (first === undefined) return null
  const tens = TENS.get(first)
  if (tens !== undefined) {
    const unit = UNITS.get(tokens[start + 1] ?? '')
    return unit !== undefined && unit > 0 && unit < 10 ? { value: tens + unit, next: start + 2 } : { value: tens, next: start + 1 }
  }
  const unit = UNITS.get(first)
  return unit === undefined ? null : { value: unit, next: start + 1 }
}

function isNumberWord(token: string | undefined): boolean {
  return token !== undefined && (UNITS.has(token) || TENS.has(token) || /^\d+$/.test(token))
}

/** The first run of exactly `count` digits in speech: "three three nine oh one", "339 01", "thirty three nine oh one". Null when there is none. */
export function digitRun(plain: string, count: number): string | null {
  let run = ''
  const tokens = plain.replace(/\b(?:oh|o)\b/g, 'zero').split(' ')
  for (let index = 0; index <= tokens.length; index++) {
    const token = tokens[index] ?? ''
    const read = readBelowHundred(tokens, index)
    if (/^\d+$/.test(token)) run += token
    else if (read !== null) {
      run += String(read.value)
      index = read.next - 1
    } else {
      if (run.length === count) return run
      run = ''
    }
  }
  return null
}
