import { GrammarRoutes, type Route } from '../grammar/routes.ts'
import type { WordGrammar } from '../grammar/word-grammar.ts'
import { habitOf } from './digit-habits.ts'
import { spellingsOf } from './spellings.ts'

/** A tokenizer as far as a grammar needs one. `joined`: no space before the text. */
export type Encode = (text: string, joined: boolean) => readonly number[]

/**
 * What may come next: token i leads to state `next[i]`, at `costs[i]` nats; `bonuses[i]` is 1 where it is a piece of a word, 0 for marks,
 * hyphens and lone spaces. Parallel arrays.
 */
export type TokenArcs = Readonly<{ tokens: Int32Array; next: Int32Array; costs: Float32Array; bonuses: Float32Array }>

/**
 * A word grammar as the decoder sees it: which tokens may follow. Deterministic, so that two hypotheses never say the same tokens; states are
 * made as a decode first reaches them and kept. A comma may follow any word, other marks one that may be the last.
 */
export class TokenAutomaton {
  readonly start: number
  readonly routes: GrammarRoutes
  readonly #encode: Encode
  readonly #states: State[] = []
  readonly #byKey = new Map<string, number>()
  readonly #entries = new Map<number, readonly Entry[]>()
  readonly #spelled = new Map<string, readonly number[]>()
  readonly #sequences: (readonly number[])[] = []
  readonly #joinedDigits = new Set<number>()
  /** By sequence. */
  readonly #habits: number[] = []
  readonly #comma: number
  readonly #endings: readonly number[]
  readonly #wordless: ReadonlySet<number>

  constructor(grammar: WordGrammar, encode: Encode) {
    this.routes = new GrammarRoutes(grammar)
    this.#encode = encode
    this.#comma = encode(',', true)[0] as number
    this.#endings = ['.', '?', '!'].map((mark) => encode(mark, true)[0] as number)
    this.#wordless = new Set([this.#comma, ...this.#endings, ...['-', ':', '-1'].map((text) => encode(text, true)[0] as number), encode('1', false)[0] as number])
    this.start = this.#state([{ sequence: -1, at: 0, to: grammar.start, mask: 0, owed: 0 }], true)
  }

  get size(): number {
    return this.#states.length
  }

  /** What it costs to end the sentence here, in nats; Infinity where it may not end. */
  endCost(state: number): number {
    return (this.#states[state] as State).endCost
  }

  arcs(state: number): TokenArcs {
    const known = this.#states[state] as State
    known.arcs ??= this.#expand(known)
    return known.arcs
  }

  isMark(token: number): boolean {
    return token === this.#comma || this.#endings.includes(token)
  }

  #state(places: readonly Place[], afterMark: boolean): number {
    const sorted = [...places].sort((a, b) => a.to - b.to || a.mask - b.mask || a.sequence - b.sequence || a.at - b.at || a.owed - b.owed)
    const distinct = sorted.filter((place, i) => i === 0 || !samePlace(place, sorted[i - 1] as Place))
    const key = `${afterMark ? '.' : ''}${distinct.map((place) => `${place.sequence}:${place.at}:${place.to}:${place.mask}:${place.owed.toFixed(1)}`).join(' ')}`
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    const endCost = Math.min(Infinity, ...distinct.filter((place) => place.sequence < 0).map((place) => this.#endCostOf(place)))
    const id = this.#states.push({ places: distinct, afterMark, endCost, arcs: null }) - 1
    this.#byKey.set(key, id)
    return id
  }

  #endCostOf({ to, mask, owed }: Place): number {
    return this.routes.from(to).toAccept.reduce((least, { steps, cost }) => ((pass(mask, steps) ?? 0) === 0 ? least : Math.min(least, owed + cost)), Infinity)
  }

  #expand(state: State): TokenArcs {
    const reached = new Map<number, Place[]>()
    const reach = (token: number, place: Place): void => {
      const places = reached.get(token)
      if (places === undefined) reached.set(token, [place])
      else places.push(place)
    }
    const step = (sequence: number, at: number, place: Omit<Place, 'sequence' | 'at'>): void => {
      const tokens = this.#sequences[sequence] as readonly number[]
      reach(tokens[at] as number, at + 1 === tokens.length ? { ...place, sequence: -1, at: 0 } : { ...place, sequence, at: at + 1 })
    }
    for (const place of state.places) {
      if (place.sequence >= 0) {
        step(place.sequence, place.at, place)
        continue
      }
      for (const { sequence, route } of this.#entriesOf(place.to)) {
        const mask = pass(place.mask, route.steps)
        if (mask === null) continue
        const habit = route.word.dictated === true ? (this.#habits[sequence] as number) : 0
        step(sequence, 0, { to: route.word.to, mask, owed: place.owed + route.cost + (this.#joinedDigits.has(sequence) ? JOINED_DIGIT : 0) + habit })
      }
    }
    const tokens: number[] = []
    const next: number[] = []
    const costs: number[] = []
    for (const [token, places] of reached) {
      // What the cheapest of them owes is paid here; the others still owe the rest.
      const paid = places.reduce((least, place) => Math.min(least, place.owed), Infinity)
      tokens.push(token)
      next.push(this.#state(places.map((place) => ({ ...place, owed: place.owed - paid })), false))
      costs.push(paid)
    }
    const ended = state.places.filter((place) => place.sequence < 0)
    if (!state.afterMark && ended.length > 0) {
      for (const mark of state.endCost < Infinity ? [this.#comma, ...this.#endings] : [this.#comma]) {
        if (reached.has(mark)) continue
        tokens.push(mark)
        next.push(this.#state(ended, true))
        costs.push(0)
      }
    }
    return {
      tokens: Int32Array.from(tokens),
      next: Int32Array.from(next),
      costs: Float32Array.from(costs),
      bonuses: Float32Array.from(tokens, (token) => (this.#wordless.has(token) ? 0 : 1)),
    }
  }

  /** Every spelling of every word that may come next. */
  #entriesOf(state: number): readonly Entry[] {
    let entries = this.#entries.get(state)
    if (entries === undefined) {
      entries = [...this.routes.from(state).byWord].flatMap(([word, routes]) =>
        routes.flatMap((route) => this.#spell(word, route.word.inWords === true).map((sequence) => ({ sequence, route }))),
      )
      this.#entries.set(state, entries)
    }
    return entries
  }

  /** The word's spellings, as numbers of token sequences. */
  #spell(word: string, inWords: boolean): readonly number[] {
    const key = inWords ? `"${word}` : word
    let ids = this.#spelled.get(key)
    if (ids === undefined) {
      const { written } = this.routes.grammar
      const known = Object.hasOwn(written, word) ? (written[word] as readonly string[]) : []
      ids = spellingsOf(word, known, inWords).map(({ text, joined }) => {
        const id = this.#sequences.push(this.#encode(text, joined)) - 1
        this.#habits[id] = habitOf(text)
        if (joined && /^\d$/.test(text)) this.#joinedDigits.add(id)
        return id
      })
      this.#spelled.set(key, ids)
    }
    return ids
  }
}

/** In nats. "169" is the model's way to write a number, more than three digits; "239-555-0142" fits well enough to pay for it. */
const JOINED_DIGIT = 0.8

/** Inside a spelling (`sequence` and how much of it was said) or, with sequence -1, between two words. */
type Place = Readonly<{ sequence: number; at: number; to: number; mask: number; owed: number }>
type Entry = Readonly<{ sequence: number; route: Route }>
type State = { readonly places: readonly Place[]; readonly afterMark: boolean; readonly endCost: number; arcs: TokenArcs | null }

function samePlace(a: Place, b: Place): boolean {
  return a.to === b.to && a.mask === b.mask && a.sequence === b.sequence && a.at === b.at && Math.abs(a.owed - b.owed) < 0.05
}

/** Which slots were said after these steps; null when one of them may not be said now. */
function pass(mask: number, steps: Route['steps']): number | null {
  let said = mask
  for (const step of steps) {
    if (step.begins === undefined) continue
    const bit = 1 << step.begins
    if (step.again === true ? said === 0 : (said & bit) !== 0) return null
    said |= bit
  }
  return said
}
