/** Copies of a recording as other callers and other lines might have made it: a clip more or less right says little, ten of each say more. */
import { resample } from '../../src/audio/resample.ts'

/** 16 kHz in and out. The same clip gives the same copy on every day. */
export type Alteration = Readonly<{ name: string; apply: (samples: Int16Array) => Int16Array }>

export const AS_IT_IS: Alteration = { name: '', apply: (samples) => samples }
export const ALTERATIONS: readonly Alteration[] = [
  { name: 'slower', apply: (samples) => atSpeed(samples, 0.93) },
  { name: 'faster', apply: (samples) => atSpeed(samples, 1.07) },
  { name: 'quiet', apply: (samples) => louder(samples, -12) },
  { name: 'loud', apply: (samples) => louder(samples, 5) },
  { name: 'thin', apply: (samples) => highPass(lowPass(samples, 2700), 450) },
  { name: 'muffled', apply: (samples) => lowPass(samples, 1900) },
  { name: 'hiss', apply: (samples) => withHiss(samples, 22) },
  { name: 'later', apply: (samples) => later(samples, 7) },
  { name: 'slower, hiss', apply: (samples) => withHiss(atSpeed(samples, 0.95), 26) },
  { name: 'faster, quiet, thin', apply: (samples) => later(louder(highPass(lowPass(atSpeed(samples, 1.05), 3000), 350), -6), 3) },
]

const HZ = 16_000

/** Pitch goes with it, as with another speaker's. */
function atSpeed(samples: Int16Array, speed: number): Int16Array {
  return resample(samples, Math.round(HZ * speed), HZ)
}

function louder(samples: Int16Array, db: number): Int16Array {
  const gain = 10 ** (db / 20)
  return samples.map((sample) => Math.max(-32768, Math.min(32767, Math.round(sample * gain))))
}

function later(samples: Int16Array, ms: number): Int16Array {
  const shifted = new Int16Array(samples.length + ms * 16)
  shifted.set(samples.subarray(0, ms * 16))
  shifted.set(samples, ms * 16)
  return shifted
}

/** White noise, so far below the whole recording's mean energy. */
function withHiss(samples: Int16Array, belowDb: number): Int16Array {
  const energy = samples.reduce((sum, sample) => sum + sample * sample, 0) / Math.max(1, samples.length)
  const amplitude = Math.sqrt(3 * energy) * 10 ** (-belowDb / 20)
  let seed = 1 + (samples.length % 9973)
  return samples.map((sample) => {
    seed = Math.imul(seed, 48271) & 0x7fffffff
    return Math.max(-32768, Math.min(32767, Math.round(sample + (seed / 0x40000000 - 1) * amplitude)))
  })
}

/** Second order, Butterworth (the Audio EQ Cookbook's formulas). */
function lowPass(samples: Int16Array, cutoffHz: number): Int16Array {
  return biquad(samples, cutoffHz, (cos) => [(1 - cos) / 2, 1 - cos, (1 - cos) / 2])
}

function highPass(samples: Int16Array, cutoffHz: number): Int16Array {
  return biquad(samples, cutoffHz, (cos) => [(1 + cos) / 2, -(1 + cos), (1 + cos) / 2])
}

function biquad(samples: Int16Array, cutoffHz: number, forward: (cos: number) => readonly [number, number, number]): Int16Array {
  const omega = (2 * Math.PI * cutoffHz) / HZ
  const alpha = Math.sin(omega) / Math.SQRT2
  const [b0, b1, b2] = forward(Math.cos(omega))
  const [a0, a1, a2] = [1 + alpha, -2 * Math.cos(omega), 1 - alpha]
  let [x1, x2, y1, y2] = [0, 0, 0, 0]
  return samples.map((x) => {
    const y = (b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2) / a0
    ;[x2, x1, y2, y1] = [x1, x, y1, y]
    return Math.max(-32768, Math.min(32767, Math.round(y)))
  })
}
