import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadConfig } from '../../src/config.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { loadScript } from '../../src/load/call-script.ts'
import { placeCall } from '../../src/load/simulated-caller.ts'
import { SocketTransport } from '../../src/load/socket-transport.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { createPlatform } from '../../src/platform.ts'
import { MongoCallRepository } from '../../src/storage/mongo-call-repository.ts'
import { MongoDatabase } from '../../src/storage/mongo-database.ts'
import { migrateMongo } from '../../src/storage/mongo-schema.ts'
import { FaultyLink, type LinkState } from '../support/faulty-link.ts'
import type { Row } from './support/figures.ts'

/**
 * The same call with Redis and MongoDB there, gone, and hanging: `node test/bench/store-faults.ts [CALLS] [STATES] [--json FILE]`, with TEST_REDIS_URL and
 * TEST_MONGODB_URL as .ci/services sets them. Prints the gap from the caller's last sound to the agent's first, and how many records came through.
 */
const RECORDINGS = join(import.meta.dirname, '../../media/calls')
const COMPANY = 'polar-bay-air'
const clock = new SystemClock()
const never = new AbortController().signal
const { values: options, positionals } = parseArgs({ options: { json: { type: 'string' } }, allowPositionals: true })
const callCount = Number(positionals[0] ?? 6)
const rows: Row[] = []
let upMs: number | null = null
const WORDS: Readonly<Record<LinkState, string>> = { up: 'there', down: 'gone in mid-call and before calls', hang: 'hanging in mid-call and before calls' }
const addressOf = (url: string): { host: string; port: number } => ({ host: new URL(url).hostname, port: Number(new URL(url).port) })
const [redisUrl, mongoUrl] = [process.env['TEST_REDIS_URL'], process.env['TEST_MONGODB_URL']]
if (redisUrl === undefined || mongoUrl === undefined) throw new Error('TEST_REDIS_URL and TEST_MONGODB_URL name the servers')

const name = `clientsvia-bench-${process.pid}`
const database = MongoDatabase.open(mongoUrl, name)
await migrateMongo(database, () => undefined)
const [mongoWire, redisWire] = [await FaultyLink.open(addressOf(mongoUrl)), await FaultyLink.open(addressOf(redisUrl))]
const config = loadConfig({
  PORT: '0',
  DATA_DIR: mkdtempSync(join(tmpdir(), 'clientsvia-bench-')),
  SHUTDOWN_GRACE_SECONDS: '1',
  MONGODB_URL: `mongodb://127.0.0.1:${mongoWire.port}/${name}`,
  REDIS_URL: `redis://127.0.0.1:${redisWire.port}`,
})
const platform = await createPlatform(config, createLogger({ level: 'silent', speech: false, version: 'bench' }))
const { publicBaseUrl: target } = await platform.start()
const script = await loadScript(RECORDINGS, 'faq-hours')
const stored = new MongoCallRepository(database, { clock, report: (problem) => console.error(problem.message) })
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

// The first call pays for what is compiled and loaded once.
await placeCall({ clock, transport: new SocketTransport(clock, null), target, script }, never)
const states = (positionals[1] ?? 'up,down,hang').split(',') as LinkState[]
for (const state of states) {
  const sids: string[] = []
  const unanswered: string[] = []
  for (let n = 0; n < callCount; n += 1) {
    const call = placeCall({ clock, transport: new SocketTransport(clock, null), target, script }, never)
    // Every other call loses them in the middle, the others begin without them.
    if (n % 2 === 0) await clock.sleep(1500)
    mongoWire.set(state)
    redisWire.set(state)
    const { callSid, arrivals, verbs, problems } = await call
    // A server that is too busy to answer says so to the carrier: that is the machine, not the stores.
    if (arrivals.length === 0) unanswered.push(`${callSid}: ${verbs.map(({ verb }) => verb).join(', ')}`)
    else sids.push(callSid)
    for (const problem of problems) console.log(`  ${callSid}: ${problem}`)
    if (n % 2 === 1) {
      mongoWire.set('up')
      redisWire.set('up')
      await clock.sleep(3000)
    }
  }
  mongoWire.set('up')
  redisWire.set('up')
  const endedOf = async (): Promise<number> => (await Promise.all(sids.map((sid) => stored.get(COMPANY, sid)))).filter((record) => record !== null && record.endedAt !== null).length
  // The journal's probes are up to ten seconds apart by now.
  for (let i = 0; i < 30 && (await endedOf()) < sids.length; i += 1) await clock.sleep(1000)
  const turns = (await Promise.all(sids.map((sid) => stored.turns(COMPANY, sid)))).map((all) => all.filter((turn) => turn.input === 'speech'))
  const ended = await endedOf()
  const gaps = turns.flatMap((all) => all.map((turn) => turn.gapMs ?? Number.NaN))
  if (state === 'up') upMs = median(gaps)
  rows.push({
    what: `Redis and MongoDB ${WORDS[state]}: gap p50 / calls and records lost`,
    figure: `${median(gaps).toFixed(0)} ms (n=${gaps.length}) / ${sids.length - ended} of ${sids.length}`,
    bar: state === 'up' || upMs === null ? '' : `${(upMs * 1.1).toFixed(0)} ms / 0`,
  })
  console.log(`stores ${state.padEnd(4)}  gap p50 ${median(gaps).toFixed(0)} ms, worst ${Math.max(...gaps).toFixed(0)} ms  (n = ${gaps.length} turns)  calls recorded ${ended} of ${sids.length}`)
  for (const one of unanswered) console.log(`  not answered: ${one}`)
}
if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(rows))
await platform.stop()
await database.run((db) => db.dropDatabase())
await database.close()
process.exit(0)
