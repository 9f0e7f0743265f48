import t from 'tap'
import { understandWhen } from '../../src/booking/when.ts'
import { readText } from '../../src/grammar/read-text.ts'
import type { FormContext, FormMove } from '../../src/forms/form-move.ts'
import { heardByForm, offered, openedForm } from '../../src/forms/form-step.ts'
import { expectationOf } from '../../src/forms/form-questions.ts'
import type { FormState, TimeOffer } from '../../src/forms/form-state.ts'
import { renderText } from '../../src/response/templates.ts'
import { formSchema, type FormInput } from '../../src/tenancy/form.ts'

/** Monday 2 March 2026, 10:00 in New York. */
const NOW = new Date('2026-03-02T15:00:00Z')
const ZONE = 'America/New_York'

const VISIT: FormInput = {
  id: 'visit',
  name: 'Service visit',
  outcome: 'appointment',
  phrases: ['book a visit'],
  slots: [
    { id: 'service', label: 'the service', type: 'service', prompt: 'What do you need done?', reprompts: ['Is it a repair or a tune-up?'], options: [{ value: 'repair', aliases: ['AC repair', 'repair', 'not cooling'] }, { value: 'tune-up', aliases: ['tune-up', 'maintenance'] }] },
    { id: 'when', label: 'the time', type: 'date', prompt: 'What day suits you?' },
    { id: 'name', label: 'the name', type: 'name', prompt: 'What is your name?', reprompts: ['Your name again, please?'] },
    { id: 'phone', label: 'the number', type: 'phone', prompt: 'What number can we reach you at?', reprompts: ['Say the number digit by digit, please.'] },
    { id: 'address', label: 'the address', type: 'address', prompt: 'What is the street address?' },
  ],
  readBack: 'A {{ service }}, {{ when }}{% if address %}, at {{ address }}{% endif %}. Shall I book it?',
}

export function talk(input: FormInput, options: { callerNumber?: string | null } = {}) {
  const form = formSchema.parse(input)
  const context: FormContext = {
    form,
    callerNumber: options.callerNumber === undefined ? '+12395550142' : options.callerNumber,
    now: NOW.toISOString(),
    today: '2026-03-02',
    readWhen: (words) => {
      const when = understandWhen(words, NOW, ZONE)
      return when === null ? null : { value: when.said, namesDay: when.namesDay }
    },
    readText,
    render: (template, values) => renderText(template, values),
  }
  let move: FormMove | null = null
  const said = (text: string, source: 'heard' | 'keys' = 'heard', withQuestion = false) => ({ text, source, withQuestion, reading: null })
  const settle = (next: FormMove): FormMove => {
    move = next
    return next
  }
  return {
    context,
    get state(): FormState {
      if (move === null) throw new Error('the form is not open')
      return move.state
    },
    open: (text: string) => settle(openedForm(context, said(text))),
    hear: (text: string, withQuestion = false) => settle(heardByForm(context, (move as FormMove).state, said(text, 'heard', withQuestion))),
    keys: (digits: string) => settle(heardByForm(context, (move as FormMove).state, said(digits, 'keys'))),
    offer: (...offers: TimeOffer[]) => settle(offered(context, (move as FormMove).state, { offers, wanted: null })),
    values: () => Object.fromEntries(Object.entries((move as FormMove).state.slots).map(([id, slot]) => [id, slot.value])),
    expects: () => expectationOf(context, (move as FormMove).state),
  }
}

export const offer = (hour: number, said: string): TimeOffer => ({
  serviceId: 'repair',
  resourceId: 'crew-1',
  startsAt: `2026-03-03T${String(hour + 5).padStart(2, '0')}:00:00.000Z`,
  endsAt: `2026-03-03T${String(hour + 6).padStart(2, '0')}:00:00.000Z`,
  window: null,
  said,
  startWords: [['eight', '8'], ['ten', '10']][hour === 8 ? 0 : 1] as string[],
  otherWords: ['tomorrow', 'tuesday', 'morning'],
})

const SPOKEN = ['What day suits you?', 'What do you need done?']

t.test('a caller is asked for one thing after the other, and hears it all before it counts', async (t) => {
  const form = talk(VISIT)
  t.same(form.open("I'd like to book a visit.").say, [SPOKEN[1]])
  t.same(form.hear('A repair, please.').say, [SPOKEN[0]])
  t.same(form.hear('Tomorrow morning.').say, ['What is your name?'])
  t.same(form.hear('Jane Smith.').say, ['Is the number you are calling from the best one to reach you?'])
  t.same(form.hear('Yes.').say, ['What is the street address?'])
  t.equal(form.hear('12 Palm Street.').wish?.kind, 'search')
  t.same(form.offer(offer(8, 'tomorrow at 8'), offer(10, 'tomorrow at 10')).say, ['I have tomorrow at 8, or at 10. Which of those suits you?'])
  t.same(form.hear('Ten is good.').say, ['A AC repair, tomorrow at 10, at 12 Palm Street. Shall I book it?'])
  t.equal(form.hear('Yes, please.').wish?.kind, 'submit')
  t.match(form.values(), { service: 'repair', when: 'tomorrow morning', name: 'Jane Smith', phone: '+12395550142', address: '12 Palm Street' })
  t.equal(form.state.slots['phone']?.provenance, 'caller-id')
})

t.test('everything in one sentence is taken from one sentence', async (t) => {
  const form = talk(VISIT)
  const move = form.open("Hi, I'd like to book a visit for an AC repair tomorrow morning, my name is Jane Smith, my number is 239 555 0187 and I live at 12 Palm Street.")
  t.equal(move.wish?.kind, 'search', JSON.stringify(move.say))
  t.match(form.values(), { service: 'repair', when: 'tomorrow morning', name: 'Jane Smith', phone: '+12395550187', address: '12 Palm Street' })
})

t.test('any slot is corrected at any time', async (t) => {
  const form = talk(VISIT)
  form.open('Book a visit for a tune-up tomorrow.')
  t.same(form.hear('No, Thursday.').say, ['What is your name?'])
  t.match(form.values().when, /^Thursday/)
  t.same(form.hear('Actually make it a repair.').say, ['Okay, AC repair.', 'What is your name?'])
  form.hear('Jane Smith')
  form.hear('Yes')
  form.hear('12 Palm Street')
  form.offer(offer(8, 'Thursday at 8'))
  t.match(form.hear('Yes that works').say[0], /Shall I book it/)
  t.same(form.hear('The number is wrong.').say, ['Sorry about that.', 'What number can we reach you at?'])
  t.match(form.hear('two three nine five five five oh one eight seven').say[0], /Okay|Shall I book/)
  t.equal(form.values().phone, '+12395550187')
})
