/**
 * What may be said, as a graph of words. Plain data: it survives JSON and a message to a worker. One graph serves two readers: the
 * recogniser turns its words into tokens and can then hear nothing else, the aligner reads any text against it.
 *
 * Slots come in any order, each at most once, unless a correction ("no, Tuesday") says one again. Which ones were said is not unrolled into
 * states: a reader carries a bit mask beside the state, so that six slots cost six slots and not sixty-four.
 */
export type WordGrammar = Readonly<{
  start: number
  accept: number
  arcs: readonly (readonly Arc[])[]
  slots: readonly GrammarSlot[]
  /** Other ways a word is written, where capitals matter: "ac" -> "AC". */
  written: Readonly<Record<string, readonly string[]>>
}>

/** `counts`: of digits, the lengths that are a whole number; null for other kinds. */
export type GrammarSlot = Readonly<{ id: string; kind: SlotKind; counts: readonly number[] | null }>
export type SlotKind = 'choice' | 'digits' | 'yes-no' | 'date' | 'money' | 'name' | 'spelling' | 'words'

export type Arc = Readonly<{
  to: number
  /** Lower case. Absent: nothing is said. */
  word?: string
  /** Said and written in words, not in figures: of a number that is dictated, figures are its digits. */
  inWords?: true
  /** A digit of a number that is read out: all ten are as likely. */
  dictated?: true
  /** Any word at all; only the aligner can follow it. */
  any?: true
  /** The slot (its index) that begins here. Passable while the slot is unsaid, or after a correction. */
  begins?: number
  again?: true
  /** What the slot will hold; absent: its words tell. */
  value?: string
  ends?: true
  /** Minus log-probability of saying it this way, for ways that are right but rare. */
  cost?: number
}>

export class GrammarBuilder {
  readonly arcs: Arc[][] = []
  readonly slots: GrammarSlot[] = []
  readonly written: Record<string, string[]> = {}

  state(): number {
    return this.arcs.push([]) - 1
  }

  arc(from: number, arc: Arc): void {
    ;(this.arcs[from] as Arc[]).push(arc)
  }

  /** Goes on without a word. */
  skip(from: number, to: number): void {
    this.arc(from, { to })
  }

  word(from: number, word: string, to: number, cost = 0): void {
    this.arc(from, cost === 0 ? { to, word } : { to, word, cost })
  }

  /** The words one after another, each at `wordCost`, the first at `cost` besides: a cost paid word by word does not prune a phrase at its first. */
  phrase(from: number, words: readonly string[], to: number, cost = 0, wordCost = 0): void {
    let at = from
    words.forEach((word, index) => {
      const next = index === words.length - 1 ? to : this.state()
      this.word(at, word, next, (index === 0 ? cost : 0) + wordCost)
      at = next
    })
  }

  build(start: number, accept: number): WordGrammar {
    return { start, accept, arcs: this.arcs, slots: this.slots, written: this.written }
  }
}
