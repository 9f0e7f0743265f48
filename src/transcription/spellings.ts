import { CARDINALS, ORDINALS, ordinalFigure } from '../grammar/numbers.ts'
import { withoutEnding } from '../grammar/words.ts'

/** One way a recogniser may write a word; `joined` when no space stands before it. */
export type Spelling = Readonly<{ text: string; joined: boolean }>

/** Every way the recogniser writes a word of a grammar: small, with a capital, in figures, joined to what stands before it. */
export function spellingsOf(word: string, written: readonly string[], inWords: boolean): Spelling[] {
  const apart = new Set<string>()
  const joined = new Set<string>()
  const number = CARDINALS.get(word)
  const ordinal = ORDINALS.get(word)
  if (/^[a-z]$/.test(word)) {
    apart.add(word.toUpperCase())
    joined.add(`-${word.toUpperCase()}`)
    if (word === 'a') apart.add('a')
  } else if (word === 'i' || word.startsWith("i'")) apart.add(capital(word))
  else {
    apart.add(word)
    apart.add(capital(word))
  }
  const said = withoutEnding(word)
  if (said !== null) {
    apart.add(said)
    apart.add(capital(said))
  }
  if (word.includes('-')) {
    apart.add(word.replace('-', ' '))
    apart.add(capital(word.replace('-', ' ')))
  }
  if (number !== undefined && !inWords) {
    apart.add(String(number))
    joined.add(String(number))
    if (number < 10) joined.add(`-${number}`)
    else if (number < 60) joined.add(`:${number}`)
  }
  if (ordinal !== undefined) apart.add(ordinalFigure(ordinal))
  for (const other of ALSO.get(word) ?? []) apart.add(other)
  if (!inWords) for (const other of ALSO_JOINED.get(word) ?? []) joined.add(other)
  for (const other of written) apart.add(other)
  return [...[...apart].map((text) => ({ text, joined: false })), ...[...joined].map((text) => ({ text, joined: true }))]
}

function capital(word: string): string {
  return `${(word[0] as string).toUpperCase()}${word.slice(1)}`
}

const ALSO: ReadonlyMap<string, readonly string[]> = new Map([
  ['ounce', ['ounces', 'oz', 'oz.']],
  ['am', ['a.m.', 'AM', 'A.M.']],
  ['pm', ['p.m.', 'PM', 'P.M.']],
  ['dollars', ['dollar', 'bucks']],
  ['okay', ['OK', 'ok']],
  ['oh', ['O']],
  ['asap', ['ASAP']],
])
const ALSO_JOINED: ReadonlyMap<string, readonly string[]> = new Map([
  ['ounce', ['oz', '-ounce']],
  ['hundred', ['00']],
  ['thousand', [',000', '000']],
  ['am', ['am']],
  ['pm', ['pm']],
  ['huh', ['-huh']],
  ['hmm', ['-hmm']],
])
