/**
 * The process behind the density and soak benches: `--target URL --to +1... --calls N --seconds S --wav FILE [--churn SECONDS]` keeps N
 * calls going for S seconds and prints its figures as one JSON line. With `--churn` each call is hung up after about that long and
 * another takes its place.
 */
import { parseArgs } from 'node:util'
import { readFileSync } from 'node:fs'
import { encodeMulaw } from '../../../src/audio/g711.ts'
import { readWav } from '../../../src/audio/wav.ts'
import { LightCall, emptyFigures, quantile, sentenceOf } from './light-caller.ts'

const { values: options } = parseArgs({
  options: { target: { type: 'string' }, to: { type: 'string' }, calls: { type: 'string' }, seconds: { type: 'string' }, wav: { type: 'string' }, churn: { type: 'string' } },
})
const target = options.target as string
const wanted = Number(options.calls)
const churnMs = options.churn === undefined ? Infinity : Number(options.churn) * 1000
const wav = readWav(readFileSync(options.wav as string))
const sentence = sentenceOf(encodeMulaw(wav.channels[0] as Int16Array))
const figures = emptyFigures()
const calls = new Map<LightCall, number>()
const endsAt = performance.now() + Number(options.seconds) * 1000
let dialling = 0
let failed = 0

const dial = async (): Promise<void> => {
  dialling += 1
  const call = new LightCall(target, options.to as string, sentence, figures)
  try {
    if (await call.dial()) calls.set(call, performance.now() + churnMs * (0.75 + Math.random() / 2))
  } catch {
    failed += 1
  } finally {
    dialling -= 1
  }
}

// Spread over a frame and more: real calls do not tick together, nor do they begin in the same second.
const RAMP_A_SECOND = 20
let nextDialAt = performance.now()
const timer = setInterval(() => {
  const now = performance.now()
  for (const [call, until] of calls) {
    if (!call.live) calls.delete(call)
    else if (now > until) {
      calls.delete(call)
      void call.hangUp()
    } else call.tick(now)
  }
  if (now < endsAt && calls.size + dialling < wanted && now >= nextDialAt) {
    nextDialAt = now + 1000 / RAMP_A_SECOND
    void dial()
  }
  if (now >= endsAt) {
    clearInterval(timer)
    void finish()
  }
}, 5)

async function finish(): Promise<void> {
  const live = calls.size
  await Promise.all([...calls.keys()].map((call) => call.hangUp()))
  const { gapsMs, greetingsMs, sendLagsMs, ...rest } = figures
  const three = (values: readonly number[]): object => ({ count: values.length, p50: quantile(values, 0.5), p95: quantile(values, 0.95), p99: quantile(values, 0.99) })
  process.stdout.write(`${JSON.stringify({ live, failed, ...rest, gap: three(gapsMs), greeting: three(greetingsMs), sendLag: three(sendLagsMs) })}\n`)
}
