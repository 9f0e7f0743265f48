import t from 'tap'
import { CallLedger, InMemoryCallDirectory } from '../../src/call/call-directory.ts'
import { callDirectoryContract } from './call-directory-contract.ts'

callDirectoryContract(t, 'in memory', async () => {
  const directory = new InMemoryCallDirectory({ maxCalls: 3 })
  return { one: directory, other: directory, settle: async () => undefined }
})

t.test('the newest stream of a call wins, and a process that dies gives its places back', async (t) => {
  const ledger = new CallLedger({ maxCalls: 2 })
  t.equal(ledger.begin('polar', 'CA1', '2026-03-02T15:00:00Z', 'a'), null)
  t.equal(ledger.begin('polar', 'CA1', '2026-03-02T15:01:00Z', 'b'), 'a', 'a has to fall silent')
  ledger.finish('CA1', 'a')
  t.equal(ledger.ownerOf('polar', 'CA1'), 'b', 'the older one leaving does not end the newer one')
  ledger.begin('dental', 'CA2', '2026-03-02T15:01:00Z', 'a')
  t.equal(ledger.admit('dental', 'CA3', 5), 'server-full')
  ledger.release('b')
  t.equal(ledger.admit('dental', 'CA3', 5), 'admitted')
  t.equal(ledger.companyOf('CA1'), 'polar', 'the call comes back, to its own company')
})

t.test('a call that comes back has one place, admitted again or not', async (t) => {
  const ledger = new CallLedger({ maxCalls: 10 })
  ledger.begin('polar', 'CA1', '2026-03-02T15:00:00Z', 'a')
  t.equal(ledger.admit('polar', 'CA1', 1), 'admitted')
  t.equal(ledger.admit('polar', 'CA2', 2), 'admitted')
})
