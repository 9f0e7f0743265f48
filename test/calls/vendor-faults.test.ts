import t from 'tap'
import { FaultWorld } from '../bench/support/fault-calls.ts'
import { bothBySocket } from '../bench/support/speech-faults.ts'

// Calls are as long as people speak. `npm run bench:faults` places all of them; this is the one that has a bit of everything.
t.test('a vendor that hears and speaks for a call dies between two questions: the caller is understood and answered all the same', { timeout: 90_000 }, async (t) => {
  const { subject, vendor } = await bothBySocket()
  const world = await FaultWorld.start(subject, t.testdir())
  t.teardown(() => world.stop())
  const cell = await world.call('refused', 'after')
  t.ok(cell.greeted)
  t.match(cell.earlier, { understood: 'When are you open on Saturday?', heard: /saturday/i }, 'the vendor heard the first question')
  t.ok(vendor.spoken.some(({ text, outcome }) => /Saturday/.test(text) && outcome === 'whole'), 'and spoke the answer')
  t.match(cell.understood, /diagnostic/i, 'the embedded recogniser heard the second one')
  t.ok(cell.answered, cell.heard)
  t.ok(cell.silenceMs !== null && cell.silenceMs <= 1200, `the longest silence was ${cell.silenceMs} ms`)
  t.same(cell.problems, [])
})
