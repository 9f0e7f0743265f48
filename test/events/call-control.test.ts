import t, { type Test } from 'tap'
import type { CallContinuation, CallLeg, LegEnd } from '../../src/call/call-leg.ts'
import type { CarrierControl } from '../../src/call/carrier-control.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { Scope } from '../../src/core/scope.ts'
import { TwilioCallControl } from '../../src/telephony/call-control.ts'
import { carriedThrough } from '../../src/telephony/carry-through.ts'
import { TwilioRest } from '../../src/telephony/twilio-rest.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { ScriptedCallHandler } from '../telephony/scripted-call-handler.ts'
import { ACCOUNT, TwilioStandIn } from '../vendors/twilio-rest.ts'

const signal = new AbortController().signal
const CALL = `CA${'1'.repeat(32)}`
const TRANSFER: CallContinuation = { kind: 'transfer', phoneNumberE164: '+12395550177', label: 'the desk', timeoutSeconds: 25 }

async function open(t: Test): Promise<{ twilio: TwilioStandIn; control: CarrierControl }> {
  const twilio = await TwilioStandIn.start()
  t.teardown(() => twilio.stop())
  const rest = new TwilioRest({ clock: new SystemClock(), account: ACCOUNT, baseUrl: twilio.url })
  return { twilio, control: new TwilioCallControl({ publicBaseUrl: () => 'https://voice.example.com', clientOf: async (companyId) => (companyId === 'a' ? rest : null) }) }
}

t.test('a live call is transferred, sent to voicemail or ended, whatever its stream does', async (t) => {
  const { twilio, control } = await open(t)
  twilio.begin(CALL)
  t.equal(await control.redirect('a', CALL, TRANSFER, signal), 'done')
  t.match(twilio.calls.get(CALL)?.twiml, /<Dial action="https:\/\/voice\.example\.com\/twilio\/voice\/dial-result".*>\+12395550177<\/Dial>/)
  await control.redirect('a', CALL, { kind: 'voicemail', prompt: 'After the tone.', maxSeconds: 60 }, signal)
  t.match(twilio.calls.get(CALL)?.twiml, /<Say>After the tone\.<\/Say><Record .*maxLength="60"/)
  t.equal(await control.redirect('a', CALL, { kind: 'hang-up' }, signal), 'done')
  t.equal(twilio.calls.get(CALL)?.status, 'completed')
  t.equal(await control.hangUp('a', CALL, signal), 'already-over')
  t.equal(await control.hangUp('b', CALL, signal), 'unavailable', 'a company on no account')
})

t.test('no call is sent to a number that may not be dialled', async (t) => {
  const { twilio, control } = await open(t)
  twilio.begin(CALL)
  await t.rejects(control.redirect('a', CALL, { ...TRANSFER, phoneNumberE164: '+19005550100' }, signal), { code: 'INVALID_INPUT' })
  t.equal(twilio.vendor.requests.length, 0)
})

type Told = { callSid: string; kind: string }
function carried(next: CallContinuation | null, result: () => Promise<'done'> = async () => 'done') {
  const clock = new VirtualClock()
  const handler = new ScriptedCallHandler()
  handler.next = next
  const told: Told[] = []
  const logged: string[] = []
  const log = (_facts: object, message: string): void => void logged.push(message)
  const control = { redirect: async (_companyId: string, callSid: string, given: CallContinuation) => { told.push({ callSid, kind: given.kind }); return result() } } as unknown as CarrierControl
  const seen = carriedThrough(handler, { clock, scope: new Scope(), logger: { info: log, warn: log, error: log }, control })
  const handle = (ended: LegEnd): Promise<void> =>
    seen.handle({ start: { companyId: 'a', callSid: CALL }, events: (async function* () {})(), ended: Promise.resolve(ended) } as unknown as CallLeg, signal)
  return { clock, seen, told, logged, handle }
}

t.test('where the carrier asks what is next, nothing else happens', async (t) => {
  const { clock, seen, told, handle } = carried(TRANSFER)
  await handle('agent-ended')
  await clock.advance(2900)
  t.same(await seen.continuation('a', CALL, signal), TRANSFER)
  await clock.advance(60_000)
  t.same(told, [])
  t.equal(clock.pendingTimers, 0)
})

t.test('a carrier that does not ask is told, after three seconds, once', async (t) => {
  for (const end of ['agent-ended', 'connection-lost'] as const) {
    const { clock, told, logged, handle } = carried(TRANSFER)
    await handle(end)
    await clock.advance(2999)
    t.same(told, [])
    await clock.advance(1)
    t.same(told, [{ callSid: CALL, kind: 'transfer' }], end)
    await clock.advance(60_000)
    t.equal(told.length, 1)
    t.match(logged, [/was told/])
  }
})

t.test('nobody is told about a call that is over, that came back, or about which nothing was decided', async (t) => {
  const hungUp = carried(TRANSFER)
  await hungUp.handle('caller-hung-up')
  const completed = carried(TRANSFER)
  await completed.handle('agent-ended')
  await completed.seen.carrierStatus({ callSid: CALL, status: 'completed', durationSeconds: 3, sequenceNumber: null }, signal)
  const undecided = carried(null)
  await undecided.handle('connection-lost')
  for (const one of [hungUp, completed, undecided]) {
    await one.clock.advance(60_000)
    t.same(one.told, [])
  }
})

t.test('a carrier that cannot be told is in the log, and nothing else breaks', async (t) => {
  const { clock, logged, handle } = carried(TRANSFER, async () => { throw new Error('down') })
  await handle('agent-ended')
  await clock.advance(3000)
  t.match(logged, [/could not be told/])
})
