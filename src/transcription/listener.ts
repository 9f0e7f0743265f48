import { LRUCache } from 'lru-cache'
import type { Expectation } from '../core/expectation.ts'
import type { Reading } from '../core/reading.ts'
import { readText } from '../grammar/read-text.ts'
import { constrainsAudio, sentenceGrammar } from '../grammar/sentence.ts'
import { readSentences } from './grammar-reading.ts'
import { encodeSpelling, type Heard, type MoonshineModel } from './moonshine-model.ts'
import { PhraseTrie } from './phrase-trie.ts'
import { settingsFor } from './reading-limits.ts'
import { TokenAutomaton } from './token-automaton.ts'

/** What to listen for: null expectation for speech that may be anything; the company's terms, where the text is worth them. */
export type ListenFor = Readonly<{ expectation: Expectation | null; vocabulary: readonly string[] }>
export const ANYTHING: ListenFor = Object.freeze({ expectation: null, vocabulary: Object.freeze([]) })
export type Heeded = Readonly<{ text: string; reading: Reading | null; steps: number }>

/**
 * Hears an utterance in the light of what was asked: held to the grammar first, and where the speech does not fit it, as open speech. Grammars
 * are compiled once for all calls that ask the same. Lives in a worker: compiling takes tens of milliseconds, a decode more.
 */
export class Listener {
  readonly #model: MoonshineModel
  readonly #automata = new LRUCache<string, TokenAutomaton>({ max: AUTOMATA_KEPT })
  readonly #tries = new LRUCache<string, PhraseTrie>({ max: TRIES_KEPT })

  constructor(model: MoonshineModel) {
    this.#model = model
  }

  /** `samples`: 16 kHz, -1..1. Rejects with DecodeCancelled when `isCancelled` says so. */
  async hear(samples: Float32Array, { expectation, vocabulary }: ListenFor, isCancelled: () => boolean): Promise<Heeded> {
    const heard = await this.#model.listen(samples)
    if (expectation === null) return { ...(await this.#open(heard, vocabulary, isCancelled)), reading: null }
    if (!constrainsAudio(expectation)) {
      const open = await this.#open(heard, vocabulary, isCancelled)
      return { ...open, reading: { ...readText(expectation, open.text), source: 'audio' } }
    }
    const automaton = this.#automatonOf(expectation)
    const { limits, tokenBonus, width } = settingsFor(expectation)
    const { sentences, steps } = await this.#model.readGrammar(heard, automaton, { tokenBonus, width }, isCancelled)
    const { reading, unfinished } = readSentences(automaton.routes, sentences, limits)
    if (reading.verdict !== 'outside') return { text: reading.text, reading, steps }
    if (unfinished !== null) return { text: unfinished, reading, steps }
    const open = await this.#open(heard, vocabulary, isCancelled)
    const second = readText(expectation, open.text)
    // Said in other words than the grammar knows. What it did not hear itself is asked about, unless something unknown was said.
    const isLikely = second.verdict !== 'outside' && second.doubtful?.slotId !== null && reading.scores.costPerToken <= limits.costPerToken
    const read: Reading = isLikely
      ? { ...second, verdict: 'read-back', doubtful: second.doubtful ?? firstSlot(second), scores: reading.scores, source: 'audio' }
      : reading
    return { text: open.text, reading: read, steps: steps + open.steps }
  }

  #open(heard: Heard, vocabulary: readonly string[], isCancelled: () => boolean): Promise<Readonly<{ text: string; steps: number }>> {
    if (vocabulary.length === 0) return this.#model.readOpen(heard, isCancelled)
    const key = JSON.stringify(vocabulary)
    let trie = this.#tries.get(key)
    if (trie === undefined) {
      trie = new PhraseTrie(vocabulary, encodeSpelling)
      this.#tries.set(key, trie)
    }
    return this.#model.readBiased(heard, trie, isCancelled)
  }

  #automatonOf(expectation: Expectation): TokenAutomaton {
    const key = JSON.stringify(expectation)
    let automaton = this.#automata.get(key)
    if (automaton === undefined || automaton.size > MOST_STATES) {
      automaton = new TokenAutomaton(sentenceGrammar(expectation), encodeSpelling)
      this.#automata.set(key, automaton)
    }
    return automaton
  }
}

/** A company asks a few dozen different questions; 64 grammars of some hundred KB stay below 50 MB a worker. */
const AUTOMATA_KEPT = 64
const TRIES_KEPT = 64
/** Beyond it the automaton is made anew: a drinks menu has some three thousand after sixty orders, and they grow ever more slowly. */
const MOST_STATES = 40_000

function firstSlot({ slots }: Reading): Reading['doubtful'] {
  const slot = slots[0]
  return slot === undefined ? null : { slotId: slot.slotId, word: slot.spoken }
}
