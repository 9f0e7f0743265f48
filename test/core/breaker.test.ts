import t from 'tap'
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
  const listeners = new Set<(key: string, openMs: number | null) => void>()
  const stateOf = (self: () => unknown): SharedBreakerState => {
    let own: ((key: string, openMs: number | null) => void) | null = null
    return {
      announce: (key, openMs) => [...listeners].filter((listener) => listener !== own).forEach((listener) => listener(key, openMs)),
      subscribe: (listener) => {
        own = listener
        listeners.add(listener)
        return () => void (listeners.delete(listener), self())
      },
    }
  }
  const here = new Breakers(clock, stateOf(() => undefined))
  const there = new Breakers(clock, stateOf(() => undefined))
  here.of('openai llm').failed()
  here.of('openai llm').failed()
  t.same(there.states, [{ key: 'openai llm', state: 'open' }])
  t.equal(there.of('openai tts').state, 'closed')
  await clock.advance(5000)
  t.ok(there.of('openai llm').tryPass())
  there.of('openai llm').succeeded()
  t.equal(here.of('openai llm').state, 'closed')
  here.close()
  there.close()
  t.equal(listeners.size, 0)
})
