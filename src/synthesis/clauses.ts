/** A piece of a sentence that is synthesised on its own, and the pause that belongs after it. */
export type Clause = Readonly<{ text: string; pauseAfterMs: number }>

/** The first piece is short so that it is audible soon; an engine of 40 times real time makes the rest while it plays. */
const FIRST_CLAUSE_WORDS = 8
/** Longer pieces sound better and are cancelled later. */
const LATER_CLAUSE_WORDS = 16
/** A sentence this short is not worth cutting: it is made in the time a caller takes for a blink. */
const WHOLE_SENTENCE_WORDS = 10
/** A cut without punctuation leaves at least this many words each side, or it sounds like a stumble. */
const LEAST_WORDS = 3

/** Kept at the end of a reply's last clause, so that the next sentence does not run into it. */
export const PAUSE_AFTER_SENTENCE_MS = 120
const PAUSE_AFTER_STOP_MS = 280
const PAUSE_AFTER_COMMA_MS = 150
const PAUSE_AFTER_WORD_MS = 40

/** Words that begin a phrase: the sentence may be cut before them. */
const PHRASE_OPENERS = new Set(
  'and but or so because if when while unless until which who where that then before after between since than to for from with without at in on by of about into through during as is are was can will would'.split(
    ' ',
  ),
)

/** Cuts spoken text where a speaker would breathe. The pieces joined by a space are the text; empty for text without a word. */
export function clausesOf(text: string): Clause[] {
  const words = text.split(/\s+/).filter((word) => word !== '')
  const pieces: string[][] = []
  let from = 0
  while (from < words.length) {
    const length = nextCut(words.slice(from), pieces.length === 0)
    pieces.push(words.slice(from, from + length))
    from += length
  }
  return joinWordless(pieces).map((text, i, all) => ({
    text,
    pauseAfterMs: i === all.length - 1 ? PAUSE_AFTER_SENTENCE_MS : pauseAfter(text),
  }))
}

function nextCut(words: readonly string[], first: boolean): number {
  const most = first ? FIRST_CLAUSE_WORDS : LATER_CLAUSE_WORDS
  if (words.length <= (first ? WHOLE_SENTENCE_WORDS : most)) return words.findIndex((word, i) => i < words.length - 1 && endsSentence(word)) + 1 || words.length
  const reach = words.slice(0, most)
  const stop = reach.findLastIndex((word) => /[,;:.!?]["')]?$/.test(word))
  if (stop >= 0) return stop + 1
  const opener = reach.findLastIndex((word, i) => i >= LEAST_WORDS && words.length - i >= LEAST_WORDS && PHRASE_OPENERS.has(word.toLowerCase()))
  return opener > 0 ? opener : most
}

function endsSentence(word: string): boolean {
  return /[.!?]["')]?$/.test(word)
}

/** A lone dash or quotation mark is no clause: it goes with its neighbour. */
function joinWordless(pieces: readonly string[][]): string[] {
  const texts: string[] = []
  for (const piece of pieces) {
    const text = piece.join(' ')
    const last = texts.length - 1
    if (/[\p{L}\p{N}]/u.test(text) || last < 0) texts.push(text)
    else texts[last] = `${texts[last] as string} ${text}`
  }
  return texts.length === 1 && !/[\p{L}\p{N}]/u.test(texts[0] as string) ? [] : texts
}

function pauseAfter(text: string): number {
  if (endsSentence(text)) return PAUSE_AFTER_STOP_MS
  return /[,;:]["')]?$/.test(text) ? PAUSE_AFTER_COMMA_MS : PAUSE_AFTER_WORD_MS
}
