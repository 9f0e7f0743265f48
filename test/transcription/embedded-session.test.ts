import t from 'tap'
import { OPEN_EXPECTATION, type Expectation } from '../../src/core/expectation.ts'
import { Scope } from '../../src/core/scope.ts'
import { EmbeddedSession } from '../../src/transcription/embedded-session.ts'
import type { DecodeHandle, DecodePool, DecodeRequest, DecodeResult } from '../../src/transcription/moonshine-pool.ts'
import type { TranscriptEvent } from '../../src/transcription/transcriber.ts'
import { voicedFrames, wordTimes } from '../../src/transcription/word-times.ts'
import { faintNoise, frames } from './transcriber-contract.ts'

type Asked = DecodeRequest & { withdrawn: boolean; durationMs: number; answer(text: string, decodeMs?: number): void; fail(reason: string): void }

/** Holds every request until the test answers it. */
class ScriptedPool implements DecodePool {
  hasRoomForPartial = true
  readonly asked: Asked[] = []

  decode(request: DecodeRequest, onResult: (result: DecodeResult) => void): DecodeHandle {
    const asked: Asked = {
      ...request,
      withdrawn: false,
      durationMs: request.samples.length / 8,
      answer: (text, decodeMs = 100) => onResult(asked.withdrawn ? { outcome: 'dropped' } : { outcome: 'text', text, reading: null, decodeMs }),
      fail: (reason) => onResult({ outcome: 'failed', reason }),
    }
    this.asked.push(asked)
    return {
      withdraw: () => {
        asked.withdrawn = true
      },
    }
  }

  get last(): Asked {
    return this.asked.at(-1) as Asked
  }
}

const line = faintNoise(8 * 60_000)

function openSession(): { pool: ScriptedPool; session: EmbeddedSession; hear(fromMs: number, toMs: number): void; events(): Promise<TranscriptEvent[]> } {
  const pool = new ScriptedPool()
  const session = new EmbeddedSession(pool, [], new Scope().signal)
  return {
    pool,
    session,
    hear: (fromMs, toMs) => {
      for (const frame of frames(line, fromMs, toMs)) session.push(frame)
    },
    events: async () => {
      await session.close()
      const all: TranscriptEvent[] = []
      for await (const event of session.events) all.push(event)
      return all
    },
  }
}

t.test('a pause is decoded at once: 300 ms before the voice, 200 ms behind it, noise for what is not spoken yet', async (t) => {
  const { pool, session, hear, events } = openSession()
  pool.hasRoomForPartial = false
  hear(0, 2100)
  session.hint({ kind: 'speech-started', mediaMs: 1000 })
  hear(2100, 3060)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 3000 })
  t.match(pool.last, { urgency: 'final', durationMs: 2360, tailPadMs: 140 })
  pool.last.answer('two words')
  t.same(await events(), [
    {
      kind: 'transcript',
      utterance: 0,
      text: 'two words',
      words: [
        { text: 'two', startMs: 1000, endMs: 1750 },
        { text: 'words', startMs: 1750, endMs: 3000 },
      ],
      audioEndMs: 3060,
      final: true,
    },
  ])
})

t.test('growing speech is decoded every 600 ms, less often when decodes are slow, and not without room', async (t) => {
  const { pool, session, hear, events } = openSession()
  session.hint({ kind: 'speech-started', mediaMs: 0 })
  hear(0, 1000)
  t.match(pool.asked, [{ urgency: 'partial', durationMs: 600, tailPadMs: 200 }], 'one at a time')
  pool.last.answer('one', 300)
  hear(1000, 1780)
  t.equal(pool.asked.length, 1)
  hear(1780, 1820)
  t.equal(pool.last.durationMs, 1800, 'four decodes of 300 ms later')
  pool.last.answer('one two', 100)
  pool.hasRoomForPartial = false
  hear(1820, 4000)
  t.equal(pool.asked.length, 2)
  pool.hasRoomForPartial = true
  hear(4000, 4020)
  const partial = pool.last
  session.hint({ kind: 'speech-paused', lastVoicedMs: 4020 })
  t.ok(partial.withdrawn, 'a pause needs the worker more')
  pool.last.answer('one two three')
  partial.answer('too late')
  t.match(await events(), [
    { text: 'one', final: false, audioEndMs: 600 },
    { text: 'one two', final: false },
    { text: 'one two three', final: true },
  ])
})

t.test('a pause that was only a breath gives way to the next one', async (t) => {
  const { pool, session, hear, events } = openSession()
  pool.hasRoomForPartial = false
  session.hint({ kind: 'speech-started', mediaMs: 0 })
  hear(0, 1100)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 1000 })
  const first = pool.last
  session.hint({ kind: 'speech-resumed', mediaMs: 1300 })
  hear(1100, 2100)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 2000 })
  t.ok(first.withdrawn)
  t.equal(pool.last.durationMs, 2100, 'both halves are decoded together')
  first.answer('half')
  pool.last.answer('half and half')
  t.match(await events(), [{ text: 'half and half', final: true }])
})

t.test('after eight seconds, or a long silence, a pause closes what was said', async (t) => {
  const { pool, session, hear, events } = openSession()
  pool.hasRoomForPartial = false
  session.hint({ kind: 'speech-started', mediaMs: 0 })
  hear(0, 9100)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 9000 })
  const first = pool.last
  session.hint({ kind: 'speech-resumed', mediaMs: 9600 })
  hear(9100, 11_100)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 11_000 })
  const second = pool.last
  t.equal(second.durationMs, 1800, 'from 300 ms before the voice came back')
  second.answer('the end.')
  first.answer('A long story')
  session.hint({ kind: 'speech-resumed', mediaMs: 12_600 })
  hear(11_100, 13_100)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 13_000 })
  t.equal(pool.last.durationMs, 800)
  pool.last.answer('Hello?')
  t.match(await events(), [
    { text: 'the end.', final: false },
    { text: 'A long story the end.', final: true, audioEndMs: 11_100 },
    { text: 'A long story the end. Hello?', final: true, audioEndMs: 13_100 },
  ])
})

t.test('speech that a busy machine notices late is heard from where it began, also in an answer whose pauses are left out', async (t) => {
  const voice = faintNoise(8 * 6000)
  for (const [fromMs, toMs] of [[0, 1000], [2400, 4000]] as const) for (let i = fromMs * 8; i < toMs * 8; i += 1) voice[i] = Math.round(6000 * Math.sin(i / 3))
  const heard = (expectation: Expectation): number => {
    const pool = new ScriptedPool()
    const session = new EmbeddedSession(pool, [], new Scope().signal)
    pool.hasRoomForPartial = false
    const hear = (fromMs: number, toMs: number): void => frames(voice, fromMs, toMs).forEach((frame) => session.push(frame))
    session.expect(expectation)
    session.hint({ kind: 'speech-started', mediaMs: 0 })
    hear(0, 1200)
    session.hint({ kind: 'speech-paused', lastVoicedMs: 1000 })
    hear(1200, 3600)
    session.hint({ kind: 'speech-resumed', mediaMs: 3500 })
    hear(3600, 4200)
    session.hint({ kind: 'speech-paused', lastVoicedMs: 4000 })
    return pool.last.durationMs
  }
  t.equal(heard({ kind: 'date' }), 1200 + 200 + 1800, 'the first words, a margin, and the others from 200 ms before they began')
  t.ok(heard(OPEN_EXPECTATION) >= 300 + 1800)
})

t.test('speech that begins as the reply does belongs to the next utterance', async (t) => {
  const { pool, session, hear, events } = openSession()
  pool.hasRoomForPartial = false
  session.hint({ kind: 'speech-started', mediaMs: 0 })
  hear(0, 1100)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 1000 })
  pool.last.answer('first')
  hear(1100, 1900)
  session.hint({ kind: 'speech-resumed', mediaMs: 1700 })
  session.endUtterance(1800)
  t.equal(pool.asked.length, 1, 'the first one was heard to its end')
  hear(1900, 3100)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 3000 })
  t.equal(pool.last.durationMs, 3100 - 1400)
  pool.last.answer('second')
  t.match(await events(), [
    { utterance: 0, text: 'first' },
    { utterance: 1, text: 'second', words: [{ startMs: 1700, endMs: 3000 }] },
  ])
})

t.test('words that a partial took ahead of the cut are given to the utterance they belong to', async (t) => {
  const { pool, session, hear, events } = openSession()
  session.hint({ kind: 'speech-started', mediaMs: 0 })
  hear(0, 2000)
  pool.last.answer('before')
  hear(2000, 3000)
  pool.last.answer('before after')
  session.endUtterance(1500)
  t.match(pool.last, { urgency: 'final', durationMs: 1500 })
  pool.last.answer('before')
  hear(3000, 3500)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 3500 })
  t.equal(pool.last.durationMs, 2000)
  pool.last.answer('after')
  t.match((await events()).slice(-2), [
    { utterance: 0, text: 'before', audioEndMs: 1500, final: true },
    { utterance: 1, text: 'after', final: true },
  ])
})

t.test('a final that comes after its turn still names its own utterance; a failed one is said to be lost', async (t) => {
  const { pool, session, hear, events } = openSession()
  pool.hasRoomForPartial = false
  session.hint({ kind: 'speech-started', mediaMs: 0 })
  hear(0, 1100)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 1000 })
  const late = pool.last
  session.endUtterance(1500)
  session.endUtterance(1600)
  late.answer('late')
  hear(1100, 3000)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 2900 })
  t.equal(pool.last.durationMs, 2000, 'a pause without a start is decoded from where the last speech ended')
  pool.last.fail('worker died twice')
  t.match(await events(), [
    { kind: 'transcript', utterance: 0, text: 'late', final: true },
    { kind: 'lost', utterance: 2, reason: 'worker died twice' },
  ])
})

t.test('a pause noticed after the cut leaves nothing over for the next utterance', async (t) => {
  const { pool, session, hear, events } = openSession()
  pool.hasRoomForPartial = false
  session.hint({ kind: 'speech-started', mediaMs: 0 })
  hear(0, 1040)
  session.endUtterance(1020)
  pool.last.answer('all of it')
  session.hint({ kind: 'speech-paused', lastVoicedMs: 980 })
  t.equal(pool.asked.length, 1)
  session.hint({ kind: 'speech-started', mediaMs: 2000 })
  hear(1040, 2600)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 2600 })
  t.equal(pool.last.durationMs, 900)
  pool.last.answer('more')
  t.match(await events(), [
    { utterance: 0, text: 'all of it', final: true },
    { utterance: 1, text: 'more', final: true },
  ])
})

t.test('words are timed over the voice, not over the pauses', async (t) => {
  const samples = faintNoise(8 * 3000)
  for (let i = 0; i < 8000; i += 1) {
    samples[i] = Math.round(9000 * Math.sin(i / 4))
    samples[16_000 + i] = Math.round(9000 * Math.sin(i / 4))
  }
  t.same(wordTimes('seven three', voicedFrames(samples, 500)), [
    { text: 'seven', startMs: 500, endMs: 1500 },
    { text: 'three', startMs: 2500, endMs: 3500 },
  ])
  t.same(wordTimes('', voicedFrames(samples, 0)), [])
  t.same(wordTimes('hm', []), [{ text: 'hm', startMs: 0, endMs: 0 }])
})

t.test('a call that ends withdraws what it asked for', async (t) => {
  const { pool, session, hear, events } = openSession()
  session.hint({ kind: 'speech-started', mediaMs: 0 })
  hear(0, 1000)
  t.same(await events(), [])
  t.ok(pool.last.withdrawn)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 1000 })
  t.equal(pool.asked.length, 1)
})
