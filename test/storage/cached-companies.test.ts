import t, { type Test } from 'tap'
import { SystemClock } from '../../src/core/clock.ts'
import { ClientsViaError } from '../../src/core/errors.ts'
import { CachedCompanies, type CompanyReads } from '../../src/storage/cached-companies.ts'
import { RedisCompanyCache } from '../../src/storage/redis-company-cache.ts'
import { companyKey, sharedKey } from '../../src/storage/redis-keys.ts'
import { RedisLink } from '../../src/storage/redis-link.ts'
import { RedisListener } from '../../src/storage/redis-listener.ts'
import type { Company } from '../../src/tenancy/company.ts'
import { FaultyLink } from '../support/faulty-link.ts'
import { redisService } from '../support/services.ts'
import { until } from '../support/until.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { agent, company, entry } from './fixtures.ts'

const NUMBER = '+15550100000'
const MINUTES = 60_000
const PATIENT_MS = 5000

/** A database of one or two companies that counts what it is asked, and can be away. */
function database() {
  const companies = new Map<string, Company>([['a', company('a', { phoneNumbers: [NUMBER] })]])
  const asked: string[] = []
  const state = { away: false }
  const answer = async <T>(what: string, value: () => T): Promise<T> => {
    asked.push(what)
    await Promise.resolve()
    if (state.away) throw new ClientsViaError('STORE_FAILED', 'away')
    return value()
  }
  const store: CompanyReads = {
    companies: {
      get: (id) => answer(`company ${id}`, () => companies.get(id) ?? null),
      findByPhoneNumber: (number) => answer(`number ${number}`, () => [...companies.values()].find((one) => one.phoneNumbers.includes(number)) ?? null),
    },
    agents: { getPublished: (companyId, id) => answer(`agent ${companyId}/${id}`, () => agent(companyId, id)) },
    knowledge: {
      listAll: (companyId) => answer(`knowledge ${companyId}`, () => [entry(companyId, 'hours')]),
      version: (companyId) => answer(`version ${companyId}`, () => 1),
    },
  }
  return { store, companies, asked, state }
}

void t.test('a number that is called again is known, asked for once however many call, and refreshed behind the caller\'s back', async (t) => {
  const clock = new VirtualClock()
  const { store, companies, asked } = database()
  const cached = new CachedCompanies({ store, shared: null, clock, onProblem: () => undefined })
  const found = await Promise.all(Array.from({ length: 10 }, () => cached.companies.findByPhoneNumber(NUMBER)))
  t.ok(found.every((one) => one?.id === 'a'))
  t.same(asked, [`number ${NUMBER}`], 'single flight')
  await clock.advance(4 * MINUTES)
  await cached.companies.findByPhoneNumber(NUMBER)
  t.equal(asked.length, 1)
  companies.set('a', company('a', { name: 'Renamed', phoneNumbers: [NUMBER] }))
  await clock.advance(2 * MINUTES)
  t.equal((await cached.companies.findByPhoneNumber(NUMBER))?.name, 'Company a', 'stale is served at once')
  await clock.advance(1)
  t.equal((await cached.companies.findByPhoneNumber(NUMBER))?.name, 'Renamed')
  t.equal(asked.length, 2)
})

void t.test('a number that is given up leads nowhere after the save, and its new company is found', async (t) => {
  const { store, companies } = database()
  const cached = new CachedCompanies({ store, shared: null, clock: new VirtualClock(), onProblem: () => undefined })
  await cached.companies.findByPhoneNumber(NUMBER)
  companies.set('a', company('a'))
  companies.set('b', company('b', { phoneNumbers: [NUMBER] }))
  cached.forget('a')
  t.equal((await cached.companies.findByPhoneNumber(NUMBER))?.id, 'b')
  t.equal(await cached.companies.findByPhoneNumber('+15550100001'), null)
})

void t.test('the database away: a known number is answered for a day, an unknown one is not guessed', async (t) => {
  const clock = new VirtualClock()
  const { store, state } = database()
  const problems: string[] = []
  const cached = new CachedCompanies({ store, shared: null, clock, onProblem: (problem) => problems.push(problem) })
  cached.remember(company('a', { phoneNumbers: [NUMBER] }))
  state.away = true
  t.equal((await cached.companies.findByPhoneNumber(NUMBER))?.id, 'a', 'never called, but loaded at start')
  await clock.advance(23 * 60 * MINUTES)
  t.equal((await cached.companies.findByPhoneNumber(NUMBER))?.id, 'a')
  await clock.advance(1)
  t.match(problems, ['a number is served as it was known'])
  await t.rejects(cached.companies.findByPhoneNumber('+15550100001'), { code: 'STORE_FAILED' })
  await clock.advance(2 * 60 * MINUTES)
  await t.rejects(cached.companies.findByPhoneNumber(NUMBER), { code: 'STORE_FAILED' }, 'not for ever')
})

const redis = await redisService(2)
if (redis !== null) {
  const { url, host, port } = redis
  const clock = new SystemClock()
  const machine = async (t: Test, store: CompanyReads, to = url) => {
    const link = new RedisLink({ url: to, clock, commandTimeoutMs: PATIENT_MS })
    const listener = new RedisListener(to)
    t.teardown(() => {
      link.close()
      listener.close()
    })
    t.ok(await link.ready(PATIENT_MS))
    const shared = new RedisCompanyCache(link, listener)
    await listener.listening()
    const problems: string[] = []
    const reads = new CachedCompanies({ store, shared, clock, onProblem: (problem) => problems.push(problem) })
    shared.onChangedElsewhere((companyId) => reads.forget(companyId))
    listener.onGap(() => reads.doubt())
    const saved = (companyId: string): void => {
      reads.forget(companyId)
      shared.changed(companyId)
    }
    return { link, reads, saved, problems }
  }

  void t.test('what one machine has read serves the others, until it is saved on any of them', async (t) => {
    const { store, companies, asked } = database()
    const one = await machine(t, store)
    const other = await machine(t, store)
    await one.link.run((client) => client.flushdb())
    await one.reads.companies.findByPhoneNumber(NUMBER)
    await one.reads.companies.get('a')
    await one.reads.agents.getPublished('a', 'front-desk')
    await one.reads.knowledge.listAll('a')
    await one.reads.knowledge.version('a')
    const first = asked.length
    t.equal((await other.reads.companies.findByPhoneNumber(NUMBER))?.id, 'a')
    t.same(await other.reads.agents.getPublished('a', 'front-desk'), agent('a'))
    t.same(await other.reads.knowledge.listAll('a'), [entry('a', 'hours')])
    t.equal(await other.reads.knowledge.version('a'), 1)
    t.equal(asked.length, first, 'the database was asked nothing')
    companies.set('a', company('a', { name: 'Renamed', phoneNumbers: [NUMBER] }))
    one.saved('a')
    t.equal((await one.reads.companies.get('a'))?.name, 'Renamed', 'at once where it was saved')
    let crowd: readonly (string | undefined)[] = []
    let questions = 0
    // Until the news has arrived they are all told the old name, and nobody is asked.
    await until(async () => {
      const before = asked.length
      crowd = (await Promise.all(Array.from({ length: 20 }, () => other.reads.companies.findByPhoneNumber(NUMBER)))).map((found) => found?.name)
      questions = asked.length - before
      return crowd[0] === 'Renamed'
    })
    t.same([...new Set(crowd)], ['Renamed'])
    t.ok(questions <= 2, 'twenty who ask at once are one question: whose number, and what company')
    for (const key of await one.link.run((client) => client.keys('*'))) {
      const lifeMs = await one.link.run((client) => client.pttl(key))
      t.ok(lifeMs > 0 && (!key.includes(':cache:') || lifeMs <= 3_600_000), `${key} ends, and what is cached within the hour`)
    }
  })

  void t.test('T24: a value that lies under another company\'s key is not served, and is said', async (t) => {
    const { store } = database()
    const { link, reads, problems } = await machine(t, store)
    await link.run((client) => client.flushdb())
    await link.run((client) => client.set(companyKey('a', 'cache', '0', 'company'), JSON.stringify({ companyId: 'b', value: company('b') })))
    t.equal((await reads.companies.get('a'))?.id, 'a')
    t.match(problems, [/is not that/])
    await link.run((client) => client.set(companyKey('a', 'cache', '0', 'company'), 'nonsense'))
    t.equal((await reads.companies.get('a'))?.id, 'a')
    await link.run((client) => client.set(sharedKey('company-phone', '+15550100009'), 'a'))
    t.equal(await reads.companies.findByPhoneNumber('+15550100009'), null, 'a number is only whose company lists it')
  })

  void t.test('a save while Redis is away is told when it is back, and a machine that was cut off asks anew', async (t) => {
    const wire = await FaultyLink.open({ host, port })
    t.teardown(() => wire.close())
    const { store, companies } = database()
    const cut = await machine(t, store, url.replace(`${host}:${port}`, `127.0.0.1:${wire.port}`))
    const other = await machine(t, store)
    await other.link.run((client) => client.flushdb())
    await other.reads.companies.findByPhoneNumber(NUMBER)
    wire.set('down')
    await until(() => !cut.link.isUp)
    companies.set('a', company('a', { name: 'Renamed', phoneNumbers: [NUMBER] }))
    cut.saved('a')
    t.equal((await cut.reads.companies.findByPhoneNumber(NUMBER))?.name, 'Renamed', 'from the database')
    wire.set('up')
    await until(async () => (await other.reads.companies.findByPhoneNumber(NUMBER))?.name === 'Renamed')
    t.same(other.problems, [])
  })
}
