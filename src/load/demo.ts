import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg } from 'node:os'
import { join, resolve } from 'node:path'
import { styleText } from 'node:util'
import { SystemClock, type Clock } from '../core/clock.ts'
import { renderTurn } from '../observability/turn-trace.ts'
import type { JudgedCall } from './call-judgement.ts'
import { loadScript } from './call-script.ts'
import { judge } from './load-run.ts'
import { startServer } from './server-process.ts'
import { placeCall } from './simulated-caller.ts'
import { SocketTransport } from './socket-transport.ts'
import { fetchServerCall } from './turn-records.ts'

const SCRIPT = 'demo'
/** How often the server is asked what has been said since. */
const POLL_MS = 150
/** The promise of every turn, from the caller's last voiced frame to the agent's first audible one; patience is not counted. */
const BUDGET = { targetMs: 600, hardMs: 1000 }

/** A caller that misses its own 20 ms schedule by this much shares its cores with too much else. */
const BUSY_MS = 100

const colours = process.stdout.isTTY && process.env['NO_COLOR'] === undefined

/** Starts the server, dials it as a carrier does and shows the call. 0: every turn was answered as expected and within budget. */
async function main(): Promise<number> {
  const clock = new SystemClock()
  const stopping = new AbortController()
  process.once('SIGINT', () => stopping.abort(new Error('interrupted')))
  const { signal } = stopping
  const dataDir = resolve(process.env['DATA_DIR'] ?? './data')
  await mkdir(dataDir, { recursive: true })
  const script = await loadScript(join(import.meta.dirname, '../../media/calls'), SCRIPT)
  print(paint('dim', 'starting the server with its own recogniser and voice: no key, no account'))
  const server = await startServer(clock, { dataDir }, signal)
  try {
    print(paint('dim', `ready on ${server.url} after ${(server.readyInMs / 1000).toFixed(1)} s; dialling ${script.script.to}\n`))
    const finished = new AbortController()
    let shown: Promise<void> = Promise.resolve()
    const evidence = await placeCall(
      {
        clock,
        transport: new SocketTransport(clock, null),
        target: server.url,
        script,
        onDialled: (callSid) => {
          shown = showTurns(clock, server.url, callSid, finished.signal)
        },
      },
      signal,
    )
    const judged = await judge({ clock, target: server.url }, evidence, signal)
    finished.abort(new Error('the call is over'))
    await shown
    const recording = join(dataDir, 'demo-call.wav')
    await writeFile(recording, evidence.recording.toWav())
    return conclude(judged, recording)
  } finally {
    await server.stop(new AbortController().signal)
  }
}

/** Prints each turn once, as soon as the server has it on record, and what is left when the call is over. */
async function showTurns(clock: Clock, target: string, callSid: string, finished: AbortSignal): Promise<void> {
  const never = new AbortController().signal
  let printed = 0
  for (;;) {
    const last = finished.aborted
    const call = await fetchServerCall(clock, target, callSid, never)
    for (const turn of call?.turns.slice(printed) ?? []) {
      print(`${renderTurn(turn, { colours, ...BUDGET })}\n`)
      printed += 1
    }
    if (last) return
    await clock.sleep(POLL_MS, finished).catch(() => undefined)
  }
}

function conclude(judged: JudgedCall, recording: string): number {
  const problems = judged.failures.map((failure) => (failure.step === null ? failure.what : `turn ${failure.step + 1}: ${failure.what}`))
  if (judged.records === null) problems.push('the server offered no records of the call')
  for (const turn of judged.records?.turns ?? []) {
    if (turn.budgetExceededByMs > 0) problems.push(`turn ${turn.turn} was ${Math.round(turn.budgetExceededByMs)} ms over its budget`)
  }
  const gaps = judged.measures.steps.flatMap((step) => (step.gapMs === null ? [] : [Math.round(step.gapMs)]))
  const { greetingMs } = judged.measures
  print(`the caller heard: greeting ${greetingMs === null ? 'never' : `after ${Math.round(greetingMs)} ms`}, answers after ${gaps.join(', ')} ms`)
  print(`recorded, caller left and agent right: ${recording}`)
  if (problems.length === 0) {
    print(paint('green', 'every turn was answered as expected and within its budget'))
    return 0
  }
  for (const problem of problems) print(paint('red', `not as expected: ${problem}`))
  const { worstLateMs } = judged.evidence
  const [load = 0] = loadavg()
  print(`while it lasted, ${load.toFixed(1)} processes wanted the ${availableParallelism()} cores of this machine, and the caller's own frames left up to ${Math.round(worstLateMs)} ms late`)
  if (worstLateMs > BUSY_MS || load > availableParallelism()) print('that is a busy machine: its times are in the numbers above. Place the call again when less is going on')
  return 1
}

function paint(colour: 'dim' | 'green' | 'red', text: string): string {
  return colours ? styleText(colour, text) : text
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 2
}
