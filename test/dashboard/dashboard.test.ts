import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { oidcRoutes, signInMethodRoutes } from '../../src/admin/oidc-routes.ts'
import type { AdminDeps } from '../../src/admin/pipeline.ts'
import { DASHBOARD_PATH, registerDashboard } from '../../src/dashboard/dashboard.ts'
import { OidcSignIn } from '../../src/security/oidc.ts'
import { openWorld, PASSWORD, type World } from '../admin/admin-app.ts'
import { CALLBACK_URL, CLIENT_ID, CLIENT_SECRET, OidcIssuer } from '../support/oidc-issuer.ts'

const PAGE = join(import.meta.dirname, '../../src/dashboard/page')
const FILES = readdirSync(PAGE, { recursive: true, encoding: 'utf8' }).filter((name) => /\.\w+$/.test(name))
const text = (name: string): string => readFileSync(join(PAGE, name), 'utf8')
/** The page's modules are for browsers; those that need no document run here too. */
const load = async <T>(name: string): Promise<T> => (await import(join(PAGE, name))) as T

async function served(t: Test): Promise<FastifyInstance> {
  const app = Fastify({ routerOptions: { ignoreTrailingSlash: true } })
  await registerDashboard(app)
  t.teardown(() => app.close())
  return app
}

t.test('T52: every file of the dashboard comes with a policy that lets in nothing but the dashboard', async (t) => {
  const app = await served(t)
  for (const path of ['', '/', ...FILES.map((name) => `/${name}`)]) {
    const reply = await app.inject(`${DASHBOARD_PATH}${path}`)
    t.equal(reply.statusCode, 200, path)
    const policy = Object.fromEntries(String(reply.headers['content-security-policy']).split('; ').map((part) => [part.split(' ')[0] ?? '', part.split(' ').slice(1).join(' ')]))
    t.match(policy, { 'default-src': "'none'", 'script-src': "'self'", 'style-src': "'self'", 'connect-src': "'self'", 'frame-ancestors': "'none'", 'base-uri': "'none'", 'form-action': "'none'" }, path)
    t.notMatch(String(reply.headers['content-security-policy']), /unsafe|\*|https?:|data:/)
    t.match(reply.headers, { 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer', 'cross-origin-opener-policy': 'same-origin' })
    t.equal(reply.headers['set-cookie'], undefined)
  }
  t.match((await app.inject(DASHBOARD_PATH)).headers['content-type'], /text\/html/)
  t.match((await app.inject(`${DASHBOARD_PATH}/main.js`)).headers['content-type'], /javascript/)
})

t.test('nothing beside the page is served with it', async (t) => {
  const app = await served(t)
  for (const path of ['/../dashboard.ts', '/%2e%2e/dashboard.ts', '/..%2f..%2fconfig.ts', '/views/', '/none.js', '/.git/config', '//etc/passwd']) {
    t.ok([400, 403, 404].includes((await app.inject(`${DASHBOARD_PATH}${path}`)).statusCode), path)
  }
})

t.test('the page has no inline code or style, loads nothing from elsewhere, and never makes markup of text', async (t) => {
  const html = text('index.html')
  t.notMatch(html, /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:/i)
  for (const name of FILES) {
    // The namespace of SVG is a name, not an address.
    t.notMatch(text(name).replaceAll('http://www.w3.org/2000/svg', ''), /(https?:)?\/\/[a-z0-9-]+\.[a-z]{2,}/i, `${name} names no other server`)
    if (name.endsWith('.js')) t.notMatch(text(name), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|localStorage|document\.cookie/, name)
  }
  const imported = FILES.filter((name) => name.endsWith('.js')).flatMap((name) => [...text(name).matchAll(/from '([^']+)'/g)].map(([, path = '']) => join(name, '..', path)))
  t.same(imported.filter((path) => !FILES.includes(path)), [], 'and every module that is asked for is there')
})

t.test('what is written can be read, by day and by night: 4.5 to 1 at least', async (t) => {
  const css = text('style.css')
  const colours = (block: string): Map<string, string> => new Map([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6})/g)].map(([, name = '', value = '']) => [name, value]))
  const day = colours(css.slice(0, css.indexOf('@media (prefers-color-scheme: dark)')))
  const night = new Map([...day, ...colours(css.slice(css.indexOf('@media (prefers-color-scheme: dark)')))])
  const lightness = (hex: string): number => {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((share) => (share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const pairs = [...['ink', 'soft', 'accent', 'good', 'warn', 'bad'].flatMap((ink) => [[ink, 'ground'], [ink, 'card']]), ['soft', 'line'], ['warn', 'line'], ['bad', 'line'], ['accent', 'accent-soft'], ['ink', 'caller'], ['ink', 'agent']] as const
  for (const [when, palette] of [['day', day], ['night', night]] as const) {
    for (const [ink = '', ground = ''] of pairs) {
      const [one = 0, other = 0] = [palette.get(ink) ?? '', palette.get(ground) ?? ''].map(lightness).sort((a, b) => b - a)
      t.ok((one + 0.05) / (other + 0.05) >= 4.5, `${ink} on ${ground} by ${when}: ${((one + 0.05) / (other + 0.05)).toFixed(2)}`)
    }
  }
})

t.test('server-sent events are read whole, however the network cuts them', async (t) => {
  const { EventReader } = await load<{ EventReader: new () => { push: (text: string) => { kind: string; id: string; data: string }[]; lastEventId: string } }>('events.js')
  const stream = ': connected\n\nid: 7\nevent: call.started\ndata: {"callSid":"CA1"}\n\n: still here\n\nid: 8\nevent: turn.finished\ndata: {"heard":"caf\u00e9"}\r\n\r\nevent: session.ended\ndata: {}\n\n'
  const whole = (): void => fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 30 }), (cuts) => {
      const reader = new EventReader()
      const edges = [0, ...cuts.sort((a, b) => a - b), stream.length]
      const events = edges.slice(1).flatMap((to, index) => reader.push(stream.slice(edges[index], to)))
      return JSON.stringify(events.map(({ kind, id }) => [kind, id])) === '[["call.started","7"],["turn.finished","8"],["session.ended","8"]]' && reader.lastEventId === '8'
    }),
  )
  t.doesNotThrow(whole)
})

t.test('a waterfall shows all of the silence, to one scale, and hides nothing that no stage accounts for', async (t) => {
  type Turn = { gapMs: number | null; stages: { stage: string; ms: number }[] }
  const { segmentsOf, scaleOf } = await load<{ segmentsOf: (turn: Turn, scaleMs: number) => { stage: string; ms: number; startShare: number; widthShare: number }[]; scaleOf: (turns: Turn[]) => number }>('waterfall.js')
  const turn = { gapMs: 900, stages: [{ stage: 'endpoint', ms: 300 }, { stage: 'other', ms: 1 }, { stage: 'other', ms: 2 }, { stage: 'knowledge', ms: 0 }, { stage: 'synthesis', ms: 500 }] }
  t.same(segmentsOf(turn, 1800).map(({ stage, ms }) => [stage, ms]), [['endpoint', 300], ['other', 3], ['synthesis', 500], ['other', 97]])
  t.equal(segmentsOf(turn, 1800)[0]?.widthShare, 300 / 1800)
  t.equal(segmentsOf(turn, 1800).reduce((sum, { widthShare }) => sum + widthShare, 0), 0.5)
  t.equal(scaleOf([turn, { gapMs: null, stages: [] }]), 1000, 'a second at least')
  t.equal(scaleOf([turn, { gapMs: 2400, stages: [] }]), 2400)
  t.same(segmentsOf({ gapMs: null, stages: [] }, 1000), [])
})

t.test('an address leads to its page, and a strange one to the live view', async (t) => {
  const { routeOf } = await load<{ routeOf: (hash: string) => { page: string; callSid: string | null } }>('routes.js')
  t.same(routeOf('#/calls/CA%201'), { page: 'call', callSid: 'CA 1' })
  t.same(routeOf('#/knowledge'), { page: 'knowledge', callSid: null })
  t.same(routeOf('#/bookings'), { page: 'bookings', callSid: null })
  for (const strange of ['', '#', '#/constructor', '#/../x']) t.equal(routeOf(strange).page, 'live', strange)
})

type DashboardApi = {
  methods: () => Promise<{ oidc: boolean }>
  beginOidc: () => Promise<string>
  finishOidc: (query: URLSearchParams) => Promise<void>
  user: { email: string; permissions: string[] } | null
  onSignedOut: (why: string) => void
  signIn: (email: string, password: string) => Promise<void>
  resume: () => Promise<boolean>
  signOut: () => Promise<void>
  get: (path: string) => Promise<{ email: string }>
  forgot: (email: string) => Promise<void>
  resetPassword: (token: string, newPassword: string) => Promise<void>
}

/** What the page finds in a browser, as far as it needs it; the server behind `fetch` is the real one. */
function asBrowser(t: Test, world: World): { sent: string[]; tabs: Map<string, string> } {
  const sent: string[] = []
  const tabs = new Map<string, string>()
  const keys = new Map<string, unknown>()
  const request = <T>(result: T): { result: T; onsuccess?: () => void } => {
    const made: { result: T; onsuccess?: () => void } = { result }
    setImmediate(() => made.onsuccess?.())
    return made
  }
  const store = { get: (key: string) => request(keys.get(key)), put: (value: unknown, key: string) => request(keys.set(key, value)) }
  const outside = globalThis.fetch
  const globals: Record<string, unknown> = {
    sessionStorage: { getItem: (key: string) => tabs.get(key) ?? null, setItem: (key: string, value: string) => tabs.set(key, value), removeItem: (key: string) => tabs.delete(key) },
    indexedDB: { open: () => request({ transaction: () => ({ objectStore: () => store }), close: () => undefined }) },
    fetch: async (path: string, init: RequestInit) => {
      // What the server itself asks of others.
      if (!path.startsWith('/')) return outside(path, init)
      sent.push(`${init.method} ${path}`)
      const reply = await world.app.inject({ method: init.method as 'GET', url: path, headers: init.headers as Record<string, string>, ...(init.body === undefined ? {} : { payload: String(init.body) }) })
      return new Response(reply.statusCode === 204 ? null : reply.payload, { status: reply.statusCode, headers: { 'content-type': String(reply.headers['content-type'] ?? '') } })
    },
  }
  for (const [name, value] of Object.entries(globals)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name)
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
    t.teardown(() => (before === undefined ? Reflect.deleteProperty(globalThis, name) : Object.defineProperty(globalThis, name, before)))
  }
  return { sent, tabs }
}

t.test('somebody signs in with the key of their browser, stays signed in over a reload, and is out after signing out', async (t) => {
  const world = await openWorld({ policy: { keylessLogin: 'never' } })
  const { sent, tabs } = asBrowser(t, world)
  const user = await world.addUser('polar-bay', 'admin', 'robin@example.com')
  const { Api } = await load<{ Api: new () => DashboardApi }>('api.js')
  const api = new Api()
  await t.rejects(api.signIn(user.email, 'not the password'), { code: 'LOGIN_INVALID_CREDENTIALS' })
  await api.signIn('Robin@Example.com', PASSWORD)
  t.equal(api.user?.email, user.email)
  t.equal((await api.get('/auth/me')).email, user.email)
  const [device] = await world.security.store.devices.list('polar-bay', user.id)
  t.match(device, { state: 'approved', label: / on / })

  const reloaded = new Api()
  t.equal(await reloaded.resume(), true, 'the refresh token and the key bring the tab back')
  t.ok(sent.includes('POST /api/v1/auth/refresh'))
  await world.clock.advance(11 * 60_000)
  const before = sent.length
  await Promise.all([reloaded.get('/auth/me'), reloaded.get('/auth/me'), reloaded.get('/auth/me')])
  t.equal(sent.slice(before).filter((line) => line.endsWith('/auth/refresh')).length, 1, 'a token that ran out is renewed once for all who wait')

  let notice = ''
  reloaded.onSignedOut = (why) => (notice = why)
  await reloaded.signOut()
  t.match(notice, /signed out/)
  t.equal(tabs.size, 0)
  await t.rejects(reloaded.get('/auth/me'), { message: 'please sign in' })
  t.equal(await new Api().resume(), false)
})

t.test('somebody who forgot their password gets a link from the page, sets another with it once, and signs in', async (t) => {
  const world = await openWorld({ policy: { keylessLogin: 'never' } })
  asBrowser(t, world)
  const user = await world.addUser('polar-bay', 'admin', 'robin@example.com')
  const { Api } = await load<{ Api: new () => DashboardApi }>('api.js')
  const api = new Api()
  await api.forgot('nobody@example.com')
  await api.forgot(user.email)
  await world.clock.advance(10)
  await world.security.passwords.settled()
  t.equal(world.sent.length, 1)
  const token = world.sent[0]?.token ?? ''
  await t.rejects(api.resetPassword(token, 'short'), { code: 'INVALID_INPUT' }, 'a poor password does not use the link up')
  await api.resetPassword(token, 'a brand new long phrase')
  await t.rejects(api.resetPassword(token, 'another brand new phrase'), { code: 'LINK_INVALID' })
  await api.signIn(user.email, 'a brand new long phrase')
  t.equal(api.user?.email, user.email)
})

t.test('somebody signs in through their provider with the key of their browser; a return that was not begun in this tab is nothing', async (t) => {
  let now = (): Date => new Date(0)
  const provider = await OidcIssuer.open(() => now())
  t.teardown(() => provider.close())
  const oidc = (of: Pick<AdminDeps, 'security' | 'clock'>): OidcSignIn =>
    new OidcSignIn({
      issuer: provider.issuer, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, callbackUrl: CALLBACK_URL, login: of.security.login, spent: of.security.store.links,
      clock: of.clock, key: new Uint8Array(32).fill(5), report: () => undefined,
    })
  const world = await openWorld({ policy: { keylessLogin: 'never' }, resources: [signInMethodRoutes(true), (api, deps) => oidcRoutes(oidc(deps))(api, deps)] })
  now = () => world.clock.wallTime()
  const { tabs } = asBrowser(t, world)
  const user = await world.addUser('polar-bay', 'admin', 'robin@example.com')
  const { Api } = await load<{ Api: new () => DashboardApi }>('api.js')
  const api = new Api()
  t.same(await api.methods(), { password: true, oidc: true })
  const person = { sub: 'robin', email: 'robin@example.com', email_verified: true }
  const back = async (): Promise<URLSearchParams> => new URLSearchParams(provider.authorize(await api.beginOidc(), person) as unknown as Record<string, string>)
  const stolen = await back()
  tabs.clear()
  await t.rejects(api.finishOidc(stolen), { message: /not begun here/ })
  await t.rejects(back().then(() => api.finishOidc(new URLSearchParams({ error: 'access_denied', state: 'x' }))), { message: /did not let you in/ })
  await api.finishOidc(await back())
  t.equal(api.user?.email, user.email)
  t.equal((await api.get('/auth/me')).email, user.email)
  t.match(await world.security.store.devices.list('polar-bay', user.id), [{ state: 'approved' }], 'the browser is known from now on')
})
