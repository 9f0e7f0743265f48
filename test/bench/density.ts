/**
 * `npm run bench:density -- [--calls 50,100] [--seconds 30] [--vad silero|level] [--profile FOLDER] [--json FILE]`: how many calls one server
 * process holds, and at what cost. The recogniser and the voice are stand-ins in another process, the callers in a third; answers are
 * the company's own, so what is measured is the media plane: frames, turn-taking, the intelligence loop, pacing. Processor time is the
 * server process's own, its threads and the kernel's work for it included; prints what a call takes of it and which thread.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { readFileSync, readdirSync as readdir, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { SystemClock } from '../../src/core/clock.ts'
import { startServer } from '../../src/load/server-process.ts'
import type { Row } from './support/figures.ts'

const root = join(import.meta.dirname, '../..')
const { values: options } = parseArgs({
  options: { calls: { type: 'string', default: '50,100' }, seconds: { type: 'string', default: '30' }, profile: { type: 'string' }, vad: { type: 'string', default: 'silero' }, json: { type: 'string' } },
})
const clock = new SystemClock()
const never = new AbortController().signal
const PASSWORD = 'bench-owner-password'

type LightReport = Readonly<{
  live: number
  refused: number
  dropped: number
  failed: number
  unanswered: number
  underruns: number
  worstLateMs: number
  gap: Readonly<{ count: number; p50: number; p95: number }>
  sendLag: Readonly<{ p50: number; p95: number; p99: number }>
}>
type Stats = Readonly<{ rss: number; cpu: Readonly<{ user: number; system: number }> }>
const rows: Row[] = []

const vendors = spawn(process.execPath, [...process.execArgv, join(root, 'test/bench/support/vendors-process.ts')]) as ChildProcessWithoutNullStreams
vendors.stderr.pipe(process.stderr)
const lines = createInterface({ input: vendors.stdout })[Symbol.asyncIterator]()
const { deepgram } = JSON.parse((await lines.next()).value as string) as { deepgram: string }
const server = await startServer(
  clock,
  {
    environment: {
      DEEPGRAM_BASE_URL: deepgram,
      STT_ENGINE: 'deepgram',
      TTS_ENGINE: 'deepgram',
      VOICE_ACTIVITY: options.vad,
      ADMIN_PASSWORD: PASSWORD,
      LOG_LEVEL: 'error',
      ...(options.profile === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${options.profile}` }),
    },
  },
  never,
)
try {
  await liftLimits(server.url)
  await clock.sleep(10_000)
  const idle = await statsOf(server.url)
  console.log(`idle: ${(idle.rss / 1024 / 1024).toFixed(0)} MiB resident`)
  for (const calls of options.calls.split(',').map(Number)) {
    const rampS = calls / 20 + 5
    const callers = spawn(process.execPath, [
      ...process.execArgv, join(root, 'test/bench/support/light-callers.ts'), '--target', server.url, '--to', '+15550100000', '--calls', String(calls), '--seconds', String(Number(options.seconds) + rampS), '--wav', join(root, 'media/calls/faq-hours.wav'),
    ])
    callers.stderr.pipe(process.stderr)
    let printed = ''
    callers.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    await clock.sleep(rampS * 1000)
    const before = await statsOf(server.url)
    const threadsBefore = threadTimes(server.pid as number)
    const beganAt = clock.now()
    await clock.sleep((Number(options.seconds) - 2) * 1000)
    const after = await statsOf(server.url)
    const wallMs = clock.now() - beganAt
    const threads = threadTimes(server.pid as number)
    await new Promise<void>((resolve) => callers.once('exit', () => resolve()))
    const report = JSON.parse(printed) as LightReport
    const cores = (after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system) / 1000 / wallMs
    console.log(
      `${calls} calls: ${cores.toFixed(2)} cores (${((cores / calls) * 1000).toFixed(1)} ms of a core a call and second), ${((after.rss - idle.rss) / calls / 1024 / 1024).toFixed(2)} MiB a call; ` +
        `gap p50 ${report.gap.p50.toFixed(0)} p95 ${report.gap.p95.toFixed(0)} ms (n=${report.gap.count}), send lag p50 ${report.sendLag.p50.toFixed(1)} p99 ${report.sendLag.p99.toFixed(1)} ms, ` +
        `${report.underruns} underruns, ${report.dropped} dropped, ${report.refused} refused, ${report.unanswered} unanswered, callers late by ${report.worstLateMs.toFixed(0)} ms`,
    )
    const spent = [...threads].map(([name, ms]) => [name, (ms - (threadsBefore.get(name) ?? 0)) / wallMs] as const).filter(([, share]) => share > 0.005)
    console.log(`  by thread: ${spent.sort((a, b) => b[1] - a[1]).slice(0, 6).map(([name, share]) => `${name} ${(share * 100).toFixed(0)} %`).join(', ')}`)
    await clock.sleep(2000)
    const lost = await lostFrames(server.url)
    console.log(`  frames lost or given up: ${lost}`)
    rows.push({
      what: `${calls} calls at once in one process, voice found by ${options.vad === 'level' ? 'level' : 'Silero'}: processor / memory a call`,
      figure: `${cores.toFixed(2)} cores / ${((after.rss - idle.rss) / calls / 1024 / 1024).toFixed(2)} MiB`,
      bar: '1 core / 1.5 MiB',
    })
    rows.push({
      what: 'their frames: sent late p99 / lost / calls dropped or refused',
      figure: `${report.sendLag.p99.toFixed(1)} ms / ${lost} / ${report.dropped + report.refused}`,
      bar: '20 ms / 0 / 0',
    })
  }
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(rows))
} finally {
  await server.stop(never)
  vendors.stdin.end()
}

async function statsOf(url: string): Promise<Stats> {
  return (await (await fetch(new URL('/internal/stats', url))).json()) as Stats
}

/** Missing on the callers' media clocks, and dropped by full queues. */
async function lostFrames(url: string): Promise<number> {
  const text = await (await fetch(new URL('/metrics', url))).text()
  return text.split('\n').filter((line) => /^clientsvia_frames_(lost|dropped)_total/.test(line)).reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}

/** Demo companies take fifty calls at once; this one takes what the bench asks for. */
async function liftLimits(url: string): Promise<void> {
  const api = async (method: string, path: string, headers: Readonly<Record<string, string>>, body?: unknown): Promise<Response> => {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) }
    const response = await fetch(new URL(`/api/v1${path}`, url), { method, headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }, ...sent })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return response
  }
  const login = await api('POST', '/auth/login', {}, { email: 'owner@localhost.local', password: PASSWORD })
  const authorization = `Bearer ${((await login.json()) as { accessToken: string }).accessToken}`
  const company = await api('GET', '/companies/polar-bay-air', { authorization })
  const limits = { concurrentCalls: 1000, minutesPerDay: 100_000 }
  await api('PATCH', '/companies/polar-bay-air', { authorization, 'if-match': company.headers.get('etag') ?? '' }, { limits })
}

/** Milliseconds of processor time by thread name, Linux only. */
function threadTimes(pid: number): Map<string, number> {
  const times = new Map<string, number>()
  try {
    for (const thread of readdir(`/proc/${pid}/task`)) {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const name = thread === String(pid) ? 'main' : `${stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))} ${thread}`
      times.set(name, (Number(fields[11]) + Number(fields[12])) * 10)
    }
  } catch {
    // Another system: no split.
  }
  return times
}
