import t from 'tap'
import type { Appointment } from '../../src/booking/appointment.ts'
import { createResponder } from '../../src/response/intelligence-loop.ts'
import { INITIAL_DIALOGUE, type DialogueState } from '../../src/response/dialogue.ts'
import type { TurnInput } from '../../src/response/responder.ts'
import { contextOf, demoCompany, OPEN_AT, questionOf, replyTo } from '../support/fake-company.ts'
import { FakeDesk } from '../support/fake-desk.ts'

function talker(name: Parameters<typeof demoCompany>[0], options: { from?: string; wallTime?: Date } = {}) {
  const context = contextOf(demoCompany(name))
  const desk = new FakeDesk(context.company)
  const responder = createResponder({ model: null, desk })
  let dialogue: DialogueState = { ...INITIAL_DIALOGUE, greeted: true }
  let turn = 0
  return {
    desk,
    get dialogue() {
      return dialogue
    },
    async say(input: string | TurnInput): Promise<Awaited<ReturnType<typeof replyTo>>> {
      turn += 1
      const wallTime = options.wallTime ?? OPEN_AT
      const question = { ...questionOf(context, input, { dialogue, wallTime, turn }), from: options.from ?? '+12395550142', effects: desk.effects(turn) }
      const reply = await replyTo(responder, question)
      dialogue = reply.dialogue
      return reply
    },
  }
}

t.test('a caller books a visit, hears it back, and it is in the books', async (t) => {
  const call = talker('polar-bay-air')
  t.match((await call.say("Hi, I'd like to schedule an appointment.")).said, /\?$/)
  for (const words of ['My AC needs a repair.', 'Tomorrow morning.', 'Jane Smith.', 'Yes.', '12 Palm Street.', 'Fort Myers.']) {
    const reply = await call.say(words)
    t.comment(`${words} -> ${reply.said}`)
  }
  const chosen = await call.say('The first one.')
  t.comment(chosen.said)
  const booked = await call.say('Yes, please.')
  t.comment(booked.said)
  t.equal(call.desk.booked.length, 1)
  t.match(call.desk.booked[0] as Appointment, { customer: { name: 'Jane Smith', phoneNumberE164: '+12395550142', address: { street: '12 Palm Street', city: 'Fort Myers' } } })
  t.equal((await call.say("No, that's all, thank you.")).action?.kind, 'hang-up')
})
