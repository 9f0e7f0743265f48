import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import { AuditLog } from '../../src/security/audit-log.ts'
import { sweepAudit } from '../../src/security/audit-retention.ts'
import { openEmbeddedSecurityStore } from '../../src/storage/embedded-security-store.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { testSecurityStore } from './repository-contract.ts'

void t.test('the embedded store keeps the contract', async (t) => testSecurityStore(t, async () => openEmbeddedSecurityStore(':memory:')))

const KEY = new Uint8Array(32).fill(7)
const note = (action: string) => ({
  action, result: 'done' as const, reason: '', actor: { kind: 'system' as const, id: '', companyId: 'a' }, target: 'user/1', address: '', userAgent: '', traceId: '', details: { z: 1, a: 2 },
})

/** Ten rows in a file, the given damage done by somebody with the file in their hands, and what `verify` says of it. */
async function verifyAfter(damage: (database: DatabaseSync) => void): Promise<unknown> {
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-audit-'))
  const path = join(folder, 'security.sqlite')
  try {
    const store = openEmbeddedSecurityStore(path)
    const log = new AuditLog(store.audit, new VirtualClock(), KEY)
    for (let i = 1; i <= 10; i += 1) await log.record('a', note(`thing.step_${'abcdefghij'[i - 1]}`))
    store.close()
    const raw = new DatabaseSync(path)
    raw.exec('DROP TRIGGER audit_rows_stay; DROP TRIGGER audit_rows_stand; DROP TRIGGER audit_heads_grow; DROP TRIGGER audit_heads_stay')
    damage(raw)
    raw.close()
    const again = openEmbeddedSecurityStore(path)
    const report = await new AuditLog(again.audit, new VirtualClock(), KEY).verify('a')
    again.close()
    return report
  } finally {
    rmSync(folder, { recursive: true })
  }
}

void t.test('T38: whoever deletes, edits, moves or cuts off audit rows is found, and the first bad row is named', async (t) => {
  t.same(await verifyAfter(() => undefined), { companyId: 'a', rows: 10, intact: true })
  t.match(await verifyAfter((raw) => raw.exec('DELETE FROM audit_rows WHERE seq = 4')), { intact: false, badSeq: 4 })
  t.match(await verifyAfter((raw) => raw.exec(`UPDATE audit_rows SET document = replace(document, 'user/1', 'user/2') WHERE seq = 6`)), { intact: false, badSeq: 6 })
  const swap = 'UPDATE audit_rows SET seq = -1 WHERE seq = 2; UPDATE audit_rows SET seq = 2 WHERE seq = 3; UPDATE audit_rows SET seq = 3 WHERE seq = -1'
  t.match(await verifyAfter((raw) => raw.exec(swap)), { intact: false, badSeq: 2 })
  t.match(await verifyAfter((raw) => raw.exec('DELETE FROM audit_rows WHERE seq > 8')), { intact: false, badSeq: 9 }, 'cut off at the end')
  t.match(await verifyAfter((raw) => raw.exec('DELETE FROM audit_rows')), { intact: false, badSeq: 1 })
  t.match(await verifyAfter((raw) => raw.exec('DELETE FROM audit_heads')), { intact: false, badSeq: 1 })
})

void t.test('T38: somebody who can write the store but lacks the key cannot write a chain that verifies', async (t) => {
  const store = openEmbeddedSecurityStore(':memory:')
  t.teardown(() => store.close())
  await new AuditLog(store.audit, new VirtualClock(), new Uint8Array(32).fill(9)).record('a', note('forged.row'))
  t.match(await new AuditLog(store.audit, new VirtualClock(), KEY).verify('a'), { intact: false, badSeq: 1 })
})

void t.test('T38: the store itself refuses to change or delete an audit row', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-audit-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const store = openEmbeddedSecurityStore(join(folder, 's.sqlite'))
  t.teardown(() => store.close())
  await new AuditLog(store.audit, new VirtualClock(), KEY).record('a', note('thing.done'))
  const raw = new DatabaseSync(join(folder, 's.sqlite'))
  t.throws(() => raw.exec('DELETE FROM audit_rows'), /never deleted/)
  t.throws(() => raw.exec(`UPDATE audit_rows SET action = 'x.y'`), /never changed/)
  t.throws(() => raw.exec('UPDATE audit_heads SET seq = 0'), /only move forward/)
  raw.close()
})

const { signal } = new AbortController()
const DAY_MS = 24 * 60 * 60_000

void t.test('T38: old audit rows go when their time is over, the log says so, and its chain still holds', async (t) => {
  const store = openEmbeddedSecurityStore(':memory:')
  t.teardown(() => store.close())
  const clock = new VirtualClock()
  const log = new AuditLog(store.audit, clock, KEY)
  for (let day = 0; day < 100; day += 1) {
    await log.record('a', note('thing.done'))
    await log.record('b', note('thing.done'))
    await clock.advance(DAY_MS)
  }
  const problems: unknown[] = []
  const days = { a: 60 }
  const sweep = () => sweepAudit({ clock, audit: log, daysOf: async (companyId) => (companyId === 'a' ? days.a : null), onFailure: (_, error) => problems.push(error) }, signal)
  t.equal(await sweep(), 40)
  const rows = await log.list('a', { afterSeq: 0, limit: 200 })
  t.same([rows[0]?.seq, rows.length, rows.at(-1)?.fact.action, rows.at(-1)?.fact.details['throughSeq']], [41, 61, 'audit.trimmed', 40])
  t.same(await log.verify('a'), { companyId: 'a', rows: 61, intact: true })
  t.same(await log.verify('b'), { companyId: 'b', rows: 100, intact: true }, 'the other company keeps its rows for a year')
  t.equal(await sweep(), 0, 'nothing is due twice')
  t.equal((await log.list('a', { afterSeq: 0, limit: 200 })).length, 61, 'and nothing is said of nothing')
  days.a = 30
  await clock.advance(50 * DAY_MS)
  t.equal(await sweep(), 61, 'everything but what says so: the anchor of the last time goes too, behind a new one')
  t.same(await log.verify('a'), { companyId: 'a', rows: 1, intact: true })
  await log.record('a', note('thing.done'))
  await clock.advance(40 * DAY_MS)
  t.equal(await sweep(), 2)
  t.same(await log.verify('a'), { companyId: 'a', rows: 1, intact: true })
  t.same(problems, [])
})

void t.test('T38: nobody can make more rows disappear than the log says were dropped', async (t) => {
  const folder = t.testdir({})
  const path = join(folder, 's.sqlite')
  const store = openEmbeddedSecurityStore(path)
  const clock = new VirtualClock()
  const log = new AuditLog(store.audit, clock, KEY)
  for (let i = 0; i < 10; i += 1) await log.record('a', note('thing.old'))
  await clock.advance(100 * DAY_MS)
  for (let i = 0; i < 5; i += 1) await log.record('a', note('thing.new'))
  t.equal(await log.trim('a', new Date(clock.wallTime().getTime() - DAY_MS), signal), 10)
  const raw = new DatabaseSync(path)
  t.throws(() => raw.exec('DELETE FROM audit_rows WHERE seq = 11'), /never deleted/)
  raw.exec('DROP TRIGGER audit_rows_stay; DELETE FROM audit_rows WHERE seq <= 12')
  t.match(await log.verify('a'), { intact: false, badSeq: 11 }, 'rows 11 and 12 had time left')
  raw.exec('DROP TRIGGER audit_rows_stand')
  const forged = raw.prepare(`UPDATE audit_rows SET document = json_set(document, '$.details.throughSeq', 12) WHERE action = 'audit.trimmed'`)
  forged.run()
  t.match(await log.verify('a'), { intact: false, badSeq: 16 }, 'and the anchor cannot be rewritten')
  raw.close()
  store.close()
})

void t.test('T38: a sweep that was cut short leaves a chain that holds, and goes on the next time', async (t) => {
  const store = openEmbeddedSecurityStore(':memory:')
  t.teardown(() => store.close())
  const clock = new VirtualClock()
  let calls = 0
  const trim: typeof store.audit.trim = async (companyId, throughSeq) => {
    if (++calls > 1) throw new Error('the power is gone')
    return store.audit.trim(companyId, throughSeq, 4)
  }
  const audit = new Proxy(store.audit, { get: (target, name) => (name === 'trim' ? trim : Reflect.get(target, name).bind(target)) })
  const log = new AuditLog(store.audit, clock, KEY)
  for (let i = 0; i < 10; i += 1) await log.record('a', note('thing.old'))
  await clock.advance(100 * DAY_MS)
  t.equal(await new AuditLog(audit, clock, KEY).trim('a', clock.wallTime(), signal), 4)
  t.same(await log.verify('a'), { companyId: 'a', rows: 7, intact: true })
  t.equal(await log.trim('a', clock.wallTime(), signal), 6)
  t.same(await log.verify('a'), { companyId: 'a', rows: 2, intact: true })
})
