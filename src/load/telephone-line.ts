import { SAMPLE_RATE_HZ } from '../audio/frame.ts'
import { decodeMulaw, encodeMulaw } from '../audio/g711.ts'
import { loudnessDb } from './ears.ts'

/** The telephone band: ITU-T G.712 passes 300 to 3400 Hz. */
const BAND_LOW_HZ = 300
const BAND_HIGH_HZ = 3400
/** Speech of a caller on an ordinary line. */
export const CALLER_SPEECH_DB = -22

/** A seeded generator (mulberry32): the same seed gives the same bytes on every machine. Values in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** FNV-1a: a seed from a name. */
export function seedOf(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i += 1) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** Second-order Butterworth high-pass and low-pass in a row, each twice: 24 dB an octave either side of the band. */
export function telephoneBand(samples: Float64Array): Float64Array {
  let filtered = samples
  for (let pass = 0; pass < 2; pass += 1) {
    filtered = biquad(filtered, BAND_LOW_HZ, 'high-pass')
    filtered = biquad(filtered, BAND_HIGH_HZ, 'low-pass')
  }
  return filtered
}

/** Line noise: white noise through the band, at an RMS level in dBFS. */
export function lineNoise(length: number, levelDb: number, seed: number): Float64Array {
  const random = seededRandom(seed)
  const white = Float64Array.from({ length }, () => random() * 2 - 1)
  return atLevel(telephoneBand(white), levelDb)
}

/** Scales to an RMS of `levelDb`. Silence stays silence. */
export function atLevel(samples: Float64Array, levelDb: number): Float64Array {
  let sum = 0
  for (const sample of samples) sum += sample * sample
  if (sum === 0) return samples
  const factor = 10 ** (levelDb / 20) / Math.sqrt(sum / samples.length)
  return samples.map((sample) => sample * factor)
}

/** The level of speech without its pauses: RMS of the 20 ms stretches within 30 dB of the loudest. */
export function speechLevelDb(samples: Int16Array): number {
  const stretch = SAMPLE_RATE_HZ / 50
  const levels: number[] = []
  for (let start = 0; start + stretch <= samples.length; start += stretch) levels.push(loudnessDb(samples.subarray(start, start + stretch)))
  const loudest = Math.max(...levels)
  const active = levels.filter((level) => level > loudest - 30)
  return 10 * Math.log10(active.reduce((sum, level) => sum + 10 ** (level / 10), 0) / active.length)
}

export function toPcm(samples: Float64Array): Int16Array {
  return Int16Array.from(samples, (sample) => Math.max(-32768, Math.min(32767, Math.round(sample * 32768))))
}

export function fromPcm(samples: Int16Array): Float64Array {
  return Float64Array.from(samples, (sample) => sample / 32768)
}

/** What a line does to sound: through G.711 and back. */
export function overMulaw(samples: Int16Array): Int16Array {
  return decodeMulaw(encodeMulaw(samples))
}

/** Cookbook biquads of Robert Bristow-Johnson with Q = 0.7071. */
function biquad(samples: Float64Array, cornerHz: number, kind: 'high-pass' | 'low-pass'): Float64Array {
  const omega = (2 * Math.PI * cornerHz) / SAMPLE_RATE_HZ
  const cosine = Math.cos(omega)
  const alpha = Math.sin(omega) / Math.SQRT2
  const a0 = 1 + alpha
  const side = kind === 'low-pass' ? (1 - cosine) / 2 / a0 : (1 + cosine) / 2 / a0
  const middle = kind === 'low-pass' ? 2 * side : -2 * side
  const a1 = (-2 * cosine) / a0
  const a2 = (1 - alpha) / a0
  const out = new Float64Array(samples.length)
  let x1 = 0
  let x2 = 0
  let y1 = 0
  let y2 = 0
  for (let i = 0; i < samples.length; i += 1) {
    const x = samples[i] as number
    const y = side * x + middle * x1 + side * x2 - a1 * y1 - a2 * y2
    out[i] = y
    x2 = x1
    x1 = x
    y2 = y1
    y1 = y
  }
  return out
}
