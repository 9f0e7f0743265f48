import t, { type Test } from 'tap'
import { createConfig, lintFromString } from '@redocly/openapi-core'
import type { LightMyRequestResponse } from 'fastify'
import { oidcRoutes } from '../../src/admin/oidc-routes.ts'
import type { AdminDeps } from '../../src/admin/pipeline.ts'
import { loadConfig } from '../../src/config.ts'
import { OidcSignIn, type OidcOptions } from '../../src/security/oidc.ts'
import type { SecurityPolicy } from '../../src/security/policy.ts'
import { PLATFORM } from '../../src/security/roles.ts'
import { auditOf, openWorld, US_ADDRESS, type World } from '../admin/admin-app.ts'
import { CALLBACK_URL, CLIENT_ID, CLIENT_SECRET, OidcIssuer, type Misbehaviour, type Person } from '../support/oidc-issuer.ts'
import { DeviceKey } from './device-key.ts'

const ANN = 'ann@example.com'
const ANN_THERE: Person = { sub: '248289761001', email: ANN, email_verified: true }

type Begun = Readonly<{ authorizationUrl: string; flow: string }>
type Scene = Readonly<{
  world: World
  provider: OidcIssuer
  /** What the operator was told. */
  problems: string[]
  signIn: (overrides?: Partial<OidcOptions>) => OidcSignIn
  post: (path: 'start' | 'login', body: object, address?: string) => Promise<LightMyRequestResponse>
  begin: () => Promise<Begun>
  /** The whole of it, as a browser does it. */
  goThrough: (person?: Person, changes?: object, address?: string) => Promise<LightMyRequestResponse>
}>

async function open(t: Test, options: Readonly<{ policy?: Partial<SecurityPolicy>; oidc?: Partial<OidcOptions> }> = {}): Promise<Scene> {
  let now = (): Date => new Date(0)
  const provider = await OidcIssuer.open(() => now())
  t.teardown(() => provider.close())
  const problems: string[] = []
  const make = (of: Pick<AdminDeps, 'security' | 'clock'>, overrides: Partial<OidcOptions> = {}): OidcSignIn =>
    new OidcSignIn({
      issuer: provider.issuer, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, callbackUrl: CALLBACK_URL, login: of.security.login, spent: of.security.store.links,
      clock: of.clock, key: new Uint8Array(32).fill(5), report: (problem) => void problems.push(problem), ...options.oidc, ...overrides,
    })
  const world = await openWorld({ policy: options.policy ?? {}, resources: [(api, deps) => oidcRoutes(make(deps))(api, deps)] })
  now = () => world.clock.wallTime()
  await world.addUser('polar-bay', 'admin', ANN)
  const post: Scene['post'] = (path, payload, remoteAddress = '127.0.0.1') => world.app.inject({ method: 'POST', url: `/api/v1/auth/oidc/${path}`, payload, remoteAddress })
  const begin: Scene['begin'] = async () => (await post('start', {})).json()
  const goThrough: Scene['goThrough'] = async (person = ANN_THERE, changes = {}, address) => {
    const { authorizationUrl, flow } = await begin()
    return post('login', { flow, ...provider.authorize(authorizationUrl, person), ...changes }, address)
  }
  return { world, provider, problems, signIn: (overrides) => make(world, overrides), post, begin, goThrough }
}

const codeOf = (reply: LightMyRequestResponse): unknown[] => [reply.statusCode, reply.json().code]

void t.test('an admin signs in through the provider of their company, and the session is like any other', async (t) => {
  const { world, provider, goThrough, begin } = await open(t)
  const { authorizationUrl, flow } = await begin()
  const query = new URL(authorizationUrl).searchParams
  t.match(Object.fromEntries(query), { redirect_uri: CALLBACK_URL, scope: 'openid email', code_challenge_method: 'S256', code_challenge: /^[\w-]{43}$/, nonce: /^[\w-]{43}$/ })
  t.notOk(authorizationUrl.includes(flow), 'what finishes the sign-in stays here')
  const reply = await goThrough({ ...ANN_THERE, email: 'Ann@Example.COM' })
  t.equal(reply.statusCode, 200, reply.body)
  t.match(reply.json(), { accessToken: /^ey/, refreshToken: /^cvr\./, user: { email: ANN, role: 'admin', companyId: 'polar-bay' } })
  t.equal((await world.app.inject({ url: '/api/v1/auth/me', headers: { authorization: `Bearer ${String(reply.json().accessToken)}` } })).statusCode, 200)
  const [line] = (await world.security.audit.list('polar-bay', { afterSeq: 0, limit: 9 })).map((row) => row.fact)
  t.match(line, { action: 'auth.login', result: 'done', details: { method: 'oidc' } })
  t.equal(provider.asked.filter((path) => path.includes('well-known')).length, 1, 'the provider is looked up once')
})

void t.test('an account belongs to the first person who opened it at the provider, not to whoever has the address later', async (t) => {
  const { world, goThrough } = await open(t)
  t.equal((await goThrough()).statusCode, 200)
  const heir = { ...ANN_THERE, sub: 'somebody-else' }
  t.same(codeOf(await goThrough(heir)), [403, 'OIDC_OTHER_IDENTITY'], 'the address was given to somebody else there')
  t.equal((await goThrough()).statusCode, 200, 'the first goes on')
  const refused = (await auditOf(world, 'polar-bay')).filter((line) => line.action === 'auth.login' && line.result === 'refused')
  t.match(refused[0], { reason: 'OIDC_OTHER_IDENTITY' })

  const owner = await world.bearer(await world.addUser('polar-bay', 'owner'))
  const ann = await world.security.store.users.findByEmail(ANN)
  const path = `/api/v1/companies/polar-bay/users/${ann?.id}`
  const shown = await world.app.inject({ url: path, headers: owner })
  t.equal(shown.json().identity.subject, ANN_THERE.sub, 'an admin sees who it is')
  const planted = await world.app.inject({ method: 'PATCH', url: path, headers: { ...owner, 'if-match': String(shown.headers['etag']) }, payload: { identity: { issuer: 'x', subject: 'y' } } })
  t.equal(planted.statusCode, 400, 'may not say who it shall be')
  const released = await world.app.inject({ method: 'PATCH', url: path, headers: { ...owner, 'if-match': String(shown.headers['etag']) }, payload: { identity: null } })
  t.equal(released.json().identity, null, 'and may release it')
  t.equal((await goThrough(heir)).statusCode, 200)
  t.same(codeOf(await goThrough()), [403, 'OIDC_OTHER_IDENTITY'])
})

void t.test('a provider that tells the address only when asked with the access token is asked', async (t) => {
  const { provider, goThrough } = await open(t)
  provider.wrong = { thinTokens: true }
  t.equal((await goThrough()).statusCode, 200)
  t.same(codeOf(await goThrough({ ...ANN_THERE, email_verified: false })), [403, 'OIDC_EMAIL_UNVERIFIED'])
})

void t.test('a return that was not begun here, is too old, or comes twice is refused before the provider is asked', async (t) => {
  const { world, provider, post, begin, goThrough } = await open(t)
  const mine = await begin()
  const back = provider.authorize(mine.authorizationUrl, ANN_THERE)
  const attacker = await begin()
  const planted = provider.authorize(attacker.authorizationUrl, { ...ANN_THERE, email: 'attacker@example.com' })
  const before = provider.asked.length
  t.same(codeOf(await post('login', { ...back, flow: mine.flow, state: 'x' })), [401, 'OIDC_STATE_INVALID'], 'a wrong state')
  t.same(codeOf(await post('login', { ...planted, flow: mine.flow })), [401, 'OIDC_STATE_INVALID'], "somebody else's return, planted in this page")
  t.same(codeOf(await post('login', { ...back, flow: `${mine.flow}x` })), [401, 'OIDC_STATE_INVALID'], 'a flow that was tampered with')
  const [random, expiry, seal] = mine.flow.split('.')
  t.same(codeOf(await post('login', { ...back, flow: `${random}.${Number(expiry) + 60_000}.${seal}` })), [401, 'OIDC_STATE_INVALID'], 'a flow that was given more time')
  t.equal(provider.asked.length, before)

  const together = await Promise.all(Array.from({ length: 5 }, () => post('login', { ...back, flow: mine.flow })))
  t.same(together.map((reply) => reply.statusCode).sort(), [200, 401, 401, 401, 401], 'of five returns at once one goes on')
  t.same(codeOf(await post('login', { ...back, flow: mine.flow })), [401, 'OIDC_STATE_INVALID'], 'replayed')
  t.equal(provider.asked.filter((path) => path === '/token').length, 1)

  const late = await begin()
  const lateBack = provider.authorize(late.authorizationUrl, ANN_THERE)
  await world.clock.advance(10 * 60_000)
  t.same(codeOf(await post('login', { ...lateBack, flow: late.flow })), [401, 'OIDC_STATE_INVALID'], 'after ten minutes')

  const code = back.code
  t.same(codeOf(await goThrough(ANN_THERE, { code })), [401, 'OIDC_REFUSED'], 'a spent code in a fresh flow')
  const other = await begin()
  const unused = provider.authorize(other.authorizationUrl, ANN_THERE).code
  t.same(codeOf(await goThrough(ANN_THERE, { code: unused })), [401, 'OIDC_REFUSED'], 'a stolen code: its verifier is another')
})

void t.test('a token that is not for this sign-in, not from this provider or not signed by it opens nothing', async (t) => {
  const { world, provider, goThrough } = await open(t)
  const seconds = Math.floor(world.clock.wallTime().getTime() / 1000)
  const cases: Readonly<Record<string, Misbehaviour>> = {
    'wrong nonce': { claims: { nonce: 'of another flow' } },
    'no nonce': { claims: { nonce: undefined } },
    'wrong audience': { claims: { aud: 'another-client' } },
    'several audiences, meant for another': { claims: { aud: [CLIENT_ID, 'another'], azp: 'another' } },
    'wrong issuer': { claims: { iss: 'https://evil.example.com' } },
    'expired': { claims: { iat: seconds - 7200, exp: seconds - 3600 } },
    'no end': { claims: { exp: undefined } },
    'alg none': { signature: 'none' },
    'a key it does not publish': { signature: 'stranger' },
    'an HMAC by the client secret': { signature: 'secret' },
  }
  for (const [name, wrong] of Object.entries(cases)) {
    provider.wrong = wrong
    t.same(codeOf(await goThrough()), [401, 'OIDC_REFUSED'], name)
  }
  provider.wrong = {}
  t.same(codeOf(await goThrough(ANN_THERE, { iss: 'https://evil.example.com' })), [401, 'OIDC_REFUSED'], 'a return that names another issuer')
  t.same(codeOf(await goThrough(ANN_THERE, { iss: undefined })), [401, 'OIDC_REFUSED'], 'a return that names none, where it always does')
  t.equal((await goThrough()).statusCode, 200, 'and the same without any fault is let in')
  const lines = await auditOf(world, PLATFORM)
  t.equal(lines.length, Object.keys(cases).length + 2, 'every refusal is a line')
  for (const line of lines) t.match(line, { action: 'auth.login', result: 'refused', reason: 'OIDC_REFUSED', step: 'credentials' })
})

void t.test('only a verified address of an active account is let in, and no account is ever made', async (t) => {
  const { world, goThrough } = await open(t)
  for (const verified of [false, 'true', 'false', undefined]) {
    t.same(codeOf(await goThrough({ ...ANN_THERE, email_verified: verified })), [403, 'OIDC_EMAIL_UNVERIFIED'], String(verified))
  }
  t.same(codeOf(await goThrough({ sub: '1', email_verified: true })), [403, 'OIDC_EMAIL_UNVERIFIED'], 'no address at all')
  t.same(codeOf(await goThrough({ ...ANN_THERE, email: 'new@example.com' })), [403, 'OIDC_NO_ACCOUNT'])
  t.equal(await world.security.store.users.findByEmail('new@example.com'), null)
  const last = (await world.security.audit.list(PLATFORM, { afterSeq: 0, limit: 99 })).at(-1)?.fact
  t.match(last, { reason: 'OIDC_NO_ACCOUNT', target: /^email-sha256\// })
  t.notOk(JSON.stringify(last).includes('new@example.com'))

  const ann = await world.security.store.users.findByEmail(ANN)
  if (ann === null) throw new Error('Ann is gone')
  await world.security.store.users.save('polar-bay', { ...ann, status: 'disabled' }, ann.version)
  t.same(codeOf(await goThrough()), [403, 'OIDC_NO_ACCOUNT'], 'a disabled account')
})

void t.test('the steps after the password stand: hardware lock, place, session conflict and the limits', async (t) => {
  const { world, provider, post, begin, goThrough } = await open(t, { policy: { sessionConflict: 'deny' } })
  t.same(codeOf(await goThrough(ANN_THERE, {}, US_ADDRESS)), [403, 'DEVICE_KEY_REQUIRED'])
  const comeBack = async (key: DeviceKey, subject?: string): Promise<LightMyRequestResponse> => {
    const { authorizationUrl, flow } = await begin()
    const back = provider.authorize(authorizationUrl, ANN_THERE)
    const device = await key.prove('login', subject ?? back.state, world.security.proofs.challenge().challenge)
    return post('login', { flow, ...back, device }, US_ADDRESS)
  }
  const laptop = await DeviceKey.create()
  t.same(codeOf(await comeBack(laptop, ANN)), [401, 'DEVICE_PROOF_INVALID'], 'a proof made for a password sign-in')
  t.equal((await comeBack(laptop)).statusCode, 200)
  t.same(codeOf(await goThrough()), [409, 'SESSION_CONFLICT'])
  t.same((await auditOf(world, 'polar-bay')).map((line) => line.reason || line.action), ['DEVICE_KEY_REQUIRED', 'auth.device_registered', 'auth.login', 'SESSION_CONFLICT'])

  const statuses: number[] = []
  for (let i = 0; i < 15; i += 1) statuses.push((await goThrough({ ...ANN_THERE, email_verified: false }, {}, US_ADDRESS)).statusCode)
  t.ok(statuses.slice(0, 5).every((status) => status === 403))
  t.equal(statuses.at(-1), 429, 'one address cannot keep the provider busy')
})

void t.test('a provider that is down, silent, broken, endless or elsewhere is said to be unavailable, in time', async (t) => {
  const { world, provider, problems, signIn, post, begin, goThrough } = await open(t)
  const ready = await begin()
  const readyBack = provider.authorize(ready.authorizationUrl, ANN_THERE)
  const pending = world.clock.pendingTimers

  provider.wrong = { answers: 'silent' }
  const arrived = provider.nextRequest()
  const waiting = post('login', { flow: ready.flow, ...readyBack })
  await arrived
  await world.clock.advance(4999)
  t.equal(world.clock.pendingTimers, pending + 1, 'still waiting')
  await world.clock.advance(1)
  const reply = await waiting
  t.same(codeOf(reply), [503, 'OIDC_UNAVAILABLE'])
  t.equal(world.clock.pendingTimers, pending)

  for (const answers of ['broken', 'huge'] as const) {
    provider.wrong = { answers }
    await t.rejects(signIn().start(), { code: 'OIDC_UNAVAILABLE' }, answers)
    t.same(codeOf(await goThrough()), [503, 'OIDC_UNAVAILABLE'], answers)
  }
  provider.wrong = { answers: 'moved' }
  await t.rejects(signIn().start(), { code: 'OIDC_UNAVAILABLE' })
  t.notOk(provider.asked.includes('/elsewhere'), 'no redirect is followed')
  provider.wrong = { metadata: { issuer: 'https://evil.example.com' } }
  await t.rejects(signIn().start(), { code: 'OIDC_UNAVAILABLE' }, 'another issuer in the discovery document')
  for (const endpoint of ['authorization_endpoint', 'token_endpoint']) {
    provider.wrong = { metadata: { [endpoint]: 'http://login.example.com/x' } }
    const oidc = signIn()
    const client = { address: '127.0.0.1', place: world.security.locator.locate('127.0.0.1'), userAgent: 't', acceptLanguage: '', platform: '', traceId: 't' }
    const attempt = oidc.start().then((begun) => oidc.finish({ flow: begun.flow, ...provider.authorize(begun.authorizationUrl, ANN_THERE), device: null, client }))
    await t.rejects(attempt, { code: 'OIDC_UNAVAILABLE' }, `${endpoint} without https`)
  }
  const asked = new AbortController()
  provider.wrong = { answers: 'silent' }
  const heard = provider.nextRequest()
  const hungUp = signIn().start(asked.signal)
  await heard
  asked.abort(new Error('hung up'))
  await t.rejects(hungUp, /hung up/)

  provider.close()
  await t.rejects(signIn().start(), { code: 'OIDC_UNAVAILABLE' }, 'nobody listens there')
  t.equal(world.clock.pendingTimers, pending)
  t.equal(problems.length, 10, 'the operator hears of each')
  t.notOk(problems.join().includes(CLIENT_SECRET))
})

void t.test('a wrong client secret is told to the audit log, not to the person', async (t) => {
  const { world, goThrough } = await open(t, { oidc: { clientSecret: 'wrong' } })
  const reply = await goThrough()
  t.same(codeOf(reply), [401, 'OIDC_REFUSED'])
  t.notOk(reply.body.includes('invalid_client'))
  const [line] = await world.security.audit.list(PLATFORM, { afterSeq: 0, limit: 1 })
  t.match(line?.fact.details, { problem: 'invalid_client' })
})

void t.test('the settings belong together, and only https or loopback will do', async (t) => {
  const good = { OIDC_ISSUER: 'https://login.example.com/', OIDC_CLIENT_ID: CLIENT_ID, OIDC_CALLBACK_URL: CALLBACK_URL }
  t.equal(loadConfig({}).admin.oidc, null)
  t.match(loadConfig(good).admin.oidc, { issuer: 'https://login.example.com/', clientId: CLIENT_ID, clientSecret: null, callbackUrl: CALLBACK_URL })
  const config = loadConfig({ ...good, OIDC_CLIENT_SECRET: CLIENT_SECRET })
  t.notOk(JSON.stringify(config).includes(CLIENT_SECRET))
  t.throws(() => loadConfig({ OIDC_ISSUER: good.OIDC_ISSUER }), /OIDC_CLIENT_ID is missing[\s\S]*OIDC_CALLBACK_URL is missing/)
  t.throws(() => loadConfig({ OIDC_CLIENT_ID: CLIENT_ID }), /OIDC_ISSUER is missing/)
  for (const name of ['OIDC_ISSUER', 'OIDC_CALLBACK_URL']) t.throws(() => loadConfig({ ...good, [name]: 'http://login.example.com' }), new RegExp(`${name} must be a URL`))
  const { signIn } = await open(t)
  t.throws(() => signIn({ issuer: 'http://login.example.com' }), { code: 'CONFIG_INVALID', details: { field: 'OIDC_ISSUER' } })
  t.throws(() => signIn({ callbackUrl: 'http://127.0.0.1.example.com/' }), { code: 'CONFIG_INVALID', details: { field: 'OIDC_CALLBACK_URL' } })
})

void t.test('its routes are in the document, which is clean, and answer junk as the document says', async (t) => {
  const { world, post } = await open(t)
  const text = (await world.app.inject('/openapi.json')).payload
  const config = await createConfig({ extends: ['recommended'], rules: { 'no-server-example.com': 'off', 'operation-4xx-response': 'error' } })
  t.same((await lintFromString({ source: text, absoluteRef: 'openapi.json', config })).map((problem) => `${problem.ruleId}: ${problem.message}`), [])
  const { paths } = JSON.parse(text) as { paths: Record<string, { post: { responses: Record<string, unknown> } }> }
  for (const path of ['start', 'login'] as const) {
    const documented = Object.keys(paths[`/api/v1/auth/oidc/${path}`]?.post.responses ?? {})
    t.ok(documented.includes('503'), path)
    for (const junk of [{}, [], { flow: 1 }, { flow: '', code: '', state: '' }, { flow: '..', code: '\u0000', state: '%' }, { flow: 'a.b.c', code: 'x', state: 'y', companyId: 'harbor-lane' }, { flow: `a.${'9'.repeat(150)}.c`, code: 'x', state: 'y' }]) {
      const reply = await post(path, junk)
      t.ok(reply.statusCode < 500 && documented.includes(String(reply.statusCode)), `${path} ${JSON.stringify(junk)}: ${reply.statusCode}`)
    }
  }
})
