/**
 * How far a written word is from the word that may have been meant, by sound: 0 the same, about 1 a letter that sounds quite different.
 * A recogniser spells by ear, so vowels are cheap, and letters that make the same sound cost nothing.
 */
export function soundDistance(a: string, b: string): number {
  if (a === b) return 0
  const x = sounds(a)
  const y = sounds(b)
  let row = new Float64Array(y.length + 1)
  for (let j = 1; j <= y.length; j += 1) row[j] = (row[j - 1] as number) + gap(y[j - 1] as string)
  for (let i = 1; i <= x.length; i += 1) {
    const next = new Float64Array(y.length + 1)
    const xi = x[i - 1] as string
    next[0] = (row[0] as number) + gap(xi)
    for (let j = 1; j <= y.length; j += 1) {
      const yj = y[j - 1] as string
      next[j] = Math.min((row[j - 1] as number) + swap(xi, yj), (row[j] as number) + gap(xi), (next[j - 1] as number) + gap(yj))
    }
    row = next
  }
  return row[y.length] as number
}

/** Spelling to something nearer to sound: "ph" f, hard "c" k, doubled letters once, a silent last "e" gone. */
function sounds(word: string): string {
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

const VOWELS = 'aeiouy'
const NEAR: readonly string[] = ['bp', 'td', 'kg', 'fv', 'sz', 'mn', 'lr', 'jC', 'Cs', 'Ck', 'jg', 'wv', 'wu', 'bv', 'fp', 'zj']

function swap(a: string, b: string): number {
  if (a === b) return 0
  if (VOWELS.includes(a) && VOWELS.includes(b)) return 0.3
  return NEAR.some((pair) => pair === a + b || pair === b + a) ? 0.6 : 1
}

function gap(letter: string): number {
  if (VOWELS.includes(letter)) return 0.5
  if (letter === 'h') return 0.3
  return letter === 'r' ? 0.6 : 0.9
}
