import t from 'tap'
import { HeardWords } from '../../src/transcription/deepgram-words.ts'
import type { Word } from '../../src/transcription/transcriber.ts'

const word = (text: string, startMs: number, endMs: number): Word => ({ text, startMs, endMs, confidence: 0.9 }) as Word
const texts = (heard: HeardWords): string[] => heard.between(0, Infinity).map(({ text }) => text)

t.test('X4 X5 final words that come late, twice or in another order change nothing', (t) => {
  const heard = new HeardWords()
  t.ok(heard.take([word('when', 100, 300), word('are', 300, 400)], 500, true))
  t.ok(heard.take([word('you', 500, 600), word('open', 600, 900)], 1000, true))
  t.notOk(heard.take([word('when', 100, 300), word('are', 300, 400)], 500, true), 'the first ones again')
  t.notOk(heard.take([word('you', 500, 600), word('opened', 600, 900)], 1000, true), 'another version of what was final')
  t.notOk(heard.take([word('when', 100, 300)], 480, false), 'and what may still have changed, from before')
  t.same(texts(heard), ['when', 'are', 'you', 'open'])
  t.ok(heard.take([word('open', 600, 900), word('Saturday', 1000, 1500)], 1600, true), 'a final that reaches back')
  t.same(texts(heard), ['when', 'are', 'you', 'open', 'Saturday'], 'adds what is new in it')
  t.end()
})

t.test('words that may change are what was said last about them, until they stand', (t) => {
  const heard = new HeardWords()
  heard.take([word('wen', 100, 300)], 400, false)
  heard.take([word('when', 100, 300), word('our', 300, 400)], 500, false)
  t.same(texts(heard), ['when', 'our'])
  heard.take([word('when', 100, 300), word('are', 300, 400)], 600, true)
  t.same(texts(heard), ['when', 'are'])
  t.same(heard.changing, [])
  t.end()
})
