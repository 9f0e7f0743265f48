import t from 'tap'
import { BoundedQueue } from '../../src/core/bounded-queue.ts'
import { SystemClock, instant, later } from '../../src/core/clock.ts'
import { MovingDeadline, withDeadline } from '../../src/core/deadline.ts'
import { isClientsViaError } from '../../src/core/errors.ts'
import { uuidv7 } from '../../src/core/ids.ts'
import { OneShot } from '../../src/core/one-shot.ts'
import { StageRecorder, turnLatency, type LatencyBudget } from '../../src/core/latency-budget.ts'
import { Scope } from '../../src/core/scope.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

t.test('ending a scope ends everything below it and nothing above', async (t) => {
  const server = new Scope()
  const call = new Scope(server)
  const turn = new Scope(call)
  call.end('hung up')
  t.ok(turn.ended)
  t.equal(turn.signal.reason, 'hung up')
  t.notOk(server.ended)
  t.equal(server.openChildren, 0, 'a scope that ended is forgotten by its parent')
  t.ok(new Scope(call).ended, 'nothing can be opened under a scope that ended')
})

t.test('live audio drops the oldest and counts it, commands refuse the newest', async (t) => {
  const live = new BoundedQueue<number>(2, 'drop-oldest')
  for (const n of [1, 2, 3]) live.push(n)
  live.close()
  const read: number[] = []
  for await (const n of live) read.push(n)
  t.same(read, [2, 3])
  t.equal(live.droppedCount, 1)
  const commands = new BoundedQueue<number>(1, 'refuse')
  t.ok(commands.push(1))
  t.notOk(commands.push(2))
  t.notOk(live.push(4), 'a closed queue takes nothing')
})

t.test('a failed queue hands out what it held, then throws', async (t) => {
  const queue = new BoundedQueue<number>(2, 'refuse')
  queue.push(1)
  queue.fail(new Error('socket reset'))
  const read: number[] = []
  await t.rejects(
    (async () => {
      for await (const n of queue) read.push(n)
    })(),
    { message: 'socket reset' },
  )
  t.same(read, [1])
})

t.test('sleep ends in the same tick as its signal, on both clocks', async (t) => {
  for (const clock of [new SystemClock(), new VirtualClock()]) {
    const scope = new Scope()
    const sleeping = clock.sleep(10_000, scope.signal)
    scope.end('over')
    await t.rejects(sleeping.catch((reason) => Promise.reject(new Error(String(reason)))), { message: 'over' })
  }
})

t.test('a timer that is put off again and again wakes once, when it is last due, and as what it was last started for', async (t) => {
  const clock = new VirtualClock()
  const scope = new Scope()
  const timer = new OneShot(clock, scope)
  const fired: string[] = []
  const start = (name: string, durationMs: number): void => timer.start(durationMs, () => fired.push(`${name} at ${clock.now()}`))
  start('first', 100)
  for (let ms = 20; ms <= 200; ms += 20) {
    await clock.advance(20)
    start(`put off at ${ms}`, 100)
    t.equal(clock.pendingTimers, 1, 'one timer, however often it is started')
  }
  await clock.advance(99)
  t.same(fired, [])
  await clock.advance(1)
  t.same(fired, ['put off at 200 at 300'])
  start('late', 100)
  start('sooner', 30)
  await clock.advance(30)
  t.same(fired.slice(1), ['sooner at 330'], 'a timer can be brought forward')
  start('cancelled', 10)
  timer.cancel()
  start('after the end', 10)
  scope.end('over')
  start('never', 10)
  await clock.advance(100)
  t.equal(fired.length, 2)
  t.equal(clock.pendingTimers, 0)
})

t.test('work that ignores its signal is still cut off at its deadline', async (t) => {
  const clock = new VirtualClock()
  const slow = withDeadline(clock, 80, null, () => new Promise<void>(() => undefined))
  const cut = slow.catch((error: unknown) => error)
  await clock.advance(81)
  t.ok(isClientsViaError(await cut, 'DEADLINE_PASSED'))
  t.equal(await clock.runUntil(withDeadline(clock, 80, null, async () => 7)), 7)
  t.equal(clock.pendingTimers, 0, 'a finished deadline leaves no timer')
})

t.test('every piece of a stream has its own deadline, and whoever reads slowly is not late', async (t) => {
  const clock = new VirtualClock()
  const parent = new AbortController()
  const deadline = new MovingDeadline(clock, parent.signal)
  const after = async (ms: number): Promise<number> => {
    await clock.sleep(ms)
    return ms
  }
  t.equal(await clock.runUntil(deadline.until(400, after(300))), 300)
  t.equal(await clock.runUntil(deadline.until(400, after(350))), 350, 'counted from its own beginning')
  await clock.advance(1000)
  t.equal(await clock.runUntil(deadline.until(50, after(40))), 40, 'nobody waited in between')
  const slow = deadline.until(80, new Promise(() => undefined)).catch((error: unknown) => error)
  await clock.advance(79)
  t.equal(await Promise.race([slow, 'waits']), 'waits')
  await clock.advance(2)
  t.ok(isClientsViaError(await slow, 'DEADLINE_PASSED'))
  const left = deadline.until(500, new Promise(() => undefined)).catch((error: unknown) => error)
  parent.abort('hung up')
  t.equal(await left, 'hung up')
  t.equal(await deadline.until(500, Promise.reject(new Error('late failure'))).catch((error: unknown) => error), 'hung up')
  deadline.close()
  await clock.advance(0)
  t.equal(clock.pendingTimers, 0)
})

t.test('the stages of a turn add up to its gap, whatever overlaps', async (t) => {
  const clock = new VirtualClock()
  const budget: LatencyBudget = { targetMs: 600, hardMs: 1000, stallAfterMs: 700, stagesMs: {} }
  const stages = new StageRecorder(clock)
  const lastVoicedAt = clock.now()
  await clock.advance(250)
  const knowledge = stages.start('knowledge')
  await clock.advance(100)
  const synthesis = stages.start('synthesis')
  await clock.advance(30)
  knowledge()
  const committedAt = clock.now()
  await clock.advance(200)
  synthesis()
  await clock.advance(15)
  const latency = turnLatency({ lastVoicedAt, committedAt, audibleAt: clock.now(), patienceMs: 80, spans: stages.spans, budget })
  t.equal(latency.gapMs, 595)
  t.same(latency.stages, [
    { stage: 'endpoint', ms: 300 },
    { stage: 'patience', ms: 80 },
    { stage: 'synthesis', ms: 200 },
    { stage: 'other', ms: 15 },
  ])
  t.equal(latency.work.find((work) => work.stage === 'knowledge')?.ms, 130, 'work in the shadow of the wait is still seen')
  t.equal(latency.budgetExceededByMs, 0)
  const late = turnLatency({ lastVoicedAt, committedAt, audibleAt: later(instant(0), 1200), patienceMs: 80, spans: [], budget })
  t.equal(late.budgetExceededByMs, 120, 'patience is outside the budget')
})

t.test('ids sort by the time they were made', async (t) => {
  const first = uuidv7(new Date('2026-01-01T00:00:00Z'))
  const second = uuidv7(new Date('2026-01-01T00:00:01Z'))
  t.ok(first < second)
  t.match(first, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})
