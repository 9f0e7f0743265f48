import { randomUUID } from 'node:crypto'
import t from 'tap'
import { SystemClock } from '../../src/core/clock.ts'
import type { MessageChannel } from '../../src/events/channel.ts'
import { EmbeddedQueue } from '../../src/events/embedded-queue.ts'
import { MessageDelivery } from '../../src/events/message-delivery.ts'
import { OutboxWorker } from '../../src/events/outbox-worker.ts'
import { BullMqQueue } from '../../src/storage/bullmq-queue.ts'
import { EmbeddedDatabase } from '../../src/storage/embedded-database.ts'
import { MIGRATIONS } from '../../src/storage/embedded-migrations.ts'
import { makeRepositories } from '../../src/storage/embedded-repositories.ts'
import { company } from '../storage/fixtures.ts'
import { NOBODY_LISTENS, redisService } from '../support/services.ts'
import { until } from '../support/until.ts'
import { item } from './fixtures.ts'
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

if (redis !== null) {
  t.test('two servers with one store and one Redis send every text, each once', async (t) => {
    const clock = new SystemClock()
    const database = EmbeddedDatabase.open(':memory:')
    database.migrate(MIGRATIONS)
    const repositories = makeRepositories(database, { clock, report: (problem) => t.fail(String(problem)) })
    await repositories.companies.save('a', company('a', { name: 'Polar Bay Air', phoneNumbers: ['+12395550100'] }))
    const sent: string[] = []
    const sms: MessageChannel = {
      unavailable: async () => null,
      send: async (_companyId, text) => {
        sent.push(text.itemId)
        return { kind: 'taken', providerId: `SM${sent.length}` }
      },
    }
    const prefix = randomUUID()
    const over = new AbortController()
    const queues = [0, 1].map(() => new BullMqQueue({ url: redis.url, prefix, onProblem: (error) => t.fail(String(error)) }))
    await Promise.all(queues.map((queue) => queue.ready()))
    const workers = queues.map((queue) => {
      const delivery = new MessageDelivery({ clock, ...repositories, templates: repositories.messageTemplates, appointments: null, channels: { sms, email: null }, zonesOf: async () => [], onOutcome: () => undefined })
      return new OutboxWorker({ clock, ...repositories, queue, delivery, onDepth: () => undefined, onProblem: (facts, problem) => t.fail(`${problem} ${String(facts['error'])}`) })
    })
    const now = clock.wallTime().toISOString()
    await repositories.outbox.add('a', Array.from({ length: 12 }, (_, n) => item(`text-${n}`, { dueAt: now }, { anyHour: true })), now)
    const running = workers.map((worker) => worker.run(over.signal))
    await until(() => sent.length >= 12)
    // Whatever would be sent twice would be so at the next scan.
    await new Promise((resolve) => setTimeout(resolve, 1500))
    over.abort(new Error('enough'))
    await Promise.all(running)
    await Promise.all(queues.map((queue) => queue.close()))
    t.equal(new Set(sent).size, 12)
    t.equal(sent.length, 12)
    t.same((await repositories.outbox.list('a', { before: null, limit: 50, kind: 'message' })).map((one) => one.state), Array(12).fill('done'))
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
