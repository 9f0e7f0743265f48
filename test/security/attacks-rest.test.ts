import t from 'tap'
import { connect, type AddressInfo } from 'node:net'
import { buildServer, Readiness } from '../../src/server.ts'
import { openWorld, PASSWORD, US_ADDRESS } from '../admin/admin-app.ts'
import { openCompanyWorld, type CompanyWorld } from '../admin-resources/company-world.ts'

type Operation = Readonly<{ method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'; path: string; url: string; takesBody: boolean }>

/** Every operation that the document names, with something in each place of its path. */
async function operationsOf({ app }: CompanyWorld): Promise<readonly Operation[]> {
  const { paths } = (await app.inject('/openapi.json')).json() as { paths: Record<string, Record<string, { requestBody?: unknown }>> }
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({
      method: method.toUpperCase() as Operation['method'],
      path,
      url: path.replace('{companyId}', 'polar-bay').replace('{version}', '1').replace(/\{\w+\}/g, 'none'),
      takesBody: operation.requestBody !== undefined,
    })),
  )
}

t.test('T52 every operation of the API, refused or not, forbids framing, sniffing, keeping and other origins, and sets no cookie', async (t) => {
  const world = await openCompanyWorld()
  const operations = await operationsOf(world)
  t.ok(operations.length > 70, `${operations.length} operations`)
  const bad: string[] = []
  for (const { method, url } of operations) {
    const reply = await world.app.inject({ method, url, headers: { origin: 'https://evil.example.com', cookie: 'session=x' }, ...(method === 'GET' ? {} : { payload: {} }) })
    const { headers } = reply
    const isSafe =
      /default-src 'none'.*frame-ancestors 'none'/.test(String(headers['content-security-policy'])) && headers['x-frame-options'] === 'DENY' &&
      headers['x-content-type-options'] === 'nosniff' && headers['cache-control'] === 'no-store' && headers['referrer-policy'] === 'no-referrer' &&
      headers['set-cookie'] === undefined && headers['access-control-allow-origin'] === undefined && headers['access-control-allow-credentials'] === undefined
    if (!isSafe) bad.push(`${method} ${url} ${reply.statusCode}`)
  }
  t.same(bad, [])
})

t.test('T52 a page that somebody is lured to cannot act for them: neither cookie nor form body nor query is a credential', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  const { authorization } = await world.bearer(ann)
  const token = authorization.replace('Bearer ', '')
  const lured = [
    { method: 'POST' as const, url: '/api/v1/auth/logout', headers: { cookie: `authorization=${token}; accessToken=${token}` } },
    { method: 'POST' as const, url: `/api/v1/auth/logout?access_token=${token}`, headers: {} },
    { method: 'POST' as const, url: '/api/v1/auth/logout', headers: { 'content-type': 'application/x-www-form-urlencoded' }, payload: `access_token=${token}` },
    { method: 'POST' as const, url: '/api/v1/auth/logout', headers: { authorization: `Basic ${token}` } },
  ]
  for (const request of lured) t.match((await world.app.inject(request)).json(), { status: 401, code: 'TOKEN_MISSING' })
  t.equal((await world.app.inject({ url: '/api/v1/auth/me', headers: { authorization } })).statusCode, 200, 'the session is untouched')
})

t.test('T53 a body beyond its limit is refused by every operation that takes one, before anything is done', async (t) => {
  const world = await openCompanyWorld()
  const owner = await world.bearer(await world.addUser('polar-bay', 'owner'))
  const writes = (await operationsOf(world)).filter((operation) => operation.takesBody)
  t.ok(writes.length > 25, `${writes.length} operations`)
  const passed: string[] = []
  for (const { method, url, path } of writes) {
    // Knowledge and calendars come in whole files: these say a larger limit of their own.
    const takesFiles = path.endsWith('-import') || path.endsWith('/file')
    const payload = `{"x":"${'y'.repeat(takesFiles ? 12_000_000 : 70_000)}"}`
    const reply = await world.app.inject({ method, url, headers: { ...owner, 'content-type': 'application/json', 'if-match': '"v1"' }, payload })
    // What only the platform may do is refused before its body is looked at.
    if (reply.statusCode !== 413 && !(reply.statusCode === 403 && url === '/api/v1/companies')) passed.push(`${method} ${url}: ${reply.statusCode}`)
  }
  t.same(passed, [])
})

t.test('T53 a client that is slow on purpose has a deadline', async (t) => {
  const { server } = await serverOf({ metrics: 0 })
  t.equal(server.requestTimeout, 10_000)
  t.ok(server.timeout > 0 && server.timeout <= 20_000, 'a silent connection')
  t.ok(server.headersTimeout > 0 && server.headersTimeout <= 60_000)
})

t.test('T53 one who signs in too often holds up neither others nor themselves elsewhere', async (t) => {
  const world = await openWorld({ deps: { rateTiers: { login: 3, anonymous: 100, bearer: 100, signedIn: 100 } } })
  const ann = await world.addUser('polar-bay', 'owner')
  const headers = await world.bearer(ann)
  for (let i = 0; i < 5; i += 1) await world.signIn(ann)
  t.match((await world.signIn(ann)).json(), { status: 429, code: 'RATE_LIMITED' })
  t.not((await world.signIn(ann, { address: US_ADDRESS })).statusCode, 429, 'another address')
  t.not((await world.app.inject({ url: '/api/v1/auth/me', headers })).statusCode, 429, 'a session that exists')
})

async function serverOf(counts: { metrics: number }): Promise<ReturnType<typeof buildServer>> {
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const readiness = new Readiness()
  readiness.part('store', () => ({ ok: false, detail: 'disk /var/lib/clientsvia is full' }))
  readiness.ready()
  const app = buildServer({
    logger: quiet,
    readiness,
    metrics: async () => {
      counts.metrics += 1
      return { contentType: 'text/plain', body: 'clientsvia_calls_active 3' }
    },
    callRecord: async () => null,
    stats: () => ({ heapBytes: 1 }),
  })
  app.get('/breaks', async () => {
    throw new Error(`cannot open /etc/secret with ${PASSWORD}`)
  })
  await app.ready()
  return app
}

t.test('T54 metrics, figures and call records are for this machine alone, whatever a header claims', async (t) => {
  const counts = { metrics: 0 }
  const app = await serverOf(counts)
  const inside = ['/metrics', '/internal/stats', '/internal/calls/CA1']
  for (const url of inside) {
    const strangers = [
      { remoteAddress: US_ADDRESS, headers: {} },
      { remoteAddress: US_ADDRESS, headers: { host: 'localhost', 'x-real-ip': '127.0.0.1' } },
      { remoteAddress: '127.0.0.1', headers: { 'x-forwarded-for': '127.0.0.1' } },
      { remoteAddress: '127.0.0.1', headers: { forwarded: 'for=127.0.0.1' } },
      { remoteAddress: '::ffff:8.8.8.8', headers: {} },
    ]
    for (const stranger of strangers) t.match(await app.inject({ url, ...stranger }), { statusCode: 404, body: /NOT_FOUND/ }, `${url} ${JSON.stringify(stranger)}`)
  }
  t.equal(counts.metrics, 0, 'nothing was even counted for them')
  t.equal((await app.inject({ method: 'TRACE', url: '/metrics' })).statusCode, 404, 'nor is a request mirrored')
  t.equal((await app.inject({ url: '/metrics', remoteAddress: '127.0.0.1' })).statusCode, 200)
})

t.test('T54 a stranger hears that the server is not ready, never why; and of an error never what broke', async (t) => {
  const app = await serverOf({ metrics: 0 })
  const outside = await app.inject({ url: '/readyz', remoteAddress: US_ADDRESS })
  t.equal(outside.statusCode, 503)
  t.same(outside.json(), { status: 'unavailable' })
  t.match((await app.inject({ url: '/readyz' })).json(), { parts: { store: { ok: false } } }, 'this machine is told')
  const broken = await app.inject({ url: '/breaks', remoteAddress: US_ADDRESS })
  t.equal(broken.statusCode, 500)
  t.match(broken.json(), { type: 'urn:clientsvia:problem:internal-error', status: 500, code: 'INTERNAL_ERROR', traceId: /^[0-9a-f]{32}$/ })
  t.notMatch(broken.body, /secret|heron/)
  t.notMatch(JSON.stringify(broken.headers), /fastify|node/i, 'nor what the server is made of')
})

t.test('T24 what one person was answered under an Idempotency-Key is replayed to nobody else', async (t) => {
  const { as } = await openCompanyWorld()
  const headers = { 'idempotency-key': 'the-same-key-for-all' }
  const question = { text: 'what is your mascot called' }
  const own = await (await as('polar-bay', 'owner'))('POST', '/companies/polar-bay/try', question, headers)
  t.match(own.body, /glacierfox/)
  const colleague = await (await as('polar-bay', 'admin'))('POST', '/companies/polar-bay/try', question, headers)
  t.equal(colleague.headers['idempotent-replayed'], undefined)
  const other = await (await as('harbor-lane', 'owner'))('POST', '/companies/harbor-lane/try', question, headers)
  t.match(other.body, /molarwhale/)
  t.notMatch(other.body, /glacierfox/)
  const again = await (await as('polar-bay', 'owner'))('POST', '/companies/polar-bay/try', question, headers)
  t.equal(again.headers['idempotent-replayed'], 'true', 'the asker gets it back')
})

t.test('T24 a talk in one company\'s test console cannot be carried on in another\'s, nor be rewritten', async (t) => {
  const { as } = await openCompanyWorld()
  const polar = await as('polar-bay', 'owner')
  const harbor = await as('harbor-lane', 'owner')
  const { continueWith } = (await polar('POST', '/companies/polar-bay/try', { text: 'what is your mascot called' })).json() as { continueWith: string }
  t.equal((await polar('POST', '/companies/polar-bay/try', { text: 'say that again', continueWith })).statusCode, 200)
  const carried = await harbor('POST', '/companies/harbor-lane/try', { text: 'say that again', continueWith })
  t.equal(carried.statusCode, 400)
  t.notMatch(carried.body, /glacierfox/)
  const [text = '', seal = ''] = continueWith.split('.')
  const forged = `${Buffer.from(Buffer.from(text, 'base64url').toString().replace('glacierfox', 'free tune-ups')).toString('base64url')}.${seal}`
  t.equal((await polar('POST', '/companies/polar-bay/try', { text: 'say that again', continueWith: forged })).statusCode, 400)
})

t.test('T13 T26 a body that reaches for a prototype, or for a field that is not its sender\'s to set, is refused', async (t) => {
  const world = await openCompanyWorld()
  const headers = { ...(await world.bearer(await world.addUser('polar-bay', 'owner'))), 'content-type': 'application/json', 'if-match': '"v1"' }
  const patch = (payload: string) => world.app.inject({ method: 'PATCH', url: '/api/v1/companies/polar-bay', headers, payload })
  for (const payload of ['{"__proto__":{"polluted":1}}', '{"variables":{"__proto__":{"polluted":1}}}', '{"variables":{"constructor":{"prototype":{"polluted":1}}}}']) {
    t.equal((await patch(payload)).statusCode, 400, payload)
  }
  t.equal(Reflect.get({}, 'polluted'), undefined)
  for (const field of ['id', 'version', 'createdAt', 'updatedAt', 'companyId', 'owner', 'role']) {
    const reply = await patch(`{"${field}":"harbor-lane"}`)
    t.equal(reply.statusCode, 400)
    t.match(reply.json().errors, [{ field }])
  }
})

/** One request as bytes, and all that comes back. */
function asBytes(port: number, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request))
    let answer = ''
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => (answer += text))
    socket.on('end', () => resolve(answer))
    socket.on('error', reject)
  })
}

t.test('T54 what ends before any route is asked is a problem document too, and names no library', async (t) => {
  const app = await serverOf({ metrics: 0 })
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  const cases = [
    { request: 'GET /api/v1/%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', want: [400, 'PATH_MALFORMED'] },
    { request: `GET /internal/calls/${'a'.repeat(300)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, want: [414, 'PATH_TOO_LONG'] },
    { request: 'GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', want: [404, 'NOT_FOUND'] },
    { request: `GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(20_000)}\r\n\r\n`, want: [431, 'HEADERS_TOO_LARGE'] },
    { request: 'GARBAGE\r\n\r\n', want: [400, 'BAD_REQUEST'] },
  ]
  for (const { request, want } of cases) {
    const [head = '', body = ''] = (await asBytes(port, request)).split('\r\n\r\n')
    const problem = JSON.parse(body)
    t.match(head, new RegExp(`^HTTP/1.1 ${want[0]} `))
    t.match(head, /content-type: application\/problem\+json/i)
    t.match(problem, { type: /^urn:/, title: /\w/, status: want[0], detail: /\w/, code: want[1], traceId: /^[0-9a-f]{32}$/ }, String(want[1]))
    t.notMatch(head + body, /FST_|fastify|node/i)
  }
})
