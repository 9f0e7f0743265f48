/**
 * How rare each letter is behind each other one in names, for src/grammar/letter-pairs.ts:
 *
 *   node test/bench/letter-pairs.ts NAMES.txt      one name a line
 *
 * A row a letter, a character for each letter that may follow: the nats by which the pair is rarer than if all letters were as likely,
 * in steps of half a nat, 0 to 6.
 */
import { readFileSync } from 'node:fs'

const LETTERS = [...'abcdefghijklmnopqrstuvwxyz']
const counts = new Map<string, number>()
for (const line of readFileSync(process.argv[2] as string, 'utf8').split('\n')) {
  const name = line.toLowerCase().normalize('NFKD').replace(/[^a-z]/g, '')
  for (let at = 0; at + 1 < name.length; at += 1) {
    const pair = name.slice(at, at + 2)
    counts.set(pair, (counts.get(pair) ?? 0) + 1)
  }
}
for (const first of LETTERS) {
  const row = LETTERS.map((second) => counts.get(first + second) ?? 0)
  const total = row.reduce((sum, count) => sum + count, 0)
  console.log(row.map((count) => Math.min(6, Math.max(0, Math.round(-2 * Math.log((count + 0.5) / (total + 13) / (1 / 26)))))).join(''))
}
