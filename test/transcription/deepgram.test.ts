import t, { type Test } from 'tap'
import { encodeMulaw } from '../../src/audio/g711.ts'
import { ClientsViaError } from '../../src/core/errors.ts'
import { Scope } from '../../src/core/scope.ts'
import { deepgramVendor, type LineListener, type LineRequest } from '../../src/transcription/deepgram-line.ts'
import { DeepgramTranscriber } from '../../src/transcription/deepgram-transcriber.ts'
import type { TranscriptEvent, TranscriptionSession } from '../../src/transcription/transcriber.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { SteadyClock } from '../support/steady-clock.ts'
import { clipOf } from '../vendors/deepgram-ears.ts'
import { DeepgramStandIn } from '../vendors/deepgram.ts'
import { clock as vendorClock } from '../vendors/faults.ts'
import { CALL, EventReader, frames, isFinal, spokenCall, transcriberContract, type Transcript } from './transcriber-contract.ts'

const clock = new SteadyClock()
vendorClock.follow(clock)
const call = await spokenCall()
const [first, second] = call.sentences as [(typeof call.sentences)[0], (typeof call.sentences)[0]]
const mulaw = encodeMulaw(call.samples)
const clips = [first, second].map((sentence) => clipOf(mulaw, sentence.text, sentence.startMs, sentence.endMs - 60))
const isTranscript = (event: TranscriptEvent): event is Transcript => event.kind === 'transcript'

async function listening(t: Test, options: { model?: string; key?: string | null } = {}) {
  const vendor = await DeepgramStandIn.start({ hears: { kind: 'clips', clips } })
  t.teardown(() => vendor.stop())
  const usage: number[] = []
  const vendorLines = deepgramVendor({ apiKey: options.key === undefined ? 'test-key' : options.key, baseUrl: vendor.url, model: options.model ?? 'nova-3' })
  const transcriber = new DeepgramTranscriber({ clock, vendor: vendorLines, onUsage: (_companyId, seconds) => usage.push(seconds) })
  return { vendor, transcriber, usage }
}
const hear = (session: TranscriptionSession, fromMs: number, toMs: number): void => {
  for (const frame of frames(call.samples, fromMs, toMs)) session.push(frame)
}

t.test('Deepgram keeps the contract of every recogniser', async (t) => {
  const { transcriber } = await listening(t)
  await transcriberContract(t, call, transcriber, (promise) => promise)
})

t.test('audio arrives as it came off the wire, with the key and the company’s own words, and its seconds are counted', async (t) => {
  const { vendor, transcriber, usage } = await listening(t)
  const session = transcriber.open({ ...CALL, vocabulary: ['Polar Bay', 'HVAC'] }, new Scope().signal)
  hear(session, 0, first.endMs + 60)
  session.hint({ kind: 'speech-started', mediaMs: first.startMs })
  session.hint({ kind: 'speech-paused', lastVoicedMs: first.endMs })
  const final = await new EventReader(session).next(isFinal)
  t.equal(final.text, first.text)
  await session.close()
  while (vendor.server.sockets.size > 0) await clock.sleep(5)
  const request = vendor.server.requests[0]
  t.equal(request?.headers.authorization, 'Token test-key')
  t.match(Object.fromEntries(request?.query ?? []), { model: 'nova-3', encoding: 'mulaw', sample_rate: '8000', interim_results: 'true', language: 'en-US' })
  t.same(request?.query.getAll('keyterm'), ['Polar Bay', 'HVAC'])
  t.notOk(request?.query.has('keywords'))
  t.same(usage, [vendor.audioBytes / 8000], 'seconds sent, once')
  t.same(vendor.said.map((said) => said.type), ['Finalize', 'CloseStream'])
})

t.test('frames travel in pairs while the caller speaks, by fives while they do not, and what is held goes out at once when that changes', async (t) => {
  const { vendor, transcriber } = await listening(t)
  const session = transcriber.open(CALL, new Scope().signal)
  hear(session, 0, 100)
  const arrived = async (): Promise<number> => {
    for (let quiet = 0, before = -1; quiet < 4; quiet += 1) {
      if (vendor.audioBytes !== before) quiet = 0
      before = vendor.audioBytes
      await clock.sleep(10)
    }
    return vendor.audioBytes / 8
  }
  while (vendor.audioBytes === 0) await clock.sleep(5)
  t.equal(await arrived(), 100, 'what was said before the line was open goes out as it opens')
  hear(session, 100, 180)
  t.equal(await arrived(), 100, 'nobody speaks: four frames wait for the fifth')
  hear(session, 180, 220)
  t.equal(await arrived(), 200)
  session.hint({ kind: 'speech-started', mediaMs: 200 })
  t.equal(await arrived(), 220, 'somebody does')
  hear(session, 220, 240)
  t.equal(await arrived(), 220, 'one frame waits for the next')
  hear(session, 240, 280)
  t.equal(await arrived(), 260)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 280 })
  hear(session, 280, 320)
  t.equal(await arrived(), 320, 'what was held, and pairs again for as long as words are waited for')
  await session.close()
  const flux = await listening(t, { model: 'flux-general-en' })
  const turns = flux.transcriber.open(CALL, new Scope().signal)
  while (flux.vendor.server.sockets.size === 0) await clock.sleep(5)
  hear(turns, 0, 40)
  while (flux.vendor.audioBytes === 0) await clock.sleep(5)
  t.equal(flux.vendor.audioBytes / 8, 40, 'a vendor that ends turns hears every pause in time')
  await turns.close()
})

t.test('a line that breaks in mid-word is back within 300 ms, with no word lost and none heard twice', async (t) => {
  const { vendor, transcriber } = await listening(t)
  for (const intoMs of [700, 1300, 1900]) {
    const cutMs = Math.round((second.startMs + intoMs) / 20) * 20
    const session = transcriber.open(CALL, new Scope().signal)
    const events = new EventReader(session)
    hear(session, first.endMs + 400, cutMs)
    session.hint({ kind: 'speech-started', mediaMs: second.startMs })
    await events.next((event): event is Transcript => isTranscript(event) && event.text !== '')
    const linesBefore = vendor.server.requests.length
    const cutAt = clock.now()
    await vendor.server.fail('reset')
    await vendor.server.fail(null)
    // Frames keep coming while there is no line.
    hear(session, cutMs, cutMs + 200)
    while (vendor.server.requests.length === linesBefore) await clock.sleep(5)
    t.ok(clock.now() - cutAt < 300, `back after ${Math.round(clock.now() - cutAt)} ms`)
    hear(session, cutMs + 200, second.endMs + 60)
    session.hint({ kind: 'speech-paused', lastVoicedMs: second.endMs })
    const whole = await events.next((event): event is Transcript => isFinal(event) && event.audioEndMs >= second.endMs)
    t.equal(whole.text, second.text, `cut at ${cutMs}`)
    await session.close()
  }
})

t.test('a vendor that cannot be used says so at once', async (t) => {
  const { vendor, transcriber } = await listening(t)
  for (const fault of ['refused', '401', '429', '500', 'reset'] as const) {
    await vendor.server.fail(fault)
    const session = transcriber.open(CALL, new Scope().signal)
    const startedAt = clock.now()
    await t.rejects(new EventReader(session).next(isFinal), { code: 'ENGINE_UNAVAILABLE' }, fault)
    t.ok(clock.now() - startedAt < 1000)
    await vendor.server.fail(null)
  }
})

t.test('a vendor that stops answering in mid-utterance is given up, not waited for', async (t) => {
  const { vendor, transcriber } = await listening(t)
  for (const fault of ['stall', 'hang', 'dribble', 'garbage', 'reset', '401'] as const) {
    const session = transcriber.open(CALL, new Scope().signal)
    const events = new EventReader(session)
    hear(session, first.endMs + 400, second.startMs + 1000)
    session.hint({ kind: 'speech-started', mediaMs: second.startMs })
    await events.next(isTranscript)
    await vendor.server.fail(fault)
    hear(session, second.startMs + 1000, second.endMs + 60)
    session.hint({ kind: 'speech-paused', lastVoicedMs: second.endMs })
    const pausedAt = clock.now()
    await t.rejects(events.next((event): event is Transcript => isFinal(event) && event.audioEndMs >= second.endMs), /./, fault)
    t.ok(clock.now() - pausedAt < 1100, `${fault}: ${Math.round(clock.now() - pausedAt)} ms`)
    await vendor.server.fail(null)
  }
})

t.test('a noise while the first line is still being dialled is no reason to give the vendor up', async (t) => {
  const clock = new VirtualClock()
  const listeners: LineListener[] = []
  const sent: string[] = []
  const line = { send: () => sent.push('audio'), keepAlive: () => sent.push('keep-alive'), finalize: () => sent.push('finalize'), endTurn: () => undefined, listenFor: () => false, close: () => undefined }
  const dial = (_request: LineRequest, listener: LineListener) => {
    listeners.push(listener)
    return line
  }
  const session = new DeepgramTranscriber({ clock, vendor: { dial, endsTurns: false }, onUsage: () => undefined }).open(CALL, new Scope().signal)
  const events = new EventReader(session)
  hear(session, 0, 800)
  session.hint({ kind: 'speech-started', mediaMs: 300 })
  session.hint({ kind: 'speech-paused', lastVoicedMs: 600 })
  await clock.advance(1400)
  listeners[0]?.opened()
  t.same(sent, ['audio', 'finalize'])
  listeners[0]?.message({ kind: 'results', startMs: 0, endMs: 780, words: [], final: true })
  t.match(await clock.runUntil(events.next(isFinal)), { text: '', audioEndMs: 780 })
  sent.length = 0
  await clock.advance(12_100)
  t.same(sent, ['keep-alive', 'keep-alive', 'keep-alive'], 'and a line on which nothing is said is kept open, every four seconds')
  await session.close()
  t.equal(clock.pendingTimers, 0)
})

t.test('a vendor that does not pick up is given up after a second and a half, and once more after little more than half a second', async (t) => {
  const clock = new VirtualClock()
  const listeners: LineListener[] = []
  const line = { send: () => undefined, keepAlive: () => undefined, finalize: () => undefined, endTurn: () => undefined, listenFor: () => false, close: () => undefined }
  const dial = (_request: LineRequest, listener: LineListener) => {
    listeners.push(listener)
    return line
  }
  const transcriber = new DeepgramTranscriber({ clock, vendor: { dial, endsTurns: false }, onUsage: () => undefined })
  const silent = new EventReader(transcriber.open(CALL, new Scope().signal)).next(isFinal).then(() => null, (error: unknown) => error)
  await clock.advance(1499)
  t.equal(listeners.length, 1)
  await clock.advance(1)
  t.match(await silent, { code: 'ENGINE_UNAVAILABLE', message: /1500 ms/ })
  t.equal(clock.pendingTimers, 0)

  const dropped = new EventReader(transcriber.open(CALL, new Scope().signal)).next(isFinal).then(() => null, (error: unknown) => error)
  listeners[1]?.opened()
  listeners[1]?.failed(new ClientsViaError('ENGINE_UNAVAILABLE', 'the line broke'))
  t.equal(listeners.length, 3, 'dialled again at once')
  await clock.advance(600)
  t.equal(listeners.length, 3, 'and after a breath')
  await clock.advance(150)
  t.equal(listeners.length, 4)
  await clock.advance(600)
  t.match(await dropped, { code: 'ENGINE_UNAVAILABLE', message: /600 ms/ })
  t.equal(clock.pendingTimers, 0)
})

t.test('what was asked shapes what is listened for: new words open a new line, and nothing said meanwhile is lost', async (t) => {
  const { vendor, transcriber } = await listening(t)
  const session = transcriber.open({ ...CALL, vocabulary: ['Polar Bay'] }, new Scope().signal)
  const events = new EventReader(session)
  hear(session, 0, first.startMs + 600)
  session.hint({ kind: 'speech-started', mediaMs: first.startMs })
  while (vendor.audioBytes === 0) await clock.sleep(5)
  session.expect({ kind: 'choice', options: [{ value: 'furnace', aliases: ['heater'] }] })
  session.expect({ kind: 'open' })
  hear(session, first.startMs + 600, first.endMs + 60)
  session.hint({ kind: 'speech-paused', lastVoicedMs: first.endMs })
  t.equal((await events.next(isFinal)).text, first.text)
  t.same(vendor.server.requests.map((request) => request.query.getAll('keyterm')), [['Polar Bay'], ['furnace', 'heater', 'Polar Bay']])
  await session.close()
})

t.test('Flux: the vendor’s own ends of turn are passed on beside the words', async (t) => {
  const { vendor, transcriber } = await listening(t, { model: 'flux-general-en' })
  const session = transcriber.open(CALL, new Scope().signal)
  const events = new EventReader(session)
  hear(session, 0, first.startMs + 400)
  while (vendor.audioBytes === 0) await clock.sleep(5)
  for (let atMs = first.startMs + 400; atMs < first.endMs + 700; atMs += 20) {
    hear(session, atMs, atMs + 20)
    await clock.sleep(0)
  }
  const end = await events.next((event): event is Extract<TranscriptEvent, { kind: 'turn-hint' }> => event.kind === 'turn-hint' && event.hint === 'end')
  t.match(end, { confidence: 0.9 })
  t.ok(end.mediaMs >= first.endMs)
  t.equal(events.seen.filter(isTranscript).at(-1)?.text, first.text)
  t.same(events.seen.flatMap((event) => (event.kind === 'turn-hint' ? [event.hint] : [])), ['eager-end', 'end'])
  t.equal(vendor.server.requests[0]?.path, '/v2/listen')
  await session.close()
})

t.test('Flux: a turn that our own patience ended is over for the vendor too, and leaves nothing to the next', async (t) => {
  const { vendor, transcriber } = await listening(t, { model: 'flux-general-en' })
  const session = transcriber.open(CALL, new Scope().signal)
  const events = new EventReader(session)
  const hearSlowly = async (fromMs: number, toMs: number): Promise<void> => {
    for (let atMs = Math.floor(fromMs / 20) * 20; atMs < toMs; atMs += 20) {
      hear(session, atMs, atMs + 20)
      await clock.sleep(0)
    }
  }
  hear(session, 0, first.startMs)
  while (vendor.audioBytes === 0) await clock.sleep(5)
  session.hint({ kind: 'speech-started', mediaMs: first.startMs })
  await hearSlowly(first.startMs, first.endMs + 60)
  session.hint({ kind: 'speech-paused', lastVoicedMs: first.endMs })
  session.endUtterance(first.endMs + 80)
  const head = await events.next((event): event is Transcript => isFinal(event) && event.utterance === 0)
  t.equal(head.text, first.text)
  t.ok(vendor.said.some(({ type }) => type === 'ForceEndTurn'))
  await hearSlowly(first.endMs + 60, second.endMs + 500)
  const next = await events.next((event): event is Transcript => isFinal(event) && event.utterance === 1)
  t.equal(next.text, second.text)
  await session.close()
})
