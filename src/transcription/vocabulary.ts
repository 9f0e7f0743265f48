/** What was written -> what the company means by it, e.g. "polar bare" -> "Polar Bay". */
export type Corrections = Readonly<Record<string, string>>

/**
 * Replaces whole words and phrases of a transcript, whatever their case; the longest phrase wins, replaced text is not looked at again,
 * punctuation and spaces around stay. Words inside words are left alone.
 */
export function correctMishearings(text: string, corrections: Corrections): string {
  const { anyPhrase, meant } = compiled(corrections)
  if (meant.size === 0) return text
  return text.replace(anyPhrase, (found) => meant.get(normal(found)) ?? found)
}

type Compiled = Readonly<{ anyPhrase: RegExp; meant: ReadonlyMap<string, string> }>

/** Words change while they are spoken, several times a second in every call; a company's corrections are one object as long as they stand. */
const COMPILED = new WeakMap<Corrections, Compiled>()

function compiled(corrections: Corrections): Compiled {
  const known = COMPILED.get(corrections)
  if (known !== undefined) return known
  const phrases = Object.keys(corrections)
    .filter((phrase) => phrase.trim() !== '')
    .sort((a, b) => b.length - a.length)
  const made = {
    meant: new Map(phrases.map((phrase) => [normal(phrase), corrections[phrase] as string])),
    anyPhrase: new RegExp(`(?<![\\p{L}\\p{N}])(?:${phrases.map(pattern).join('|')})(?![\\p{L}\\p{N}])`, 'giu'),
  }
  COMPILED.set(corrections, made)
  return made
}

function pattern(phrase: string): string {
  return phrase
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&'))
    .join('\\s+')
}

function normal(phrase: string): string {
  return phrase.trim().replace(/\s+/g, ' ').toLowerCase()
}
