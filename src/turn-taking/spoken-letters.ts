/**
 * How many letters of a word a caller has spelled so far: "S. M. I." is 3, "S-M-I-T-H" is 5, "double L" is 2. "A" and "I" are letters only
 * beside other letters, or alone.
 */
export function countSpelledLetters(text: string): number {
  const tokens = text.toLowerCase().match(/[a-z']+/g) ?? []
  let count = 0
  for (const [at, token] of tokens.entries()) {
    if (!isLetter(token)) continue
    const isWordToo = token === 'a' || token === 'i'
    if (isWordToo && tokens.length > 1 && !isLetter(tokens[at - 1]) && !isLetter(tokens[at + 1])) continue
    count += tokens[at - 1] === 'double' ? 2 : 1
  }
  return count
}

function isLetter(token: string | undefined): boolean {
  return token !== undefined && /^[a-z]$/.test(token)
}
