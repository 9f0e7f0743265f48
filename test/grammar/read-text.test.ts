import t from 'tap'
import type { Expectation, FormExpectation } from '../../src/core/expectation.ts'
import { formExpectation } from '../../src/forms/form-expectation.ts'
import { keyTerms } from '../../src/grammar/key-terms.ts'
import { readText } from '../../src/grammar/read-text.ts'
import { sentenceGrammar } from '../../src/grammar/sentence.ts'
import { formSchema } from '../../src/tenancy/form.ts'

const counter: FormExpectation = {
  kind: 'form',
  formId: 'drink',
  carriers: ['can I get', 'brew'],
  asked: null,
  slots: [
    { id: 'size', shape: { kind: 'choice', options: [{ value: 'small', aliases: [] }, { value: 'large', aliases: ['big'] }, { value: 'twelve ounce', aliases: [] }] } },
    { id: 'roast', shape: { kind: 'choice', options: ['light roast', 'dark roast'].map((value) => ({ value, aliases: [] })) } },
    { id: 'drink', shape: { kind: 'choice', options: ['latte', 'mocha', 'coffee', 'iced coffee'].map((value) => ({ value, aliases: [] })) } },
    { id: 'milk', shape: { kind: 'choice', options: ['milk', 'soy milk', 'a little bit of soy milk'].map((value) => ({ value, aliases: [] })) } },
  ],
}
const visit = (asked: string | null): FormExpectation => ({
  kind: 'form',
  formId: 'visit',
  carriers: [],
  asked,
  slots: [
    { id: 'day', shape: { kind: 'date' } },
    { id: 'phone', shape: { kind: 'digits', counts: [10] } },
    { id: 'name', shape: { kind: 'name' } },
    { id: 'address', shape: { kind: 'words' } },
    { id: 'budget', shape: { kind: 'money' } },
    { id: 'again', shape: { kind: 'yes-no' } },
  ],
})
/** Slots as "size=small drink=latte", with the verdict in front. */
function read(expectation: Expectation, text: string): string {
  const { verdict, slots } = readText(expectation, text)
  return [verdict, ...slots.map((slot) => `${slot.slotId}=${slot.value}`)].join(' ')
}

t.test('an order may be said in any order, with fillers, aliases and numbers in figures', async (t) => {
  t.equal(read(counter, 'Can I get a small latte with milk?'), 'act size=small drink=latte milk=milk')
  t.equal(read(counter, 'Um, hi, could I have an iced coffee please, 12oz, dark roast, with a little bit of soy milk, thank you.'), 'act drink=iced coffee size=twelve ounce roast=dark roast milk=a little bit of soy milk')
  t.equal(read(counter, 'big mocha'), 'act size=large drink=mocha')
})

t.test('a recogniser that spells by ear is understood', async (t) => {
  t.equal(read(counter, 'Brew a ice coffee with soi milk'), 'act drink=iced coffee milk=soy milk')
  t.match(readText(counter, 'Can I get a small mock a'), { verdict: 'read-back', doubtful: { slotId: 'drink', word: 'mocha' } }, 'far enough away to be asked about')
})

t.test('words that were joined, or parted in the wrong place, are found in it', async (t) => {
  t.match(read(counter, 'Can I get a dark rose-ticed coffee'), /roast=dark roast drink=iced coffee/)
  t.match(read(counter, 'a twelveounce latte'), /size=twelve ounce drink=latte/)
  t.match(read(counter, 'small coff ee'), /size=small drink=coffee/)
  t.equal(read(counter, 'Somewhere nobody else understands whatever'), 'outside')
})

t.test('the last word counts: a correction replaces what was said before', async (t) => {
  t.equal(read(counter, 'a small latte, no, make that large'), 'act drink=latte size=large')
  t.equal(read(visit('day'), 'Tuesday, no sorry, Wednesday at noon'), 'act day=wednesday at noon')
  t.equal(read(visit('phone'), 'No, Friday at two'), 'act day=friday at 2', 'also of what an earlier sentence said')
})

t.test('what is not on the menu is asked about by name, a question is no order', async (t) => {
  const reading = readText(counter, 'Can I get a large tea?')
  t.match(reading, { verdict: 'read-back', doubtful: { slotId: null, word: 'tea' } })
  t.equal(read(counter, 'What are your opening hours?'), 'outside')
  t.equal(read(visit('day'), 'Are you open on Tuesday?'), 'outside')
  t.equal(read(visit('day'), ''), 'outside')
})

t.test('numbers are understood as people say them, and only whole ones', async (t) => {
  const phone: Expectation = { kind: 'digits', counts: [10] }
  for (const said of [
    '239-555-0142',
    'My number is 2 3 9, 555, 0142.',
    'two three nine, double five five, oh one four two',
    'two three nine five fifty-five zero one forty two',
    "it's area code two three nine triple five oh one four two",
  ]) t.equal(read(phone, said), 'act answer=2395550142', said)
  t.equal(read(phone, 'two three nine five five five'), 'outside', 'seven digits are missing')
  t.equal(read(phone, 'three nine five five five zero one eighty seven'), 'outside', 'nine digits are not made ten by reading 80 and 7')
  t.equal(read(phone, 'two three nine five five five zero one eighty seven'), 'act answer=2395550187')
  t.equal(read({ kind: 'digits', counts: [3, 4] }, 'eight hundred'), 'act answer=800')
  t.equal(readText(phone, '2395550142', 'keys').source, 'keys')
})

t.test('days and times come out as a date parser takes them', async (t) => {
  const cases = [
    ['next Tuesday after four', 'next tuesday after 4'],
    ["tomorrow at 10:30 a.m. if that's okay", 'tomorrow at 10:30 am'],
    ['half past four on the fifth of May', '4:30 on the 5th of may'],
    ['March the third at quarter to five', 'march the 3rd at 4:45'],
    ['the day after tomorrow in the morning', 'the day after tomorrow in the morning'],
  ] as const
  for (const [said, value] of cases) t.match(readText(visit('day'), said).slots[0], { slotId: 'day', value }, said)
})

t.test('money, names, spellings and plain answers', async (t) => {
  for (const [said, value] of [['about $89.50', '89.50'], ['two hundred and fifty dollars', '250.00'], ['a hundred bucks', '100.00'], ['twelve hundred dollars', '1200.00']] as const) {
    t.equal(read(visit('budget'), said), `act budget=${value}`)
  }
  t.equal(read(visit('name'), "My name is John O'Neil"), "act name=John O'Neil")
  t.equal(read(visit('name'), 'John Smith, S M Y T H'), 'act name=John Smyth', 'a spelling corrects the name')
  t.equal(read(visit('name'), 'What do you need that for?'), 'outside')
  t.equal(read({ kind: 'spelling' }, 'S as in Sam, M-Y, double T, H'), 'act answer=SMYTTH')
  t.equal(read({ kind: 'yes-no' }, 'Yes, please.'), 'act answer=yes')
  t.equal(read({ kind: 'yes-no' }, 'Yeah, that is right.'), 'act answer=yes')
  t.equal(read({ kind: 'yes-no' }, "No, that's not right."), 'act answer=no')
  t.equal(read({ kind: 'yes-no' }, 'What do you mean?'), 'outside')
  t.equal(read(visit('day'), 'yes'), 'outside', 'a bare yes answers only the question it was put to')
})

t.test('an address is taken as it was said, a correction of something else is not an address', async (t) => {
  t.equal(read(visit('address'), "Um, it's 1420 Pine Ridge Road."), 'act address=1420 Pine Ridge Road')
  t.equal(read(visit('address'), 'No, Wednesday at noon'), 'act day=wednesday at noon')
})

t.test('asked for the roast, "dark" is enough', async (t) => {
  t.equal(read({ ...counter, asked: 'roast' }, 'dark please'), 'act roast=dark roast')
  t.equal(read(counter, 'dark please'), 'outside')
})

t.test('a grammar is plain data', async (t) => {
  const grammar = sentenceGrammar(counter)
  t.same(JSON.parse(JSON.stringify(grammar)), grammar)
})

t.test("a company's form is what the ear listens for: services by their names, a phone number by its length", async (t) => {
  const form = formSchema.parse({
    id: 'visit',
    name: 'Visit',
    carriers: ['I need'],
    slots: [
      { id: 'service', label: 'the service', type: 'service', prompt: 'What is it about?' },
      { id: 'phone', label: 'the number', type: 'phone', prompt: 'Your number?' },
      { id: 'zip', label: 'the ZIP code', type: 'zip', prompt: 'Your ZIP code?' },
      { id: 'where', label: 'the address', type: 'address', prompt: 'Where?' },
    ],
  })
  const expectation = formExpectation(form, 'service', { services: [{ name: 'AC repair', aliases: ['air conditioning repair'] }] })
  t.match(expectation.slots.map((slot) => slot.shape), [{ kind: 'choice' }, { kind: 'digits', counts: [10] }, { kind: 'digits', counts: [5] }, { kind: 'words' }])
  t.equal(read(expectation, 'I need air conditioning repair'), 'act service=AC repair')
  t.same(keyTerms(expectation, ['Polar Bay', 'ac repair']), ['AC repair', 'air conditioning repair', 'Polar Bay'])
  const long = keyTerms(expectation, Array.from({ length: 90 }, (_, i) => `a little bit of syrup number ${i}`))
  t.same(long.slice(0, 2), ['AC repair', 'air conditioning repair'], 'what answers the question comes first')
  t.ok(long.join('').length / 3 <= 500, 'no more than a vendor takes on one line')
})
