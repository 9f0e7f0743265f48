import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import type { CallRepository } from '../../src/call/call-record.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { ClientsViaError } from '../../src/core/errors.ts'
import { Scope } from '../../src/core/scope.ts'
import { EmbeddedDatabase } from '../../src/storage/embedded-database.ts'
import { MIGRATIONS } from '../../src/storage/embedded-migrations.ts'
import { makeRepositories } from '../../src/storage/embedded-repositories.ts'
import { journalStore } from '../../src/storage/journal-erasure.ts'
import { Journal } from '../../src/storage/journal.ts'
import { JournaledCallRepository } from '../../src/storage/journaled-call-repository.ts'
import { JournaledWrites } from '../../src/storage/journaled-writes.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { callRepositoryContract } from './call-repository-contract.ts'
import { call, gap, turn } from './fixtures.ts'

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-journal-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

/** A database that can be gone: then every method fails as a real one's does. `slow` never answers. */
function database(): { calls: CallRepository; state: { now: 'there' | 'gone' | 'slow' }; written: string[] } {
  const embedded = EmbeddedDatabase.open(':memory:')
  embedded.migrate(MIGRATIONS)
  const { calls } = makeRepositories(embedded, { clock: new VirtualClock(), report: () => undefined })
  const state: { now: 'there' | 'gone' | 'slow' } = { now: 'there' }
  const written: string[] = []
  const guarded = new Proxy(calls, {
    get: (target, name: keyof CallRepository) => async (...values: never[]) => {
      if (state.now === 'gone') throw new ClientsViaError('STORE_FAILED', 'gone')
      if (state.now === 'slow') await new Promise(() => undefined)
      if (['begin', 'update', 'saveTurn', 'saveGap', 'deleteCall'].includes(name)) written.push(name)
      return (target[name] as (...values: never[]) => Promise<unknown>).apply(target, values)
    },
  })
  return { calls: guarded, state, written }
}

async function world(t: Test, folder = folderOf(t), store = database()) {
  const clock = new VirtualClock()
  const problems: string[] = []
  const journal = await Journal.open({ folder, clock: new SystemClock(), onProblem: (problem) => problems.push(problem) })
  t.teardown(() => journal.close())
  const writes = new JournaledWrites({ journal, clock, onProblem: (problem) => problems.push(problem) })
  const calls = new JournaledCallRepository(store.calls, writes)
  const scope = new Scope()
  t.teardown(() => scope.end('over'))
  const startReplaying = (): void => void writes.keepReplaying(scope.signal).catch(() => undefined)
  /** Virtual seconds, with time for the disk after each. */
  const later = async (done: () => boolean): Promise<void> => {
    for (let i = 0; i < 200 && !done(); i += 1) {
      await clock.advance(1000)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
  return { ...store, clock, problems, journal, journaled: calls, startReplaying, later, folder }
}

void t.test('with the database there the journal is not noticed', async (t) => callRepositoryContract(t, async (t) => (await world(t)).journaled))

void t.test('the database gone in the middle of a call: every record is there when it is back, in order, each written once', async (t) => {
  const { journaled, state, calls, journal, written, startReplaying, later, folder } = await world(t)
  startReplaying()
  await journaled.begin('a', call('a', 'CA1'))
  await journaled.saveTurn('a', 'CA1', turn(1))
  state.now = 'gone'
  await journaled.saveTurn('a', 'CA1', turn(2))
  await journaled.saveGap('a', gap('a', 'g1', 'CA1'))
  t.match(await journaled.update('a', 'CA1', { outcome: 'completed', durationSeconds: 12 }), { outcome: 'completed', durationSeconds: 12 })
  t.equal(journal.pending, 3)
  t.match(await journaled.get('a', 'CA1'), { outcome: 'completed' }, 'what this process knows')
  t.same((await journaled.turns('a', 'CA1')).map((one) => one.turn), [2], 'what is not in the database yet')
  t.ok(readdirSync(folder).every((name) => (statSync(join(folder, name)).mode & 0o077) === 0), 'a caller\'s words are for this user only')
  state.now = 'there'
  written.length = 0
  await later(() => journal.pending === 0)
  t.same(written, ['saveTurn', 'saveGap', 'update'])
  t.match(await calls.get('a', 'CA1'), { outcome: 'completed', durationSeconds: 12 })
  t.same((await calls.turns('a', 'CA1')).map((one) => one.turn), [1, 2])
  t.equal((await calls.gaps('a', { after: null, limit: 5 })).length, 1)
  await journaled.saveTurn('a', 'CA1', turn(3))
  t.equal(journal.pending, 0, 'and later ones go straight')
})

void t.test('whoever is to be forgotten is not, while records wait for the database: that is waited for, and said', async (t) => {
  const { journaled, state, clock, journal, startReplaying, later } = await world(t)
  const waiting = journalStore(journal, clock)
  const { signal } = new AbortController()
  await journaled.begin('a', call('a', 'CA1'))
  state.now = 'gone'
  await journaled.saveTurn('a', 'CA1', turn(1))
  await journaled.begin('b', call('b', 'CA2'))
  t.equal(await waiting.find('a'), 1, 'a turn that waits does not say whose call it is of')
  t.equal(await waiting.find('c'), 0)
  let isOver = false
  const inVain = waiting.erase('a', '+15550100099', signal).then(() => { isOver = true })
  await later(() => isOver)
  await inVain
  t.equal(await waiting.find('a'), 1, 'and the admin hears that it is not clean')
  state.now = 'there'
  startReplaying()
  isOver = false
  const erasing = waiting.erase('a', '+15550100099', signal).then(() => { isOver = true })
  await later(() => isOver)
  await erasing
  t.equal(await waiting.find('a'), 0)
})

void t.test('a call that begins and ends while the database is gone is not lost', async (t) => {
  const { journaled, state, calls, journal, startReplaying, later } = await world(t)
  state.now = 'gone'
  await t.rejects(journaled.get('a', 'CA1'), { code: 'STORE_FAILED' }, 'no call is not the same as no answer')
  await journaled.begin('a', call('a', 'CA1'))
  await journaled.saveTurn('a', 'CA1', turn(1))
  await journaled.update('a', 'CA1', { outcome: 'caller-hung-up', endedAt: '2026-03-02T15:01:00.000Z' })
  startReplaying()
  state.now = 'there'
  await later(() => journal.pending === 0)
  t.match(await calls.get('a', 'CA1'), { outcome: 'caller-hung-up', endedAt: '2026-03-02T15:01:00.000Z' })
})

void t.test('a database that hangs is not waited for longer than its deadline', async (t) => {
  const { journaled, state, clock, journal } = await world(t)
  state.now = 'slow'
  const saving = journaled.saveTurn('a', 'CA1', turn(1))
  await clock.advance(1499)
  t.equal(journal.pending, 0)
  await clock.advance(1)
  await saving
  t.equal(journal.pending, 1)
  await journaled.saveTurn('a', 'CA1', turn(2))
  t.equal(journal.pending, 2, 'the second does not wait at all')
})

void t.test('a process that is killed leaves its journal to the next one', async (t) => {
  const folder = folderOf(t)
  const victim = spawn(process.execPath, [join(import.meta.dirname, 'journal-victim.ts'), folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  const gone = once(victim, 'exit')
  const acknowledged: number[] = []
  for await (const line of createInterface({ input: victim.stdout })) {
    acknowledged.push(Number(line))
    if (acknowledged.length === 100) victim.kill('SIGKILL')
  }
  await gone
  const problems: string[] = []
  const journal = await Journal.open({ folder, clock: new SystemClock(), onProblem: (problem) => problems.push(problem) })
  t.teardown(() => journal.close())
  t.ok(journal.has('call 3'))
  const made: number[] = []
  const failing = journal.replay(async (change) => {
    if (made.length === 40) throw new Error('gone again')
    made.push((change as { number: number }).number)
  })
  await t.rejects(failing, { message: 'gone again' })
  await journal.close()
  // A restart in the middle: what was made is not made again.
  const next = await Journal.open({ folder, clock: new SystemClock(), onProblem: (problem) => problems.push(problem) })
  t.teardown(() => next.close())
  await next.append({ group: 'new', change: { number: -1 } })
  await next.replay(async (change) => void made.push((change as { number: number }).number))
  t.same(made.filter((number) => number >= 0), [...made.keys()].slice(0, -1), 'each once, in order')
  t.equal(made.at(-1), -1, 'and the new one after them')
  t.ok(made.length > acknowledged.length)
  t.equal(next.pending, 0)
  t.same(readdirSync(folder).filter((name) => name.endsWith('.jsonl')).length <= 1, true, 'nothing is kept of what was made')
})

void t.test('files of one process are replayed in the order they were written', async (t) => {
  const folder = folderOf(t)
  const first = await Journal.open({ folder, clock: new SystemClock(), onProblem: () => undefined })
  const large = 'x'.repeat(1_500_000)
  for (let number = 0; number < 9; number += 1) await first.append({ group: 'g', change: { number, large } })
  await first.close()
  t.ok(readdirSync(folder).length >= 3)
  const next = await Journal.open({ folder, clock: new SystemClock(), onProblem: () => undefined })
  t.teardown(() => next.close())
  const made: number[] = []
  await next.replay(async (change) => void made.push((change as { number: number }).number))
  t.same(made, [0, 1, 2, 3, 4, 5, 6, 7, 8])
})

void t.test('a line torn by a power cut is left out, and said', async (t) => {
  const folder = folderOf(t)
  const first = await Journal.open({ folder, clock: new SystemClock(), onProblem: () => undefined })
  await first.append({ group: 'g', change: { number: 1 } })
  await first.close()
  appendFileSync(join(folder, readdirSync(folder)[0] as string), '0123456789abcdef {"group":"g","cha')
  const problems: string[] = []
  const journal = await Journal.open({ folder, clock: new SystemClock(), onProblem: (problem) => problems.push(problem) })
  t.teardown(() => journal.close())
  t.equal(journal.pending, 1)
  t.match(problems, [/line 2/])
})

void t.test('a full journal refuses instead of filling the disk', async (t) => {
  const journal = await Journal.open({ folder: folderOf(t), clock: new SystemClock(), maxBytes: 200, onProblem: () => undefined })
  t.teardown(() => journal.close())
  await journal.append({ group: 'g', change: 'x'.repeat(100) })
  await t.rejects(journal.append({ group: 'g', change: 'x'.repeat(100) }), { code: 'STORE_FAILED', message: /full/ })
  await journal.replay(async () => undefined)
  await journal.append({ group: 'g', change: 'x'.repeat(100) })
  t.equal(journal.pending, 1, 'room again')
})

void t.test('a record that the database refuses does not hold up those behind it', async (t) => {
  const { journal, calls, problems, startReplaying, later } = await world(t)
  await journal.append({ group: 'g', change: { kind: 'turn', companyId: 'a', callSid: 'CA1', turn: { turn: 'one' } } })
  await journal.append({ group: 'g', change: { kind: 'turn', companyId: 'a', callSid: 'CA1', turn: turn(2) } })
  startReplaying()
  await later(() => journal.pending === 0)
  t.same((await calls.turns('a', 'CA1')).map((one) => one.turn), [2])
  t.ok(problems.some((problem) => problem.includes('dropped')))
})

void t.test('a call deleted while its records wait does not come back with them', async (t) => {
  const { journaled, state, calls, journal, startReplaying, later } = await world(t)
  state.now = 'gone'
  await journaled.begin('a', call('a', 'CA1'))
  await t.rejects(journaled.deleteCall('a', 'CA1'), { code: 'STORE_FAILED' }, 'nothing is promised that cannot be done')
  state.now = 'there'
  t.ok(await journaled.deleteCall('a', 'CA1'))
  startReplaying()
  await later(() => journal.pending === 0)
  t.equal(await calls.get('a', 'CA1'), null)
})
