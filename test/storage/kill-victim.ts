/** Writes turns to the store in argv[2], many at once, and prints the number of each one that was acknowledged, until it is killed. */
import { writeSync } from 'node:fs'
import { openEmbeddedStore } from '../../src/storage/embedded-store.ts'
import { turn } from './fixtures.ts'

const store = await openEmbeddedStore({ dataDir: String(process.argv[2]), onProblem: () => undefined })
/** As many calls as write at the same time. */
const WRITERS = 8
let next = 0
await Promise.all(
  Array.from({ length: WRITERS }, async () => {
    for (;;) {
      const number = next++
      await store.calls.saveTurn('a', 'CA1', turn(number, { heard: `words of turn ${number}` }))
      writeSync(1, `${number}\n`)
    }
  }),
)
