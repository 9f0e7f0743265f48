/**
 * The callers of the vendor bench, in a process of their own: `--target URL --to +1... --calls N --seconds S [--topic N]`. Each asks about
 * one topic after the other, or about one only, and prints gaps, and the turns as the server wrote them down, as one JSON line.
 */
import { parseArgs } from 'node:util'
import { SystemClock } from '../../../src/core/clock.ts'
import { LightCall, emptyFigures, sentenceOf } from './light-caller.ts'
import { spokenTopics } from './spoken-questions.ts'

const { values: options } = parseArgs({ options: { target: { type: 'string' }, to: { type: 'string' }, calls: { type: 'string' }, seconds: { type: 'string' }, topic: { type: 'string' } } })
const target = options.target as string
const sentences = spokenTopics().map(({ mulaw }) => sentenceOf(mulaw))
const only = options.topic === undefined ? null : Number(options.topic)
const figures = emptyFigures()
const clock = new SystemClock()
const calls: LightCall[] = []
let asked = 0

/** What a frame may be late by its caller's fault: it counts as the server's. */
const TICK_MS = 1
/** Spread over a frame and more: real calls do not begin together either. */
const DIAL_EVERY_MS = 53
const REDIAL_AFTER_MS = 500

const endsAt = clock.now() + Number(options.seconds) * 1000
const dialling = dialAll()
// Whoever is on the line already speaks on, whatever becomes of the others.
while (clock.now() < endsAt) {
  for (const call of calls) call.tick(clock.now())
  await clock.sleep(TICK_MS)
}
await dialling
await Promise.all(calls.map((call) => call.hangUp()))
async function dialAll(): Promise<void> {
  for (let n = 0; n < Number(options.calls) && clock.now() < endsAt; ) {
    const call = new LightCall(target, options.to as string, () => sentences[(only ?? asked++) % sentences.length] as (typeof sentences)[number], figures)
    if (await call.dial()) {
      calls.push(call)
      n += 1
      await clock.sleep(DIAL_EVERY_MS)
    } else await clock.sleep(REDIAL_AFTER_MS)
  }
}

// Turns are written beside the call.
await clock.sleep(1000)
const turns: unknown[] = []
for (const { callSid } of calls) {
  // Read as it stands: what the bench adds up is more than the load harness looks at.
  const response = await fetch(new URL(`/internal/calls/${callSid}`, target))
  if (response.status !== 200) continue
  const { turns: ofCall } = (await response.json()) as { turns: unknown[] }
  turns.push(...ofCall)
}
process.stdout.write(`${JSON.stringify({ ...figures, sendLagsMs: [], turns })}\n`)
