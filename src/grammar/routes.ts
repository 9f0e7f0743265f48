import { gapsOfBeginnings, soundGap, soundsOf } from './likeness.ts'
import { CARDINALS, ORDINALS } from './numbers.ts'
import type { Arc, WordGrammar } from './word-grammar.ts'
import { withoutEnding } from './words.ts'

/** From one word to the next: the wordless steps that are taken on the way, where they matter, and the word. */
export type Route = Readonly<{ steps: readonly Arc[]; cost: number; word: Arc }>
export type Routes = Readonly<{ byWord: ReadonlyMap<string, readonly Route[]>; any: readonly Route[]; toAccept: readonly Readonly<{ steps: readonly Arc[]; cost: number }>[] }>
/** A word of the grammar that a heard word may stand for. */
export type Likely = Readonly<{ word: string; cost: number }>
export type LikelyPair = Readonly<{ words: readonly [string, string]; cost: number }>

type KnownWord = Readonly<{ word: string; sounds: string; reversed: string; share: number }>

/** A grammar made ready for reading text: from each state, what can be said next. Worked out as it is needed and kept. */
export class GrammarRoutes {
  readonly grammar: WordGrammar
  readonly #routes = new Map<number, Routes>()
  /** Words that another may be alike, and of the rest those that may be joined to one: they must be right. */
  readonly #vocabulary: readonly KnownWord[]
  readonly #pairable: readonly KnownWord[]
  readonly #known: ReadonlySet<string>
  readonly #likely = new Map<string, readonly Likely[]>()
  readonly #pairs = new Map<string, readonly LikelyPair[]>()

  constructor(grammar: WordGrammar) {
    this.grammar = grammar
    this.#known = new Set(grammar.arcs.flatMap((arcs) => arcs.flatMap((arc) => (arc.word === undefined ? [] : [arc.word]))))
    this.#pairable = [...this.#known]
      .filter((word) => word.length >= 3 && /^[a-z']+$/.test(word))
      .map((word) => {
        const sounds = soundsOf(word)
        return { word, sounds, reversed: backwards(sounds), share: EXACT.has(word) ? 0 : LIKENESS_SHARE }
      })
    this.#vocabulary = this.#pairable.filter(({ share }) => share > 0)
  }

  from(state: number): Routes {
    let routes = this.#routes.get(state)
    if (routes === undefined) {
      routes = this.#explore(state)
      this.#routes.set(state, routes)
    }
    return routes
  }

  /** The word itself where the grammar has it, and words that sound like it. `strict` for words put together from two. */
  likely(heard: string, strict: boolean): readonly Likely[] {
    const key = strict ? `+${heard}` : heard
    let found = this.#likely.get(key)
    if (found === undefined) {
      found = this.#alike(heard, strict ? STRICT_SHARE : LIKENESS_SHARE)
      if (this.#likely.size >= MOST_LIKELY_KEPT) this.#likely.clear()
      this.#likely.set(key, found)
    }
    return found
  }

  #alike(heard: string, share: number): Likely[] {
    const found: Likely[] = this.#known.has(heard) ? [{ word: heard, cost: 0 }] : []
    if (heard.length < 3 || !/^[a-z']+$/.test(heard)) return found
    const heardSounds = soundsOf(heard)
    for (const { word, sounds } of this.#vocabulary) {
      if (word === heard || Math.abs(word.length - heard.length) > 3) continue
      if (withoutEnding(word) === heard || ENDINGS.some((ending) => heard === word + ending || word === heard + ending)) {
        found.push({ word, cost: ENDING_COST })
        continue
      }
      const most = Math.min(heard.length, word.length) * share
      const distance = soundGap(heardSounds, sounds, most)
      if (distance <= most) found.push({ word, cost: Math.max(LEAST_LIKENESS_COST, distance * LIKENESS_COST) })
    }
    return found
  }

  /** Whether the grammar has the word, or one so near that it is the same. */
  knows(heard: string): boolean {
    return this.#known.has(heard) || EXACT.has(heard)
  }

  /**
   * Two words of the grammar that `heard` may be, written as one or parted in the wrong place: "dark-roasthouse", "rose thouse". Best first.
   */
  likelyPairs(heard: string): readonly LikelyPair[] {
    let found = this.#pairs.get(heard)
    if (found === undefined) {
      found = this.#pairsIn(heard)
      if (this.#pairs.size >= MOST_LIKELY_KEPT) this.#pairs.clear()
      this.#pairs.set(heard, found)
    }
    return found
  }

  #pairsIn(heard: string): LikelyPair[] {
    const whole = soundsOf(heard)
    if (whole.length < SHORTEST_PAIR || whole.length > LONGEST_PAIR) return []
    const firsts = beginningsIn(whole, this.#pairable)
    const seconds = beginningsIn(backwards(whole), this.#pairable.map(({ word, reversed, share }) => ({ word, sounds: reversed, share })))
    const pairs: LikelyPair[] = []
    for (let at = 2; at <= whole.length - 2; at += 1) {
      for (const first of firsts[at] as readonly Likely[]) for (const second of seconds[whole.length - at] as readonly Likely[]) pairs.push({ words: [first.word, second.word], cost: (first.cost + second.cost) * LIKENESS_COST })
    }
    return pairs.sort((a, b) => a.cost - b.cost).slice(0, PAIRS_KEPT)
  }

  #explore(from: number): Routes {
    const byWord = new Map<string, Route[]>()
    const any: Route[] = []
    const toAccept: { steps: readonly Arc[]; cost: number }[] = []
    const seen = new Set<string>()
    const visit = (state: number, steps: readonly Arc[], cost: number): void => {
      const key = `${state}|${steps.map((step) => `${step.begins ?? ''}${step.value ?? ''}${step.again ?? ''}${step.ends ?? ''}`).join('/')}`
      if (seen.has(key)) return
      seen.add(key)
      if (state === this.grammar.accept) toAccept.push({ steps, cost })
      for (const arc of this.grammar.arcs[state] as readonly Arc[]) {
        if (arc.any === true) any.push({ steps, cost, word: arc })
        else if (arc.word !== undefined) {
          const routes = byWord.get(arc.word)
          const route = { steps, cost: cost + (arc.cost ?? 0), word: arc }
          if (routes === undefined) byWord.set(arc.word, [route])
          else routes.push(route)
        } else visit(arc.to, arc.begins !== undefined || arc.ends === true ? [...steps, arc] : steps, cost + (arc.cost ?? 0))
      }
    }
    visit(from, [], 0)
    return { byWord, any, toAccept }
  }
}

/** Two and a half letters of ten may be wrong; fewer where the word itself was put together. */
const LIKENESS_SHARE = 0.33
const STRICT_SHARE = 0.15
/** In sounds: shorter ones are pairs by chance, longer ones more than two words. */
const SHORTEST_PAIR = 6
const LONGEST_PAIR = 24
const PAIRS_KEPT = 4
const LIKENESS_COST = 0.5
const LEAST_LIKENESS_COST = 0.15
/** "coffees", "ice coffee". */
const ENDINGS: readonly string[] = ['s', 'd', 'ed']
const ENDING_COST = 0.1
const MOST_LIKELY_KEPT = 5000
/** Number words and short ones must be right: their neighbours mean something else. */
const EXACT: ReadonlySet<string> = new Set([
  ...CARDINALS.keys(),
  ...ORDINALS.keys(),
  ...'may yes nah the and for can get not let its you out any day now asap how say who why was are did bit lot march june july noon night with have some make that this what want need like just please hundred thousand right'.split(' '),
])

/** For each length of a beginning of `whole`, the words that it may be, with how far they are. */
function beginningsIn(whole: string, words: readonly Readonly<{ word: string; sounds: string; share: number }>[]): (readonly Likely[])[] {
  const found: Likely[][] = Array.from({ length: whole.length + 1 }, () => [])
  for (const { word, sounds, share } of words) {
    const gaps = gapsOfBeginnings(whole, sounds, sounds.length * share)
    for (let length = 2; length <= whole.length - 2; length += 1) {
      if ((gaps[length] as number) <= Math.min(length, sounds.length) * share) (found[length] as Likely[]).push({ word, cost: gaps[length] as number })
    }
  }
  return found
}

function backwards(text: string): string {
  return [...text].reverse().join('')
}
