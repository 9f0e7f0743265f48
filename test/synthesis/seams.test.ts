import t from 'tap'
import { encodeMulaw } from '../../src/audio/g711.ts'
import { ClientsViaError } from '../../src/core/errors.ts'
import { seamOf } from '../../src/synthesis/broken-sentence.ts'
import { FailoverSynthesizer } from '../../src/synthesis/failover-synthesizer.ts'
import { HeldSpeech } from '../../src/synthesis/held-speech.ts'
import type { PrioritySynthesizer } from '../../src/synthesis/speaking.ts'
import { pauseWeight, weightOf } from '../../src/synthesis/word-timing.ts'
import { FakeSynthesizer } from '../support/fake-synthesizer.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { collect, SLT, speakable } from '../support/voices.ts'

const never = new AbortController().signal
const TEXT = speakable('Our technician can be there tomorrow morning, between eight and ten, and it costs eighty nine dollars.')
const WORDS = TEXT.split(' ')
const GAP_MS = 60
const COMMA_MS = 160
const PACE = 75

/** A tone a word, gaps between them, longer ones after commas. `ends`: where each word's sound is over, in ms. */
function spoken(pace: number): Readonly<{ mulaw: Uint8Array; ends: readonly number[] }> {
  const ends: number[] = []
  const parts: Int16Array[] = []
  let atMs = 0
  for (const [index, word] of WORDS.entries()) {
    const lengthMs = Math.round((weightOf(`${word} x`) - weightOf('x') - pauseWeight(word)) * pace)
    const pauseMs = pauseWeight(word) > 0 ? COMMA_MS : GAP_MS
    const samples = new Int16Array((lengthMs + pauseMs) * 8)
    for (let i = 0; i < lengthMs * 8; i += 1) samples[i] = Math.round(6000 * Math.sin((2 * Math.PI * (200 + 30 * (index % 7)) * i) / 8000))
    parts.push(samples)
    ends.push(atMs + lengthMs)
    atMs += lengthMs + pauseMs
  }
  return { mulaw: encodeMulaw(Int16Array.from(parts.flatMap((part) => [...part]))), ends }
}

/** The word whose beginning `owed` is, from 0. */
const firstOf = (owed: string): number => WORDS.length - (owed === '' ? 0 : owed.split(' ').length)

t.test('a voice that breaks off in the middle of a word is cut between two words, and the next one begins with the second of them', (t) => {
  const { mulaw, ends } = spoken(PACE)
  const learned = mulaw.length / 8 / weightOf(TEXT)
  for (const [brokenIn, word] of WORDS.entries()) {
    if (brokenIn < 2) continue
    const brokeAtMs = (ends[brokenIn - 1] as number) + GAP_MS + 40
    // The last 400 ms have not been played yet.
    const { cutBytes, owed } = seamOf(TEXT, mulaw.subarray(0, brokeAtMs * 8), (brokeAtMs - 400) * 8, learned)
    const cutMs = cutBytes / 8
    t.ok(cutMs >= brokeAtMs - 400, `${word}: what was played stays`)
    const lastWhole = ends.findLastIndex((ms) => ms <= cutMs)
    t.ok(cutMs - (ends[lastWhole] as number) <= COMMA_MS, `${word}: the cut is in a gap, ${cutMs} ms`)
    t.equal(firstOf(owed), lastWhole + 1, `${word}: and what was not said is owed`)
  }
  t.end()
})

t.test('a voice that is quicker or slower than it was known to be is found again at its commas', (t) => {
  const learned = spoken(PACE).mulaw.length / 8 / weightOf(TEXT)
  for (const pace of [0.8, 1.2]) {
    const { mulaw, ends } = spoken(PACE * pace)
    const inLastClause = WORDS.indexOf('costs')
    const brokeAtMs = (ends[inLastClause] as number) + 30
    const { cutBytes, owed } = seamOf(TEXT, mulaw.subarray(0, brokeAtMs * 8), (brokeAtMs - 900) * 8, learned)
    t.equal(owed.split(' ')[0], 'and', `at ${pace}: the clause that it was in is begun anew`)
    t.ok(Math.abs(cutBytes / 8 - (ends[inLastClause - 3] as number)) <= COMMA_MS, 'at the comma before it')
  }
  t.end()
})

t.test('without a pause to cut in, a word that was under way is said again: rather twice than not at all', (t) => {
  const tone = encodeMulaw(Int16Array.from({ length: 12_000 }, (_, i) => Math.round(6000 * Math.sin(i / 5))))
  const { cutBytes, owed } = seamOf(TEXT, tone, 4000, PACE)
  t.equal(cutBytes, tone.length, 'nothing of it is thrown away')
  const saidWeight = weightOf(WORDS.slice(0, firstOf(owed)).join(' '))
  t.ok(saidWeight * PACE <= tone.length / 8 + 60 && (saidWeight + 6) * PACE > tone.length / 8, `${owed} is owed`)
  t.end()
})

/** A vendor that is far quicker than speech, and then gone. */
function broken(mulaw: Uint8Array, atMs: number): PrioritySynthesizer {
  return {
    name: 'vendor',
    async *synthesize() {
      for (let at = 0; at < atMs * 8; at += 1000) yield mulaw.subarray(at, Math.min(at + 1000, atMs * 8))
      throw new ClientsViaError('ENGINE_FAILED', 'gone')
    },
  }
}

t.test('a vendor that broke off long before its words are heard leaves no trace of it: the voice changes at a comma', async (t) => {
  const clock = new VirtualClock()
  const { mulaw, ends } = spoken(PACE)
  const second = new FakeSynthesizer({ clock, name: 'second', msPerWord: 80 })
  const voice = new FailoverSynthesizer({ engines: [{ synthesizer: broken(mulaw, (ends[9] as number) + 20) }, { synthesizer: second }], clock, firstAudioWithinMs: 400 })
  const audio = await clock.runUntil(collect(voice.synthesize(TEXT, SLT, never)))
  const owed = second.spoken[0]?.text ?? ''
  t.equal(WORDS[firstOf(owed) - 1]?.at(-1), ',', `"${owed}" begins after a comma`)
  const firstMs = audio.length / 8 - owed.split(' ').length * 80
  const comma = firstOf(owed) - 1
  t.ok(firstMs >= (ends[comma] as number) && firstMs <= (ends[comma] as number) + COMMA_MS, 'and the first voice ends in the pause')
})

t.test('what arrives early is handed over a third of a second before it is heard, and all of it once the sentence is whole', async (t) => {
  const clock = new VirtualClock()
  const held = new HeldSpeech(clock)
  const chunk = new Uint8Array(1600)
  const handedOver: { atMs: number; ms: number }[] = []
  async function* vendor(): AsyncGenerator<Uint8Array, void, undefined> {
    for (let n = 0; n < 10; n += 1) yield chunk
    await clock.sleep(1000)
  }
  const reading = (async () => {
    for await (const piece of held.paced(vendor(), never)) handedOver.push({ atMs: clock.now(), ms: piece.length / 8 })
  })()
  await clock.runUntil(reading)
  t.equal(handedOver.reduce((sum, { ms }) => sum + ms, 0), 2000)
  let totalMs = 0
  for (const { atMs, ms } of handedOver.slice(0, -1)) {
    totalMs += ms
    t.ok(totalMs - atMs <= 320 && totalMs - atMs >= 200, `${totalMs} ms of it by ${atMs} ms`)
  }
  t.ok((handedOver.at(-1)?.ms ?? 0) > 500 && handedOver.at(-1)?.atMs === 1000, 'the rest as soon as nothing more can break')
  t.equal(clock.pendingTimers, 0)
})

t.test('a sentence of any length is handed over byte for byte, and what was handed over stays as it was', async (t) => {
  const clock = new VirtualClock()
  const held = new HeldSpeech(clock)
  const whole = Uint8Array.from({ length: 70_000 }, (_, at) => (at * 7 + (at >> 8)) & 0xff)
  async function* vendor(): AsyncGenerator<Uint8Array, void, undefined> {
    for (let at = 0; at < whole.length; at += 1000) {
      yield whole.slice(at, at + 1000)
      await clock.sleep(at % 3000 === 0 ? 5 : 90)
    }
  }
  const pieces: Uint8Array[] = []
  await clock.runUntil(
    (async () => {
      for await (const piece of held.paced(vendor(), never)) pieces.push(piece)
    })(),
  )
  t.ok(pieces.length > 10)
  t.ok(Buffer.concat(pieces).equals(whole), 'looked at when all of it was there')
  t.ok(Buffer.from(held.received).equals(whole))
  t.equal(held.releasedBytes, whole.length)
})
