import { encodeMulaw } from '../audio/g711.ts'
import { resample } from '../audio/resample.ts'

const TELEPHONE_HZ = 8000
/** Samples quieter than this (-46 dBFS) at either end are the engine's padding, not speech. */
const SILENCE_PEAK = 164
/** Kept before the first sound so that a plosive's onset is not cut. */
const LEAD_IN_MS = 15
/** Long enough to hide the step where a clause was cut out of its silence. */
const FADE_MS = 4
/** Below this share of full scale a sample passes unchanged, above it is bent towards `CEILING`: peaks are rounded, never clipped. */
const KNEE = 0.6
const CEILING = 0.95

/**
 * Speech as an engine made it, to G.711 µ-law at 8 kHz: resampled, trimmed to the speech, brought to telephone level and followed
 * by `pauseAfterMs` of silence. Empty when there is no speech in it.
 */
export function toTelephone(samples: Int16Array, sampleRateHz: number, gainDb: number, pauseAfterMs: number): Uint8Array {
  const levelled = applyGain(sampleRateHz === TELEPHONE_HZ ? samples : resample(samples, sampleRateHz, TELEPHONE_HZ), gainDb)
  const speech = trim(levelled)
  if (speech.length === 0) return new Uint8Array(0)
  const whole = new Int16Array(speech.length + samplesOf(pauseAfterMs))
  whole.set(speech)
  fadeEnds(whole.subarray(0, speech.length))
  return encodeMulaw(whole)
}

function applyGain(samples: Int16Array, gainDb: number): Int16Array {
  const gain = 10 ** (gainDb / 20) / 32768
  return samples.map((sample) => {
    const scaled = sample * gain
    const size = Math.abs(scaled)
    if (size <= KNEE) return Math.round(scaled * 32768)
    const bent = KNEE + (CEILING - KNEE) * Math.tanh((size - KNEE) / (CEILING - KNEE))
    return Math.round(Math.sign(scaled) * bent * 32767)
  })
}

function trim(samples: Int16Array): Int16Array {
  const first = samples.findIndex((sample) => Math.abs(sample) > SILENCE_PEAK)
  if (first < 0) return samples.subarray(0, 0)
  const last = samples.findLastIndex((sample) => Math.abs(sample) > SILENCE_PEAK)
  return samples.slice(Math.max(0, first - samplesOf(LEAD_IN_MS)), last + 1)
}

function fadeEnds(samples: Int16Array): void {
  const length = Math.min(samplesOf(FADE_MS), samples.length >> 1)
  for (let i = 0; i < length; i += 1) {
    const share = i / length
    samples[i] = Math.round((samples[i] as number) * share)
    const end = samples.length - 1 - i
    samples[end] = Math.round((samples[end] as number) * share)
  }
}

function samplesOf(ms: number): number {
  return Math.round((ms * TELEPHONE_HZ) / 1000)
}
