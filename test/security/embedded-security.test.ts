import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import { AuditLog } from '../../src/security/audit-log.ts'
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
