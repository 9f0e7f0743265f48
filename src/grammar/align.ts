import { canonicalValue } from './canonical.ts'
import { latticeOf, orderOf, type Edge } from './lattice.ts'
import type { GrammarRoutes, Route } from './routes.ts'
import type { Arc } from './word-grammar.ts'

export type AlignedWord = Readonly<{
  slotId: string | null
  word: string
  cost: number
  /** The token of the text it was read from, counted from 0; of a word supplied, the one it stands before. */
  at: number
}>
/** `whole` is false for a number with digits missing. */
export type AlignedSlot = Readonly<{ slotId: string; value: string; spoken: string; cost: number; whole: boolean }>
export type Alignment = Readonly<{
  cost: number
  /** Of the text. */
  words: number
  slots: readonly AlignedSlot[]
  /** The grammar's words that the text was read as, and text words passed over (slot null, their cost). */
  said: readonly AlignedWord[]
  /** To the best alignment with other slots; null when there was none within reach. */
  gap: number | null
}>

/**
 * The cheapest way through the grammar that explains the text: words alike in sound are taken for each other, unknown ones passed over, small
 * ones supplied, each at a cost. Null when no way leads through. Pure; about a millisecond for a sentence.
 */
export function align(routes: GrammarRoutes, text: string): Alignment | null {
  const lattice = latticeOf(text, routes)
  const end = lattice.tokens.length
  if (end === 0) return null
  const fronts = new Map<number, Front>()
  put(frontAt(fronts, 0), { cost: 0, state: routes.grammar.start, mask: 0, meaning: '', open: null, last: null })
  for (const node of orderOf(lattice)) {
    const front = fronts.get(node)
    if (front === undefined || node === end) continue
    const paths = prune(front)
    supply(routes, node, front, paths)
    for (const edge of lattice.edges[node] ?? []) advance(routes, edge, paths, frontAt(fronts, edge.to))
  }
  return best(routes, end, fronts.get(end))
}

/** A way so far. `meaning` is what it has read, so that ways that mean something else do not replace each other. */
type Path = Readonly<{ cost: number; state: number; mask: number; meaning: string; open: Open | null; last: Step | null }>
type Open = Readonly<{ slot: number; value: string | null; words: readonly string[]; cost: number }>
type Step = Readonly<{ before: Step | null; word: AlignedWord } | { before: Step | null; slot: AlignedSlot; index: number }>
type Front = { readonly paths: Map<string, Path>; least: number }

/** Beyond the best by this much, a way is given up. */
const REACH = 2.5
/** Ways kept a word: a sentence that fits a hundred ways fits none. */
const MOST_PATHS = 48
/** Arc costs are in nats of audio; text says more clearly what was meant. */
const ARC_COST_SHARE = 0.1
const ANY_COST = 0.1
const SUPPLIED_COST = 0.4
const INSIDE_SLOT_COST = 0.2

function frontAt(fronts: Map<number, Front>, node: number): Front {
  const known = fronts.get(node)
  if (known !== undefined) return known
  const front: Front = { paths: new Map(), least: Infinity }
  fronts.set(node, front)
  return front
}

function put(front: Front, path: Path): boolean {
  // Costs only grow: what is out of reach here is never wanted, and its key need not be made.
  if (path.cost > front.least + REACH) return false
  const { open } = path
  const key = `${path.state}|${path.mask}|${path.meaning}|${open === null ? '' : `${open.slot}=${open.value ?? open.words.join(' ')}`}`
  const known = front.paths.get(key)
  if (known !== undefined && known.cost <= path.cost) return false
  front.paths.set(key, path)
  front.least = Math.min(front.least, path.cost)
  return true
}

function prune(front: Front): Path[] {
  return [...front.paths.values()]
    .filter((path) => path.cost <= front.least + REACH)
    .sort((a, b) => a.cost - b.cost)
    .slice(0, MOST_PATHS)
}

/** Small words get lost inside a phrase: "a bit milk". Words that carry the meaning do not. */
function supply(routes: GrammarRoutes, node: number, front: Front, paths: Path[]): void {
  for (const path of [...paths]) {
    if (path.open === null || path.open.words.length === 0) continue
    const { byWord } = routes.from(path.state)
    for (const word of DROPPED) {
      for (const route of byWord.get(word) ?? []) {
        if (route.steps.length > 0) continue
        const next = take(routes, path, route, { word, cost: SUPPLIED_COST, at: node })
        if (next !== null && put(front, next)) paths.push(next)
      }
    }
  }
}

function advance(routes: GrammarRoutes, edge: Edge, paths: readonly Path[], there: Front): void {
  const likely = routes.likely(edge.word, !edge.base)
  for (const path of paths) {
    const { byWord, any } = routes.from(path.state)
    for (const { word, cost } of likely) {
      for (const route of byWord.get(word) ?? []) {
        const next = take(routes, path, route, { word, cost: cost + edge.cost, at: edge.at })
        if (next !== null) put(there, next)
      }
    }
    if (!edge.base) continue
    if (isNameWord(edge.word)) {
      for (const route of any) {
        const next = take(routes, path, route, { word: edge.word, cost: ANY_COST, at: edge.at })
        if (next !== null) put(there, next)
      }
    }
    const cost = passedOver(edge.word) + (path.open === null ? 0 : INSIDE_SLOT_COST)
    put(there, { ...path, cost: path.cost + cost, last: { before: path.last, word: { slotId: null, word: edge.word, cost, at: edge.at } } })
  }
}

/** One word further; null where the mask says no. */
function take(routes: GrammarRoutes, path: Path, route: Route, said: Omit<AlignedWord, 'slotId'>): Path | null {
  const { word, cost } = said
  const there = walk(routes, path, route.steps)
  if (there === null) return null
  const open = there.open === null ? null : { ...there.open, words: [...there.open.words, word], cost: there.open.cost + cost }
  const slotId = open === null ? null : routes.grammar.slots[open.slot]?.id ?? null
  return {
    cost: path.cost + cost + route.cost * ARC_COST_SHARE,
    state: route.word.to,
    mask: there.mask,
    meaning: there.meaning,
    open,
    last: { before: there.last, word: { slotId, ...said } },
  }
}

type Place = Pick<Path, 'mask' | 'meaning' | 'open' | 'last'>

function walk(routes: GrammarRoutes, path: Path, steps: readonly Arc[]): Place | null {
  let { mask, meaning, open, last }: Place = path
  for (const step of steps) {
    if (step.ends === true && open !== null) {
      const { id, kind, counts } = routes.grammar.slots[open.slot] as GrammarRoutes['grammar']['slots'][0]
      const value = open.value ?? canonicalValue(kind, open.words)
      last = { before: last, slot: { slotId: id, value, spoken: open.words.join(' '), cost: open.cost, whole: counts === null || counts.includes(value.length) }, index: open.slot }
      meaning = `${meaning}${open.slot}=${value};`
      open = null
    }
    if (step.begins === undefined) continue
    const bit = 1 << step.begins
    // Each slot once, unless it is corrected; and a correction corrects something.
    if (step.again === true ? mask === 0 : (mask & bit) !== 0) return null
    mask |= bit
    open = { slot: step.begins, value: step.value ?? null, words: [], cost: 0 }
  }
  return { mask, meaning, open, last }
}

function passedOver(word: string): number {
  if (FREE_WORDS.has(word)) return 0.1
  return SMALL_WORDS.has(word) ? 0.4 : 1
}

function isNameWord(word: string): boolean {
  return /^[a-z']+$/.test(word) && !NOT_NAMES.has(word)
}

const DROPPED: readonly string[] = 'a an the of in'.split(' ')
const FREE_WORDS: ReadonlySet<string> = new Set('um uh oh well so okay please like just yeah hi hello hey thanks and actually maybe then also really kind sort basically'.split(' '))
const SMALL_WORDS: ReadonlySet<string> = new Set('a an the of with and in on at for to some it its is that this my me i you your be would will can could like one'.split(' '))
const NOT_NAMES: ReadonlySet<string> = new Set(
  ("a an the of with and in on at for to some it its is are was were that this these those my me i you your he she we they be would will can could should do does did not no yes yeah yep nope what when where who why how " +
    "want need have has had get got know think about there here if or but because please thanks thank okay um uh hi hello hey sorry wait don't can't i'm it's that's just like really already " +
    'so well name called call open closed price cost hours appointment help someone speak talk person operator transfer rather say tell give as double').split(' '),
)

function best(routes: GrammarRoutes, words: number, front: Front | undefined): Alignment | null {
  const done: Readonly<{ path: Path; there: Place; cost: number }>[] = []
  for (const path of front?.paths.values() ?? []) {
    for (const { steps, cost } of routes.from(path.state).toAccept) {
      const there = walk(routes, path, steps)
      if (there !== null && there.mask !== 0) done.push({ path, there, cost: path.cost + cost * ARC_COST_SHARE })
    }
  }
  done.sort((a, b) => a.cost - b.cost)
  const winner = done[0]
  if (winner === undefined) return null
  const said: AlignedWord[] = []
  const slots = new Map<number, AlignedSlot>()
  for (let step = winner.there.last; step !== null; step = step.before) {
    if ('word' in step) said.push(step.word)
    // Walking back, the last reading of a slot comes first: it is the correction.
    else if (!slots.has(step.index)) slots.set(step.index, step.slot)
  }
  const meaning = lastMeanings(winner.there.meaning)
  const other = done.find(({ there }) => lastMeanings(there.meaning) !== meaning)
  return {
    cost: winner.cost,
    words,
    slots: [...slots.values()].reverse(),
    said: said.reverse(),
    gap: other === undefined ? null : other.cost - winner.cost,
  }
}

/** The last value of each slot, whatever the order. */
function lastMeanings(meaning: string): string {
  const last = new Map(meaning.split(';').map((entry) => [entry.slice(0, entry.indexOf('=')), entry]))
  return [...last.values()].sort().join(';')
}
