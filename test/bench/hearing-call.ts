/** One clip as a call hears it: frames, Silero, the turn detector's hints and the recogniser's session, without the rest of the call. */
import { encodeMulaw } from '../../src/audio/g711.ts'
import { levelDb } from '../../src/audio/level.ts'
import { newVoiceState, WINDOW_SAMPLES, type SileroModel } from '../../src/audio/silero-model.ts'
import { instant, type Clock } from '../../src/core/clock.ts'
import type { Expectation } from '../../src/core/expectation.ts'
import type { Reading } from '../../src/core/reading.ts'
import { Scope } from '../../src/core/scope.ts'
import type { Transcriber, TranscriptEvent, TranscriptionSession } from '../../src/transcription/transcriber.ts'
import { createTurnDetector } from '../../src/turn-taking/endpointing.ts'
import type { SpeechSignal } from '../../src/turn-taking/turn-detector.ts'

export type HeardClip = Readonly<{
  text: string
  reading: Reading | null
  /** Of the last decode: from the noticed pause to the text. */
  decodeMs: number
  speechMs: number
  /** Whether the agent would have taken the turn before the caller's last word. */
  cutIn: boolean
}>

export async function hearClip(
  deps: Readonly<{ transcriber: Transcriber; voice: SileroModel; clock: Clock }>,
  samples: Int16Array,
  expectation: Expectation,
  vocabulary: readonly string[],
): Promise<HeardClip> {
  const scope = new Scope()
  const session = deps.transcriber.open({ companyId: 'bench', callId: 'bench', language: 'en', vocabulary }, scope.signal)
  const events = session.events[Symbol.asyncIterator]()
  const detector = createTurnDetector({ preset: 'balanced' })
  session.expect(expectation)
  const heard = { text: '', reading: null as Reading | null, decodeMs: 0, startMs: -1, endMs: 0, commits: 0, cutIn: false }
  const take = async (lastVoicedMs: number): Promise<void> => {
    const askedAt = deps.clock.now()
    const event = await finalOf(events)
    heard.decodeMs = deps.clock.now() - askedAt
    heard.text = event.text
    heard.reading = event.reading ?? null
    heard.endMs = lastVoicedMs
    await observe({ kind: 'transcript', text: event.text, audioEndMs: event.audioEndMs, final: true })
  }
  const observe = async (signal: SpeechSignal): Promise<void> => {
    for (const decision of detector.observe(signal)) {
      if (decision.kind === 'speech-started') {
        if (heard.startMs < 0) heard.startMs = decision.firstVoicedMs
        session.hint({ kind: 'speech-started', mediaMs: decision.firstVoicedMs })
      } else if (decision.kind === 'speech-resumed') {
        if (heard.commits > 0) heard.cutIn = true
        session.hint({ kind: 'speech-resumed', mediaMs: decision.atMs })
      } else if (decision.kind === 'speech-paused') {
        session.hint({ kind: 'speech-paused', lastVoicedMs: decision.lastVoicedMs })
        await take(decision.lastVoicedMs)
      } else if (decision.kind === 'commit') heard.commits += 1
    }
  }
  await observe({ kind: 'expect', expectation })
  await play(deps.voice, session, samples, observe)
  await session.close()
  scope.end(new Error('heard'))
  return { text: heard.text, reading: heard.reading, decodeMs: heard.decodeMs, speechMs: Math.max(0, heard.endMs - heard.startMs), cutIn: heard.cutIn }
}

/** Silero's answer is this late (a batch, a hop between threads). */
const VOICE_LAG_MS = 20

async function play(voice: SileroModel, session: TranscriptionSession, samples: Int16Array, observe: (signal: SpeechSignal) => Promise<void>): Promise<void> {
  const state = newVoiceState()
  let window = 0
  for (let at = 0; at + 160 <= samples.length; at += 160) {
    const part = samples.subarray(at, at + 160)
    const endMs = (at + 160) / 8
    session.push({ mulaw: encodeMulaw(part), samples: part, mediaMs: at / 8, capturedAt: instant(at / 8) })
    while ((window + 1) * WINDOW_SAMPLES <= at + 160 - VOICE_LAG_MS * 8) {
      const [probability] = await voice.probabilities([samples.subarray(window * WINDOW_SAMPLES, (window + 1) * WINDOW_SAMPLES)], [state])
      window += 1
      await observe({ kind: 'voice', atMs: (window * WINDOW_SAMPLES) / 8, probability: probability as number })
    }
    await observe({ kind: 'energy', atMs: endMs, energyDb: levelDb(part) })
  }
}

async function finalOf(events: AsyncIterator<TranscriptEvent>): Promise<Extract<TranscriptEvent, { kind: 'transcript' }>> {
  for (;;) {
    const { value } = await events.next()
    if (value === undefined) throw new Error('the session ended')
    if (value.kind === 'lost') throw new Error(value.reason)
    if (value.kind === 'transcript' && value.final) return value
  }
}
