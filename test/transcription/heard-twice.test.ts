import t from 'tap'
import type { Expectation } from '../../src/core/expectation.ts'
import { sentenceGrammar } from '../../src/grammar/sentence.ts'
import { grammarBeam, type NextRows, type Rows } from '../../src/transcription/grammar-beam.ts'
import { jointly, meanRows } from '../../src/transcription/joint-hearing.ts'
import { Listener, type Ear } from '../../src/transcription/listener.ts'
import { tooFewDigits } from '../../src/transcription/number-length.ts'
import { TokenAutomaton, type Encode } from '../../src/transcription/token-automaton.ts'

/** What the scripted model makes of one hearing: how it is read, and how unsure of its worst word that is. */
type Script = Readonly<{ text: string; regret: number; cost?: number }>

/** Hears `scripts` one after another; several hearings together are read as the last of them. The open transcript is "something else". */
function scripted(...scripts: readonly Script[]): Readonly<{ listener: Listener<number>; listened: number[]; read: number[][] }> {
  const listened: number[] = []
  const read: number[][] = []
  const ear: Ear<number> = {
    listen: async (samples) => listened.push(samples.length) - 1,
    readOpen: async () => ({ text: 'something else', steps: 1 }),
    readBiased: async () => ({ text: 'something else', steps: 1 }),
    readGrammar: async (hearings) => {
      read.push([...hearings])
      const { text, regret, cost = 0.5 } = scripts[hearings.at(-1) as number] as Script
      const pieces = text.split(' ').map((word, i) => ({ text: ` ${word}`, regret: i === 0 ? regret : 0 }))
      const score = -cost * (pieces.length + 1)
      return { sentences: [{ pieces, endRegret: 0, logProbability: score, score }], steps: 5 }
    },
  }
  return { listener: new Listener(ear), listened, read }
}
const speech = (ms: number): Readonly<{ samples: Int16Array; tailPadMs: number }> => ({ samples: new Int16Array(ms * 8), tailPadMs: 0 })
const zip: Expectation = { kind: 'digits', counts: [5] }
const phone: Expectation = { kind: 'digits', counts: [10] }
const roast: Expectation = { kind: 'choice', options: [{ value: 'dark roast', aliases: [] }, { value: 'light roast', aliases: [] }] }
const hear = (listener: Listener<number>, expectation: Expectation, ms: number): Promise<Readonly<{ text: string; reading: { verdict: string } | null; steps: number }>> =>
  listener.hear(speech(ms), { expectation, vocabulary: [] }, () => false)

t.test('a short number in doubt is heard a second time, a little faster, and judged by both hearings', async (t) => {
  const doubted = scripted({ text: 'three four one oh two', regret: 5 }, { text: 'three four nine oh two', regret: 0 })
  t.match(await hear(doubted.listener, zip, 2600), { text: 'three four nine oh two', reading: { verdict: 'act', slots: [{ value: '34902' }] }, steps: 10 })
  t.same(doubted.read, [[0], [0, 1]])
  t.same(doubted.listened, [41_600, Math.ceil((2600 * 16 * 20) / 21)])
  const short = scripted({ text: 'three four one oh', regret: 0 }, { text: 'three four one oh two', regret: 0 })
  t.match(await hear(short.listener, zip, 2600), { reading: { verdict: 'act' } }, 'a digit that was missed is found')
  const sure = scripted({ text: 'three four one oh two', regret: 0 })
  t.match(await hear(sure.listener, zip, 2600), { reading: { verdict: 'act' }, steps: 5 })
  t.equal(sure.listened.length, 1, 'what is sure costs nothing more')
})

t.test('nobody waits for a second hearing of a long number', async (t) => {
  for (const [expectation, ms, text] of [[zip, 3200, 'three four one oh two'], [phone, 2600, 'three four one oh two three four one oh two']] as const) {
    const { listener, listened } = scripted({ text, regret: 5 })
    await hear(listener, expectation, ms)
    t.equal(listened.length, 1, `${text} in ${ms} ms`)
  }
})

t.test('a short answer that fits nothing is heard a second time, and asked about unless it then fits well', async (t) => {
  const lost: Script = { text: 'dark roast', regret: 12, cost: 5 }
  const well = scripted(lost, { text: 'light roast', regret: 1 })
  t.match(await hear(well.listener, roast, 1600), { text: 'light roast', reading: { verdict: 'act', slots: [{ value: 'light roast' }] } })
  t.same(well.read, [[0], [1]], 'by the second alone: the first would drag it down')
  for (const barely of [{ text: 'light roast', regret: 6 }, { text: 'light roast', regret: 1, cost: 1.2 }]) {
    t.match(await hear(scripted(lost, barely).listener, roast, 1600), { text: 'light roast', reading: { verdict: 'read-back', doubtful: { slotId: 'answer' } } })
  }
  t.match(await hear(scripted(lost, lost).listener, roast, 1600), { text: 'something else', reading: { verdict: 'outside' } })
  const long = scripted(lost, { text: 'light roast', regret: 1 })
  t.match(await hear(long.listener, roast, 2600), { text: 'something else', reading: { verdict: 'outside' } })
  t.equal(long.listened.length, 1, 'a sentence that fits nothing is something else')
  const asked = scripted({ text: 'light roast', regret: 6 })
  t.match(await hear(asked.listener, roast, 1600), { reading: { verdict: 'read-back' } })
  t.equal(asked.listened.length, 1, 'what is asked about anyway is not heard again')
})

/** Digits, an end and a mark are the tokens: a small world for the beam. */
const TOKENS = [...'$ 0123456789,.?!:-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ\'']
const encode: Encode = (text, joined) => [...(joined ? text : ` ${text}`)].map((letter) => Math.max(0, TOKENS.indexOf(letter)))
const said = (tokens: readonly number[]): string => tokens.map((token) => TOKENS[token]).join('').replaceAll(' ', '')
const plain = (token: number): string => (TOKENS[token] as string).replace(/[^a-z0-9]/gi, '')

/** A decoder that at each place thinks these letters likely, equally, and everything else not. */
function decoder(places: readonly string[]): Readonly<{ first: Rows; next: NextRows }> {
  const rows = (lengths: readonly number[]): Rows => {
    const logProbabilities = new Float32Array(lengths.length * TOKENS.length).fill(-9)
    lengths.forEach((length, row) => {
      for (const letter of places[length] ?? '$') logProbabilities[row * TOKENS.length + TOKENS.indexOf(letter)] = -Math.log((places[length] ?? '$').length + 0.1)
    })
    return { count: lengths.length, width: TOKENS.length, logProbabilities }
  }
  let lengths: readonly number[] = [0]
  return {
    first: rows(lengths),
    next: async (parents) => {
      lengths = parents.map((parent) => (lengths[parent] as number) + 1)
      return rows(lengths)
    },
  }
}
const search = { endToken: 0, mostSteps: 60, tokenBonus: 0, width: 8, plain }
const pin = new TokenAutomaton(sentenceGrammar({ kind: 'digits', counts: [3] }), encode)

t.test('what one of two hearings takes for something else does not win', async (t) => {
  const one = decoder([' ', '4', ' ', '59', ' ', '2'])
  const other = decoder([' ', '4', ' ', '93', ' ', '2'])
  const { sentences } = await grammarBeam(pin, meanRows([one.first, other.first]), jointly([one.next, other.next]), search, async () => undefined)
  t.equal(said(sentences[0]?.tokens ?? []), '492', 'the digit that both thought possible')
  t.equal(meanRows([one.first]), one.first, 'one hearing alone is taken as it is')
})

t.test('where the sound leaves a digit open, the one that the model writes by habit does not win', async (t) => {
  const { first, next } = decoder([' ', '4', ' ', '0123456789', ' ', '2'])
  const { sentences } = await grammarBeam(pin, first, next, { ...search, width: 40 }, async () => undefined)
  const order = sentences.map(({ tokens }) => said(tokens)).filter((text) => /^4\d2$/.test(text))
  t.ok(order.indexOf('462') < order.indexOf('412') && order.indexOf('492') < order.indexOf('422'), order.join(' '))
  t.ok((sentences[0]?.score ?? 0) < 0 && (sentences[0]?.logProbability ?? 0) < (sentences[0]?.score ?? 0) + 2, 'the sound still weighs most')
})

t.test('five seconds of speech hold more than one digit, however likely the model thinks it', async (t) => {
  const long = new TokenAutomaton(sentenceGrammar(phone), encode)
  // After the first digit it would rather stop, and of the others it is unsure.
  const places = [' ', '9', ' $', ...[...'031040331'].flatMap((digit, i) => [...(i === 0 ? [] : [' ']), `${digit}57`])]
  const best = async (endCost?: (wording: string) => number): Promise<string> => {
    const { first, next } = decoder(places)
    const { sentences } = await grammarBeam(long, first, next, { ...search, ...(endCost === undefined ? {} : { endCost }) }, async () => undefined)
    return said(sentences[0]?.tokens ?? [])
  }
  t.equal(await best(), '9')
  t.match(await best(tooFewDigits(5500)), /^9\d{9}$/)
  t.equal(tooFewDigits(5000)('2395550187'), 0)
  t.equal(tooFewDigits(2800)('239'), 0, 'three digits and a pause are no wonder in three seconds')
  t.equal(tooFewDigits(5000)('mynumberis2395'), 0, 'other words take time too')
  t.ok(tooFewDigits(5000)('2') > 6)
})
