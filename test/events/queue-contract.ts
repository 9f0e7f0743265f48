import type { Dispatch, DispatchQueue } from '../../src/events/dispatch-queue.ts'
import { until } from '../support/until.ts'

type Test = import('tap').Test

const one = (n: number): Dispatch => ({ companyId: `company:${n % 2}`, itemId: `item-${n}` })

/** What any queue of due work must do. `make` gives an empty one, and the same one again for another worker where `shared` is true. */
export function dispatchQueueContract(t: Test, make: (t: Test) => Promise<DispatchQueue>): void {
  t.test('what is offered is worked on once, however often it is offered meanwhile', async (t) => {
    const queue = await make(t)
    const over = new AbortController()
    const done: Dispatch[] = []
    const { promise: gate, resolve: open } = Promise.withResolvers<void>()
    const running = queue.consume(async (item) => {
      done.push(item)
      await gate
    }, 4, over.signal)
    await queue.offer([one(1), one(2), one(1)], over.signal)
    await until(() => done.length === 2)
    await queue.offer([one(1), one(2)], over.signal)
    await new Promise((resolve) => setTimeout(resolve, 50))
    t.same(done.map((item) => item.itemId).sort(), ['item-1', 'item-2'])
    t.same(done.find((item) => item.itemId === 'item-1'), one(1), 'with its company')
    open()
    over.abort(new Error('enough'))
    await running
  })

  t.test('what is over may be offered again, also when its work failed', async (t) => {
    const queue = await make(t)
    const over = new AbortController()
    let times = 0
    const running = queue.consume(async () => {
      times += 1
      if (times === 1) throw new Error('not this time')
    }, 2, over.signal)
    for (const expected of [1, 2, 3]) {
      await until(() => {
        // As a scan does: again and again, until it is taken.
        void queue.offer([one(1)], over.signal).catch(() => undefined)
        return times >= expected
      })
    }
    over.abort(new Error('enough'))
    await running
    t.ok(times >= 3)
  })

  t.test('no more is worked on at a time than was asked for', async (t) => {
    const queue = await make(t)
    const over = new AbortController()
    let now = 0
    let most = 0
    let done = 0
    const { promise: gate, resolve: open } = Promise.withResolvers<void>()
    const running = queue.consume(async () => {
      now += 1
      most = Math.max(most, now)
      await gate
      // A fourth would have come meanwhile.
      await new Promise((resolve) => setTimeout(resolve, 5))
      now -= 1
      done += 1
    }, 3, over.signal)
    await queue.offer(Array.from({ length: 20 }, (_, n) => one(n)), over.signal)
    await until(() => now === 3)
    open()
    await until(() => done === 20)
    t.equal(most, 3)
    over.abort(new Error('enough'))
    await running
  })

  t.test('who stops finishes what has begun, and begins nothing', async (t) => {
    const queue = await make(t)
    const over = new AbortController()
    const begun: string[] = []
    const ended: string[] = []
    const { promise: gate, resolve: open } = Promise.withResolvers<void>()
    const running = queue.consume(async ({ itemId }) => {
      begun.push(itemId)
      await gate
      ended.push(itemId)
    }, 1, over.signal)
    await queue.offer([one(1), one(2)], over.signal)
    await until(() => begun.length === 1)
    over.abort(new Error('enough'))
    open()
    await running
    t.equal(begun.length, 1)
    t.same(ended, begun)
    await t.rejects(queue.offer([one(3)], over.signal), { message: 'enough' })
  })
}
