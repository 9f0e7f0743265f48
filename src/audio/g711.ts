/** G.711 µ-law (ITU-T G.711): 8-bit logarithmic samples to 16-bit linear PCM and back, by table. */

/** The byte of a silent sample: positive zero, inverted for transmission. */
export const MULAW_SILENCE = 0xff

/** Linear PCM in the range -32124..32124, one sample a byte; into `samples` where its owner uses it again and again. */
export function decodeMulaw(bytes: Uint8Array, samples = new Int16Array(bytes.length)): Int16Array {
  for (let i = 0; i < bytes.length; i += 1) samples[i] = LINEAR[bytes[i] as number] as number
  return samples
}

/** One byte a sample; louder than the scale's end is clipped. */
export function encodeMulaw(samples: Int16Array): Uint8Array {
  const bytes = new Uint8Array(samples.length)
  for (let i = 0; i < samples.length; i += 1) bytes[i] = MULAW[(samples[i] as number) & 0xffff] as number
  return bytes
}

/** Added to a magnitude so that every segment starts at a power of two. */
const BIAS = 132
const LOUDEST = 32635

const LINEAR = Int16Array.from({ length: 256 }, (_, byte) => expand(byte))
/** 64 KiB, indexed by the sample's two's complement bits: one load a sample and no rounding case to get wrong. */
const MULAW = Uint8Array.from({ length: 65536 }, (_, bits) => compress(bits < 32768 ? bits : bits - 65536))

function expand(byte: number): number {
  const code = ~byte & 0xff
  const segment = (code >> 4) & 7
  const magnitude = (((code & 15) << 3) + BIAS << segment) - BIAS
  return (code & 0x80) === 0 ? magnitude : -magnitude
}

function compress(sample: number): number {
  const sign = sample < 0 ? 0x80 : 0
  const magnitude = Math.min(Math.abs(sample), LOUDEST) + BIAS
  const segment = 31 - Math.clz32(magnitude >> 7)
  const step = (magnitude >> (segment + 3)) & 15
  return ~(sign | (segment << 4) | step) & 0xff
}
