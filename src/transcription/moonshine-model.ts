import { fileURLToPath } from 'node:url'
import llamaTokenizer from 'llama-tokenizer-js'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { UNITS } from '../grammar/numbers.ts'
import { biasedBeam } from './biased-beam.ts'
import { grammarBeam, type BeamOptions, type HeardSentence, type NextRows, type Rows } from './grammar-beam.ts'
import type { SpokenSentence } from './grammar-reading.ts'
import { jointly, meanRows } from './joint-hearing.ts'
import { END_TOKEN, loadDecoder, SESSION_OPTIONS, VOCABULARY, type DecoderStep, type MoonshineDecoder } from './moonshine-decoder.ts'
import type { PhraseTrie } from './phrase-trie.ts'
import type { Encode, TokenAutomaton } from './token-automaton.ts'

/** Text of one stretch of speech. `steps` counts decoder runs, for the figures. */
export type Recognition = Readonly<{ text: string; steps: number }>

/**
 * Moonshine-tiny (quantised ONNX, MIT, from the npm package @moonshine-ai/moonshine-js): 16 kHz speech to English text.
 * Not for the media loop: a run blocks its thread for tens of milliseconds.
 */
export class MoonshineModel {
  readonly #encoder: InferenceSession
  readonly #decoder: MoonshineDecoder

  private constructor(encoder: InferenceSession, decoder: MoonshineDecoder) {
    this.#encoder = encoder
    this.#decoder = decoder
  }

  /** `cacheDir` holds the split decoder; null, or anything wrong with it, means the slower decoder as shipped. */
  static async load(cacheDir: string | null): Promise<MoonshineModel> {
    const encoder = await InferenceSession.create(modelFile('encoder_model.onnx'), SESSION_OPTIONS)
    return new MoonshineModel(encoder, await loadDecoder(modelFile('decoder_model_merged.onnx'), cacheDir))
  }

  get decoderKind(): 'split' | 'merged' {
    return this.#decoder.kind
  }

  /** What `samples` (16 kHz, -1..1) sound like, ready to be read as words, once or several times over. */
  async listen(samples: Float32Array): Promise<Heard> {
    const encoded = await this.#encoder.run({ input_values: new Tensor('float32', samples, [1, samples.length]) })
    const hidden = encoded['last_hidden_state'] as Tensor
    const mostSteps = Math.floor(STEPS_A_SECOND * (samples.length / SAMPLE_RATE_HZ)) + STEPS_EXTRA
    return { hidden, mostSteps, first: await this.#decoder.first(hidden) }
  }

  /** Greedy reading of `samples`; see `readOpen`. */
  async recognise(samples: Float32Array, isCancelled: () => boolean): Promise<Recognition> {
    return this.readOpen(await this.listen(samples), isCancelled)
  }

  /**
   * The likeliest word after word. Between steps it asks `isCancelled`, and then rejects with DecodeCancelled. Empty text is an answer: the
   * model heard no words.
   */
  async readOpen({ hidden, mostSteps, first }: Heard, isCancelled: () => boolean): Promise<Recognition> {
    const tokens: number[] = []
    let step = first
    let steps = 1
    let isUnsureOfSilence = false
    let logProbability = 0
    for (; steps < mostSteps; steps += 1) {
      let token = indexOfLargest(step.logProbabilities)
      if (tokens.length === 0) isUnsureOfSilence = token === END_TOKEN && (step.logProbabilities[END_TOKEN] as number) < SURE_OF_SILENCE
      if (isUnsureOfSilence && tokens.length < FEWEST_FORCED_TOKENS) token = indexOfLargest(step.logProbabilities, END_TOKEN)
      if (token === END_TOKEN) break
      logProbability += step.logProbabilities[token] as number
      tokens.push(token)
      if (cutRepetition(tokens)) break
      await giveWay(isCancelled)
      step = await this.#decoder.next(hidden, step, ONLY, [token])
    }
    if (isUnsureOfSilence && logProbability / tokens.length < WORST_FORCED) return { text: '', steps }
    return { text: tidy(llamaTokenizer.decode(tokens, false, true)), steps }
  }

  /** What of the grammar fits the sound best, in one hearing or in several together; also when nothing fits well: the scores tell. */
  async readGrammar(hearings: readonly [Heard, ...Heard[]], automaton: TokenAutomaton, beam: GrammarSearch, isCancelled: () => boolean): Promise<GrammarRecognition> {
    const first = meanRows(hearings.map((heard) => rowsOf(heard.first)))
    const next = jointly(hearings.map((heard) => this.#stepper(heard.hidden, heard.first)))
    const mostSteps = Math.max(...hearings.map((heard) => heard.mostSteps))
    const { sentences, steps } = await grammarBeam(automaton, first, next, { endToken: END_TOKEN, mostSteps, plain: plainPiece, ...beam }, () => giveWay(isCancelled))
    return { sentences: sentences.map(spoken), steps: steps * hearings.length }
  }

  /** Open speech, two hypotheses wide, with an ear for the terms of the trie. */
  async readBiased({ hidden, mostSteps, first }: Heard, trie: PhraseTrie, isCancelled: () => boolean): Promise<Recognition> {
    const options = { endToken: END_TOKEN, mostSteps, weight: BIAS_WEIGHT }
    const { tokens, logProbability, steps } = await biasedBeam(trie, rowsOf(first), this.#stepper(hidden, first), options, () => giveWay(isCancelled))
    const said = [...tokens]
    cutRepetition(said)
    const isSilence = indexOfLargest(first.logProbabilities) === END_TOKEN
    const isForced = isSilence && ((first.logProbabilities[END_TOKEN] as number) >= SURE_OF_SILENCE || logProbability / Math.max(1, tokens.length) < WORST_FORCED)
    return { text: isForced ? '' : tidy(llamaTokenizer.decode(said, false, true)), steps }
  }

  #stepper(hidden: Tensor, first: DecoderStep): NextRows {
    let step = first
    return async (parents, tokens) => {
      step = await this.#decoder.next(hidden, step, parents, tokens)
      return rowsOf(step)
    }
  }
}

/** An utterance the encoder has listened to. */
export type Heard = Readonly<{ hidden: Tensor; mostSteps: number; first: DecoderStep }>
export type GrammarSearch = Pick<BeamOptions, 'tokenBonus' | 'width' | 'endCost'>
export type GrammarRecognition = Readonly<{ sentences: readonly SpokenSentence[]; steps: number }>

/** Tokens of a grammar from its words' spellings. */
export const encodeSpelling: Encode = (text, joined) => llamaTokenizer.encode(text, false, !joined)

/** A token without case, space and punctuation, digits in figures: what tells wordings from spellings. */
function plainPiece(token: number): string {
  let piece = plainPieces.get(token)
  if (piece === undefined) {
    const word = llamaTokenizer.decode([token], false, false).toLowerCase().replace(/[^a-z0-9]/g, '')
    const digit = word === 'oh' || word === 'o' ? 0 : UNITS.indexOf(word)
    piece = digit < 0 ? word : String(digit)
    plainPieces.set(token, piece)
  }
  return piece
}

const plainPieces = new Map<number, string>()

function rowsOf({ count, logProbabilities }: DecoderStep): Rows {
  return { count, width: VOCABULARY, logProbabilities }
}

function spoken(sentence: HeardSentence): SpokenSentence {
  return {
    pieces: sentence.tokens.map((token, i) => ({ text: llamaTokenizer.decode([token], false, false), regret: sentence.regrets[i] as number })),
    endRegret: sentence.regrets.at(-1) as number,
    logProbability: sentence.logProbability,
    score: sentence.score,
  }
}

/** The immediate that lets a cancel message in; the runs themselves never yield to messages. */
async function giveWay(isCancelled: () => boolean): Promise<void> {
  await nextTick()
  if (isCancelled()) throw new DecodeCancelled()
}

export class DecodeCancelled extends Error {
  constructor() {
    super('decode cancelled')
    this.name = 'DecodeCancelled'
  }
}

/** Shortens a loop at the end of `tokens` to one round, in place; false when there is none. Exported for its test. */
export function cutRepetition(tokens: number[]): boolean {
  for (let period = 1; period <= LONGEST_PERIOD; period += 1) {
    const rounds = Math.max(FEWEST_ROUNDS, Math.ceil(FEWEST_LOOP_TOKENS / period))
    let start = tokens.length - rounds * period
    if (start < 0) continue
    let same = true
    for (let i = start; same && i + period < tokens.length; i += 1) same = tokens[i] === tokens[i + period]
    if (!same) continue
    while (start > 0 && tokens[start - 1] === tokens[start - 1 + period]) start -= 1
    tokens.length = start + period
    return true
  }
  return false
}

/** A text of marks alone is none; runs of dots become one ellipsis (a trailing one tells turn-taking that the sentence hangs). */
export function tidy(raw: string): string {
  const text = raw
    .replace(/[\u2581\s]+/g, ' ')
    .replace(/\.{2,}/g, '...')
    .replace(/^[\s.,;:!?\u2026-]+/, '')
    .trim()
  return /[\p{L}\p{N}]/u.test(text) ? text : ''
}

const SAMPLE_RATE_HZ = 16000
/** Fast speakers stay below 6.5 tokens a second; what runs on beyond is the decoder talking to itself. */
const STEPS_A_SECOND = 6.5
const STEPS_EXTRA = 6
/** A telephone number may hold four zeros in a row; nobody says the same thing over eight tokens and four rounds. */
const FEWEST_ROUNDS = 4
const FEWEST_LOOP_TOKENS = 8
const LONGEST_PERIOD = 12
/**
 * The model ends before the first word on one accented sentence in twenty, though unsurely: on 12 such clips it gave that end a log-probability
 * of -0.24 to -2.3, on 33 stretches of noise and music of -0.36 to 0. An unsure one is passed over for the best words, which are
 * kept if they are likely enough (words forced out of noise: mostly below -1.5; out of speech: above -1.2).
 */
const SURE_OF_SILENCE = -0.4
const FEWEST_FORCED_TOKENS = 3
const WORST_FORCED = -1.4
/**
 * Nats a token. Of 36 sentences with a company's rare terms (three voices) 7 are heard without it, 15 with 1, 23 with 2; on 100 sentences of unrelated
 * speech 33.9 % of the words are wrong with 2, 36.1 % without, and none of the terms is put there. 3 put menu words into a third of them.
 */
const BIAS_WEIGHT = 2
const ONLY: readonly number[] = [0]

function indexOfLargest(values: Float32Array, except = -1): number {
  let best = except === 0 ? 1 : 0
  for (let i = best + 1; i < values.length; i += 1) if (i !== except && (values[i] as number) > (values[best] as number)) best = i
  return best
}

function nextTick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** The package exports only its browser bundle; the models stand in a folder beside it. */
function modelFile(name: string): string {
  return fileURLToPath(new URL(`model/tiny/quantized/${name}`, import.meta.resolve('@moonshine-ai/moonshine-js')))
}
