import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { resample } from '../../src/audio/resample.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { Scope } from '../../src/core/scope.ts'
import { AudioHistory } from '../../src/transcription/audio-history.ts'
import { EmbeddedTranscriber } from '../../src/transcription/embedded-transcriber.ts'
import { cutRepetition, MoonshineModel, tidy } from '../../src/transcription/moonshine-model.ts'
import type { TranscriptEvent } from '../../src/transcription/transcriber.ts'
import { correctMishearings } from '../../src/transcription/vocabulary.ts'
import { FakeTranscriber } from '../support/fake-transcriber.ts'
import { speak } from '../support/speech.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { CALL, EventReader, faintNoise, frames, isFinal, spokenCall, transcriberContract, type Transcript } from './transcriber-contract.ts'

const cacheDir = mkdtempSync(join(tmpdir(), 'recogniser-'))
t.teardown(() => rmSync(cacheDir, { recursive: true, force: true }))
const call = await spokenCall()
const forever = new Scope().signal
const isTranscript = (event: TranscriptEvent): event is Transcript => event.kind === 'transcript'
const nextTick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

t.test('the scripted recogniser keeps the contract', async (t) => {
  const clock = new VirtualClock()
  const transcriber = new FakeTranscriber({ clock, utterances: call.sentences })
  await transcriberContract(t, call, transcriber, (promise) => (clock.pendingTimers > 0 ? clock.runUntil(promise) : promise))
  t.equal(transcriber.openSessions, 0)
  t.equal(clock.pendingTimers, 0)
})

t.test('the scripted recogniser gives partials, slow finals and losses on demand', async (t) => {
  const clock = new VirtualClock()
  const transcriber = new FakeTranscriber({ clock, utterances: [{ startMs: 0, endMs: 2000, text: 'one two three four' }], finalDelayMs: 400 })
  const session = transcriber.open(CALL, forever)
  const events = new EventReader(session)
  session.hint({ kind: 'speech-started', mediaMs: 0 })
  for (const frame of frames(faintNoise(20000), 0, 1300)) session.push(frame)
  t.match(await events.next(isTranscript), { text: 'one', audioEndMs: 600, final: false })
  t.match(await events.next(isTranscript), { text: 'one two', audioEndMs: 1200, final: false })
  session.hint({ kind: 'speech-paused', lastVoicedMs: 2000 })
  const final = events.next(isFinal)
  await clock.advance(399)
  t.equal(events.seen.length, 2)
  await clock.advance(1)
  t.match(await final, { text: 'one two three four', audioEndMs: 2000 })
  transcriber.lose('crashed')
  t.match(await events.next((event): event is TranscriptEvent => event.kind === 'lost'), { utterance: 0, reason: 'crashed' })
  await session.close()
  t.equal(clock.pendingTimers, 0)
})

t.test('the embedded recogniser', async (t) => {
  const transcriber = new EmbeddedTranscriber({ clock: new SystemClock(), workers: 1, modelCacheDir: cacheDir })
  t.teardown(() => transcriber.close())
  await transcriber.warm(forever)
  t.equal(transcriber.stats.decoder, 'split')

  await t.test('keeps the contract', async (t) => transcriberContract(t, call, transcriber, (promise) => promise))

  await t.test('a long sentence is followed by partials while it grows', async (t) => {
    const session = transcriber.open(CALL, forever)
    const events = new EventReader(session)
    const sentence = call.sentences[1] as (typeof call.sentences)[0]
    for (const frame of frames(call.samples, sentence.startMs - 400, sentence.startMs + 1800)) session.push(frame)
    session.hint({ kind: 'speech-started', mediaMs: sentence.startMs })
    while (!transcriber.stats.roomForPartial) await nextTick()
    for (const frame of frames(call.samples, sentence.startMs + 1800, sentence.endMs)) session.push(frame)
    const heard = await events.next(isTranscript)
    t.equal(heard.final, false)
    t.match(heard.text, /need/i)
    t.ok(heard.audioEndMs <= sentence.endMs)
    t.ok(transcriber.stats.partials > 0)
    await session.close()
  })

  await t.test('many callers who pause at once all get their words, partials give way', async (t) => {
    const sentence = call.sentences[0] as (typeof call.sentences)[0]
    const sessions = Array.from({ length: 6 }, () => transcriber.open(CALL, forever))
    const finals = sessions.map((session) => {
      for (const frame of frames(call.samples, 0, sentence.endMs + 60)) session.push(frame)
      session.hint({ kind: 'speech-started', mediaMs: sentence.startMs })
      session.hint({ kind: 'speech-paused', lastVoicedMs: sentence.endMs })
      return new EventReader(session).next(isFinal)
    })
    t.ok(transcriber.stats.queued >= 5)
    for (const final of await Promise.all(finals)) t.match(final.text, /hours/i)
    for (const session of sessions) await session.close()
    t.equal(transcriber.stats.queued, 0)
  })

  await t.test('a worker killed in mid-utterance costs time, not words', async (t) => {
    const session = transcriber.open(CALL, forever)
    const sentence = call.sentences[0] as (typeof call.sentences)[0]
    for (const frame of frames(call.samples, 0, sentence.endMs + 60)) session.push(frame)
    session.hint({ kind: 'speech-started', mediaMs: sentence.startMs })
    session.hint({ kind: 'speech-paused', lastVoicedMs: sentence.endMs })
    t.equal(transcriber.stats.running, 1)
    await transcriber.restartWorkers()
    const final = await new EventReader(session).next(isFinal)
    t.match(final.text, /hours/i)
    t.equal(transcriber.stats.restarts, 1)
    await session.close()
  })

  await t.test('work that kills two workers is reported as lost', async (t) => {
    const session = transcriber.open(CALL, forever)
    const sentence = call.sentences[0] as (typeof call.sentences)[0]
    for (const frame of frames(call.samples, 0, sentence.endMs + 60)) session.push(frame)
    session.hint({ kind: 'speech-started', mediaMs: sentence.startMs })
    session.hint({ kind: 'speech-paused', lastVoicedMs: sentence.endMs })
    await transcriber.restartWorkers()
    while (transcriber.stats.running === 0) await nextTick()
    await transcriber.restartWorkers()
    const lost = await new EventReader(session).next((event): event is TranscriptEvent => event.kind === 'lost')
    t.match(lost, { kind: 'lost', utterance: 0 })
    await session.close()
    await transcriber.warm(forever)
  })

  await t.test('a caller who never stops is heard in pieces', async (t) => {
    const speech = await speak('We have an old furnace in the basement and it makes a loud noise every time it starts.', 'slt')
    const rounds = Math.ceil((27 * 8000) / speech.length)
    const long = new Int16Array(rounds * speech.length)
    for (let i = 0; i < rounds; i += 1) long.set(speech, i * speech.length)
    const session = transcriber.open(CALL, forever)
    const events = new EventReader(session)
    const endMs = Math.floor(long.length / 160) * 20
    session.hint({ kind: 'speech-started', mediaMs: 0 })
    for (const frame of frames(long, 0, endMs)) session.push(frame)
    session.hint({ kind: 'speech-paused', lastVoicedMs: endMs })
    const final = await events.next(isFinal)
    t.equal(final.audioEndMs, endMs)
    t.ok((final.text.match(/furnace/gi) ?? []).length >= rounds - 1, final.text)
    t.ok(final.words.every((word, i) => word.startMs >= (final.words[i - 1]?.startMs ?? 0)))
    await session.close()
  })
})

t.test('the split decoder writes what the shipped one writes', async (t) => {
  const split = await MoonshineModel.load(cacheDir)
  const shipped = await MoonshineModel.load(null)
  t.same([split.decoderKind, shipped.decoderKind], ['split', 'merged'])
  const sentences = [
    ['Do you service heat pumps in Naples?', 'slt'],
    ['Please call me back at two three nine, five five five, zero one four two.', 'rms'],
    ['There is water all over the floor, it is an emergency!', 'awb'],
    ['How much is a tune up?', 'kal'],
  ] as const
  for (const [sentence, voice] of sentences) {
    const samples = Float32Array.from(resample(await speak(sentence, voice), 8000, 16000), (sample) => sample / 32768)
    const mine = await split.recognise(samples, () => false)
    t.equal(mine.text, (await shipped.recognise(samples, () => false)).text, mine.text)
    t.ok(mine.text.length > 10)
  }
  const hiss = Float32Array.from(faintNoise(16000), (sample, i) => (sample - 4) / (i % 2 === 0 ? 400 : -400))
  for (const model of [split, shipped]) t.equal((await model.recognise(hiss, () => false)).text, '', 'hiss has no words')
  await t.rejects(split.recognise(hiss, () => true).then(() => split.recognise(Float32Array.from(resample(call.samples, 8000, 16000), (sample) => sample / 32768), () => true)), {
    name: 'DecodeCancelled',
  })
  const folder = join(cacheDir, readdirSync(cacheDir)[0] as string)
  t.same(readdirSync(cacheDir).length, 1, 'no drafts are left')
  truncateSync(join(folder, 'past.onnx'), 1000)
  t.equal((await MoonshineModel.load(cacheDir)).decoderKind, 'merged', 'a damaged cache costs speed, not ears')
  t.notOk(existsSync(folder), 'and is made again at the next start')
})

t.test('a decoder that talks to itself is stopped, a number with zeros is not', async (t) => {
  const loop = [5, 9, ...Array.from({ length: 5 }, () => [7, 8]).flat()]
  t.ok(cutRepetition(loop))
  t.same(loop, [5, 9, 7, 8])
  t.notOk(cutRepetition([3, 4, 4, 4, 4]))
  t.notOk(cutRepetition([1, 2, 3, 1, 2, 3, 1, 2, 3]))
})

t.test('text without words is no text, question marks stay', async (t) => {
  t.equal(tidy(' ... '), '')
  t.equal(tidy('-'), '')
  t.equal(tidy('. . Are you open?'), 'Are you open?')
  t.equal(tidy('I was wondering.....'), 'I was wondering...')
})

t.test('what the company is called is put right, inside words nothing is', async (t) => {
  const corrections = { 'polar bare': 'Polar Bay', bare: 'Bay', 'a.c.': 'AC', 'check-up': 'check up' }
  t.equal(correctMishearings('Is this Polar  bare? I cannot bear it, barely.', corrections), 'Is this Polar Bay? I cannot bear it, barely.')
  t.equal(correctMishearings('My A.C. needs a check-up.', corrections), 'My AC needs a check up.')
  t.equal(correctMishearings('unchanged', {}), 'unchanged')
})

t.test('the history of a line holds its newest seconds, gaps are silence', async (t) => {
  const history = new AudioHistory(100)
  const ramp = Int16Array.from({ length: 4000 }, (_, i) => i + 1)
  for (const frame of frames(ramp, 0, 60)) history.push(frame)
  t.same(Array.from(history.slice(10, 10.5)), [81, 82, 83, 84])
  for (const frame of frames(ramp, 100, 140)) history.push(frame)
  t.same(Array.from(history.slice(79.75, 80.25)), [0, 0, 0, 0], 'two frames never came')
  t.equal(history.endMs, 140)
  t.equal(history.startMs, 40)
  t.same(history.slice(0, 40.25).length, 2, 'older audio is gone')
  history.push(frames(ramp, 100, 120)[0] as never)
  t.equal(history.endMs, 140, 'a frame that comes twice is heard once')
})
