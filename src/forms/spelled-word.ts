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
  const tokens = text.toLowerCase().replace(/\b([a-z])\s+(?:as in|for|like|like in|is for)\s+[a-z]+/g, '$1').replace(/double[ -]you|double u/g, 'w').replace(/-/g, ' ').match(/[a-z]+/g) ?? []
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

function letterOf(token: string): string | null {
  return token.length === 1 ? token : (SPOKEN_LETTERS.get(token) ?? null)
}
