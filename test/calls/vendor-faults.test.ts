import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { FaultWorld } from '../bench/support/fault-calls.ts'
import { bothBySocket } from '../bench/support/speech-faults.ts'

t.setTimeout(120_000)

// Calls are as long as people speak, and how long the silences are is measured by `npm run bench:faults`, which places all of them; this is
// the one that has a bit of everything.
t.test('a vendor that hears and speaks for a call dies between two questions: the caller is heard and answered all the same', { timeout: 120_000 }, async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'vendor-faults-'))
  const { subject, vendor } = await bothBySocket()
  const world = await FaultWorld.start(subject, dataDir)
  t.teardown(async () => {
    await world.stop()
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 })
  })
  const cell = await world.call('refused', 'after')
  t.match(cell.earlier, { understood: 'When are you open on Saturday?', heard: /saturday/i }, 'the vendor heard the first question')
  t.ok(vendor.spoken.some(({ text, outcome }) => /Saturday/.test(text) && outcome === 'whole'), 'and spoke the answer')
  t.ok(cell.replaced >= 1, 'then it was replaced')
  // Which words, on a machine as busy as a test's may be, is not for this test to say.
  t.not(cell.understood, '', 'the embedded recogniser heard the second question')
  t.not(cell.heard, '', 'and the embedded voice answered')
  t.same(cell.problems, [])
})
