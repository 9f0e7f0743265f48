import { amountOf, CARDINALS, digitsOf, ordinalFigure, ORDINALS } from './numbers.ts'
import type { SlotKind } from './word-grammar.ts'

/**
 * What the words said into a slot stand for: digits "2395550142", a date as plain English that a date parser takes ("next tuesday after
 * 4:30 pm"), money "89.50", a spelling "SMITH", a name "John Smith".
 */
export function canonicalValue(kind: SlotKind, words: readonly string[]): string {
  switch (kind) {
    case 'digits':
      return digitsOf(words)
    case 'date':
      return dateText(words)
    case 'money':
      return money(words)
    case 'spelling':
      return lettersOf(words).toUpperCase()
    case 'name':
      return nameOf(words)
    case 'choice':
    case 'yes-no':
    case 'words':
      return words.join(' ')
  }
}

function dateText(words: readonly string[]): string {
  const text: string[] = []
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] as string
    const fraction = FRACTIONS.find(([phrase]) => words.slice(at, at + phrase.length).join(' ') === phrase.join(' '))
    const hour = fraction === undefined ? undefined : CARDINALS.get(words[at + fraction[0].length] ?? '')
    if (fraction !== undefined && hour !== undefined) {
      const [phrase, minutes] = fraction
      text.push(minutes === 45 ? `${hour === 1 ? 12 : hour - 1}:45` : `${hour}:${minutes}`)
      at += phrase.length
      continue
    }
    const number = CARDINALS.get(word)
    const minutes = CARDINALS.get(words[at + 1] ?? '')
    if (number !== undefined && number <= 12 && words[at + 1] === 'oh' && words[at + 2] === 'five') {
      text.push(`${number}:05`)
      at += 2
    } else if (number !== undefined && number <= 12 && minutes !== undefined && minutes >= 10 && minutes < 60) {
      text.push(`${number}:${minutes}`)
      at += 1
    } else if (number !== undefined) text.push(String(number))
    else if (ORDINALS.has(word) && !(word === 'second' && words[at - 1] === undefined)) text.push(ordinalFigure(ORDINALS.get(word) as number))
    else if (word === 'asap') text.push('as soon as possible')
    else if (word !== "o'clock" && !FILLER_WORDS.has(word)) text.push(word)
  }
  return text.join(' ')
}

const FILLER_WORDS: ReadonlySet<string> = new Set(['um', 'uh'])
const FRACTIONS: readonly (readonly [readonly string[], number])[] = [
  [['half', 'past'], 30],
  [['a', 'quarter', 'past'], 15],
  [['quarter', 'past'], 15],
  [['quarter', 'after'], 15],
  [['a', 'quarter', 'to'], 45],
  [['quarter', 'to'], 45],
]

function money(words: readonly string[]): string {
  const written = /^\$(\d+)(?:\.(\d\d))?$/.exec(words[0] ?? '')
  if (written !== null) return `${Number(written[1])}.${written[2] ?? '00'}`
  const mark = words.indexOf('dollars')
  const spoken = mark < 0 ? words : words.slice(0, mark)
  const after = mark < 0 ? [] : words.slice(mark + 1).filter((word) => word !== 'and' && word !== 'cents')
  const cents = amountOf(after)
  if (mark >= 0) return `${amountOf(spoken) ?? 0}.${String(cents ?? 0).padStart(2, '0')}`
  const [first, second] = spoken.map((word) => CARDINALS.get(word))
  // "eighty-nine fifty"
  if (spoken.length === 2 && first !== undefined && second !== undefined && second >= 10) return `${first}.${second}`
  return `${amountOf(spoken) ?? 0}.00`
}

function lettersOf(words: readonly string[]): string {
  let letters = ''
  let repeat = 1
  for (const word of words) {
    if (word === 'double') repeat = 2
    else if (/^[a-z]$/.test(word)) {
      letters += word.repeat(repeat)
      repeat = 1
    }
  }
  return letters
}

/** "john smith s m y t h" -> "John Smyth": a spelling corrects the word before it. */
function nameOf(words: readonly string[]): string {
  const firstLetter = words.findIndex((word, at) => /^[a-z]$/.test(word) && /^[a-z]$/.test(words[at + 1] ?? ''))
  const spelled = firstLetter < 0 ? '' : words.slice(firstLetter).filter((word) => /^[a-z]$/.test(word)).join('')
  const said = firstLetter < 0 ? words : words.slice(0, firstLetter)
  const name = spelled === '' ? said : [...said.slice(0, -1), spelled]
  return name.map((word) => word.replace(/(?:^|(?<=')|(?<=^mc))[a-z]/g, (letter) => letter.toUpperCase())).join(' ')
}
