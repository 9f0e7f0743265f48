import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadConfig } from '../../src/config.ts'
import { callerSpans } from '../../src/load/ears.ts'
import { parseCallScript, readClip, type LoadedScript } from '../../src/load/call-script.ts'
import { placeCall } from '../../src/load/simulated-caller.ts'
import { SocketTransport } from '../../src/load/socket-transport.ts'
import { fetchEndedCall } from '../../src/load/turn-records.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { createPlatform } from '../../src/platform.ts'
import { MongoDatabase, PATIENT } from '../../src/storage/mongo-database.ts'
import { migrateMongo } from '../../src/storage/mongo-schema.ts'
import { WatchedTransport } from '../bench/support/fault-calls.ts'
import { dataDir } from '../support/data-dir.ts'
import { mongoService, redisService } from '../support/services.ts'
import { speak } from '../support/speech.ts'
import { until } from '../support/until.ts'
import { DeepgramStandIn, tonesOf } from '../vendors/deepgram.ts'
import { clock, type Fault } from '../vendors/faults.ts'
import { FaultyStore, MONGO_WIRE, REDIS_WIRE } from '../vendors/faulty-store.ts'
import { OpenAiStandIn } from '../vendors/openai.ts'
import { PineconeStandIn } from '../vendors/pinecone.ts'
import { ACCOUNT, TwilioStandIn } from '../vendors/twilio-rest.ts'

const RECORDINGS = join(import.meta.dirname, '../../media/calls')
const NUMBER = '+15550100000'
const never = new AbortController().signal
/** Into the agent's first answer. */
const FALLS_AFTER_MS = 300

t.setTimeout(300_000)
const [mongo, redis] = [await mongoService(), await redisService(4)]

/** A server that depends on all that it can depend on, and the switch for all of it. */
async function world(t: Test) {
  const deepgram = await DeepgramStandIn.start({ hears: { kind: 'bursts', texts: ['When are you open on Saturday?'] }, speaks: (text) => tonesOf(text).slice(0, tonesOf(text).length / 2) })
  const openai = await OpenAiStandIn.start()
  const pinecone = await PineconeStandIn.start()
  const twilio = await TwilioStandIn.start()
  const name = `clientsvia-down-${process.pid}`
  const database = mongo === null ? null : MongoDatabase.open(mongo.url, name, PATIENT)
  if (database !== null) await migrateMongo(database, () => undefined)
  const mongoWire = mongo === null ? null : await FaultyStore.open(mongo, MONGO_WIRE)
  const redisWire = redis === null ? null : await FaultyStore.open(redis, REDIS_WIRE)
  const ill = (fault: Fault | null): Promise<unknown> =>
    Promise.all([deepgram.server.fail(fault), openai.fail(fault), pinecone.fail(fault), twilio.vendor.fail(fault), mongoWire?.fail(fault), redisWire?.fail(fault)])
  const config = loadConfig({
    PORT: '0', DATA_DIR: dataDir(t), SHUTDOWN_GRACE_SECONDS: '1', STT_WORKERS: '1',
    // A machine that is busy with other tests is to take these calls all the same.
    LOOP_LAG_LIMIT_MS: '600000',
    STT_ENGINE: 'deepgram', TTS_ENGINE: 'deepgram', TTS_SECOND_ENGINE: 'openai', LLM_ENGINE: 'openai', EMBEDDINGS_ENGINE: 'openai', VECTORS: 'pinecone',
    DEEPGRAM_BASE_URL: deepgram.url, OPENAI_BASE_URL: openai.baseUrl, OPENAI_EMBEDDING_DIMENSIONS: '256', PINECONE_INDEX_HOST: pinecone.host,
    TWILIO_ACCOUNT_SID: ACCOUNT.accountSid, TWILIO_AUTH_TOKEN: ACCOUNT.authToken, TWILIO_BASE_URL: twilio.url,
    ...(mongoWire === null ? {} : { MONGODB_URL: `mongodb://127.0.0.1:${mongoWire.port}/${name}` }),
    ...(redisWire === null ? {} : { REDIS_URL: `redis://127.0.0.1:${redisWire.port}/4` }),
  })
  const platform = await createPlatform(config, createLogger({ level: 'silent', speech: false, version: 'test' }))
  t.teardown(async () => {
    await ill(null)
    await platform.stop()
    await Promise.all([deepgram.stop(), openai.stop(), pinecone.stop(), twilio.stop(), mongoWire?.close(), redisWire?.close()])
    await database?.run((db) => db.dropDatabase())
    await database?.close()
  })
  const { publicBaseUrl: target } = await platform.start()
  return { deepgram, ill, target, transport: () => new WatchedTransport(new SocketTransport(clock, ACCOUNT.authToken)) }
}

const say = (wav: string, quietMs: number): unknown => ({ do: 'say', wav, text: wav, voice: 'ellen', when: { after: 'agent-finished', quietMs } })

async function script(name: string, ends: 'transfer' | 'voicemail', wavs: readonly string[]): Promise<LoadedScript> {
  const message = await speak('I would like to leave a message.')
  const clip = async (wav: string) => (wav === 'message.wav' ? { samples: message, spans: callerSpans(message) } : readClip(join(RECORDINGS, wav)))
  const parsed = parseCallScript({ name, description: 'Somebody who needs no vendor.', to: NUMBER, steps: wavs.map((wav) => say(wav, 400)), ends }, name)
  return { script: parsed, clips: new Map(await Promise.all(wavs.map(async (wav) => [wav, await clip(wav)] as const))) }
}

// How long the silences are is measured by `npm run bench:faults`, one dependency after the other: this is the worst of all days.
t.test('everything that the server depends on goes down in the middle of a call: it is finished, the next one is greeted, a person and a message are still to be had', { timeout: 280_000 }, async (t) => {
  const { deepgram, ill, target, transport } = await world(t)
  const place = (what: LoadedScript, over = transport()) => placeCall({ clock, transport: over, target, accountSid: ACCOUNT.accountSid, script: what }, never)
  const watched = transport()
  const fallen = watched.moment('answer', FALLS_AFTER_MS).then(() => ill('refused'))
  const underWay = place(await script('under-way', 'transfer', ['faq-hours.wav', 'transfer.wav']), watched)
  // Without an answer there is no such moment, and the call says why.
  await Promise.race([fallen, underWay])
  const next = await place(await script('next', 'voicemail', ['message.wav']))
  const first = await underWay

  t.same(first.problems, [], 'the stream kept to the protocol')
  t.equal(first.end, 'transferred', 'the caller who asked for a person is put through')
  t.ok(first.verbs.some((verb) => verb.verb === 'dial' && JSON.stringify(verb).includes('+1555010')), 'to the number that the company gave')
  t.ok(deepgram.audioBytes > 0, 'the vendor had heard the first question')
  t.same(next.problems, [])
  t.ok(next.arrivals.length > 0, 'who calls while all is down is greeted')
  t.equal(next.end, 'voicemail', 'and can leave a message')

  const ready = await fetch(new URL('/readyz', target))
  t.equal(ready.status, 200, 'the server stays in use')
  t.match(await ready.json(), { degraded: true })

  await ill(null)
  // The driver finds out by itself that its database is back.
  for (const { callSid } of [first, next]) await until(async () => (await fetch(new URL(`/internal/calls/${callSid}`, target))).status === 200)
  for (const { callSid } of [first, next]) t.match((await fetchEndedCall(clock, target, callSid, 30_000, never))?.call.outcome, /transferred|voicemail/, 'and its record is kept')
})
