import t from 'tap'
import { Scope } from '../../src/core/scope.ts'
import { DEFAULT_LIMITS } from '../../src/telephony/media-stream-route.ts'
import { inbound } from '../../src/telephony/media-stream-protocol.ts'
import { MediaStreamCaller, UpgradeRefused, type CallerIds } from '../support/media-stream-caller.ts'
import { until } from '../support/until.ts'
import { CALL, CLAIMS, UPGRADE, telephonyServer, tokenIn } from './telephony-server.ts'

t.test('C1 a caller is answered: signed webhook, one-use token, media both ways, stop', async (t) => {
  const { post, dial, handler, telephony, logged } = await telephonyServer(t)
  handler.onCall = async (leg, signal) => {
    for (let i = 0; i < 3; i += 1) await leg.play(new Uint8Array(160).fill(0x42), 0, signal)
    leg.mark('greeting', 0)
  }
  const answer = await post('/twilio/voice', CALL)
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['content-type'], 'text/xml; charset=utf-8')
  t.ok(answer.body.length < 64 * 1024)
  const caller = await dial()
  caller.start(tokenIn(answer.body))
  await until(() => caller.heard.length === 4)
  caller.speak()
  caller.press('5')
  caller.echoMark('greeting')
  await until(() => handler.calls[0]?.events.length === 3)
  t.match(handler.calls[0]?.leg.start, { companyId: 'company-1', callSid: 'CA1', accountSid: 'AC1', streamSid: 'MZ1', from: CALL.From, to: CALL.To, resumed: false })
  t.same(handler.calls[0]?.events.map((event) => event.kind), ['audio', 'dtmf', 'mark'])
  t.equal(telephony.liveLegs(), 1)
  caller.stop()
  t.equal((await caller.closed).code, 1000)
  await until(() => telephony.liveLegs() === 0 && handler.calls[0]?.end === 'caller-hung-up')
  t.same(caller.violations, [])
  t.notOk(logged.join().includes('+1555'), 'no telephone number is logged')
})

t.test('C22 an upgrade that should not be is refused as JSON before any session exists', async (t) => {
  const { url, handler, telephony, get, clock } = await telephonyServer(t)
  const refusal = async (path: string, headers: Readonly<Record<string, string>>): Promise<unknown> => {
    const refused = await MediaStreamCaller.dial(`${url}${path}`, { headers }).catch((error: unknown) => error)
    if (!(refused instanceof UpgradeRefused)) throw new Error('was not refused')
    return { status: refused.status, ...JSON.parse(refused.body) }
  }
  t.match(await refusal('/twilio/media', {}), { status: 403, code: 'FORBIDDEN' })
  t.match(await refusal('/twilio/media', { 'x-twilio-signature': 'AAAA' }), { status: 403, code: 'FORBIDDEN' })
  t.match(await refusal('/twilio/media?x=1', UPGRADE), { status: 403 }, 'signed for another URL')
  t.match(await refusal('/twilio/media', { ...UPGRADE, origin: 'https://voice.example.test' }), { status: 403 }, 'a browser')
  t.match(await refusal('/twilio/nothing', UPGRADE), { status: 404 })
  const plain = await get('/twilio/media')
  t.equal(plain.statusCode, 426)
  t.equal(plain.headers['upgrade'], 'websocket')
  await telephony.drain(AbortSignal.abort())
  t.match(await refusal('/twilio/media', UPGRADE), { status: 503, code: 'OVERLOADED' })
  t.equal(handler.calls.length, 0)
  t.equal(clock.pendingTimers, 0, 'no session was made')
})

t.test('C2 C20 a stream is heard without `connected`, past binary, broken and unknown messages', async (t) => {
  const { dial, tokens, handler, telephony } = await telephonyServer(t)
  const caller = await dial()
  for (const message of ['', 'nonsense', '[]', 'null', '{"event":"Media"}', '{"event":"weather","x":1}', '{"event":"media"}']) caller.send(message)
  caller.send(Buffer.from([1, 2, 3]))
  caller.send(inbound.start({ ...caller.ids, customParameters: { token: await tokens.issue(CLAIMS) } }))
  caller.send('{"event":"media","streamSid":"MZ1"}')
  caller.speak()
  await until(() => handler.calls[0]?.events.length === 1)
  t.equal(telephony.counters.get('message-malformed'), 6)
  t.equal(telephony.counters.get('message-unknown-event'), 2)
  t.equal(telephony.counters.get('message-binary'), 1)
})

t.test('C3 T9 who does not start within five seconds is shown the door, whatever else they say', async (t) => {
  const { dial, clock, handler, telephony } = await telephonyServer(t)
  const talker = await dial()
  talker.speak()
  talker.press('1')
  talker.echoMark('x')
  const silent = await dial()
  await until(() => telephony.counters.get('message-before-start') === 3)
  await clock.advance(4990)
  t.equal(talker.socket.readyState, talker.socket.OPEN)
  await clock.advance(20)
  t.equal((await talker.closed).code, 1008)
  t.equal((await silent.closed).code, 1008)
  t.equal(handler.calls.length, 0)
  await until(() => clock.pendingTimers === 0)
})

t.test('C4 a second start is ignored for the same stream and refused for another', async (t) => {
  const { call, tokens, handler } = await telephonyServer(t)
  const caller = await call()
  caller.start(await tokens.issue(CLAIMS))
  caller.speak()
  await until(() => handler.calls[0]?.events.length === 1)
  t.equal(handler.calls.length, 1)
  caller.send(inbound.start({ ...caller.ids, streamSid: 'MZ2', customParameters: {} }))
  t.equal((await caller.closed).code, 1008)
  await until(() => handler.calls[0]?.end === 'connection-lost')
})

t.test('C5 C7 stop without start ends quietly; a line that breaks is told apart from one that closes', async (t) => {
  const { dial, call, handler } = await telephonyServer(t)
  const early = await dial()
  early.stop()
  t.equal((await early.closed).code, 1000)
  t.equal(handler.calls.length, 0)
  const clean = await call({ callSid: 'CA2' })
  clean.socket.close(1000)
  await until(() => handler.calls[0]?.end === 'caller-hung-up')
  const broken = await call({ callSid: 'CA3' })
  broken.socket.terminate()
  await until(() => handler.calls[1]?.end === 'connection-lost')
  t.pass()
})

t.test('C11 a format that would be noise is refused with 1003', async (t) => {
  const { dial, tokens, handler } = await telephonyServer(t)
  const token = await tokens.issue(CLAIMS)
  for (const [good, bad] of [
    ['audio/x-mulaw', 'audio/x-l16'],
    ['"sampleRate":8000', '"sampleRate":16000'],
    ['"channels":1', '"channels":"2"'],
  ] as const) {
    const caller = await dial()
    caller.send(inbound.start({ ...caller.ids, customParameters: { token } }).replace(good, bad))
    t.equal((await caller.closed).code, 1003, bad)
  }
  t.equal(handler.calls.length, 0)
})

t.test('T3 T4 T8 C13 a stream without its own unused token is refused before any conversation', async (t) => {
  const { dial, tokens, clock, handler } = await telephonyServer(t)
  const token = await tokens.issue(CLAIMS)
  const refused = async (parameters: Readonly<Record<string, string>>, ids: Partial<CallerIds> = {}): Promise<number> => {
    const caller = await dial(ids)
    caller.send(inbound.start({ ...caller.ids, customParameters: parameters }))
    return (await caller.closed).code
  }
  t.equal(await refused({}), 1008, 'none')
  t.equal(await refused({ token: 'x'.repeat(43) }), 1008, 'invented')
  t.equal(await refused({ Token: token }), 1008, 'under another name')
  t.equal(await refused({ token: await tokens.issue({ ...CLAIMS, callSid: 'CA2' }) }), 1008, 'of another call')
  t.equal(await refused({ token: await tokens.issue(CLAIMS) }, { accountSid: 'AC2' }), 1008, 'of another account')
  const old = await tokens.issue(CLAIMS)
  await clock.advance(60_001)
  t.equal(await refused({ token: old }), 1008, 'expired')
  t.equal(handler.calls.length, 0)

  const single = await tokens.issue(CLAIMS)
  const racers = await Promise.all(Array.from({ length: 10 }, () => dial()))
  for (const racer of racers) racer.start(single)
  const codes = Promise.all(racers.map((racer) => racer.closed))
  await until(() => racers.filter((racer) => racer.socket.readyState === racer.socket.CLOSED).length === 9 && handler.calls.length === 1)
  for (const racer of racers) racer.socket.close(1000)
  t.equal((await codes).filter(({ code }) => code === 1008).length, 9, 'of ten that race one speaks')
})

t.test('F4 nothing that is said while the token is looked up is lost, and a look-up that hangs ends in 1011', async (t) => {
  let release: (() => void) | null = null
  const { call, dial, handler, clock } = await telephonyServer(t, {
    tokens: () => ({
      issue: async () => 'x'.repeat(43),
      consume: (_, signal) =>
        new Promise((resolve, reject) => {
          release = () => resolve(CLAIMS)
          signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
        }),
    }),
  })
  const live = call()
  await until(() => release !== null)
  const caller = await dial({ streamSid: 'MZ2' })
  caller.start('y'.repeat(43))
  caller.speak()
  caller.speak()
  caller.press('7')
  release = null
  await until(() => release !== null)
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(handler.calls.length, 0)
  await clock.advance(1100)
  t.equal((await caller.closed).code, 1011)
  const patient = await dial({ streamSid: 'MZ3' })
  release = null
  patient.start('z'.repeat(43))
  for (let i = 0; i < 3; i += 1) patient.speak()
  patient.press('7')
  await until(() => release !== null)
  const answer: () => void = release ?? (() => undefined)
  answer()
  await until(() => handler.calls[0]?.events.length === 4)
  t.same(handler.calls[0]?.events.map((event) => event.kind), ['audio', 'audio', 'audio', 'dtmf'])
  await live
})

t.test('C21 T10 T14 the socket keeps to its protocol: 1009, 1007, pings both ways, no compression', async (t) => {
  const { call, url, handler } = await telephonyServer(t)
  const bystander = await call({ callSid: 'CA9' })
  const big = await call({ callSid: 'CA2' })
  big.send('x'.repeat(10_000_000))
  t.equal((await big.closed).code, 1009)
  const garbled = await call({ callSid: 'CA3' })
  garbled.socket.send(Buffer.from([0xff, 0xfe]), { binary: false })
  t.equal((await garbled.closed).code, 1007)
  const pinging = await call({ callSid: 'CA4' })
  const answered = new Promise((resolve) => pinging.socket.once('pong', (data: Buffer) => resolve(data.toString())))
  pinging.socket.ping('are you there')
  t.equal(await answered, 'are you there')
  const compressing = await MediaStreamCaller.dial(`${url}/twilio/media`, { headers: UPGRADE })
  t.equal(compressing.socket.extensions, '', 'T12 an offered compression is not taken')
  bystander.speak()
  await until(() => handler.calls[0]?.events.length === 1)
  t.pass('the neighbour hears nothing of it')
})

t.test('T16 a peer that answers no ping is dropped, one that does stays', async (t) => {
  const { dial, clock, tokens, handler, telephony } = await telephonyServer(t, { limits: { idleMs: 120_000 } })
  const dead = await dial({}, false)
  dead.start(await tokens.issue(CLAIMS))
  const alive = await dial({ callSid: 'CA2', streamSid: 'MZ2' })
  alive.start(await tokens.issue({ ...CLAIMS, callSid: 'CA2' }))
  await until(() => handler.calls.length === 2)
  for (let round = 1; round <= 3; round += 1) {
    await clock.advance(15_000)
    await until(() => alive.pings === round)
    const answered = new Promise((resolve) => alive.socket.once('pong', resolve))
    alive.socket.ping()
    await answered
  }
  t.equal((await dead.closed).code, 1006)
  await until(() => telephony.liveLegs() === 1)
  t.equal(alive.socket.readyState, alive.socket.OPEN)
})

t.test('T9 sockets that only knock are limited, by address and in all, and a live call is not', async (t) => {
  const { call, dial, clock, handler } = await telephonyServer(t, { limits: { pendingPerAddress: 5 } })
  const live = await call()
  const knocking = await Promise.allSettled(Array.from({ length: 30 }, () => dial()))
  const refused = knocking.filter((result) => result.status === 'rejected').map((result) => result.reason)
  t.equal(refused.length, 25)
  t.ok(refused.every((reason) => reason instanceof UpgradeRefused && reason.status === 503))
  live.speak()
  await until(() => handler.calls[0]?.events.length === 1)
  await clock.advance(5001)
  await Promise.all(knocking.map((result) => (result.status === 'fulfilled' ? result.value.closed : null)))
  const next = await dial()
  t.equal(next.socket.readyState, next.socket.OPEN, 'the places are free again')
})

t.test('C21 over capacity a stream is refused with 503, or 1013 when it was already inside', async (t) => {
  const { call, dial, tokens } = await telephonyServer(t, { limits: { liveLegs: 1 } })
  const waiting = await dial({ callSid: 'CA2' })
  await call()
  waiting.start(await tokens.issue({ ...CLAIMS, callSid: 'CA2' }))
  t.equal((await waiting.closed).code, 1013)
  await t.rejects(dial(), { message: /refused with 503/ })
})

t.test('T11 a flood costs the flooder the call and the neighbour nothing', async (t) => {
  const { call, handler, telephony } = await telephonyServer(t)
  const neighbour = await call({ callSid: 'CA2' })
  const flooder = await call()
  for (let i = 0; i < 1000; i += 1) flooder.speak()
  t.equal((await flooder.closed).code, 1008)
  t.ok((handler.calls[1]?.events.length ?? 0) <= 200)
  neighbour.speak()
  await until(() => handler.calls[0]?.events.length === 1)
  t.ok(telephony.counters.get('message-over-rate') <= 201)
})

t.test('C24 X38 of two streams of one call the newest speaks and the older is silent', async (t) => {
  const { call, handler, telephony } = await telephonyServer(t)
  const first = await call({}, 'MZ1')
  const second = await call({ resumed: true }, 'MZ2')
  t.equal((await first.closed).code, 1000)
  await until(() => handler.calls[0]?.end === 'connection-lost')
  second.speak()
  await until(() => handler.calls[1]?.events.length === 1)
  t.equal(telephony.liveLegs(), 1)
  t.equal(handler.calls[1]?.leg.start.resumed, true)
})

t.test('X37 a live caller who goes silent for ten seconds is let go, and nothing stays behind', async (t) => {
  const { call, clock, telephony, handler, scope } = await telephonyServer(t)
  const caller = await call()
  await clock.advance(10_001)
  t.equal((await caller.closed).code, 1008)
  await until(() => telephony.liveLegs() === 0 && handler.calls[0]?.end === 'connection-lost' && clock.pendingTimers === 0)
  await until(() => scope.openChildren === 0)
  t.pass()
})

t.test('a conversation that fails closes its line with 1011 and takes nobody along', async (t) => {
  const { call, handler, logged } = await telephonyServer(t)
  const neighbour = await call({ callSid: 'CA2' })
  handler.onCall = async () => {
    throw new Error('a bug')
  }
  const caller = await call()
  t.equal((await caller.closed).code, 1011)
  t.ok(logged.some((line) => line.startsWith('conversation failed')))
  t.equal(neighbour.socket.readyState, neighbour.socket.OPEN)
})

t.test('an agent who ends the call closes the stream in good order', async (t) => {
  const { call, handler } = await telephonyServer(t)
  handler.onCall = async (leg) => leg.hangUp()
  const caller = await call()
  t.equal((await caller.closed).code, 1000)
  await until(() => handler.calls[0]?.end === 'agent-ended')
})

t.test('F5 X26 a server that is told to stop lets its calls finish, then ends the rest with 1001', async (t) => {
  const { call, dial, post, handler, telephony, close } = await telephonyServer(t)
  const patient = await call({ callSid: 'CA2' })
  const lasting = await call({ callSid: 'CA3' })
  const knocking = await dial()
  const grace = new Scope()
  let drained = false
  const draining = telephony.drain(grace.signal).then(() => (drained = true))
  t.equal((await post('/twilio/voice', CALL)).statusCode, 503, 'new calls go to the carrier\'s fallback')
  await t.rejects(dial(), { message: /refused with 503/ })
  patient.speak()
  await until(() => handler.calls[0]?.events.length === 1)
  patient.stop()
  t.equal((await patient.closed).code, 1000)
  t.notOk(drained)
  grace.end('out of patience')
  t.equal((await lasting.closed).code, 1001)
  t.equal((await knocking.closed).code, 1001)
  await draining
  t.equal(handler.calls[1]?.end, 'connection-lost', 'the conversation was told, and could write it down')
  await close()
  t.equal(telephony.liveLegs(), 0)
})

t.test('closing the server ends live calls with 1001, not with a cut line', async (t) => {
  const { call, close, handler } = await telephonyServer(t)
  const caller = await call()
  const closing = close()
  t.equal((await caller.closed).code, 1001)
  await closing
  t.equal(handler.calls[0]?.end, 'connection-lost')
})

t.test('the limits that production runs with are the ones that were reasoned about', async (t) => {
  t.match(DEFAULT_LIMITS, { startWithinMs: 5000, messagesPerSecond: 100, messageBurst: 200, idleMs: 10_000, pingEveryMs: 15_000 })
})
