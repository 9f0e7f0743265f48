import t from 'tap'
import { parseCallScript, type CallScript } from '../../src/load/call-script.ts'
import { scriptedCompany, type ScriptedCall } from '../support/script-call.ts'

const NUMBER = '+12395550177'

/** A call of lines, each said when the agent has finished. */
function lines(...texts: readonly string[]): CallScript {
  return parseCallScript(
    {
      name: 'lines', description: 'Lines, one after the other.', to: '+15550100000', from: NUMBER, ends: 'any',
      steps: texts.map((text, index) => (/^[0-9*#]+$/.test(text) ? { do: 'press', digits: text, when: { after: 'agent-finished' } } : { do: 'say', wav: `line-${index}.wav`, text, voice: 'alan', when: { after: 'agent-finished' } })),
    },
    'lines',
  )
}

const told = (call: ScriptedCall): string => call.turns.map((turn) => `${turn.heard} -> ${turn.delivered}`).join('\n')

t.test('a call whose stream breaks goes on inside the form, with everything that was said', async (t) => {
  const company = scriptedCompany('polar-bay-air')
  const callSid = company.nextCallSid()
  const first = company.dial({ callSid, from: NUMBER })
  await company.clock.advance(6000)
  for (const text of ['I would like to schedule a tune up.', 'Tuesday morning.']) {
    for (const { fromMs, toMs } of company.wordsOf(callSid).say(text, first.leg.mediaNowMs())) first.leg.speak(fromMs - first.leg.mediaNowMs(), toMs - fromMs)
    await company.clock.advance(9000)
  }
  first.leg.breaks()
  await company.clock.runUntil(first.over)
  company.wordsOf(callSid).words.length = 0
  const second = company.dial({ callSid, from: NUMBER, resumed: true })
  await company.clock.advance(6000)
  const resumed = company.turnsOf(callSid).at(-1)
  t.match(resumed?.delivered, /cut off.*name/i, 'the question that was open is asked again')
  for (const { fromMs, toMs } of company.wordsOf(callSid).say('Mary Jones.', second.leg.mediaNowMs())) second.leg.speak(fromMs - second.leg.mediaNowMs(), toMs - fromMs)
  await company.clock.advance(9000)
  t.match(company.turnsOf(callSid).at(-1)?.dialogue?.form?.slots, { service: { value: 'tune-up' }, when: { value: /tuesday/i }, name: { value: 'Mary Jones' } })
  t.equal(company.desk.leads.length, 0, 'a caller who came back has left nothing unfinished')
  second.leg.callerHangsUp()
  await company.clock.runUntil(second.over)
  await company.clock.advance(60_000)
  t.same(company.desk.leads.map((lead) => [lead.kind, lead.callerName]), [['unfinished', 'Mary Jones']], 'one who then hangs up has, once')
  t.same(company.errors, [])
})

t.test('a stream that breaks and does not come back leaves a lead after a while', async (t) => {
  const company = scriptedCompany('polar-bay-air')
  const { leg, over } = company.dial({ callSid: company.nextCallSid(), from: NUMBER })
  await company.clock.advance(6000)
  for (const { fromMs, toMs } of company.wordsOf(leg.start.callSid).say('I would like to schedule a tune up.', leg.mediaNowMs())) leg.speak(fromMs - leg.mediaNowMs(), toMs - fromMs)
  await company.clock.advance(9000)
  leg.breaks()
  await company.clock.runUntil(over)
  t.equal(company.desk.leads.length, 0)
  await company.clock.advance(60_000)
  t.match(company.desk.leads, [{ kind: 'unfinished', formId: 'visit', phoneNumberE164: NUMBER, slots: { service: 'tune-up' } }])
})

t.test('keys are an equal way in: a number, a yes and a place in a list', async (t) => {
  const company = scriptedCompany('polar-bay-air')
  const call = await company.clock.runUntil(
    company.play(lines('I would like to schedule a tune up.', 'Tuesday morning.', 'My name is Mary Jones.', '2', '2395550187', 'Twenty two Palm Street.', '2', '1', '1', 'No, goodbye.')),
    400_000,
  )
  t.match(call.made.appointments, [{ customer: { name: 'Mary Jones', phoneNumberE164: '+12395550187', address: { city: 'Cape Coral' } } }], told(call))
  const keyed = call.turns.filter((turn) => turn.input === 'dtmf')
  t.match(keyed[1]?.reading, { source: 'keys', slots: [{ slotId: 'phone', value: '2395550187', confidence: 1 }] })
})

t.test('a day is keyed in as well, of birth or to come, and is whole when its last key is pressed or the caller stops', async (t) => {
  const company = scriptedCompany('harbor-lane-dental')
  const call = await company.clock.runUntil(
    company.play({ ...lines('I would like to make an appointment for a cleaning.', '2', '0305', 'My name is Mary Jones.', '03031984', '1', '1', '1', 'No, goodbye.'), to: '+15550100001' }),
    400_000,
  )
  t.match(call.made.appointments, [{ startsAt: /^2026-03-05/, customer: { name: 'Mary Jones', phoneNumberE164: NUMBER }, answers: { patient: 'existing', birth_date: '1984-03-03' } }], told(call))
  t.match(call.turns.find((turn) => turn.heard === '03031984')?.reading, { source: 'keys', slots: [{ slotId: 'birthDate', value: '03031984' }] })
})

t.test('a caller moves a visit, and cancels it, by the number they call from', async (t) => {
  const company = scriptedCompany('polar-bay-air')
  await company.clock.runUntil(company.play(lines('I would like to schedule a tune up.', 'Tuesday morning.', 'My name is Mary Jones.', 'Yes.', 'Twenty two Palm Street.', 'Estero.', 'The first one.', 'Yes.', 'No, goodbye.'), NUMBER), 400_000)
  const moved = await company.clock.runUntil(company.play(lines('I need to reschedule my appointment.', 'Wednesday afternoon.', 'The first one.', 'Yes, please.', 'No, goodbye.'), NUMBER), 400_000)
  t.match(company.desk.booked, [{ status: 'confirmed', startsAt: /^2026-03-04T17:00/ }], told(moved))
  const cancelled = await company.clock.runUntil(company.play(lines('I have to cancel my appointment.', 'Yes.', 'No, goodbye.'), NUMBER), 400_000)
  t.match(company.desk.booked, [{ status: 'cancelled' }], told(cancelled))
  const nobody = await company.clock.runUntil(company.play(lines('I have to cancel my appointment.', 'No, goodbye.'), '+12395550199'), 400_000)
  t.notMatch(told(nobody), /Your visit is/, 'the visits of another number are nobody else\'s')
})

t.test('nothing is ever done for a reply that nobody has begun to hear', async (t) => {
  // Callers who pause, go on, talk over and take back at every moment: each deed has a reply that was heard first.
  let seed = 7
  const random = (): number => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return seed / 0x7fffffff
  }
  let deeds = 0
  for (let round = 0; round < 12; round += 1) {
    const company = scriptedCompany('juniper-coffee')
    const callSid = company.nextCallSid()
    const { leg, over } = company.dial({ callSid, from: NUMBER })
    const say = (text: string): void => {
      for (const { fromMs, toMs } of company.wordsOf(callSid).say(text, leg.mediaNowMs())) leg.speak(fromMs - leg.mediaNowMs(), toMs - fromMs)
    }
    const audibleBefore: boolean[] = []
    const before = company.desk.do.bind(company.desk)
    company.desk.do = async (sid, turn, effect) => {
      const lastHeard = leg.heard.at(-1)
      // What a caller who hung up has left unfinished follows the call, not a reply.
      const followsReply = effect.kind !== 'lead' || effect.lead.kind !== 'unfinished'
      if (followsReply) audibleBefore.push(lastHeard !== undefined && leg.mediaNowMs() - lastHeard.atMs < 400)
      return before(sid, turn, effect)
    }
    await company.clock.advance(4500)
    for (const text of ['Can I get a small latte?', 'Yes.', 'No wait.', 'Yes, please.', 'Yes.', 'Thank you.']) {
      say(text)
      await company.clock.advance(text.split(' ').length * 300 + 100 + Math.floor(random() * 900))
      if (random() < 0.5) say(random() < 0.5 ? 'no' : 'um yes')
      await company.clock.advance(Math.floor(random() * 6000))
    }
    leg.callerHangsUp()
    await company.clock.runUntil(over)
    const orders = company.desk.leads.filter((lead) => lead.kind === 'order')
    t.ok(orders.length <= 1, `round ${round}: ${orders.length} orders of one drink`)
    t.ok(audibleBefore.every((audible) => audible), `round ${round}: each deed was heard to be done`)
    deeds += audibleBefore.length
    t.same(company.errors, [])
  }
  t.ok(deeds >= 6, `${deeds} drinks were ordered in the end`)
})
