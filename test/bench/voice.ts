import { parseArgs } from 'node:util'
import { decodeMulaw } from '../../src/audio/g711.ts'
import { levelDb } from '../../src/audio/level.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { EmbeddedSynthesizer } from '../../src/synthesis/embedded-synthesizer.ts'
import { FLITE_VOICES } from '../../src/synthesis/flite-protocol.ts'
import { speakable } from '../support/voices.ts'

/** Prints, per embedded voice, the time to the first audio and how much faster than real time it speaks. */
const SENTENCES = [
  'Thanks for calling Polar Bay Air, how can I help you today?',
  'Sure, one moment.',
  'Our hours are 8 a.m. to 5 p.m., Monday through Friday, and we are always here for emergencies.',
  'The diagnostic visit is $89.95, and it is waived if you go ahead with the repair.',
  'We serve Fort Myers, Cape Coral and the zip codes around 33901.',
  'Please leave the house now and call 911 from outside.',
  'I do not know that one, but I can take a message or connect you with a person.',
]

const { rounds } = parseArgs({ options: { rounds: { type: 'string', default: '3' } } }).values
const clock = new SystemClock()
const signal = new AbortController().signal
const embedded = new EmbeddedSynthesizer({ clock })
const startedAt = clock.now()
await embedded.warm(signal)
console.log(`ready after ${Math.round(clock.now() - startedAt)} ms`)
for (const id of FLITE_VOICES) {
  const firstMs: number[] = []
  let madeMs = 0
  let audioMs = 0
  const levels: number[] = []
  for (let round = 0; round < Number(rounds); round += 1) {
    for (const sentence of SENTENCES) {
      const from = clock.now()
      let first: number | null = null
      for await (const chunk of embedded.synthesize(speakable(sentence), { id, speed: 1 }, signal)) {
        first ??= clock.now() - from
        audioMs += chunk.length / 8
        levels.push(levelDb(decodeMulaw(chunk)))
      }
      madeMs += clock.now() - from
      firstMs.push(first ?? Infinity)
    }
  }
  firstMs.sort((a, b) => a - b)
  const at = (share: number): string => (firstMs[Math.floor(share * (firstMs.length - 1))] as number).toFixed(0)
  const level = levels.reduce((sum, db) => sum + db, 0) / levels.length
  console.log(
    `${id.padEnd(6)} first audio p50 ${at(0.5)} ms, p95 ${at(0.95)} ms; real-time factor ${(madeMs / audioMs).toFixed(3)}; clause level ${level.toFixed(1)} dBFS, pauses included`,
  )
}
await embedded.close()
