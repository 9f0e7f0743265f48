import t from 'tap'
import { SystemClock } from '../../src/core/clock.ts'
import { parseCallScript } from '../../src/load/call-script.ts'
import { startServer } from '../../src/load/server-process.ts'
import { placeCall } from '../../src/load/simulated-caller.ts'
import { SocketTransport } from '../../src/load/socket-transport.ts'
import { dataDir } from '../support/data-dir.ts'

const { signal } = new AbortController()
const clock = new SystemClock()

/** What must be in no line of any log, however talkative: each goes in by the door that it belongs to, and by some that it does not. */
const CANARIES = {
  password: 'canary perches upon a quiet wire',
  wrongPassword: 'canary that is not the password',
  card: '4111111111111111',
  social: '219-09-9999',
  secret: 'canary-vendor-key-6f1c2a',
  number: '+12395550187',
  authToken: 'canary0123456789abcdef0123456789',
} as const

t.test('T39: a server that logs all it can logs no password, token, secret, card, social security or telephone number', async (t) => {
  let log = ''
  const server = await startServer(
    clock,
    {
      dataDir: dataDir(t),
      authToken: CANARIES.authToken,
      environment: { LOG_LEVEL: 'trace', ADMIN_EMAIL: 'owner@example.com', ADMIN_PASSWORD: CANARIES.password },
      onOutput: (text) => {
        log += text
      },
    },
    signal,
  )
  t.teardown(() => server.stop(signal))
  const { url } = server

  const tokens: string[] = []
  const send = async (method: string, path: string, body?: unknown): Promise<Response> =>
    fetch(`${url}/api/v1${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...(tokens[0] === undefined ? {} : { authorization: `Bearer ${tokens[0]}` }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  t.equal((await send('POST', '/auth/login', { email: 'owner@example.com', password: CANARIES.wrongPassword })).status, 401)
  const login = (await (await send('POST', '/auth/login', { email: 'owner@example.com', password: CANARIES.password })).json()) as { accessToken: string; refreshToken: string }
  tokens.push(login.accessToken, login.refreshToken)
  const base = '/companies/polar-bay-air'
  t.equal((await send('PUT', `${base}/secrets/vendor_key`, { value: CANARIES.secret })).status, 200)
  for (const text of [`my card is ${CANARIES.card}`, `my social is ${CANARIES.social}`, `call me at ${CANARIES.number}`]) {
    t.equal((await send('POST', `${base}/try`, { text })).status, 200)
    t.equal((await send('POST', `${base}/knowledge-test`, { text })).status, 200)
  }
  t.equal((await send('POST', `${base}/erasures`, { from: CANARIES.number })).status, 200)
  // Where they have no business: in a path, a query, a header, a field that is not known, a body that is none.
  await send('GET', `${base}/calls?from=${encodeURIComponent(CANARIES.number)}`)
  await send('GET', `${base}/calls/${CANARIES.secret}`)
  await send('PATCH', base, { [CANARIES.secret]: CANARIES.password })
  await fetch(`${url}/api/v1/auth/me?token=${login.accessToken}`)
  await fetch(`${url}/api/v1/auth/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: `{"password":"${CANARIES.password}` })
  await fetch(`${url}/twilio/voice`, { method: 'POST', headers: { 'x-twilio-signature': CANARIES.authToken }, body: new URLSearchParams({ From: CANARIES.number, To: '+15550100000', CallSid: 'CA00000000000000000000000000000009' }) })

  const script = parseCallScript(
    {
      name: 'canary', description: 'Types a card number into the telephone.', to: '+15550100000', from: CANARIES.number, ends: 'any',
      steps: [{ do: 'press', digits: CANARIES.card, when: { after: 'silence', forMs: 300 }, expect: { agent: 'replies', withinMs: 10_000 } }],
    },
    'canary',
  )
  const call = await placeCall({ clock, transport: new SocketTransport(clock, CANARIES.authToken), target: url, script: { script, clips: new Map() } }, signal)
  t.same(call.problems, [], 'the call went through')

  await server.stop(signal)
  t.ok(log.length > 500 && log.includes('turn finished'), `${log.length} characters were logged`)
  for (const [what, canary] of Object.entries({ ...CANARIES, accessToken: login.accessToken, refreshToken: login.refreshToken })) {
    const found = log.split('\n').filter((line) => line.includes(canary))
    t.same(found.map((line) => line.replaceAll(canary, '<canary>').slice(0, 300)), [], what)
  }
})
