import type { Test } from 'tap'
import type { AudioFrame } from '../../src/audio/frame.ts'
import { encodeMulaw } from '../../src/audio/g711.ts'
import { instant } from '../../src/core/clock.ts'
import { Scope } from '../../src/core/scope.ts'
import type { Transcriber, TranscriberOptions, TranscriptEvent, TranscriptionSession } from '../../src/transcription/transcriber.ts'
import { speak } from '../support/speech.ts'

export const CALL: TranscriberOptions = { companyId: 'company-1', callId: 'call-1', language: 'en-US', vocabulary: [] }

/** Two sentences on one line, with a second of near silence before, between and after. */
export type SpokenCall = Readonly<{
  samples: Int16Array
  sentences: readonly Readonly<{ startMs: number; endMs: number; text: string; keyWord: RegExp }>[]
}>

export async function spokenCall(): Promise<SpokenCall> {
  const first = await speak('What are your opening hours?', 'slt')
  const second = await speak('I need somebody to look at my furnace tomorrow morning.', 'slt')
  const samples = faintNoise(8000 + first.length + 8000 + second.length + 8000)
  samples.set(first, 8000)
  samples.set(second, 16000 + first.length)
  const firstEndMs = 1000 + first.length / 8
  return {
    samples,
    sentences: [
      { startMs: 1000, endMs: Math.round(firstEndMs), text: 'What are your opening hours?', keyWord: /hours/i },
      {
        startMs: Math.round(firstEndMs + 1000),
        endMs: Math.round(firstEndMs + 1000 + second.length / 8),
        text: 'I need somebody to look at my furnace tomorrow morning.',
        keyWord: /furnace.*morning/i,
      },
    ],
  }
}

export function faintNoise(length: number): Int16Array {
  let seed = 7
  return Int16Array.from({ length }, () => {
    seed = Math.imul(seed, 48271) & 0x7fffffff
    return (seed >> 8) % 9
  })
}

export function frames(samples: Int16Array, fromMs: number, toMs: number): AudioFrame[] {
  const result: AudioFrame[] = []
  for (let mediaMs = Math.ceil(fromMs / 20) * 20; mediaMs + 20 <= Math.min(toMs, samples.length / 8); mediaMs += 20) {
    const part = samples.slice(mediaMs * 8, mediaMs * 8 + 160)
    result.push({ mulaw: encodeMulaw(part), samples: part, mediaMs, capturedAt: instant(mediaMs) })
  }
  return result
}

/** Reads a session's events; `next` gives the first one not yet seen that fits. */
export class EventReader {
  readonly seen: TranscriptEvent[] = []
  readonly #iterator: AsyncIterator<TranscriptEvent>

  constructor(session: TranscriptionSession) {
    this.#iterator = session.events[Symbol.asyncIterator]()
  }

  async next<E extends TranscriptEvent>(fits: (event: TranscriptEvent) => event is E): Promise<E> {
    for (;;) {
      const { value, done } = await this.#iterator.next()
      if (done === true) throw new Error(`events ended after ${JSON.stringify(this.seen)}`)
      this.seen.push(value)
      if (fits(value)) return value
    }
  }

  async ended(): Promise<boolean> {
    return (await this.#iterator.next()).done === true
  }
}

export type Transcript = Extract<TranscriptEvent, { kind: 'transcript' }>
export const isFinal = (event: TranscriptEvent): event is Transcript => event.kind === 'transcript' && event.final

/**
 * What every recogniser that listens to hints owes its caller. `settle` runs until the promise is there: real engines just wait, virtual
 * time is moved.
 */
export async function transcriberContract(
  t: Test,
  call: SpokenCall,
  transcriber: Transcriber,
  settle: <T>(promise: Promise<T>) => Promise<T>,
): Promise<void> {
  const [first, second] = call.sentences as [SpokenCall['sentences'][0], SpokenCall['sentences'][0]]
  const hear = (session: TranscriptionSession, fromMs: number, toMs: number): void => {
    for (const frame of frames(call.samples, fromMs, toMs)) session.push(frame)
  }

  await t.test('a pause brings the final text of all audio up to it, with words in order', async (t) => {
    const session = transcriber.open(CALL, new Scope().signal)
    const events = new EventReader(session)
    hear(session, 0, first.startMs + 100)
    session.hint({ kind: 'speech-started', mediaMs: first.startMs })
    hear(session, first.startMs + 100, first.endMs + 60)
    session.hint({ kind: 'speech-paused', lastVoicedMs: first.endMs })
    const final = await settle(events.next(isFinal))
    t.match(final.text, first.keyWord)
    t.equal(final.utterance, 0)
    t.ok(final.audioEndMs >= first.endMs)
    t.ok(final.words.every((word, i) => word.endMs >= word.startMs && word.startMs >= (final.words[i - 1]?.endMs ?? 0)))
    t.ok(final.words.every((word) => word.startMs >= first.startMs - 400 && word.endMs <= first.endMs + 400))
    await session.close()
  })

  await t.test('a caller who goes on after a pause is heard whole; after the turn only the new words', async (t) => {
    const session = transcriber.open(CALL, new Scope().signal)
    const events = new EventReader(session)
    hear(session, 0, first.endMs + 60)
    session.hint({ kind: 'speech-started', mediaMs: first.startMs })
    session.hint({ kind: 'speech-paused', lastVoicedMs: first.endMs })
    await settle(events.next(isFinal))
    hear(session, first.endMs + 60, second.startMs + 100)
    session.hint({ kind: 'speech-resumed', mediaMs: second.startMs })
    hear(session, second.startMs + 100, second.endMs + 60)
    session.hint({ kind: 'speech-paused', lastVoicedMs: second.endMs })
    const whole = await settle(events.next(isFinal))
    t.match(whole.text, first.keyWord)
    t.match(whole.text, second.keyWord)
    await session.close()

    const inTurns = transcriber.open(CALL, new Scope().signal)
    const turnEvents = new EventReader(inTurns)
    hear(inTurns, 0, first.endMs + 60)
    inTurns.hint({ kind: 'speech-started', mediaMs: first.startMs })
    inTurns.hint({ kind: 'speech-paused', lastVoicedMs: first.endMs })
    await settle(turnEvents.next(isFinal))
    inTurns.endUtterance(first.endMs + 500)
    hear(inTurns, first.endMs + 60, second.endMs + 60)
    inTurns.hint({ kind: 'speech-started', mediaMs: second.startMs })
    inTurns.hint({ kind: 'speech-paused', lastVoicedMs: second.endMs })
    const next = await settle(turnEvents.next(isFinal))
    t.equal(next.utterance, 1)
    t.match(next.text, second.keyWord)
    t.notMatch(next.text, first.keyWord)
    await inTurns.close()
  })

  await t.test('speech that the reply cuts into is shared out, nothing is lost', async (t) => {
    const session = transcriber.open(CALL, new Scope().signal)
    const events = new EventReader(session)
    const middleMs = Math.round((second.startMs + second.endMs) / 40) * 20
    hear(session, first.endMs + 400, middleMs)
    session.hint({ kind: 'speech-started', mediaMs: second.startMs })
    session.endUtterance(middleMs)
    const head = await settle(events.next(isFinal))
    t.equal(head.utterance, 0)
    t.match(head.text, /need/i)
    hear(session, middleMs, second.endMs + 60)
    session.hint({ kind: 'speech-paused', lastVoicedMs: second.endMs })
    const tail = await settle(events.next(isFinal))
    t.equal(tail.utterance, 1)
    t.match(tail.text, /tomorrow/i)
    await session.close()
  })

  await t.test('a noise without words still ends in a final', async (t) => {
    const session = transcriber.open(CALL, new Scope().signal)
    const events = new EventReader(session)
    hear(session, 0, 800)
    session.hint({ kind: 'speech-started', mediaMs: 300 })
    session.hint({ kind: 'speech-paused', lastVoicedMs: 600 })
    const final = await settle(events.next(isFinal))
    t.equal(final.text, '')
    t.same(final.words, [])
    t.ok(final.audioEndMs >= 600)
    await session.close()
  })

  await t.test('a session ends with its call, by close or by signal, and then takes nothing', async (t) => {
    const scope = new Scope()
    for (const end of [(session: TranscriptionSession) => session.close(), async () => scope.end('hung up')]) {
      const session = transcriber.open(CALL, scope.signal)
      const events = new EventReader(session)
      hear(session, 0, first.endMs)
      session.hint({ kind: 'speech-started', mediaMs: first.startMs })
      session.hint({ kind: 'speech-paused', lastVoicedMs: first.endMs })
      await end(session)
      session.push(frames(call.samples, first.endMs, first.endMs + 60)[0] as AudioFrame)
      session.endUtterance(first.endMs + 60)
      t.ok(await settle(events.ended()))
      await session.close()
    }
    t.ok(await settle(new EventReader(transcriber.open(CALL, scope.signal)).ended()), 'opened under a call that is over')
  })
}
