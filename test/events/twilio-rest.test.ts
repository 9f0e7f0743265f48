import t, { type Test } from 'tap'
import { SystemClock } from '../../src/core/clock.ts'
import { TwilioRest } from '../../src/telephony/twilio-rest.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { ACCOUNT, TwilioStandIn } from '../vendors/twilio-rest.ts'
import { CALLER } from './fixtures.ts'

const signal = new AbortController().signal
const CALL = `CA${'1'.repeat(32)}`
const FROM = '+12395550100'

async function open(t: Test, clock: SystemClock | VirtualClock = new SystemClock(), account = ACCOUNT): Promise<{ twilio: TwilioStandIn; rest: TwilioRest; send: (to?: string) => ReturnType<TwilioRest['sendMessage']> }> {
  const twilio = await TwilioStandIn.start()
  t.teardown(() => twilio.stop())
  const rest = new TwilioRest({ clock, account, baseUrl: twilio.url })
  return { twilio, rest, send: (to = CALLER) => rest.sendMessage({ to, from: FROM, body: 'See you at 8:00 AM — Polar Bay', statusCallback: 'https://voice.example.com/x' }, signal) }
}

const arrived = async (twilio: TwilioStandIn, count = 1): Promise<void> => {
  while (twilio.vendor.requests.length < count) await new Promise((resolve) => setImmediate(resolve))
}

t.test('a text is taken once, as it was written, and known by the id that Twilio gave it', async (t) => {
  const { twilio, send } = await open(t)
  t.same(await send(), { kind: 'taken', providerId: twilio.messages[0]?.sid })
  t.match(twilio.messages, [{ to: CALLER, from: FROM, body: 'See you at 8:00 AM — Polar Bay', statusCallback: 'https://voice.example.com/x' }])
})

t.test('what Twilio will never take is refused for good, and its own list of STOPs is believed', async (t) => {
  const { twilio, send } = await open(t)
  t.match(await send('+1'), { kind: 'refused', reason: /21211/, optedOut: false })
  twilio.optedOut.add(CALLER)
  t.match(await send(), { kind: 'refused', reason: /21610/, optedOut: true })
  const wrongToken = await open(t, new SystemClock(), { ...ACCOUNT, authToken: 'another token altogether' })
  t.match(await wrongToken.send(), { kind: 'refused', reason: /20003/ })
  t.equal(twilio.messages.length, 0)
})

t.test('only a refused connection and 429 are certain not to have sent anything; the rest is unknown, and nothing is asked twice', async (t) => {
  const { twilio, send } = await open(t)
  twilio.throttle(1, 7)
  t.match(await send(), { kind: 'not-taken', retryAfterMs: 7000 })
  await twilio.vendor.fail('429')
  t.match(await send(), { kind: 'not-taken', retryAfterMs: null })
  for (const fault of ['500', 'reset', 'garbage'] as const) {
    await twilio.vendor.fail(fault)
    t.match(await send(), { kind: 'unknown' }, fault)
  }
  await twilio.vendor.fail(null)
  t.equal(twilio.messages.length, 1, 'garbage was an answer: it had been taken')
  twilio.loseAnswers(true)
  t.match(await send(), { kind: 'unknown', reason: /lost/ })
  t.equal(twilio.messages.length, 2, 'and so was the one whose answer was lost')
  twilio.loseAnswers(false)
  const before = twilio.vendor.requests.length
  await twilio.vendor.fail('refused')
  t.match(await send(), { kind: 'not-taken', reason: /ECONNREFUSED/ })
  t.equal(twilio.vendor.requests.length, before)
  await twilio.vendor.fail(null)
  t.match(await send(), { kind: 'taken' })
})

t.test('a Twilio that hangs is waited for ten seconds, and nobody knows then', async (t) => {
  const clock = new VirtualClock()
  const { twilio, send } = await open(t, clock)
  await twilio.vendor.fail('hang')
  const sending = send()
  await arrived(twilio)
  await clock.advance(9_999)
  t.equal(clock.pendingTimers, 1)
  await clock.advance(1)
  t.match(await sending, { kind: 'unknown', reason: /in time/ })
  t.equal(clock.pendingTimers, 0)
})

t.test('a slow Twilio is not a broken one', async (t) => {
  const { twilio, send } = await open(t)
  await twilio.vendor.fail('slow')
  t.match(await send(), { kind: 'taken' })
})

t.test('a call that is over is hung up: there is nothing left to do', async (t) => {
  const { twilio, rest } = await open(t)
  twilio.begin(CALL)
  t.equal(await rest.hangUp(CALL, signal), 'done')
  t.equal(twilio.calls.get(CALL)?.status, 'completed')
  t.equal(await rest.hangUp(CALL, signal), 'already-over', '21220')
  t.equal(await rest.hangUp(`CA${'9'.repeat(32)}`, signal), 'already-over', '20404')
  t.equal(await rest.redirect(CALL, '<Response/>', signal), 'already-over')
})

t.test('a live call is sent elsewhere', async (t) => {
  const { twilio, rest } = await open(t)
  twilio.begin(CALL)
  t.equal(await rest.redirect(CALL, '<Response><Hangup/></Response>', signal), 'done')
  t.equal(twilio.calls.get(CALL)?.twiml, '<Response><Hangup/></Response>')
})

t.test('a call control is asked again for 429 alone, three times in all', async (t) => {
  const { twilio, rest } = await open(t)
  twilio.begin(CALL)
  twilio.throttle(2, 0)
  t.equal(await rest.hangUp(CALL, signal), 'done')
  t.equal(twilio.vendor.requests.length, 3)
  twilio.throttle(9, 0)
  await t.rejects(rest.hangUp(CALL, signal), { code: 'ENGINE_UNAVAILABLE', details: { status: 429 } })
  t.equal(twilio.vendor.requests.length, 6)
  twilio.throttle(0, 0)
  await twilio.vendor.fail('500')
  await t.rejects(rest.hangUp(CALL, signal), { code: 'ENGINE_FAILED', details: { status: 500 } })
  t.equal(twilio.vendor.requests.length, 7)
  await twilio.vendor.fail('refused')
  await t.rejects(rest.hangUp(CALL, signal), { code: 'ENGINE_UNAVAILABLE' })
})

t.test('and the wait that Twilio names is kept, but no longer than a caller can be left alone', async (t) => {
  const clock = new VirtualClock()
  const { twilio, rest } = await open(t, clock)
  twilio.begin(CALL)
  twilio.throttle(1, 60)
  const tooLate = t.rejects(rest.hangUp(CALL, signal), { code: 'DEADLINE_PASSED' })
  await arrived(twilio)
  while (clock.pendingTimers < 2) await new Promise((resolve) => setImmediate(resolve))
  await clock.advance(2500)
  await tooLate
  t.equal(clock.pendingTimers, 0)
})

t.test('somebody who gives up is heard at once', async (t) => {
  const { twilio, rest } = await open(t)
  await twilio.vendor.fail('hang')
  const controller = new AbortController()
  const hanging = rest.hangUp(CALL, controller.signal)
  await arrived(twilio)
  controller.abort(new Error('the server stops'))
  await t.rejects(hanging, { message: 'the server stops' })
})

t.test('the token goes to Twilio or to loopback, nowhere else', async (t) => {
  for (const baseUrl of ['http://example.com', 'https://127.0.0.1:1', 'nonsense', 'http://127.0.0.1.example.com']) {
    t.throws(() => new TwilioRest({ clock: new SystemClock(), account: ACCOUNT, baseUrl }), { code: 'CONFIG_INVALID' }, baseUrl)
  }
})
