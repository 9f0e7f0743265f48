import { compounded, isNumeral, plainTokens, readings, SAME_WORD, TENS, UNIT_ENDS } from './words.ts'

/** One way to read a stretch of a text as one word. `base` edges are the text's own tokens: only those may be passed over. */
export type Edge = Readonly<{
  to: number
  word: string
  cost: number
  base: boolean
  /** The token it begins with. */
  at: number
}>
/** A text with everything its words may stand for: "12 oz" is also "twelve ounce", "ice coffee" one word too. Edges only lead forward. */
export type Lattice = Readonly<{ edges: readonly (readonly Edge[])[]; tokens: readonly string[] }>

/** Longer texts are no answers; what follows is cut. */
const MOST_TOKENS = 80
/** Two words read as one, or one letter read by its name. */
const JOINED_COST = 0.2

/** What of a text only the grammar can tell. */
type Ear = Readonly<{
  knows(word: string): boolean
  likelyPairs(joined: string): readonly Readonly<{ words: readonly string[]; cost: number }>[]
}>

export function latticeOf(text: string, ear: Ear): Lattice {
  const tokens = plainTokens(text).slice(0, MOST_TOKENS)
  const edges: Edge[][] = Array.from({ length: tokens.length + 1 }, () => [])
  const add = (from: number, edge: Edge): void => {
    ;(edges[from] as Edge[]).push(edge)
  }
  /** Inner nodes stand behind the base ones but are read in time: `orderOf` sorts them in. */
  const chain = (from: number, words: readonly string[], to: number, cost: number): void => {
    let at = from
    words.forEach((word, index) => {
      const next = index === words.length - 1 ? to : edges.push([]) - 1
      add(at, { to: next, word, cost: index === 0 ? cost : 0, base: false, at: from })
      at = next
    })
  }
  let strange = 0
  tokens.forEach((token, at) => {
    const word = SAME_WORD.get(token) ?? token
    add(at, { to: at + 1, word, cost: 0, base: true, at })
    if (isNumeral(token)) for (const [rank, words] of readings(token).entries()) chain(at, words, at + 1, rank * 0.02)
    if (/^[a-z]$/.test(token) && word !== token) add(at, { to: at + 1, word: token, cost: 0, base: false, at })
    const alike = SOUNDS_LIKE.get(token)
    if (alike !== undefined) add(at, { to: at + 1, word: alike, cost: JOINED_COST, base: false, at })
    const isStrange = isStrangeWord(ear, token) && strange++ < MOST_STRANGE_WORDS
    if (isStrange) for (const { words, cost } of ear.likelyPairs(token)) chain(at, words, at + 1, cost + JOINED_COST)
    const next = tokens[at + 1]
    if (next === undefined) return
    const follower = SAME_WORD.get(next) ?? next
    if (TENS.has(word) && UNIT_ENDS.has(follower)) add(at, { to: at + 2, word: compounded([word, follower])[0] as string, cost: 0, base: false, at })
    // "mock a" for "mocha".
    else if (!isNumeral(token) && !isNumeral(next) && token.length + next.length >= 4) add(at, { to: at + 2, word: token + next, cost: JOINED_COST, base: false, at })
    if (isNumeral(token) || isNumeral(next)) return
    // "rose thouse" for "roast house": parted in the wrong place.
    if (isStrange || isStrangeWord(ear, next)) for (const { words, cost } of ear.likelyPairs(token + next)) chain(at, words, at + 2, cost + JOINED_COST)
    const third = tokens[at + 2]
    // "cap a chino"
    if (third !== undefined && !isNumeral(third) && token.length + next.length + third.length >= LEAST_JOINED_OF_THREE) add(at, { to: at + 3, word: token + next + third, cost: 2 * JOINED_COST, base: false, at })
  })
  return { edges, tokens }
}

function isStrangeWord(ear: Ear, token: string): boolean {
  return !isNumeral(token) && !ear.knows(SAME_WORD.get(token) ?? token)
}

/** What a longer talk says in other words is no answer; each costs a tenth of a millisecond. */
const MOST_STRANGE_WORDS = 12
const LEAST_JOINED_OF_THREE = 6

/** Nodes so that every edge leads to a later one: inner nodes of a token come right behind its first node. */
export function orderOf(lattice: Lattice): number[] {
  const order: number[] = []
  const visit = (node: number): void => {
    order.push(node)
    for (const edge of lattice.edges[node] ?? []) if (edge.to > lattice.tokens.length) visit(edge.to)
  }
  for (let node = 0; node <= lattice.tokens.length; node += 1) visit(node)
  return order
}

/** What recognisers write for a digit or a letter said alone. */
const SOUNDS_LIKE: ReadonlyMap<string, string> = new Map(
  Object.entries({
    to: 'two', too: 'two', for: 'four', fore: 'four', ate: 'eight', won: 'one', tree: 'three', free: 'three', sex: 'six', oh: 'o', fife: 'five', nein: 'nine',
    jay: 'j', bee: 'b', be: 'b', see: 'c', sea: 'c', cee: 'c', dee: 'd', ee: 'e', eff: 'f', gee: 'g', aitch: 'h', eye: 'i', kay: 'k', el: 'l', ell: 'l', em: 'm', en: 'n', an: 'n',
    pee: 'p', pea: 'p', queue: 'q', cue: 'q', are: 'r', ess: 's', tea: 't', tee: 't', you: 'u', vee: 'v', ex: 'x', why: 'y', zee: 'z', zed: 'z',
  }),
)
