import type { Test } from 'tap'
import type { AuditFact, Device, OneUseLink, Session, User } from '../../src/security/records.ts'
import type { SecurityStore } from '../../src/security/repositories.ts'
import { hashSecret } from '../../src/security/secrets.ts'
import { isClientsViaError } from '../../src/core/errors.ts'

const AT = '2026-03-02T15:00:00.000Z'
const at = (minutes: number): string => new Date(Date.parse(AT) + minutes * 60_000).toISOString()
const HOUR_MS = 3_600_000

const user = (id: string, changes: Partial<User> = {}): User => ({
  id, companyId: 'a', email: `${id}@example.com`, name: id, role: 'owner', status: 'active', passwordHash: '$argon2id$v=19$m=32,t=1,p=1$c2FsdA$aGFzaA', passwordChangedAt: AT,
  sessionVersion: 1, lastLogin: null, version: 0, createdAt: AT, updatedAt: AT, ...changes,
})
const session = (id: string, deviceId: string, changes: Partial<Session> = {}): Session => ({
  id, companyId: 'a', userId: 'u1', deviceId, hardwareId: null, fingerprint: hashSecret('make'),
  location: { kind: 'loopback', country: null, latitude: null, longitude: null }, loginTime: AT, lastActivity: AT, expiresAt: at(720), permissions: [], sessionVersion: 1,
  ended: null, ...changes,
})
const device = (name: string, createdAt = AT): Device => ({
  id: hashSecret(name), companyId: 'a', userId: 'u1', publicKey: { kty: 'EC', crv: 'P-256', x: hashSecret('x'), y: hashSecret('y') }, label: name, state: 'pending',
  fingerprint: hashSecret('make'), createdAt, lastSeenAt: createdAt, decidedBy: null,
})
const fact = (action: string): AuditFact => ({
  at: AT, action, result: 'done', reason: '', actor: { kind: 'system', id: '', companyId: 'a' }, target: '', address: '', userAgent: '', traceId: '', details: {},
})
const opening = (one: Session, policy: 'newest-wins' | 'deny' = 'newest-wins') => ({ session: one, refreshHash: hashSecret(`refresh of ${one.id}`), policy, idleMs: HOUR_MS / 2 })

/** What any SecurityStore must do, whatever it keeps its records in. `sweeps`: whether ended sessions wait for a sweep, or go by themselves. */
export function testSecurityStore(
  t: Test,
  open: () => Promise<SecurityStore & { close: () => void | Promise<void> }>,
  { sweeps } = { sweeps: true },
): void {
  const each = (name: string, work: (t: Test, store: SecurityStore) => Promise<void>): void => {
    void t.test(name, async (t) => {
      const store = await open()
      t.teardown(() => store.close())
      await work(t, store)
    })
  }
  const conflict = { code: 'CONFLICT' }

  each('a user is found by id and by e-mail, whatever its case, and never from another company', async (t, store) => {
    await store.users.save('a', user('u1'), 0)
    t.equal((await store.users.get('a', 'u1'))?.version, 1)
    t.equal((await store.users.findByEmail('U1@Example.com'))?.id, 'u1')
    t.equal(await store.users.get('b', 'u1'), null)
    t.same(await store.users.list('b', { after: null, limit: 10 }), [])
    t.equal(await store.users.delete('b', 'u1'), false)
    await t.rejects(store.users.save('b', user('u1'), 0), { code: 'INVALID_INPUT' }, 'a record cannot be put into another company')
  })

  each('a user is bound to one identity of a provider, once, whoever comes first', async (t, store) => {
    await store.users.save('a', user('u1'), 0)
    const subjects = ['one', 'two', 'three', 'four']
    const bound = await Promise.all(subjects.map((subject) => store.users.bindIdentity('a', 'u1', { issuer: 'https://i.example.com', subject })))
    t.equal(bound.filter(Boolean).length, 1)
    const subject = subjects[bound.indexOf(true)] ?? ''
    t.equal(await store.users.bindIdentity('a', 'u1', { issuer: 'https://i.example.com', subject }), true, 'they come again')
    t.equal(await store.users.bindIdentity('a', 'u1', { issuer: 'https://other.example.com', subject }), false, 'the same name elsewhere is somebody else')
    t.equal(await store.users.bindIdentity('b', 'u1', { issuer: 'https://i.example.com', subject }), false)
    const kept = await store.users.get('a', 'u1')
    t.match(kept, { version: 1, identity: { subject } }, 'which is no edit')
    if (kept !== null) await store.users.save('a', { ...kept, identity: null }, 1)
    t.equal(await store.users.bindIdentity('a', 'u1', { issuer: 'https://other.example.com', subject: 'x' }), true, 'and may be released')
  })

  each('two edits of one user: the second, made on an older version, is refused', async (t, store) => {
    await store.users.save('a', user('u1'), 0)
    await store.users.save('a', user('u1', { name: 'first' }), 1)
    await t.rejects(store.users.save('a', user('u1', { name: 'second' }), 1), conflict)
    await t.rejects(store.users.save('a', user('u2', { email: 'u1@example.com' }), 0), conflict, 'an e-mail address has one account')
    await store.users.recordLogin('a', 'u1', { at: at(1), place: session('s', 'd').location })
    t.match(await store.users.get('a', 'u1'), { name: 'first', version: 2, lastLogin: { at: at(1) } }, 'a login is no edit')
  })

  each('the last active owner can neither go, nor be demoted, nor be disabled', async (t, store) => {
    await store.users.save('a', user('u1'), 0)
    await t.rejects(store.users.delete('a', 'u1'), conflict)
    await t.rejects(store.users.save('a', user('u1', { role: 'admin' }), 1), conflict)
    await t.rejects(store.users.save('a', user('u1', { status: 'disabled' }), 1), conflict)
    await store.users.save('a', user('u2'), 0)
    t.equal(await store.users.countOwners('a'), 2)
    t.equal(await store.users.delete('a', 'u1'), true)
  })

  each('of many sessions opened at once one is live, and it is the last', async (t, store) => {
    const openings = await Promise.all(Array.from({ length: 20 }, (_, i) => store.sessions.open('a', opening(session(`s${i}`, `d${i}`)))))
    t.equal(openings.filter((answer) => answer.outcome === 'opened').length, 20)
    const live = (await store.sessions.listByUser('a', 'u1')).filter((one) => one.ended === null)
    t.same(live.map((one) => one.id), ['s19'])
    t.same(await store.sessions.listByUser('b', 'u1'), [])
  })

  each('under "deny" a second device stays out while the first is live, and gets in when that one has been idle too long', async (t, store) => {
    await store.sessions.open('a', opening(session('s1', 'd1'), 'deny'))
    t.match(await store.sessions.open('a', opening(session('s2', 'd2'), 'deny')), { outcome: 'denied', live: [{ id: 's1' }] })
    t.match(await store.sessions.open('a', opening(session('s3', 'd1'), 'deny')), { outcome: 'opened' }, 'the same device may sign in anew')
    const later = session('s4', 'd2', { loginTime: at(31), lastActivity: at(31) })
    t.match(await store.sessions.open('a', opening(later, 'deny')), { outcome: 'opened', replaced: [] })
  })

  each('a session is touched and ended by its own id only', async (t, store) => {
    await store.sessions.open('a', opening(session('s1', 'd1')))
    t.equal(await store.sessions.touch('a', 'u1', 'd1', 'other', at(1)), false)
    t.equal(await store.sessions.touch('b', 'u1', 'd1', 's1', at(1)), false)
    t.equal(await store.sessions.touch('a', 'u1', 'd1', 's1', at(1)), true)
    t.equal((await store.sessions.get('a', 'u1', 'd1'))?.lastActivity, at(1))
    t.same(await store.sessions.end('a', 'u1', { deviceId: null, keepSessionId: 's1' }, { at: at(2), reason: 'logout' }), [])
    t.equal((await store.sessions.end('a', 'u1', { deviceId: 'd1', keepSessionId: null }, { at: at(2), reason: 'logout' })).length, 1)
    t.equal(await store.sessions.touch('a', 'u1', 'd1', 's1', at(3)), false, 'what has ended stays ended')
    if (!sweeps) return
    t.equal(await store.sessions.sweep(at(100)), 0)
    t.equal(await store.sessions.sweep(at(721)), 1)
    t.equal(await store.sessions.getRefresh('a', hashSecret('refresh of s1')), null, 'its tokens go with it')
  })

  each('a refresh token is spent once; the same client may repeat itself for a moment, anybody else is reuse', async (t, store) => {
    await store.sessions.open('a', opening(session('s1', 'd1')))
    const rotation = { hash: hashSecret('refresh of s1'), client: hashSecret('me'), at: at(1), graceMs: 10_000, graceTokens: 4 }
    const rotate = (next: string, changes: Partial<typeof rotation> = {}) => store.sessions.rotateRefresh('a', { ...rotation, ...changes, nextHash: hashSecret(next) })
    t.equal((await store.sessions.rotateRefresh('b', { ...rotation, nextHash: hashSecret('n') })).outcome, 'unknown')
    t.equal((await rotate('n1')).outcome, 'rotated')
    t.equal((await rotate('n2')).outcome, 'repeated')
    t.equal((await rotate('n3', { client: hashSecret('thief') })).outcome, 'reused')
    t.equal((await rotate('n4', { at: at(2) })).outcome, 'reused', 'after the grace time')
    t.equal((await rotate('n5')).outcome, 'repeated')
    t.equal((await rotate('n6')).outcome, 'repeated')
    t.equal((await rotate('n7')).outcome, 'reused', 'and only a few times')
    t.equal((await rotate('n8', { hash: hashSecret('n1') })).outcome, 'rotated')
  })

  each('the first device is approved, later ones wait, and a known one is told its state', async (t, store) => {
    const limits = { maxApproved: 2, maxPending: 2 }
    t.match(await store.devices.register('a', device('one'), limits), { outcome: 'first', device: { state: 'approved' } })
    t.match(await store.devices.register('a', device('two', at(1)), limits), { outcome: 'waiting', device: { state: 'pending' } })
    t.match(await store.devices.register('a', device('two'), limits), { outcome: 'known', device: { state: 'pending' } })
    await store.devices.register('a', device('three', at(2)), limits)
    await store.devices.register('a', device('four', at(3)), limits)
    t.same((await store.devices.list('a', 'u1')).map((one) => one.label), ['one', 'three', 'four'], 'the oldest that waited made room')
    const approve = { state: 'approved' as const, by: 'u1', maxApproved: 2 }
    t.equal(await store.devices.decide('b', 'u1', hashSecret('three'), approve), null)
    t.match(await store.devices.decide('a', 'u1', hashSecret('three'), approve), { state: 'approved', decidedBy: 'u1' })
    await t.rejects(store.devices.decide('a', 'u1', hashSecret('four'), approve), conflict)
    t.match(await store.devices.register('a', device('five', at(4)), limits), { outcome: 'full' })
    t.equal(await store.devices.get('a', 'u1', hashSecret('five')), null)
    t.match(await store.devices.decide('a', 'u1', hashSecret('one'), { ...approve, state: 'revoked' }), { state: 'revoked' })
    t.match(await store.devices.register('a', device('one'), limits), { outcome: 'known', device: { state: 'revoked' } }, 'revoked is not forgotten')
    t.equal(await store.devices.reset('a', 'u1'), 3)
    t.match(await store.devices.register('a', device('six'), limits), { outcome: 'first' })
  })

  each('of many first devices at once one is approved', async (t, store) => {
    const answers = await Promise.all(Array.from({ length: 5 }, (_, i) => store.devices.register('a', device(`d${i}`), { maxApproved: 3, maxPending: 9 })))
    t.equal(answers.filter((answer) => answer.outcome === 'first').length, 1)
  })

  each('an API key is revoked once and for all, and a company has only so many', async (t, store) => {
    const key = (id: string) => ({ id, companyId: 'a', label: 'ci', secretHash: hashSecret(id), scopes: ['config:read' as const], createdBy: 'u1', createdAt: AT, expiresAt: at(60), revokedAt: null })
    await store.apiKeys.create('a', key('k1'), 2)
    await store.apiKeys.create('a', key('k2'), 2)
    await t.rejects(store.apiKeys.create('a', key('k3'), 2), conflict)
    t.equal(await store.apiKeys.get('b', 'k1'), null)
    t.equal(await store.apiKeys.revoke('b', 'k1', at(1)), null)
    t.match(await store.apiKeys.revoke('a', 'k1', at(1)), { revokedAt: at(1) })
    t.match(await store.apiKeys.revoke('a', 'k1', at(5)), { revokedAt: at(1) })
    await store.apiKeys.create('a', key('k3'), 2)
    t.same((await store.apiKeys.list('a', { after: 'k1', limit: 10 })).map((one) => one.id), ['k2', 'k3'])
  })

  each('a break-glass grant is kept for its company, with the time it was taken back', async (t, store) => {
    const grant = {
      id: 'g1', companyId: 'a', granteeUserId: 'u2', granteeCompanyId: 'platform', permissions: ['config:write' as const], methods: ['PATCH' as const], pathPrefixes: ['/agents'],
      reason: 'ticket 4711, greeting is wrong', issuedBy: 'u1', issuedAt: AT, expiresAt: at(60), revokedAt: null,
    }
    await store.breakGlass.create('a', grant)
    t.same(await store.breakGlass.get('a', 'g1'), grant)
    t.equal(await store.breakGlass.get('b', 'g1'), null)
    t.match(await store.breakGlass.revoke('a', 'g1', at(3)), { revokedAt: at(3) })
    t.same((await store.breakGlass.list('a', { after: null, limit: 5 })).map((one) => one.id), ['g1'])
  })

  each('a link is handed out once, to one of many who ask, and not after its end', async (t, store) => {
    const link: OneUseLink = { hash: hashSecret('link'), companyId: 'a', purpose: 'password-reset', userId: 'u1', createdAt: AT, expiresAt: at(20) }
    await store.links.create('a', link)
    t.equal(await store.links.take('b', link.hash, AT), null)
    const taken = await Promise.all(Array.from({ length: 5 }, () => store.links.take('a', link.hash, at(1))))
    t.equal(taken.filter((one) => one !== null).length, 1)
    await store.links.create('a', link)
    t.equal(await store.links.take('a', link.hash, at(20)), null)
    await store.links.create('a', link)
    await store.links.create('a', { ...link, hash: hashSecret('newer') })
    t.equal(await store.links.take('a', link.hash, at(1)), null, 'a newer link replaces the older')
  })

  each('a nonce is spent once', async (t, store) => {
    const spent = await Promise.all(Array.from({ length: 5 }, () => store.links.spend('a', 'nonce', AT, at(2))))
    t.equal(spent.filter((first) => first).length, 1)
    t.equal(await store.links.spend('b', 'nonce', AT, at(2)), true, 'each company has its own')
  })

  each('tries are free at first, then cost twice the wait each, up to a cap, and are forgotten in time', async (t, store) => {
    const limit = { free: 3, firstDelayMs: 1000, maxDelayMs: 4000, forgetAfterMs: 60_000 }
    const begin = (nowMs: number, company = 'a') => store.attempts.begin(company, 'key', limit, nowMs)
    t.same([(await begin(0)).allowed, (await begin(0)).allowed, (await begin(0)).allowed, (await begin(0)).allowed], [true, true, true, false])
    t.match(await begin(400), { allowed: false, retryAfterMs: 600 })
    t.match(await begin(1000), { allowed: true })
    t.match(await begin(1001), { allowed: false, retryAfterMs: 1999 })
    t.match(await begin(3000), { allowed: true })
    t.match(await begin(7000), { allowed: true })
    t.match(await begin(7001), { allowed: false, retryAfterMs: 3999 }, 'never longer than the cap')
    t.match(await begin(7001, 'b'), { allowed: true, attempts: 1 })
    t.match(await begin(71_001), { allowed: true, attempts: 1 }, 'forgotten')
    await store.attempts.clear('a', 'key')
    t.match(await begin(71_002), { allowed: true, attempts: 1 })
  })

  each('a request with the same key runs once, answers again the same, and refuses another body', async (t, store) => {
    const request = { fingerprint: 'f', now: AT, expiresAt: at(60), runningUntil: at(1) }
    t.same(await store.idempotency.begin('a', 'k', request), { outcome: 'begun' })
    t.same(await store.idempotency.begin('a', 'k', request), { outcome: 'running' })
    t.same(await store.idempotency.begin('b', 'k', request), { outcome: 'begun' })
    t.same(await store.idempotency.begin('a', 'k', { ...request, now: at(2), runningUntil: at(3) }), { outcome: 'begun' }, 'its process must have died')
    await store.idempotency.finish('a', 'k', { status: 201, body: '{}', etag: null, location: '/x/1' })
    t.same(await store.idempotency.begin('a', 'k', request), { outcome: 'replay', reply: { status: 201, body: '{}', etag: null, location: '/x/1' } })
    t.same(await store.idempotency.begin('a', 'k', { ...request, fingerprint: 'g' }), { outcome: 'mismatch' })
    await store.idempotency.abandon('a', 'k')
    t.match(await store.idempotency.begin('a', 'k', request), { outcome: 'replay' }, 'what is done cannot be abandoned')
    await store.idempotency.abandon('b', 'k')
    t.same(await store.idempotency.begin('b', 'k', request), { outcome: 'begun' })
  })

  each('what a kept reply said can be withheld, by its own company alone, and its key stays spent', async (t, store) => {
    const request = { fingerprint: 'f', now: AT, expiresAt: at(60), runningUntil: at(1) }
    for (const [key, body] of [['k1', '{"of":"somebody"}'], ['k2', '{}'], ['k3', '']] as const) {
      await store.idempotency.begin('a', key, request)
      await store.idempotency.finish('a', key, { status: 201, body, etag: null, location: null })
    }
    await store.idempotency.begin('a', 'k4', request)
    const kept = async (companyId: string): Promise<unknown[]> => [...(await store.idempotency.kept(companyId))].sort((one, other) => one.key.localeCompare(other.key))
    t.same(await kept('a'), [{ key: 'k1', body: '{"of":"somebody"}' }, { key: 'k2', body: '{}' }], 'neither empty ones nor those that still run')
    t.same(await kept('b'), [])
    t.equal(await store.idempotency.withhold('b', 'k1'), false)
    t.equal(await store.idempotency.withhold('a', 'k1'), true)
    t.equal(await store.idempotency.withhold('a', 'k1'), false)
    t.same(await kept('a'), [{ key: 'k2', body: '{}' }])
    t.same(await store.idempotency.begin('a', 'k1', request), { outcome: 'replay', reply: { status: 201, body: null, etag: null, location: null } })
  })

  each('audit rows are numbered without gaps, each with the hash before it, apart for each company', async (t, store) => {
    const chain = (seq: number, previous: string): string => `${seq}<${previous}`
    await Promise.all(['one.x', 'two.x', 'three.x'].map((action) => store.audit.append('a', fact(action), chain)))
    await store.audit.append('b', fact('other.x'), chain)
    const rows = await store.audit.list('a', { afterSeq: 0, limit: 10 })
    t.same(rows.map((row) => [row.seq, row.previousHash, row.hash]), [[1, '', '1<'], [2, '1<', '2<1<'], [3, '2<1<', '3<2<1<']])
    t.same(await store.audit.head('a'), { seq: 3, hash: '3<2<1<' })
    t.same((await store.audit.list('a', { afterSeq: 1, limit: 10, action: 'three.x' })).map((row) => row.seq), [3])
    t.same(await store.audit.listCompanies(), ['a', 'b'])
    await t.rejects(store.audit.trim('a', 2, 10), { code: 'CONFLICT' }, 'nothing goes that the log does not speak of')
    await store.audit.append('a', { ...fact('audit.trimmed'), details: { throughSeq: 2, throughHash: 'x' } }, chain)
    await t.rejects(store.audit.trim('a', 3, 10), { code: 'CONFLICT' })
    await t.rejects(store.audit.trim('b', 1, 10), { code: 'CONFLICT' }, 'nor by the word of another company')
    t.equal(await store.audit.trim('a', 2, 1), 1)
    t.equal(await store.audit.trim('a', 2, 10), 1)
    t.same((await store.audit.list('a', { afterSeq: 0, limit: 10 })).map((row) => row.seq), [3, 4])
    t.equal((await store.audit.list('b', { afterSeq: 0, limit: 10 })).length, 1)
  })

  each('whoever has hung up is not served', async (t, store) => {
    const gone = new AbortController()
    gone.abort(new Error('hung up'))
    await t.rejects(store.users.get('a', 'u1', gone.signal), { message: 'hung up' })
    await t.rejects(store.sessions.sweep(AT, gone.signal), { message: 'hung up' })
    t.ok(isClientsViaError(await store.users.save('a', user('u1', { email: 'no address' }), 0).catch((error: unknown) => error), 'INVALID_INPUT'))
  })
}
