import t from 'tap'
import type { AudioFrame } from '../../src/audio/frame.ts'
import { encodeMulaw } from '../../src/audio/g711.ts'
import { SileroVoiceActivity } from '../../src/audio/silero-voice-activity.ts'
import type { VoiceProbability } from '../../src/audio/voice-activity.ts'
import { instant, SystemClock } from '../../src/core/clock.ts'
import { Scope } from '../../src/core/scope.ts'
import { speak } from '../support/speech.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const engine = new SileroVoiceActivity(new SystemClock())
t.teardown(() => engine.close())
await engine.warm(new Scope().signal)

function framesOf(samples: Int16Array, startMs = 0): AudioFrame[] {
  return Array.from({ length: Math.floor(samples.length / 160) }, (_, i) => {
    const part = samples.slice(i * 160, (i + 1) * 160)
    return { mulaw: encodeMulaw(part), samples: part, mediaMs: startMs + i * 20, capturedAt: instant(startMs + i * 20) }
  })
}

/** Feeds the frames a window's worth at a time, waiting for each answer as a live call would. */
async function judge(frames: readonly AudioFrame[], engineInUse = engine): Promise<VoiceProbability[]> {
  const heard: VoiceProbability[] = []
  let wake: () => void = () => undefined
  const session = engineInUse.open((voice) => {
    heard.push(voice)
    wake()
  })
  let pushedMs = 0
  let expected = 0
  for (const frame of frames) {
    session.push(frame)
    pushedMs += 20
    expected = Math.floor(pushedMs / 32)
    while (heard.length < expected) await new Promise<void>((resolve) => (wake = resolve))
  }
  session.close()
  return heard
}

/** Noise that is the same on every machine. */
function noise(length: number, amplitude: number): Int16Array {
  let seed = 12345
  return Int16Array.from({ length }, () => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
    return Math.round((seed / 0x3fffffff - 1) * amplitude)
  })
}

function silenceSpeechSilence(speech: Int16Array): Int16Array {
  const samples = noise(8000 + speech.length + 8000, 8)
  samples.set(speech, 8000)
  return samples
}

t.test('a caller who speaks is told from silence, window by window and in order', async (t) => {
  const speech = await speak('I would like to book an appointment for next week.')
  const heard = await judge(framesOf(silenceSpeechSilence(speech), 5000))
  t.same(heard.slice(0, 3).map((voice) => voice.mediaMs), [5032, 5064, 5096], 'times count from the first frame')
  t.ok(heard.every((voice, i) => i === 0 || voice.mediaMs === (heard[i - 1] as VoiceProbability).mediaMs + 32))
  const speechEndMs = 6000 + speech.length / 8
  const inSpeech = heard.filter((voice) => voice.mediaMs > 6200 && voice.mediaMs < speechEndMs - 400)
  const outside = heard.filter((voice) => voice.mediaMs < 5950 || voice.mediaMs > speechEndMs + 200)
  t.ok(inSpeech.filter((voice) => voice.probability > 0.5).length > inSpeech.length * 0.8)
  t.ok(outside.every((voice) => voice.probability < 0.3))
})

t.test('calls heard together are judged as each would be alone', async (t) => {
  const mixes = await Promise.all([speak('What are your opening hours?', 'slt'), speak('My furnace is broken.', 'rms')])
  const calls = [...mixes.map(silenceSpeechSilence), noise(24000, 300)].map((samples) => framesOf(samples))
  const alone: VoiceProbability[][] = []
  for (const call of calls) alone.push(await judge(call))
  const together = await Promise.all(calls.map((call) => judge(call)))
  together.forEach((heard, i) => {
    const worst = Math.max(...heard.map((voice, k) => Math.abs(voice.probability - (alone[i]?.[k]?.probability ?? 9))))
    t.ok(worst < 0.02, `largest difference ${worst}`)
  })
})

t.test('a burst of late audio drops the oldest windows and counts them', async (t) => {
  const before = engine.stats.droppedWindows
  const heard: number[] = []
  let done: () => void = () => undefined
  const session = engine.open((voice) => {
    heard.push(voice.mediaMs)
    if (voice.mediaMs >= 1600) done()
  })
  const finished = new Promise<void>((resolve) => (done = resolve))
  for (const frame of framesOf(noise(12800, 100))) session.push(frame)
  await finished
  t.equal(engine.stats.droppedWindows - before, 50 - 9)
  t.same(heard, Array.from({ length: 9 }, (_, i) => 1600 - 32 * (8 - i)), 'what is left is the newest 288 ms, in order')
  session.close()
})

t.test('a gap in the stream starts the count anew', async (t) => {
  const heard: number[] = []
  let done: () => void = () => undefined
  const finished = new Promise<void>((resolve) => (done = resolve))
  const session = engine.open((voice) => {
    heard.push(voice.mediaMs)
    if (heard.length === 2) done()
  })
  for (const frame of framesOf(noise(320, 100))) session.push(frame)
  for (const frame of framesOf(noise(512, 100), 900)) session.push(frame)
  for (const frame of framesOf(noise(320, 100), 960)) session.push(frame)
  await finished
  t.same(heard, [32, 932])
  session.close()
})

t.test('where there are many calls a batch waits for company, by milliseconds, unless it is full', async (t) => {
  const clock = new VirtualClock()
  const own = new SileroVoiceActivity(clock)
  t.teardown(() => own.close())
  let warm = false
  void own.warm(new Scope().signal).then(() => (warm = true))
  while (!warm) await clock.advance(10)
  let heard = 0
  let wake: () => void = () => undefined
  const sessions = Array.from({ length: 36 }, () =>
    own.open(() => {
      heard += 1
      wake()
    }),
  )
  const frames = framesOf(noise(480, 100))
  const say = (from: number, to: number): void => sessions.slice(from, to).forEach((session) => frames.slice(0, 2).forEach((frame) => session.push(frame)))
  const until = async (count: number): Promise<void> => {
    while (heard < count) await new Promise<void>((resolve) => (wake = resolve))
  }
  say(0, 1)
  await until(1)
  t.equal(own.stats.batches, 1, 'the first has nobody to wait for')
  for (let call = 1; call < 4; call += 1) {
    say(call, call + 1)
    await clock.advance(0.5)
  }
  t.equal(own.unfinished, 3, 'three wait')
  await clock.advance(1.5)
  await until(4)
  t.equal(own.stats.batches, 2, 'and are judged together, 3 ms after the first')
  say(4, 36)
  await until(36)
  t.equal(own.stats.batches, 3, 'a full batch waits for nothing')
  for (const session of sessions) session.close()
})

t.test('a worker that dies is replaced and the calls go on', async (t) => {
  const own = new SileroVoiceActivity(new SystemClock())
  t.teardown(() => own.close())
  const speech = framesOf(silenceSpeechSilence(await speak('Hello, can you hear me now?')))
  await judge(speech.slice(0, 30), own)
  const heard: VoiceProbability[] = []
  let wake: () => void = () => undefined
  const session = own.open((voice) => {
    heard.push(voice)
    wake()
  })
  session.push(speech[0] as AudioFrame)
  await own.restartWorker()
  t.equal(own.stats.restarts, 1)
  for (const frame of speech.slice(1, 16)) session.push(frame)
  while ((heard.at(-1)?.mediaMs ?? 0) < 320) await new Promise<void>((resolve) => (wake = resolve))
  t.ok(heard.length >= 9)
  t.equal(own.stats.sessions, 1)
  session.close()
  t.equal(own.stats.sessions, 0)
  await own.close()
  await t.rejects(own.warm(new Scope().signal), /closed/)
})
