/** What people say for a letter on the telephone. */
const SPOKEN_LETTERS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    ay: 'a', bee: 'b', be: 'b', cee: 'c', see: 'c', sea: 'c', dee: 'd', ee: 'e', eff: 'f', gee: 'g', aitch: 'h', eye: 'i', jay: 'j', kay: 'k', el: 'l', ell: 'l', em: 'm',
    en: 'n', oh: 'o', pee: 'p', pea: 'p', cue: 'q', queue: 'q', are: 'r', ar: 'r', ess: 's', tee: 't', tea: 't', you: 'u', vee: 'v', ex: 'x', why: 'y', zee: 'z', zed: 'z',
    alpha: 'a', alfa: 'a', bravo: 'b', charlie: 'c', delta: 'd', echo: 'e', foxtrot: 'f', golf: 'g', hotel: 'h', india: 'i', juliet: 'j', juliett: 'j', kilo: 'k', lima: 'l',
    mike: 'm', november: 'n', oscar: 'o', papa: 'p', quebec: 'q', romeo: 'r', sierra: 's', tango: 't', uniform: 'u', victor: 'v', whiskey: 'w', xray: 'x', yankee: 'y', zulu: 'z',
  }),
)
const LEAST_LETTERS = 2

/**
 * "S M I T H", "S-M-I-T-H", "M as in Mary, A, double L", "Mike Alpha Yankee": the word, or null where less than two letters were
 * spelled. The last run of letters counts: "Smith, that is S M Y T H".
 */
export function spelledWord(text: string): string | null {
  const tokens = text.toLowerCase().replace(/'[a-z]+\b/g, '').replace(/\b([a-z])\s+(?:as in|for|like|like in|is for)\s+[a-z]+/g, '$1').replace(/double[ -]you|double u/g, 'w').replace(/-/g, ' ').match(/[a-z]+/g) ?? []
  const runs: string[][] = [[]]
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] as string
    const times = token === 'double' ? 2 : token === 'triple' ? 3 : 1
    const letter = letterOf(times === 1 ? token : (tokens[at + 1] ?? ''))
    if (letter !== null) {
      if (times > 1) at += 1
      runs.at(-1)?.push(...Array.from({ length: times }, () => letter))
    } else if ((runs.at(-1)?.length ?? 0) > 0) runs.push([])
  }
  const last = runs.filter((run) => run.length >= LEAST_LETTERS).at(-1)
  return last === undefined ? null : `${last[0]?.toUpperCase()}${last.slice(1).join('')}`
}

/** Letters that stand alone, and are no words of their own. */
const LETTER = /(?<![\p{L}'])[b-hj-z](?![\p{L}'])/giu
/** The "I" of "I am" is a word. */
const FIRST_LETTER = /(?<![\p{L}'])(?!i (?:am|do|have|spell|think|said|go)\b)\p{L}(?![\p{L}'])/iu
const SPELLS = /(?:[\s,.]*\b(?:that's|that is|it's|it is|spelled|spelt|i spell (?:it|that)|and)[\s,.:]*)+$/i
/** "No, S M I T H", after the letters were said back wrong. */
const TURNED_DOWN = /^(?:(?:no|nope|sorry|actually|wait|not quite|that's wrong|that is wrong|wrong)\b[\s,.]*)+/i
const LEADS_TO_A_NAME = /^.*\b(?:my name is|my name's|the name is|name is|this is|i am|i'm|it's|it is)\s+/i

/**
 * A name with its letters, asked for or not: "Jane Smythe, that's S M Y T H E", "S M I T H". The letters say how the last word is written,
 * where it is the word they begin like. Null where nothing was spelled.
 */
export function nameWithLetters(text: string): Readonly<{ value: string; spoken: string; isSpelled: true }> | null {
  const letters = [...text.matchAll(LETTER)]
  const word = letters.length < LEAST_LONE_LETTERS ? null : spelledWord(text)
  if (word === null) return null
  const first = FIRST_LETTER.exec(text)?.index ?? 0
  const words = text.slice(0, first).replace(SPELLS, '').replace(LEADS_TO_A_NAME, '').replace(TURNED_DOWN, '').split(/[\s,.]+/).filter((one) => one !== '')
  const isWhole = words.join('').toLowerCase() === word.toLowerCase()
  const isLast = words.at(-1)?.[0]?.toLowerCase() === word[0]?.toLowerCase()
  const named = isWhole ? words : [...(isLast ? words.slice(0, -1) : words), word]
  return { value: named.join(' '), spoken: text, isSpelled: true }
}

/** One may be an initial: "Mary J Blige". */
const LEAST_LONE_LETTERS = 2

function letterOf(token: string): string | null {
  return token.length === 1 ? token : (SPOKEN_LETTERS.get(token) ?? null)
}
