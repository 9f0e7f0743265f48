import t from 'tap'
import { BoundedQueue } from '../../src/core/bounded-queue.ts'
import { Breaker } from '../../src/core/breaker.ts'
import { Scope } from '../../src/core/scope.ts'
import { FailoverTranscriber, type TranscriberFailure } from '../../src/transcription/failover-transcriber.ts'
import type { Transcriber, TranscriptEvent, TranscriptionSession } from '../../src/transcription/transcriber.ts'
import { FakeTranscriber } from '../support/fake-transcriber.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { CALL, EventReader, faintNoise, frames, isFinal, type Transcript } from './transcriber-contract.ts'

/** Says what the test tells it to. */
class ScriptedTranscriber implements Transcriber {
  readonly name = 'vendor'
  readonly events = new BoundedQueue<TranscriptEvent>(64, 'drop-oldest')
  opened = 0
  closed = 0

  open(): TranscriptionSession {
    this.opened += 1
    return { events: this.events, push: () => undefined, hint: () => undefined, expect: () => undefined, endUtterance: () => undefined, close: async () => void (this.closed += 1) }
  }

  hears(utterance: number, text: string, audioEndMs: number, final: boolean): void {
    this.events.push({ kind: 'transcript', utterance, text, words: [], audioEndMs, final })
  }
}

const AUDIO = faintNoise(16_000 * 8)
const WORDS = [
  { startMs: 1000, endMs: 3000, text: 'my furnace is broken' },
  { startMs: 3500, endMs: 5000, text: 'and it is cold' },
  { startMs: 9000, endMs: 10_000, text: 'yes please' },
]

function world() {
  const clock = new VirtualClock()
  const primary = new ScriptedTranscriber()
  const fallback = new FakeTranscriber({ clock, utterances: WORDS, finalDelayMs: 100 })
  const breaker = new Breaker('vendor stt', clock)
  const failures: TranscriberFailure[] = []
  const transcriber = new FailoverTranscriber({ primary, fallback, breaker, onFailure: (failure) => failures.push(failure) })
  const scope = new Scope()
  const session = transcriber.open(CALL, scope.signal)
  const events = new EventReader(session)
  const hear = (fromMs: number, toMs: number): void => frames(AUDIO, fromMs, toMs).forEach((frame) => session.push(frame))
  const settle = (): Promise<void> => clock.advance(0)
  return { clock, primary, fallback, breaker, failures, transcriber, scope, session, events, hear, settle }
}

t.test('a vendor that fails in mid-utterance: the caller’s sentence is heard whole by the other one', async (t) => {
  const { clock, primary, fallback, failures, session, events, hear, settle } = world()
  hear(0, 2000)
  session.hint({ kind: 'speech-started', mediaMs: 1000 })
  primary.hears(0, 'my furnace', 2000, false)
  await settle()
  primary.events.fail(new Error('reset'))
  await settle()
  hear(2000, 3100)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 3000 })
  const final = await clock.runUntil(events.next(isFinal))
  t.equal(final.text, 'my furnace is broken')
  t.equal(final.utterance, 0)
  t.equal(primary.closed, 1)
  t.match(failures, [{ engine: 'vendor', companyId: 'company-1', afterMs: 2000 }])
  await session.close()
  t.equal(fallback.openSessions, 0)
})

t.test('words that were final stay as they are, and only what follows is heard again', async (t) => {
  const { clock, primary, session, events, hear, settle } = world()
  hear(0, 3200)
  session.hint({ kind: 'speech-started', mediaMs: 1000 })
  session.hint({ kind: 'speech-paused', lastVoicedMs: 3000 })
  primary.hears(0, 'My furnace is broken,', 3200, true)
  await settle()
  hear(3200, 4000)
  session.hint({ kind: 'speech-resumed', mediaMs: 3500 })
  primary.events.fail(new Error('stalled'))
  await settle()
  hear(4000, 5100)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 5000 })
  const whole = await clock.runUntil(events.next((event): event is Transcript => isFinal(event) && event.audioEndMs >= 5000))
  t.equal(whole.text, 'My furnace is broken, and it is cold')
  t.equal(whole.utterance, 0)
})

t.test('a turn that already waits for its words gets them, although the next utterance has begun', async (t) => {
  const { clock, primary, session, events, hear, settle } = world()
  primary.hears(0, '', 100, true)
  hear(0, 3100)
  session.hint({ kind: 'speech-started', mediaMs: 1000 })
  session.hint({ kind: 'speech-paused', lastVoicedMs: 3000 })
  hear(3100, 3300)
  // A stall line became audible.
  session.endUtterance(3300)
  hear(3300, 4000)
  await settle()
  primary.events.fail(new Error('stalled'))
  const late = await clock.runUntil(events.next((event): event is Transcript => isFinal(event) && event.text !== ''))
  t.match(late, { utterance: 0, text: 'my furnace is broken' })
  hear(4000, 10_100)
  session.hint({ kind: 'speech-started', mediaMs: 9000 })
  session.hint({ kind: 'speech-paused', lastVoicedMs: 10_000 })
  const next = await clock.runUntil(events.next((event): event is Transcript => isFinal(event) && event.utterance === 1))
  t.match(next.text, /yes please/)
})

t.test('utterances that are over and final are not heard again', async (t) => {
  const { clock, primary, session, events, hear, settle } = world()
  hear(0, 3200)
  session.hint({ kind: 'speech-started', mediaMs: 1000 })
  session.hint({ kind: 'speech-paused', lastVoicedMs: 3000 })
  primary.hears(0, 'My furnace is broken.', 3200, true)
  await settle()
  session.endUtterance(5500)
  hear(3200, 9500)
  session.hint({ kind: 'speech-started', mediaMs: 9000 })
  primary.events.fail(new Error('reset'))
  await settle()
  hear(9500, 10_100)
  session.hint({ kind: 'speech-paused', lastVoicedMs: 10_000 })
  const final = await clock.runUntil(events.next((event): event is Transcript => isFinal(event) && event.utterance === 1))
  t.equal(final.text, 'yes please')
})

t.test('a vendor that keeps failing is not asked by the next calls; after seconds one of them tries it', async (t) => {
  const { clock, primary, fallback, breaker, transcriber, scope, settle } = world()
  primary.events.fail(new Error('refused'))
  await settle()
  transcriber.open(CALL, scope.signal)
  await settle()
  t.equal(breaker.state, 'open')
  transcriber.open(CALL, scope.signal)
  t.equal(primary.opened, 2)
  t.equal(fallback.openSessions, 3)
  await clock.advance(5000)
  transcriber.open(CALL, scope.signal)
  transcriber.open(CALL, scope.signal)
  t.equal(primary.opened, 3, 'one probe')
  scope.end('over')
})

t.test('a caller who hangs up before the vendor answered proves nothing about it', async (t) => {
  const { breaker, session, events } = world()
  await session.close()
  t.ok(await events.ended())
  t.equal(breaker.state, 'closed')
})
