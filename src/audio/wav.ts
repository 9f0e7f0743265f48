import { ClientsViaError } from '../core/errors.ts'
import { decodeMulaw } from './g711.ts'

export type Wav = Readonly<{ sampleRateHz: number; channels: readonly Int16Array[] }>

/**
 * Reads a RIFF/WAVE file: PCM of 8 or 16 bits, 32-bit float, µ-law, plain or "extensible", any number of channels and odd chunks.
 * A data chunk longer than the file (a recorder that was killed) is read to the file's end. Throws AUDIO_MALFORMED naming what is wrong.
 */
export function readWav(bytes: Uint8Array): { sampleRateHz: number; channels: Int16Array[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 12 || chunkName(view, 0) !== 'RIFF' || chunkName(view, 8) !== 'WAVE') throw malformed('not a RIFF/WAVE file')
  let format: WavFormat | null = null
  for (let offset = 12; offset + 8 <= bytes.length; ) {
    const name = chunkName(view, offset)
    const start = offset + 8
    const length = view.getUint32(offset + 4, true)
    if (name === 'fmt ') format = readFormat(view, start, length)
    if (name === 'data') {
      if (format === null) throw malformed('the data chunk comes before the fmt chunk')
      return { sampleRateHz: format.sampleRateHz, channels: readSamples(bytes, start, Math.min(length, bytes.length - start), format) }
    }
    // Chunks are padded to an even length, and the padding byte is not counted.
    offset = start + length + (length & 1)
  }
  throw malformed(format === null ? 'no fmt chunk' : 'no data chunk')
}

/** A 16-bit PCM file. All channels must have the same length. */
export function writeWav(wav: Wav): Uint8Array {
  const first = wav.channels[0]
  if (first === undefined) throw malformed('a WAV file needs at least one channel')
  const unequal = wav.channels.findIndex((channel) => channel.length !== first.length)
  if (unequal >= 0) throw malformed(`channel ${unequal} has a different length from channel 0`)
  const count = wav.channels.length
  const dataBytes = first.length * count * 2
  const bytes = new Uint8Array(44 + dataBytes)
  const view = new DataView(bytes.buffer)
  writeName(view, 0, 'RIFF')
  view.setUint32(4, 36 + dataBytes, true)
  writeName(view, 8, 'WAVE')
  writeName(view, 12, 'fmt ')
  view.setUint32(16, 16, true)
  view.setUint16(20, FORMAT_PCM, true)
  view.setUint16(22, count, true)
  view.setUint32(24, wav.sampleRateHz, true)
  view.setUint32(28, wav.sampleRateHz * count * 2, true)
  view.setUint16(32, count * 2, true)
  view.setUint16(34, 16, true)
  writeName(view, 36, 'data')
  view.setUint32(40, dataBytes, true)
  const samples = new Int16Array(bytes.buffer, 44)
  wav.channels.forEach((channel, position) => {
    for (let i = 0; i < channel.length; i += 1) samples[i * count + position] = channel[i] as number
  })
  return bytes
}

const FORMAT_PCM = 1
const FORMAT_FLOAT = 3
const FORMAT_MULAW = 7
const FORMAT_EXTENSIBLE = 0xfffe
/** More than any recorder writes; a larger count is a damaged header, and would allocate without bound. */
const MOST_CHANNELS = 64

type WavFormat = Readonly<{ encoding: 'pcm8' | 'pcm16' | 'float32' | 'mulaw'; channelCount: number; sampleRateHz: number }>

function readFormat(view: DataView, start: number, length: number): WavFormat {
  if (length < 16 || start + 16 > view.byteLength) throw malformed(`the fmt chunk is ${length} bytes long, at least 16 are needed`)
  let tag = view.getUint16(start, true)
  if (tag === FORMAT_EXTENSIBLE) {
    if (length < 26 || start + 26 > view.byteLength) throw malformed('the extensible fmt chunk has no sub-format')
    // The sub-format is a GUID whose first two bytes are the plain format tag.
    tag = view.getUint16(start + 24, true)
  }
  const channelCount = view.getUint16(start + 2, true)
  const sampleRateHz = view.getUint32(start + 4, true)
  const bits = view.getUint16(start + 14, true)
  if (channelCount < 1 || channelCount > MOST_CHANNELS) throw malformed(`channel count ${channelCount} is not from 1 to ${MOST_CHANNELS}`)
  if (sampleRateHz < 1000 || sampleRateHz > 192_000) throw malformed(`sample rate ${sampleRateHz} Hz is not from 1000 to 192000`)
  const encoding = encodingOf(tag, bits)
  if (encoding === null) throw malformed(`format ${tag} with ${bits} bits a sample is not supported (PCM 8/16, float 32, µ-law 8 are)`)
  return { encoding, channelCount, sampleRateHz }
}

function encodingOf(tag: number, bits: number): WavFormat['encoding'] | null {
  if (tag === FORMAT_PCM && bits === 8) return 'pcm8'
  if (tag === FORMAT_PCM && bits === 16) return 'pcm16'
  if (tag === FORMAT_FLOAT && bits === 32) return 'float32'
  if (tag === FORMAT_MULAW && bits === 8) return 'mulaw'
  return null
}

function readSamples(bytes: Uint8Array, start: number, length: number, format: WavFormat): Int16Array[] {
  const all = interleaved(bytes, start, length, format.encoding)
  const count = format.channelCount
  if (count === 1) return [all]
  const frames = Math.floor(all.length / count)
  return Array.from({ length: count }, (_, channel) => Int16Array.from({ length: frames }, (_unused, i) => all[i * count + channel] as number))
}

function interleaved(bytes: Uint8Array, start: number, length: number, encoding: WavFormat['encoding']): Int16Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, length)
  switch (encoding) {
    case 'mulaw':
      return decodeMulaw(bytes.subarray(start, start + length))
    case 'pcm8':
      return Int16Array.from({ length }, (_, i) => (view.getUint8(i) - 128) << 8)
    case 'pcm16':
      return Int16Array.from({ length: length >> 1 }, (_, i) => view.getInt16(i * 2, true))
    case 'float32':
      return Int16Array.from({ length: length >> 2 }, (_, i) => Math.max(-32768, Math.min(32767, Math.round(view.getFloat32(i * 4, true) * 32768))))
  }
}

function chunkName(view: DataView, offset: number): string {
  return String.fromCharCode(view.getUint8(offset), view.getUint8(offset + 1), view.getUint8(offset + 2), view.getUint8(offset + 3))
}

function writeName(view: DataView, offset: number, name: string): void {
  for (let i = 0; i < 4; i += 1) view.setUint8(offset + i, name.charCodeAt(i))
}

function malformed(reason: string): ClientsViaError {
  return new ClientsViaError('AUDIO_MALFORMED', `WAV: ${reason}`)
}
