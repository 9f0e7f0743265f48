/**
 * `npm run bench`: starts the server as a newcomer would, phones it with the recorded callers and prints the README's table.
 * Options: `--quick` (a third of the calls), `--write README.md` (puts the table between the figures' markers), `--speech FOLDER`
 * (adds the end-of-turn and barge-in figures on recorded speech in the format of a manifest.tsv).
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { SystemClock } from '../../src/core/clock.ts'
import { startServer } from '../../src/load/server-process.ts'

const root = resolve(import.meta.dirname, '../..')
const { values: options } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, write: { type: 'string' }, speech: { type: 'string' } },
})

const figures = z.object({ count: z.number(), p50: z.number(), p95: z.number(), p99: z.number(), max: z.number() })
const reportSchema = z.object({
  calls: z.number(),
  failedCalls: z.number(),
  heard: z.object({ greeting: figures.nullable(), gap: figures.nullable(), gapWithPatience: figures.nullable() }),
  interruptions: z.object({
    expected: z.number(),
    missed: z.number(),
    timeToSilence: figures.nullable(),
    staleFrames: z.number(),
    backChannels: z.number(),
    falseStops: z.number(),
    cutIns: z.number(),
  }),
  silences: z.number(),
  droppedFrames: z.number(),
  harnessWorstLateMs: z.number(),
})
type Report = z.infer<typeof reportSchema>

const COMPLETE_QUESTIONS = ['faq-hours', 'faq-price', 'dental-crown', 'service-area-zip', 'two-questions', 'silence-then-talk', 'repeat-that']
const OVER_THE_AGENT = ['interruption', 'back-channel', 'noise-over-the-agent']

type Row = Readonly<{ what: string; figure: string; bar: string }>

async function main(): Promise<void> {
  const rows: Row[] = []
  const clock = new SystemClock()
  const never = new AbortController().signal
  const dataDir = mkdtempSync(join(tmpdir(), 'clientsvia-bench-'))
  const rounds = options.quick ? 1 : 3
  try {
    const first = await startServer(clock, { dataDir }, never)
    await first.stop(never)
    const server = await startServer(clock, { dataDir }, never)
    rows.push({ what: 'ready to answer: first start / later', figure: `${seconds(first.readyInMs)} / ${seconds(server.readyInMs)}`, bar: '5 s' })
    try {
      const one = await load(server.url, COMPLETE_QUESTIONS, COMPLETE_QUESTIONS.length * rounds, 1)
      rows.push({ what: 'caller-heard gap, one call, complete questions, p50 / p95', figure: pair(one.heard.gap), bar: '500 / 950 ms' })
      rows.push({ what: 'greeting audible after `start`, p50 / p95', figure: pair(one.heard.greeting), bar: '300 ms' })
      const eight = await load(server.url, COMPLETE_QUESTIONS, 8 * rounds, 8)
      rows.push({ what: 'caller-heard gap, 8 calls at once, p50 / p95', figure: pair(eight.heard.gapWithPatience), bar: 'p95 1200 ms' })
      const over = await load(server.url, OVER_THE_AGENT, OVER_THE_AGENT.length * 2 * rounds, 1)
      rows.push({ what: 'agent silent after the caller talks over it, p50 / p95', figure: pair(over.interruptions.timeToSilence), bar: 'p95 450 ms' })
      rows.push({ what: 'interruptions missed', figure: `${over.interruptions.missed} of ${over.interruptions.expected}`, bar: '0' })
      rows.push({
        what: 'replies heard to their end after back-channels and noise',
        figure: `${over.interruptions.backChannels - over.interruptions.falseStops} of ${over.interruptions.backChannels}`,
        bar: '90 %',
      })
      const all = [one, eight, over]
      rows.push({ what: 'frames of a dropped reply heard after `clear`', figure: String(sum(all, (report) => report.interruptions.staleFrames)), bar: '0' })
      rows.push({ what: 'silences over 1.2 s while an answer was due', figure: String(sum(all, (report) => report.silences)), bar: '0' })
      rows.push({ what: 'calls that went as their script expects', figure: `${sum(all, (r) => r.calls - r.failedCalls)} of ${sum(all, (r) => r.calls)}`, bar: '' })
      rows.push({ what: 'the harness itself, at worst late by', figure: ms(Math.max(...all.map((report) => report.harnessWorstLateMs))), bar: '' })
    } finally {
      await server.stop(never)
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
  const text = table(rows)
  process.stdout.write(`${text}\n`)
  if (options.speech !== undefined) {
    for (const bench of ['turns', 'barge-in']) {
      process.stdout.write(`\n${execFileSync('node', [join(import.meta.dirname, `${bench}.ts`), options.speech], { encoding: 'utf8' })}`)
    }
  }
  if (options.write !== undefined) writeBetweenMarkers(options.write, text)
}

/** Runs the load harness as its own process, so that its clock does not share the server's loop. */
function load(target: string, scripts: readonly string[], calls: number, concurrency: number): Promise<Report> {
  const json = join(mkdtempSync(join(tmpdir(), 'clientsvia-load-')), 'report.json')
  const args = ['src/load/cli.ts', '--target', target, '--calls', String(calls), '--concurrency', String(concurrency), '--json', json]
  const child = spawn('node', [...args, ...scripts.flatMap((script) => ['--script', script])], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  return new Promise((settle, fail) => {
    child.on('error', fail)
    child.on('exit', (code) => {
      // 1: some call did not go as its script expects. The table says how many.
      if (code !== 0 && code !== 1) fail(new Error(`the load harness stopped with ${code}`))
      else settle(reportSchema.parse(JSON.parse(readFileSync(json, 'utf8'))))
    })
  })
}

function table(rows: readonly Row[]): string {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim()
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`
  return [
    `Server, harness and engines on one machine: ${machine}; commit ${commit}; \`npm run bench${options.quick ? ' -- --quick' : ''}\`.`,
    '',
    '| What the caller gets, by the harness\'s ears | Measured | Bar |',
    '|---|---|---|',
    ...rows.map((row) => `| ${row.what} | ${row.figure} | ${row.bar} |`),
  ].join('\n')
}

function writeBetweenMarkers(file: string, text: string): void {
  const [start, end] = ['<!-- figures -->', '<!-- /figures -->']
  const before = readFileSync(file, 'utf8')
  const from = before.indexOf(start)
  const to = before.indexOf(end)
  if (from === -1 || to < from) throw new Error(`${file} has no ${start} … ${end}`)
  writeFileSync(file, `${before.slice(0, from + start.length)}\n${text}\n${before.slice(to)}`)
}

const ms = (value: number): string => `${Math.round(value)} ms`
const seconds = (value: number): string => `${(value / 1000).toFixed(1)} s`
const pair = (value: z.infer<typeof figures> | null): string => (value === null ? 'none' : `${Math.round(value.p50)} / ${Math.round(value.p95)} ms (n=${value.count})`)
const sum = (reports: readonly Report[], of: (report: Report) => number): number => reports.reduce((total, report) => total + of(report), 0)

await main()
