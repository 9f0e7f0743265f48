import { resample } from '../audio/resample.ts'

/** 8 kHz speech, trimmed to where the voice is; `tailPadMs` of faint noise belong behind it. */
export type Speech = Readonly<{ samples: Int16Array; tailPadMs: number }>

/** As the model takes it: 16 kHz, -1..1. Isolated words below a second are heard far better with faint noise around them (77 -> 89 % of single digits); longer speech is not. */
export function toModel({ samples, tailPadMs }: Speech): Float32Array {
  return padded(resample(samples, PHONE_HZ, MODEL_HZ), tailPadMs)
}

/**
 * The same as another caller might have said it, five in a hundred faster and higher. The model's doubts are as good as dice: words that fit one
 * of the two by chance do not fit the other.
 */
export function otherwise({ samples, tailPadMs }: Speech): Float32Array {
  return padded(resample(samples, FASTER_HZ, MODEL_HZ), tailPadMs)
}

const PHONE_HZ = 8000
const FASTER_HZ = 8400
const MODEL_HZ = 16000
const SHORTEST_SAMPLES = MODEL_HZ
const PAD_NOISE = 0.001

function padded(speech: Int16Array, tailPadMs: number): Float32Array {
  const tail = Math.round((tailPadMs * MODEL_HZ) / 1000)
  const missing = Math.max(0, SHORTEST_SAMPLES - speech.length - tail)
  const lead = missing >> 1
  const all = new Float32Array(lead + speech.length + tail + (missing - lead))
  // A fixed sequence: the same audio must give the same text on every day.
  let noise = 1
  for (let i = 0; i < all.length; i += 1) {
    noise = Math.imul(noise, 48271) & 0x7fffffff
    const inSpeech = i >= lead && i < lead + speech.length
    all[i] = inSpeech ? (speech[i - lead] as number) / 32768 : (noise / 0x40000000 - 1) * PAD_NOISE
  }
  return all
}
