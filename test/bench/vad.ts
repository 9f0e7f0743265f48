/**
 * Voice activity figures: cost of the model at several batch sizes, onset and offset of speech, false triggers in noise, and the delay of the
 * whole engine (worker included) for many calls at once.
 *
 *   node test/bench/vad.ts [--speech FOLDER] [--noise FOLDER] [--calls 50]
 *
 * Speech clips need quiet ends: their reference is the level alone (first and last 10 ms step 12 dB above the clip's 10th percentile).
 */
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { encodeMulaw } from '../../src/audio/g711.ts'
import { newVoiceState, SileroModel, WINDOW_MS, WINDOW_SAMPLES } from '../../src/audio/silero-model.ts'
import { SileroVoiceActivity } from '../../src/audio/silero-voice-activity.ts'
import { instant, SystemClock } from '../../src/core/clock.ts'
import { lineSamples, referenceSegments, wavs } from './recorded-speech.ts'

const { values: options } = parseArgs({
  options: { speech: { type: 'string' }, noise: { type: 'string' }, calls: { type: 'string', default: '50' } },
})
const clock = new SystemClock()
const model = await SileroModel.load()

await costTable()
await engineDelay(Number(options.calls))
if (options.speech !== undefined) await edges(options.speech)
if (options.noise !== undefined) await falseTriggers(options.noise)
console.log(`${cpus()[0]?.model ?? 'unknown CPU'} x${cpus().length}, Node ${process.version}`)

async function costTable(): Promise<void> {
  const table = []
  for (const size of [1, 2, 4, 8, 16, 32]) {
    const states = Array.from({ length: size }, newVoiceState)
    const windows = Array.from({ length: size }, (_, call) => Int16Array.from({ length: WINDOW_SAMPLES }, (_unused, i) => Math.round(3000 * Math.sin(i * (call + 1) * 0.05))))
    const runs = Math.max(50, Math.round(1600 / size))
    for (let i = 0; i < 20; i += 1) await model.probabilities(windows, states)
    const cpuBefore = process.cpuUsage()
    for (let i = 0; i < runs; i += 1) await model.probabilities(windows, states)
    const cpu = process.cpuUsage(cpuBefore)
    const cpuMs = (cpu.user + cpu.system) / 1000 / runs / size
    table.push({ batch: size, 'CPU ms a window': Number(cpuMs.toFixed(3)), 'calls a core': Math.round(WINDOW_MS / cpuMs) })
  }
  console.table(table)
}

/** Every call sends its frames at once, 50 times a second: how long until the probability of a window is back on this thread? */
async function engineDelay(calls: number): Promise<void> {
  const engine = new SileroVoiceActivity(clock)
  const delays: number[] = []
  let sentAt = clock.now()
  const sessions = Array.from({ length: calls }, () => engine.open(() => delays.push(clock.now() - sentAt)))
  const samples = Int16Array.from({ length: 160 }, (_, i) => Math.round(3000 * Math.sin(i * 0.3)))
  const mulaw = encodeMulaw(samples)
  await engine.warm(new AbortController().signal)
  for (let frame = 0; frame < 150; frame += 1) {
    sentAt = clock.now()
    for (const session of sessions) session.push({ mulaw, samples, mediaMs: frame * 20, capturedAt: instant(frame * 20) })
    await clock.sleep(20)
  }
  delays.sort((a, b) => a - b)
  const { windows, batches, droppedWindows } = engine.stats
  console.table([{ calls, 'delay p50 ms': at(delays, 0.5), 'p95 ms': at(delays, 0.95), 'windows a batch': Number((windows / batches).toFixed(1)), dropped: droppedWindows }])
  await engine.close()
}

async function probabilitiesOf(samples: Int16Array): Promise<number[]> {
  const state = newVoiceState()
  const found: number[] = []
  for (let start = 0; start + WINDOW_SAMPLES <= samples.length; start += WINDOW_SAMPLES) {
    const [probability] = await model.probabilities([samples.subarray(start, start + WINDOW_SAMPLES)], [state])
    found.push(probability as number)
  }
  return found
}

async function edges(folder: string): Promise<void> {
  const onsets: number[] = []
  const offsets: number[] = []
  for (const path of wavs(folder)) {
    const samples = lineSamples(path)
    const segments = referenceSegments(samples)
    const probabilities = await probabilitiesOf(samples)
    const first = segments[0]
    const last = segments.at(-1)
    const on = probabilities.findIndex((probability) => probability > 0.5)
    const off = probabilities.findLastIndex((probability) => probability > 0.35)
    if (first === undefined || last === undefined || on < 0) continue
    onsets.push((on + 1) * WINDOW_MS - first.startMs)
    offsets.push((off + 2) * WINDOW_MS - last.endMs)
  }
  onsets.sort((a, b) => a - b)
  offsets.sort((a, b) => a - b)
  console.table([{ clips: onsets.length, 'onset p50 ms': at(onsets, 0.5), 'onset p95 ms': at(onsets, 0.95), 'offset p50 ms': at(offsets, 0.5), 'offset p95 ms': at(offsets, 0.95) }])
}

async function falseTriggers(folder: string): Promise<void> {
  const table = []
  const sums = new Map<number, number>()
  let minutes = 0
  for (const path of wavs(folder)) {
    const samples = lineSamples(path)
    const probabilities = await probabilitiesOf(samples)
    minutes += samples.length / 8000 / 60
    for (const sustainedMs of [100, 200, 300, 500]) sums.set(sustainedMs, (sums.get(sustainedMs) ?? 0) + triggers(probabilities, sustainedMs))
  }
  for (const [sustainedMs, count] of sums) table.push({ 'sustained ms': sustainedMs, 'triggers a minute': Number((count / minutes).toFixed(2)), count, minutes: Number(minutes.toFixed(1)) })
  console.table(table)
}

/** Stretches that begin above .5, last as long as asked, and end below .35. */
function triggers(probabilities: readonly number[], sustainedMs: number): number {
  let count = 0
  let voicedMs = 0
  for (const probability of [...probabilities, 0]) {
    const isVoiced = probability > (voicedMs > 0 ? 0.35 : 0.5)
    if (!isVoiced && voicedMs >= sustainedMs) count += 1
    voicedMs = isVoiced ? voicedMs + WINDOW_MS : 0
  }
  return count
}

function at(sorted: readonly number[], share: number): number {
  return Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1))
}
