import t from 'tap'
import { getExpectedTwilioSignature } from 'twilio/lib/webhooks/webhooks.js'
import { FALLBACK_TWIML } from '../../src/telephony/voice-twiml.ts'
import { until } from '../support/until.ts'
import { AUTH_TOKEN, BASE, CALL, telephonyServer, tokenIn } from './telephony-server.ts'

t.test('T1 nobody but the carrier gets an answer from a webhook, and nothing behind it hears of the attempt', async (t) => {
  const { post, handler, telephony } = await telephonyServer(t)
  const form = { ...CALL, CallStatus: 'completed', StreamSid: 'MZ1', StreamEvent: 'stream-started', Timestamp: 'x', DialCallStatus: 'busy' }
  const routes = ['/twilio/voice', '/twilio/voice/continue', '/twilio/voice/dial-result', '/twilio/voice/recorded', '/twilio/status', '/twilio/stream-status']
  const foreign = getExpectedTwilioSignature(AUTH_TOKEN, 'https://evil.example.test/twilio/voice', form)
  for (const route of routes) {
    for (const headers of [{}, { 'x-twilio-signature': foreign, host: 'evil.example.test', 'x-forwarded-host': 'evil.example.test' }]) {
      const reply = await post(route, form, headers)
      t.equal(reply.statusCode, 403, route)
      t.match(reply.json(), { code: 'FORBIDDEN' })
    }
  }
  const otherAccount = { ...CALL, AccountSid: 'AC2' }
  t.equal((await post('/twilio/voice', otherAccount)).statusCode, 403, 'T7 another account, signed or not')
  t.same(handler.asked, [])
  t.same([handler.statuses, handler.streamStatuses], [[], []])
  t.equal(telephony.counters.get('webhook-refused'), 13)
})

t.test('T6 a webhook that is replayed a hundred times gets the same bytes and happens once', async (t) => {
  const { post, handler, clock } = await telephonyServer(t)
  const bodies = new Set<string>()
  for (let i = 0; i < 100; i += 1) {
    bodies.add((await post('/twilio/voice', CALL)).body)
    await clock.advance(1000)
  }
  t.equal(bodies.size, 1)
  t.same(handler.asked, ['route CA1 to +15550100000'])
  await post('/twilio/voice', { ...CALL, CallSid: 'CA2' })
  t.equal(handler.asked.length, 2, 'another call is another call')
})

t.test('C26 who is not answered hears why, and whoever calls while we are broken hears an apology', async (t) => {
  const { post, handler, clock, logged } = await telephonyServer(t)
  let call = 0
  const heard = async (): Promise<string> => (await post('/twilio/voice', { ...CALL, CallSid: `CA${(call += 1)}` })).body
  handler.routing = { kind: 'refuse', companyId: 'c', message: 'All lines are busy.', forwardToE164: null }
  t.match(await heard(), '<Say>All lines are busy.</Say><Hangup/>')
  handler.routing = { kind: 'refuse', companyId: 'c', message: 'One moment.', forwardToE164: '+15550100002' }
  t.match(await heard(), '<Say>One moment.</Say><Dial answerOnBridge="true">+15550100002</Dial>')
  handler.routing = { kind: 'forward', companyId: 'c', message: '', phoneNumberE164: '+15550100003' }
  t.match(await heard(), '<Response><Dial answerOnBridge="true">+15550100003</Dial>')
  handler.routing = { kind: 'unknown-number' }
  t.match(await heard(), '<Reject reason="rejected"/>')
  handler.routing = new Error('the store is down')
  t.match(await heard(), /<Say>We are sorry.*<Hangup\/>/)
  t.match(logged.at(-1), 'call could not be routed')
  handler.routing = { kind: 'forward', companyId: 'c', message: '', phoneNumberE164: '+19005550100' }
  t.match(await heard(), /<Say>We are sorry/, 'T19 a number that may not be dialled is not dialled')
  handler.routing = 'never'
  const late = heard()
  await until(() => handler.asked.length === 7)
  await clock.advance(5001)
  t.match(await late, /<Say>We are sorry/, 'X39 an apology after five seconds, not the carrier\'s after fifteen')
})

t.test('a webhook that makes no sense is refused by the name of its field', async (t) => {
  const { post } = await telephonyServer(t)
  for (const [path, form, fieldName] of [
    ['/twilio/voice', { AccountSid: 'AC1', To: 'x' }, 'CallSid'],
    ['/twilio/voice', { CallSid: 'CA1', AccountSid: 'AC1' }, 'To'],
    ['/twilio/voice/dial-result', { ...CALL, DialCallStatus: 'perhaps' }, 'DialCallStatus'],
    ['/twilio/status', { ...CALL, CallStatus: 'constructor' }, 'CallStatus'],
    ['/twilio/status', { ...CALL, CallStatus: 'completed', CallDuration: '-3' }, 'CallDuration'],
    ['/twilio/stream-status', { ...CALL, StreamSid: 'MZ1', StreamEvent: 'paused', Timestamp: 'x' }, 'StreamEvent'],
    ['/twilio/voice', { ...CALL, CallSid: 'C'.repeat(2000) }, 'CallSid'],
  ] as const) {
    const reply = await post(path, form)
    t.equal(reply.statusCode, 400, `${path} ${fieldName}`)
    t.match(reply.json(), { code: 'INVALID_INPUT', message: new RegExp(fieldName) })
  }
  t.equal((await post('/twilio/voice', { ...CALL, Long: 'x'.repeat(40_000) })).statusCode, 413)
})

t.test('C23 after the stream the agent decides: hang up, transfer, voicemail, or back to the caller who was cut off', async (t) => {
  const { post, handler, tokens } = await telephonyServer(t)
  await post('/twilio/voice', CALL)
  const after = async (): Promise<string> => (await post('/twilio/voice/continue', CALL)).body
  t.match(await after(), '<Response><Hangup/></Response>')
  handler.next = { kind: 'transfer', phoneNumberE164: '+15550100002', label: 'office', timeoutSeconds: 20 }
  t.match(await after(), /<Dial action="https:\/\/voice.example.test\/twilio\/voice\/dial-result".*>\+15550100002<\/Dial>/)
  handler.next = { kind: 'voicemail', prompt: 'Leave a message.', maxSeconds: 90 }
  t.match(await after(), /<Say>Leave a message.<\/Say><Record .*maxLength="90"/)
  handler.next = null
  for (let i = 0; i < 5; i += 1) t.match(await tokens.consume(tokenIn(await after())), { callSid: 'CA1', companyId: 'company-1', resumed: true })
  t.match(await after(), /<Say>We are sorry.*<Hangup\/>/, 'a stream that breaks for ever is given up')
  t.equal(handler.asked.filter((question) => question.startsWith('route')).length, 1)
})

t.test('X25 a server that knows nothing of the call finds the company by the signed number', async (t) => {
  const { post, handler, tokens } = await telephonyServer(t)
  handler.next = null
  const twiml = (await post('/twilio/voice/continue', CALL)).body
  t.match(await tokens.consume(tokenIn(twiml)), { companyId: 'company-1', resumed: true })
  t.same(handler.asked, ['route CA1 to +15550100000', 'continuation of CA1 for company-1'])
  handler.routing = { kind: 'unknown-number' }
  t.match((await post('/twilio/voice/continue', { ...CALL, CallSid: 'CA2' })).body, '<Response><Hangup/></Response>')
})

t.test('C28 X23 a transfer that nobody answers returns to the agent, once for each try', async (t) => {
  const { post, handler, tokens } = await telephonyServer(t)
  await post('/twilio/voice', CALL)
  for (const result of ['completed', 'answered', 'busy', 'no-answer', 'failed', 'canceled']) {
    handler.afterTransfer = result === 'completed' || result === 'answered' ? 'end' : 'return-to-agent'
    const headers = { 'i-twilio-idempotency-token': `try-${result}` }
    const form = { ...CALL, DialCallStatus: result }
    const signed = { ...headers, 'x-twilio-signature': getExpectedTwilioSignature(AUTH_TOKEN, `${BASE}/twilio/voice/dial-result`, form) }
    const first = (await post('/twilio/voice/dial-result', form, signed)).body
    t.equal((await post('/twilio/voice/dial-result', form, signed)).body, first, 'a retry by the carrier changes nothing')
    if (handler.afterTransfer === 'end') t.match(first, '<Response><Hangup/></Response>')
    else t.match(await tokens.consume(tokenIn(first)), { callSid: 'CA1', resumed: true })
    t.equal(handler.asked.at(-1), `transfer of CA1 for company-1: ${result}`)
  }
  t.equal(handler.asked.length, 1 + 6)
  t.match((await post('/twilio/voice/recorded', { ...CALL, RecordingSid: 'RE1', RecordingDuration: '12' })).body, /<Say>Thank you.*<Hangup\/>/)
})

t.test('C27 status callbacks are passed on as facts, and stream errors are counted by their code', async (t) => {
  const { post, handler, telephony } = await telephonyServer(t)
  t.equal((await post('/twilio/status', { ...CALL, CallStatus: 'completed', CallDuration: '61', SequenceNumber: '3' })).statusCode, 204)
  t.equal((await post('/twilio/status', { ...CALL, CallStatus: 'initiated' })).statusCode, 204)
  t.same(handler.statuses, [
    { callSid: 'CA1', status: 'completed', durationSeconds: 61, sequenceNumber: 3, to: CALL.To },
    { callSid: 'CA1', status: 'queued', durationSeconds: null, sequenceNumber: null, to: CALL.To },
  ])
  const stream = { ...CALL, StreamSid: 'MZ1', Timestamp: '2026-03-02T15:00:00.000Z' }
  for (const StreamEvent of ['stream-started', 'stream-stopped']) await post('/twilio/stream-status', { ...stream, StreamEvent })
  await post('/twilio/stream-status', { ...stream, StreamEvent: 'stream-error', StreamError: '31921 - Stream - WebSocket - Close Error' })
  t.same(handler.streamStatuses.map((update) => update.event), ['stream-started', 'stream-stopped', 'stream-error'])
  t.equal(telephony.counters.get('stream-error 31921'), 1)
})

t.test('X39 the fallback speaks when nothing else works, however it is asked', async (t) => {
  const { post, get, handler, scope } = await telephonyServer(t)
  handler.routing = new Error('everything is down')
  scope.end('shutdown')
  for (const reply of [await get('/twilio/fallback'), await post('/twilio/fallback', CALL, {})]) {
    t.equal(reply.statusCode, 200)
    t.equal(reply.headers['content-type'], 'text/xml; charset=utf-8')
    t.equal(reply.body, FALLBACK_TWIML)
  }
})
