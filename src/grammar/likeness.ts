/**
 * How far a written word is from the word that may have been meant, by sound: 0 the same, about 1 a letter that sounds quite different.
 * A recogniser spells by ear, so vowels are cheap, and letters that make the same sound cost nothing.
 */
export function soundDistance(a: string, b: string): number {
  return a === b ? 0 : soundGap(soundsOf(a), soundsOf(b), Infinity)
}

/** The same of two `soundsOf`; Infinity as soon as it is more than `most`. */
export function soundGap(x: string, y: string, most: number): number {
  const row = gapsUpTo(y)
  for (let i = 0; i < x.length; i += 1) if (goOn(row, x.charCodeAt(i), y) > most) return Infinity
  return row[y.length] as number
}

/** How far each beginning of `x`, from none of it to all, is from the whole of `y`; Infinity for those that are certainly further than `most`. */
export function gapsOfBeginnings(x: string, y: string, most: number): Float64Array {
  const gaps = new Float64Array(x.length + 1).fill(Infinity)
  const row = gapsUpTo(y)
  gaps[0] = row[y.length] as number
  for (let i = 0; i < x.length; i += 1) {
    if (goOn(row, x.charCodeAt(i), y) > most) break
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

/** One row for all: nothing is awaited between its first use and its last, and a new one a letter was most of the cost of a long sentence. */
let scratch = new Float64Array(64)

/** Of nothing against each beginning of `y`. */
function gapsUpTo(y: string): Float64Array {
  if (scratch.length <= y.length) scratch = new Float64Array(2 * y.length)
  scratch[0] = 0
  for (let j = 1; j <= y.length; j += 1) scratch[j] = (scratch[j - 1] as number) + (GAPS[y.charCodeAt(j - 1)] as number)
  return scratch
}

/** Takes the row one letter of `x` further, in place; returns the least in it: what comes after is never less. */
function goOn(row: Float64Array, x: number, y: string): number {
  const gap = GAPS[x] as number
  let diagonal = row[0] as number
  let before = diagonal + gap
  let least = before
  row[0] = before
  for (let j = 1; j <= y.length; j += 1) {
    const yj = y.charCodeAt(j - 1)
    const above = row[j] as number
    const swapped = diagonal + (SWAPS[x * LETTER_CODES + yj] as number)
    const left = above + gap
    const added = before + (GAPS[yj] as number)
    before = swapped < left ? (swapped < added ? swapped : added) : left < added ? left : added
    row[j] = before
    if (before < least) least = before
    diagonal = above
  }
  return least
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
