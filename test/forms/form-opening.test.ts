import t from 'tap'
import { createResponder } from '../../src/response/intelligence-loop.ts'
import { contextOf, demoCompany, questionOf, replyTo } from '../support/fake-company.ts'
import { FakeDesk } from '../support/fake-desk.ts'
import { HELD_OUT_HARBOR_LANE, HELD_OUT_POLAR_BAY } from '../response/held-out.ts'
import { HANDLED, HARBOR_LANE, POLAR_BAY } from '../response/utterances.ts'

const polar = contextOf(demoCompany('polar-bay-air'))
const harbor = contextOf(demoCompany('harbor-lane-dental'))
const juniper = contextOf(demoCompany('juniper-coffee'))

async function opened(context: typeof polar, text: string): Promise<string | null> {
  const responder = createResponder({ model: null, desk: new FakeDesk(context.company) })
  const reply = await replyTo(responder, questionOf(context, text))
  return reply.dialogue.form?.formId ?? null
}

/** What callers want who want a visit. */
const WANTS_A_VISIT = ['booking', 'same-day', 'tune-up-booking', 'cleaning', 'new-patients']

t.test('of everything callers say, only a wish for a visit begins one', async (t) => {
  let begun = 0
  let wished = 0
  for (const [context, table] of [[polar, [...POLAR_BAY, ...HELD_OUT_POLAR_BAY, ...HANDLED]], [harbor, [...HARBOR_LANE, ...HELD_OUT_HARBOR_LANE]]] as const) {
    for (const [heard, expected] of table) {
      const wants = expected.split('|').some((id) => WANTS_A_VISIT.includes(id))
      const form = await opened(context, heard)
      if (!wants) t.equal(form, null, `"${heard}" is about ${expected}`)
      else {
        wished += 1
        if (form !== null) begun += 1
        else t.comment(`not begun by: ${heard}`)
      }
    }
  }
  t.comment(`${begun} of ${wished} wishes for a visit begin one`)
  t.ok(begun / wished >= 0.65, `${begun} of ${wished}`)
})

t.test('stories about a visit that was, and questions about one, begin nothing', async (t) => {
  for (const words of [
    'You guys came last week and it is still hot in here.',
    'Somebody was here yesterday to schedule the repair and nobody called.',
    'How much is it to book a visit?',
    'Transfer my appointment to Friday.',
    'Can I make an appointment on your website?',
    'I already booked an appointment.',
  ]) {
    t.equal(await opened(polar, words), null, words)
  }
})

t.test('a wish at the end of a story is a wish; an order with a question beside it is an order', async (t) => {
  t.equal(await opened(polar, "Hi, um, so my air conditioner has been making this noise since last night, and I guess I'd like to schedule a repair for Thursday or Friday afternoon, not before two."), 'visit')
  const order = contextOf(demoCompany('juniper-coffee'))
  const responder = createResponder({ model: null, desk: new FakeDesk(order.company) })
  const reply = await replyTo(responder, questionOf(order, 'Can I get a small latte, how much is that?'))
  t.match(reply.said, /4 dollars and 50 cents.*That is a small latte, right/)
})

t.test('a sentence that orders a drink is an order; one about drinks is not', async (t) => {
  for (const words of ['Can I get a small latte with a bit of soy milk?', "I'd like a large dark roast coffee.", 'Make me a double shot espresso.', 'A medium iced coffee with cream please.', 'cappuccino']) {
    t.equal(await opened(juniper, words), 'order', words)
  }
  for (const words of ['How much is a latte?', 'Do you have oat milk?', 'What kinds of coffee do you make?', 'When do you close?', 'Can I get a muffin?', 'Do you sell beans?', 'Can I get it decaf?']) {
    t.equal(await opened(juniper, words), null, words)
  }
})
