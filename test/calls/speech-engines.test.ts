import t, { type Test } from 'tap'
import { loadConfig } from '../../src/config.ts'
import { Breakers } from '../../src/core/breaker.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { createMetrics } from '../../src/observability/metrics.ts'
import type { CompanyContext } from '../../src/response/company-context.ts'
import { createSpeechEngines, OWN_DEEPGRAM_KEY } from '../../src/speech-engines.ts'
import { PhraseCache } from '../../src/synthesis/phrase-cache.ts'
import { contextOf, demoCompany } from '../support/fake-company.ts'
import { FakeSynthesizer } from '../support/fake-synthesizer.ts'
import { FakeTranscriber } from '../support/fake-transcriber.ts'
import { collect, speakable } from '../support/voices.ts'
import { faintNoise, frames } from '../transcription/transcriber-contract.ts'
import { SteadyClock } from '../support/steady-clock.ts'
import { DeepgramStandIn } from '../vendors/deepgram.ts'
import { OpenAiSpeechStandIn } from '../vendors/openai-speech.ts'
import { clock as vendorClock } from '../vendors/faults.ts'

const clock = new SteadyClock()
vendorClock.follow(clock)
const signal = new AbortController().signal
const HELLO = speakable('Hello there.')
type Engines = Readonly<{ stt?: 'default' | 'embedded' | 'deepgram'; tts?: 'default' | 'embedded' | 'deepgram' | 'openai' }>

function contextFor(companyId: string, engines: Engines): CompanyContext {
  const file = demoCompany('polar-bay-air')
  const agent = { ...file.agent, companyId, engines: { ...file.agent.engines, ...engines } }
  return contextOf({ ...file, company: { ...file.company, id: companyId }, agent, knowledge: [] })
}

async function world(t: Test, env: Record<string, string>, ownKeys: Record<string, string> = {}) {
  const deepgram = await DeepgramStandIn.start({ delays: { firstAudioMs: 1 } })
  const openai = await OpenAiSpeechStandIn.start()
  openai.delays.firstAudioMs = 1
  // However busy the machine is, the vendor of a test is not late.
  const config = loadConfig({ TURN_HARD_MS: '10000', TURN_SYNTHESIS_MS: '10000', ...env, DEEPGRAM_BASE_URL: deepgram.url, OPENAI_BASE_URL: openai.baseUrl })
  const synthesizer = new FakeSynthesizer({ clock, name: 'embedded' })
  const transcriber = new FakeTranscriber({ clock, utterances: [] })
  const metrics = createMetrics({ process: false })
  const looked: string[] = []
  const speech = createSpeechEngines({
    config,
    clock,
    logger: createLogger({ level: 'silent', speech: false, version: 'test' }),
    metrics,
    breakers: new Breakers(clock),
    transcriber,
    synthesizer,
    phrases: new PhraseCache({ synthesizer, folder: null }),
    secretOf: async (companyId, name) => {
      looked.push(`${companyId} ${name}`)
      return name === OWN_DEEPGRAM_KEY ? (ownKeys[companyId] ?? null) : null
    },
  })
  t.teardown(async () => {
    await speech.close()
    await deepgram.stop()
    await openai.stop()
  })
  const contexts = new Map<string, CompanyContext>()
  const source = speech.knowing({ load: async (companyId) => contexts.get(companyId) as CompanyContext, invalidate: () => undefined })
  const company = async (companyId: string, engines: Engines): Promise<CompanyContext> => {
    contexts.set(companyId, contextFor(companyId, engines))
    return source.load(companyId, signal)
  }
  const open = (companyId: string, callId = 'CA1') => speech.transcriber.open({ companyId, callId, language: 'en-US', vocabulary: [] }, signal)
  return { deepgram, openai, synthesizer, transcriber, metrics, looked, speech, source, company, open }
}

t.test('each company is heard and spoken for by the engines that it chose, the platform’s where it did not', async (t) => {
  const { deepgram, openai, synthesizer, transcriber, speech, company, open, looked } = await world(t, { TTS_ENGINE: 'deepgram', STT_ENGINE: 'deepgram' })
  await collect(speech.voiceOf(await company('usual', {})).synthesize(HELLO, { id: 'rms', speed: 1 }, signal))
  t.equal(deepgram.spoken[0]?.model, 'aura-2-orion-en', 'a man stays a man')
  await collect(speech.voiceOf(await company('spoken-by-openai', { tts: 'openai' })).synthesize(HELLO, { id: 'slt', speed: 1 }, signal))
  t.match(openai.requests, [{ voice: 'coral', input: HELLO }])
  await collect(speech.voiceOf(await company('at-home', { tts: 'embedded', stt: 'embedded' })).synthesize(HELLO, { id: 'aura-2-zeus-en', speed: 1 }, signal))
  t.match(synthesizer.spoken, [{ text: HELLO, voice: { id: 'rms' } }])
  t.notOk(looked.some((name) => name.startsWith('at-home')), 'no key is looked for where none is needed')
  const sessions = ['usual', 'at-home'].map((id) => open(id))
  t.equal(transcriber.openSessions, 1, 'one of them listens at home')
  while (!deepgram.server.requests.some(({ path }) => path === '/v1/listen')) await clock.sleep(2)
  for (const session of sessions) await session.close()
})

t.test('a company’s own key is used for its calls alone, and a new one from the moment it is saved', async (t) => {
  const ownKeys: Record<string, string> = { rich: 'own-key' }
  const { deepgram, source, company, open } = await world(t, { DEEPGRAM_API_KEY: 'platform-key', STT_ENGINE: 'deepgram' }, ownKeys)
  await company('rich', {})
  await company('poor', {})
  const keysSeen = async (count: number): Promise<(string | undefined)[]> => {
    while (deepgram.server.requests.length < count) await clock.sleep(2)
    return deepgram.server.requests.map(({ headers }) => headers.authorization)
  }
  const sessions = [open('rich')]
  t.same(await keysSeen(1), ['Token own-key'])
  sessions.push(open('poor'))
  t.same((await keysSeen(2)).at(-1), 'Token platform-key')
  ownKeys['rich'] = 'newer-key'
  source.invalidate('rich')
  await source.load('rich', signal)
  sessions.push(open('rich'))
  t.same((await keysSeen(3)).at(-1), 'Token newer-key')
  for (const session of sessions) await session.close()
})

t.test('what vendors did for a call is on its bill and in the metrics; the embedded engines are on nobody’s', async (t) => {
  const { metrics, speech, company, open } = await world(t, { TTS_ENGINE: 'deepgram', STT_ENGINE: 'deepgram', STT_MINUTE_CENTS: '0.6', TTS_CHARACTER_CENTS: '0.003' })
  const context = await company('usual', {})
  const voice = speech.voiceOf(context, 'CA1')
  await collect(voice.synthesize(HELLO, { id: 'slt', speed: 1 }, signal))
  await collect(voice.synthesize(HELLO, { id: 'slt', speed: 1 }, signal))
  const session = open('usual')
  const heard = session.events[Symbol.asyncIterator]()
  for (const frame of frames(faintNoise(16_000), 0, 1000)) session.push(frame)
  session.hint({ kind: 'speech-started', mediaMs: 500 })
  session.hint({ kind: 'speech-paused', lastVoicedMs: 900 })
  await heard.next()
  await session.close()
  t.same(speech.spendOf('CA1'), { sttSeconds: 1, ttsCharacters: HELLO.length }, 'the phrase from the cache cost nothing')
  t.equal(speech.spendOf('CA2'), null)
  const text = await metrics.text()
  t.match(text, /clientsvia_stt_seconds_total\{engine="deepgram"\} 1\n/)
  t.match(text, new RegExp(`clientsvia_tts_characters_total\\{engine="deepgram"\\} ${HELLO.length}\\n`))
  t.match(text, /clientsvia_speech_cost_cents_total\{use="stt"\} 0\.01/)
  t.match(text, /clientsvia_engine_first_byte_seconds_count\{use="stt",engine="deepgram"\} 1/)
  t.match(text, /clientsvia_breaker_state\{provider="deepgram stt"\} 0/)
})

t.test('a company that chose an engine without a key is served by the embedded ones', async (t) => {
  const synthesizer = new FakeSynthesizer({ clock, name: 'embedded' })
  const transcriber = new FakeTranscriber({ clock, utterances: [] })
  const speech = createSpeechEngines({
    config: loadConfig({}),
    clock,
    logger: createLogger({ level: 'silent', speech: false, version: 'test' }),
    metrics: createMetrics({ process: false }),
    breakers: new Breakers(clock),
    transcriber,
    synthesizer,
    phrases: new PhraseCache({ synthesizer, folder: null }),
    secretOf: () => new Promise(() => undefined),
  })
  const context = contextFor('keyless', { stt: 'deepgram', tts: 'deepgram' })
  const startedAt = clock.now()
  await speech.knowing({ load: async () => context, invalidate: () => undefined }).load(context.company.id, signal)
  t.ok(clock.now() - startedAt < 1000, 'and keys that cannot be read are not waited for')
  await collect(speech.voiceOf(context).synthesize(HELLO, { id: 'slt', speed: 1 }, signal))
  t.equal(synthesizer.spoken.length, 1)
  const session = speech.transcriber.open({ companyId: context.company.id, callId: 'CA1', language: 'en-US', vocabulary: [] }, signal)
  t.equal(transcriber.openSessions, 1)
  await session.close()
  await speech.close()
})

t.test('where one vendor fails the other one speaks in a voice of the same kind, and only behind both the one that comes along', async (t) => {
  const { deepgram, openai, synthesizer, speech, company, metrics } = await world(t, { TTS_ENGINE: 'deepgram', TTS_SECOND_ENGINE: 'openai' })
  const speak = async (companyId: string): Promise<void> => void (await collect(speech.voiceOf(await company(companyId, {})).synthesize(HELLO, { id: 'rms', speed: 1 }, signal)))
  await deepgram.server.fail('500')
  await speak('one')
  t.match(openai.requests, [{ voice: 'ash', input: HELLO }])
  t.equal(synthesizer.spoken.length, 0)
  await openai.server.fail('429')
  await speak('two')
  t.match(synthesizer.spoken, [{ text: HELLO, voice: { id: 'rms' } }])
  const text = await metrics.text()
  t.match(text, /clientsvia_speech_engine_failures_total\{use="tts",engine="deepgram"\} 2\n/)
  t.match(text, /clientsvia_speech_engine_failures_total\{use="tts",engine="openai gpt-4o-mini-tts"\} 1\n/)
  await company('at-home', { tts: 'embedded' })
  await deepgram.server.fail(null)
  await collect(speech.voiceOf(await company('at-home', { tts: 'embedded' })).synthesize(speakable('And at home.'), { id: 'rms', speed: 1 }, signal))
  t.equal(openai.requests.length, 1, 'who chose the voice that comes along pays nobody')
})
