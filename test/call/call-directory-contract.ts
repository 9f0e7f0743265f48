import type { Test } from 'tap'
import type { CallDirectory } from '../../src/call/call-directory.ts'

/** Two processes of one server; for a directory of one process both are the same. Three calls fit into the server. */
export type DirectoryPair = Readonly<{ one: CallDirectory; other: CallDirectory; settle: () => Promise<void> }>

const { signal } = new AbortController()
const AT = '2026-03-02T15:00:00Z'

/** What every directory keeps, whichever process is asked. */
export function callDirectoryContract(t: Test, name: string, open: (t: Test) => Promise<DirectoryPair>): void {
  t.test(`${name}: a company has as many calls as it may, and a call asked about twice takes one place`, async (t) => {
    const { one, other, settle } = await open(t)
    t.equal(await one.admit('polar', 'CA1', 1, signal), 'admitted')
    t.equal(await other.admit('polar', 'CA1', 1, signal), 'admitted', 'a repeated webhook')
    t.equal(await other.admit('polar', 'CA2', 1, signal), 'company-full')
    t.equal(await one.admit('dental', 'CA3', 5, signal), 'admitted', 'another company is not affected')
    t.equal(await other.admit('dental', 'CA4', 5, signal), 'admitted')
    t.equal(await one.admit('dental', 'CA5', 5, signal), 'server-full')
    await other.begin('polar', 'CA1', AT, signal)
    await settle()
    t.same(await one.live('polar', signal), [{ callSid: 'CA1', startedAt: AT }])
    t.same(await one.live('dental', signal), [], 'admitted is not live')
    await other.finish('polar', 'CA1')
    await one.forget('dental', 'CA3')
    await settle()
    t.equal(await one.admit('polar', 'CA2', 1, signal), 'admitted', 'its place is free again')
    t.equal(await one.admit('dental', 'CA5', 5, signal), 'admitted')
  })

  t.test(`${name}: what follows a call is known to its own company only, and stays the same when asked again`, async (t) => {
    const { one, other, settle } = await open(t)
    await one.admit('polar', 'CA1', 1, signal)
    t.equal(await other.continuation('polar', 'CA1', signal), null, 'a stream that broke comes back to the agent')
    await one.decide('dental', 'CA1', { kind: 'voicemail', prompt: 'not theirs', maxSeconds: 60 })
    await settle()
    t.equal(await other.continuation('polar', 'CA1', signal), null, 'another company decides nothing about it')
    await one.decide('polar', 'CA1', { kind: 'transfer', phoneNumberE164: '+15550101111', label: 'the desk', timeoutSeconds: 20 })
    await settle()
    const transfer = { kind: 'transfer', phoneNumberE164: '+15550101111', label: 'the desk', timeoutSeconds: 20 }
    t.same(await other.continuation('polar', 'CA1', signal), transfer)
    t.same(await other.continuation('polar', 'CA1', signal), transfer)
    t.equal(await other.continuation('dental', 'CA1', signal), null)
    t.equal(await other.companyOf('CA1', signal), 'polar')
    t.equal(await other.companyOf('CA2', signal), null)
    await other.clearContinuation('polar', 'CA1')
    await settle()
    t.equal(await one.continuation('polar', 'CA1', signal), null)
  })

  t.test(`${name}: a call is ended where it is, and by its own company`, async (t) => {
    const { one, other, settle } = await open(t)
    const ended: string[] = []
    one.onEnd((companyId, callSid) => ended.push(`${companyId} ${callSid}`))
    await one.begin('polar', 'CA1', AT, signal)
    await settle()
    t.equal(await other.end('dental', 'CA1', signal), false)
    t.equal(await other.end('polar', 'CA9', signal), false)
    t.equal(await other.end('polar', 'CA1', signal), true)
    await settle()
    t.same(ended, ['polar CA1'])
  })

  t.test(`${name}: minutes on the line add up over processes, day by day`, async (t) => {
    const { one, other, settle } = await open(t)
    await one.addSeconds('polar', '2026-03-02', 90)
    await other.addSeconds('polar', '2026-03-02', 30)
    await settle()
    t.equal(await one.minutesOn('polar', '2026-03-02', signal), 2)
    t.equal(await one.minutesOn('dental', '2026-03-02', signal), 0)
    t.equal(await other.minutesOn('polar', '2026-03-03', signal), 0)
  })
}
