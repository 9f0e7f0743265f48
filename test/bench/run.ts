/**
 * `npm run bench`: starts the server as a newcomer would, phones it with the recorded callers, then with vendors' stand-ins behind it, with
 * hundreds of callers at once and for ten minutes of short calls, and prints the README's tables. Options: `--quick` (a third of the calls,
 * no ten minutes; about five minutes in all), `--only road|vendors|density|stores|soak`, `--write README.md` (puts the tables between the figures'
 * markers), `--speech FOLDER` (adds the end-of-turn and barge-in figures on recorded speech in the format of a manifest.tsv).
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { SystemClock } from '../../src/core/clock.ts'
import { startServer } from '../../src/load/server-process.ts'
import { rowSchema, tableOf, writeSection, type Row } from './support/figures.ts'

const root = resolve(import.meta.dirname, '../..')
const { values: options } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string' }, write: { type: 'string' }, speech: { type: 'string' } },
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

/** Each a bench of its own, here with as many calls and as much time as its figures need. */
const BENCHES: readonly Readonly<{ name: string; quick: readonly (readonly string[])[]; full: readonly (readonly string[])[] }>[] = [
  { name: 'vendors', quick: [['vendor-gap.ts', '--calls', '1,20', '--seconds', '20']], full: [['vendor-gap.ts', '--calls', '1,20,100', '--seconds', '40']] },
  {
    name: 'density',
    quick: [['density.ts', '--calls', '100', '--seconds', '12'], ['density.ts', '--calls', '250', '--vad', 'level', '--seconds', '12']],
    full: [['density.ts', '--calls', '100', '--seconds', '30'], ['density.ts', '--calls', '250', '--vad', 'level', '--seconds', '30']],
  },
  { name: 'stores', quick: [], full: [['store-faults.ts', '6']] },
  // Memory that grows by little is told from memory that does not by time alone.
  { name: 'soak', quick: [], full: [['soak.ts', '--minutes', '10']] },
]

async function main(): Promise<void> {
  const wants = (name: string): boolean => options.only === undefined || options.only === name
  const command = `npm run bench${options.quick ? ' -- --quick' : ''}`
  const tables: string[] = []
  if (wants('road')) tables.push(tableOf("What the caller gets, by the harness's ears", await road(), command))
  const rows: Row[] = []
  for (const bench of BENCHES) {
    if (!wants(bench.name)) continue
    if (bench.name === 'stores' && !options.quick && (process.env['TEST_REDIS_URL'] === undefined || process.env['TEST_MONGODB_URL'] === undefined)) {
      rows.push({ what: 'Redis and MongoDB gone', figure: 'not run: `source .ci/services` starts them', bar: '' })
    } else for (const args of options.quick ? bench.quick : bench.full) rows.push(...(await rowsOf(args)))
  }
  if (rows.length > 0) tables.push(tableOf("With vendors' stand-ins (end of speech 300 ms, final words 50, first token 250 and 15 each, first audio 120), and many callers", rows, command))
  const text = tables.join('\n\n')
  process.stdout.write(`${text}\n`)
  if (options.speech !== undefined) {
    for (const bench of ['turns', 'barge-in']) {
      process.stdout.write(`\n${execFileSync('node', [join(import.meta.dirname, `${bench}.ts`), options.speech], { encoding: 'utf8' })}`)
    }
  }
  if (options.write !== undefined) writeSection(options.write, 'figures', text)
}

/** Another bench, in a process of its own; what it prints besides its rows goes to the error output. A bench that ends badly says so in its row. */
function rowsOf(args: readonly string[]): Promise<readonly Row[]> {
  const json = join(mkdtempSync(join(tmpdir(), 'clientsvia-rows-')), 'rows.json')
  // One helper of the engine each: a harness that collects its garbage on every core at once would keep the server waiting.
  const child = spawn('node', ['--v8-pool-size=1', join(import.meta.dirname, args[0] as string), ...args.slice(1), '--json', json], { stdio: ['ignore', process.stderr, 'inherit'] })
  return new Promise((settle, fail) => {
    child.on('error', fail)
    child.on('exit', (code) => {
      try {
        settle(z.array(rowSchema).parse(JSON.parse(readFileSync(json, 'utf8'))))
      } catch (error) {
        fail(new Error(`${args.join(' ')} stopped with ${code} and left no figures`, { cause: error }))
      }
    })
  })
}

async function road(): Promise<Row[]> {
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
  return rows
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

const ms = (value: number): string => `${Math.round(value)} ms`
const seconds = (value: number): string => `${(value / 1000).toFixed(1)} s`
const pair = (value: z.infer<typeof figures> | null): string => (value === null ? 'none' : `${Math.round(value.p50)} / ${Math.round(value.p95)} ms (n=${value.count})`)
const sum = (reports: readonly Report[], of: (report: Report) => number): number => reports.reduce((total, report) => total + of(report), 0)

await main()
