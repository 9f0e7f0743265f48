import t from 'tap'
import { newFormState } from '../../src/forms/form-state.ts'
import { INITIAL_DIALOGUE } from '../../src/response/dialogue.ts'
import { turn } from '../storage/fixtures.ts'
import { openCompanyWorld } from './company-world.ts'

const BASE = '/companies/polar-bay/forms'
const SLOT = { id: 'name', label: 'the name', type: 'name', prompt: 'May I have your name?' }
const CHOICE = { id: 'kind', label: 'the kind', type: 'choice', prompt: 'Which kind?', options: [{ value: 'gas' }, { value: 'electric' }] }

t.test('forms are edited one by one under the company\'s own version, and what cannot work is refused by name', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const made = await polarBay('POST', BASE, { id: 'callback', name: 'Callback', phrases: ['call me back'], slots: [SLOT], readBack: 'A call for {{ name }}?' })
  t.equal(made.statusCode, 201, made.body)
  t.match(made.json(), { id: 'callback', outcome: 'lead', enabled: true, slots: [{ id: 'name', attempts: 3, fallback: 'message', required: true }] }, 'with everything that was left out')
  const list = await polarBay('GET', BASE)
  t.same(list.json().items.map((form: { id: string }) => form.id), ['callback'])
  const path = `${BASE}/callback`
  const changed = await polarBay('PATCH', path, { done: 'Thank you, {{ name }}.' }, { 'if-match': String(list.headers.etag) })
  t.match(changed.json(), { done: 'Thank you, {{ name }}.', readBack: 'A call for {{ name }}?' })
  t.equal((await polarBay('PATCH', path, { enabled: false }, { 'if-match': String(list.headers.etag) })).statusCode, 412, 'somebody else was faster')
  for (const [body, field] of [
    [{ name: 'X', slots: [SLOT], readBack: '{{ nickname }}' }, 'readBack'],
    [{ name: 'X', slots: [{ ...CHOICE, options: [] }] }, 'forms.1.slots.0.options'],
    [{ name: 'X', slots: [CHOICE, { ...SLOT, when: { slotId: 'sort', in: ['gas'] } }] }, 'forms.1.slots.1.when.slotId'],
    [{ name: 'X', slots: [CHOICE, { ...SLOT, when: { slotId: 'kind', in: ['wood'] } }] }, 'forms.1.slots.1.when.in'],
    [{ name: 'X', slots: [SLOT, SLOT] }, 'forms.1.slots.1.id'],
    [{ name: 'X', outcome: 'appointment', slots: [SLOT] }, 'forms.1.slots'],
    [{ name: 'X', slots: [SLOT], colour: 'red' }, 'colour'],
  ] as const) {
    const refused = await polarBay('POST', BASE, body)
    t.equal(refused.statusCode, 400, JSON.stringify(body))
    t.ok(refused.body.includes(field), `${field}: ${refused.body}`)
  }
  t.equal((await polarBay('DELETE', path)).statusCode, 204)
  t.equal((await polarBay('GET', path)).statusCode, 404)
})

t.test('a call shows what was expected, what was understood and how surely, turn by turn', async (t) => {
  const { polarBay, repositories } = await openCompanyWorld()
  const form = { ...newFormState('visit'), slots: { name: { value: 'Jane Smith', spoken: 'jane smith', provenance: 'heard' as const, confidence: 0.62, heardAt: '2026-03-02T15:00:00.000Z' } } }
  await repositories.calls.saveTurn('polar-bay', 'CA-polar-bay', turn(7, {
    expectation: { kind: 'yes-no' },
    reading: { verdict: 'act', text: 'yes', slots: [{ slotId: 'answer', value: 'yes', spoken: 'yes', confidence: 0.97 }], doubtful: null, scores: { costPerToken: 0.1, maxWordRegret: 0.2, gap: 1.4 }, source: 'audio' },
    dialogue: { ...INITIAL_DIALOGUE, form },
  }))
  const shown = (await polarBay('GET', '/companies/polar-bay/calls/CA-polar-bay')).json()
  const seventh = shown.turns.find((one: { turn: number }) => one.turn === 7)
  t.match(seventh, {
    expectation: { kind: 'yes-no' },
    reading: { verdict: 'act', slots: [{ slotId: 'answer', value: 'yes', confidence: 0.97 }], source: 'audio' },
    form: { formId: 'visit', phase: 'collecting', slots: { name: { value: 'Jane Smith', provenance: 'heard', confidence: 0.62 } } },
  })
  t.match(shown.turns[0], { expectation: null, reading: null, form: null }, 'a turn from before they were kept')
})

t.test('the test console goes through a form turn by turn, and nothing is done', async (t) => {
  const { polarBay } = await openCompanyWorld()
  await polarBay('POST', BASE, { id: 'callback', name: 'Callback', phrases: ['arrange a callback'], slots: [SLOT, CHOICE], readBack: 'A call for {{ name }} about {{ kind }}. Right?' })
  const say = async (text: string, continueWith?: string) => (await polarBay('POST', '/companies/polar-bay/try', { text, ...(continueWith === undefined ? {} : { continueWith }) })).json()
  const first = await say('Please arrange a callback.')
  t.match(first, { said: [{ text: 'May I have your name?', source: 'form' }], dialogue: { form: { formId: 'callback', phase: 'collecting' } }, expectation: { kind: 'form', asked: 'name' } })
  const second = await say('Jane Smith', first.continueWith)
  const third = await say('gas', second.continueWith)
  t.match(third.dialogue.form, { phase: 'reading-back', slots: { kind: { value: 'gas' } } })
  const last = await say('yes', third.continueWith)
  t.match(last.dialogue.form, { phase: 'done' })
  t.match(last.trace.find((one: { step: string }) => one.step === 'would-do'), { detail: { effect: { kind: 'lead', lead: { kind: 'callback', slots: { kind: 'gas' } } } } })
})
