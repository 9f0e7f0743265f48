import { hash, verify } from '@node-rs/argon2'
import t from 'tap'
import { addressGroup } from '../../src/security/client.ts'
import { checkTravel, clientAddress, distanceKm, openLocator } from '../../src/security/geo.ts'
import type { HashingEngine } from '../../src/security/passwords.ts'
import { auditOf, CA_ADDRESS, clientAt, GB_ADDRESS, openWorld, PASSWORD, RU_ADDRESS, US_ADDRESS, type World } from '../admin/admin-app.ts'
import { DeviceKey } from './device-key.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

void t.test('an owner signs in from a new laptop: it is taken on, and the reply has all that is needed', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  const laptop = await DeviceKey.create()
  const reply = await world.signIn(ann, { key: laptop, address: US_ADDRESS })
  t.equal(reply.statusCode, 200)
  t.match(reply.json(), { accessToken: /^ey/, refreshToken: /^cvr\./, expiresIn: 600, user: { id: ann.id, role: 'owner', companyId: 'polar-bay' } })
  t.notMatch(reply.body, 'argon2', 'no hash leaves')
  t.same((await auditOf(world, 'polar-bay')).map((line) => line.action), ['auth.device_registered', 'auth.login'])
  const stored = await world.security.store.sessions.get('polar-bay', ann.id, String(reply.json().deviceId))
  t.match(stored, { userId: ann.id, hardwareId: reply.json().deviceId, location: { country: 'US' }, ended: null })
})

void t.test('every step refuses with its own code, and the audit line names the step', async (t) => {
  const laptop = await DeviceKey.create()
  const cases = [
    { step: 'credentials', code: 'LOGIN_INVALID_CREDENTIALS', status: 401, how: { password: 'not the password', key: laptop, address: US_ADDRESS } },
    { step: 'hardware-lock', code: 'DEVICE_KEY_REQUIRED', status: 403, how: { address: US_ADDRESS } },
  ]
  for (const { step, code, status, how } of cases) {
    const world = await openWorld()
    const ann = await world.addUser('polar-bay', 'owner')
    const reply = await world.signIn(ann, how)
    t.equal(reply.statusCode, status)
    t.match(reply.json(), { code, status, traceId: /^[0-9a-f]{32}$/ })
    t.same(await auditOf(world, 'polar-bay'), [{ action: 'auth.login', result: 'refused', reason: code, step }])
  }
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  // The pipeline refuses a foreign address before the login is asked; the login refuses it all the same.
  const attempt = { email: ann.email, password: PASSWORD, device: null, client: clientAt(RU_ADDRESS) }
  await t.rejects(world.security.login.run(attempt), { code: 'LOCATION_REFUSED' })
  t.same(await auditOf(world, 'polar-bay'), [{ action: 'auth.login', result: 'refused', reason: 'LOCATION_REFUSED', step: 'location' }])
})

void t.test('a disabled person and a person who does not exist get the same answer', async (t) => {
  const world = await openWorld()
  const boss = await world.addUser('polar-bay', 'owner')
  const ann = await world.addUser('polar-bay', 'admin')
  await world.security.store.users.save('polar-bay', { ...ann, status: 'disabled' }, 1)
  const bodyOf = async (email: string): Promise<unknown> => {
    const reply = await world.signIn({ email })
    const { traceId: _, ...rest } = reply.json() as Record<string, unknown>
    return [reply.statusCode, rest]
  }
  t.same(await bodyOf(ann.email), await bodyOf('nobody@example.com'))
  t.same(await bodyOf(ann.email), [401, ((await bodyOf(boss.email.replace('person', 'other'))) as unknown[])[1]])
})

void t.test('T35: the time of an answer does not tell whether an account exists', async (t) => {
  // What takes the time is hashing, so the work is compared: milliseconds depend on what else the machine does.
  const checks: string[] = []
  const cost = { memoryKiB: 64, passes: 2, lanes: 1 }
  const hashing: HashingEngine = {
    concurrency: 2,
    hash,
    verify: (stored, password) => {
      checks.push(`${/m=.*?(?=\$)/.exec(stored)?.[0]} for ${password.length} characters`)
      return verify(stored, password)
    },
  }
  const world = await openWorld({ cost, hashing, policy: { limits: { ...unlimited } } })
  const ann = await world.addUser('polar-bay', 'owner')
  const workFor = async (email: string, password: string): Promise<readonly string[]> => {
    checks.length = 0
    t.equal((await world.signIn({ email }, { password })).statusCode, 401)
    return [...checks]
  }
  for (const password of ['not the password', 'x', 'a'.repeat(200)]) {
    const known = await workFor(ann.email, password)
    t.same(known.length, 1, 'one check of a password')
    t.match(known[0], /^m=64,t=2,p=1 for/, 'at the full price')
    t.same(await workFor('nobody@example.com', password), known)
  }
  const bob = await world.addUser('polar-bay', 'admin')
  await world.security.store.users.save('polar-bay', { ...bob, status: 'disabled' }, 1)
  t.same(await workFor(bob.email, 'not the password'), await workFor('nobody@example.com', 'not the password'))
})

const off = { free: 1_000_000, firstDelayMs: 1, maxDelayMs: 1, forgetAfterMs: MINUTE_MS }
const unlimited = { account: off, knownDevice: off, address: off, everywhere: off, passwordReset: off }

void t.test('T34: ten thousand guesses are a handful of tries, and the victim still signs in from a known device', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  const laptop = await DeviceKey.create()
  await world.signIn(ann, { key: laptop, address: US_ADDRESS })
  let checked = 0
  for (let guess = 0; guess < 10_000; guess += 1) {
    // A botnet: a new address each time, three guesses a second.
    const client = clientAt(`8.${(guess >> 16) & 255}.${(guess >> 8) & 255}.${guess & 255}`)
    const error: unknown = await world.security.login.run({ email: ann.email, password: `guess ${guess}`, device: null, client }).catch((caught: unknown) => caught)
    if (error instanceof Error && 'code' in error && error.code === 'LOGIN_INVALID_CREDENTIALS') checked += 1
    if (guess % 30 === 29) await world.clock.advance(10_000)
  }
  t.ok(checked <= 20, `${checked} of 10,000 guesses in 56 minutes reached the password`)
  const stranger = await world.signIn(ann, { key: await DeviceKey.create(), address: US_ADDRESS })
  t.equal(stranger.statusCode, 429)
  t.ok(Number(stranger.headers['retry-after']) > 0)
  t.equal((await world.signIn(ann, { key: laptop, address: US_ADDRESS })).statusCode, 200)
})

void t.test('T34: one address that tries many accounts is slowed down, and an IPv6 customer is one address', async (t) => {
  const world = await openWorld()
  let checked = 0
  for (let i = 0; i < 50; i += 1) {
    const client = { ...clientAt(US_ADDRESS), address: `2001:4860:4860::${i.toString(16)}` }
    const error: unknown = await world.security.login.run({ email: `p${i}@example.com`, password: 'x', device: null, client }).catch((caught: unknown) => caught)
    if (error instanceof Error && 'code' in error && error.code === 'LOGIN_INVALID_CREDENTIALS') checked += 1
  }
  t.equal(checked, 10)
  t.equal(addressGroup('2001:4860:4860::8888'), addressGroup('2001:4860:4860:0:1:2:3:4'))
  t.not(addressGroup('2001:4860:4860::1'), addressGroup('2001:4860:4861::1'))
})

void t.test('T30: of twenty logins at once one session is left, and the older ones hear that they were replaced', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  const laptop = await DeviceKey.create()
  await world.signIn(ann, { key: laptop, address: US_ADDRESS })
  const tablet = await DeviceKey.create()
  const waiting = await world.signIn(ann, { key: tablet, address: US_ADDRESS })
  const headers = await world.bearer(ann)
  t.equal((await world.app.inject({ method: 'POST', url: `/api/v1/auth/devices/${deviceIdOf(waiting)}/approve`, headers })).statusCode, 200)
  const replies = await Promise.all(
    Array.from({ length: 20 }, (_, i) => world.signIn(ann, i < 2 ? {} : { key: i % 2 === 0 ? laptop : tablet, address: US_ADDRESS })),
  )
  t.equal(replies.filter((reply) => reply.statusCode === 200).length, 20)
  const sessions = await world.security.sessions.list('polar-bay', ann.id)
  t.equal(sessions.filter((session) => world.security.sessions.isLive(session)).length, 1)
  const answers = await Promise.all(replies.map((reply) => world.app.inject({ url: '/api/v1/auth/me', headers: { authorization: `Bearer ${String(reply.json().accessToken)}` }, remoteAddress: '127.0.0.1' })))
  t.equal(answers.filter((answer) => answer.statusCode === 200).length, 1)
  t.equal(answers.filter((answer) => answer.statusCode === 401 && answer.json().code === 'SESSION_REPLACED').length, 19)
  const ids = new Set(replies.map((reply) => String(reply.json().accessToken)))
  t.equal(ids.size, 20, 'each login has a session id of its own')
})

void t.test('T30: where the policy is "deny", the second device is turned away while the first works', async (t) => {
  const world = await openWorld({ policy: { sessionConflict: 'deny' } })
  const ann = await world.addUser('polar-bay', 'owner')
  const laptop = await DeviceKey.create()
  t.equal((await world.signIn(ann, { key: laptop, address: US_ADDRESS })).statusCode, 200)
  const second = await world.signIn(ann, {})
  t.match([second.statusCode, second.json().code], [409, 'SESSION_CONFLICT'])
  t.equal((await world.signIn(ann, { key: laptop, address: US_ADDRESS })).statusCode, 200, 'the same device may sign in again')
  await world.clock.advance(31 * MINUTE_MS)
  t.equal((await world.signIn(ann, {})).statusCode, 200, 'an idle session blocks nobody')
  const race = await Promise.all([world.signIn(ann, { key: laptop, address: US_ADDRESS }), world.signIn(ann, { key: laptop, address: US_ADDRESS })])
  t.ok(race.every((reply) => reply.statusCode === 409))
})

function deviceIdOf(reply: Awaited<ReturnType<World['signIn']>>): string {
  return /\(device ([\w-]+)\)/.exec(String(reply.json().detail))?.[1] ?? ''
}

void t.test('T32: a copied device id is worth nothing without its key', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  const laptop = await DeviceKey.create()
  const thief = await DeviceKey.create()
  await world.signIn(ann, { key: laptop, address: US_ADDRESS })
  const login = (device: unknown, email = ann.email) =>
    world.app.inject({ method: 'POST', url: '/api/v1/auth/login', remoteAddress: US_ADDRESS, payload: { email, password: PASSWORD, device } })
  const stolen = { ...(await world.proof(thief, ann.email)), publicKey: laptop.publicKey }
  t.match([(await login(stolen)).statusCode, (await login(stolen)).json().code], [401, 'DEVICE_PROOF_INVALID'], "the victim's public key, the thief's signature")

  const good = await world.proof(laptop, ann.email)
  t.equal((await login(good)).statusCode, 200)
  t.equal((await login(good)).json().code, 'DEVICE_PROOF_INVALID', 'a proof that was overheard does not work again')
  t.equal((await login(await world.proof(laptop, 'bob@example.com'))).json().code, 'DEVICE_PROOF_INVALID', 'a proof for another account')
  const old = await world.proof(laptop, ann.email)
  await world.clock.advance(3 * MINUTE_MS)
  t.equal((await login(old)).json().code, 'DEVICE_PROOF_INVALID', 'a proof of three minutes ago')
  const own = await laptop.prove('login', ann.email, `${'a'.repeat(43)}.99999999999999.${'b'.repeat(43)}`)
  t.equal((await login(own)).json().code, 'DEVICE_PROOF_INVALID', 'a challenge that we never gave')
  const refreshProof = await laptop.prove('refresh', ann.email, world.security.proofs.challenge().challenge)
  t.equal((await login(refreshProof)).json().code, 'DEVICE_PROOF_INVALID', 'a proof made for a refresh')
  const offCurve = { ...(await world.proof(laptop, ann.email)), publicKey: { ...laptop.publicKey, x: 'A'.repeat(43) } }
  t.equal((await login(offCurve)).json().code, 'DEVICE_PROOF_INVALID', 'a point that is not on the curve')
})

void t.test('a second device waits for approval; a fourth finds no place; a revoked one is out at once; a reset is audited', async (t) => {
  const world = await openWorld()
  const boss = await world.addUser('polar-bay', 'owner')
  const ann = await world.addUser('polar-bay', 'admin')
  const keys = await Promise.all([1, 2, 3, 4].map(() => DeviceKey.create()))
  const from = (key: DeviceKey | undefined) => world.signIn(ann, { key: key ?? null, address: US_ADDRESS })
  const first = await from(keys[0])
  const own = { authorization: `Bearer ${String(first.json().accessToken)}` }
  const second = await from(keys[1])
  t.match([second.statusCode, second.json().code], [403, 'DEVICE_PENDING'])
  t.equal((await world.app.inject({ method: 'POST', url: `/api/v1/auth/devices/${deviceIdOf(second)}/approve`, headers: own, remoteAddress: US_ADDRESS })).statusCode, 200)
  const admin = await world.bearer(boss)
  const third = await from(keys[2])
  const base = `/api/v1/companies/polar-bay/users/${ann.id}`
  t.equal((await world.app.inject({ method: 'POST', url: `${base}/devices/${deviceIdOf(third)}/approve`, headers: admin })).statusCode, 200)
  t.equal((await from(keys[3])).json().code, 'DEVICE_LIMIT')
  const live = await from(keys[1])
  t.equal(live.statusCode, 200)
  const session = { authorization: `Bearer ${String(live.json().accessToken)}` }
  t.equal((await world.app.inject({ method: 'POST', url: `${base}/devices/${String(live.json().deviceId)}/revoke`, headers: admin })).statusCode, 200)
  const after = await world.app.inject({ url: '/api/v1/auth/me', headers: session, remoteAddress: US_ADDRESS })
  t.match([after.statusCode, after.json().code], [403, 'DEVICE_REVOKED'])
  t.equal((await from(keys[1])).json().code, 'DEVICE_REVOKED')
  const reset = await world.app.inject({ method: 'POST', url: `${base}/devices/reset`, headers: admin, payload: { reason: 'all laptops were stolen' } })
  t.same(reset.json(), { forgotten: 3 })
  t.equal((await from(keys[3])).statusCode, 200, 'the next device is the first again')
  t.ok((await auditOf(world, 'polar-bay')).some((line) => line.action === 'auth.devices_reset' && line.result === 'done'))
})

void t.test('T33: a made-up X-Forwarded-For changes nothing; an undeclared proxy is no loopback', async (t) => {
  t.equal(clientAddress(RU_ADDRESS, US_ADDRESS, 0), RU_ADDRESS)
  t.equal(clientAddress('10.0.0.2', `${US_ADDRESS}, ${RU_ADDRESS}`, 1), RU_ADDRESS, 'the last entry is the one that our proxy wrote')
  t.equal(clientAddress('10.0.0.2', `${US_ADDRESS}, ${RU_ADDRESS}, 10.0.0.3`, 2), RU_ADDRESS)
  t.equal(clientAddress('127.0.0.1', US_ADDRESS, 0), 'undeclared-proxy')
  t.equal(clientAddress('::ffff:127.0.0.1', '', 0), '127.0.0.1')
  t.equal(clientAddress(RU_ADDRESS, '127.0.0.1', 1), 'undeclared-proxy', 'who goes round the proxy writes the header themselves')
  t.equal(clientAddress('10.0.0.2', '::1', 1), 'undeclared-proxy')
  t.equal(clientAddress('127.0.0.1', '127.0.0.1', 1), '127.0.0.1', 'somebody at this machine, through a proxy at this machine')
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  const spoofed = await world.signIn(ann, { address: RU_ADDRESS, headers: { 'x-forwarded-for': '127.0.0.1' } })
  t.match([spoofed.statusCode, spoofed.json().code], [403, 'LOCATION_REFUSED'])
  const proxied = await world.signIn(ann, { headers: { 'x-forwarded-for': RU_ADDRESS } })
  t.match([proxied.statusCode, proxied.json().code], [403, 'LOCATION_UNKNOWN'])
})

void t.test('T33: without a database every country is unknown, which is refused and shown, never let through', async (t) => {
  const missing = await openLocator('/nowhere/country.mmdb')
  t.match(missing.problem, /cannot be read/)
  t.match(missing.locate(US_ADDRESS), { kind: 'unknown' })
  const world = await openWorld({ policy: { allowedCountries: ['*'] } })
  const attempt = { email: 'x@example.com', password: PASSWORD, device: null, client: { ...clientAt(US_ADDRESS), place: missing.locate(US_ADDRESS) } }
  const ann = await world.addUser('polar-bay', 'owner')
  await t.rejects(world.security.login.run({ ...attempt, email: ann.email }), { code: 'LOCATION_UNKNOWN' })
  const lenient = await openWorld({ policy: { unknownCountry: 'allow', keylessLogin: 'anywhere' } })
  await lenient.addUser('polar-bay', 'owner', 'kim@example.com')
  t.match(await lenient.security.login.run({ ...attempt, email: 'kim@example.com' }), { user: { email: 'kim@example.com' } }, 'unless the configuration says so')
  const embedded = await openLocator()
  t.equal(embedded.problem, null)
  t.ok(embedded.builtAt instanceof Date)
  t.equal(embedded.locate(GB_ADDRESS).country, 'GB')
  for (const nowhere of ['192.168.1.1', '172.16.0.1', '10.0.0.1', '198.51.100.1', 'fd00::1', 'fe80::1', 'rubbish', '']) t.equal(embedded.locate(nowhere).kind, 'unknown', nowhere)
})

void t.test('nobody is in New York and, an hour later, in London; eight hours later they may be', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  const laptop = await DeviceKey.create()
  await world.signIn(ann, { key: laptop, address: US_ADDRESS })
  await world.clock.advance(HOUR_MS)
  const early = await world.signIn(ann, { key: laptop, address: GB_ADDRESS })
  t.match([early.statusCode, early.json().code], [403, 'IMPOSSIBLE_TRAVEL'])
  t.equal((await world.signIn(ann, { key: laptop, address: CA_ADDRESS })).statusCode, 200, 'a border can be crossed in an hour')
  await world.clock.advance(7 * HOUR_MS)
  t.equal((await world.signIn(ann, { key: laptop, address: GB_ADDRESS })).statusCode, 200)
  const city = (latitude: number, longitude: number) => ({ kind: 'country' as const, country: 'US', latitude, longitude })
  t.ok(Math.abs((distanceKm(city(40.7, -74), city(51.5, -0.1)) ?? 0) - 5570) < 30, 'with positions the distance is exact')
  const at = (hours: number): string => new Date(hours * HOUR_MS).toISOString()
  t.throws(() => checkTravel({ at: at(0), place: city(40.7, -74) }, { at: at(3), place: city(34, -118) }, 900), { code: 'IMPOSSIBLE_TRAVEL' })
  t.doesNotThrow(() => checkTravel({ at: at(0), place: city(40.7, -74) }, { at: at(5), place: city(34, -118) }, 900))
})

void t.test('the first start makes one owner, with a password that is shown once or given; later starts change nothing', async (t) => {
  const world = await openWorld()
  const first = await world.security.users.ensureFirstOwner({ email: 'Boss@Example.com', password: null })
  t.match(first, { user: { email: 'boss@example.com', role: 'owner', companyId: 'platform' }, generatedPassword: /^[\w-]{24}$/ })
  t.equal((await world.signIn({ email: 'boss@example.com' }, { password: first?.generatedPassword ?? '' })).statusCode, 200)
  t.equal(await world.security.users.ensureFirstOwner({ email: 'other@example.com', password: PASSWORD }), null)
  const given = await openWorld()
  t.match(await given.security.users.ensureFirstOwner({ email: 'boss@example.com', password: PASSWORD }), { generatedPassword: null })
  await t.rejects((await openWorld()).security.users.ensureFirstOwner({ email: 'boss@example.com', password: 'admin' }), { code: 'INVALID_INPUT' })
})

