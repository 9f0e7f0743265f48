import fc from 'fast-check'
import t from 'tap'
import { decodeMulaw, encodeMulaw, MULAW_SILENCE } from '../../src/audio/g711.ts'
import { levelDb, mulawLevelDb, NoiseFloor, SILENCE_DB } from '../../src/audio/level.ts'
import { resample, StreamingResampler } from '../../src/audio/resample.ts'
import { readWav, writeWav } from '../../src/audio/wav.ts'

function tone(hz: number, sampleRateHz: number, durationMs: number, amplitude = 10_000): Int16Array {
  return Int16Array.from({ length: (durationMs * sampleRateHz) / 1000 }, (_, i) => Math.round(amplitude * Math.sin((2 * Math.PI * hz * i) / sampleRateHz)))
}

t.test('every µ-law byte survives decoding and encoding', async (t) => {
  for (let byte = 0; byte < 256; byte += 1) {
    const back = encodeMulaw(decodeMulaw(Uint8Array.of(byte)))[0]
    // 0x7f is negative zero: it means silence too, and comes back as the positive one.
    t.equal(back, byte === 0x7f ? MULAW_SILENCE : byte)
  }
  t.same([...decodeMulaw(Uint8Array.of(0x00, 0x80, 0xff, 0xf0, 0x70))], [-32124, 32124, 0, 120, -120], 'values of the G.711 table')
})

t.test('µ-law loses no more than half a step of the segment', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: -32635, max: 32635 }), (sample) => {
      const back = decodeMulaw(encodeMulaw(Int16Array.of(sample)))[0] as number
      return Math.abs(back - sample) <= Math.max(4, (Math.abs(sample) + 132) / 32)
    }),
  )
  t.equal(decodeMulaw(encodeMulaw(Int16Array.of(32767)))[0], 32124, 'the loudest sample is clipped, not wrapped')
  t.equal(decodeMulaw(encodeMulaw(Int16Array.of(-32768)))[0], -32124)
})

t.test('a tone keeps its pitch, level and length through the sample rates of the trade', async (t) => {
  for (const [fromHz, toHz] of [[8000, 16000], [16000, 8000], [24000, 8000], [22050, 8000], [44100, 8000], [48000, 16000]] as const) {
    const input = tone(1000, fromHz, 500)
    const output = resample(input, fromHz, toHz)
    t.equal(output.length, Math.ceil((input.length * toHz) / fromHz), `${fromHz} -> ${toHz}`)
    const expected = tone(1000, toHz, 500)
    let worst = 0
    for (let i = 200; i < expected.length - 200; i += 1) worst = Math.max(worst, Math.abs((expected[i] as number) - (output[i] as number)))
    t.ok(worst < 25, `largest difference from the ideal tone is ${worst} of 10000`)
  }
})

t.test('what the lower rate cannot carry is gone, not folded back', async (t) => {
  t.ok(levelDb(resample(tone(5000, 16000, 500), 16000, 8000).subarray(200, -200)) < -70)
  const image = resample(tone(3000, 8000, 500), 8000, 16000)
  let atImage = 0
  let atTone = 0
  for (let i = 200; i < image.length - 200; i += 1) {
    atImage += (image[i] as number) * Math.cos((2 * Math.PI * 5000 * i) / 16000)
    atTone += (image[i] as number) * Math.sin((2 * Math.PI * 3000 * i) / 16000)
  }
  t.ok(Math.abs(atImage) < Math.abs(atTone) / 1000, 'no mirror image above the old band')
})

t.test('audio in pieces sounds as audio in one piece', async (t) => {
  const speechLike = Int16Array.from({ length: 3000 }, (_, i) => Math.round(8000 * Math.sin(i / 3 + (i / 400) ** 2)))
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 12 }), fc.constantFrom([8000, 16000], [16000, 8000], [22050, 8000]), (cuts, [fromHz, toHz]) => {
      const streaming = new StreamingResampler(fromHz as number, toHz as number)
      const pieces: number[] = []
      let at = 0
      for (const cut of cuts) {
        pieces.push(...streaming.push(speechLike.subarray(at, at + cut)))
        at += Math.min(cut, speechLike.length - at)
      }
      pieces.push(...streaming.push(speechLike.subarray(at)), ...streaming.flush())
      t.same(pieces, [...resample(speechLike, fromHz as number, toHz as number)])
    }),
    { numRuns: 30 },
  )
  t.same(resample(speechLike, 8000, 8000), speechLike)
  t.throws(() => resample(speechLike, 0, 8000), /fromHz must be a whole number/)
})

t.test('levels are dB below full scale', async (t) => {
  t.equal(levelDb(new Int16Array(160)), SILENCE_DB)
  t.equal(levelDb(new Int16Array(0)), SILENCE_DB)
  t.ok(Math.abs(levelDb(tone(1000, 8000, 20, 32767)) + 3.01) < 0.05, 'a full-scale sine is 3 dB below a square wave')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 160 }), (mulaw) => mulawLevelDb(mulaw) === levelDb(decodeMulaw(mulaw))),
    { numRuns: 200 },
  )
})

t.test('the noise floor falls fast, climbs slowly and learns steady noise in 2.5 s', async (t) => {
  const floor = new NoiseFloor(-40)
  for (let i = 0; i < 10; i += 1) floor.observe(-60, false)
  t.ok(floor.db < -59)
  for (let i = 0; i < 50; i += 1) floor.observe(-20, true)
  t.ok(floor.db < -57, 'a second of speech lifts it 1 dB')
  for (let i = 0; i < 124; i += 1) floor.observe(-35, false)
  for (let i = 0; i < 10; i += 1) floor.observe(-35, false)
  t.ok(floor.db >= -35.2, 'an air conditioner that starts mid-call is noise after 2.5 s')
  for (let i = 0; i < 500; i += 1) floor.observe(-10, false)
  t.equal(floor.db, -25, 'clamped: a shout that never ends is not a floor')
})

t.test('a recording is the same after writing and reading', async (t) => {
  const wav = { sampleRateHz: 8000, channels: [tone(440, 8000, 50), tone(880, 8000, 50)] }
  t.same(readWav(writeWav(wav)), wav)
  t.throws(() => writeWav({ sampleRateHz: 8000, channels: [new Int16Array(2), new Int16Array(3)] }), { code: 'AUDIO_MALFORMED' })
})

/** A file by hand: any format tag, an odd-length chunk before the data, an unaligned buffer. */
function wavBytes(tag: number, bits: number, data: Uint8Array, extensible = false): Uint8Array {
  const fmtLength = extensible ? 40 : 16
  const bytes = new Uint8Array(1 + 12 + 8 + fmtLength + 8 + 4 + 8 + data.length).subarray(1)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const name = (offset: number, text: string): void => bytes.set(new TextEncoder().encode(text), offset)
  name(0, 'RIFF')
  name(8, 'WAVE')
  name(12, 'fmt ')
  view.setUint32(16, fmtLength, true)
  view.setUint16(20, extensible ? 0xfffe : tag, true)
  view.setUint16(22, 1, true)
  view.setUint32(24, 8000, true)
  view.setUint16(34, bits, true)
  if (extensible) view.setUint16(44, tag, true)
  const odd = 20 + fmtLength
  name(odd, 'LIST')
  view.setUint32(odd + 4, 3, true)
  name(odd + 12, 'data')
  view.setUint32(odd + 16, data.length, true)
  bytes.set(data, odd + 20)
  return bytes
}

t.test('recordings of every common kind are read', async (t) => {
  const floats = new Uint8Array(new Float32Array([0.5, -1, 2]).buffer)
  t.same([...(readWav(wavBytes(3, 32, floats)).channels[0] as Int16Array)], [16384, -32768, 32767])
  t.same([...(readWav(wavBytes(3, 32, floats, true)).channels[0] as Int16Array)], [16384, -32768, 32767])
  t.same([...(readWav(wavBytes(1, 8, Uint8Array.of(128, 0, 255))).channels[0] as Int16Array)], [0, -32768, 32512])
  t.same([...(readWav(wavBytes(7, 8, Uint8Array.of(0xff, 0x80))).channels[0] as Int16Array)], [0, 32124])
  t.same([...(readWav(wavBytes(1, 16, Uint8Array.of(1, 0, 255, 255))).channels[0] as Int16Array)], [1, -1])
})

t.test('a damaged recording is refused with a sentence that says why', async (t) => {
  const good = wavBytes(1, 16, Uint8Array.of(1, 0))
  t.throws(() => readWav(new Uint8Array(4)), /not a RIFF\/WAVE file/)
  t.throws(() => readWav(good.subarray(0, 40)), /no data chunk/)
  t.throws(() => readWav(good.subarray(0, 14)), /no fmt chunk/)
  t.throws(() => readWav(wavBytes(2, 4, new Uint8Array(0))), /format 2 with 4 bits/)
  t.same(readWav(good.subarray(0, good.length - 1)).channels[0]?.length, 0, 'half a sample at the end is left out')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (noise) => {
      const bytes = new Uint8Array(good)
      bytes.set(noise.subarray(0, bytes.length))
      try {
        readWav(bytes)
        return true
      } catch (error) {
        return error instanceof Error && error.message.startsWith('WAV: ')
      }
    }),
  )
})
