import t from 'tap'
import { deliveredText, type WordsHeard } from '../../src/call/playout-position.ts'
import { SentenceAudio } from '../../src/call/sentence-audio.ts'
import { CallRegistry } from '../../src/call/call-registry.ts'
import { KeyEntry } from '../../src/call/key-entry.ts'
import { Scope } from '../../src/core/scope.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

/** A word every 100 ms, whatever the word. */
const everyTenthOfASecond: WordsHeard = (text, audioMs, heardMs) => {
  const words = text.split(' ')
  const count = heardMs >= audioMs ? words.length : Math.min(words.length, Math.floor(heardMs / 100))
  return { text: words.slice(0, count).join(' '), complete: count === words.length }
}
const sentence = (text: string, sentMs: number, acknowledged = false) => ({ text, sentMs, audioMs: text.split(' ').length * 100, acknowledged })

t.test('a caller who cuts in has heard the sentences before and the words up to the cut', async (t) => {
  const sent = [sentence('We open at eight.', 400, true), sentence('On Saturday we open at nine.', 600)]
  t.equal(deliveredText(sent, 700, everyTenthOfASecond), 'We open at eight. On Saturday we')
})

t.test('a word that was not heard to its end was not heard', async (t) => {
  t.equal(deliveredText([sentence('We open at eight.', 400)], 199, everyTenthOfASecond), 'We')
  t.equal(deliveredText([sentence('We open at eight.', 400)], 0, everyTenthOfASecond), '')
})

t.test('nothing after the cut is credited, even when it had been sent', async (t) => {
  const sent = [sentence('We open at eight.', 400), sentence('And close at five.', 400)]
  t.equal(deliveredText(sent, 250, everyTenthOfASecond), 'We open')
})

t.test('a sentence still being made is not credited beyond what was sent of it', async (t) => {
  const growing = [{ text: 'We open at eight in the morning', sentMs: 300, audioMs: null, acknowledged: false }]
  t.equal(deliveredText(growing, 5000, everyTenthOfASecond), 'We open at')
})

t.test('audio in chunks of any size leaves as whole 20 ms frames', async (t) => {
  const audio = new SentenceAudio()
  const source = (async function* () {
    yield new Uint8Array(100).fill(1)
    yield new Uint8Array(250).fill(2)
    yield new Uint8Array(1).fill(3)
  })()
  const filling = audio.fill(source)
  const frames: Uint8Array[] = []
  for await (const frame of audio.frames()) frames.push(frame)
  t.equal(await filling, null)
  t.same(frames.map((frame) => frame.length), [160, 160, 160])
  t.equal(frames[0]?.[99], 1)
  t.equal(frames[0]?.[100], 2)
  t.equal(frames[2]?.[30], 3, 'the last byte is there')
  t.equal(frames[2]?.[31], 0xff, 'and silence after it')
  t.equal(audio.durationMs, (351 / 160) * 20)
})

t.test('an engine that dies mid-sentence leaves what it had said', async (t) => {
  const audio = new SentenceAudio()
  const error = await audio.fill(
    (async function* () {
      yield new Uint8Array(200)
      throw new Error('engine died')
    })(),
  )
  t.match(error, { message: 'engine died' })
  t.equal(audio.state, 'failed')
  const frames: Uint8Array[] = []
  for await (const frame of audio.frames()) frames.push(frame)
  t.equal(frames.length, 1)
})

t.test('the newest stream of a call is the one that speaks', async (t) => {
  const registry = new CallRegistry()
  const ended: string[] = []
  const call = (name: string) => ({ companyId: 'polar', callSid: 'CA1', startedAt: '2026-03-02T15:00:00Z', over: Promise.resolve(), end: () => ended.push(name) })
  const first = call('first')
  t.equal(registry.begin(first), null)
  const second = call('second')
  t.equal(registry.begin(second), first)
  registry.finish(first)
  t.equal(registry.liveCount, 1, 'the older one leaving does not end the newer one')
  registry.end('dental', 'CA1')
  t.same(ended, [], 'another company cannot hang it up')
  registry.end('polar', 'CA1')
  t.same(ended, ['second'])
  registry.finish(second)
  t.equal(registry.liveCount, 0)
})

t.test('keys make one entry: whole numbers at once, shorter ones at # or after a pause', async (t) => {
  const clock = new VirtualClock()
  const scope = new Scope()
  const entered: string[] = []
  const keys = new KeyEntry(clock, scope, (digits) => entered.push(digits))
  const press = (digits: string, wanted: number): void => {
    for (const digit of digits) keys.press(digit, wanted)
  }
  press('0', 1)
  t.same(entered, ['0'], 'a single key is answered at once')
  press('33901', 5)
  t.same(entered, ['0', '33901'])
  press('12#', 5)
  t.same(entered.at(-1), '12', '# ends an entry and is no part of it')
  press('77', 5)
  await clock.advance(2400)
  t.equal(entered.length, 3, 'the caller may still be typing')
  await clock.advance(200)
  t.equal(entered.at(-1), '77')
  press('1', 5)
  scope.end('hung up')
  await clock.advance(5000)
  t.equal(entered.length, 4, 'nothing is entered after the call')
  t.equal(clock.pendingTimers, 0)
})
