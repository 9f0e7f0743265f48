import t from 'tap'
import { LoadShedder } from '../../src/observability/load-monitor.ts'

const GIB = 1024 ** 3

function shedder(): (loopLagMs: number, gib?: number) => string | null {
  const one = new LoadShedder({ loopLagMs: 60, memoryBytes: 2 * GIB })
  return (loopLagMs, gib = 1) => one.observe({ loopLagMs, memoryBytes: gib * GIB })
}

t.test('a loop that is late for three seconds takes no new calls, one that is late once does', async (t) => {
  const second = shedder()
  t.equal(second(200), null)
  t.equal(second(10), null)
  t.same([second(90), second(90), second(90)], [null, null, 'loop-lag'])
})

t.test('the door opens again after five quiet seconds, and does not flutter', async (t) => {
  const second = shedder()
  for (let i = 0; i < 3; i++) second(90)
  t.same([10, 10, 10, 10].map((lag) => second(lag)), Array(4).fill('loop-lag'))
  t.equal(second(55), 'loop-lag', 'nearly late is not relief')
  t.same([10, 10, 10, 10, 10].map((lag) => second(lag)), [...Array(4).fill('loop-lag'), null])
})

t.test('memory counts as the loop does, and is named first', async (t) => {
  const second = shedder()
  t.same([second(90, 2.1), second(90, 2.1), second(90, 2.1)], [null, null, 'memory'])
  t.same([1, 1, 1, 1, 1].map((gib) => second(0, gib)).at(-1), null)
})
