import { SystemClock } from '../../src/core/clock.ts'
import { Journal } from '../../src/storage/journal.ts'

/** Appends until it is killed, and says which lines are on the disk. */
const folder = process.argv[2] as string
const journal = await Journal.open({ folder, clock: new SystemClock(), onProblem: () => undefined })
for (let number = 0; ; number += 1) {
  await journal.append({ group: `call ${number % 7}`, change: { number } })
  process.stdout.write(`${number}\n`)
}
