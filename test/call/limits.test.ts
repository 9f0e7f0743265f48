import t from 'tap'
import { createResponder } from '../../src/response/intelligence-loop.ts'
import { SpendMeter, costOf } from '../../src/call/spend.ts'
import { usageOf } from '../../src/call/usage.ts'
import type { Question, ReplyPart } from '../../src/response/responder.ts'
import { companySchema, type CompanyInput } from '../../src/tenancy/company.ts'
import { openCompanyWorld } from '../admin-resources/company-world.ts'
import { call as callOf, turn as turnOf } from '../storage/fixtures.ts'
import { contextOf, demoCompany, questionOf, replyTo } from '../support/fake-company.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { GREETING, MemoryCalls, say, spokenMs, virtualCall } from '../support/virtual-call.ts'

const { signal } = new AbortController()
const ANSWER = 'We are open Monday to Friday from eight to five.'
const GOODBYE = 'Thank you for calling. Goodbye.'
const CALL = { callSid: 'CA9', accountSid: 'AC1', from: '+15550109999', to: '+15550100000' }

const limitsOf = (limits: CompanyInput['limits']) => companySchema.parse({ id: 'a', name: 'A', industry: 'hvac', timeZone: 'UTC', agentId: 'a', limits }).limits
const answers = ({ input }: Question): readonly ReplyPart[] => (input.kind === 'limit' ? [say(GOODBYE), { kind: 'act', action: { kind: 'hang-up', reason: 'limit' } }] : [say(ANSWER)])

/** Speaks for a second, every ten seconds. */
async function talk(call: ReturnType<typeof virtualCall>, leg: ReturnType<ReturnType<typeof virtualCall>['dial']>['leg'], times: number): Promise<void> {
  await call.clock.advance(spokenMs(GREETING) + 500)
  for (let n = 0; n < times; n++) {
    leg.speak(0, 1000)
    await call.clock.advance(10_000)
  }
}

t.test('T43: a call that has lasted long enough ends with a goodbye, not in the middle of a sentence', async (t) => {
  const call = virtualCall({ answer: answers, says: () => 'What are your hours?', company: { limits: limitsOf({ callMinutes: 1 }) } })
  const { leg, over } = call.dial()
  await call.clock.advance(58_500)
  leg.speak(0, 500)
  await call.clock.runUntil(over)
  t.same(call.turns().slice(-2).map(({ input, delivered }) => [input, delivered]), [['speech', ANSWER], ['limit', GOODBYE]])
  t.same(call.limits, ['minutes'])
  t.equal(call.calls.calls.get('polar-bay-air/CA00000000000000000000000000000001')?.outcome, 'completed')
})

t.test('T43: a call of too many turns ends with a goodbye', async (t) => {
  const call = virtualCall({ answer: answers, says: () => 'What are your hours?', company: { limits: limitsOf({ turnsPerCall: 3 }) } })
  const { leg, over } = call.dial()
  await talk(call, leg, 3)
  await call.clock.runUntil(over)
  t.same(call.turns().map(({ input }) => input), ['answered', 'speech', 'speech', 'limit'])
  t.equal(call.turns().at(-1)?.delivered, GOODBYE)
  t.same(call.limits, ['turns'])
})

t.test('T43: a goodbye that cannot be said, or is talked over, ends the call all the same', async (t) => {
  const mute = virtualCall({ answer: ({ input }) => (input.kind === 'limit' ? [] : [say(ANSWER)]), says: () => 'Hello?', company: { limits: limitsOf({ turnsPerCall: 1 }) } })
  const first = mute.dial()
  await talk(mute, first.leg, 1)
  await mute.clock.runUntil(first.over)
  t.ok(mute.clock.now() < 30_000)
  const talkative = virtualCall({ answer: answers, says: () => 'No wait, I have another question.', company: { limits: limitsOf({ turnsPerCall: 2 }) } })
  const second = talkative.dial()
  await talk(talkative, second.leg, 1)
  for (let n = 0; n < 20; n++) second.leg.speak(n * 1500, 1200)
  await talkative.clock.runUntil(second.over)
  t.ok(talkative.clock.now() < 60_000, `over after ${talkative.clock.now()} ms`)
})

t.test('T43: when a company has spent what it may spend in a day, calls end with a goodbye and new ones are not taken', async (t) => {
  let cents = 10
  const call = virtualCall({ answer: answers, says: () => 'What are your hours?', company: { limits: limitsOf({ dailySpendCents: 50 }) }, spend: { spentToday: async () => cents } })
  t.equal((await call.service.route({ ...CALL, callSid: 'CA8' }, signal)).kind, 'answer')
  const { leg, over } = call.dial()
  await talk(call, leg, 2)
  t.equal(call.turns().at(-1)?.input, 'speech', 'nothing ends while there is money')
  cents = 50
  leg.speak(0, 1000)
  await call.clock.runUntil(over)
  t.same(call.turns().slice(-2).map(({ delivered }) => delivered), [ANSWER, GOODBYE], 'what was asked is answered first')
  t.match(await call.service.route(CALL, signal), { kind: 'refuse', message: /call back tomorrow/ })
  t.same(call.limits, ['spending', 'spending'], 'and whoever watches is told')
})

t.test('a company without a spending limit is never asked what it spends, and an unknown figure stops nobody', async (t) => {
  let asked = 0
  const spend = { spentToday: async () => { asked += 1; throw new Error('the store is away') } }
  const free = virtualCall({ answer: answers, says: () => 'Hello', spend })
  t.equal((await free.service.route(CALL, signal)).kind, 'answer')
  t.equal(asked, 0)
  const limited = virtualCall({ answer: answers, says: () => 'Hello', spend, company: { limits: limitsOf({ dailySpendCents: 1 }) } })
  t.equal((await limited.service.route(CALL, signal)).kind, 'answer')
  t.equal(asked, 1)
})

t.test('the agent itself says that it has to go, and goodbye in its own words', async (t) => {
  const context = contextOf(demoCompany('polar-bay-air'))
  const reply = await replyTo(createResponder({ model: null }), { ...questionOf(context, ''), input: { kind: 'limit' } })
  t.equal(reply.said, `I'm sorry, I have to end this call now. ${context.agent.lines.goodbye}`)
  t.same(reply.action, { kind: 'hang-up', reason: 'limit' })
})

t.test('a limit on what nobody has put a price on is refused', async (t) => {
  const { polarBay, ports } = await openCompanyWorld()
  const save = async () => polarBay('PATCH', '/companies/polar-bay', { limits: { dailySpendCents: 500 } }, { 'if-match': String((await polarBay('GET', '/companies/polar-bay')).headers['etag']) })
  t.equal((await save()).statusCode, 200)
  Object.assign(ports, { rates: { callMinuteCents: null, modelTokenCents: null } })
  const refused = await save()
  t.equal(refused.statusCode, 400)
  t.match(refused.json().detail, /CALL_MINUTE_CENTS/)
})

t.test('what is spent is what the usage page says, with the minutes of the calls that are going on', async (t) => {
  const clock = new VirtualClock()
  const today = clock.wallTime().toISOString().slice(0, 10)
  const calls = new MemoryCalls()
  const rates = { callMinuteCents: 3, modelTokenCents: 0.01 }
  const put = async (companyId: string, callSid: string, seconds: number): Promise<void> => {
    await calls.begin(companyId, callOf(companyId, callSid, { startedAt: `${today}T00:00:01.000Z`, endedAt: `${today}T00:05:00.000Z`, durationSeconds: seconds }))
    await calls.saveTurn(companyId, callSid, turnOf(1, { model: { requests: 1, inputTokens: 150, cachedInputTokens: 0, outputTokens: 50, cents: null, wastedRequests: 0, wastedInputTokens: 0, wastedOutputTokens: 0, wastedCents: null, isEstimate: false } }))
  }
  await put('a', 'CA1', 120)
  await put('b', 'CA2', 6000)
  const live: { callSid: string; startedAt: string }[] = []
  let reads = 0
  const counted = { list: async (...given: Parameters<MemoryCalls['list']>) => { reads += 1; return calls.list(...given) }, turns: (companyId: string, callSid: string) => calls.turns(companyId, callSid) }
  const meter = new SpendMeter({ clock, calls: counted, directory: { live: async () => live }, rates, signal, onFailure: (_, error) => t.fail(String(error)) })
  t.equal(await meter.spentToday('a', signal), 2 * 3 + 200 * 0.01)
  const cost = costOf(await usageOf(calls, 'a', { from: `${today}T00:00:00.000Z`, to: `${today}T23:59:59.000Z` }, signal), rates)
  t.equal((cost.callsCents ?? 0) + (cost.modelCents ?? 0), 8, 'the same figure')
  live.push({ callSid: 'CA3', startedAt: clock.wallTime().toISOString() })
  await clock.advance(60_000)
  t.equal(await meter.spentToday('a', signal), 8 + 3, 'a minute of a call that goes on')
  await put('a', 'CA4', 60)
  live.length = 0
  await clock.advance(11_000)
  await meter.spentToday('a', signal)
  await clock.advance(1)
  t.equal(await meter.spentToday('a', signal), 8 + 3 + 2, 'and then that call as it was stored')
  const before = reads
  for (let n = 0; n < 50; n++) await meter.spentToday('a', signal)
  t.equal(reads, before, 'fifty turns later nothing was read again')
  await clock.advance(24 * 3_600_000)
  t.equal(await meter.spentToday('c', signal), 0)
})

t.test('X29: a server that has too much to do says so before it answers, or sends the caller where the company wants; calls that are going on are left alone', async (t) => {
  let overload: string | null = null
  const call = virtualCall({ answer: answers, says: () => 'What are your hours?', overload: () => overload })
  t.equal((await call.service.route(CALL, signal)).kind, 'answer')
  const { leg, over } = call.dial()
  await call.clock.advance(spokenMs(GREETING) + 500)
  for (const reason of ['loop-lag', 'memory']) {
    overload = reason
    t.match(await call.service.route({ ...CALL, callSid: `CA-${reason}` }, signal), { kind: 'refuse', message: /lines are busy/, forwardToE164: null }, reason)
  }
  leg.speak(0, 1000)
  await call.clock.advance(10_000)
  t.equal(call.turns().at(-1)?.delivered, ANSWER, 'who is on the line is answered')
  overload = null
  t.equal((await call.service.route({ ...CALL, callSid: 'CA-later' }, signal)).kind, 'answer')
  leg.callerHangsUp()
  await call.clock.runUntil(over)

  const forwarding = virtualCall({ answer: answers, says: () => '', overload: () => 'memory', company: { forwardToE164: '+12395550111' } })
  t.match(await forwarding.service.route(CALL, signal), { kind: 'refuse', forwardToE164: '+12395550111' })
})

t.test('a company has as many calls at once as it may, and the next caller is told', async (t) => {
  const call = virtualCall({ answer: answers, says: () => '', company: { limits: limitsOf({ concurrentCalls: 2 }), forwardToE164: '+12395550111' } })
  const kinds = []
  for (const callSid of ['CA1', 'CA2', 'CA3']) kinds.push((await call.service.route({ ...CALL, callSid }, signal)).kind)
  t.same(kinds, ['answer', 'answer', 'refuse'])
  t.match(await call.service.route({ ...CALL, callSid: 'CA3' }, signal), { message: /lines are busy/, forwardToE164: '+12395550111' })
})
