import t, { type Test } from 'tap'
import { decodeMulaw, encodeMulaw } from '../../src/audio/g711.ts'
import { levelDb } from '../../src/audio/level.ts'
import { DeepgramSynthesizer } from '../../src/synthesis/deepgram-synthesizer.ts'
import { OpenAiSynthesizer } from '../../src/synthesis/openai-synthesizer.ts'
import { genderOf, voiceAt } from '../../src/synthesis/voices.ts'
import { collect, speakable } from '../support/voices.ts'
import { SteadyClock } from '../support/steady-clock.ts'
import { DeepgramStandIn, tonesOf } from '../vendors/deepgram.ts'
import { OpenAiSpeechStandIn } from '../vendors/openai-speech.ts'
import { clock as vendorClock } from '../vendors/faults.ts'

const clock = new SteadyClock()
vendorClock.follow(clock)
const never = new AbortController().signal
const THALIA = { id: 'aura-2-thalia-en', speed: 1 }
const TEXT = speakable('We can come tomorrow at eight.')
const AUDIO = encodeMulaw(tonesOf(TEXT))

async function aura(t: Test, delays = { firstAudioMs: 20, pieceMs: 0 }) {
  const vendor = await DeepgramStandIn.start({ delays })
  const voice = new DeepgramSynthesizer({ clock, access: { apiKey: 'test-key', baseUrl: vendor.url } })
  t.teardown(() => {
    voice.close()
    return vendor.stop()
  })
  return { vendor, voice }
}

t.test('Aura: a sentence leaves as it is made, byte for byte, and the next one waits for no handshake', async (t) => {
  const { vendor, voice } = await aura(t)
  t.same(Buffer.from(await collect(voice.synthesize(TEXT, THALIA, never))), Buffer.from(AUDIO))
  t.same(Buffer.from(await collect(voice.synthesize(TEXT, THALIA, never))), Buffer.from(AUDIO))
  t.equal(vendor.server.requests.length, 1, 'one connection')
  t.match(Object.fromEntries(vendor.server.requests[0]?.query ?? []), { model: 'aura-2-thalia-en', encoding: 'mulaw', sample_rate: '8000' })
  t.equal(vendor.server.requests[0]?.headers.authorization, 'Token test-key')
  t.same(vendor.said.map(({ type }) => type), ['Speak', 'Flush', 'Speak', 'Flush'])
  t.equal(voice.waitingLines, 1)
})

t.test('Aura: sentences asked for at once come each on its own line, and a line can be had ready before the first', async (t) => {
  const { vendor, voice } = await aura(t)
  voice.prepare(THALIA)
  while (voice.waitingLines === 0) await clock.sleep(2)
  const other = speakable('Is that all right?')
  const [one, two] = await Promise.all([collect(voice.synthesize(TEXT, THALIA, never)), collect(voice.synthesize(other, THALIA, never))])
  t.same(Buffer.from(one), Buffer.from(AUDIO))
  t.same(Buffer.from(two), Buffer.from(encodeMulaw(tonesOf(other))))
  t.equal(vendor.server.requests.length, 2)
})

t.test('Aura: a caller who interrupts stops the vendor too, and the line serves the next sentence', async (t) => {
  const { vendor, voice } = await aura(t, { firstAudioMs: 5, pieceMs: 10 })
  const interruption = new AbortController()
  const heard: Uint8Array[] = []
  await t.rejects(async () => {
    for await (const chunk of voice.synthesize(TEXT, THALIA, interruption.signal)) {
      heard.push(chunk)
      interruption.abort(new Error('the caller speaks'))
    }
  }, { message: 'the caller speaks' })
  t.equal(heard.length, 1)
  t.same(Buffer.from(await collect(voice.synthesize(speakable('Yes.'), THALIA, never))), Buffer.from(encodeMulaw(tonesOf('Yes.'))), 'nothing of the old sentence is in it')
  t.same(vendor.said.map(({ type }) => type), ['Speak', 'Flush', 'Clear', 'Speak', 'Flush'])
  t.equal(vendor.spoken[0]?.outcome, 'cut')
  t.equal(vendor.server.requests.length, 1)
})

t.test('Aura: a line that was closed while it waited costs a handshake, not the sentence', async (t) => {
  const { vendor, voice } = await aura(t)
  await collect(voice.synthesize(TEXT, THALIA, never))
  await vendor.server.fail('reset')
  await vendor.server.fail(null)
  t.same(Buffer.from(await collect(voice.synthesize(TEXT, THALIA, never))), Buffer.from(AUDIO))
})

t.test('Aura: what goes wrong is said, never played', async (t) => {
  for (const fault of ['refused', '401', '429', '500', 'reset'] as const) {
    const { vendor, voice } = await aura(t)
    await vendor.server.fail(fault)
    await t.rejects(collect(voice.synthesize(TEXT, THALIA, never)), { code: 'ENGINE_UNAVAILABLE' }, fault)
    t.equal(voice.waitingLines, 0)
  }
})

t.test('OpenAI speech: 24 kHz samples in odd pieces arrive as the telephone audio they are', async (t) => {
  const vendor = await OpenAiSpeechStandIn.start()
  const voice = new OpenAiSynthesizer({ apiKey: 'test-key', baseUrl: vendor.baseUrl, model: 'gpt-4o-mini-tts' })
  t.teardown(async () => {
    await voice.close()
    await vendor.stop()
  })
  const audio = await collect(voice.synthesize(TEXT, { id: 'coral', speed: 1.1 }, never))
  t.equal(audio.length, AUDIO.length)
  const [heard, said] = [decodeMulaw(audio), decodeMulaw(AUDIO)]
  const difference = Int16Array.from(heard, (sample, i) => sample - (said[i] as number))
  t.ok(levelDb(difference) < levelDb(said) - 15, `${levelDb(difference).toFixed(1)} dB of ${levelDb(said).toFixed(1)} dB`)
  t.match(vendor.requests, [{ model: 'gpt-4o-mini-tts', voice: 'coral', input: TEXT, response_format: 'pcm', speed: 1.1 }])
  t.equal(vendor.server.requests[0]?.headers.authorization, 'Bearer test-key')

  await vendor.server.fail('garbage')
  await t.rejects(collect(voice.synthesize(TEXT, { id: 'coral', speed: 1 }, never)), /sent a WAV file instead of PCM/)
  await vendor.server.fail('stall')
  const interruption = new AbortController()
  await t.rejects(async () => {
    for await (const _ of voice.synthesize(TEXT, { id: 'coral', speed: 1 }, interruption.signal)) interruption.abort(new Error('the caller speaks'))
  }, { message: 'the caller speaks' })
  while (vendor.server.aborted === 0) await clock.sleep(5)
  await vendor.server.fail('401')
  await t.rejects(collect(voice.synthesize(TEXT, { id: 'coral', speed: 1 }, never)), /401/)
})

t.test('an agent sounds like the same person at every engine, as nearly as can be', async (t) => {
  for (const id of ['slt', 'kal', 'awb', 'coral', 'onyx', 'aura-2-thalia-en', 'aura-2-zeus-en', 'aura-asteria-en']) {
    for (const engine of ['embedded', 'deepgram', 'openai'] as const) {
      const voice = voiceAt(engine, { id, speed: 1.1 })
      t.equal(genderOf(voice.id), genderOf(id), `${id} at ${engine} is ${voice.id}`)
      t.equal(voice.speed, 1.1)
    }
  }
  t.equal(voiceAt('deepgram', { id: 'aura-2-newname-en', speed: 1 }).id, 'aura-2-newname-en')
})
