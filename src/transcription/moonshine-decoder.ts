import { InferenceSession, Tensor } from 'onnxruntime-node'
import { discardSplitDecoder, splitDecoder, type SplitDecoderPaths } from './split-decoder.ts'

/** What the decoder knows after a step: `count` hypotheses, and for each the log-probability of every token, row after row. */
export type DecoderStep = Readonly<{ count: number; logProbabilities: Float32Array; cache: Cache }>

/** The decoder of one utterance, one token a step, several hypotheses at once. */
export interface MoonshineDecoder {
  readonly kind: 'split' | 'merged'
  first(hidden: Tensor): Promise<DecoderStep>
  /** Hypothesis i of the new step is hypothesis `parents[i]` of `step` with `tokens[i]` behind it. */
  next(hidden: Tensor, step: DecoderStep, parents: readonly number[], tokens: readonly number[]): Promise<DecoderStep>
}

export const VOCABULARY = 32768
export const END_TOKEN = 2
const START_TOKEN = 1
const LAYERS = 6
const HEADS = 8
const HEAD_WIDTH = 36
/** One thread: the runs are so short that a second one costs more in waiting than it saves (76 ms against 124 ms, two cores). */
export const SESSION_OPTIONS: InferenceSession.SessionOptions = { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 }

type Cache = Readonly<Record<string, Tensor>>

/** `cacheDir` holds the split decoder; null, or anything wrong with it, means the slower decoder as shipped. */
export async function loadDecoder(mergedPath: string, cacheDir: string | null): Promise<MoonshineDecoder> {
  if (cacheDir !== null) {
    try {
      return await openSplitDecoder(splitDecoder(mergedPath, cacheDir))
    } catch {
      // A full disk or an unreadable cache must not cost the calls their ears: the decoder as shipped only takes longer.
    }
  }
  return mergedDecoderOf(await InferenceSession.create(mergedPath, SESSION_OPTIONS))
}

async function openSplitDecoder(paths: SplitDecoderPaths): Promise<MoonshineDecoder> {
  try {
    const first = await InferenceSession.create(paths.first, SESSION_OPTIONS)
    return splitDecoderOf(first, await InferenceSession.create(paths.past, SESSION_OPTIONS))
  } catch (error) {
    // Damaged on disk: the next start makes it again.
    discardSplitDecoder(paths)
    throw error
  }
}

function splitDecoderOf(firstSession: InferenceSession, pastSession: InferenceSession): MoonshineDecoder {
  const takesHidden = pastSession.inputNames.includes('encoder_hidden_states')
  return {
    kind: 'split',
    async first(hidden) {
      const outputs = await firstSession.run({ input_ids: tokensTensor([START_TOKEN]), encoder_hidden_states: hidden })
      return stepOf(outputs, 1, {}, false)
    },
    async next(hidden, step, parents, tokens) {
      const feeds: Record<string, Tensor> = { ...gathered(step, parents), input_ids: tokensTensor(tokens) }
      if (takesHidden) feeds['encoder_hidden_states'] = hidden
      // The second graph gives no cross-attention keys: those of the first token stay.
      return stepOf(await pastSession.run(feeds), tokens.length, step.cache, false)
    },
  }
}

function mergedDecoderOf(session: InferenceSession): MoonshineDecoder {
  const run = async (hidden: Tensor, tokens: readonly number[], cache: Cache, cached: boolean): Promise<DecoderStep> => {
    const outputs = await session.run(
      { ...cache, input_ids: tokensTensor(tokens), encoder_hidden_states: hidden, use_cache_branch: new Tensor('bool', [cached], [1]) },
      cached ? DECODER_OUTPUTS : session.outputNames,
    )
    return stepOf(outputs, tokens.length, cache, true)
  }
  return {
    kind: 'merged',
    first: (hidden) => run(hidden, [START_TOKEN], emptyCache(), false),
    next: (hidden, step, parents, tokens) => run(hidden, tokens, gathered(step, parents), true),
  }
}

/** Cross-attention outputs are 0.4 MB each and never change after the first token: they are not fetched again. */
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

/** What each new hypothesis remembers is its parent's. What was heard is the same for all and stays at one row: the graph spreads it. */
function gathered(step: DecoderStep, parents: readonly number[]): Cache {
  if (parents.length === step.count && parents.every((parent, index) => parent === index)) return step.cache
  const cache: Record<string, Tensor> = {}
  for (const [name, tensor] of Object.entries(step.cache)) cache[name] = name.includes('.decoder.') ? rows(tensor, step.count, parents) : tensor
  return cache
}

function rows(tensor: Tensor, count: number, parents: readonly number[]): Tensor {
  const data = floatsOf(tensor)
  const width = data.length / count
  const taken = new Float32Array(width * parents.length)
  parents.forEach((parent, index) => taken.set(data.subarray(parent * width, (parent + 1) * width), index * width))
  return new Tensor('float32', taken, [parents.length, ...tensor.dims.slice(1)])
}

function stepOf(outputs: InferenceSession.OnnxValueMapType, count: number, previous: Cache, normalise: boolean): DecoderStep {
  const cache: Record<string, Tensor> = { ...previous }
  for (const [name, value] of Object.entries(outputs)) {
    if (name.startsWith('present.')) cache[name.replace('present.', 'past_key_values.')] = value as Tensor
  }
  const logProbabilities = floatsOf(outputs['logits'] as Tensor)
  if (normalise) for (let row = 0; row < count; row += 1) logSoftmax(logProbabilities.subarray(row * VOCABULARY, (row + 1) * VOCABULARY))
  return { count, logProbabilities, cache }
}

function floatsOf(tensor: Tensor): Float32Array {
  if (!(tensor.data instanceof Float32Array)) throw new TypeError('the decoder gave something other than floats')
  return tensor.data
}

function tokensTensor(tokens: readonly number[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(tokens, (token) => BigInt(token)), [tokens.length, 1])
}

/** In place. The split decoder has this in its graph. */
function logSoftmax(logits: Float32Array): void {
  let largest = -Infinity
  for (let i = 0; i < logits.length; i += 1) if ((logits[i] as number) > largest) largest = logits[i] as number
  let sum = 0
  for (let i = 0; i < logits.length; i += 1) sum += Math.exp((logits[i] as number) - largest)
  const norm = largest + Math.log(sum)
  for (let i = 0; i < logits.length; i += 1) logits[i] = (logits[i] as number) - norm
}
