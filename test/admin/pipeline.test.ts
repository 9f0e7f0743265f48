import t from 'tap'
import { createConfig, lintFromString } from '@redocly/openapi-core'
import Fastify, { type InjectOptions } from 'fastify'
import { z } from 'zod'
import { API_PREFIX, registerAdmin, STAGES, type Resources } from '../../src/admin/pipeline.ts'
import { route, type RouteRules } from '../../src/admin/route.ts'
import type { User } from '../../src/security/records.ts'
import { permissionsOf, PLATFORM, ROLES, type Permission, type Role } from '../../src/security/roles.ts'
import { openWorld, PASSWORD, RU_ADDRESS, US_ADDRESS } from './admin-app.ts'

/** Routes of a room yet to come, to see the pipeline from outside: one that writes, and one that fails. */
const someRoutes: Resources = (api, deps) => {
  route(api, deps, {
    method: 'PATCH', path: '/companies/:companyId/agents/:agentId', permission: 'config:write', audit: 'agent.update', tag: 'Test', summary: 'Change',
    params: z.strictObject({ companyId: z.string(), agentId: z.string() }), body: z.strictObject({ greeting: z.string() }), replies: { 200: z.object({ greeting: z.string() }) },
    handler: async ({ body }) => ({ status: 200, body: { ...body, secret: 'must not leave' } }),
  })
}

const brokenRoute: Resources = (api, deps) => {
  route(api, deps, {
    method: 'GET', path: '/broken', permission: 'self:read', audit: null, tag: 'Test', summary: 'Fails', replies: { 200: z.undefined() },
    handler: async () => {
      throw new TypeError('cannot read /secret/path of undefined')
    },
  })
}

const documentSchema = z.object({ openapi: z.string(), paths: z.record(z.string(), z.record(z.string(), z.looseObject({ responses: z.record(z.string(), z.unknown()), security: z.unknown().optional(), operationId: z.string() }))) })

void t.test('every request passes the stages in the one order, and a refusal stops it where it belongs', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'read_only')
  const headers = await world.bearer(ann)
  const stagesOf = async (request: InjectOptions): Promise<readonly string[]> => {
    await world.app.inject(request)
    return world.traces.at(-1)?.stages ?? []
  }
  const until = (stage: (typeof STAGES)[number]): string[] => [...STAGES.slice(0, STAGES.indexOf(stage) + 1), 'audit']
  t.same(await stagesOf({ url: '/api/v1/auth/me', headers }), STAGES)
  t.same(await stagesOf({ url: '/api/v1/auth/me', remoteAddress: RU_ADDRESS, headers }), until('location'))
  t.same(await stagesOf({ url: '/api/v1/auth/me' }), until('token'))
  t.same(await stagesOf({ url: '/api/v1/auth/me', remoteAddress: US_ADDRESS, headers }), until('device'), 'a session without a device key, carried away from this machine')
  t.same(await stagesOf({ url: '/api/v1/companies/polar-bay/users', headers }), until('permission'))
  await world.security.sessions.end('polar-bay', ann.id, {}, 'logout')
  t.same(await stagesOf({ url: '/api/v1/auth/me', headers }), until('session'))
})

void t.test('T53: who asks too often is told how long to wait, with the headers of every other reply', async (t) => {
  const world = await openWorld({ deps: { rateTiers: { anonymous: 3, bearer: 100, signedIn: 2, login: 4 } } })
  const first = await world.app.inject({ url: '/api/v1/nothing' })
  t.match(first.headers, { 'ratelimit-policy': '"anonymous";q=3;w=60', ratelimit: /"anonymous";r=2;t=60/ })
  await world.app.inject({ url: '/api/v1/nothing' })
  await world.app.inject({ url: '/api/v1/nothing' })
  const refused = await world.app.inject({ url: '/api/v1/nothing' })
  t.match([refused.statusCode, refused.json().code], [429, 'RATE_LIMITED'])
  t.ok(Number(refused.headers['retry-after']) > 0)
  t.match(refused.headers, { 'content-security-policy': /default-src 'none'/, 'cache-control': 'no-store' })
  t.equal((await world.app.inject({ url: '/api/v1/nothing', remoteAddress: US_ADDRESS })).statusCode, 404, 'others are not held up')
  const ann = await world.addUser('polar-bay', 'owner')
  const headers = await world.bearer(ann)
  const statuses = []
  for (let i = 0; i < 3; i += 1) statuses.push((await world.app.inject({ url: '/api/v1/auth/me', headers })).statusCode)
  t.same(statuses, [200, 200, 429])
  const logins = []
  for (let i = 0; i < 4; i += 1) logins.push((await world.signIn(ann)).statusCode)
  t.equal(logins.at(-1), 429)
})

void t.test('T26: a route that does not say who may use it, or writes without an audit line, does not start', async (t) => {
  const start = async (resource: Resources): Promise<void> => {
    const world = await openWorld()
    const app = Fastify()
    await registerAdmin(app, { security: world.security, clock: world.clock, companyExists: async () => true, reportError: () => undefined }, [resource])
    await app.ready()
  }
  await t.rejects(start((api) => void api.get('/open', async () => 'x')), /GET \/api\/v1\/open declares no permission/)
  const rules: RouteRules = { permission: 'config:write', tier: null, audit: null }
  await t.rejects(start((api) => void api.post('/silent', { config: { rules } }, async () => 'x')), /writes without an audit line/)
})

void t.test('every error is a problem document with a code and a trace id, and says nothing of our insides', async (t) => {
  const world = await openWorld({ resources: [brokenRoute] })
  const headers = await world.bearer(await world.addUser('polar-bay', 'owner'))
  const json = { ...headers, 'content-type': 'application/json' }
  const login = { method: 'POST' as const, url: '/api/v1/auth/login' }
  const cases = [
    { want: [404, 'NOT_FOUND'], request: { url: '/api/v1/nowhere' } },
    { want: [405, 'METHOD_NOT_ALLOWED'], request: { method: 'DELETE' as const, url: '/api/v1/auth/me' } },
    { want: [413, 'BODY_TOO_LARGE'], request: { ...login, headers: json, payload: JSON.stringify({ email: 'x'.repeat(70_000) }) } },
    { want: [415, 'UNSUPPORTED_MEDIA_TYPE'], request: { ...login, headers: { 'content-type': 'text/plain' }, payload: 'hello' } },
    { want: [415, 'UNSUPPORTED_MEDIA_TYPE'], request: { ...login, headers: { 'content-type': 'application/x-www-form-urlencoded' }, payload: 'a=b' } },
    { want: [400, 'BODY_MALFORMED'], request: { ...login, headers: json, payload: '{"email":' } },
    { want: [400, 'BODY_MALFORMED'], request: { ...login, headers: json, payload: '{"__proto__":{"admin":true},"email":"a@example.com","password":"x"}' } },
    { want: [400, 'INVALID_INPUT'], request: { ...login, payload: { email: 'a@example.com', password: 'x', admin: true } } },
    { want: [400, 'INVALID_INPUT'], request: { url: '/api/v1/auth/me?debug=1', headers } },
    { want: [405, 'METHOD_NOT_ALLOWED'], request: { method: 'OPTIONS' as const, url: '/api/v1/auth/me' } },
    { want: [404, 'NOT_FOUND'], request: { method: 'OPTIONS' as const, url: '/api/v1/nowhere' } },
    { want: [400, 'INVALID_INPUT'], request: { ...login, payload: { email: 'a@example.com', password: 'x\u0000y' } } },
    { want: [400, 'INVALID_INPUT'], request: { ...login, headers: json, payload: '{"email":"a@example.com","password":"\\ud800"}' } },
    { want: [400, 'INVALID_INPUT'], request: { ...login, headers: json, payload: `{"email":${'['.repeat(30_000)}${']'.repeat(30_000)}}` } },
    { want: [500, 'INTERNAL_ERROR'], request: { url: '/api/v1/broken', headers } },
  ]
  for (const { want, request } of cases) {
    const reply = await world.app.inject(request)
    t.same([reply.statusCode, reply.json().code], want, `${request.url} ${String(want[1])}`)
    t.match(reply.headers['content-type'], 'application/problem+json')
    t.match(reply.json(), { type: /^urn:/, title: /\w/, status: want[0], detail: /\w/, instance: /^\/api/, traceId: /^[0-9a-f]{32}$/ })
    t.equal(reply.headers['x-trace-id'], reply.json().traceId)
    t.notMatch(reply.body, /secret|\.ts|stack/)
  }
  t.match((await world.app.inject({ method: 'DELETE', url: '/api/v1/auth/me' })).headers, { allow: 'GET, HEAD' })
  t.match((await world.app.inject({ ...login, payload: { email: 'no', password: 'x', admin: true } })).json().errors, [{ field: 'email' }, { field: 'admin', message: 'is not a known field' }])
  t.equal(world.errors.length, 1, 'only the fault of ours is reported')
  const traced = await world.app.inject({ url: '/api/v1/nowhere', headers: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' } })
  t.equal(traced.json().traceId, '4bf92f3577b34da6a3ce929d0e0e4736')
})

void t.test('T52: no reply may be framed, sniffed, kept or read by another origin, and no cookie is ever set', async (t) => {
  const world = await openWorld({ deps: { allowedOrigins: ['https://admin.example.com'] } })
  const headers = await world.bearer(await world.addUser('polar-bay', 'owner'))
  for (const request of [{ url: '/api/v1/auth/me', headers }, { url: '/api/v1/auth/me' }, { url: '/api/v1/none' }, { method: 'POST' as const, url: '/api/v1/auth/login', payload: {} }]) {
    const reply = await world.app.inject({ ...request, headers: { ...request.headers, origin: 'https://evil.example.com' } })
    t.match(reply.headers, {
      'content-security-policy': /frame-ancestors 'none'/, 'x-frame-options': 'DENY', 'x-content-type-options': 'nosniff', 'cache-control': 'no-store',
      'strict-transport-security': /max-age=\d{7,}/, 'referrer-policy': 'no-referrer',
    })
    t.equal(reply.headers['set-cookie'], undefined)
    t.equal(reply.headers['access-control-allow-origin'], undefined)
  }
  const preflight = (origin: string) => world.app.inject({ method: 'OPTIONS', url: '/api/v1/auth/me', headers: { origin, 'access-control-request-method': 'PATCH' } })
  t.match((await preflight('https://admin.example.com')).headers, { 'access-control-allow-origin': 'https://admin.example.com', 'access-control-allow-headers': /if-match/ })
  t.equal((await preflight('https://evil.example.com')).headers['access-control-allow-origin'], undefined)
})

void t.test('what a reply schema does not name never leaves', async (t) => {
  const world = await openWorld({ resources: [someRoutes] })
  const headers = await world.bearer(await world.addUser('polar-bay', 'owner'))
  const reply = await world.app.inject({ method: 'PATCH', url: '/api/v1/companies/polar-bay/agents/1', headers, payload: { greeting: 'hi' } })
  t.same(reply.json(), { greeting: 'hi' })
  const users = await world.app.inject({ url: '/api/v1/companies/polar-bay/users', headers })
  t.notMatch(users.body, /argon2|passwordHash|sessionVersion/)
})

void t.test('T25, T26: each route, each role, each company: allowed, 403 or 404 as the table says, without exceptions', async (t) => {
  const routes: { method: string; url: string; permission: Permission | 'public' }[] = []
  const world = await openWorld({ resources: [someRoutes] })
  const document = documentSchema.parse((await world.app.inject({ url: '/openapi.json' })).json())
  for (const [url, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const described = z.object({ description: z.string().optional() }).parse(operation)
      const permission = /permission `([a-z_]+:[a-z_]+)`/.exec(described.description ?? '')?.[1]
      routes.push({ method: method.toUpperCase(), url, permission: permission === undefined ? 'public' : (permission as Permission) })
    }
  }
  const callers: { companyId: string; role: Role; user: User }[] = []
  for (const companyId of [PLATFORM, 'polar-bay']) for (const role of ROLES) callers.push({ companyId, role, user: await world.addUser(companyId, role) })
  await world.addUser(PLATFORM, 'owner')
  await world.addUser('polar-bay', 'owner')
  const stranger = await world.addUser('harbor-lane', 'read_only')
  let cells = 0
  const unexpected: string[] = []
  const undocumented: string[] = []
  for (const { method, url, permission } of routes) {
    // What is not below a company is about the caller's own session, which some of it ends: those sign in each time.
    const scoped = url.includes('{companyId}')
    const headersOf = new Map<User, Readonly<{ authorization: string }>>()
    for (const target of scoped ? ['polar-bay', 'harbor-lane', 'no-such-company', PLATFORM] : ['']) {
      for (const caller of [null, ...callers]) {
        const path = url.replace('{companyId}', target).replace('{userId}', stranger.id).replace(/\{\w+\}/g, '0190a0b0-0000-7000-8000-000000000000')
        const headers = caller === null ? {} : (headersOf.get(caller.user) ?? (await world.bearer(caller.user)))
        if (caller !== null && scoped) headersOf.set(caller.user, headers as { authorization: string })
        const reply = await world.app.inject({ method: method as 'GET', url: path, headers, ...(['GET', 'DELETE'].includes(method) ? {} : { payload: {} }) })
        const got = reply.statusCode
        cells += 1
        const want = expected(permission, scoped ? target : null, caller)
        const fine = want === 'inside' ? ![401, 403, 405, 429, 500, 503].includes(got) || (permission === 'public' && got !== 500) : got === want
        if (!fine) unexpected.push(`${method} ${path} as ${caller === null ? 'nobody' : `${caller.companyId}/${caller.role}`}: ${got}, not ${want}`)
        if (document.paths[url]?.[method.toLowerCase()]?.responses[String(got)] === undefined) undocumented.push(`${method} ${url}: ${got}`)
      }
    }
  }
  t.same(unexpected, [], `${cells} cells`)
  t.same([...new Set(undocumented)], [], 'every status is in the document')
  t.ok(cells > 700, `${cells} cells`)
})

function expected(permission: Permission | 'public', target: string | null, caller: { companyId: string; role: Role } | null): 401 | 403 | 404 | 'inside' {
  if (permission === 'public') return 'inside'
  if (caller === null) return 401
  if (target !== null) {
    if (caller.companyId !== PLATFORM && target !== caller.companyId) return 404
    if (target === 'no-such-company') return 404
  }
  return permissionsOf(caller.companyId, caller.role).has(permission) ? 'inside' : 403
}

void t.test('T26: nobody gives themselves or others more than they have', async (t) => {
  const world = await openWorld()
  const boss = await world.addUser('polar-bay', 'owner')
  const ann = await world.addUser('polar-bay', 'admin')
  const headers = await world.bearer(ann)
  const base = '/api/v1/companies/polar-bay/users'
  const person = { email: 'new@example.com', name: 'New', password: PASSWORD }
  const create = (role: string, more = {}) => world.app.inject({ method: 'POST', url: base, headers, payload: { ...person, role, ...more } })
  t.equal((await create('owner')).statusCode, 403, 'an admin makes no owners')
  t.match((await create('read_only', { companyId: 'harbor-lane' })).json().errors, [{ field: 'companyId' }])
  t.equal((await create('admin', { sessionVersion: 9 })).statusCode, 400)
  const patch = (user: User, payload: object) => world.app.inject({ method: 'PATCH', url: `${base}/${user.id}`, headers: { ...headers, 'if-match': '"v1"' }, payload })
  t.equal((await patch(ann, { role: 'owner' })).statusCode, 403)
  t.equal((await patch(ann, { role: 'read_only' })).statusCode, 403, 'not even less')
  t.equal((await patch(boss, { status: 'disabled' })).statusCode, 403, 'an admin does not touch an owner')
  t.equal((await world.app.inject({ method: 'DELETE', url: `${base}/${boss.id}`, headers })).statusCode, 403)
  const made = await create('read_only')
  t.equal(made.statusCode, 201)
  t.match(made.headers, { etag: '"v1"', location: `${base}/${String(made.json().id)}` })
  t.equal((await create('read_only')).statusCode, 409, 'one account an address')
})

void t.test('an edit made on an old version is refused, and so is one that does not say which it has seen', async (t) => {
  const world = await openWorld()
  const boss = await world.addUser('polar-bay', 'owner')
  const ann = await world.addUser('polar-bay', 'admin')
  const url = `/api/v1/companies/polar-bay/users/${ann.id}`
  const headers = await world.bearer(boss)
  const patch = (ifMatch: Record<string, string>) => world.app.inject({ method: 'PATCH', url, headers: { ...headers, ...ifMatch }, payload: { name: 'Ann Other' } })
  t.match((await patch({})).json(), { status: 428, code: 'PRECONDITION_REQUIRED' })
  t.equal((await patch({ 'if-match': '*' })).statusCode, 400)
  const read = await world.app.inject({ url, headers })
  const saved = await patch({ 'if-match': String(read.headers.etag) })
  t.match([saved.statusCode, saved.headers.etag, saved.json().name], [200, '"v2"', 'Ann Other'])
  t.match((await patch({ 'if-match': String(read.headers.etag) })).json(), { status: 412, code: 'PRECONDITION_FAILED' })
})

void t.test('a POST that is sent twice with one Idempotency-Key is done once', async (t) => {
  const world = await openWorld()
  const headers = { ...(await world.bearer(await world.addUser('polar-bay', 'owner'))), 'idempotency-key': 'a-key-of-mine' }
  const url = '/api/v1/companies/polar-bay/users'
  const payload = { email: 'new@example.com', name: 'New', role: 'read_only', password: PASSWORD }
  const first = await world.app.inject({ method: 'POST', url, headers, payload })
  const second = await world.app.inject({ method: 'POST', url, headers, payload })
  t.match([first.statusCode, second.statusCode, second.headers['idempotent-replayed'], second.headers.etag, second.headers.location], [201, 201, 'true', '"v1"', first.headers.location ?? 'none'])
  t.equal(second.body, first.body)
  t.equal((await world.app.inject({ method: 'POST', url, headers, payload: { ...payload, name: 'Other' } })).json().code, 'IDEMPOTENCY_KEY_REUSED')
  t.equal((await world.app.inject({ method: 'POST', url, headers: { ...headers, 'idempotency-key': 'short' }, payload })).statusCode, 400)
  const other = { ...(await world.bearer(await world.addUser('polar-bay', 'owner'))), 'idempotency-key': 'a-key-of-mine' }
  t.equal((await world.app.inject({ method: 'POST', url, headers: other, payload: { ...payload, email: 'third@example.com' } })).statusCode, 201, 'keys are each caller’s own')
  const keys = '/api/v1/companies/polar-bay/api-keys'
  const keyHeaders = { ...other, 'idempotency-key': 'make-one-key' }
  const key = { label: 'ci', scopes: ['config:read'] }
  t.equal((await world.app.inject({ method: 'POST', url: keys, headers: keyHeaders, payload: key })).statusCode, 201)
  t.equal((await world.app.inject({ method: 'POST', url: keys, headers: keyHeaders, payload: key })).json().code, 'ALREADY_DONE', 'a secret is not kept to be sent again')
  const bad = { ...payload, email: 'fourth@example.com', password: 'short' }
  t.equal((await world.app.inject({ method: 'POST', url, headers: { ...other, 'idempotency-key': 'try-again-key' }, payload: bad })).statusCode, 400)
  t.equal((await world.app.inject({ method: 'POST', url, headers: { ...other, 'idempotency-key': 'try-again-key' }, payload: { ...bad, password: PASSWORD } })).statusCode, 201, 'a refused try leaves the key free')
})

void t.test('a list is read page by page, each thing once', async (t) => {
  const world = await openWorld()
  const boss = await world.addUser('polar-bay', 'owner')
  for (let i = 0; i < 24; i += 1) await world.addUser('polar-bay', 'read_only')
  const headers = await world.bearer(boss)
  const seen: string[] = []
  let cursor = ''
  for (let pages = 0; pages < 4; pages += 1) {
    const reply = await world.app.inject({ url: `/api/v1/companies/polar-bay/users?limit=10${cursor}`, headers })
    for (const user of reply.json().items as { id: string }[]) seen.push(user.id)
    if (reply.json().nextCursor === null) break
    cursor = `&cursor=${String(reply.json().nextCursor)}`
  }
  t.equal(new Set(seen).size, 25)
  t.equal(seen.length, 25)
  for (const bad of ['limit=0', 'limit=1000', 'limit=ten', 'cursor=rubbish', 'offset=3']) {
    t.equal((await world.app.inject({ url: `/api/v1/companies/polar-bay/users?${bad}`, headers })).statusCode, 400, bad)
  }
})

void t.test('an API key does what its scopes say, for its company, until it ends or is revoked', async (t) => {
  const world = await openWorld({ resources: [someRoutes] })
  const boss = await world.addUser('polar-bay', 'owner')
  const admin = await world.bearer(boss)
  const url = '/api/v1/companies/polar-bay/api-keys'
  const make = (payload: object) => world.app.inject({ method: 'POST', url, headers: admin, payload })
  const made = await make({ label: 'ci', scopes: ['config:write'], expiresInDays: 30 })
  t.equal(made.statusCode, 201)
  t.match(made.json(), { secret: /^cvk\./, key: { scopes: ['config:write'], revokedAt: null } })
  t.equal((await make({ label: 'ci', scopes: ['users:write'] })).statusCode, 400, 'no key acts on people')
  t.equal((await make({ label: 'ci', scopes: ['companies:create'] })).statusCode, 403, 'no key holds more than its maker')
  t.equal((await make({ label: 'ci', scopes: ['config:read'], expiresInDays: 400 })).statusCode, 400)
  const use = (secret: unknown, company = 'polar-bay', remoteAddress = US_ADDRESS) =>
    world.app.inject({ method: 'PATCH', url: `/api/v1/companies/${company}/agents/1`, headers: { authorization: `Bearer ${String(secret)}` }, payload: { greeting: 'hi' }, remoteAddress })
  t.equal((await use(made.json().secret)).statusCode, 200, 'from anywhere that is allowed')
  t.equal((await use(made.json().secret, 'harbor-lane')).statusCode, 404)
  t.equal((await use(made.json().secret, 'polar-bay', RU_ADDRESS)).statusCode, 403)
  t.equal((await use(`${String(made.json().secret)}x`)).json().code, 'API_KEY_INVALID')
  t.equal((await use('cvk.x')).json().code, 'API_KEY_INVALID')
  t.equal((await world.app.inject({ url: '/api/v1/auth/me', headers: { authorization: `Bearer ${String(made.json().secret)}` } })).statusCode, 403)
  t.notMatch((await world.app.inject({ url, headers: admin })).body, /secret/i)
  await world.app.inject({ method: 'DELETE', url: `${url}/${String(made.json().key.id)}`, headers: admin })
  t.equal((await use(made.json().secret)).json().code, 'API_KEY_INVALID')
  const short = await make({ label: 'day', scopes: ['config:write'], expiresInDays: 1 })
  await world.clock.advance(24 * 3_600_000)
  t.equal((await use(short.json().secret)).json().code, 'API_KEY_INVALID')
})

void t.test('support reads, and writes only with a break-glass grant: its paths, its company, its time, its reason on record', async (t) => {
  const world = await openWorld({ resources: [someRoutes] })
  const boss = await world.addUser('polar-bay', 'owner')
  const help = await world.addUser(PLATFORM, 'support')
  const other = await world.addUser(PLATFORM, 'support')
  const admin = await world.bearer(boss)
  const headers = await world.bearer(help)
  const write = (token: unknown, agent = '1', company = 'polar-bay', by: Record<string, string> = headers) =>
    world.app.inject({ method: 'PATCH', url: `/api/v1/companies/${company}/agents/${agent}`, headers: { ...by, ...(token === '' ? {} : { 'x-break-glass': String(token) }) }, payload: { greeting: 'hi' } })
  t.equal((await write('')).json().code, 'PERMISSION_DENIED')
  const url = '/api/v1/companies/polar-bay/break-glass'
  const ask = { granteeUserId: help.id, permissions: ['config:write'], methods: ['PATCH'], pathPrefixes: ['/agents/1'], expiresInMinutes: 60, reason: 'ticket 4711, wrong greeting' }
  const issue = (payload: object, by = admin) => world.app.inject({ method: 'POST', url, headers: by, payload })
  t.equal((await issue(ask, headers)).statusCode, 403, 'support does not let itself in')
  t.equal((await issue({ ...ask, granteeUserId: boss.id })).statusCode, 403)
  t.equal((await issue({ ...ask, permissions: ['users:write'] })).statusCode, 400)
  t.equal((await issue({ ...ask, expiresInMinutes: 300 })).statusCode, 400)
  t.equal((await issue({ ...ask, reason: 'short' })).statusCode, 400)
  const issued = await issue(ask)
  const { token, grant } = issued.json()
  t.equal((await write(token)).statusCode, 200)
  t.equal((await write(token, '10')).json().code, 'BREAK_GLASS_INVALID', 'not /agents/10')
  t.equal((await write(token, '1', 'harbor-lane')).json().code, 'BREAK_GLASS_INVALID')
  t.equal((await write(token, '1', 'polar-bay', await world.bearer(other))).json().code, 'BREAK_GLASS_INVALID', 'not in other hands')
  t.equal((await write('rubbish')).json().code, 'BREAK_GLASS_INVALID')
  const rows = []
  for await (const row of world.security.audit.rows('polar-bay', { action: 'agent.update' })) rows.push(row.fact)
  t.match(rows.find((fact) => fact.result === 'done'), { actor: { id: help.id, companyId: PLATFORM }, reason: ask.reason, details: { breakGlassId: grant.id } })
  await world.app.inject({ method: 'DELETE', url: `${url}/${String(grant.id)}`, headers: await world.bearer(boss) })
  t.equal((await write(token)).json().code, 'BREAK_GLASS_INVALID', 'taken back')
  const second = (await world.app.inject({ method: 'POST', url, headers: await world.bearer(boss), payload: ask })).json()
  await world.clock.advance(61 * 60_000)
  t.equal((await write(second.token, '1', 'polar-bay', await world.bearer(help))).json().code, 'BREAK_GLASS_INVALID', 'an hour later')
})

void t.test('the audit log is listed, exported and verified, holds refusals, and never a password or token', async (t) => {
  const world = await openWorld()
  const boss = await world.addUser('polar-bay', 'owner')
  const ann = await world.addUser('polar-bay', 'read_only')
  const login = (await world.signIn(boss)).json()
  const headers = { authorization: `Bearer ${String(login.accessToken)}` }
  const annHeaders = await world.bearer(ann)
  await world.app.inject({ url: '/api/v1/companies/polar-bay/users', headers: annHeaders })
  await world.app.inject({ url: '/api/v1/companies/harbor-lane/users', headers: annHeaders })
  await world.signIn(boss, { password: 'a password in the audit log?' })
  await world.signIn({ email: 'typed-my-password-here@example.com' })
  await world.app.inject({ method: 'POST', url: '/api/v1/companies/polar-bay/users', headers, payload: { email: 'n@example.com', name: 'N', role: 'read_only', password: 'one more secret phrase' } })
  await world.app.inject({ method: 'POST', url: '/api/v1/companies/polar-bay/api-keys', headers, payload: { label: 'k', scopes: ['config:read'] } })
  const base = '/api/v1/companies/polar-bay/audit'
  const listed = (await world.app.inject({ url: `${base}?limit=100`, headers })).json().items as { action: string; result: string; reason: string }[]
  t.same(
    listed.map((row) => `${row.action} ${row.result} ${row.reason}`.trim()),
    [
      'auth.login done', 'auth.login done', 'request.refused refused PERMISSION_DENIED', 'request.refused refused NOT_FOUND',
      'auth.login refused LOGIN_INVALID_CREDENTIALS', 'user.create done', 'api_key.create done',
    ],
  )
  t.match((await world.app.inject({ url: `${base}?action=user.create`, headers })).json().items, [{ target: /^user\//, details: { role: 'read_only' } }])
  const exported = await world.app.inject({ method: 'POST', url: `${base}/export`, headers, payload: {} })
  t.match(exported.headers, { 'content-type': 'application/x-ndjson', 'content-disposition': /audit-polar-bay\.jsonl/ })
  const lines = exported.body.trimEnd().split('\n').map((line) => JSON.parse(line) as { seq: number; hash: string })
  t.same(lines.map((line) => line.seq).slice(0, 7), [1, 2, 3, 4, 5, 6, 7])
  t.match((await world.app.inject({ method: 'POST', url: `${base}/verify`, headers })).json(), { companyId: 'polar-bay', intact: true })
  for (const report of await world.security.audit.verifyAll()) t.equal(report.intact, true)
  let everything = exported.body
  for await (const row of world.security.audit.rows(PLATFORM, {})) everything += JSON.stringify(row)
  for (const secret of [PASSWORD, 'a password in the audit log?', 'one more secret phrase', 'typed-my-password-here', String(login.accessToken), String(login.refreshToken), 'cvk.', 'argon2']) {
    t.notOk(everything.includes(secret), `no ${secret.slice(0, 12)}…`)
  }
})

void t.test('a person sees their sessions and ends them; an admin ends those of others', async (t) => {
  const world = await openWorld()
  const boss = await world.addUser('polar-bay', 'owner')
  const ann = await world.addUser('polar-bay', 'admin')
  const headers = await world.bearer(ann)
  const listed = (await world.app.inject({ url: '/api/v1/auth/sessions', headers })).json().items as { deviceId: string; current: boolean; live: boolean }[]
  t.match(listed, [{ current: true, live: true, endReason: null }])
  const admin = await world.bearer(boss)
  t.same((await world.app.inject({ method: 'DELETE', url: `/api/v1/companies/polar-bay/users/${ann.id}/sessions`, headers: admin })).json(), { ended: 1 })
  t.equal((await world.app.inject({ url: '/api/v1/auth/me', headers })).json().code, 'SESSION_ENDED')
  const again = await world.bearer(ann)
  t.equal((await world.app.inject({ method: 'DELETE', url: `/api/v1/auth/sessions/${listed[0]?.deviceId ?? ''}`, headers: again })).statusCode, 204)
  t.equal((await world.app.inject({ url: '/api/v1/auth/me', headers: again })).statusCode, 401)
  t.match((await world.app.inject({ url: `/api/v1/companies/polar-bay/users/${ann.id}/sessions`, headers: admin })).json().items, [{ live: false, endReason: 'ended-by-user' }])
})

void t.test('the OpenAPI document is clean to a linter that is not ours', async (t) => {
  const world = await openWorld()
  const source = (await world.app.inject({ url: '/openapi.json' })).body
  const problems = await lintFromString({ source, absoluteRef: 'openapi.json', config: await createConfig({ extends: ['recommended'] }) })
  t.same(problems.map((problem) => `${problem.ruleId} ${problem.message}`), [])
})

void t.test('the OpenAPI document is made from the schemas that validate, and a page renders it', async (t) => {
  const world = await openWorld()
  const document = documentSchema.parse((await world.app.inject({ url: '/openapi.json' })).json())
  t.equal(document.openapi, '3.1.0')
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path))
  t.ok(operations.length >= 28, `${operations.length} operations`)
  t.equal(new Set(operations.map((operation) => operation.operationId)).size, operations.length, 'each has a name of its own')
  const login = JSON.stringify(document.paths[`${API_PREFIX}/auth/login`])
  t.match(login, /"maxLength":254/)
  t.match((await world.app.inject({ url: '/docs/api/' })).body, /<html/i)
})
