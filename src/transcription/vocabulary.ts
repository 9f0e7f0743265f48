/** What was written -> what the company means by it, e.g. "polar bare" -> "Polar Bay". */
export type Corrections = Readonly<Record<string, string>>

/**
 * Replaces whole words and phrases of a transcript, whatever their case; the longest phrase wins, replaced text is not looked at again,
 * punctuation and spaces around stay. Words inside words are left alone.
 */
export function correctMishearings(text: string, corrections: Corrections): string {
  const phrases = Object.keys(corrections)
    .filter((phrase) => phrase.trim() !== '')
    .sort((a, b) => b.length - a.length)
  if (phrases.length === 0) return text
  const meant = new Map(phrases.map((phrase) => [normal(phrase), corrections[phrase] as string]))
  const anyPhrase = new RegExp(`(?<![\\p{L}\\p{N}])(?:${phrases.map(pattern).join('|')})(?![\\p{L}\\p{N}])`, 'giu')
  return text.replace(anyPhrase, (found) => meant.get(normal(found)) ?? found)
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
