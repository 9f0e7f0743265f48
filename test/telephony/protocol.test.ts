import t from 'tap'
import fc from 'fast-check'
import { getExpectedTwilioSignature } from 'twilio/lib/webhooks/webhooks.js'
import { isClientsViaError } from '../../src/core/errors.ts'
import { Scope } from '../../src/core/scope.ts'
import { MediaStreamLeg } from '../../src/telephony/media-stream-leg.ts'
import { assertOutboundMessage, inbound, outbound, parseMediaStreamMessage } from '../../src/telephony/media-stream-protocol.ts'
import { MessageAllowance } from '../../src/telephony/message-allowance.ts'
import { InMemoryMediaTokens } from '../../src/telephony/media-tokens.ts'
import { checkedPublicBaseUrl, twilioSignature, type SignedRequest } from '../../src/telephony/twilio-signature.ts'
import {
  FALLBACK_TWIML,
  checkedDialTarget,
  connectTwiml,
  forwardTwiml,
  hangUpTwiml,
  rejectTwiml,
  transferTwiml,
  voicemailTwiml,
} from '../../src/telephony/voice-twiml.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { mediaTokensContract } from './media-tokens-contract.ts'

const PAYLOAD = Uint8Array.from({ length: 160 }, (_, i) => i)
const START = inbound.start({ streamSid: 'MZ1', accountSid: 'AC1', callSid: 'CA1', customParameters: { token: 'secret' } })

/** A media message with some of its fields replaced. */
function mediaWith(media: Readonly<Record<string, unknown>>, outer: Readonly<Record<string, unknown>> = {}): string {
  const payload = Buffer.from(PAYLOAD).toString('base64')
  return JSON.stringify({
    event: 'media',
    sequenceNumber: '3',
    streamSid: 'MZ1',
    media: { track: 'inbound', chunk: '1', timestamp: '20', payload, ...media },
    ...outer,
  })
}

const field = (raw: unknown): unknown => {
  try {
    parseMediaStreamMessage(raw)
    return 'accepted'
  } catch (error) {
    if (!isClientsViaError(error, 'MESSAGE_MALFORMED')) throw error
    return error.details['field']
  }
}

t.test('C1 what the carrier says is understood, counters as text or as numbers, unknown keys left out', async (t) => {
  t.same(parseMediaStreamMessage(inbound.connected()), { event: 'connected', protocol: 'Call', version: '1.0.0' })
  t.match(parseMediaStreamMessage(START), {
    event: 'start',
    streamSid: 'MZ1',
    accountSid: 'AC1',
    callSid: 'CA1',
    tracks: ['inbound'],
    customParameters: { token: 'secret' },
    mediaFormat: { encoding: 'audio/x-mulaw', sampleRateHz: 8000, channels: 1 },
  })
  const media = { event: 'media', streamSid: 'MZ1', track: 'inbound', chunk: 7, timestampMs: 120, payload: Buffer.from(PAYLOAD) }
  t.same(parseMediaStreamMessage(inbound.media({ streamSid: 'MZ1', sequenceNumber: 9, chunk: 7, timestampMs: 120, payload: PAYLOAD })), media)
  t.same(parseMediaStreamMessage(mediaWith({ chunk: 7, timestamp: 120, extra: 1 }, { sequenceNumber: 9, extra: {} })), media)
  t.same(parseMediaStreamMessage(inbound.dtmf('MZ1', 4, '#')), { event: 'dtmf', streamSid: 'MZ1', digit: '#' })
  t.same(parseMediaStreamMessage(inbound.mark('MZ1', 4, 'g1-2')), { event: 'mark', streamSid: 'MZ1', name: 'g1-2' })
  t.same(parseMediaStreamMessage(inbound.stop('MZ1', 5, 'AC1', 'CA1')), { event: 'stop', streamSid: 'MZ1' })
})

t.test('C9 numbers that are no counters are refused by name', async (t) => {
  for (const value of ['', ' 1', '-1', '1.5', '1e9', 'NaN', 'Infinity', '0x10', '9'.repeat(13), -1, 1.5, NaN, 1e21, null, true, [1], {}]) {
    t.equal(field(mediaWith({ chunk: value })), 'media.chunk', `chunk ${JSON.stringify(value)}`)
    t.equal(field(mediaWith({ timestamp: value })), 'media.timestamp')
  }
  t.equal(field(mediaWith({}, { sequenceNumber: '-3' })), 'sequenceNumber')
  t.equal(field(mediaWith({ timestamp: '86400000' })), 'accepted', 'a day of milliseconds is fine')
})

t.test('C10 payloads that are not base64 are refused, of whatever length those that are may be', async (t) => {
  for (const payload of ['', 'AAA', 'AAAA=', 'A===', '====', 'AA==AA==', 'AA-_', 'AA A', 'AAAA\n', ' AAAA', 'AA🙂A', 5, null, ['AAAA'], {}]) {
    t.equal(field(mediaWith({ payload })), 'media.payload', JSON.stringify(payload))
  }
  for (const length of [1, 2, 3, 160, 320, 40_000]) {
    const message = parseMediaStreamMessage(mediaWith({ payload: Buffer.alloc(length, 7).toString('base64') }))
    t.equal(message.event === 'media' && message.payload.length, length)
  }
  t.equal(field(mediaWith({ payload: 'A'.repeat(64 * 1024) })), 'message', 'longer than any message may be')
})

t.test('C12 a track that has no name we know is refused', async (t) => {
  for (const track of ['both_tracks', 'INBOUND', '', null, undefined, 1]) t.equal(field(mediaWith({ track })), 'media.track')
})

t.test('C13 strange tracks and parameters of a start neither harm nor get in', async (t) => {
  const start = (over: Readonly<Record<string, unknown>>): string => {
    const message = JSON.parse(START)
    return JSON.stringify({ ...message, start: { ...message.start, ...over } })
  }
  for (const tracks of [undefined, null, [], ['sideways'], 'inbound', [1, {}]]) t.match(parseMediaStreamMessage(start({ tracks })), { tracks: [] })
  for (const customParameters of [undefined, null, [], 'token', 5]) t.same(Object.keys(parametersOf(start({ customParameters }))), [])
  t.same({ ...parametersOf(start({ customParameters: { a: 1, b: null, c: {}, d: ['x'], e: 'kept' } })) }, { e: 'kept' })
  t.equal(field(start({ customParameters: { a: 'x'.repeat(600) } })), 'start.customParameters')
  t.equal(field(start({ customParameters: Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, 'v'])) })), 'start.customParameters')
  const poisoned = parametersOf(START.replace('"token":"secret"', '"__proto__":"x","constructor":"y","token":"secret"'))
  t.equal(Object.getPrototypeOf(poisoned), null)
  t.equal(poisoned['token'], 'secret')
  t.equal(Object.hasOwn({}, 'x'), false)
  t.equal(field(start({ callSid: '' })), 'start.callSid')
  t.equal(field(start({ mediaFormat: undefined })), 'start.mediaFormat')
  t.equal(field(start({ streamSid: 'MZ2' })), 'streamSid', 'two names for one stream')
})

function parametersOf(raw: string): Readonly<Record<string, string>> {
  const message = parseMediaStreamMessage(raw)
  if (message.event !== 'start') throw new Error('not a start')
  return message.customParameters
}

t.test('C14 the sixteen keys of a telephone are known and nothing else is a key', async (t) => {
  for (const digit of '0123456789*#ABCD') t.equal(field(inbound.dtmf('MZ1', 1, digit)), 'accepted')
  for (const digit of ['', 'a', 'E', '11', '＃', ' ']) t.equal(field(inbound.dtmf('MZ1', 1, digit)), 'dtmf.digit')
})

t.test('C20 whatever is not a message is refused in one sentence, and an unknown event is only unknown', async (t) => {
  for (const raw of ['', ' ', '[]', '"media"', '5', 'true', 'null', '{', '\uFEFF{"event":"connected"}', '['.repeat(10_000), 'x'.repeat(70_000), undefined, null, 5, {}, Buffer.from('{}')]) {
    t.equal(field(raw), 'message', String(raw).slice(0, 20))
  }
  for (const event of [null, 5, {}, ['media'], undefined]) t.equal(field(JSON.stringify({ event })), 'event')
  for (const event of ['Media', ' media', 'media ', 'MARK', '', 'toString', '__proto__']) {
    t.same(parseMediaStreamMessage(JSON.stringify({ event })), { event: 'unknown', name: event })
  }
  t.equal(field(`{"event":"media","event":"connected"}`), 'accepted', 'of two keys the last counts')
  t.equal(field(`{"event":"mark","streamSid":"MZ1","mark":{"name":"\\ud800"}}`), 'accepted', 'a lone surrogate is a name nobody has')
  t.equal(field(`{"event":"mark","streamSid":"MZ1","mark":${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}}`), 'mark.name')
  t.equal(field('{"event":"mark","streamSid":"MZ1","__proto__":{"mark":{"name":"x"}}}'), 'mark', 'a prototype answers for nothing')
})

t.test('C19 what we say has exactly the documented keys, and the check sees every way to get it wrong', async (t) => {
  t.equal(outbound.clear('MZ1'), '{"event":"clear","streamSid":"MZ1"}')
  t.equal(outbound.mark('MZ1', 'g1'), '{"event":"mark","streamSid":"MZ1","mark":{"name":"g1"}}')
  t.equal(outbound.media('MZ1', PAYLOAD.subarray(0, 3)), '{"event":"media","streamSid":"MZ1","media":{"payload":"AAEC"}}')
  t.same(assertOutboundMessage(outbound.media('MZ1', PAYLOAD), 'MZ1'), { event: 'media', payload: Buffer.from(PAYLOAD) })
  for (const wrong of [
    '{"event":"clear","streamSid":"MZ2"}',
    '{"event":"clear"}',
    '{"event":"clear","streamSid":"MZ1","mark":{"name":"x"}}',
    '{"event":"start","streamSid":"MZ1"}',
    '{"event":"mark","streamSid":"MZ1","mark":{}}',
    '{"event":"mark","streamSid":"MZ1","mark":{"name":"x","at":1}}',
    '{"event":"media","streamSid":"MZ1","media":{"payload":""}}',
    '{"event":"media","streamSid":"MZ1","media":{"payload":"AAEC","track":"outbound"}}',
    '{"event":"media","streamSid":"MZ1","sequenceNumber":"1","media":{"payload":"AAEC"}}',
    'not json',
    Buffer.from(outbound.clear('MZ1')),
  ]) {
    t.throws(() => assertOutboundMessage(wrong, 'MZ1'), { code: 'MESSAGE_MALFORMED' })
  }
})

t.test('T14 a hundred thousand damaged messages break nothing', async (t) => {
  const clock = new VirtualClock()
  const socket = { send: (text: string): unknown => assertOutboundMessage(text, 'MZ1'), close: () => undefined, terminate: () => undefined, bufferedAmount: 0 }
  const start = { companyId: 'c', callSid: 'CA1', accountSid: 'AC1', streamSid: 'MZ1', from: '', to: '', resumed: false }
  const leg = new MediaStreamLeg({ clock, socket, start, scope: new Scope() })
  const originals = [inbound.connected(), START, mediaWith({}), inbound.dtmf('MZ1', 4, '5'), inbound.mark('MZ1', 4, 'g1')]
  const random = seeded(20_261_122)
  const outcomes = { parsed: 0, malformed: 0 }
  for (let i = 0; i < 100_000; i += 1) {
    try {
      leg.receive(parseMediaStreamMessage(damaged(originals[i % originals.length] as string, random)))
      outcomes.parsed += 1
    } catch (error) {
      if (!isClientsViaError(error, 'MESSAGE_MALFORMED')) throw error
      outcomes.malformed += 1
    }
  }
  t.ok(outcomes.parsed > 1000 && outcomes.malformed > 1000, `${outcomes.parsed} parsed, ${outcomes.malformed} refused`)
  leg.hangUp()
  for await (const event of leg.events) if (event.kind === 'audio') t.equal(event.frame.mulaw.length, 160)
  t.equal(clock.pendingTimers, 0)
})

/** mulberry32: small, seedable, good enough to choose where to break a message. */
function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const SPLICES = ['"', '{', '}', '[', ']', ',', ':', 'null', '-1', '1e999', '"__proto__":', '\u0000', '\uD800', '=', '999999999999', 'true']

function damaged(text: string, random: (below: number) => number): string {
  let broken = text
  for (let i = random(3); i >= 0; i -= 1) {
    const at = random(broken.length + 1)
    const kind = random(4)
    if (kind === 0) broken = broken.slice(0, at) + String.fromCharCode(random(256)) + broken.slice(at + 1)
    else if (kind === 1) broken = broken.slice(0, at) + broken.slice(at + random(8))
    else if (kind === 2) broken = broken.slice(0, at) + (SPLICES[random(SPLICES.length)] as string) + broken.slice(at)
    else broken = broken.replace(/\d+/g, (digits) => (random(4) === 0 ? String(random(1_000_000_000)) : digits))
  }
  return broken
}

t.test('no bytes survive the trip to the carrier and back changed', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 400 }), (payload) => {
      const back = assertOutboundMessage(outbound.media('MZ1', payload), 'MZ1')
      return back.event === 'media' && Buffer.from(back.payload).equals(payload)
    }),
    { numRuns: 200, seed: 7 },
  )
  t.pass('200 payloads')
})

t.test('T11 a stall and its burst pass, a flood does not', async (t) => {
  const clock = new VirtualClock()
  const allowance = new MessageAllowance(clock, 100, 200)
  for (let i = 0; i < 200; i += 1) t.equal(allowance.next(), 'take')
  t.equal(allowance.next(), 'drop')
  await clock.advance(20)
  t.equal(allowance.next(), 'take', 'a nominal caller is heard again at once')
  await clock.advance(10_000)
  for (let i = 0; i < 400; i += 1) allowance.next()
  t.equal(allowance.next(), 'flooding')
})

const AUTH_TOKEN = '12345678901234567890123456789012'
const request = (over: Partial<SignedRequest>): SignedRequest => ({
  path: '/twilio/voice',
  signature: undefined,
  params: {},
  peerAddress: '203.0.113.9',
  forwarded: false,
  ...over,
})

t.test('T1 only a webhook that the carrier signed passes, whatever the header looks like', async (t) => {
  const { allowsWebhook } = twilioSignature({ publicBaseUrl: () => 'https://voice.example.test', authToken: AUTH_TOKEN })
  const params = { CallSid: 'CA1', To: '+15550100000', From: '+1 (555)' }
  const good = getExpectedTwilioSignature(AUTH_TOKEN, 'https://voice.example.test/twilio/voice', params)
  t.ok(allowsWebhook(request({ params, signature: good })))
  t.ok(allowsWebhook(request({ params, signature: getExpectedTwilioSignature(AUTH_TOKEN, 'https://voice.example.test:443/twilio/voice', params) })))
  t.notOk(allowsWebhook(request({ params: { ...params, Extra: '1' }, signature: good })), 'a field more')
  t.notOk(allowsWebhook(request({ params: { ...params, To: '+15550100001' }, signature: good })), 'another number')
  t.notOk(allowsWebhook(request({ params, signature: good, path: '/twilio/voice?x=1' })), 'a query')
  t.notOk(allowsWebhook(request({ params, signature: getExpectedTwilioSignature('x'.repeat(32), 'https://voice.example.test/twilio/voice', params) })))
  t.notOk(allowsWebhook(request({ params, signature: getExpectedTwilioSignature(AUTH_TOKEN, 'http://voice.example.test/twilio/voice', params) })), 'http')
  t.notOk(allowsWebhook(request({ params, signature: getExpectedTwilioSignature('', 'https://voice.example.test/twilio/voice', params) })), 'an empty key')
  for (const signature of [undefined, '', [good], null, 5, `${good} `, good.toLowerCase(), flipped(good)]) t.notOk(allowsWebhook(request({ params, signature })))
  t.notOk(allowsWebhook(request({ signature: good, path: '//[' })), 'a path that is no URL')
  t.notOk(allowsWebhook(request({ peerAddress: '127.0.0.1' })), 'a loopback peer proves nothing once there is a token')
})

function flipped(signature: string): string {
  const bytes = Buffer.from(signature, 'base64')
  bytes[3] = (bytes[3] as number) ^ 1
  return bytes.toString('base64')
}

t.test('T5 an upgrade is checked under the scheme, port and slash that the carrier may have signed, and no other host', async (t) => {
  const { allowsUpgrade } = twilioSignature({ publicBaseUrl: () => 'https://voice.example.test', authToken: AUTH_TOKEN })
  const signedAs = (url: string): SignedRequest => request({ path: '/twilio/media', signature: getExpectedTwilioSignature(AUTH_TOKEN, url, {}) })
  for (const url of ['', ':443'].flatMap((port) => ['', '/'].map((slash) => `wss://voice.example.test${port}/twilio/media${slash}`))) {
    t.ok(allowsUpgrade(signedAs(url)), url)
  }
  for (const url of ['wss://evil.example.test/twilio/media', 'https://voice.example.test/twilio/media', 'ws://voice.example.test/twilio/media', 'wss://voice.example.test:8443/twilio/media']) {
    t.notOk(allowsUpgrade(signedAs(url)), url)
  }
  const behindPath = twilioSignature({ publicBaseUrl: () => 'https://example.test:8443/agents', authToken: AUTH_TOKEN })
  t.ok(behindPath.allowsUpgrade(signedAs('wss://example.test:8443/agents/twilio/media')))
  const local = twilioSignature({ publicBaseUrl: () => 'http://127.0.0.1:3000', authToken: AUTH_TOKEN })
  t.ok(local.allowsUpgrade(signedAs('ws://127.0.0.1:3000/twilio/media')))
})

t.test('T2 without an auth token only this machine is served, and an empty token is refused by name', async (t) => {
  const { allowsWebhook, allowsUpgrade } = twilioSignature({ publicBaseUrl: () => 'http://127.0.0.1:3000', authToken: null })
  for (const peerAddress of ['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1']) t.ok(allowsWebhook(request({ peerAddress })), peerAddress)
  for (const peerAddress of ['203.0.113.9', '10.0.0.1', '', '::ffff:10.0.0.1', '127.0.0.1.example', '128.0.0.1']) t.notOk(allowsUpgrade(request({ peerAddress })), peerAddress)
  t.notOk(allowsWebhook(request({ peerAddress: '127.0.0.1', forwarded: true })), 'a proxy on this machine speaks for the outside')
  t.throws(() => twilioSignature({ publicBaseUrl: () => 'https://x.test', authToken: '' }), { code: 'CONFIG_INVALID', message: /TWILIO_AUTH_TOKEN/ })
})

t.test('a public address must be https, or http on this machine', async (t) => {
  t.equal(checkedPublicBaseUrl('https://voice.example.test/'), 'https://voice.example.test')
  for (const url of ['http://127.0.0.1:3000', 'http://localhost:3000', 'http://[::1]:3000', 'https://x.test/agents']) t.equal(checkedPublicBaseUrl(url), url)
  for (const url of ['', 'voice.example.test', 'http://voice.example.test', 'wss://x.test', 'https://x.test?a=1', 'https://u:p@x.test']) {
    t.throws(() => checkedPublicBaseUrl(url), { code: 'CONFIG_INVALID', message: /PUBLIC_BASE_URL/ })
  }
})

mediaTokensContract(t, 'in memory', (clock) => new InMemoryMediaTokens(clock))

t.test('a flood of calls cannot fill the memory with tokens', async (t) => {
  const clock = new VirtualClock()
  const tokens = new InMemoryMediaTokens(clock, 3)
  const claims = { companyId: 'c', callSid: 'CA1', accountSid: 'AC1', from: '', to: '', resumed: false }
  for (let i = 0; i < 3; i += 1) await tokens.issue(claims)
  await t.rejects(tokens.issue(claims), { code: 'OVERLOADED' })
  await clock.advance(60_001)
  t.match(await tokens.issue(claims), /^[\w-]{43}$/, 'expired tokens make room')
})

t.test('C26 every document the carrier gets, to the byte', async (t) => {
  const head = '<?xml version="1.0" encoding="UTF-8"?>'
  const base = 'https://voice.example.test'
  t.equal(
    connectTwiml(base, 'tok'),
    `${head}<Response><Connect><Stream url="wss://voice.example.test/twilio/media" statusCallback="${base}/twilio/stream-status" statusCallbackMethod="POST"><Parameter name="token" value="tok"/></Stream></Connect><Redirect method="POST">${base}/twilio/voice/continue</Redirect></Response>`,
  )
  t.match(connectTwiml('http://127.0.0.1:3000', 'tok'), 'url="ws://127.0.0.1:3000/twilio/media"')
  t.equal(hangUpTwiml(), `${head}<Response><Hangup/></Response>`)
  t.equal(hangUpTwiml('We are full.'), `${head}<Response><Say>We are full.</Say><Hangup/></Response>`)
  t.equal(rejectTwiml(), `${head}<Response><Reject reason="rejected"/></Response>`)
  t.equal(
    forwardTwiml('One moment.', '+15550100002'),
    `${head}<Response><Say>One moment.</Say><Dial answerOnBridge="true">+15550100002</Dial><Hangup/></Response>`,
  )
  t.equal(
    transferTwiml(base, '+15550100002', 25),
    `${head}<Response><Dial action="${base}/twilio/voice/dial-result" method="POST" answerOnBridge="true" timeout="25">+15550100002</Dial></Response>`,
  )
  t.equal(
    voicemailTwiml(base, 'Please leave a message.', 120),
    `${head}<Response><Say>Please leave a message.</Say><Record action="${base}/twilio/voice/recorded" method="POST" maxLength="120" timeout="5" finishOnKey="#" playBeep="true"/><Hangup/></Response>`,
  )
  t.equal(FALLBACK_TWIML, hangUpTwiml('We are sorry, we cannot take your call right now. Please call again in a few minutes.'), 'the constant is what the SDK would write')
})

t.test('T18 a company cannot write TwiML with its name', async (t) => {
  const twiml = hangUpTwiml('Bob & "Sons"><Dial>+15550100009</Dial>\u0000\u0007\uD800')
  t.match(twiml, '<Say>Bob &amp; "Sons"&gt;&lt;Dial&gt;+15550100009&lt;/Dial&gt;')
  t.notMatch(twiml, '<Dial')
  t.notOk([...twiml].some((character) => character < '\t' || !character.isWellFormed()), 'what XML cannot hold is left out')
})

t.test('T19 only telephone numbers are dialled, and none that cost a fortune', async (t) => {
  t.equal(checkedDialTarget('+15550100002'), '+15550100002')
  for (const number of ['15550100002', '+0123456789', '+1 555 010 0002', 'sip:a@b.c', 'client:bob', '+1555"><Dial>', '', '+19005550100', '+8816123456', '+97912345678']) {
    t.throws(() => transferTwiml('https://x.test', number, 20), { code: 'INVALID_INPUT' }, number)
  }
})
