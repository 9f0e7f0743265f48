import { randomUUID } from 'node:crypto'
import t from 'tap'
import { EmbeddedQueue } from '../../src/events/embedded-queue.ts'
import { BullMqQueue } from '../../src/storage/bullmq-queue.ts'
import { NOBODY_LISTENS, redisService } from '../support/services.ts'
import { dispatchQueueContract } from './queue-contract.ts'

t.test('the queue of one process', async (t) => dispatchQueueContract(t, async () => new EmbeddedQueue()))

const redis = await redisService(9)
if (redis !== null) {
  const { url } = redis
  t.test('the queue of many processes', async (t) => {
    dispatchQueueContract(t, async (t) => {
      const queue = new BullMqQueue({ url, prefix: randomUUID(), onProblem: (error) => t.fail(String(error)) })
      t.teardown(() => queue.close())
      await queue.ready()
      return queue
    })
  })

  t.test('two processes share what is offered to either', async (t) => {
    const prefix = randomUUID()
    const queues = [0, 1].map(() => new BullMqQueue({ url, prefix, onProblem: (error) => t.fail(String(error)) }))
    const over = new AbortController()
    const done: string[] = []
    const running = queues.map((queue) => queue.consume(async ({ itemId }) => {
      done.push(itemId)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }, 2, over.signal))
    await Promise.all(queues.map((queue) => queue.ready()))
    await Promise.all(queues.map((queue) => queue.offer(Array.from({ length: 30 }, (_, n) => ({ companyId: 'a', itemId: `item-${n}` })), over.signal)))
    while (new Set(done).size < 30) await new Promise((resolve) => setTimeout(resolve, 5))
    over.abort(new Error('enough'))
    await Promise.all(running)
    await Promise.all(queues.map((queue) => queue.close()))
    // Offered twice, and done twice only where the first time was over by then.
    t.equal(new Set(done).size, 30)
  })
}

t.test('without its Redis a process works for itself', async (t) => {
  const problems: unknown[] = []
  const queue = new BullMqQueue({ url: `redis://127.0.0.1:${NOBODY_LISTENS}`, onProblem: (error) => problems.push(error) })
  const over = new AbortController()
  const { promise: done, resolve } = Promise.withResolvers<string>()
  const running = queue.consume(async ({ itemId }) => resolve(itemId), 2, over.signal)
  await queue.offer([{ companyId: 'a', itemId: 'x' }], over.signal)
  t.equal(await done, 'x')
  t.equal(problems.length, 1)
  over.abort(new Error('enough'))
  await running
  await queue.close()
})
