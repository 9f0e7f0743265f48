import { LRUCache } from 'lru-cache'
import { digitsWanted, type Expectation } from '../core/expectation.ts'
import type { Reading } from '../core/reading.ts'
import { likelyWords } from '../grammar/key-terms.ts'
import { readText } from '../grammar/read-text.ts'
import { constrainsAudio, sentenceGrammar } from '../grammar/sentence.ts'
import { readSentences } from './grammar-reading.ts'
import { otherwise, toModel, type Speech } from './model-audio.ts'
import { encodeSpelling, type GrammarRecognition, type GrammarSearch, type Recognition } from './moonshine-model.ts'
import { tooFewDigits } from './number-length.ts'
import { PhraseTrie } from './phrase-trie.ts'
import { settingsFor } from './reading-limits.ts'
import { TokenAutomaton } from './token-automaton.ts'

/** What to listen for: null expectation for speech that may be anything; the company's terms, where the text is worth them. */
export type ListenFor = Readonly<{ expectation: Expectation | null; vocabulary: readonly string[] }>
export const ANYTHING: ListenFor = Object.freeze({ expectation: null, vocabulary: Object.freeze([]) })
type Read = ReturnType<typeof readSentences>
export type Heeded = Readonly<{ text: string; reading: Reading | null; steps: number }>

/** The model as far as listening needs one. `Sound` is what it makes of a stretch of speech before it is read as words. */
export interface Ear<Sound> {
  listen(samples: Float32Array): Promise<Sound>
  readOpen(heard: Sound, isCancelled: () => boolean): Promise<Recognition>
  readBiased(heard: Sound, trie: PhraseTrie, isCancelled: () => boolean): Promise<Recognition>
  readGrammar(hearings: readonly [Sound, ...Sound[]], automaton: TokenAutomaton, search: GrammarSearch, isCancelled: () => boolean): Promise<GrammarRecognition>
}

/**
 * Hears an utterance in the light of what was asked: held to the grammar first, and where the speech does not fit it, as open speech. Grammars
 * are compiled once for all calls that ask the same. Lives in a worker: compiling takes tens of milliseconds, a decode more.
 */
export class Listener<Sound> {
  readonly #model: Ear<Sound>
  readonly #automata = new LRUCache<string, TokenAutomaton>({ max: AUTOMATA_KEPT })
  readonly #tries = new LRUCache<string, PhraseTrie>({ max: TRIES_KEPT })

  constructor(model: Ear<Sound>) {
    this.#model = model
  }

  /** Rejects with DecodeCancelled when `isCancelled` says so. */
  async hear(speech: Speech, { expectation, vocabulary }: ListenFor, isCancelled: () => boolean): Promise<Heeded> {
    const heard = await this.#model.listen(toModel(speech))
    if (expectation === null) return { ...(await this.#open(heard, vocabulary, isCancelled)), reading: null }
    if (!constrainsAudio(expectation)) {
      const open = await this.#open(heard, [...likelyWords(expectation), ...vocabulary], isCancelled)
      return { ...open, reading: { ...readText(expectation, open.text), source: 'audio' } }
    }
    const { limits } = settingsFor(expectation)
    const { reading, unfinished, steps } = await this.#held(speech, heard, expectation, isCancelled)
    if (reading.verdict !== 'outside') return { text: reading.text, reading, steps }
    if (unfinished !== null) return { text: unfinished, reading, steps }
    const open = await this.#open(heard, vocabulary, isCancelled)
    const second = readText(expectation, open.text)
    // Said in other words than the grammar knows. What it did not hear itself is asked about, unless something unknown was said.
    const isLikely = second.verdict !== 'outside' && second.doubtful?.slotId !== null && reading.scores.costPerToken <= limits.costPerToken
    const read: Reading = isLikely
      ? { ...askedAbout(second), scores: reading.scores, source: 'audio' }
      : reading
    return { text: open.text, reading: read, steps: steps + open.steps }
  }

  /**
   * Held to the grammar. Of a short number in doubt, and of a short answer that fits nothing, another hearing is taken: said a little
   * faster, the model hears something else. Digits are judged by both together: of 605 accented strings, as they are and altered ten ways,
   * 90 % were right instead of 85 (with `digit-habits.ts`). Other answers are judged by the hearing they fit in, and asked about unless they fit
   * it well: two chances to fit by accident are more than one.
   */
  async #held(speech: Speech, heard: Sound, expectation: Expectation, isCancelled: () => boolean): Promise<Read & Readonly<{ steps: number }>> {
    const automaton = this.#automatonOf(expectation)
    const { limits, tokenBonus, width, isLongNumber } = settingsFor(expectation)
    const voiceMs = speech.samples.length / SAMPLES_A_MS - MARGINS_MS
    const beam = { tokenBonus, width, ...(isLongNumber ? { endCost: tooFewDigits(voiceMs) } : {}) }
    const read = async (...hearings: [Sound, ...Sound[]]): Promise<Read & Readonly<{ steps: number }>> => {
      const { sentences, steps } = await this.#model.readGrammar(hearings, automaton, beam, isCancelled)
      return { ...readSentences(automaton.routes, sentences, limits), steps }
    }
    const once = await read(heard)
    if (once.reading.verdict === 'act' || isLongNumber) return once
    const isNumber = digitsWanted(expectation) !== null
    if (voiceMs > (isNumber ? LONGEST_NUMBER_TWICE_MS : LONGEST_ANSWER_TWICE_MS)) return once
    if (!isNumber && once.reading.verdict !== 'outside') return once
    const again = await this.#model.listen(otherwise(speech))
    const twice = isNumber ? await read(heard, again) : await read(again)
    const steps = once.steps + twice.steps
    if (isNumber) return { ...twice, steps }
    if (twice.reading.verdict === 'outside') return { ...once, steps }
    const isPlain = twice.reading.verdict === 'act' && twice.reading.scores.costPerToken <= limits.costPerToken * SECOND_CHANCE_SHARE
    return { ...twice, reading: isPlain ? twice.reading : askedAbout(twice.reading), steps }
  }

  #open(heard: Sound, vocabulary: readonly string[], isCancelled: () => boolean): Promise<Readonly<{ text: string; steps: number }>> {
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

const SAMPLES_A_MS = 8
/** 0.2 s before and behind the voice. */
const MARGINS_MS = 400
/** A second hearing costs as much as the first, a joint reading twice: of longer speech the caller would wait for it. */
const LONGEST_NUMBER_TWICE_MS = 2600
const LONGEST_ANSWER_TWICE_MS = 2000
/** Of the usual cost a token. Of 446 short utterances that were no answer to what was asked one fitted its second hearing, at 0.85; of 41 answers that were lost four did. */
const SECOND_CHANCE_SHARE = 0.75

function askedAbout(reading: Reading): Reading {
  return { ...reading, verdict: 'read-back', doubtful: reading.doubtful ?? firstSlot(reading) }
}

function firstSlot({ slots }: Reading): Reading['doubtful'] {
  const slot = slots[0]
  return slot === undefined ? null : { slotId: slot.slotId, word: slot.spoken }
}
