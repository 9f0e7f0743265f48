import { spawnSync } from 'node:child_process'
import { request } from 'node:http'
import type { Duplex } from 'node:stream'
import { join } from 'node:path'
import t from 'tap'
import { getExpectedTwilioSignature } from 'twilio/lib/webhooks/webhooks.js'
import { inbound } from '../../src/telephony/media-stream-protocol.ts'
import { openCompanyWorld } from '../admin-resources/company-world.ts'
import { MediaStreamCaller } from '../support/media-stream-caller.ts'
import { AUTH_TOKEN, BASE, CALL, CLAIMS, telephonyServer, UPGRADE } from '../telephony/telephony-server.ts'
import { until } from '../support/until.ts'

t.test('T2 a server whose auth token is empty does not start, and says which setting it is', async (t) => {
  const { status, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, '../../src/main.ts')], {
    env: { TWILIO_AUTH_TOKEN: '', PORT: '0', LOG_LEVEL: 'silent' },
    encoding: 'utf8',
    timeout: 20_000,
  })
  t.equal(status, 1)
  t.match(stderr, /TWILIO_AUTH_TOKEN must not be empty/)
})

t.test('T7 a call stays with the company it began with, whatever number a later webhook claims', async (t) => {
  const { post, handler } = await telephonyServer(t)
  await post('/twilio/voice', CALL)
  handler.routing = { kind: 'answer', companyId: 'company-2' }
  handler.next = null
  await post('/twilio/voice/continue', { ...CALL, To: '+15550100777' })
  await post('/twilio/voice/dial-result', { ...CALL, To: '+15550100777', DialCallStatus: 'busy' })
  t.same(handler.asked, ['route CA1 to +15550100000', 'continuation of CA1 for company-1', 'transfer of CA1 for company-1: busy'])
})

t.test('T7 a webhook of another account is refused although its signature is right, and nobody behind it is asked', async (t) => {
  const { post, handler } = await telephonyServer(t)
  for (const AccountSid of ['AC2', '', 'ac1', 'AC1 ']) {
    const form = { ...CALL, AccountSid }
    const signed = { 'x-twilio-signature': getExpectedTwilioSignature(AUTH_TOKEN, `${BASE}/twilio/voice`, form) }
    t.equal((await post('/twilio/voice', form, signed)).statusCode, 403, AccountSid)
  }
  t.same(handler.asked, [])
})

t.test('T7 a number that one company has is not given to another, neither at its birth nor later', async (t) => {
  const { as } = await openCompanyWorld()
  const owner = await as('platform', 'owner')
  const thief = { id: 'thief', name: 'Thief', industry: 'x', timeZone: 'UTC' }
  t.match((await owner('POST', '/companies', { ...thief, phoneNumbers: ['+12395550100'] })).json(), { status: 409, code: 'CONFLICT' })
  t.equal((await owner('GET', '/companies/thief')).statusCode, 404, 'and nothing is left of the try')
  const harbor = await as('harbor-lane', 'owner')
  const version = (await harbor('GET', '/companies/harbor-lane')).headers.etag
  const taking = await harbor('PATCH', '/companies/harbor-lane', { phoneNumbers: ['+12395550100'] }, { 'if-match': String(version) })
  t.equal(taking.statusCode, 409)
  t.notMatch(taking.body, /polar/i, 'nor does the refusal say whose it is')
})

t.test('T12 a socket that offers compression is taken without it, and one that compresses all the same is cut off', async (t) => {
  const { url, handler } = await telephonyServer(t)
  const offering = await MediaStreamCaller.dial(`${url}/twilio/media`, { headers: { ...UPGRADE, 'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits' } })
  t.equal(offering.socket.extensions, '')
  const socket = await rawSocket(url)
  const answered = new Promise<Buffer>((resolve) => socket.once('data', resolve))
  // Text, final, with the bit that says "compressed", masked with zeros: how a bomb would begin.
  socket.write(Buffer.from([0xc1, 0x82, 0, 0, 0, 0, 0x4b, 0x04]))
  const frame = await answered
  t.equal(frame[0], 0x88, 'a close frame')
  t.equal(frame.readUInt16BE(2), 1002)
  socket.destroy()
  t.equal(handler.calls.length, 0)
})

/** The bytes beneath a media socket, for what no WebSocket client would send. */
function rawSocket(url: string): Promise<Duplex> {
  const headers = { ...UPGRADE, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': Buffer.alloc(16, 7).toString('base64') }
  return new Promise((resolve, reject) => {
    request(`${url.replace('ws', 'http')}/twilio/media`, { headers })
      .once('upgrade', (_response, socket) => resolve(socket))
      .once('error', reject)
      .end()
  })
}

t.test('T13 messages that reach for prototypes change no object, open no call and end no other', async (t) => {
  const { call, dial, tokens, handler, telephony } = await telephonyServer(t)
  const bystander = await call({ callSid: 'CA9' })
  const attacker = await dial()
  const real = inbound.start({ ...attacker.ids, customParameters: { token: 'x' } })
  const poison = ['{"__proto__":{"event":"connected","polluted":1}}', '{"event":"start","__proto__":{"start":{"callSid":"CA1"}},"streamSid":"MZ1"}', '{"constructor":{"prototype":{"polluted":1}},"event":"connected"}']
  for (const message of poison) attacker.send(message)
  attacker.send(real.replace('{"token":"x"}', `{"__proto__":{"token":"${await tokens.issue(CLAIMS)}"},"polluted":"1"}`))
  t.equal((await attacker.closed).code, 1008, 'a token in a prototype is no token')
  t.equal(Reflect.get({}, 'polluted'), undefined)
  t.equal(Reflect.get({}, 'token'), undefined)
  bystander.speak()
  await until(() => handler.calls[0]?.events.length === 1)
  t.equal(handler.calls.length, 1)
  t.equal(telephony.counters.get('message-malformed'), 2)
})
