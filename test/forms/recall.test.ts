import t from 'tap'
import { formStateSchema } from '../../src/forms/form-state-schema.ts'
import { formTalk, through, type FormTalk } from '../support/form-talk.ts'

/** A caller whose first visit is in the books, and who rings again. */
async function again(options: Readonly<{ from?: string; recall?: boolean }> = {}): Promise<FormTalk> {
  const call = formTalk('polar-bay-air', { recall: true, ...options })
  const { startsAt, endsAt } = { startsAt: '2026-02-03T13:00:00.000Z', endsAt: '2026-02-03T14:00:00.000Z' }
  const customer = { name: 'Jane Smythe', phoneNumberE164: '+12395550142', address: { street: '12 Palm Street', unit: '', city: 'Estero', state: '', zip: '' } }
  await call.desk.book('polar-bay-air', { opening: { serviceId: 'tune-up', resourceId: 'crew-1', startsAt, endsAt, window: null }, customer, reason: 'x', answers: {}, callSid: null }, 'before')
  return call
}

t.test('a caller who is in the books is asked whether it is them, at the same address, and spells nothing twice', async (t) => {
  const call = await again()
  const told = await through(call, 'I would like to schedule a tune up for Tuesday at nine.')
  t.match(told.at(-1), /Is this for Jane Smythe\?$/)
  t.equal(call.values()['name'], undefined, 'nothing is taken unasked')
  await call.say('Yes.')
  t.match(call.dialogue.form?.slots['name'], { value: 'Jane Smythe', provenance: 'confirmed', confidence: 1 })
  t.match((await call.say('Yes.')).said, /same address as last time\?$/, 'the street itself is not said to whoever calls')
  t.match((await call.say('Yes, it is.')).said, /tomorrow between 8 and 10 in the morning, at 12 Palm Street in Estero\. Shall I book it/)
  t.match(call.dialogue.form?.slots, { address: { value: '12 Palm Street', provenance: 'crm' }, city: { value: 'Estero', provenance: 'crm' } })
  t.same(formStateSchema.parse(JSON.parse(JSON.stringify(call.dialogue.form))), call.dialogue.form, 'and all of it is saved with the turn')
  await call.say('Yes.')
  t.match(call.desk.booked[1], { customer: { name: 'Jane Smythe', address: { street: '12 Palm Street', city: 'Estero' } } })
})

t.test('somebody else on the same telephone says who they are, twice at most, and where', async (t) => {
  const call = await again()
  await through(call, 'I would like to schedule a tune up for Tuesday at nine.', 'No, it is for Mary Jones.')
  t.equal(call.values()['name'], 'Mary Jones')
  await call.say('Yes.')
  await call.say('No, 45 Main Street.')
  t.match(call.values(), { address: '45 Main Street' })
  t.match((await call.say('Cape Coral.')).said, /at 45 Main Street in Cape Coral/)
  const silent = await again()
  const told = await through(silent, 'I would like to schedule a tune up for Tuesday at nine.', 'No.', 'Go ahead.', 'It is hot in here.')
  t.match(told[1], /May I have your name\?$/)
  t.match(told[2], /your name again/)
  t.match(told[3], /letter by letter/)
})

t.test('a stranger, a withheld number, and everybody where the company has not asked for it are asked as if nobody knew them', async (t) => {
  for (const call of [await again({ from: '+12395550199' }), await again({ from: 'anonymous' }), await again({ recall: false })]) {
    const { said } = await call.say('I would like to schedule a tune up for Tuesday at nine.')
    t.match(said, /May I have your name\?$/)
    t.notMatch(said, /Jane/)
  }
})

t.test('who says the street is asked for the town, not whether it is the same address', async (t) => {
  const call = await again()
  const told = await through(call, 'I would like to schedule a tune up for Tuesday at nine, my name is Mary Jones, my number is 239 555 0187 and I live at 45 Main Street.', 'Yes.')
  t.match(told.at(-1), /town/, told.join('\n'))
  t.equal(call.values()['city'], undefined)
})

t.test('a calendar that does not answer knows nobody, and the form begins all the same', async (t) => {
  const call = await again()
  call.desk.away = true
  t.match((await call.say('I would like to schedule a tune up for Tuesday at nine.')).said, /May I have your name\?$/)
})

t.test('a form that was saved before there was anything to recall goes on', async (t) => {
  const call = formTalk('polar-bay-air')
  await call.say('I would like to schedule a tune up.')
  const { known: _known, ...older } = JSON.parse(JSON.stringify(call.dialogue.form)) as Record<string, unknown>
  t.match(formStateSchema.parse(older), { known: {}, formId: 'visit' })
})
