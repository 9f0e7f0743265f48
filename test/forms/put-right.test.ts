import t from 'tap'
import { formTalk, through } from '../support/form-talk.ts'

t.test('of what a caller puts right in one breath, the later words count', async (t) => {
  const told: readonly (readonly [string, string, string | RegExp])[] = [
    ['I would like to schedule a tune up on Tuesday, no, Wednesday morning.', 'when', /^Wednesday, March fourth, in the morning \(Wednesday/],
    ['Schedule a tune up for Tuesday at nine, sorry, I mean Thursday at ten.', 'when', /^Thursday, March fifth, at 10 in the morning \(/],
    ['Schedule a tune up for Tuesday at nine, no, at two.', 'when', /^tomorrow at 2 in the afternoon/],
    ['Schedule a tune up tuesday no thursday', 'when', /^Thursday, March fifth \(/],
    ['Schedule a repair, no sorry, a tune up for Tuesday.', 'service', 'tune-up'],
    ['Schedule a tune up Tuesday, my number is 239 555 0187, no wait, 239 555 0188.', 'phone', '+12395550188'],
    ['Schedule a tune up Tuesday, my number is two three nine five five five oh one eight seven, sorry, eight eight.', 'phone', '+12395550188'],
    ['Schedule a tune up Tuesday, my number is 239 555 0187, actually at 10.', 'phone', '+12395550187'],
    ['Schedule a tune up Tuesday, my name is Jane Smith, sorry, Jane Smythe.', 'name', 'Jane Smythe'],
    ['Schedule a tune up Tuesday, my name is Jane Smith, no, Wednesday.', 'name', 'Jane Smith'],
    ['Schedule a tune up Tuesday, I live at 12 Palm Street, no, 14 Palm Street.', 'address', '14 Palm Street'],
  ]
  for (const [words, slot, value] of told) {
    const call = formTalk('polar-bay-air')
    await call.say(words)
    t.match(call.values()[slot], value, `${words} -> ${JSON.stringify(call.values())}`)
  }
  const order = formTalk('juniper-coffee')
  t.match((await order.say('Can I get a small, no, large latte with two, uh, three shots?')).said, /a large triple shot latte, right/)
})

t.test('several slots of which one has a condition, one put right, all in one sentence', async (t) => {
  const call = formTalk('harbor-lane-dental')
  const { said } = await call.say("I'd like to make an appointment for a cleaning, I'm a new patient and I have Cigna, no wait, Delta, Thursday morning.")
  t.match(call.values(), { patient: 'new', service: 'cleaning', insurance: 'Delta Dental', when: /^Thursday/ })
  t.match(said, /name/, 'and only what is missing is asked for')
})

t.test('an hour or a part of the day that is put right later keeps its day', async (t) => {
  for (const [words, when] of [['No, in the afternoon.', /^tomorrow afternoon/], ['Actually at two.', /^tomorrow at 2 in the afternoon/], ['No, Thursday.', /^Thursday, March fifth/]] as const) {
    const call = formTalk('polar-bay-air')
    await through(call, 'I would like to schedule a tune up for Tuesday morning.', words)
    t.match(call.values()['when'], when, words)
  }
})

t.test('what a caller does not want is not taken', async (t) => {
  for (const [words, order] of [
    ['Can I get a large latte, no milk.', /^That is a large latte, right/],
    ['A large, not a small, latte without sugar please.', /^That is a large latte, right/],
    ['Can I get a mocha instead of a latte, and hold the milk.', /^That is a mocha, right/],
    ['small no large latte', /^That is a large latte, right/],
  ] as const) {
    const { said } = await formTalk('juniper-coffee').say(words)
    t.match(said, order, words)
  }
  const visit = formTalk('polar-bay-air')
  await through(visit, 'I would like to book a visit.', 'Not a tune up, a repair, and not Tuesday, Wednesday.')
  t.match(visit.values(), { service: 'ac-repair', when: /^Wednesday/ })
})

t.test('what a caller takes back is let go, and read back without it', async (t) => {
  for (const words of ['No, without milk.', 'no milk', 'No milk, please.', "I don't want the milk."]) {
    const call = formTalk('juniper-coffee')
    await call.say('A large latte with a bit of milk please.')
    t.match((await call.say(words)).said, /^That is a large latte, right/, words)
    await call.say('Yes.')
    t.same(call.desk.leads.map((lead) => lead.slots), [{ size: 'large', coffeeDrink: 'latte' }], words)
  }
  const other = formTalk('juniper-coffee')
  await other.say('A large latte with a bit of milk please.')
  t.match((await other.say('No, not a latte, a mocha.')).said, /^That is a large mocha with a bit of milk/)
  const emptied = formTalk('juniper-coffee')
  await emptied.say('A large latte please.')
  t.match((await emptied.say('No, not a latte.')).said, /\?$/, 'what is needed is asked for again')
  t.equal(emptied.values()['coffeeDrink'], undefined)
  t.equal(emptied.desk.leads.length, 0)
})

t.test('the answer to a question that does not count any more goes nowhere', async (t) => {
  const call = formTalk('harbor-lane-dental')
  const told = await through(call, "I'd like to make an appointment for a cleaning, I'm a new patient and I have Cigna, Tuesday at ten.", 'Actually I have been here before.', 'Jane Smith.', 'March third 1984.', 'Yes.', 'Yes, please.')
  t.match(call.desk.booked, [{ answers: { patient: 'existing', birth_date: '1984-03-03' } }], told.join('\n'))
  t.equal(call.desk.booked[0]?.answers['insurance'], undefined)
})

t.test('a name that is spelled along is written as it was spelled', async (t) => {
  for (const [words, name] of [
    ["Jane Smythe, that's S M Y T H E.", 'Jane Smythe'],
    ["Jane Smith, it's spelled S-M-Y-T-H-E.", 'Jane Smythe'],
    ['S M I T H', 'Smith'],
    ['My name is Mary, M A R I.', 'Mari'],
    ['I am Allan, A double L A N.', 'Allan'],
  ] as const) {
    const call = formTalk('polar-bay-air')
    await through(call, 'I would like to schedule a tune up for Tuesday morning.', words)
    t.match(call.dialogue.form?.slots['name'], { value: name, confidence: 0.9 }, words)
  }
})

t.test('whatever a caller says instead of their name, it is asked for twice, then by its letters, then no more', async (t) => {
  for (const words of ['Yes.', 'This is getting ridiculous.', 'Okay.', 'It is very hot in here.', 'Three.']) {
    const call = formTalk('polar-bay-air')
    const told = await through(call, 'I would like to schedule a tune up for Tuesday morning.', ...Array.from({ length: 5 }, () => words))
    const asked = told.filter((line) => /your name/.test(line)).length
    t.ok(asked <= 3, `asked ${asked} times, a stray yes once apart:\n${told.join('\n')}`)
    t.ok(told.filter((line) => /letter by letter/.test(line)).length <= 2, told.join('\n'))
    t.match(told.slice(4).join('\n'), /calling from|number|street/, `${words}: the talk goes on\n${told.join('\n')}`)
    t.equal(call.values()['name'], undefined, words)
  }
})

t.test('"how much is that?" is about what is being booked', async (t) => {
  const call = formTalk('polar-bay-air')
  await call.say('I would like to schedule a tune up.')
  t.match((await call.say('How much is that?')).said, /^A tune-up is 89 dollars.*What day/)
  const repair = formTalk('polar-bay-air')
  await repair.say('I would like to schedule a repair.')
  t.notMatch((await repair.say('How much is that?')).said, /89/)
})

t.test('another hour is heard as one, however it is asked for, until the yes', async (t) => {
  for (const words of ['Actually, can we do ten?', 'Could we make it ten?', "I'd prefer ten instead.", 'No, at ten.']) {
    const call = formTalk('polar-bay-air')
    await through(call, 'I would like to schedule a tune up for Thursday at eight.', 'Jane Smith.', 'Yes.', '12 Palm Street.', 'Estero.')
    t.match((await call.say(words)).said, /Thursday, March fifth, between 10 and noon/, words)
  }
  const counted = formTalk('polar-bay-air')
  await through(counted, 'I would like to schedule a tune up for Thursday at eight.', 'I have two units.')
  t.match(counted.values()['when'], /at 8 in the morning/, 'two units are no hour')
})

t.test('who wants something later is asked when', async (t) => {
  for (const words of ['Do you have anything later?', 'Something earlier, maybe?']) {
    const call = formTalk('polar-bay-air')
    await through(call, 'I would like to schedule a tune up for Tuesday morning.', 'Jane Smith.', 'Yes.', '12 Palm Street.', 'Estero.')
    t.match((await call.say(words)).said, /What other day or time would suit you/, words)
  }
})

t.test('a no to calling a visit off leaves it as it is', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up for Tuesday at nine.', 'Jane Smith.', 'Yes.', '12 Palm Street.', 'Estero.', 'Yes.')
  t.match((await call.say('Please cancel my appointment.')).said, /Shall I cancel it/)
  t.match((await call.say('No, keep it.')).said, /stays as it is/)
  t.match(call.desk.booked, [{ status: 'confirmed' }])
})
