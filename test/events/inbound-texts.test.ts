import Fastify from 'fastify'
import { getExpectedTwilioSignature } from 'twilio/lib/webhooks/webhooks.js'
import t, { type Test } from 'tap'
import { ClientsViaError } from '../../src/core/errors.ts'
import { Scope } from '../../src/core/scope.ts'
import { InboundTexts, intentOf, type InboundTextsDeps } from '../../src/events/inbound-texts.ts'
import { missedCall } from '../../src/events/missed-call.ts'
import { InMemoryMediaTokens } from '../../src/telephony/media-tokens.ts'
import { registerTelephony } from '../../src/telephony/telephony.ts'
import { ScriptedCallHandler } from '../telephony/scripted-call-handler.ts'
import { call, turn } from '../storage/fixtures.ts'
import { openDelivery, visit, type DeliveryWorld } from './delivery-world.ts'
import { CALLER, item } from './fixtures.ts'

const OURS = '+12395550100'
const BASE = 'https://voice.example.com'
const TOKEN = 'a token of Twilio'

type Phone = DeliveryWorld & Readonly<{
  /** What the sender reads; '' for nothing. */
  text: (body: string, extra?: Record<string, string>) => Promise<string>
  post: (path: string, form: Record<string, string>, signature?: string) => Promise<{ statusCode: number; body: string }>
}>

/** `isAway`: the store takes writes (the journal does), and can look nothing up. */
async function open(t: Test, isAway = false, reports: InboundTextsDeps['reports'] = null): Promise<Phone> {
  const world = await openDelivery(t, '2026-03-02T17:00:00Z')
  const away = async (): Promise<never> => {
    throw new ClientsViaError('STORE_FAILED', 'gone')
  }
  const app = Fastify()
  const quiet = { info: () => undefined, warn: () => undefined, error: (facts: unknown) => t.fail(JSON.stringify(facts)) }
  const texts = new InboundTexts({
    ...world.repositories,
    ...(isAway && {
      eventLog: { append: (...given) => world.repositories.eventLog.append(...given), get: away },
      contacts: { set: (...given) => world.repositories.contacts.set(...given), get: away },
      outbox: { list: away, get: away, delivered: away },
    }),
    reports,
    clock: world.clock, appointments: { get: async (_companyId, id) => world.visits.get(id) ?? null } })
  await registerTelephony(app, {
    clock: world.clock, logger: quiet, handler: new ScriptedCallHandler(), mediaTokens: new InMemoryMediaTokens(world.clock), publicBaseUrl: BASE, twilioAuthToken: TOKEN, scope: new Scope(), texts,
  })
  t.teardown(() => app.close())
  let sids = 0
  const post: Phone['post'] = (path, form, signature = getExpectedTwilioSignature(TOKEN, `${BASE}${path}`, form)) =>
    app.inject({ method: 'POST', url: path, headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-twilio-signature': signature }, payload: new URLSearchParams(form).toString() })
  const text: Phone['text'] = async (body, extra = {}) => {
    const reply = await post('/twilio/sms', { MessageSid: `SM${(sids += 1)}`, AccountSid: 'AC1', From: CALLER, To: OURS, Body: body, ...extra })
    t.equal(reply.statusCode, 200)
    return /<Message>(.*)<\/Message>/.exec(reply.body)?.[1] ?? ''
  }
  return { ...world, text, post }
}

t.test('STOP ends it, START begins it again, HELP says who we are', async (t) => {
  const { text, repositories, sms, until } = await open(t)
  t.match(await text('stop.'), /Polar Bay Air: you will get no more texts from us\. Reply START/)
  t.match(await repositories.contacts.get('a', CALLER), { state: 'opted-out', source: 'text' })
  await repositories.outbox.add('a', [item('x')], '2026-03-02T17:00:00.000Z')
  await until('2026-03-02T17:01:00Z')
  t.equal(sms.sent.length, 0)
  t.match(await text('Help'), /Call \+1 239 555 0100.*STOP/)
  t.match(await text('YES'), /you will get texts about your visits again/, 'somebody who has opted out and says yes')
  t.match(await repositories.contacts.get('a', CALLER), { state: 'opted-in' })
  await repositories.outbox.add('a', [item('y')], '2026-03-02T17:01:00.000Z')
  await until('2026-03-02T17:02:00Z')
  t.equal(sms.sent.length, 1)
  t.same((await repositories.eventLog.list('a', { after: null, limit: 20, types: ['contact.opted_out', 'contact.opted_in'] })).map((one) => one.type), ['contact.opted_out', 'contact.opted_in'])
})

t.test('while the store is away a STOP counts all the same, and what else is texted is kept for people', async (t) => {
  const { text, repositories } = await open(t, true)
  t.match(await text('STOP'), /you will get no more texts/)
  t.match(await repositories.contacts.get('a', CALLER), { state: 'opted-out' })
  t.match(await text('HELP'), /Reply STOP/)
  t.equal(await text('C'), '', 'nobody is told that there is no visit')
  t.match(await repositories.leads.list('a', { before: null, limit: 10 }), [{ kind: 'message', summary: 'Texted: C' }])
})

t.test('where Twilio has answered a STOP itself, nobody answers twice', async (t) => {
  const { text, repositories } = await open(t)
  t.equal(await text('STOP', { OptOutType: 'STOP' }), '')
  t.match(await repositories.contacts.get('a', CALLER), { state: 'opted-out' })
})

t.test('C to a reminder says they will be there', async (t) => {
  const { text, happen, until, repositories } = await open(t)
  await happen('appointment.booked', visit('2026-03-05T15:00:00Z'))
  await until('2026-03-02T17:01:00Z')
  t.match(await text(' c '), /thank you, see you then/)
  t.match(await repositories.eventLog.list('a', { after: null, limit: 20, types: ['appointment.acknowledged', 'message.received'] }), [
    { type: 'appointment.acknowledged', subject: 'appointment/A1' }, { type: 'message.received', data: { intent: 'confirm' } },
  ])
})

t.test('R makes a request for a call, and the company\'s people hear of it', async (t) => {
  const { text, happen, until, repositories, sms } = await open(t)
  const stored = await repositories.companies.get('a')
  if (stored === null) throw new Error('the company is gone')
  await repositories.companies.save('a', { ...stored, notifications: { ...stored.notifications, people: [{ name: 'Desk', phoneNumberE164: '+12395550188', email: null, about: ['change_asked'], anyHour: false }] } })
  await happen('appointment.booked', visit('2026-03-05T15:00:00Z'))
  await until('2026-03-02T17:01:00Z')
  t.match(await text('R'), /in touch about another time/)
  await until('2026-03-02T17:02:00Z')
  t.match(sms.sent.at(-1), { to: '+12395550188', text: 'Dana Reyes, +1 239 555 0143, wants another time than Thu, Mar 5, 10:00 AM.' })
  t.match(await repositories.leads.list('a', { before: null, limit: 10 }), [{ kind: 'callback', callerName: 'Dana Reyes', phoneNumberE164: CALLER }])
})

t.test('an answer about a visit that is over, cancelled or somebody else\'s changes nothing', async (t) => {
  const { text, happen, until, visits, repositories } = await open(t)
  t.match(await text('C'), /we find no visit of yours ahead/)
  await happen('appointment.booked', visit('2026-03-05T15:00:00Z'))
  await until('2026-03-02T17:01:00Z')
  visits.set('A1', visit('2026-03-05T15:00:00Z', { status: 'cancelled' }))
  t.match(await text('C'), /no visit/)
  visits.set('A1', visit('2026-03-05T15:00:00Z', { customer: { name: 'Other', phoneNumberE164: '+12395550999', address: null } }))
  t.match(await text('C'), /no visit/)
  t.same(await repositories.eventLog.list('a', { after: null, limit: 20, types: ['appointment.acknowledged'] }), [])
})

t.test('anything else is kept for a person to read, and no machine is answered for ever', async (t) => {
  const { text, repositories } = await open(t)
  t.equal(await text('Can you come on Friday instead? See http://x.example'), '')
  t.match(await repositories.leads.list('a', { before: null, limit: 10 }), [{ kind: 'message', summary: 'Texted: Can you come on Friday instead? See x example' }])
  const answers = []
  for (let n = 0; n < 15; n++) answers.push(await text('HELP'))
  t.equal(answers.filter((answer) => answer !== '').length, 10)
  t.equal(await text('', { From: '78787' }), '', 'a short code')
  t.equal(await text('HELP', { To: '+12395550777' }), '', 'a number of nobody')
})

t.test('the same text twice is one, also after a restart', async (t) => {
  const { text, repositories } = await open(t)
  await text('hello', { MessageSid: 'SMsame' })
  await text('hello', { MessageSid: 'SMsame' })
  const again = new InboundTexts({ ...repositories, clock: (await open(t)).clock, appointments: null, reports: null })
  t.equal(await again.received({ messageSid: 'SMsame', from: CALLER, to: OURS, body: 'STOP', carrierAnswered: false }, new AbortController().signal), null)
  t.equal(await repositories.contacts.get('a', CALLER), null)
  t.equal((await repositories.leads.list('a', { before: null, limit: 10 })).length, 1)
})

t.test('only what Twilio has signed is read', async (t) => {
  const { post, repositories } = await open(t)
  const form = { MessageSid: 'SM1', AccountSid: 'AC1', From: CALLER, To: OURS, Body: 'STOP' }
  t.equal((await post('/twilio/sms', form, 'forged')).statusCode, 403)
  t.equal((await post('/twilio/sms-status?company=a&message=x', form, getExpectedTwilioSignature(TOKEN, `${BASE}/twilio/sms-status?company=b&message=x`, form))).statusCode, 403, 'not for another message')
  t.equal(await repositories.contacts.get('a', CALLER), null)
})

t.test('Twilio\'s report on a text whose answer was lost settles it; on others it moves forward only', async (t) => {
  const { post, repositories, sms, until } = await open(t)
  const one = item('x')
  sms.script.push({ kind: 'unknown', reason: 'the answer was lost' })
  await repositories.outbox.add('a', [one], '2026-03-02T17:00:00.000Z')
  await until('2026-03-02T17:01:00Z')
  const report = async (status: string, extra: Record<string, string> = {}): Promise<unknown> => {
    t.equal((await post(`/twilio/sms-status?company=a&message=${one.id}`, { MessageSid: 'SM77', AccountSid: 'AC1', MessageStatus: status, ...extra })).statusCode, 204)
    const stored = await repositories.outbox.get('a', one.id)
    return [stored?.state, stored?.delivery]
  }
  t.same(await report('sent'), ['done', 'sent'])
  t.same(await report('queued'), ['done', 'sent'])
  t.same(await report('nonsense'), ['done', 'sent'])
  t.same(await report('undelivered', { ErrorCode: '30005' }), ['done', 'undelivered'])
  t.same(await report('delivered'), ['done', 'undelivered'])
  t.same((await repositories.eventLog.list('a', { after: null, limit: 20 })).map((one) => one.type), ['message.unknown', 'message.sent', 'message.failed'])
  t.same(sms.sent.length, 1)
})

t.test('what a text means', async (t) => {
  for (const [body, intent] of [
    ['STOP', 'stop'], ['Stop please', 'stop'], ['unsubscribe', 'stop'], ['stop by at noon tomorrow will you', 'other'], ['Cancel', 'stop'], ['cancel my visit', 'other'],
    ['help!', 'help'], ['C', 'confirm'], ['ok', 'confirm'], ['r', 'reschedule'], ['', 'other'], ['__proto__', 'other'],
  ] as const) t.equal(intentOf(body, false), intent, body)
  t.equal(intentOf('yes', true), 'start')
})

t.test('a caller who spoke to nobody is a missed call, once', async (t) => {
  const now = new Date('2026-03-02T17:00:00Z')
  const hungUp = call('a', 'CA1', { outcome: 'caller-hung-up' })
  const missed = missedCall(hungUp, [turn(0, { input: 'answered' })], now)
  t.match(missed, { type: 'call.missed', subject: 'call/CA1', data: { from: hungUp.from } })
  t.equal(missedCall(hungUp, [], now)?.id, missed?.id)
  t.equal(missedCall(hungUp, [turn(1)], now), null)
  t.equal(missedCall(call('a', 'CA1', { outcome: 'completed' }), [], now), null)
})
