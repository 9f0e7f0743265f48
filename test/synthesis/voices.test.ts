import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { later } from '../../src/core/clock.ts'
import { FailoverSynthesizer, type FailoverEvent } from '../../src/synthesis/failover-synthesizer.ts'
import { PhraseCache } from '../../src/synthesis/phrase-cache.ts'
import { PhraseFolder } from '../../src/synthesis/phrase-folder.ts'
import { weightOf } from '../../src/synthesis/word-timing.ts'
import { FakeSynthesizer, type FakeFault } from '../support/fake-synthesizer.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { collect, SLT, speakable } from '../support/voices.ts'

const TEXT = speakable('We can come tomorrow at eight.')
const never = new AbortController().signal

function pair(fault: FakeFault | null, firstAudioMs = 0) {
  const clock = new VirtualClock()
  const first = new FakeSynthesizer({ clock, name: 'first', fault, firstAudioMs })
  const second = new FakeSynthesizer({ clock, name: 'second', msPerWord: 80 })
  const events: FailoverEvent[] = []
  const voice = new FailoverSynthesizer({
    engines: [{ synthesizer: first }, { synthesizer: second, voiceFor: () => ({ id: 'kal', speed: 1 }) }],
    clock,
    firstAudioWithinMs: 400,
    onFailure: (event) => events.push(event),
  })
  return { clock, first, second, events, voice }
}

t.test('a caller hears the second voice when the first one', async (t) => {
  for (const fault of ['refuses', 'hangs', 'sends-wav', 'sends-json', 'sends-nothing'] as const) {
    t.test(fault, async (t) => {
      const { clock, second, events, voice } = pair(fault)
      const audio = await clock.runUntil(collect(voice.synthesize(TEXT, SLT, never)))
      t.equal(audio.length, 6 * 80 * 8, 'six words, whole, from the second voice only')
      t.equal(second.spoken[0]?.voice.id, 'kal', 'under its own name')
      t.equal(events.length, 1)
      t.ok(clock.now() <= 400, 'within the first one’s deadline')
      t.equal(clock.pendingTimers, 0)
    })
  }
  t.test('is late', async (t) => {
    const { clock, first, voice } = pair(null, 401)
    t.equal((await clock.runUntil(collect(voice.synthesize(TEXT, SLT, never)))).length, 6 * 80 * 8)
    t.equal(first.spoken[0]?.outcome, 'aborted', 'and the late one is told to stop')
  })
})

t.test('where a voice breaks off, falls silent or dribbles, the other one says the words that are missing', async (t) => {
  const long = speakable('Our technician can be there tomorrow morning, between eight and ten, and it costs eighty nine dollars.')
  const words = long.split(' ')
  for (const pace of [55, 75, 110]) {
    for (const fault of ['breaks-off', 'hangs-mid-sentence'] as const) {
      const { clock, first, second, events, voice } = pair(null)
      first.msPerWord = (word) => pace * (word === words.at(-1) ? weightOf(word) : weightOf(`${word} x`) - weightOf('x'))
      // One whole sentence teaches its pace.
      for (let i = 0; i < 12; i += 1) await clock.runUntil(collect(voice.synthesize(long, SLT, never)))
      for (const said of [1, 4, 9, words.length - 1]) {
        first.fault = fault
        first.wordsBeforeFault = said
        const startedAt = clock.now()
        const audio = await clock.runUntil(collect(voice.synthesize(long, SLT, never)))
        t.equal(second.spoken.at(-1)?.text, words.slice(said).join(' '), `${fault} after ${said} words at pace ${pace}`)
        const firstMs = audio.length / 8 - 80 * (words.length - said)
        t.ok(clock.now() - startedAt <= firstMs + 200, 'the silence in between is no longer than the carrier hides')
        first.fault = null
        await clock.runUntil(collect(voice.synthesize(long, SLT, never)))
      }
      t.equal(events.length, 4)
    }
  }
})

t.test('a voice that never ends is stopped, and what it said is not kept', async (t) => {
  const { clock, first, second, voice } = pair('never-ends')
  const company = new PhraseCache({ synthesizer: voice, folder: null }).forCompany({ companyId: 'polar', agentVersion: 1 })
  await clock.runUntil(collect(company.synthesize(TEXT, SLT, never)))
  t.equal(first.spoken[0]?.outcome, 'aborted')
  t.equal(second.spoken.length, 0, 'nothing is owed')
  t.equal(company.peek(TEXT, SLT), null)
})

t.test('how long the first sound is waited for depends on what the turn has left', async (t) => {
  for (const [leftMs, waitedMs] of [[5000, 400], [500, 350], [100, 250]] as const) {
    const { clock, second, voice } = pair('hangs')
    await clock.runUntil(collect(voice.synthesize(TEXT, SLT, never, { dueBy: later(clock.now(), leftMs) })))
    t.equal(clock.now(), waitedMs)
    t.equal(second.spoken.length, 1)
  }
})

t.test('a voice that fails twice is left alone for some seconds and then tried again', async (t) => {
  const { clock, first, voice } = pair('refuses')
  for (let i = 0; i < 4; i += 1) await clock.runUntil(collect(voice.synthesize(TEXT, SLT, never)))
  t.equal(first.spoken.length, 2)
  first.fault = null
  await clock.advance(10_000)
  t.equal((await clock.runUntil(collect(voice.synthesize(TEXT, SLT, never)))).length, 6 * 60 * 8, 'the first voice is back')
})

t.test('when every voice fails the call is told, and a hang-up is no failure', async (t) => {
  const { clock, second, events, voice } = pair('refuses')
  second.fault = 'refuses'
  await t.rejects(clock.runUntil(collect(voice.synthesize(TEXT, SLT, never))), { code: 'ENGINE_FAILED' })
  t.equal(events.length, 2)
  const hangUp = new AbortController()
  const hanging = pair('hangs')
  const speaking = collect(hanging.voice.synthesize(TEXT, SLT, hangUp.signal))
  speaking.catch(() => undefined)
  await hanging.clock.advance(100)
  hangUp.abort(new Error('hung up'))
  await t.rejects(speaking, { message: 'hung up' })
  t.equal(hanging.events.length, 0)
  t.equal(hanging.clock.pendingTimers, 0)
})

function cached(options: { folder?: string | null; firstAudioMs?: number; maxBytes?: number; wordEveryMs?: number } = {}) {
  const clock = new VirtualClock()
  const engine = new FakeSynthesizer({ clock, firstAudioMs: options.firstAudioMs ?? 0, wordEveryMs: options.wordEveryMs ?? 0 })
  const cache = new PhraseCache({ synthesizer: engine, folder: options.folder ?? null, ...(options.maxBytes === undefined ? {} : { maxBytes: options.maxBytes }) })
  return { clock, engine, cache, voice: cache.forCompany({ companyId: 'polar', agentVersion: 3 }) }
}

t.test('a phrase is spoken once and is ready from then on, for its company, version and voice alone', async (t) => {
  const { clock, engine, cache, voice } = cached()
  t.equal(voice.peek(TEXT, SLT), null)
  const spoken = await clock.runUntil(collect(voice.synthesize(TEXT, SLT, never)))
  t.same(voice.peek(TEXT, SLT), spoken)
  t.same(await collect(voice.synthesize(TEXT, SLT, never)), spoken)
  t.equal(engine.spoken.length, 1)
  t.equal(cache.forCompany({ companyId: 'polar', agentVersion: 4 }).peek(TEXT, SLT), null, 'a saved agent starts anew')
  t.equal(cache.forCompany({ companyId: 'harbor', agentVersion: 3 }).peek(TEXT, SLT), null, 'another company has its own')
  t.equal(voice.peek(TEXT, { id: 'slt', speed: 1.1 }), null)
  await cache.forget('polar', 3)
  t.not(voice.peek(TEXT, SLT), null, 'the current version is kept')
  await cache.forget('polar', null)
  t.equal(voice.peek(TEXT, SLT), null)
})

t.test('two callers who need the same sentence share one synthesis, and one of them may leave', async (t) => {
  const { clock, engine, voice } = cached({ firstAudioMs: 50, wordEveryMs: 10 })
  const leaving = new AbortController()
  const left = collect(voice.synthesize(TEXT, SLT, leaving.signal))
  const stayed = collect(voice.synthesize(TEXT, SLT, never))
  left.catch(() => undefined)
  await clock.advance(60)
  leaving.abort(new Error('hung up'))
  await t.rejects(left, { message: 'hung up' })
  t.equal((await clock.runUntil(stayed)).length, 6 * 480)
  t.equal(engine.spoken.length, 1)
})

t.test('half a sentence is never kept', async (t) => {
  const { clock, engine, voice } = cached({ wordEveryMs: 10 })
  const leaving = new AbortController()
  const speaking = collect(voice.synthesize(TEXT, SLT, leaving.signal))
  speaking.catch(() => undefined)
  await clock.advance(25)
  leaving.abort(new Error('hung up'))
  await t.rejects(speaking)
  await clock.advance(200)
  t.equal(engine.spoken[0]?.outcome, 'aborted', 'the engine is told that nobody listens')
  t.equal(voice.peek(TEXT, SLT), null)
  engine.fault = 'breaks-off'
  await t.rejects(clock.runUntil(collect(voice.synthesize(TEXT, SLT, never))), { code: 'ENGINE_FAILED' })
  t.equal(voice.peek(TEXT, SLT), null)
})

t.test('a caller never waits behind the warming of the same sentence, and warming still ends warm', async (t) => {
  const { clock, engine, voice } = cached({ firstAudioMs: 50, wordEveryMs: 10 })
  const warming = voice.warm([TEXT, speakable('Goodbye.')], SLT, never)
  await clock.advance(20)
  const spoken = collect(voice.synthesize(TEXT, SLT, never))
  await clock.runUntil(Promise.all([warming, spoken]))
  t.same(engine.spoken.map((sentence) => [sentence.priority, sentence.outcome]), [['warm', 'aborted'], ['live', 'whole'], ['warm', 'whole']])
  t.not(voice.peek(speakable('Goodbye.'), SLT), null)
})

t.test('one phrase that cannot be spoken does not keep the others cold', async (t) => {
  const { clock, engine, voice } = cached({ firstAudioMs: 10, wordEveryMs: 10 })
  engine.fault = 'breaks-off'
  const warming = voice.warm([speakable('Good morning.'), TEXT], SLT, never)
  warming.catch(() => undefined)
  await clock.advance(21)
  engine.fault = null
  await t.rejects(clock.runUntil(warming), { code: 'ENGINE_FAILED' }, 'the failure is told')
  t.equal(voice.peek(speakable('Good morning.'), SLT), null)
  t.not(voice.peek(TEXT, SLT), null)
})

t.test('memory stays within its bound: the phrase longest unused goes first', async (t) => {
  const { clock, cache, voice } = cached({ maxBytes: 3 * 480 })
  for (const word of ['one', 'two', 'three']) await clock.runUntil(collect(voice.synthesize(speakable(word), SLT, never)))
  voice.peek(speakable('one'), SLT)
  await clock.runUntil(collect(voice.synthesize(speakable('four'), SLT, never)))
  t.equal(cache.bytes, 3 * 480)
  t.not(voice.peek(speakable('one'), SLT), null)
  t.equal(voice.peek(speakable('two'), SLT), null)
  t.equal(voice.peek(speakable('four'), SLT)?.buffer.byteLength, 480, 'and what is counted is all that is held')
})

t.test('a stand-in voice is heard but not kept as the company’s own', async (t) => {
  const { clock, first, voice } = pair('refuses')
  const company = new PhraseCache({ synthesizer: voice, folder: null }).forCompany({ companyId: 'polar', agentVersion: 1 })
  t.equal((await clock.runUntil(collect(company.synthesize(TEXT, SLT, never)))).length, 6 * 80 * 8)
  t.equal(company.peek(TEXT, SLT), null)
  first.fault = null
  await clock.runUntil(collect(company.synthesize(TEXT, SLT, never)))
  t.not(company.peek(TEXT, SLT), null)
})

t.test('after a restart the warmed phrases are ready without an engine, and nothing else was written', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'phrases-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const before = cached({ folder })
  // Real files: their reads settle outside virtual time.
  await before.voice.warm([TEXT], SLT, never)
  await before.clock.runUntil(collect(before.voice.synthesize(speakable('Thank you, Maria Lopez.'), SLT, never)))
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.ulaw'))
  t.equal(files.length, 1, 'what was said to one caller is not on disk')
  const after = cached({ folder })
  after.engine.fault = 'refuses'
  await after.voice.warm([TEXT], SLT, never)
  t.same(after.voice.peek(TEXT, SLT), before.voice.peek(TEXT, SLT))
  t.equal(after.engine.spoken.length, 0)

  const path = join(folder, files[0] as string)
  const bytes = await readFile(path)
  bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 0x55
  await writeFile(path, bytes)
  const damaged = cached({ folder })
  await damaged.voice.warm([TEXT], SLT, never)
  t.equal(damaged.engine.spoken.length, 1, 'a damaged file is made again')
  await damaged.cache.forget('polar', null)
  t.same((await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.ulaw')), [])
})

t.test('the folder stays within its bound', async (t) => {
  const path = await mkdtemp(join(tmpdir(), 'phrases-'))
  t.teardown(() => rm(path, { recursive: true, force: true }))
  const folder = new PhraseFolder(path, 20_000)
  const key = (text: string) => ({ companyId: 'polar', agentVersion: 1, engine: 'fake', voiceId: 'slt', speed: 1, text })
  for (let i = 0; i < 12; i += 1) await folder.write(key(`phrase ${i}`), new Uint8Array(4000).fill(i))
  const kept = (await Promise.all(Array.from({ length: 12 }, (_, i) => folder.read(key(`phrase ${i}`))))).filter((phrase) => phrase !== null)
  t.ok(kept.length >= 2 && kept.length <= 5, `${kept.length} of 12 phrases are kept`)
})
