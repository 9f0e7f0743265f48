import t from 'tap'
import { gapsOfBeginnings, soundDistance, soundGap, soundsOf } from '../../src/grammar/likeness.ts'

const WORDS = ['latte', 'lattes', 'mocha', 'thermostat', 'furnace', 'peterson', 'compressor', 'for', 'ice', 'wednesday', 'appointment', 'x', 'bonita', 'donita', `${'la'.repeat(50)}`].map(soundsOf)

/** What the tables say, without rows that are shared or given up early. */
function plainGap(x: string, y: string): number {
  if (x === '' && y === '') return 0
  const drop = (text: string): number => plainGap(text, '')
  if (y === '') return x === '' ? 0 : soundGap(x[0] as string, '', Infinity) + drop(x.slice(1))
  if (x === '') return plainGap(y, x)
  const swap = soundGap(x[0] as string, y[0] as string, Infinity)
  return Math.min(swap + plainGap(x.slice(1), y.slice(1)), soundGap(x[0] as string, '', Infinity) + plainGap(x.slice(1), y), soundGap('', y[0] as string, Infinity) + plainGap(x, y.slice(1)))
}

t.test('words are as far apart as their sounds, whichever was compared before', async (t) => {
  t.equal(soundDistance('coffee', 'koffee'), 0)
  t.ok(soundDistance('bonita', 'donita') < soundDistance('bonita', 'naples'))
  for (const x of ['late', 'mok', 'ferns']) for (const y of ['lat', 'moka', 'furn', 'is']) t.ok(Math.abs(soundGap(x, y, Infinity) - plainGap(x, y)) < 1e-9, `${x} ${y}`)
})

t.test('a word that is certainly too far is given up early, and never one that is near enough', async (t) => {
  for (const x of WORDS)
    for (const y of WORDS) {
      const far = soundGap(x, y, Infinity)
      const given = soundGap(x, y, 2)
      if (far <= 2) t.ok(Math.abs(given - far) < 1e-9)
      else t.ok(given > 2)
      const all = gapsOfBeginnings(x, y, Infinity)
      const some = gapsOfBeginnings(x, y, 2)
      all.forEach((gap, length) => {
        if (gap <= 2 && Math.abs((some[length] as number) - gap) > 1e-9) t.fail(`${x.slice(0, length)} is ${gap} from ${y}`)
      })
      t.equal(all.length, x.length + 1)
    }
})
