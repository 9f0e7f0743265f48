/**
 * How far a written word is from the word that may have been meant, by sound: 0 the same, about 1 a letter that sounds quite different.
 * A recogniser spells by ear, so vowels are cheap, and letters that make the same sound cost nothing.
 */
export function soundDistance(a: string, b: string): number {
  return a === b ? 0 : soundGap(soundsOf(a), soundsOf(b), Infinity)
}

/** The same of two `soundsOf`; Infinity as soon as it is more than `most`. */
export function soundGap(x: string, y: string, most: number): number {
  let row = gapsUpTo(y)
  for (let i = 0; i < x.length; i += 1) {
    row = nextRow(row, x.charCodeAt(i), y)
    let least = Infinity
    for (const value of row) if (value < least) least = value
    if (least > most) return Infinity
  }
  return row[y.length] as number
}

/** How far each beginning of `x`, from none of it to all, is from the whole of `y`. */
export function gapsOfBeginnings(x: string, y: string): Float64Array {
  const gaps = new Float64Array(x.length + 1)
  let row = gapsUpTo(y)
  gaps[0] = row[y.length] as number
  for (let i = 0; i < x.length; i += 1) {
    row = nextRow(row, x.charCodeAt(i), y)
    gaps[i + 1] = row[y.length] as number
  }
  return gaps
}

/** Spelling to something nearer to sound: "ph" f, hard "c" k, doubled letters once, a silent last "e" gone. */
export function soundsOf(word: string): string {
  return word
    .replace(/[^a-z]/g, '')
    .replaceAll('ph', 'f')
    .replace(/^kn/, 'n')
    .replace(/^wr/, 'r')
    .replaceAll('ght', 't')
    .replaceAll('ck', 'k')
    .replaceAll('qu', 'kw')
    .replace(/c(?=[eiy])/g, 's')
    .replaceAll('ch', 'C')
    .replaceAll('c', 'k')
    .replaceAll('x', 'ks')
    .replace(/(.)\1+/g, '$1')
    .replace(/(?<=.{2})e$/, '')
}

/** Of nothing against each beginning of `y`. */
function gapsUpTo(y: string): Float64Array {
  const row = new Float64Array(y.length + 1)
  for (let j = 1; j <= y.length; j += 1) row[j] = (row[j - 1] as number) + (GAPS[y.charCodeAt(j - 1)] as number)
  return row
}

function nextRow(row: Float64Array, x: number, y: string): Float64Array {
  const next = new Float64Array(row.length)
  const gap = GAPS[x] as number
  next[0] = (row[0] as number) + gap
  for (let j = 1; j < row.length; j += 1) {
    const yj = y.charCodeAt(j - 1)
    const swapped = (row[j - 1] as number) + (SWAPS[x * LETTER_CODES + yj] as number)
    const left = (row[j] as number) + gap
    const added = (next[j - 1] as number) + (GAPS[yj] as number)
    next[j] = swapped < left ? (swapped < added ? swapped : added) : left < added ? left : added
  }
  return next
}

const VOWELS = 'aeiouy'
const NEAR: readonly string[] = ['bp', 'td', 'kg', 'fv', 'sz', 'mn', 'lr', 'jC', 'Cs', 'Ck', 'jg', 'wv', 'wu', 'bv', 'fp', 'zj']
/** Costs by character code: a table is twenty times as fast as asking the letters each time, and every word asks thousands. */
const LETTER_CODES = 128
const GAPS = Float64Array.from({ length: LETTER_CODES }, (_, code) => gapOf(String.fromCharCode(code)))
const SWAPS = Float64Array.from({ length: LETTER_CODES * LETTER_CODES }, (_, at) => swapOf(String.fromCharCode(Math.floor(at / LETTER_CODES)), String.fromCharCode(at % LETTER_CODES)))

function swapOf(a: string, b: string): number {
  if (a === b) return 0
  if (VOWELS.includes(a) && VOWELS.includes(b)) return 0.3
  return NEAR.some((pair) => pair === a + b || pair === b + a) ? 0.6 : 1
}

function gapOf(letter: string): number {
  if (VOWELS.includes(letter)) return 0.5
  if (letter === 'h') return 0.3
  return letter === 'r' ? 0.6 : 0.9
}
