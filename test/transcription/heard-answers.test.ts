import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { decodeMulaw, encodeMulaw } from '../../src/audio/g711.ts'
import { levelDb } from '../../src/audio/level.ts'
import { resample } from '../../src/audio/resample.ts'
import { readWav } from '../../src/audio/wav.ts'
import { SystemClock } from '../../src/core/clock.ts'
import type { Expectation, FormExpectation } from '../../src/core/expectation.ts'
import type { Reading } from '../../src/core/reading.ts'
import { Scope } from '../../src/core/scope.ts'
import type { SpeakableText } from '../../src/core/speakable-text.ts'
import { rarityOfPair } from '../../src/grammar/letter-pairs.ts'
import { sentenceGrammar } from '../../src/grammar/sentence.ts'
import { EmbeddedSynthesizer } from '../../src/synthesis/embedded-synthesizer.ts'
import { biasedBeam } from '../../src/transcription/biased-beam.ts'
import { EmbeddedSession } from '../../src/transcription/embedded-session.ts'
import { EmbeddedTranscriber } from '../../src/transcription/embedded-transcriber.ts'
import { grammarBeam, type BeamResult } from '../../src/transcription/grammar-beam.ts'
import { readSentences, type SpokenSentence } from '../../src/transcription/grammar-reading.ts'
import type { DecodePool, DecodeRequest, DecodeResult } from '../../src/transcription/moonshine-pool.ts'
import { PhraseTrie } from '../../src/transcription/phrase-trie.ts'
import { settingsFor } from '../../src/transcription/reading-limits.ts'
import { TokenAutomaton, type Encode } from '../../src/transcription/token-automaton.ts'
import { faintNoise, frames } from './transcriber-contract.ts'

/** Letters are tokens: small enough to see through, and words share beginnings as real ones do. */
const LETTERS = [...'$ abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.?!:-\'']
const END = 0
const encode: Encode = (text, joined) => [...(joined ? text : ` ${text}`)].map((letter) => LETTERS.indexOf(letter))
const decode = (tokens: readonly number[]): string => tokens.map((token) => LETTERS[token]).join('')

/**
 * A decoder that has heard `text` and is this sure of each letter; every other one gets the same small rest. A hypothesis that strays is told
 * what the sound at its own place is.
 */
async function hear(automaton: TokenAutomaton, text: string, options: Partial<{ tokenBonus: number; width: number; sureness: number; mishear: Readonly<Record<number, string>> }> = {}): Promise<BeamResult> {
  const sound = [...encode(text, false), END]
  const sure = Math.log(options.sureness ?? 0.9)
  const rest = Math.log((1 - Math.exp(sure)) / LETTERS.length)
  const row = (length: number): Float32Array => {
    const values = new Float32Array(LETTERS.length).fill(rest)
    const misheard = options.mishear?.[length]
    values[misheard === undefined ? (sound[length] ?? END) : LETTERS.indexOf(misheard)] = sure
    return values
  }
  let lengths = [0]
  const rows = (): Readonly<{ count: number; width: number; logProbabilities: Float32Array }> => {
    const all = new Float32Array(lengths.length * LETTERS.length)
    lengths.forEach((length, i) => all.set(row(length), i * LETTERS.length))
    return { count: lengths.length, width: LETTERS.length, logProbabilities: all }
  }
  return grammarBeam(
    automaton,
    rows(),
    async (parents) => {
      lengths = parents.map((parent) => (lengths[parent] as number) + 1)
      return rows()
    },
    { endToken: END, mostSteps: 80, tokenBonus: options.tokenBonus ?? 0, width: options.width ?? 4, plain: (token) => (LETTERS[token] as string).toLowerCase().replace(/[^a-z0-9]/g, '') },
    async () => undefined,
  )
}
const spoken = (result: BeamResult): SpokenSentence[] =>
  result.sentences.map((sentence) => ({
    pieces: sentence.tokens.map((token, i) => ({ text: decode([token]), regret: sentence.regrets[i] as number })),
    endRegret: sentence.regrets.at(-1) as number,
    logProbability: sentence.logProbability,
    score: sentence.score,
  }))
function read(automaton: TokenAutomaton, result: BeamResult, expectation: Expectation): Readonly<{ reading: Reading; unfinished: string | null }> {
  return readSentences(automaton.routes, spoken(result), { ...settingsFor(expectation).limits, costPerToken: 3 })
}
const values = ({ slots }: Reading): string => slots.map((slot) => `${slot.slotId}=${slot.value}`).join(' ')

const counter: FormExpectation = {
  kind: 'form',
  formId: 'drink',
  carriers: ['can I get'],
  asked: null,
  slots: [
    { id: 'size', shape: { kind: 'choice', options: [{ value: 'small', aliases: [] }, { value: 'twelve ounce', aliases: [] }] } },
    { id: 'drink', shape: { kind: 'choice', options: [{ value: 'latte', aliases: [] }, { value: 'mocha', aliases: [] }] } },
  ],
}

t.test('the recogniser can only hear what was asked, in any order and spelling', async (t) => {
  const automaton = new TokenAutomaton(sentenceGrammar(counter), encode)
  for (const [said, slots] of [
    ['Can I get a small latte?', 'size=small drink=latte'],
    ['mocha, small', 'drink=mocha size=small'],
    ['12 oz latte please', 'size=twelve ounce drink=latte'],
    ['small mocha, no, make that latte', 'size=small drink=latte'],
  ] as const) {
    const { reading } = read(automaton, await hear(automaton, said), counter)
    t.match(reading, { verdict: 'act', source: 'audio' }, said)
    t.equal(values(reading), slots, said)
  }
  const states = automaton.size
  await hear(automaton, 'Can I get a small latte?')
  t.equal(automaton.size, states, 'states once made are kept')
})

t.test('a word that was hardly heard is asked about by name; speech from outside is no order', async (t) => {
  const automaton = new TokenAutomaton(sentenceGrammar(counter), encode)
  const doubtful = read(automaton, await hear(automaton, 'small latte', { mishear: { 9: 'x' }, tokenBonus: 1.6 }), counter).reading
  t.match(doubtful, { verdict: 'read-back', doubtful: { slotId: 'drink', word: 'latte' } })
  t.equal(values(doubtful), 'size=small drink=latte')
  const confidence = (id: string): number => doubtful.slots.find((slot) => slot.slotId === id)?.confidence ?? 0
  t.ok(confidence('size') > confidence('drink'))
  const outside = read(automaton, await hear(automaton, 'what are your opening hours'), counter)
  t.match(outside, { reading: { verdict: 'outside', slots: [] }, unfinished: null })
})

t.test('an ending that is not heard is no other word', async (t) => {
  const iced: Expectation = { kind: 'choice', options: ['iced mocha', 'skimmed milk', 'roasted nuts'].map((value) => ({ value, aliases: [] })) }
  const automaton = new TokenAutomaton(sentenceGrammar(iced), encode)
  for (const [said, value] of [['ice mocha', 'iced mocha'], ['Skim milk', 'skimmed milk'], ['roasted nuts', 'roasted nuts']] as const) {
    const { reading } = read(automaton, await hear(automaton, said), iced)
    t.equal(`${reading.verdict} ${values(reading)}`, `act answer=${value}`)
  }
})

t.test('a little word that the sound speaks against stands for something that is not on the menu', async (t) => {
  const automaton = new TokenAutomaton(sentenceGrammar(counter), encode)
  const inSlot = read(automaton, await hear(automaton, 'small and latte', { mishear: { 13: 'x' }, tokenBonus: 1.6 }), counter).reading
  t.match(inSlot, { verdict: 'read-back', doubtful: { slotId: 'drink', word: 'latte' } })
  const between = read(automaton, await hear(automaton, 'small and latte', { mishear: { 8: 'x' }, tokenBonus: 1.6 }), counter).reading
  t.match(between, { verdict: 'outside', slots: [] })
})

t.test('spelled letters that sound alike are told apart by what names are made of', async (t) => {
  t.ok(rarityOfPair('d', 'h') - rarityOfPair('t', 'h') >= 1)
  const spelling: Expectation = { kind: 'spelling' }
  const automaton = new TokenAutomaton(sentenceGrammar(spelling), encode)
  // At the T the sound says nothing: all letters are as likely.
  const { sentences } = await hear(automaton, 'S M I T H', { mishear: { 7: '?' }, width: 30 })
  const heard = sentences.map((sentence) => decode(sentence.tokens).replaceAll(' ', ''))
  t.ok(heard.includes('SMITH') && heard.indexOf('SMITH') < 12, 'among the few that names have')
  t.ok(!heard.includes('SMIDH') || heard.indexOf('SMIDH') > heard.indexOf('SMITH'))
})

t.test('a number is heard to its length, and not made longer than what was said of it', async (t) => {
  const zip: Expectation = { kind: 'digits', counts: [5] }
  const automaton = new TokenAutomaton(sentenceGrammar(zip), encode)
  for (const said of ['three four one oh two', 'Three four, one zero two.', '34102', 'my zip code is 3 4 1 0 2']) {
    t.equal(values(read(automaton, await hear(automaton, said), zip).reading), 'answer=34102', said)
  }
  const half = read(automaton, await hear(automaton, 'three four'), zip)
  t.match(half, { reading: { verdict: 'outside' }, unfinished: 'three four' }, 'a pause in mid-number invents no digits')
  const missing = read(automaton, await hear(automaton, 'three four eighty seven', { sureness: 0.99 }), zip)
  t.match(missing, { reading: { verdict: 'outside' }, unfinished: 'three four eighty seven' }, '"eighty seven" is two digits, not 80 and 7')
})

t.test('a number that fits nearly as well without its last digit is read back, not acted on', async (t) => {
  const zip: Expectation = { kind: 'digits', counts: [5] }
  const { routes } = new TokenAutomaton(sentenceGrammar(zip), encode)
  const said = (text: string, score: number): SpokenSentence => ({ pieces: text.split(' ').map((word) => ({ text: ` ${word}`, regret: 0 })), endRegret: 0, logProbability: score, score })
  const verdict = (shorter: number): string => readSentences(routes, [said('three four one oh two', -2), said('three four one oh', shorter)], settingsFor(zip).limits).reading.verdict
  t.equal(verdict(-4), 'read-back')
  t.equal(verdict(-6), 'act')
})

t.test("the company's terms win where the sound leaves it open, and give way where it does not", async (t) => {
  const trie = new PhraseTrie(['polar bay'], encode)
  const heard = async (text: string, sureness: number, weight: number): Promise<string> => {
    const sound = [...encode(text, false), END]
    const alike = encode('polar bay', false)
    const row = (length: number): Float32Array => {
      const values = new Float32Array(LETTERS.length).fill(-12)
      values[sound[length] ?? END] = Math.log(sureness)
      const other = alike[length]
      if (other !== undefined && other !== sound[length]) values[other] = Math.log(1 - sureness)
      return values
    }
    let lengths = [0]
    const rows = (): Readonly<{ count: number; width: number; logProbabilities: Float32Array }> => {
      const all = new Float32Array(lengths.length * LETTERS.length)
      lengths.forEach((length, i) => all.set(row(length), i * LETTERS.length))
      return { count: lengths.length, width: LETTERS.length, logProbabilities: all }
    }
    const next = async (parents: readonly number[]): Promise<ReturnType<typeof rows>> => {
      lengths = parents.map((parent) => (lengths[parent] as number) + 1)
      return rows()
    }
    const { tokens } = await biasedBeam(trie, rows(), next, { endToken: END, mostSteps: 40, weight }, async () => undefined)
    return decode(tokens).trim()
  }
  t.equal(await heard('polar bat', 0.6, 1), 'polar bay')
  t.equal(await heard('polar bat', 0.6, 0), 'polar bat', 'without the bias it is what it sounds like')
  t.equal(await heard('polar bat', 1 - 1e-6, 1), 'polar bat', 'a plain sound stands')
  t.equal(await heard('poland', 0.9, 1), 'poland', 'a term that is not finished earns nothing')
})

type Asked = DecodeRequest & { answer(text: string, reading: Reading | null): void; withdrawn: boolean }

function openSession(line = faintNoise(8 * 60_000)): { asked: Asked[]; session: EmbeddedSession; hear(fromMs: number, toMs: number): void } {
  const asked: Asked[] = []
  const pool: DecodePool = {
    hasRoomForPartial: false,
    decode: (request, onResult: (result: DecodeResult) => void) => {
      const one: Asked = { ...request, withdrawn: false, answer: (text, reading) => onResult({ outcome: 'text', text, reading, decodeMs: 100 }) }
      asked.push(one)
      return {
        withdraw: () => {
          one.withdrawn = true
        },
      }
    },
  }
  const session = new EmbeddedSession(pool, ['Polar Bay'], new Scope().signal)
  return { asked, session, hear: (fromMs, toMs) => frames(line, fromMs, toMs).forEach((frame) => session.push(frame)) }
}

t.test('an answer is one utterance over its pauses, long ones left out, and keeps the question it answers', async (t) => {
  const { asked, session, hear } = openSession()
  session.expect(counter)
  hear(0, 2100)
  session.hint({ kind: 'speech-started', mediaMs: 1000 })
  session.hint({ kind: 'speech-paused', lastVoicedMs: 2000 })
  t.match(asked.at(-1), { listenFor: { expectation: counter, vocabulary: ['Polar Bay'] } })
  session.expect({ kind: 'yes-no' })
  hear(2100, 5100)
  session.hint({ kind: 'speech-resumed', mediaMs: 4000 })
  session.hint({ kind: 'speech-paused', lastVoicedMs: 5000 })
  const whole = asked.at(-1) as Asked
  t.same(whole.listenFor.expectation, counter, 'what has begun answers the old question')
  t.equal(whole.samples.length / 8, 5100 - 800 - 1600, 'two seconds of silence are heard as 400 ms')
  const reading: Reading = { verdict: 'act', text: 'small latte', slots: [], doubtful: null, scores: { costPerToken: 0, maxWordRegret: 0, gap: null }, source: 'audio' }
  whole.answer('small latte', reading)
  session.endUtterance(5500)
  hear(5100, 7100)
  session.hint({ kind: 'speech-started', mediaMs: 6000 })
  session.hint({ kind: 'speech-paused', lastVoicedMs: 7000 })
  t.match(asked.at(-1), { listenFor: { expectation: { kind: 'yes-no' } } })
  await session.close()
  const events = []
  for await (const event of session.events) events.push(event)
  t.match(events, [{ kind: 'transcript', text: 'small latte', final: true, reading }])
})

t.test("a number is heard with 0.2 s of the caller's own line around its sound, however wide the detector's bounds", async (t) => {
  // Hum at -40 dB on the line, a voice 30 times louder from 1.4 to 1.9 and from 2.4 to 2.7 s.
  const isVoice = (ms: number): boolean => (ms >= 1400 && ms < 1900) || (ms >= 2400 && ms < 2700)
  const line = Int16Array.from({ length: 8 * 6000 }, (_, i) => Math.round((isVoice(i / 8) ? 15_000 : 400) * Math.sin(i / 3)))
  const asking = async (expectation: Expectation): Promise<Asked> => {
    const { asked, session, hear } = openSession(line)
    session.expect(expectation)
    hear(0, 2840)
    session.hint({ kind: 'speech-started', mediaMs: 1000 })
    session.hint({ kind: 'speech-paused', lastVoicedMs: 2740 })
    await session.close()
    return asked.at(-1) as Asked
  }
  const number = await asking({ kind: 'digits', counts: [2] })
  t.equal(number.samples.length / 8, 200 + 1300 + 200, 'the pause between the digits stays')
  t.equal(number.tailPadMs, 0)
  const level = levelDb(number.samples.subarray(-8 * 60))
  t.ok(Math.abs(level - levelDb(line.subarray(0, 800))) < 1, 'what is not spoken yet sounds as the line does')
  const words = await asking({ kind: 'yes-no' })
  t.equal(words.samples.length / 8, 2840 - 800)
  t.equal(words.tailPadMs, 100)
})

t.test('a number said in loud noise without a rest is padded with faint noise', async (t) => {
  const line = Int16Array.from({ length: 8 * 6000 }, (_, i) => Math.round(9000 * Math.sin(i / 3)))
  const { asked, session, hear } = openSession(line)
  session.expect({ kind: 'digits', counts: [2] })
  hear(0, 2100)
  session.hint({ kind: 'speech-started', mediaMs: 1000 })
  session.hint({ kind: 'speech-paused', lastVoicedMs: 2000 })
  t.match(asked.at(-1), { tailPadMs: 100 }, 'no place in it is the line alone')
  t.equal(asked.at(-1)?.samples.length, 8 * (2100 - 800))
  await session.close()
})

t.test('the real recogniser', async (t) => {
  const cacheDir = mkdtempSync(join(tmpdir(), 'recogniser-'))
  const transcriber = new EmbeddedTranscriber({ clock: new SystemClock(), workers: 1, modelCacheDir: cacheDir })
  t.teardown(async () => {
    await transcriber.close()
    rmSync(cacheDir, { recursive: true, force: true })
  })
  await transcriber.warm(new Scope().signal)
  const heard = (file: string, expectation: Expectation): Promise<{ text: string; reading: Reading | null }> => {
    const wav = readWav(readFileSync(`media/calls/${file}.wav`))
    return heardSamples(decodeMulaw(encodeMulaw(resample(wav.channels[0] as Int16Array, wav.sampleRateHz, 8000))), expectation, [])
  }
  const heardSamples = async (samples: Int16Array, expectation: Expectation, vocabulary: readonly string[]): Promise<{ text: string; reading: Reading | null }> => {
    const session = transcriber.open({ companyId: 'company-1', callId: 'call-1', language: 'en', vocabulary }, new Scope().signal)
    session.expect(expectation)
    const endMs = Math.floor(samples.length / 160) * 20
    for (const frame of frames(samples, 0, endMs)) session.push(frame)
    session.hint({ kind: 'speech-started', mediaMs: 0 })
    session.hint({ kind: 'speech-paused', lastVoicedMs: endMs })
    for await (const event of session.events) {
      if (event.kind !== 'transcript') continue
      await session.close()
      return { text: event.text, reading: event.reading ?? null }
    }
    throw new Error('nothing was heard')
  }

  await t.test('takes a yes for a yes', async (t) => {
    const { reading } = await heard('emergency-yes', { kind: 'yes-no' })
    t.match(reading, { verdict: /act|read-back/, slots: [{ slotId: 'answer', value: 'yes' }] })
  })

  await t.test("hears the company's own terms in open speech, and no others", async (t) => {
    const voice = new EmbeddedSynthesizer({ clock: new SystemClock(), workers: 1 })
    t.teardown(() => voice.close())
    const said = async (text: string, id: string): Promise<Int16Array> => {
      const chunks: Uint8Array[] = []
      for await (const chunk of voice.synthesize(text as SpeakableText, { id, speed: 1 }, new Scope().signal)) chunks.push(chunk)
      return decodeMulaw(Buffer.concat(chunks))
    }
    const terms = ['Polar Bay Air', 'Rheem', 'capacitor', 'Lehigh Acres']
    const part = await said('The capacitor is bad.', 'awb')
    t.notMatch((await heardSamples(part, { kind: 'open' }, [])).text, /capacitor/i, 'by sound alone it is something else')
    t.match((await heardSamples(part, { kind: 'open' }, terms)).text, /capacitor/i)
    t.notMatch((await heardSamples(await said('What are your opening hours on Saturday?', 'slt'), { kind: 'open' }, terms)).text, /polar|rheem|capacitor|lehigh/i)
  })

  await t.test('hears the street of an address where one was asked for', async (t) => {
    const voice = new EmbeddedSynthesizer({ clock: new SystemClock(), workers: 1 })
    t.teardown(() => voice.close())
    const chunks: Uint8Array[] = []
    for await (const chunk of voice.synthesize('Forty five Main Street' as SpeakableText, { id: 'awb', speed: 1 }, new Scope().signal)) chunks.push(chunk)
    const said = decodeMulaw(Buffer.concat(chunks))
    const asking = (type: 'address' | 'text'): Expectation => ({ kind: 'form', formId: 'visit', carriers: [], slots: [{ id: 'where', shape: type === 'address' ? { kind: 'words', of: 'address' } : { kind: 'words' } }], asked: 'where' })
    t.match((await heardSamples(said, asking('address'), [])).reading, { slots: [{ slotId: 'where', value: /main street$/i }] })
    t.notMatch((await heardSamples(said, asking('text'), [])).text, /main street/i, 'by sound alone it is something else')
  })

  await t.test('leaves a question a question, whatever was asked', async (t) => {
    const open = await heard('faq-hours', { kind: 'open' })
    t.equal(open.reading, null)
    for (const expectation of [{ kind: 'yes-no' }, counter, { kind: 'digits', counts: [10] }] as const) {
      const { text, reading } = await heard('faq-hours', expectation)
      t.match(reading, { verdict: 'outside', slots: [] })
      t.ok(text.length > 5, 'the open transcript stands')
    }
  })
})
