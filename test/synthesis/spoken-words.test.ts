import fc from 'fast-check'
import t from 'tap'
import { foreignFormat } from '../../src/synthesis/audio-sniffing.ts'
import { clausesOf, PAUSE_AFTER_SENTENCE_MS } from '../../src/synthesis/clauses.ts'
import { spokenText } from '../../src/synthesis/spoken-text.ts'
import { estimatedEnds, wordsHeard } from '../../src/synthesis/word-timing.ts'

t.test('numbers, times and abbreviations are said as a person says them', async (t) => {
  const table: readonly (readonly [string, string])[] = [
    ['The visit is $89.95.', 'The visit is eighty nine dollars and ninety five cents.'],
    ['A new unit costs $1,200', 'A new unit costs one thousand two hundred dollars'],
    ['$89–$129', 'eighty nine to one hundred twenty nine dollars'],
    ['$0.50 each', 'fifty cents each'],
    ['$1.5 million', 'one point five million dollars'],
    ['$50/hr', 'fifty dollars an hour'],
    ['8:00 a.m. to 5:30 p.m. every day', 'eight A M to five thirty P M every day'],
    ['8am-5pm Mon-Fri', 'eight A M to five P M Monday through Friday'],
    ['We open at 8 a.m. We close at 5.', 'We open at eight A M. We close at five.'],
    ['between 8 and 10 a.m., then', 'between eight and ten A M, then'],
    ['at 12:05', 'at twelve oh five'],
    ['at 14:00', "at fourteen o'clock"],
    ['Open 8-5', 'Open eight to five'],
    ["We're open 24/7!", "We're open twenty four seven!"],
    ['Call (239) 555-0100.', 'Call two three nine, five five five, zero one zero zero.'],
    ['Call 1-800-555-0199.', 'Call one, eight zero zero, five five five, zero one nine nine.'],
    ['+15550100000', 'one, five five five, zero one zero, zero zero zero zero'],
    ['We serve 33901 and 33907-1234.', 'We serve three three nine zero one and three three nine zero seven, one two three four.'],
    ['Fort Myers, FL 33901', 'Fort Myers, Florida, three three nine zero one'],
    ['12,500 homes', 'twelve thousand five hundred homes'],
    ['Is your AC or A/C off? Our HVAC team', 'Is your A C or A C off? Our H vac team'],
    ['a CO detector', 'a C O detector'],
    ['Dr. Smith, 12 Palm Dr. near St. James', 'Doctor Smith, twelve Palm Drive near Saint James'],
    ['15% off', 'fifteen percent off'],
    ['March 3rd or 3/15/2026', 'March third or March fifteenth, twenty twenty six'],
    ['a 2nd visit', 'a second visit'],
    ['72°F', 'seventy two degrees Fahrenheit'],
    ['1,500 sq ft in 30 mins', 'one thousand five hundred square feet in thirty minutes'],
    ['R-410A', 'R four ten A'],
    ['since 1998', 'since nineteen ninety eight'],
    ['press 0', 'press zero'],
    ['order number 4821', 'order number four eight two one'],
    ['1/2 inch', 'one half inch'],
    ['e.g. filters', 'for example, filters'],
    ['café — “naïve”', 'cafe, naive'],
    ['Polar Bay & Sons', 'Polar Bay and Sons'],
    ['Sure, one moment.', 'Sure, one moment.'],
    ['WE ARE OPEN', 'WE ARE OPEN'],
  ]
  for (const [written, said] of table) t.equal(spokenText(written), said, written)
})

t.test('nothing that is said holds a digit or a sign the engine would read its own way', async () => {
  fc.assert(
    fc.property(fc.stringMatching(/^([A-Za-z]{1,8}|\d{1,9}|\$\d{1,5}(\.\d\d)?|(1[0-2]|[1-9]):[0-5]\d|[A-Z]{2}\d{3}[a-z]|\d{1,3}%)( ([A-Za-z]{1,8}|\d{1,9}|\$\d{1,4}|\d{1,2} ?pm))*[.?]$/), (text) => {
      const spoken = spokenText(text)
      return !/[\d$%:/°]/.test(spoken) && spokenText(spoken) === spoken
    }),
    { numRuns: 400 },
  )
})

t.test('a long sentence leaves in clauses, the first of them short', async (t) => {
  const clauses = clausesOf('The diagnostic visit is eighty nine dollars, and it is waived if you go ahead with the repair on the same day.')
  t.equal(clauses[0]?.text, 'The diagnostic visit is eighty nine dollars,')
  t.equal(clauses.at(-1)?.pauseAfterMs, PAUSE_AFTER_SENTENCE_MS)
  t.same(clausesOf('Sure, one moment.').map((clause) => clause.text), ['Sure, one moment.'])
  t.same(clausesOf(' ... '), [], 'nothing to say is no clause')
  const word = fc.stringMatching(/^[a-z]{1,9}[,.?]?$/)
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 60 }), (words) => {
      const pieces = clausesOf(words.join(' ')).map((clause) => clause.text)
      const lengths = pieces.map((piece) => piece.split(' ').length)
      return pieces.join(' ') === words.join(' ') && (lengths[0] as number) <= 10 && lengths.every((length) => length <= 16)
    }),
  )
})

t.test('a sentence that was cut is credited with no word that had not ended', async (t) => {
  const text = 'Our hours are 8 a.m. to 5 p.m. on weekdays.'
  t.same(wordsHeard(text, 4000, 0), { text: '', complete: false })
  t.same(wordsHeard(text, 4000, 4000), { text, complete: true })
  t.same(wordsHeard(text, 4000, 4000 - PAUSE_AFTER_SENTENCE_MS), { text, complete: true }, 'the closing pause holds no words')
  t.same(wordsHeard('one two three', 900, 600, [300, 600, 780]), { text: 'one two', complete: false }, 'word times from an engine are taken as they are')
  t.same(wordsHeard('Yes - we do', 900, 310, [200, 300, 500, 780]), { text: 'Yes', complete: false }, 'a dash was not heard')
  const word = fc.stringMatching(/^([A-Za-z']{1,12}|\$\d{1,3}|\d{5})[,.?]?$/)
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 25 }), fc.integer({ min: 200, max: 9000 }), fc.nat(9000), fc.nat(500), (words, audioMs, heardMs, moreMs) => {
      const sentence = words.join(' ')
      const heard = wordsHeard(sentence, audioMs, heardMs)
      const later = wordsHeard(sentence, audioMs, heardMs + moreMs)
      if (!sentence.startsWith(heard.text) || !later.text.startsWith(heard.text)) return false
      if (heard.complete) return heard.text === sentence
      const count = heard.text === '' ? 0 : heard.text.split(' ').length
      const ends = estimatedEnds(words, Math.max(0, audioMs - PAUSE_AFTER_SENTENCE_MS))
      return count === 0 || (ends[count - 1] as number) <= heardMs
    }),
    { numRuns: 500 },
  )
})

t.test('a file or an error page is never played to a caller as sound', async (t) => {
  for (const head of ['RIFF\0\0\0\0WAVE', 'ID3\x04\0\0\0\0\0\0\0\0', 'OggS\0\x02\0\0\0\0\0\0', '{"error":"quota"}', '<!DOCTYPE html>', '<html><body>no']) {
    t.not(foreignFormat(Buffer.from(head, 'latin1')), null, head.slice(0, 6))
  }
  t.equal(foreignFormat(new Uint8Array(160).fill(0xff)), null, 'silence')
  t.equal(foreignFormat(new Uint8Array(160).fill(0x7f)), null, 'negative silence')
  t.equal(foreignFormat(new Uint8Array(0)), null)
})
