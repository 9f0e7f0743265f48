import t from 'tap'
import type { Appointment } from '../../src/booking/appointment.ts'
import type { Reading } from '../../src/core/reading.ts'
import { formTalk, through } from '../support/form-talk.ts'

t.test('a caller books a visit, hears it back, and it is in the books', async (t) => {
  const call = formTalk('polar-bay-air')
  t.match((await call.say("Hi, I'd like to schedule an appointment.")).said, /\?$/)
  await through(call, 'My AC needs a repair.', 'Tomorrow morning.', 'Jane Smith.', 'Yes.', '12 Palm Street.', 'Fort Myers.')
  t.match((await call.say('The first one.')).said, /^I have you down for AC repair, tomorrow between 8 and 10 in the morning, at 12 Palm Street in Fort Myers\. Shall I book it\?$/)
  t.match((await call.say('Yes, please.')).said, /You're booked for tomorrow between 8 and 10 in the morning/)
  t.equal(call.desk.booked.length, 1)
  t.match(call.desk.booked[0] as Appointment, { customer: { name: 'Jane Smith', phoneNumberE164: '+12395550142', address: { street: '12 Palm Street', city: 'Fort Myers' } } })
  t.equal((await call.say("No, that's all, thank you.")).action?.kind, 'hang-up')
})

t.test('a caller who wants a time while the calendar does not answer is told so, and called back with all they have said', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, "Hi, I'd like to schedule an appointment.", 'My AC needs a repair.', 'Tomorrow morning.', 'Jane Smith.', 'Yes.', '12 Palm Street.')
  call.desk.away = true
  t.match((await call.say('Fort Myers.')).said, /can't see the calendar right now.*call you back/)
  t.match(call.desk.leads, [{ kind: 'callback', phoneNumberE164: '+12395550142', summary: /repair/i }])
  t.equal(call.desk.booked.length, 0)
  t.equal((await call.say("No, that's all, thank you.")).action?.kind, 'hang-up')
  const other = formTalk('polar-bay-air')
  other.desk.away = true
  t.match((await other.say('I need to cancel my appointment.')).said, /can't see the calendar right now.*call you back/, 'nor can it say what is booked')
  t.match(other.desk.leads, [{ kind: 'callback', phoneNumberE164: '+12395550142' }])
})

t.test('a new patient is asked what an old one is not, and nobody for an address', async (t) => {
  const call = formTalk('harbor-lane-dental')
  const asked = await through(call, 'I would like to make an appointment.', "I'm a new patient.", 'A cleaning.', 'Tuesday at ten.', 'Jane Smith.', 'March third 1984.')
  t.match(asked.at(-1), /insurance/i, asked.join('\n'))
  const rest = await through(call, 'Delta Dental.', 'Yes.', 'Yes, please.')
  t.match(call.desk.booked[0], { customer: { address: null }, answers: { patient: 'new', birth_date: '1984-03-03', insurance: 'Delta Dental' } }, rest.join('\n'))
  const known = formTalk('harbor-lane-dental')
  const other = await through(known, 'I would like to make an appointment.', 'I have been here before.', 'A cleaning.', 'Tuesday at ten.', 'Jane Smith.', 'March third 1984.')
  t.notMatch(other.at(-1), /insurance/i)
})

t.test('gas in the middle of a booking: the caller leaves the house first, and nothing is booked unasked', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up.', 'Tuesday morning.')
  const alarm = await call.say('Wait, I smell gas.')
  t.equal(alarm.source, 'emergency')
  t.match(alarm.said, /leave the house.*on-call/)
  t.equal(alarm.dialogue.form?.phase, 'paused')
  const no = await call.say('No, it was the neighbour.')
  t.match(no.said, /go on where we were/)
  t.match((await call.say('Yes.')).said, /name/i, 'with everything that was said before')
  t.same(Object.keys(call.dialogue.form?.slots ?? {}).sort(), ['service', 'when'])
  t.equal(call.desk.booked.length, 0)
  const second = formTalk('polar-bay-air')
  await through(second, 'I would like to schedule a tune up.', 'I smell gas.')
  t.equal((await second.say('Yes, please.')).action?.kind, 'transfer')
})

t.test('a name is never what people say when they are not saying one, and is asked for twice at most', async (t) => {
  for (const words of ['Go ahead.', 'This is getting ridiculous.', 'I just told you.', 'What?', 'It is hot in here.', 'Tuesday.']) {
    const call = formTalk('polar-bay-air')
    await through(call, 'I would like to schedule a tune up for Wednesday morning.', words)
    t.equal(call.dialogue.form?.slots['name'], undefined, words)
  }
  const call = formTalk('polar-bay-air')
  const said = await through(call, 'I would like to schedule a tune up for Wednesday morning.', 'Go ahead.', 'I said it already.')
  t.match(said.at(-1), /spell/, said.join('\n'))
  t.match((await call.say('T, I, C, C, I, U.')).said, /^T, I, C, C, I, U\. .*number/i, 'whoever spells hears what was understood')
  t.match(call.dialogue.form?.slots['name'], { value: 'Ticciu', confidence: 0.9 })
  t.match((await call.say('No, T I C C H I O.')).said, /^Okay, .*number/i, 'and puts it right while something else is asked')
  t.match(call.dialogue.form?.slots['name'], { value: 'Ticchio' })
  const skipped = formTalk('polar-bay-air')
  const tries = await through(skipped, 'I would like to schedule a tune up for Wednesday morning.', 'Go ahead.', 'I said it already.', 'No.')
  t.match(tries.at(-1), /number/i, 'and then goes on without one')
})

t.test('what does not belong into a slot never gets there', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up.')
  await call.say('12 Palm Street.')
  t.equal(call.dialogue.form?.slots['when'], undefined, 'an address is no time')
  t.match(call.dialogue.form?.slots['address'], { value: '12 Palm Street' })
  await through(call, 'Tuesday morning.', 'Jane Smith', 'No, another one.', 'five five five')
  t.equal(call.dialogue.form?.slots['phone'], undefined, 'half a number is no number')
  await through(call, 'two three nine', 'one two three four five six seven eight nine zero one two')
  t.equal(call.dialogue.form?.slots['phone'], undefined, 'nor is one that is too long')
})

t.test('a number in pieces is put together, read back, and counted only after a yes', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up for Wednesday morning.', 'Jane Smith.', 'No.')
  t.match((await call.say('two three nine five five five')).said, /^Go on/)
  t.notMatch((await call.say('Estero.')).said, /Go on/, 'who speaks of something else in between begins the number anew')
  await call.say('two three nine five five five')
  t.match((await call.say('oh one eight seven')).said, /two three nine, five five five, zero one eight seven, right/i)
  t.match((await call.say('No.')).said, /number/)
  await through(call, '239 555 0188', 'Yes.')
  t.match(call.dialogue.form?.slots['phone'], { value: '+12395550188', provenance: 'confirmed' })
})

t.test('a caller may ask what has been noted, ask for the question again, and say that a part is wrong', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up.', 'Tuesday morning.')
  t.match((await call.say('What do you have so far?')).said, /So far I have the service, tune-up; the time, tomorrow morning\. May I have your name\?/)
  t.match((await call.say('Sorry, what was that?')).said, /name/i)
  t.match((await call.say('The time is wrong.')).said, /Sorry about that\. Wh.* day/)
  t.match((await call.say('Friday afternoon.')).said, /name/i)
  t.match(call.dialogue.form?.slots['when']?.value, /Friday/)
})

t.test('a question in between is answered from the company\'s own words, and the form goes on in the same breath', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up.')
  const answer = await call.say('How much is a tune up?')
  t.match(answer.said, /89 dollars.*What day and time/)
  t.ok(answer.entryIds.includes('tune-up-price'))
  const both = await call.say('Wednesday morning, and do I have to be home?')
  t.match(both.said, /adult|home|be there/i)
  t.match(both.said, /name\?$/, both.said)
  t.match(call.dialogue.form?.slots['when']?.value, /Wednesday/)
  const unknown = await call.say('Do you like pineapple on pizza?')
  t.match(unknown.said, /sorry.*name/i, 'what nobody knows is said not to be known')
  t.ok(unknown.gap, 'and becomes a gap')
})

t.test('a caller who gives up leaves nothing; one who wants a person gets one', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up.', 'Tuesday morning.')
  t.match((await call.say('Never mind.')).said, /nothing is booked/)
  t.equal(call.dialogue.form?.phase, 'abandoned')
  t.same([call.desk.booked, call.desk.leads], [[], []])
  const person = formTalk('polar-bay-air')
  await through(person, 'I would like to schedule a tune up.')
  t.equal((await person.say('Can I speak to a person?')).action?.kind, 'transfer')
})

t.test('a mind is changed in other words than "never mind" too, even in the middle of a name', async (t) => {
  for (const words of ['Never mind, I change my mind.', 'I have changed my mind.', 'Never mind. I changed my mind.']) {
    const call = formTalk('polar-bay-air')
    await through(call, 'I would like to schedule a tune up for Wednesday morning.', words)
    t.equal(call.dialogue.form?.phase, 'abandoned', words)
  }
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up for Wednesday morning.', 'Never mind, change it to Thursday morning.')
  t.match(call.dialogue.form?.slots['when'], { value: /^Thursday/ }, 'what is changed is not given up')
})

t.test('a goodbye in the middle ends the call, whatever was being asked', async (t) => {
  for (const words of ['That is all. Goodbye.', 'No, goodbye.', 'Goodbye.']) {
    const call = formTalk('polar-bay-air')
    await through(call, 'I would like to schedule a tune up for Wednesday morning.', 'Jane Smith.')
    const reply = await call.say(words)
    t.match(reply.action, { kind: 'hang-up', reason: 'goodbye' }, `${words} -> ${reply.said}`)
  }
})

t.test('who is not understood at "is it the number you are calling from" is asked that once more, then for the number', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up for Wednesday morning.', 'Jane Smith.')
  t.match((await call.say('Worse.')).said, /the number you are calling from/)
  t.match((await call.say('Worse.')).said, /What number/)
})

t.test('"the first one" is no first of the month, unless a day was asked for', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up for Wednesday morning.', 'Jane Smith.', 'Yes.', '45 Main Street.')
  const wanted = call.dialogue.form?.slots['when']
  const reading: Reading = { verdict: 'act', text: 'the first one', slots: [{ slotId: 'when', value: 'the first', spoken: 'the first', confidence: 1 }], doubtful: null, scores: { costPerToken: 0.1, maxWordRegret: 0, gap: null }, source: 'audio' }
  await call.say({ kind: 'speech', text: 'The first one.', reading })
  t.same(call.dialogue.form?.slots['when'], wanted)
})

t.test('a day put right is not taken for the name that was asked for', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up for Monday.')
  const reading: Reading = { verdict: 'read-back', text: 'no found wednesday', slots: [{ slotId: 'name', value: 'Found', spoken: 'found', confidence: 0.6 }], doubtful: null, scores: { costPerToken: 0.4, maxWordRegret: 0.9, gap: 0.3 }, source: 'audio' }
  await call.say({ kind: 'speech', text: 'No, found Wednesday.', reading })
  t.equal(call.dialogue.form?.slots['name'], undefined)
  t.match(call.dialogue.form?.slots['when'], { value: /^Wednesday/ })
})

t.test('what was said before is not given up for a guess at what was not asked', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up for Monday.')
  const reading: Reading = { verdict: 'read-back', text: 'noon wendy', slots: [{ slotId: 'when', value: 'noon', spoken: 'noon', confidence: 0.8 }], doubtful: { slotId: 'when', word: 'noon' }, scores: { costPerToken: 0.2, maxWordRegret: 0.2, gap: 0 }, source: 'audio' }
  const { said } = await call.say({ kind: 'speech', text: 'No, on Wendy.', reading })
  t.match(call.dialogue.form?.slots['when'], { value: /^Monday/ })
  t.match(said, /name/i)
})

t.test('who says something else when a word is in doubt is heard, and asked about the word again', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule an appointment.')
  const reading: Reading = { verdict: 'read-back', text: 'the tune up', slots: [{ slotId: 'service', value: 'tune-up', spoken: 'tune up', confidence: 0.4 }], doubtful: { slotId: 'service', word: 'tune' }, scores: { costPerToken: 0.6, maxWordRegret: 5, gap: 0.1 }, source: 'audio' }
  t.match((await call.say({ kind: 'speech', text: 'The two nap.', reading })).said, /right\?$/)
  t.match((await call.say('My name is Mary Jones.')).said, /right\?$/)
  t.match(call.dialogue.form?.slots['name'], { value: 'Mary Jones' })
  t.match((await call.say('Yes.')).said, /day/i)
})

t.test('a question whose first word was misheard is answered all the same', async (t) => {
  for (const words of ['Found much is a tune-up.', 'Power much is a tune up?', 'And out much is a tune up']) {
    const call = formTalk('polar-bay-air')
    await through(call, 'I would like to schedule a tune up.')
    const { said } = await call.say(words)
    t.match(said, /89.*day/i, `${words} -> ${said}`)
  }
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a repair for Tuesday afternoon.', 'Jane Smith.', 'Yes.', '45 Main Street.', 'Cape Coral.', 'The first one.')
  t.match((await call.say('Yes, but whatever your hours on Saturday.')).said, /We're open on Saturday.*yes or no/)
  t.match((await call.say('Yes.')).said, /booked for tomorrow/, 'and Saturday is not the day that was wanted')
})

t.test('a town that was all but heard is taken, said at once and read back; one that is none of ours is not guessed', async (t) => {
  const outside: Reading = { verdict: 'outside', text: '', slots: [], doubtful: null, scores: { costPerToken: 5.3, maxWordRegret: 12.7, gap: 2.7 }, source: 'audio' }
  for (const [words, asks] of [
    ['Donita springs.', /^Okay, Bonita Springs\. I have .*Which/],
    ['Don\'t need a sprint.', /^Okay, Bonita Springs\./],
    ['No one eats drinks.', /^Okay, Bonita Springs\./],
    ['Tampa.', /Is it Fort Myers|town/],
    ['Yes, please.', /Is it Fort Myers|town/],
    ['The second one.', /Is it Fort Myers|town/],
    ['Marco Island.', /Is it Fort Myers|town/],
  ] as const) {
    const call = formTalk('polar-bay-air')
    await through(call, 'I would like to schedule a tune up for Wednesday morning.', 'Jane Smith.', 'Yes.', '45 Main Street.')
    const { said } = await call.say({ kind: 'speech', text: words, reading: outside })
    t.match(said, asks, `${words} -> ${said}`)
  }
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up for Wednesday morning.', 'Jane Smith.', 'Yes.', '45 Main Street.')
  await call.say({ kind: 'speech', text: 'Don\'t need a sprint.', reading: outside })
  t.match((await call.say('No, Cape Coral.')).said, /Okay, Cape Coral\./, 'and whoever was misheard puts it right')
  t.match((await call.say('The first one.')).said, /in Cape Coral\. Shall I book it/)
})

t.test('a change that was not understood is asked for, and is not agreed to by the next yes', async (t) => {
  const outside: Reading = { verdict: 'outside', text: '', slots: [], doubtful: null, scores: { costPerToken: 3.1, maxWordRegret: 7, gap: null }, source: 'audio' }
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a repair for Wednesday morning.', 'Jane Smith.', 'Yes.', '45 Main Street.', 'Cape Coral.', 'The first one.')
  const { said } = await call.say({ kind: 'speech', text: 'Actually, make it as you know.', reading: outside })
  t.match(said, /change/i, said)
  t.match((await call.say('Yes.')).said, /AC repair.*Shall I book it/)
  t.same(call.desk.booked, [])
  t.match((await call.say('Make it a tune up.')).said, /tune-up/)
})

t.test('a yes that was misheard as something all but like it is one, and nothing else is', async (t) => {
  const outside: Reading = { verdict: 'outside', text: '', slots: [], doubtful: null, scores: { costPerToken: 3.1, maxWordRegret: 7, gap: null }, source: 'audio' }
  for (const [words, booked] of [['U. S. please.', 1], ['This place.', 0], ['Wait, please.', 0], ['Not please.', 0]] as const) {
    const call = formTalk('polar-bay-air')
    await through(call, 'I would like to schedule a repair for Wednesday morning.', 'Jane Smith.', 'Yes.', '45 Main Street.', 'Cape Coral.', 'The first one.')
    await call.say({ kind: 'speech', text: words, reading: outside })
    t.equal(call.desk.booked.length, booked, words)
  }
})

t.test('a sentence with a name in pieces is no name', async (t) => {
  const reading: Reading = { verdict: 'act', text: 'wait i smell caffeine the house', slots: [{ slotId: 'name', value: 'Smell Caffeine House', spoken: 'smell caffeine house', confidence: 0.74 }], doubtful: null, scores: { costPerToken: 0.2, maxWordRegret: 0.6, gap: 0.9 }, source: 'audio' }
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up for Wednesday morning.')
  t.match((await call.say({ kind: 'speech', text: 'Wait, I smell caffeine the house.', reading })).said, /name/)
  t.equal(call.dialogue.form?.slots['name'], undefined)
})

t.test('a change of mind with a word too many in it is one', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up for Wednesday morning.')
  await call.say('Never mind, I changed in my mind.')
  t.equal(call.dialogue.form?.phase, 'abandoned')
})

t.test('a drink without a size is read back without one', async (t) => {
  const call = formTalk('juniper-coffee')
  const { said } = await call.say('Can I get a latte with soy milk?')
  t.match(said, /^That is a latte with/, said)
})

t.test('times that are gone are never promised', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up.', 'Tuesday at nine.', 'Jane Smith.', 'Yes.', '12 Palm Street.')
  t.match((await call.say('Estero.')).said, /tomorrow between 8 and 10 in the morning.*Shall I book it/, 'the one that was named needs no choice')
  call.desk.gone.add('2026-03-03T13:00:00.000Z')
  const taken = await call.say('Yes.')
  t.match(taken.said, /just been taken.*tomorrow between 10 and noon/)
  t.match((await call.say('Ten is fine.')).said, /between 10 and noon.*Shall I book it/)
  await call.say('Yes.')
  t.match(call.desk.booked, [{ startsAt: '2026-03-03T15:00:00.000Z' }])
})

t.test('a time that one crew has just lost is booked with another, and nobody hears of it', async (t) => {
  const call = formTalk('polar-bay-air')
  await through(call, 'I would like to schedule a tune up for Tuesday at nine.', 'Jane Smith.', 'Yes.', '12 Palm Street.', 'Estero.')
  call.desk.lostByFirstCrew.add('2026-03-03T13:00:00.000Z')
  t.match((await call.say('Yes.')).said, /You're booked/)
  t.match(call.desk.booked, [{ startsAt: '2026-03-03T13:00:00.000Z', resourceId: 'crew-2' }])
})

t.test('a doubtful word is asked about alone', async (t) => {
  const call = formTalk('juniper-coffee')
  const reading: Reading = {
    verdict: 'read-back', text: 'can I get a small mocha', doubtful: { slotId: 'coffeeDrink', word: 'mocha' }, source: 'audio', scores: { costPerToken: 0.3, maxWordRegret: 6.4, gap: 0.4 },
    slots: [{ slotId: 'size', value: 'small', spoken: 'small', confidence: 0.96 }, { slotId: 'coffeeDrink', value: 'mocha', spoken: 'mocha', confidence: 0.48 }],
  }
  const asked = await call.say({ kind: 'speech', text: 'can I get a small mark', reading })
  t.equal(asked.said, 'Mocha, right?')
  t.match((await call.say('Yes.')).said, /ready/, 'and nothing is asked about twice')
  t.match(call.desk.leads, [{ kind: 'order', slots: { size: 'small', coffeeDrink: 'mocha' } }])
  t.match(call.dialogue.form?.slots, { size: { provenance: 'heard' }, coffeeDrink: { value: 'mocha', provenance: 'confirmed', confidence: 1 } })
  const wrong = formTalk('juniper-coffee')
  await wrong.say({ kind: 'speech', text: 'can I get a small mark', reading })
  t.match((await wrong.say('No, a latte.')).said, /small latte, right/)
})
