import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { isClientsViaError, type ClientsViaError } from '../../src/core/errors.ts'
import { EmbeddedDatabase } from '../../src/storage/embedded-database.ts'
import { MIGRATIONS } from '../../src/storage/embedded-migrations.ts'
import { makeRepositories, type EmbeddedRepositories } from '../../src/storage/embedded-repositories.ts'
import { openEmbeddedStore, type EmbeddedStore } from '../../src/storage/embedded-store.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { callRepositoryContract } from './call-repository-contract.ts'
import { agent, call, company, entry, turn } from './fixtures.ts'
import { agentRepositoryContract, companyRepositoryContract, knowledgeRepositoryContract } from './tenancy-repositories-contract.ts'

function dataDir(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-store-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function open(t: Test, folder = dataDir(t), problems: ClientsViaError[] = []): Promise<EmbeddedStore> {
  const store = await openEmbeddedStore({ dataDir: folder, onProblem: (problem) => problems.push(problem) })
  t.teardown(() => store.close())
  return store
}

function inMemory(): { database: EmbeddedDatabase; repositories: EmbeddedRepositories; problems: ClientsViaError[]; clock: VirtualClock } {
  const database = EmbeddedDatabase.open(':memory:')
  database.migrate(MIGRATIONS)
  const problems: ClientsViaError[] = []
  const clock = new VirtualClock()
  return { database, problems, clock, repositories: makeRepositories(database, { clock, report: (problem) => problems.push(problem) }) }
}

t.test('the store thread keeps every contract', async (t) => {
  // One thread for all of them: a contract starts with an emptied store.
  const store = await open(t)
  const emptied = async (): Promise<EmbeddedStore> => {
    for (const companyId of ['a', 'b', 'c', 'gone', 'stays', 'polar-bay']) await store.companies.delete(companyId)
    return store
  }
  companyRepositoryContract(t, emptied)
  agentRepositoryContract(t, emptied)
  callRepositoryContract(t, async () => (await emptied()).calls)
})

t.test('and so do the repositories beneath it', async (t) => {
  companyRepositoryContract(t, async () => inMemory().repositories)
  agentRepositoryContract(t, async () => inMemory().repositories)
  knowledgeRepositoryContract(t, async () => inMemory().repositories)
  callRepositoryContract(t, async () => inMemory().repositories.calls)
})

t.test('no acknowledged turn is lost when the server is killed with -9', async (t) => {
  const folder = dataDir(t)
  const victim = spawn(process.execPath, [join(import.meta.dirname, 'kill-victim.ts'), folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  const acknowledged: number[] = []
  for await (const line of createInterface({ input: victim.stdout })) {
    acknowledged.push(Number(line))
    if (acknowledged.length === 200) victim.kill('SIGKILL')
  }
  const store = await open(t, folder)
  const stored = new Map((await store.calls.turns('a', 'CA1')).map((one) => [one.turn, one.heard]))
  t.ok(acknowledged.length >= 200)
  t.same(
    acknowledged.filter((number) => stored.get(number) !== `words of turn ${number}`),
    [],
  )
})

t.test('what was stored is there after a restart, and a second close is harmless', async (t) => {
  const folder = dataDir(t)
  const first = await open(t, folder)
  const writes = Array.from({ length: 20 }, (_, number) => first.calls.saveTurn('a', 'CA1', turn(number)))
  await Promise.all([first.close(), first.close()])
  await Promise.all(writes)
  await t.rejects(first.companies.get('a'), { code: 'STORE_FAILED', message: /closed/ })
  const second = await open(t, folder)
  t.equal((await second.calls.turns('a', 'CA1')).length, 20)
})

t.test('a request ends in the same tick as its signal', async (t) => {
  const store = await open(t)
  const controller = new AbortController()
  const asking = store.calls.get('a', 'CA1', controller.signal)
  controller.abort(new Error('hung up'))
  await t.rejects(asking, { message: 'hung up' })
  await t.rejects(store.calls.get('a', 'CA1', controller.signal), { message: 'hung up' })
  t.equal(store.waiting, 0)
})

t.test('a store thread that dies fails what it was asked, and the next request finds another one', async (t) => {
  const threads: Worker[] = []
  const remember = (thread: Worker): void => void threads.push(thread)
  process.on('worker', remember)
  t.teardown(() => process.off('worker', remember))
  const store = await open(t)
  await store.calls.saveTurn('a', 'CA1', turn(1))
  const asked = Promise.allSettled(Array.from({ length: 200 }, () => store.calls.turns('a', 'CA1')))
  await threads[0]?.terminate()
  const lost = (await asked).filter((one) => one.status === 'rejected')
  t.ok(lost.length > 0)
  t.ok(lost.every((one) => isClientsViaError(one.reason, 'STORE_FAILED')))
  t.equal(store.waiting, 0)
  t.equal((await store.calls.turns('a', 'CA1')).length, 1)
  t.equal(threads.length, 2)
})

t.test('a value that no other thread can be sent fails alone', async (t) => {
  const store = await open(t)
  await t.rejects(store.calls.saveTurn('a', 'CA1', turn(1, { trace: [{ step: 'x', detail: { call: () => undefined } }] })), { name: 'DataCloneError' })
  t.equal(store.waiting, 0)
  await store.calls.saveTurn('a', 'CA1', turn(1))
})

t.test("the store's files are for their owner alone, and what was deleted is in none of them once it is closed", async (t) => {
  const folder = dataDir(t)
  const path = join(folder, 'private.db')
  writeFileSync(path, '', { mode: 0o644 })
  const database = EmbeddedDatabase.open(path)
  database.migrate([{ name: 'words', sql: 'CREATE TABLE words (word TEXT NOT NULL) STRICT;' }])
  for (let n = 0; n < 50; n++) database.run('INSERT INTO words VALUES (?)', `heard-from-zebulon-${n}`)
  for (const file of readdirSync(folder)) t.equal(statSync(join(folder, file)).mode & 0o077, 0, file)
  database.run('DELETE FROM words WHERE word <> ?', 'heard-from-zebulon-7')
  database.close()
  const left = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'latin1')).join('').match(/heard-from-zebulon-\d+/g)
  t.same(left, ['heard-from-zebulon-7'])
})

t.test('a file that is no database, and one from a newer version, are refused with the reason', async (t) => {
  const folder = dataDir(t)
  writeFileSync(join(folder, 'clientsvia.db'), 'this is not a database, whatever its name says'.repeat(100))
  await t.rejects(openEmbeddedStore({ dataDir: folder, onProblem: () => undefined }), { code: 'STORE_FAILED', message: /not a database/ })
  const newer = join(dataDir(t), 'clientsvia.db')
  const database = EmbeddedDatabase.open(newer)
  database.migrate([...MIGRATIONS, { name: 'from the future', sql: 'CREATE TABLE future (id TEXT)' }])
  t.throws(() => database.migrate(MIGRATIONS), { code: 'STORE_FAILED', message: /newer version/ })
  database.close()
})

t.test('a migration that fails leaves the file as it was', async (t) => {
  const { database } = inMemory()
  const broken = [...MIGRATIONS, { name: 'half-way', sql: 'CREATE TABLE half (id TEXT); CREATE TABLE companies (id TEXT)' }]
  t.throws(() => database.migrate(broken), { code: 'STORE_FAILED', message: /half-way/ })
  t.equal(database.get("SELECT 1 FROM sqlite_schema WHERE name = 'half'"), undefined)
  t.equal(database.get('PRAGMA user_version')?.['user_version'], MIGRATIONS.length)
  database.migrate(MIGRATIONS)
})

t.test('a corrupt document is named, can be saved over, and troubles no other', async (t) => {
  const { database, repositories, problems } = inMemory()
  const { companies, agents, knowledge, calls } = repositories
  for (const id of ['good', 'bad']) {
    await companies.save('a', company('a'))
    await companies.save(id, company(id, { phoneNumbers: [id === 'good' ? '+15550100000' : '+15550100001'] }))
    await knowledge.save('a', entry('a', id))
    await calls.begin('a', call('a', id))
    await agents.saveDraft('a', agent('a', id))
    await agents.publish('a', id)
  }
  database.run("UPDATE companies SET document = '{\"id\":\"bad\"' WHERE company_id = 'bad'")
  database.run("UPDATE knowledge_entries SET document = '{\"id\":\"bad\"}' WHERE entry_id = 'bad'")
  database.run("UPDATE calls SET document = 'null' WHERE call_sid = 'bad'")
  database.run("UPDATE agent_drafts SET document = '[]' WHERE agent_id = 'bad'")
  database.run("UPDATE agent_versions SET document = '' WHERE agent_id = 'bad'")
  await t.rejects(companies.get('bad'), { code: 'STORE_FAILED', message: /company bad/ })
  await t.rejects(companies.findByPhoneNumber('+15550100001'), { code: 'STORE_FAILED', message: /company bad/ })
  await t.rejects(knowledge.get('a', 'bad'), { code: 'STORE_FAILED', message: /knowledge entry a\/bad.*question/ })
  await t.rejects(calls.get('a', 'bad'), { code: 'STORE_FAILED', message: /call a\/bad/ })
  await t.rejects(agents.getPublished('a', 'bad'), { code: 'STORE_FAILED', message: /agent a\/bad version 1/ })
  t.equal(problems.length, 0)
  t.same((await companies.list({ after: null, limit: 10 })).map((one) => one.id), ['a', 'good'])
  t.same((await knowledge.listAll('a')).map((one) => one.id), ['good'], 'calls go on with the knowledge that can be read')
  t.same((await knowledge.list('a', { tag: 'x' })).length, 0)
  t.same((await calls.list('a', { before: null, limit: 10 })).map((one) => one.callSid), ['good'])
  t.same((await agents.list('a')).map((one) => one.id), ['good'])
  t.equal(problems.length, 4, 'each was reported where it was passed over')
  t.equal((await companies.save('bad', company('bad'))).version, 2)
  t.equal((await knowledge.save('a', entry('a', 'bad'))).version, 2)
  t.equal((await agents.saveDraft('a', agent('a', 'bad'))).draftVersion, 2)
  t.equal((await knowledge.listAll('a')).length, 2)
})

t.test('a full disk fails the write and nothing else', async (t) => {
  const { database, repositories } = inMemory()
  await repositories.calls.begin('a', call('a', 'CA1'))
  const pages = Number(database.get('PRAGMA page_count')?.['page_count'])
  database.get(`PRAGMA max_page_count = ${pages}`)
  const long = turn(1, { heard: 'words '.repeat(20_000) })
  await t.rejects(repositories.calls.saveTurn('a', 'CA1', long), { code: 'STORE_FAILED', message: /full/, retryable: true, details: { sqliteCode: 13 } })
  t.ok(await repositories.calls.get('a', 'CA1'), 'what was stored can be read')
  database.get(`PRAGMA max_page_count = ${pages + 1000}`)
  await repositories.calls.saveTurn('a', 'CA1', long)
  t.equal((await repositories.calls.turns('a', 'CA1')).length, 1, 'and with room again it goes on')
})

t.test('a failed transaction leaves nothing behind', async (t) => {
  const { database } = inMemory()
  t.throws(() =>
    database.transaction(() => {
      database.run("INSERT INTO companies (company_id, version, document) VALUES ('x', 1, '{}')")
      throw new TypeError('a defect')
    }),
    TypeError,
  )
  t.equal(database.get('SELECT 1 FROM companies'), undefined)
})

t.test('documents of other rooms are kept by company and collection', async (t) => {
  const { repositories } = inMemory()
  const { documents } = repositories
  await documents.put('a', 'holidays', 'y', { n: 1 })
  await documents.put('a', 'holidays', 'y', { n: 2 })
  await documents.put('a', 'holidays', 'z', { n: 3 })
  t.same(await documents.get('a', 'holidays', 'y'), { n: 2 })
  t.equal(await documents.get('b', 'holidays', 'y'), null)
  t.equal(await documents.get('a', 'other', 'y'), null)
  t.same(await documents.list('a', 'holidays', { after: 'y', limit: 5 }), [{ documentId: 'z', document: { n: 3 } }])
  t.ok(await documents.delete('a', 'holidays', 'y'))
  await repositories.companies.delete('a')
  t.same(await documents.list('a', 'holidays', { after: null, limit: 5 }), [])
})
