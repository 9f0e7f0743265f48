import { fileURLToPath } from 'node:url'
import llamaTokenizer from 'llama-tokenizer-js'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { discardSplitDecoder, splitDecoder, type SplitDecoderPaths } from './split-decoder.ts'

/** Text of one stretch of speech. `steps` counts decoder runs, for the figures. */
export type Recognition = Readonly<{ text: string; steps: number }>

/**
 * Moonshine-tiny (quantised ONNX, MIT, from the npm package @moonshine-ai/moonshine-js): 16 kHz speech to English text.
 * Not for the media loop: a run blocks its thread for tens of milliseconds.
 */
export class MoonshineModel {
  readonly #encoder: InferenceSession
  readonly #decoder: Decoder

  private constructor(encoder: InferenceSession, decoder: Decoder) {
    this.#encoder = encoder
    this.#decoder = decoder
  }

  /** `cacheDir` holds the split decoder; null, or anything wrong with it, means the slower decoder as shipped. */
  static async load(cacheDir: string | null): Promise<MoonshineModel> {
    const encoder = await InferenceSession.create(modelFile('encoder_model.onnx'), SESSION_OPTIONS)
    return new MoonshineModel(encoder, await loadDecoder(cacheDir))
  }

  get decoderKind(): 'split' | 'merged' {
    return this.#decoder.kind
  }

  /**
   * Greedy reading of `samples` (16 kHz, -1..1). Between steps it asks `isCancelled`, and then rejects with DecodeCancelled.
   * Empty text is an answer: the model heard no words.
   */
  async recognise(samples: Float32Array, isCancelled: () => boolean): Promise<Recognition> {
    const encoded = await this.#encoder.run({ input_values: new Tensor('float32', samples, [1, samples.length]) })
    const hidden = encoded['last_hidden_state'] as Tensor
    const limit = Math.floor(STEPS_A_SECOND * (samples.length / SAMPLE_RATE_HZ)) + STEPS_EXTRA
    const tokens: number[] = []
    let step = await this.#decoder.first(hidden, START_TOKEN)
    let steps = 1
    let isUnsureOfSilence = false
    let logProbability = 0
    for (; steps < limit; steps += 1) {
      let token = indexOfLargest(step.logProbabilities)
      if (tokens.length === 0) isUnsureOfSilence = token === END_TOKEN && (step.logProbabilities[END_TOKEN] as number) < SURE_OF_SILENCE
      if (isUnsureOfSilence && tokens.length < FEWEST_FORCED_TOKENS) token = indexOfLargest(step.logProbabilities, END_TOKEN)
      if (token === END_TOKEN) break
      logProbability += step.logProbabilities[token] as number
      tokens.push(token)
      if (cutRepetition(tokens)) break
      // The immediate that lets a cancel message in; the runs themselves never yield to messages.
      await nextTick()
      if (isCancelled()) throw new DecodeCancelled()
      step = await this.#decoder.next(hidden, token, step.cache)
    }
    if (isUnsureOfSilence && logProbability / tokens.length < WORST_FORCED) return { text: '', steps }
    return { text: tidy(llamaTokenizer.decode(tokens, false, true)), steps }
  }
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
const START_TOKEN = 1
const END_TOKEN = 2
const LAYERS = 6
const HEADS = 8
const HEAD_WIDTH = 36
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
/** One thread: the runs are so short that a second one costs more in waiting than it saves (76 ms against 124 ms, two cores). */
const SESSION_OPTIONS: InferenceSession.SessionOptions = { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 }

type Cache = Readonly<Record<string, Tensor>>
type Step = Readonly<{ logProbabilities: Float32Array; cache: Cache }>

interface Decoder {
  readonly kind: 'split' | 'merged'
  first(hidden: Tensor, token: number): Promise<Step>
  next(hidden: Tensor, token: number, cache: Cache): Promise<Step>
}

async function loadDecoder(cacheDir: string | null): Promise<Decoder> {
  const mergedPath = modelFile('decoder_model_merged.onnx')
  if (cacheDir !== null) {
    try {
      return await openSplitDecoder(splitDecoder(mergedPath, cacheDir))
    } catch {
      // A full disk or an unreadable cache must not cost the calls their ears: the decoder as shipped only takes longer.
    }
  }
  return mergedDecoderOf(await InferenceSession.create(mergedPath, SESSION_OPTIONS))
}

async function openSplitDecoder(paths: SplitDecoderPaths): Promise<Decoder> {
  try {
    const first = await InferenceSession.create(paths.first, SESSION_OPTIONS)
    return splitDecoderOf(first, await InferenceSession.create(paths.past, SESSION_OPTIONS))
  } catch (error) {
    // Damaged on disk: the next start makes it again.
    discardSplitDecoder(paths)
    throw error
  }
}

function splitDecoderOf(firstSession: InferenceSession, pastSession: InferenceSession): Decoder {
  const takesHidden = pastSession.inputNames.includes('encoder_hidden_states')
  return {
    kind: 'split',
    async first(hidden, token) {
      const outputs = await firstSession.run({ input_ids: tokenTensor(token), encoder_hidden_states: hidden })
      return { logProbabilities: logitsOf(outputs), cache: presentOf(outputs, {}) }
    },
    async next(hidden, token, cache) {
      const feeds: Record<string, Tensor> = { ...cache, input_ids: tokenTensor(token) }
      if (takesHidden) feeds['encoder_hidden_states'] = hidden
      const outputs = await pastSession.run(feeds)
      // The second graph gives no cross-attention keys: those of the first token stay.
      return { logProbabilities: logitsOf(outputs), cache: presentOf(outputs, cache) }
    },
  }
}

function mergedDecoderOf(session: InferenceSession): Decoder {
  const run = async (hidden: Tensor, token: number, cache: Cache, cached: boolean): Promise<Step> => {
    const outputs = await session.run({
      ...cache,
      input_ids: tokenTensor(token),
      encoder_hidden_states: hidden,
      use_cache_branch: new Tensor('bool', [cached], [1]),
    }, cached ? DECODER_OUTPUTS : session.outputNames)
    return { logProbabilities: logSoftmax(logitsOf(outputs)), cache: presentOf(outputs, cache) }
  }
  return {
    kind: 'merged',
    first: (hidden, token) => run(hidden, token, emptyCache(), false),
    next: (hidden, token, cache) => run(hidden, token, cache, true),
  }
}

const DECODER_OUTPUTS = [
  'logits',
  ...Array.from({ length: LAYERS }, (_, layer) => [`present.${layer}.decoder.key`, `present.${layer}.decoder.value`]).flat(),
]

function emptyCache(): Cache {
  const cache: Record<string, Tensor> = {}
  for (let layer = 0; layer < LAYERS; layer += 1) {
    for (const part of ['decoder.key', 'decoder.value', 'encoder.key', 'encoder.value']) {
      cache[`past_key_values.${layer}.${part}`] = new Tensor('float32', new Float32Array(0), [1, HEADS, 0, HEAD_WIDTH])
    }
  }
  return cache
}

function presentOf(outputs: InferenceSession.OnnxValueMapType, previous: Cache): Cache {
  const cache: Record<string, Tensor> = { ...previous }
  for (const [name, value] of Object.entries(outputs)) {
    if (name.startsWith('present.')) cache[name.replace('present.', 'past_key_values.')] = value as Tensor
  }
  return cache
}

function logitsOf(outputs: InferenceSession.OnnxValueMapType): Float32Array {
  const data = (outputs['logits'] as Tensor).data
  if (!(data instanceof Float32Array)) throw new TypeError('the decoder gave no float logits')
  return data
}

function tokenTensor(token: number): Tensor {
  return new Tensor('int64', BigInt64Array.of(BigInt(token)), [1, 1])
}

function indexOfLargest(values: Float32Array, except = -1): number {
  let best = except === 0 ? 1 : 0
  for (let i = best + 1; i < values.length; i += 1) if (i !== except && (values[i] as number) > (values[best] as number)) best = i
  return best
}

/** In place. The split decoder has this in its graph. */
function logSoftmax(logits: Float32Array): Float32Array {
  const largest = logits[indexOfLargest(logits)] as number
  let sum = 0
  for (let i = 0; i < logits.length; i += 1) sum += Math.exp((logits[i] as number) - largest)
  const norm = largest + Math.log(sum)
  for (let i = 0; i < logits.length; i += 1) logits[i] = (logits[i] as number) - norm
  return logits
}

function nextTick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** The package exports only its browser bundle; the models stand in a folder beside it. */
function modelFile(name: string): string {
  return fileURLToPath(new URL(`model/tiny/quantized/${name}`, import.meta.resolve('@moonshine-ai/moonshine-js')))
}
