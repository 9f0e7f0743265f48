import t, { type Test } from 'tap'
import { InMemoryCallDirectory } from '../../src/call/call-directory.ts'
import { SystemClock, type Clock } from '../../src/core/clock.ts'
import { isClientsViaError } from '../../src/core/errors.ts'
import { Scope } from '../../src/core/scope.ts'
import { openEmbeddedSecurityStore } from '../../src/storage/embedded-security-store.ts'
import { RedisAttemptRepository } from '../../src/storage/redis-attempt-repository.ts'
import { RedisBreakerState } from '../../src/storage/redis-breaker-state.ts'
import { RedisCallDirectory } from '../../src/storage/redis-call-directory.ts'
import { companyKey, sharedKey } from '../../src/storage/redis-keys.ts'
import { CALL_PATH_TIMEOUT_MS, RedisLink } from '../../src/storage/redis-link.ts'
import { RedisListener } from '../../src/storage/redis-listener.ts'
import { RedisMediaTokens } from '../../src/storage/redis-media-tokens.ts'
import { RedisSessionRepository } from '../../src/storage/redis-session-repository.ts'
import { callDirectoryContract } from '../call/call-directory-contract.ts'
import { testSecurityStore } from '../security/repository-contract.ts'
import { FaultyLink } from '../support/faulty-link.ts'
import { redisService } from '../support/services.ts'
import { until } from '../support/until.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { mediaTokensContract } from '../telephony/media-tokens-contract.ts'

/** The contracts' records are of this day. */
const THAT_DAY = new VirtualClock()
const clock = new SystemClock()
const KEYS = [new Uint8Array(32).fill(7)] as const
const CLAIMS = { companyId: 'c1', callSid: 'CA1', accountSid: 'AC1', from: '+15550109999', to: '+15550100000', resumed: false }
const { signal } = new AbortController()

/** Slow machines must not see timeouts where none is meant. */
const PATIENT_MS = 30_000

const redis = await redisService(1)
if (redis !== null) redisTests(redis)

function redisTests({ url, host, port }: Readonly<{ url: string; host: string; port: number }>): void {
  const linkTo = (t: Test, to: string, commandTimeoutMs = PATIENT_MS, time: Clock = clock): RedisLink => {
    const link = new RedisLink({ url: to, clock: time, commandTimeoutMs })
    t.teardown(() => link.close())
    return link
  }
  const connected = async (t: Test, to = url): Promise<RedisLink> => {
    const link = linkTo(t, to)
    t.ok(await link.ready(PATIENT_MS), 'Redis answers')
    return link
  }
  /** A connection to an empty Redis. */
  const fresh = async (t: Test): Promise<RedisLink> => {
    const link = await connected(t)
    await link.run((client) => client.flushdb())
    return link
  }
  const listen = (t: Test, to = url): RedisListener => {
    const listener = new RedisListener(to)
    t.teardown(() => listener.close())
    return listener
  }
  const throughWire = async (t: Test): Promise<Readonly<{ wire: FaultyLink; wireUrl: string }>> => {
    const wire = await FaultyLink.open({ host, port })
    t.teardown(() => wire.close())
    return { wire, wireUrl: url.replace(`${host}:${port}`, `127.0.0.1:${wire.port}`) }
  }

  void t.test('sessions and login counters in Redis keep the contract', async (t) =>
    testSecurityStore(t, async () => {
      const link = await fresh(t)
      const embedded = openEmbeddedSecurityStore(':memory:')
      return {
        ...embedded,
        sessions: new RedisSessionRepository(link, THAT_DAY),
        attempts: new RedisAttemptRepository(link, embedded.attempts),
        close: () => {
          link.close()
          embedded.close()
        },
      }
    }, { sweeps: false }))

  void t.test('a session ends by itself in Redis, and no key is left without an end', async (t) => {
    const link = await fresh(t)
    const sessions = new RedisSessionRepository(link, clock)
    const now = clock.wallTime()
    const session = {
      id: 's1', companyId: 'a', userId: 'u1', deviceId: 'd1', hardwareId: null, fingerprint: 'f'.repeat(43), location: { kind: 'loopback' as const, country: null, latitude: null, longitude: null },
      loginTime: now.toISOString(), lastActivity: now.toISOString(), expiresAt: new Date(now.getTime() + 60_000).toISOString(), permissions: [], sessionVersion: 1, ended: null,
    }
    await sessions.open('a', { session, refreshHash: 'h'.repeat(43), policy: 'newest-wins', idleMs: 60_000 })
    const keys = await link.run((client) => client.keys('*'))
    t.equal(keys.length, 4, 'session, index, revision, refresh token')
    t.ok(keys.includes(companyKey('a', 'session', 'u1', 'd1')))
    for (const key of keys) {
      const leftMs = await link.run((client) => client.pttl(key))
      t.ok(leftMs > 0 && leftMs <= 60_000, key)
    }
    await link.run((client) => client.del(companyKey('a', 'session', 'u1', 'd1')))
    t.same(await sessions.listByUser('a', 'u1'), [], 'the index does not outlive what it names')
  })

  void t.test('of sign-ins that race in several processes one session is live', async (t) => {
    const processes = [await fresh(t), await connected(t), await connected(t)].map((link) => new RedisSessionRepository(link, THAT_DAY))
    const at = THAT_DAY.wallTime().toISOString()
    const open = (process: number, name: string): Promise<unknown> =>
      (processes[process] as RedisSessionRepository).open('a', {
        session: {
          id: name, companyId: 'a', userId: 'u1', deviceId: name, hardwareId: null, fingerprint: 'f'.repeat(43), location: { kind: 'loopback', country: null, latitude: null, longitude: null },
          loginTime: at, lastActivity: at, expiresAt: new Date(THAT_DAY.wallTime().getTime() + 60_000).toISOString(), permissions: [], sessionVersion: 1, ended: null,
        },
        refreshHash: name.padEnd(43, 'h'), policy: 'newest-wins', idleMs: 60_000,
      })
    await Promise.all(Array.from({ length: 18 }, (_, i) => open(i % 3, `d${i}`)))
    const all = await (processes[0] as RedisSessionRepository).listByUser('a', 'u1')
    t.equal(all.length, 18)
    t.equal(all.filter((session) => session.ended === null).length, 1)
  })

  /** The contract's clock is virtual, Redis' is not: what the virtual clock says decides. */
  let tokensLink: RedisLink | null = null
  mediaTokensContract(t, 'in Redis', (virtual) => {
    tokensLink ??= linkTo(t, url)
    return new RedisMediaTokens(tokensLink, virtual, KEYS)
  })

  void t.test('a media token works once over all processes, whichever issued it', async (t) => {
    const one = new RedisMediaTokens(await fresh(t), clock, KEYS)
    const other = new RedisMediaTokens(await connected(t), clock, [new Uint8Array(32).fill(9), ...KEYS])
    const token = await one.issue(CLAIMS)
    const won = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? one : other).consume(token)))
    t.equal(won.filter((claims) => claims !== null).length, 1)
    t.same(await one.consume(await other.issue(CLAIMS)), null, 'signed by a key that this process does not know')
    const forged = `${token.split('.')[0]}.${'A'.repeat(43)}`
    t.equal(await other.consume(forged), null)
  })

  void t.test('Redis away between webhook and stream: the call goes on, once in this process', async (t) => {
    const { wire, wireUrl } = await throughWire(t)
    const link = linkTo(t, wireUrl, CALL_PATH_TIMEOUT_MS)
    t.ok(await link.ready(PATIENT_MS))
    const tokens = new RedisMediaTokens(link, clock, KEYS)
    const [before, hanging] = [await tokens.issue(CLAIMS), await tokens.issue(CLAIMS)]
    wire.set('hang')
    t.same(await tokens.consume(hanging), CLAIMS, 'though the Redis that hangs never answers')
    wire.set('down')
    await until(() => !link.isUp)
    t.same(await tokens.consume(before), CLAIMS)
    t.equal(await tokens.consume(before), null, 'used in this process')
    t.same(await tokens.consume(await tokens.issue(CLAIMS)), CLAIMS, 'issued while it is away')
  })

  void t.test('a Redis that hangs is waited for three times and then left alone for a second', async (t) => {
    const { wire, wireUrl } = await throughWire(t)
    const virtual = new VirtualClock()
    const link = linkTo(t, wireUrl, CALL_PATH_TIMEOUT_MS, virtual)
    await until(() => link.isUp)
    wire.set('hang')
    let asked = 0
    const ask = (): Promise<string | null> =>
      link.run((client) => {
        asked += 1
        return client.get('x')
      })
    for (let i = 0; i < 5; i += 1) await t.rejects(ask(), { code: 'STORE_FAILED' })
    t.equal(asked, 3, 'nobody asks it any more, so nobody waits')
    t.equal(link.isUp, false)
    wire.set('up')
    await virtual.advance(999)
    t.equal(link.isUp, false)
    // A machine that is busy may still be late.
    const answered = async (): Promise<boolean> => {
      await virtual.advance(1000)
      return (await ask().catch(() => 'late')) === null
    }
    await until(answered)
    t.ok(link.isUp, 'and taken back when it answers')
  })

  void t.test('whoever has hung up does not wait for Redis', async (t) => {
    const { wire, wireUrl } = await throughWire(t)
    const link = linkTo(t, wireUrl)
    t.ok(await link.ready(PATIENT_MS))
    wire.set('hang')
    const scope = new Scope()
    const waiting = link.run((client) => client.get('x'), scope.signal)
    scope.end(new Error('hung up'))
    await t.rejects(waiting, { message: 'hung up' })
  })

  let directories = 0
  const fenceOf = (directory: number): string => `fence-${directory}`
  const directoryOn = (t: Test, to: string, options: { clock?: Clock } = {}) => {
    const listener = listen(t, to)
    const link = linkTo(t, to)
    const directory = new RedisCallDirectory({ link, listener, clock: options.clock ?? clock, here: new InMemoryCallDirectory({ maxCalls: 100 }), maxCalls: 3, onProblem: () => undefined })
    let fences = 0
    listener.hear(fenceOf(directories), () => (fences += 1))
    const channel = fenceOf(directories++)
    /** What was sent before has been done, and what Redis told of it has arrived: both keep their order. */
    const settled = async (): Promise<void> => {
      const before = fences
      await link.run((client) => client.publish(channel, ''))
      await until(() => fences > before)
    }
    return { directory, link, settled, ready: async () => void (await listener.listening(), await link.ready(PATIENT_MS)) }
  }

  callDirectoryContract(t, 'in Redis', async (t) => {
    await fresh(t)
    const [one, other] = [directoryOn(t, url), directoryOn(t, url)]
    await Promise.all([one.ready(), other.ready()])
    return { one: one.directory, other: other.directory, settle: async () => void (await one.settled(), await other.settled(), await one.settled()) }
  })

  void t.test('the newest stream of a call wins over all processes, and a process that died gives its places back', async (t) => {
    await fresh(t)
    const [one, other] = [directoryOn(t, url), directoryOn(t, url)]
    await Promise.all([one.ready(), other.ready()])
    const ended: string[] = []
    one.directory.onEnd((_, callSid) => ended.push(callSid))
    await one.directory.begin('polar', 'CA1', '2026-03-02T15:00:00Z', signal)
    await other.directory.begin('polar', 'CA1', '2026-03-02T15:00:05Z', signal)
    await until(() => ended.length > 0)
    t.same(ended, ['CA1'])
    await one.directory.finish('polar', 'CA1')
    t.equal((await other.directory.live('polar', signal)).length, 1, 'the older one leaving does not end the newer one')
    t.equal(await one.directory.admit('polar', 'CA2', 1, signal), 'company-full')
    // As if thirty seconds had passed without a renewal.
    await one.link.run((client) => client.zadd(companyKey('polar', 'places'), 1, 'CA1'))
    await one.link.run((client) => client.zadd(sharedKey('places'), 1, 'CA1'))
    t.equal(await one.directory.admit('polar', 'CA2', 1, signal), 'admitted')
    t.same(await one.directory.live('polar', signal), [])
  })

  void t.test('while Redis is away each process answers calls by itself, and tells Redis of them when it is back', async (t) => {
    await fresh(t)
    const { wire, wireUrl } = await throughWire(t)
    const virtual = new VirtualClock()
    const cut = directoryOn(t, wireUrl, { clock: virtual })
    const watching = directoryOn(t, url)
    await Promise.all([cut.ready(), watching.ready()])
    wire.set('down')
    await until(() => !cut.link.isUp)
    t.equal(await cut.directory.admit('polar', 'CA1', 1, signal), 'admitted')
    await cut.directory.begin('polar', 'CA1', '2026-03-02T15:00:00Z', signal)
    t.equal(await cut.directory.admit('polar', 'CA2', 1, signal), 'company-full', 'its own limit holds')
    await cut.directory.decide('polar', 'CA1', { kind: 'hang-up' })
    t.same(await cut.directory.continuation('polar', 'CA1', signal), { kind: 'hang-up' })
    t.same(await watching.directory.live('polar', signal), [])
    wire.set('up')
    t.ok(await cut.link.ready(PATIENT_MS))
    const scope = new Scope()
    void cut.directory.keepLeases(scope.signal).catch(() => undefined)
    await virtual.advance(10_000)
    await until(async () => (await watching.directory.live('polar', signal)).length > 0)
    t.same(await watching.directory.live('polar', signal), [{ callSid: 'CA1', startedAt: '2026-03-02T15:00:00Z' }])
    t.same(await cut.directory.continuation('polar', 'CA1', signal), { kind: 'hang-up' }, 'what was decided meanwhile is not forgotten')
    scope.end('done')
  })

  void t.test('a vendor found broken by one process is left alone by the others, and by one that starts', async (t) => {
    const link = await fresh(t)
    const [hereEars, thereEars] = [listen(t), listen(t)]
    const here = new RedisBreakerState(link, hereEars, clock)
    const there = new RedisBreakerState(await connected(t), thereEars, clock)
    await Promise.all([hereEars.listening(), thereEars.listening()])
    here.open('deepgram:platform', 600_000)
    t.ok(here.openForMs('deepgram:platform') > 0, 'at once where it was found')
    await until(() => there.openForMs('deepgram:platform') > 0)
    t.ok(there.openForMs('deepgram:platform') > 0)
    t.equal(there.openForMs('deepgram:own-key'), 0)
    const starting = new RedisBreakerState(link, listen(t), clock)
    await starting.catchUp()
    t.ok(starting.openForMs('deepgram:platform') > 0)
    there.close('deepgram:platform')
    await until(() => here.openForMs('deepgram:platform') === 0)
    t.equal(here.openForMs('deepgram:platform'), 0)
  })

  void t.test('login counters go on in the store while Redis is away', async (t) => {
    const { wire, wireUrl } = await throughWire(t)
    const link = linkTo(t, wireUrl)
    t.ok(await link.ready(PATIENT_MS))
    const embedded = openEmbeddedSecurityStore(':memory:')
    t.teardown(() => embedded.close())
    const attempts = new RedisAttemptRepository(link, embedded.attempts)
    const limit = { free: 1, firstDelayMs: 1000, maxDelayMs: 4000, forgetAfterMs: 60_000 }
    wire.set('down')
    await until(() => !link.isUp)
    t.match(await attempts.begin('a', 'key', limit, 0), { allowed: true })
    t.match(await attempts.begin('a', 'key', limit, 0), { allowed: false })
  })

  void t.test('sessions are not guessed while Redis is away: the administration says 503', async (t) => {
    const { wire, wireUrl } = await throughWire(t)
    const link = linkTo(t, wireUrl)
    wire.set('down')
    const error = await new RedisSessionRepository(link, clock).get('a', 'u1', 'd1').catch((error: unknown) => error)
    t.ok(isClientsViaError(error, 'STORE_FAILED'))
    t.match(error, { status: 503 })
  })
}
