import t from 'tap'
import { decodeMulaw } from '../../src/audio/g711.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { EmbeddedSynthesizer } from '../../src/synthesis/embedded-synthesizer.ts'
import { FLITE_VOICES } from '../../src/synthesis/flite-protocol.ts'
import type { PrioritySynthesizer } from '../../src/synthesis/speaking.ts'
import { toTelephone } from '../../src/synthesis/telephone-audio.ts'
import { FakeSynthesizer } from '../support/fake-synthesizer.ts'
import { collect, SLT, speakable } from '../support/voices.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const never = new AbortController().signal
const clock = new SystemClock()
/** A thread on a busy machine may take longer over a clause than a caller would wait: here nobody gives it up. */
const patient = new VirtualClock()
const embedded = new EmbeddedSynthesizer({ clock: patient })
t.teardown(() => embedded.close())

const SENTENCE = speakable('The diagnostic visit is $89.95, and it is waived if you go ahead with the repair on the same day.')

/** RMS in dBFS over the 20 ms frames that hold speech, the peak as a share of full scale, and silence at both ends in ms. */
function measure(mulaw: Uint8Array) {
  const samples = decodeMulaw(mulaw)
  let energy = 0
  let frames = 0
  let peak = 0
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample) / 32768)
  for (let start = 0; start + 160 <= samples.length; start += 160) {
    const power = samples.subarray(start, start + 160).reduce((sum, sample) => sum + (sample / 32768) ** 2, 0) / 160
    if (10 * Math.log10(power + 1e-12) < -40) continue
    energy += power
    frames += 1
  }
  const loud = (sample: number): boolean => Math.abs(sample) > 200
  return {
    levelDb: 10 * Math.log10(energy / Math.max(1, frames)),
    peak,
    leadMs: samples.findIndex(loud) / 8,
    tailMs: (samples.length - 1 - samples.findLastIndex(loud)) / 8,
    durationMs: samples.length / 8,
  }
}

for (const [name, synthesizer] of [
  ['the embedded voice', embedded],
  ['the fake voice', new FakeSynthesizer({ clock })],
] as readonly (readonly [string, PrioritySynthesizer])[]) {
  t.test(`${name} keeps the contract of a voice`, async (t) => {
    const audio = await collect(synthesizer.synthesize(SENTENCE, SLT, never))
    t.ok(audio.length > 8000, 'more than a second of µ-law')
    t.same(await collect(synthesizer.synthesize(SENTENCE, SLT, never)), audio, 'the same every time')
    t.ok((await collect(synthesizer.synthesize(speakable('Goodbye.'), SLT, never))).length < audio.length, 'less text, less audio')
    t.equal((await collect(synthesizer.synthesize(speakable(' '), SLT, never))).length, 0, 'nothing to say is no audio')
    const reason = new Error('hung up')
    const gone = new AbortController()
    gone.abort(reason)
    await t.rejects(collect(synthesizer.synthesize(SENTENCE, SLT, gone.signal)), reason)
    const leaving = new AbortController()
    let chunks = 0
    const heard = (async () => {
      for await (const _ of synthesizer.synthesize(SENTENCE, SLT, leaving.signal)) {
        chunks += 1
        leaving.abort(reason)
      }
    })()
    await t.rejects(heard, reason)
    t.equal(chunks, 1, 'nothing comes after the abort')
  })
}

t.test('every voice speaks at telephone level, begins at once and never clips', async (t) => {
  for (const id of FLITE_VOICES) {
    const heard = measure(await collect(embedded.synthesize(SENTENCE, { id, speed: 1 }, never)))
    t.ok(Math.abs(heard.levelDb + 18) < 2, `${id}: ${heard.levelDb.toFixed(1)} dBFS`)
    t.ok(heard.peak < 0.97, `${id}: peak ${heard.peak.toFixed(2)}`)
    t.ok(heard.leadMs <= 20, `${id}: ${heard.leadMs} ms before the first sound`)
    t.ok(heard.tailMs >= 100 && heard.tailMs <= 150, `${id}: ${heard.tailMs} ms after the last`)
    t.ok(heard.durationMs > 4000 && heard.durationMs < 9000, `${id}: ${heard.durationMs} ms`)
  }
})

t.test('pace and pitch change what is heard, and a wrong setting is named', async (t) => {
  const ms = async (speed: number): Promise<number> => measure(await collect(embedded.synthesize(SENTENCE, { id: 'slt', speed }, never))).durationMs
  const [slow, own, fast] = [await ms(0.7), await ms(1), await ms(1.4)]
  t.ok(slow > own * 1.25 && fast < own * 0.85, `${slow}, ${own}, ${fast} ms`)
  t.notSame(await collect(embedded.speakAt(1.25, speakable('Hello there.'), SLT, never)), await collect(embedded.synthesize(speakable('Hello there.'), SLT, never)))
  await t.rejects(ms(3), { code: 'INVALID_INPUT', message: /voice\.speed/ })
  await t.rejects(collect(embedded.synthesize(SENTENCE, { id: 'aura', speed: 1 }, never)), { code: 'INVALID_INPUT', message: /voice\.id/ })
})

t.test('clauses are joined without a click', async (t) => {
  for await (const chunk of embedded.synthesize(SENTENCE, SLT, never)) {
    const samples = decodeMulaw(chunk)
    t.ok(Math.abs(samples[0] as number) < 100 && Math.abs(samples.at(-1) as number) < 100, 'each begins and ends in silence')
  }
  const square = Int16Array.from({ length: 8000 }, (_, i) => (i % 80 < 40 ? 30_000 : -30_000))
  const loud = decodeMulaw(toTelephone(square, 8000, 12, 0))
  t.ok(loud.every((sample) => Math.abs(sample) < 32_000), 'far too loud is rounded off, not clipped')
  t.equal(toTelephone(new Int16Array(16_000), 16_000, 0, 120).length, 0, 'silence is not speech')
})

t.test('a voice thread that dies in mid-sentence is replaced and the sentence is heard whole', async (t) => {
  const whole = await collect(embedded.synthesize(SENTENCE, SLT, never))
  const chunks: Uint8Array[] = []
  for await (const chunk of embedded.synthesize(SENTENCE, SLT, never)) {
    chunks.push(chunk)
    if (chunks.length === 1) await embedded.pool.workers[0]?.terminate()
  }
  t.same(Buffer.concat(chunks), whole)
})

t.test('a caller goes before what is only being made ready', async (t) => {
  const order: string[] = []
  const say = async (name: string, priority: 'live' | 'warm'): Promise<void> => {
    await collect(embedded.synthesize(speakable(`This is number ${name.length}.`), SLT, never, { priority }))
    order.push(name)
  }
  await Promise.all([say('warm', 'warm'), say('warm two', 'warm'), say('warm three', 'warm'), say('caller', 'live')])
  t.ok(order.indexOf('caller') <= 1, order.join(', '))
})

t.test('too many waiting sentences are refused, and a closed voice says so', async (t) => {
  const busy = new EmbeddedSynthesizer({ clock: patient })
  const leaving = new AbortController()
  const waiting = Array.from({ length: 70 }, () => collect(busy.synthesize(speakable('Hello.'), SLT, leaving.signal)))
  const results = Promise.allSettled(waiting)
  await t.rejects(waiting.at(-1) as Promise<Uint8Array>, { code: 'ENGINE_UNAVAILABLE' })
  leaving.abort(new Error('hung up'))
  t.ok((await results).every((result) => result.status === 'rejected'))
  t.equal(busy.pool.queued, 0, 'who left waits no longer')
  const last = collect(busy.synthesize(speakable('Hello.'), SLT, never))
  last.catch(() => undefined)
  await busy.close()
  await t.rejects(last, { code: 'ENGINE_UNAVAILABLE' })
  await t.rejects(collect(busy.synthesize(speakable('Hello.'), SLT, never)), { code: 'ENGINE_UNAVAILABLE' })
})
