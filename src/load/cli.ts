import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { SystemClock } from '../core/clock.ts'
import type { JudgedCall } from './call-judgement.ts'
import type { CallRecording } from './call-recording.ts'
import { listScripts, loadScript, type LoadedScript } from './call-script.ts'
import { folderScripts } from './folder-scripts.ts'
import { runLoad } from './load-run.ts'
import { reportPage } from './report-page.ts'
import { reportTable, summarise, type LoadReport } from './report.ts'
import { startServer, type ServerProcess } from './server-process.ts'
import { SocketTransport } from './socket-transport.ts'
import { transcriptOf } from './transcript.ts'

const SCRIPT_FOLDER = join(import.meta.dirname, '../../media/calls')
/** Calls that start in the same millisecond measure one instant; spread over a frame or more they measure the server. */
const RAMP_MS = 150
/** More than a machine of this size can place; a typing error should not start a million calls. */
const MOST_CALLS = 10_000

const USAGE = `Places simulated calls against a server and reports what the callers heard.

  npm run load -- --script NAME            one call of media/calls/NAME.json; repeat --script, say "all" or "booking-*"
    --wavs FOLDER                          say every WAV file of a folder instead, one call a file; only ears judge
    --calls N                              how many calls (as many as there are scripts)
    --concurrency N                        how many at once (all of them)
    --ramp MS                              between two first dials (${RAMP_MS})
    --target URL                           a running server; without it one is started for the run
    --auth-token TOKEN                     sign as the carrier does
    --to NUMBER                            dial this number instead of the script's
    --max-gap-p50 MS, --max-gap-p95 MS     fail when prompt answers are slower
    --json FILE, --html FILE               write the report
    --recordings FOLDER                    write every call as a stereo WAV, caller left, agent right
    --transcript                           print each call as the server understood it, turn by turn

Exit status: 0 all expectations met, 1 some were not, 2 the command or the server is at fault.`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      script: { type: 'string', multiple: true },
      wavs: { type: 'string' },
      calls: { type: 'string' },
      concurrency: { type: 'string' },
      ramp: { type: 'string' },
      target: { type: 'string' },
      spawn: { type: 'boolean' },
      'auth-token': { type: 'string' },
      to: { type: 'string' },
      'max-gap-p50': { type: 'string' },
      'max-gap-p95': { type: 'string' },
      json: { type: 'string' },
      html: { type: 'string' },
      recordings: { type: 'string' },
      transcript: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  if (values.help === true) {
    process.stdout.write(`${USAGE}\n`)
    return 0
  }
  if (values.spawn === true && values.target !== undefined) throw new Error('--spawn starts a server of its own: leave out --target')
  const loaded = values.wavs === undefined ? await namedScripts(values.script ?? ['all']) : await folderScripts(values.wavs)
  const scripts = values.to === undefined ? loaded : loaded.map((one) => dialling(one, values.to as string))
  const calls = wholeNumber('--calls', values.calls, scripts.length, MOST_CALLS)
  const concurrency = wholeNumber('--concurrency', values.concurrency, calls, MOST_CALLS)
  const rampMs = values.ramp === undefined ? RAMP_MS : wholeNumber('--ramp', values.ramp, RAMP_MS, 60_000)
  const stopping = new AbortController()
  process.once('SIGINT', () => stopping.abort(new Error('interrupted')))
  const clock = new SystemClock()
  const authToken = values['auth-token'] ?? null
  let server: ServerProcess | null = null
  try {
    if (values.target === undefined) {
      server = await startServer(clock, { authToken }, stopping.signal)
      process.stdout.write(`server ready on ${server.url} in ${Math.round(server.readyInMs)} ms\n`)
    }
    const target = server?.url ?? (values.target as string)
    const startedAt = clock.wallTime().toISOString()
    const judged = await runLoad(
      {
        clock,
        transport: new SocketTransport(clock, authToken),
        target,
        scripts,
        calls,
        concurrency,
        rampMs,
        onCallOver: async (call, recording, position) => {
          process.stdout.write(`${progressLine(call, position, calls)}\n`)
          if (values.transcript === true) process.stdout.write(`${transcriptOf(call)}\n`)
          if (values.recordings !== undefined) await writeRecording(values.recordings, call, recording, position)
        },
      },
      stopping.signal,
    )
    const report = summarise({ startedAt, target, concurrency: Math.min(concurrency, calls), calls: judged })
    process.stdout.write(`\n${reportTable(report)}\n`)
    if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`)
    if (values.html !== undefined) await writeFile(values.html, reportPage(report))
    return verdict(report, values['max-gap-p50'], values['max-gap-p95'])
  } finally {
    if (server !== null) await server.stop(new AbortController().signal)
  }
}

function verdict(report: LoadReport, maxP50: string | undefined, maxP95: string | undefined): number {
  let status = report.failedCalls > 0 ? 1 : 0
  for (const [name, limit, value] of [
    ['p50', maxP50, report.heard.gap?.p50],
    ['p95', maxP95, report.heard.gap?.p95],
  ] as const) {
    if (limit === undefined) continue
    const limitMs = wholeNumber(`--max-gap-${name}`, limit, 0, 60_000)
    if (value !== undefined && value <= limitMs) continue
    process.stdout.write(`the gap's ${name} is ${value === undefined ? 'unknown' : `${Math.round(value)} ms`}, at most ${limitMs} ms asked for\n`)
    status = 1
  }
  return status
}

async function namedScripts(names: readonly string[]): Promise<LoadedScript[]> {
  const known = await listScripts(SCRIPT_FOLDER)
  const wanted = names.flatMap((name) => (name === 'all' ? known : name.endsWith('*') ? known.filter((one) => one.startsWith(name.slice(0, -1))) : [name]))
  const unknown = wanted.filter((name) => !known.includes(name))
  if (unknown.length > 0) throw new Error(`--script ${unknown.join(', ')}: not in media/calls; there are ${known.join(', ')}`)
  return Promise.all(wanted.map((name) => loadScript(SCRIPT_FOLDER, name)))
}

function dialling(loaded: LoadedScript, to: string): LoadedScript {
  if (!/^\+[1-9]\d{6,14}$/.test(to)) throw new Error(`--to ${to}: a number in E.164, like +15550100000, is needed`)
  return { ...loaded, script: { ...loaded.script, to } }
}

async function writeRecording(folder: string, call: JudgedCall, recording: CallRecording, position: number): Promise<void> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, `${String(position + 1).padStart(3, '0')}-${call.evidence.script.name}.wav`), recording.toWav())
}

function progressLine(call: JudgedCall, position: number, calls: number): string {
  const seconds = (call.evidence.durationMs / 1000).toFixed(1)
  return `${call.failures.length === 0 ? 'ok  ' : 'FAIL'} ${position + 1}/${calls} ${call.evidence.script.name}, ${seconds} s`
}

function wholeNumber(option: string, text: string | undefined, fallback: number, most: number): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > most) throw new Error(`${option} ${text}: a whole number from 1 to ${most} is needed`)
  return value
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 2
}
