import t from 'tap'
import { later, type Instant } from '../../src/core/clock.ts'
import { Breaker, Breakers, type SharedBreakerState } from '../../src/core/breaker.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

t.test('two failures close together open it, one is forgiven', async (t) => {
  const clock = new VirtualClock()
  const breaker = new Breaker('deepgram stt', clock)
  breaker.failed()
  t.equal(breaker.state, 'closed')
  await clock.advance(10_001)
  breaker.failed()
  t.equal(breaker.state, 'closed', 'the first one is an old story')
  breaker.failed()
  t.equal(breaker.state, 'open')
  t.notOk(breaker.tryPass())
})

t.test('after seconds one call probes it; a failed probe doubles the wait, a good one ends it', async (t) => {
  const clock = new VirtualClock()
  const breaker = new Breaker('deepgram stt', clock)
  breaker.failed()
  breaker.failed()
  await clock.advance(5000)
  t.equal(breaker.state, 'half-open')
  t.same([breaker.tryPass(), breaker.tryPass()], [true, false], 'one at a time')
  breaker.failed()
  await clock.advance(9999)
  t.notOk(breaker.tryPass())
  await clock.advance(1)
  t.ok(breaker.tryPass())
  breaker.succeeded()
  t.equal(breaker.state, 'closed')
  breaker.failed()
  t.equal(breaker.state, 'closed', 'and it starts from nothing')
})

t.test('a probe whose caller hung up does not block the next one', async (t) => {
  const clock = new VirtualClock()
  const breaker = new Breaker('deepgram stt', clock)
  breaker.failed()
  breaker.failed()
  await clock.advance(5000)
  t.ok(breaker.tryPass())
  breaker.abandoned()
  t.ok(breaker.tryPass())
  t.notOk(breaker.tryPass())
  await clock.advance(10_000)
  t.ok(breaker.tryPass(), 'nor does one that never reports')
})

t.test('what one process finds out, the others know', async (t) => {
  const clock = new VirtualClock()
  const open = new Map<string, Instant>()
  const shared: SharedBreakerState = {
    openForMs: (key) => Math.max(0, (open.get(key) ?? 0) - clock.now()),
    open: (key, forMs) => void open.set(key, later(clock.now(), forMs)),
    close: (key) => void open.delete(key),
  }
  const [here, there] = [new Breakers(clock, shared), new Breakers(clock, shared)]
  here.of('openai llm').failed()
  here.of('openai llm').failed()
  t.equal(there.of('openai llm').state, 'open')
  t.equal(there.of('openai tts').state, 'closed')
  await clock.advance(5000)
  t.same([there.of('openai llm').tryPass(), there.of('openai llm').tryPass()], [true, false], 'and try it again one at a time')
  here.of('openai llm').failed()
  const third = new Breakers(clock, shared)
  t.equal(third.of('openai llm').state, 'open')
  here.of('openai llm').succeeded()
  t.equal(third.of('openai llm').state, 'closed', 'well for one, well for all')
})
