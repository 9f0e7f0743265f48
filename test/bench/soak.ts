/**
 * `npm run bench:soak -- [--minutes 10] [--calls 12] [--json FILE]`: keeps that many calls going, each hung up after about eight seconds and replaced,
 * and looks at what the server holds after a full collection every fifteen seconds. Prints the slope of its memory after the warm-up
 * with its 95 % interval, and what is left of sockets and timers when the last caller has gone. Exit status 1 when something grows.
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { SystemClock } from '../../src/core/clock.ts'
import { startServer } from '../../src/load/server-process.ts'
import type { Row } from './support/figures.ts'
import { InspectedProcess, type Inspection } from './support/inspected-process.ts'

const root = join(import.meta.dirname, '../..')
const { values: options } = parseArgs({ options: { minutes: { type: 'string', default: '10' }, calls: { type: 'string', default: '12' }, json: { type: 'string' } } })
const minutes = Number(options.minutes)
const CALL_SECONDS = 8
const LOOK_EVERY_MS = 15_000
/** Caches fill and code is compiled before this share of the run is over. */
const WARM_UP = 0.4
/** Places and tokens that wait for a stream are given back within half a minute. */
const SETTLE_MS = 35_000
const INSPECT_PORT = 9377
/** Caches that answer for the first time keep a timer; a connection that is kept alive keeps its listeners. */
const SPARE_TIMERS = 2
const SPARE_LISTENERS = 40

const clock = new SystemClock()
const never = new AbortController().signal
const server = await startServer(clock, { environment: { NODE_OPTIONS: `--inspect=127.0.0.1:${INSPECT_PORT}`, LOG_LEVEL: 'error' } }, never)
let grows = false
try {
  const process_ = await InspectedProcess.open(INSPECT_PORT)
  await clock.sleep(20_000)
  const before = await process_.look()
  const listenersBefore = await process_.listeners()
  const callers = spawn(
    process.execPath,
    [join(root, 'test/bench/support/light-callers.ts'), '--target', server.url, '--to', '+15550100000', '--calls', options.calls, '--churn', String(CALL_SECONDS), '--seconds', String(minutes * 60), '--wav', join(root, 'media/calls/faq-hours.wav')],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let printed = ''
  callers.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
  const over = new Promise<void>((resolve) => callers.once('exit', () => resolve()))
  const samples: { atS: number; inspection: Inspection }[] = []
  const beganAt = clock.now()
  while (clock.now() - beganAt < minutes * 60_000) {
    await clock.sleep(LOOK_EVERY_MS)
    samples.push({ atS: (clock.now() - beganAt) / 1000, inspection: await process_.look() })
  }
  await over
  await clock.sleep(SETTLE_MS)
  const after = await process_.look()
  const listenersAfter = await process_.listeners()
  const figures = JSON.parse(printed) as { calls: number; refused: number; dropped: number; unanswered: number; gap: { p50: number; p95: number } }
  const steady = samples.filter(({ atS }) => atS > minutes * 60 * WARM_UP)
  const slope = slopeOf(steady.map(({ atS, inspection }) => [atS, inspection.memory.heapUsed + inspection.memory.external] as const))
  const rssSlope = slopeOf(steady.map(({ atS, inspection }) => [atS, inspection.memory.rss] as const))
  // A busy machine refuses now and then, and its caller tries again at once: only calls that were held count.
  const held = figures.calls - figures.refused
  const callsASecond = held / (minutes * 60)
  console.log(`${held} calls in ${minutes} min, ${options.calls} at a time; ${figures.refused} refused, ${figures.dropped} dropped, ${figures.unanswered} questions unanswered, gap p50 ${figures.gap.p50.toFixed(0)} p95 ${figures.gap.p95.toFixed(0)} ms`)
  console.log(`memory in use after collection: ${mib(inUse(before))} before, ${mib(inUse(samples[0]?.inspection ?? before))} in the first calls, ${mib(inUse(steady.at(-1)?.inspection ?? after))} at the end, ${mib(inUse(after))} after the last one`)
  console.log(`slope after warm-up: ${interval(slope, callsASecond)}; resident: ${interval(rssSlope, callsASecond)}`)
  console.log(`resources before ${JSON.stringify(before.resources)}, after ${JSON.stringify(after.resources)}`)
  const left = (after.resources['TCPSocketWrap'] ?? 0) - (before.resources['TCPSocketWrap'] ?? 0)
  const timers = (after.resources['Timeout'] ?? 0) - (before.resources['Timeout'] ?? 0)
  const listeners = listenersAfter - listenersBefore
  console.log(`listeners ${listenersBefore} before, ${listenersAfter} after`)
  grows = slope.low > 0 || left > 0 || timers > SPARE_TIMERS || listeners > SPARE_LISTENERS
  console.log(grows ? 'something grows' : 'nothing grows')
  const rows: Row[] = [
    { what: `memory a call leaves behind, ${held} calls in ${minutes} min, with its 95 % interval`, figure: interval(slope, callsASecond), bar: 'holds 0' },
    { what: 'sockets / timers / listeners more than before, when the last caller has gone', figure: `${left} / ${timers} / ${listeners}`, bar: '0 / 0 / 0' },
  ]
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(rows))
  process_.close()
} finally {
  await server.stop(never)
}
process.exitCode = grows ? 1 : 0

function inUse({ memory }: Inspection): number {
  return memory.heapUsed + memory.external
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}

function interval(slope: Slope, callsASecond: number): string {
  const a = (bytesASecond: number): string => (bytesASecond / callsASecond).toFixed(0)
  return `${a(slope.mid)} bytes a call [${a(slope.low)}, ${a(slope.high)}]`
}

type Slope = Readonly<{ mid: number; low: number; high: number }>

/** Least squares, with the interval of two standard errors. */
function slopeOf(points: readonly (readonly [number, number])[]): Slope {
  const n = points.length
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n
  const sxx = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  const mid = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / sxx
  const residual = points.reduce((sum, [x, y]) => sum + (y - meanY - mid * (x - meanX)) ** 2, 0)
  const error = Math.sqrt(residual / (n - 2) / sxx)
  return { mid, low: mid - 2 * error, high: mid + 2 * error }
}
