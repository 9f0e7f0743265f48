import type { CallRepository } from '../../src/call/call-record.ts'
import { call, gap, turn } from './fixtures.ts'

type Test = import('tap').Test

/** What any store of calls must do. `make` gives an empty one. */
export function callRepositoryContract(t: Test, make: (t: Test) => Promise<CallRepository>): void {
  t.test('a call is kept with its turns, exactly as they were', async (t) => {
    const calls = await make(t)
    await calls.begin('a', call('a', 'CA1'))
    await calls.saveTurn('a', 'CA1', turn(2))
    await calls.saveTurn('a', 'CA1', turn(1, { gapMs: null, endpoint: null, interruption: null, actions: [] }))
    t.same(await calls.get('a', 'CA1'), call('a', 'CA1'))
    t.same(await calls.turns('a', 'CA1'), [turn(1, { gapMs: null, endpoint: null, interruption: null, actions: [] }), turn(2)])
    t.equal(await calls.get('b', 'CA1'), null)
    t.same(await calls.turns('b', 'CA1'), [])
  })

  t.test('writes that are repeated change nothing', async (t) => {
    const calls = await make(t)
    await calls.begin('a', call('a', 'CA1'))
    await calls.update('a', 'CA1', { outcome: 'completed', durationSeconds: 12 })
    await calls.begin('a', call('a', 'CA1', { startedAt: '2026-03-02T15:01:00.000Z' }))
    t.match(await calls.get('a', 'CA1'), { outcome: 'completed', durationSeconds: 12, startedAt: '2026-03-02T15:00:00.000Z' })
    await calls.saveTurn('a', 'CA1', turn(1))
    await calls.saveTurn('a', 'CA1', turn(1, { delivered: 'From eight to five.' }))
    t.same((await calls.turns('a', 'CA1')).map((one) => one.delivered), ['From eight to five.'])
    t.equal(await calls.update('a', 'CA9', { outcome: 'failed' }), null)
    await t.rejects(calls.update('a', 'CA1', { companyId: 'b' }), { code: 'INVALID_INPUT', message: /companyId/ })
    await t.rejects(calls.begin('b', call('a', 'CA1')), { code: 'INVALID_INPUT', message: /companyId/ })
  })

  t.test('calls are listed newest first, page by page, by outcome and by caller', async (t) => {
    const calls = await make(t)
    const at = (minute: number): string => `2026-03-02T15:0${minute}:00.000Z`
    await calls.begin('a', call('a', 'CA1', { startedAt: at(1), outcome: 'completed' }))
    await calls.begin('a', call('a', 'CA2', { startedAt: at(2), from: '+15550100077' }))
    await calls.begin('a', call('a', 'CA3', { startedAt: at(2), outcome: 'completed' }))
    await calls.begin('b', call('b', 'CA4', { startedAt: at(3) }))
    const sids = async (page: Parameters<typeof calls.list>[1]): Promise<string[]> => (await calls.list('a', page)).map((one) => one.callSid)
    t.same(await sids({ before: null, limit: 10 }), ['CA3', 'CA2', 'CA1'])
    t.same(await sids({ before: null, limit: 1 }), ['CA3'])
    t.same(await sids({ before: 'CA3', limit: 10 }), ['CA2', 'CA1'], 'two calls of the same instant are neither lost nor repeated')
    t.same(await sids({ before: null, limit: 10, outcome: 'completed' }), ['CA3', 'CA1'])
    t.same(await sids({ before: null, limit: 10, from: '+15550100077' }), ['CA2'])
    t.same(await sids({ before: null, limit: 10, startedFrom: at(2) }), ['CA3', 'CA2'], 'from a moment on')
    t.same(await sids({ before: null, limit: 10, startedBefore: at(2) }), ['CA1'], 'before a moment')
    await t.rejects(calls.list('a', { before: 'CA4', limit: 10 }), { code: 'INVALID_INPUT', message: /before/ }, 'a cursor of another company is no cursor')
  })

  t.test('a question nobody could answer waits until an entry answers it', async (t) => {
    const calls = await make(t)
    await calls.saveGap('a', gap('a', 'g1', 'CA1'))
    await calls.saveGap('a', gap('a', 'g2', 'CA1'))
    await calls.saveGap('a', gap('a', 'g2', 'CA1'))
    t.same(await calls.gap('a', 'g1'), gap('a', 'g1', 'CA1'))
    t.equal(await calls.gap('b', 'g1'), null)
    t.ok(await calls.solveGap('a', 'g1', 'pools'))
    t.notOk(await calls.solveGap('b', 'g2', 'pools'))
    t.same((await calls.gaps('a', { after: null, limit: 10, solved: false })).map((one) => one.id), ['g2'])
    t.same((await calls.gaps('a', { after: null, limit: 10, solved: true })).map((one) => one.solvedByEntryId), ['pools'])
    t.same((await calls.gaps('a', { after: 'g1', limit: 10 })).map((one) => one.id), ['g2'])
    t.same(await calls.gaps('b', { after: null, limit: 10 }), [])
  })

  t.test('a deleted call takes the words spoken in it along', async (t) => {
    const calls = await make(t)
    for (const callSid of ['CA1', 'CA2']) {
      await calls.begin('a', call('a', callSid))
      await calls.saveTurn('a', callSid, turn(1))
      await calls.saveGap('a', gap('a', `gap-${callSid}`, callSid))
    }
    t.notOk(await calls.deleteCall('b', 'CA1'))
    t.ok(await calls.deleteCall('a', 'CA1'))
    t.equal(await calls.get('a', 'CA1'), null)
    t.same(await calls.turns('a', 'CA1'), [])
    t.same((await calls.gaps('a', { after: null, limit: 10 })).map((one) => one.callSid), ['CA2'])
    t.equal((await calls.turns('a', 'CA2')).length, 1)
  })

  t.test('a turn that could not be read back is refused by the name of the field', async (t) => {
    const calls = await make(t)
    await t.rejects(calls.saveTurn('a', 'CA1', turn(1, { gapMs: Number.NaN })), { code: 'INVALID_INPUT', message: /gapMs/ })
    t.same(await calls.turns('a', 'CA1'), [])
  })
}
