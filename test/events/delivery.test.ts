import t from 'tap'
import { openDelivery, visit } from './delivery-world.ts'
import { CALLER, event, item, lead } from './fixtures.ts'

const NOON = '2026-03-02T17:00:00Z'
const UNKNOWN = { kind: 'unknown', reason: 'the answer was lost' } as const
const LATER = { kind: 'not-taken', reason: 'ECONNREFUSED', retryAfterMs: null } as const

t.test('a text that surely was not taken is tried again, further and further apart, and sent once', async (t) => {
  const { until, repositories, sms, messages } = await openDelivery(t, NOON)
  sms.script.push(LATER, { ...LATER, reason: '429', retryAfterMs: 300_000 })
  await repositories.outbox.add('a', [item('x', { dueAt: NOON.replace('Z', '.000Z') })], NOON)
  await until('2026-03-02T18:00:00Z')
  t.match(sms.sent.map((one) => one.at), [/17:00:0/, /17:00:3/, /17:05:3/], '30 s later, then when Twilio said')
  t.match(await messages(), [{ state: 'done', attempts: 3, providerId: 'SM3' }])
})

t.test('one whose fate nobody knows is never sent again, and says so', async (t) => {
  const { until, repositories, sms, messages } = await openDelivery(t, NOON)
  sms.script.push(UNKNOWN)
  await repositories.outbox.add('a', [item('x', { dueAt: NOON.replace('Z', '.000Z') })], NOON)
  await until('2026-03-04T18:00:00Z')
  t.equal(sms.sent.length, 1)
  t.match(await messages(), [{ state: 'unknown', reason: 'the answer was lost' }])
  t.match(await repositories.eventLog.list('a', { after: null, limit: 10 }), [{ type: 'message.unknown' }])
})

t.test('a provider that is down for good leaves a dead letter, and a person can try it again', async (t) => {
  const { until, repositories, sms, messages, clock } = await openDelivery(t, NOON)
  for (let n = 0; n < 9; n++) sms.script.push(LATER)
  const one = item('x', { dueAt: NOON.replace('Z', '.000Z') })
  await repositories.outbox.add('a', [one], NOON)
  await until('2026-03-02T23:00:00Z')
  t.equal(sms.sent.length, 9)
  t.match(await messages(), [{ state: 'failed', reason: 'ECONNREFUSED, 9 times' }])
  await repositories.outbox.retry('a', one.id, clock.wallTime().toISOString())
  await until('2026-03-02T23:10:00Z')
  t.match(await messages(), [{ state: 'done', attempts: 1 }])
})

t.test('somebody who wrote STOP is left alone, by that company and in time', async (t) => {
  const { until, happen, repositories, sms, messages } = await openDelivery(t, NOON)
  await happen('appointment.booked', visit('2026-03-05T15:00:00Z'))
  await until('2026-03-02T18:00:00Z')
  await repositories.contacts.set('a', { phoneNumberE164: CALLER, state: 'opted-out', source: 'text', at: NOON }, [])
  await until('2026-03-06T00:00:00Z')
  t.equal(sms.sent.length, 1)
  t.match(await messages(), [{ state: 'dropped', reason: 'opted out' }, { state: 'dropped' }, { state: 'done' }])
})

t.test('a STOP that Twilio knows of becomes ours', async (t) => {
  const { until, repositories, sms, messages } = await openDelivery(t, NOON)
  sms.script.push({ kind: 'refused', reason: 'Twilio 21610', optedOut: true })
  await repositories.outbox.add('a', [item('x'), item('y', { dueAt: '2026-03-02T18:00:00.000Z' })], NOON)
  await until('2026-03-02T19:00:00Z')
  t.match(await repositories.contacts.get('a', CALLER), { state: 'opted-out', source: 'carrier' })
  t.match(await messages(), [{ state: 'dropped', reason: 'opted out' }, { state: 'failed', reason: /21610/ }])
  t.equal(sms.sent.length, 1)
})

t.test('where texts need a yes, only a yes counts', async (t) => {
  const { until, repositories, sms } = await openDelivery(t, NOON, { notifications: { consent: 'explicit' } })
  await repositories.outbox.add('a', [item('x')], NOON)
  await until('2026-03-02T17:01:00Z')
  t.equal(sms.sent.length, 0)
  await repositories.contacts.set('a', { phoneNumberE164: CALLER, state: 'opted-in', source: 'text', at: NOON }, [])
  await repositories.outbox.add('a', [item('y')], NOON)
  await until('2026-03-02T17:02:00Z')
  t.equal(sms.sent.length, 1)
})

t.test('a company sends no more texts an hour than it may, and the others go on', async (t) => {
  const { until, repositories, sms, messages } = await openDelivery(t, NOON, { notifications: { limits: { textsPerHour: 2 } } })
  await repositories.outbox.add('a', ['1', '2', '3', '4', '5'].map((key) => item(key)), NOON)
  await until('2026-03-02T17:30:00Z')
  // Those that decided in the same moment may be one or two over.
  const first = sms.sent.length
  t.ok(first >= 2 && first <= 4, `${first} sent`)
  t.match((await messages()).filter((one) => one.state === 'waiting')[0], { reason: /limit of 2 texts an hour/, attempts: 0 })
  await until('2026-03-02T20:30:00Z')
  t.equal(sms.sent.length, 5)
})

t.test('what cannot be sent at all says why, and a broken template is a dead letter', async (t) => {
  const { until, repositories, sms, messages } = await openDelivery(t, NOON)
  sms.why = 'no Twilio account is configured'
  await repositories.outbox.add('a', [item('x')], NOON)
  await until('2026-03-02T17:00:05Z')
  t.match(await messages(), [{ state: 'dropped', reason: 'no Twilio account is configured' }])
  sms.why = null
  await repositories.outbox.add('a', [item('y', {}, { kind: 'reminder_day_before', facts: {} })], NOON)
  await until('2026-03-02T17:00:10Z')
  t.match((await messages())[0], { state: 'failed', reason: /undefined variable: when/ })
  t.equal(sms.sent.length, 0)
})

t.test('a lead reaches the people who want to know of it, each their own way', async (t) => {
  const { until, repositories, sms, email } = await openDelivery(t, '2026-03-03T04:00:00Z', {
    notifications: {
      people: [
        { name: 'Night desk', phoneNumberE164: '+12395550188', anyHour: true },
        { name: 'Office', phoneNumberE164: '+12395550189', email: 'office@example.com' },
        { name: 'Books', email: 'books@example.com', about: ['appointment'] },
      ],
    },
  })
  await repositories.leads.create('a', lead('a', 'L1', { callerName: 'Mallory http://win.example', summary: 'Wants a call. See evil.example/now' }))
  await until('2026-03-03T04:01:00Z')
  t.match(sms.sent, [{ to: '+12395550188', text: 'New request for a call from Mallory win example, +1 239 555 0143: Wants a call. See evil example/now' }])
  t.match(email.sent, [{ to: 'office@example.com', subject: 'New request for a call: Mallory win example' }])
  await until('2026-03-03T13:00:10Z')
  t.match(sms.sent[1], { to: '+12395550189', at: /^2026-03-03T13:00/ }, 'the office sleeps until eight')
})

t.test('of somebody\'s health nothing is said', async (t) => {
  const { until, happen, repositories, sms, email } = await openDelivery(t, NOON, {
    industry: 'dental', notifications: { people: [{ name: 'Desk', phoneNumberE164: '+12395550188', email: 'desk@example.com' }] },
  })
  await repositories.leads.create('a', lead('a', 'L1', { summary: 'Severe pain in a molar.' }))
  await happen('appointment.booked', visit('2026-03-05T15:00:00Z', { reason: 'root canal' }))
  await until('2026-03-02T18:00:00Z')
  t.equal(sms.sent.length + email.sent.length, 5)
  t.notMatch(JSON.stringify([...sms.sent, ...email.sent]), /pain|molar|root canal/)
})

t.test('a task that cannot be understood is a dead letter, not a loop', async (t) => {
  const { until, repositories, problems } = await openDelivery(t, NOON)
  await repositories.eventLog.append('a', [event('a', 'appointment.booked', 'appointment/A9', { data: { nothing: true } })])
  await until('2026-03-02T18:00:00Z')
  t.match(await repositories.outbox.list('a', { before: null, limit: 10, kind: 'event' }), [{ state: 'failed', attempts: 1 }])
  t.equal(problems.length, 1)
})

t.test('a server that stops waits for the answer of a text under way, and keeps it', async (t) => {
  const { until, repositories, sms, messages, restart, clock } = await openDelivery(t, NOON)
  const { promise, resolve } = Promise.withResolvers<{ kind: 'taken'; providerId: string }>()
  sms.script.push(promise)
  await repositories.outbox.add('a', [item('x')], NOON)
  await clock.advance(3000)
  t.match(await messages(), [{ state: 'sending' }])
  const restarted = restart()
  resolve({ kind: 'taken', providerId: 'SM77' })
  await restarted
  t.match(await messages(), [{ state: 'done', providerId: 'SM77' }])
  await until('2026-03-02T18:00:00Z')
  t.equal(sms.sent.length, 1)
})
