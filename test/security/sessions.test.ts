import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import t from 'tap'
import { ConsoleNotifier } from '../../src/security/notifier.ts'
import { ARGON2_COST, PasswordHasher, passwordProblem } from '../../src/security/passwords.ts'
import { readOrCreateSecret } from '../../src/security/secret-file.ts'
import { parseKeyRing, Tokens } from '../../src/security/tokens.ts'
import { auditOf, CHEAP, openWorld, PASSWORD, US_ADDRESS } from '../admin/admin-app.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { DeviceKey } from './device-key.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

void t.test('T28: a token is ours only with our key, our algorithm, our type, our issuer, our audience, and every claim', async (t) => {
  const clock = new VirtualClock()
  const secret = new Uint8Array(Buffer.from('a signing secret of more than thirty-two bytes'))
  const options = { ring: [{ kid: 'k1', secret }], issuer: 'https://voice.example.com', audience: 'clientsvia-api', clock }
  const tokens = new Tokens(options)
  const claims = { userId: 'u', companyId: 'a', deviceId: 'd', sessionId: 's', sessionVersion: 1 }
  t.same(await tokens.verifyAccess(await tokens.issueAccess(claims, 600_000)), claims)
  const now = Math.floor(clock.wallTime().getTime() / 1000)
  type Header = { alg: string; typ?: string; kid?: string; [more: string]: unknown }
  const forge = (header: Header, changes: (token: SignJWT) => void = () => undefined, key: Parameters<SignJWT['sign']>[0] = secret) => {
    const token = new SignJWT({ cid: 'a', did: 'd', sid: 's', sv: 1 }).setProtectedHeader(header).setSubject('u').setIssuer(options.issuer).setAudience(options.audience)
      .setIssuedAt(now).setExpirationTime(now + 600)
    changes(token)
    return token.sign(key)
  }
  const good = { alg: 'HS256', typ: 'at+jwt', kid: 'k1' }
  t.same(await tokens.verifyAccess(await forge(good)), claims, 'the forger makes good tokens when given the key')
  const rsa = await generateKeyPair('RS256', { extractable: true })
  const forgeries: [string, string][] = [
    ['no signature at all', new UnsecuredJWT({ cid: 'a', did: 'd', sid: 's', sv: 1 }).setSubject('u').setIssuer(options.issuer).setAudience(options.audience).setIssuedAt(now).setExpirationTime(now + 600).encode()],
    ['another HMAC', await forge({ ...good, alg: 'HS512' }, undefined, new Uint8Array(64).fill(1))],
    ['another HMAC with our key', await forge({ ...good, alg: 'HS384' }, undefined, new Uint8Array([...secret, ...secret]))],
    ['a public-key signature', await forge({ ...good, alg: 'RS256' }, undefined, rsa.privateKey)],
    ['a key that travels with the token', await forge({ ...good, jwk: await exportJWK(rsa.publicKey) }, undefined, new Uint8Array(32).fill(1))],
    ['a key from an address', await forge({ ...good, jku: 'https://evil.example.com/keys', kid: 'evil' })],
    ['a foreign kid', await forge({ ...good, kid: 'k2' })],
    ['no kid', await forge({ alg: 'HS256', typ: 'at+jwt' })],
    ['another type', await forge({ ...good, typ: 'bg+jwt' })],
    ['no type', await forge({ alg: 'HS256', kid: 'k1' })],
    ['another issuer', await forge(good, (token) => void token.setIssuer('https://evil.example.com'))],
    ['another audience', await forge(good, (token) => void token.setAudience('other'))],
    ['a break-glass token', await tokens.issueBreakGlass({ granteeUserId: 'u', companyId: 'a', grantId: 'g' }, 600_000)],
    ['rubbish', 'a.b.c'],
  ]
  for (const [what, token] of forgeries) await t.rejects(tokens.verifyAccess(token), { code: 'TOKEN_INVALID' }, what)
  const noEnd = await new SignJWT({ cid: 'a', did: 'd', sid: 's', sv: 1 }).setProtectedHeader(good).setSubject('u').setIssuer(options.issuer).setAudience(options.audience).setIssuedAt(now).sign(secret)
  await t.rejects(tokens.verifyAccess(noEnd), { code: 'TOKEN_INVALID' }, 'a token that never ends')
  const noSession = await new SignJWT({ cid: 'a' }).setProtectedHeader(good).setSubject('u').setIssuer(options.issuer).setAudience(options.audience).setIssuedAt(now).setExpirationTime(now + 60).sign(secret)
  await t.rejects(tokens.verifyAccess(noSession), { code: 'TOKEN_INVALID' }, 'a token of no session')
  const aging = await tokens.issueAccess(claims, 600_000)
  await clock.advance(606_000)
  await t.rejects(tokens.verifyAccess(aging), { code: 'TOKEN_EXPIRED' })
  const rotated = new Tokens({ ...options, ring: [{ kid: 'k2', secret: new Uint8Array(32).fill(3) }, { kid: 'k1', secret }] })
  const before = await tokens.issueAccess(claims, 600_000)
  t.same(await rotated.verifyAccess(before), claims, 'after a new key is put in front, tokens of the old one live on')
  await t.rejects(tokens.verifyAccess(await rotated.issueAccess(claims, 600_000)), { code: 'TOKEN_INVALID' })
})

void t.test('a secret that is too short, missing or named twice stops the start, by name', async (t) => {
  t.throws(() => parseKeyRing('k1:short', 'JWT_KEYS'), { code: 'CONFIG_INVALID', message: /JWT_KEYS: key "k1" has 5 bytes, at least 32/ })
  t.throws(() => parseKeyRing('', 'JWT_KEYS'), { code: 'CONFIG_INVALID' })
  t.throws(() => parseKeyRing('nokid', 'JWT_KEYS'), { code: 'CONFIG_INVALID', message: /kid:secret/ })
  const long = 'x'.repeat(32)
  t.throws(() => parseKeyRing(`k1:${long},k1:${long}`, 'JWT_KEYS'), { code: 'CONFIG_INVALID', message: /twice/ })
  t.same(parseKeyRing(`k2:${long}, k1:${long}`, 'JWT_KEYS').map((key) => key.kid), ['k2', 'k1'])
})

void t.test('an installation without configured secrets makes one at its first start and keeps it, for its owner only', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-secret-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'auth.secret')
  const [first, second] = await Promise.all([readOrCreateSecret(path), readOrCreateSecret(path)])
  t.same(first, second, 'two processes that start at once agree')
  t.same(await readOrCreateSecret(path), first)
  t.ok(first.byteLength >= 32)
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.same(readdirSync(folder), ['auth.secret'], 'no drafts are left')
  writeFileSync(join(folder, 'short'), 'short')
  await t.rejects(readOrCreateSecret(join(folder, 'short')), { code: 'CONFIG_INVALID', message: /holds 5 bytes/ })
})

void t.test('T36: passwords are kept as argon2id at the stated cost or above; an older hash is renewed at login', async (t) => {
  const hasher = new PasswordHasher()
  const stored = await hasher.hash(PASSWORD)
  const [, kind, , cost] = stored.split('$')
  t.equal(kind, 'argon2id')
  t.same(cost, `m=${ARGON2_COST.memoryKiB},t=${ARGON2_COST.passes},p=${ARGON2_COST.lanes}`)
  t.ok(ARGON2_COST.memoryKiB >= 19_456 && ARGON2_COST.passes >= 2)
  t.equal(await hasher.verify(stored, PASSWORD), true)
  t.equal(await hasher.verify(stored, `${PASSWORD} `), false)
  t.equal(await hasher.verify(null, PASSWORD), false)
  const world = await openWorld({ cost: { ...CHEAP, passes: 2 } })
  const ann = await world.addUser('polar-bay', 'owner')
  await world.security.store.users.rehash('polar-bay', ann.id, { from: ann.passwordHash, to: await new PasswordHasher(CHEAP).hash(PASSWORD) })
  t.equal((await world.signIn(ann)).statusCode, 200)
  t.match((await world.security.store.users.get('polar-bay', ann.id))?.passwordHash, /t=2/)
})

void t.test('hashing never takes more than two places, and a storm is told to come back', async (t) => {
  const hasher = new PasswordHasher({ memoryKiB: 1024, passes: 1, lanes: 1 })
  const stored = await hasher.hash('x')
  const outcomes = await Promise.allSettled(Array.from({ length: 60 }, () => hasher.verify(stored, 'x')))
  t.equal(outcomes.filter((one) => one.status === 'fulfilled').length, 42, 'two at work, forty waiting')
  t.ok(outcomes.every((one) => one.status === 'fulfilled' || (one.reason as { code: string }).code === 'LOGIN_BUSY'))
  const gone = new AbortController()
  const busy = [hasher.verify(stored, 'x'), hasher.verify(stored, 'x')]
  const waiting = hasher.verify(stored, 'x', gone.signal)
  await Promise.resolve()
  gone.abort(new Error('hung up'))
  await t.rejects(waiting, { message: 'hung up' })
  t.same(await Promise.all(busy), [true, true], 'one who hangs up leaves the queue as it was')
  t.equal(await hasher.verify(stored, 'x'), true)
})

void t.test('T37: password rules are length and rarity, nothing else', async (t) => {
  const about = { minLength: 15, email: 'margaret@example.com', name: 'Margaret Hamilton' }
  const bad: [string, RegExp][] = [
    ['short pass', /at least 15/],
    ['x'.repeat(300), /at most 256/],
    ['aaaaaaaaaaaaaaaaaaaa', /pattern/],
    ['abcabcabcabcabcabc', /pattern/],
    ['Margaret Hamilton', /own name/],
    ['margaret@example.com', /own name/],
  ]
  for (const [password, why] of bad) t.match(passwordProblem(password, about), why, password.slice(0, 30))
  t.match(passwordProblem('1234567', { ...about, minLength: 3 }), /at least 8/, 'the floor holds whatever is configured')
  for (const common of ['password1', 'Iloveyou1', 'qwertyuiop', '1q2w3e4r5t']) t.match(passwordProblem(common, { ...about, minLength: 8 }), /tried first/, common)
  for (const fine of ['quiet green harbour', 'ÄÖÜ ßßß 漢字かな交じり文', 'no digits no capitals', 'w'.repeat(3) + ' long '.repeat(14)]) {
    t.equal(passwordProblem(fine, about), null, fine.slice(0, 30))
  }
  const hasher = new PasswordHasher(CHEAP)
  const long = 'correct horse battery '.repeat(8)
  t.equal(await hasher.verify(await hasher.hash(long), long.slice(0, -1)), false, 'nothing is cut off')
  t.equal(await hasher.verify(await hasher.hash('cafe\u0301 au lait matin'), 'caf\u00e9 au lait matin'), true, 'one letter, two spellings')
})

void t.test('T29: a refresh token works once; whoever uses it again ends the session for both', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  const login = (await world.signIn(ann)).json()
  const refresh = (refreshToken: unknown, userAgent = 'browser') =>
    world.app.inject({ method: 'POST', url: '/api/v1/auth/refresh', headers: { 'user-agent': userAgent }, payload: { refreshToken } })
  const first = await refresh(login.refreshToken)
  t.equal(first.statusCode, 200)
  t.not(first.json().refreshToken, login.refreshToken)
  t.equal((await refresh(login.refreshToken)).statusCode, 200, 'the same client may repeat a reply that it lost')
  t.match((await refresh(login.refreshToken, 'thief')).json(), { status: 401, code: 'REFRESH_TOKEN_REUSED' })
  t.equal((await refresh(first.json().refreshToken)).json().code, 'SESSION_ENDED')
  const me = await world.app.inject({ url: '/api/v1/auth/me', headers: { authorization: `Bearer ${String(first.json().accessToken)}` } })
  t.equal(me.statusCode, 401, 'the access token dies with it')
  t.ok((await auditOf(world, 'polar-bay')).some((line) => line.reason === 'REFRESH_TOKEN_REUSED'))
  const again = (await world.signIn(ann)).json()
  const next = (await refresh(again.refreshToken)).json()
  await world.clock.advance(11_000)
  t.equal((await refresh(again.refreshToken)).json().code, 'REFRESH_TOKEN_REUSED', 'after ten seconds it is no repetition')
  t.equal((await refresh(next.refreshToken)).statusCode, 401)
  for (const rubbish of ['x', 'cvr.a.b', `cvr.${Buffer.from('harbor-lane').toString('base64url')}.${String(again.refreshToken).split('.')[2] ?? ''}`]) {
    t.equal((await refresh(rubbish)).json().code, 'REFRESH_TOKEN_INVALID')
  }
})

void t.test('T29: many refreshes of one token at once leave a family that works, or none', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  const { refreshToken } = (await world.signIn(ann)).json()
  const refresh = (token: unknown) => world.app.inject({ method: 'POST', url: '/api/v1/auth/refresh', payload: { refreshToken: token } })
  const three = await Promise.all([refresh(refreshToken), refresh(refreshToken), refresh(refreshToken)])
  t.same(three.map((reply) => reply.statusCode), [200, 200, 200], 'three tabs of one browser')
  t.same((await Promise.all(three.map((reply) => refresh(reply.json().refreshToken)))).map((reply) => reply.statusCode), [200, 200, 200])
})

void t.test('a session bound to a device is refreshed by that device only', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  const laptop = await DeviceKey.create()
  const login = (await world.signIn(ann, { key: laptop, address: US_ADDRESS })).json()
  const refresh = (device: unknown) =>
    world.app.inject({ method: 'POST', url: '/api/v1/auth/refresh', remoteAddress: US_ADDRESS, payload: { refreshToken: login.refreshToken, ...(device === null ? {} : { device }) } })
  const proofOf = async (key: DeviceKey) => key.prove('refresh', String(login.refreshToken), String((await world.app.inject({ method: 'POST', url: '/api/v1/auth/devices/challenge', remoteAddress: US_ADDRESS })).json().challenge))
  t.equal((await refresh(null)).json().code, 'DEVICE_PROOF_INVALID')
  t.equal((await refresh(await proofOf(await DeviceKey.create()))).json().code, 'DEVICE_PROOF_INVALID', 'a stolen token on another machine')
  t.equal((await refresh(await proofOf(laptop))).statusCode, 200, 'and the refused tries cost the owner nothing')
})

void t.test('a session ends when nobody has used it for half an hour, and after twelve hours whatever happens', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  let tokens = (await world.signIn(ann)).json()
  const refresh = async () => world.app.inject({ method: 'POST', url: '/api/v1/auth/refresh', payload: { refreshToken: tokens.refreshToken } })
  const me = async () => world.app.inject({ url: '/api/v1/auth/me', headers: { authorization: `Bearer ${String(tokens.accessToken)}` } })
  for (let quarters = 1; quarters < 48; quarters += 1) {
    await world.clock.advance(15 * MINUTE_MS)
    const reply = await refresh()
    if (!t.equal(reply.statusCode, 200, `after ${quarters / 4} h`)) return
    tokens = reply.json()
  }
  await world.clock.advance(9 * MINUTE_MS)
  tokens = (await refresh()).json()
  t.equal((await me()).statusCode, 200, 'six minutes before twelve hours')
  await world.clock.advance(7 * MINUTE_MS)
  t.equal((await me()).json().code, 'SESSION_EXPIRED', 'although it was in use, and the token is minutes old')
  t.equal((await refresh()).json().code, 'SESSION_EXPIRED')
  tokens = (await world.signIn(ann)).json()
  await world.clock.advance(31 * MINUTE_MS)
  t.equal((await refresh()).json().code, 'SESSION_EXPIRED', 'idle')
  await world.clock.advance(12 * HOUR_MS)
  t.equal(await world.security.sessions.sweep(), 1)
})

void t.test('T27: a role taken away is gone with the next request, and so is the session', async (t) => {
  const world = await openWorld()
  const boss = await world.addUser('polar-bay', 'owner')
  const ann = await world.addUser('polar-bay', 'admin')
  const headers = await world.bearer(ann)
  const list = () => world.app.inject({ url: '/api/v1/companies/polar-bay/users', headers })
  t.equal((await list()).statusCode, 200)
  const path = `/api/v1/companies/polar-bay/users/${ann.id}`
  const demoted = await world.app.inject({ method: 'PATCH', url: path, headers: { ...(await world.bearer(boss)), 'if-match': '"v1"' }, payload: { role: 'read_only' } })
  t.equal(demoted.statusCode, 200)
  t.match((await list()).json(), { status: 401, code: 'ACCESS_CHANGED' })
})

void t.test('T31: after logout neither the access token nor the refresh token works', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  const { accessToken, refreshToken } = (await world.signIn(ann)).json()
  const headers = { authorization: `Bearer ${String(accessToken)}` }
  const principal = await world.security.sessions.checkSession(await world.security.sessions.readToken(String(accessToken)))
  t.equal(await world.security.sessions.stillLive(principal), true)
  t.equal((await world.app.inject({ method: 'POST', url: '/api/v1/auth/logout', headers })).statusCode, 204)
  t.match((await world.app.inject({ url: '/api/v1/auth/me', headers })).json(), { status: 401, code: 'SESSION_ENDED' })
  t.match((await world.app.inject({ method: 'POST', url: '/api/v1/auth/refresh', payload: { refreshToken } })).json(), { status: 401, code: 'SESSION_ENDED' })
  t.equal(await world.security.sessions.stillLive(principal), false, 'an open dashboard is told too')
})

void t.test('T31: what one process ends is ended on every other that shares the store, with the next request', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-shared-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const storePath = join(folder, 'security.sqlite')
  const [one, two] = [await openWorld({ storePath }), await openWorld({ storePath })]
  const ann = await one.addUser('polar-bay', 'owner')
  const headers = await one.bearer(ann)
  const meOn = async (world: typeof one) => (await world.app.inject({ url: '/api/v1/auth/me', headers })).statusCode
  t.same([await meOn(one), await meOn(two)], [200, 200])
  await one.app.inject({ method: 'POST', url: '/api/v1/auth/logout', headers })
  t.equal(await meOn(two), 401)
  await two.bearer(ann)
  t.match((await one.security.audit.verify('polar-bay')), { intact: true }, 'and both write one chain')
})

void t.test('a password change needs the old password and ends every session; the rules hold', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  const headers = await world.bearer(ann)
  const change = (currentPassword: string, newPassword: string) => world.app.inject({ method: 'POST', url: '/api/v1/auth/password', headers, payload: { currentPassword, newPassword } })
  t.equal((await change('wrong', 'some other long phrase')).json().code, 'PASSWORD_WRONG')
  t.match((await change(PASSWORD, 'short')).json(), { status: 400, code: 'INVALID_INPUT', errors: [{ field: 'password' }] })
  t.equal((await change(PASSWORD, 'some other long phrase')).statusCode, 204)
  t.equal((await world.app.inject({ url: '/api/v1/auth/me', headers })).statusCode, 401)
  t.equal((await world.signIn(ann)).statusCode, 401)
  t.equal((await world.signIn(ann, { password: 'some other long phrase' })).statusCode, 200)
})

void t.test('a forgotten password is replaced by a link that works once; asking tells nobody whether the account exists', async (t) => {
  const world = await openWorld()
  const ann = await world.addUser('polar-bay', 'owner')
  const forgot = (email: string) => world.app.inject({ method: 'POST', url: '/api/v1/auth/password/forgot', payload: { email } })
  const known = await forgot(ann.email)
  const unknown = await forgot('nobody@example.com')
  t.same([known.statusCode, known.body], [unknown.statusCode, unknown.body])
  await world.clock.advance(10)
  await world.security.passwords.settled()
  t.equal(world.sent.length, 1)
  const reset = (token: unknown, newPassword: string) => world.app.inject({ method: 'POST', url: '/api/v1/auth/password/reset', payload: { token, newPassword } })
  t.equal((await reset(world.sent[0]?.token, 'short')).statusCode, 400, 'a poor password does not use the link up')
  t.equal((await reset(world.sent[0]?.token, 'a brand new long phrase')).statusCode, 204)
  t.match((await reset(world.sent[0]?.token, 'another new long phrase')).json(), { status: 400, code: 'LINK_INVALID' })
  t.equal((await world.signIn(ann, { password: 'a brand new long phrase' })).statusCode, 200)
  await forgot(ann.email)
  await world.clock.advance(21 * MINUTE_MS)
  await world.security.passwords.settled()
  t.equal((await reset(world.sent[1]?.token, 'a third quite long phrase')).json().code, 'LINK_INVALID', 'after twenty minutes')
  for (let i = 0; i < 20; i += 1) await forgot(ann.email)
  await world.clock.advance(10)
  t.ok(world.sent.length <= 5, 'nobody can be flooded with mail')
})

void t.test('without a notification channel the reset token goes to the console, which says so', async (t) => {
  const lines: string[] = []
  await new ConsoleNotifier((line) => lines.push(line)).passwordReset({ email: 'a@example.com', name: 'A', token: 'cvl.x.y', expiresInMinutes: 20 })
  t.match(lines, [/No notification channel is configured.*cvl\.x\.y/])
})
