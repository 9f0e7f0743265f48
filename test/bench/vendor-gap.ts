/**
 * `npm run bench:vendors -- [--calls 100] [--seconds 40] [--write README.md]`: the latency of calls whose ears, words and voice are vendors'. A
 * server process with stand-ins of fixed delays (end of speech 300 ms and final words 50, first token 250 ms and 15 ms a further one, first
 * audio 120 ms), callers in a process of their own. The plain chain of these delays for a first sentence of seven tokens is 810 ms.
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { SystemClock } from '../../src/core/clock.ts'
import { startServer } from '../../src/load/server-process.ts'
import { DeepgramStandIn, tonesOf } from '../vendors/deepgram.ts'
import { OpenAiStandIn, callerWordsIn } from '../vendors/openai.ts'
import { seedGenerated } from './support/generated-company.ts'
import { quantile } from './support/light-caller.ts'
import { TOPICS, spokenTopics } from './support/spoken-questions.ts'

const { values: options } = parseArgs({ options: { calls: { type: 'string', default: '100' }, seconds: { type: 'string', default: '40' }, write: { type: 'string' } } })
const MANY = Number(options.calls)
const SECONDS = Number(options.seconds)

const DELAYS = { endpointMs: 300, finalMs: 50, firstTokenMs: 250, tokenMs: 15, firstAudioMs: 120 } as const
const FIRST_SENTENCE_TOKENS = 7
/** After the end of the turn: the first sentence's tokens, and its first audio. */
const AFTER_COMMIT_MS = DELAYS.firstTokenMs + (FIRST_SENTENCE_TOKENS - 1) * DELAYS.tokenMs + DELAYS.firstAudioMs

const root = resolve(import.meta.dirname, '../..')
const clock = new SystemClock()
const never = new AbortController().signal

const turnSchema = z.looseObject({
  input: z.string(),
  sources: z.array(z.string()),
  gapMs: z.number().nullable(),
  stalled: z.boolean(),
  endpoint: z.object({ waitMs: z.number(), rule: z.string() }).nullable(),
  speculation: z.object({ started: z.number(), wasted: z.number(), used: z.boolean(), aheadMs: z.number().optional() }),
  model: z.object({ outputTokens: z.number(), wastedOutputTokens: z.number(), wastedRequests: z.number(), requests: z.number() }).optional(),
})
const figuresSchema = z.object({ calls: z.number(), refused: z.number(), dropped: z.number(), gapsMs: z.array(z.number()), unanswered: z.number(), worstLateMs: z.number(), turns: z.array(turnSchema) })
type Figures = z.infer<typeof figuresSchema>
type Row = Readonly<{ what: string; figure: string; bar: string }>

/** Seven tokens that were never said before, so that no ready audio answers; `isKept`: whole, so that the answer may be given again. */
function replyTo(isKept: () => boolean): OpenAiStandIn['reply'] {
  let count = 0
  return (request) => {
    count += 1
    const slug = [...String(count)].map((digit) => 'bacodufeginalorumito'.slice(Number(digit) * 2, Number(digit) * 2 + 2)).join('')
    const thing = /the ([a-z]+)/.exec(callerWordsIn(request.user).toLowerCase())?.[1] ?? 'thing'
    // An invented number is not said, and an answer that lost a sentence is not kept.
    return { text: `We gladly show the ${thing} from ${slug}. It is in our front room, and everybody may have a look.${isKept() ? '' : ' The code of it is 4711.'}` }
  }
}

/** A quarter as long as people speak: callers ask more often. */
function quickTones(text: string): Int16Array {
  const samples = tonesOf(text)
  return samples.slice(0, samples.length / 4)
}

async function callersOf(target: string, calls: number, seconds: number, topic: number | null): Promise<Figures> {
  const args = ['--target', target, '--to', '+15550100000', '--calls', String(calls), '--seconds', String(seconds), ...(topic === null ? [] : ['--topic', String(topic)])]
  const child = spawn(process.execPath, [join(import.meta.dirname, 'support/vendor-callers.ts'), ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let printed = ''
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
  await new Promise<void>((done) => child.once('exit', () => done()))
  return figuresSchema.parse(JSON.parse(printed))
}

type World = Readonly<{ target: string; keep: (isKept: boolean) => void; openai: OpenAiStandIn }>

async function withServer<T>(environment: Readonly<Record<string, string>>, work: (world: World) => Promise<T>): Promise<T> {
  const dataDir = mkdtempSync(join(tmpdir(), 'clientsvia-vendors-'))
  const deepgram = await DeepgramStandIn.start({ hears: { kind: 'clips', clips: spokenTopics() }, delays: DELAYS, speaks: quickTones })
  const openai = await OpenAiStandIn.start()
  let isKept = false
  openai.firstTokenMs = DELAYS.firstTokenMs
  openai.tokenMs = DELAYS.tokenMs
  openai.reply = replyTo(() => isKept)
  await seedGenerated(dataDir, TOPICS)
  const server = await startServer(
    clock,
    {
      dataDir,
      environment: {
        DEMO_COMPANIES: 'false', LOG_LEVEL: 'error', DEEPGRAM_BASE_URL: deepgram.url, OPENAI_BASE_URL: openai.baseUrl, OPENAI_API: 'responses', STT_ENGINE: 'deepgram', TTS_ENGINE: 'deepgram',
        LLM_ENGINE: 'openai', EMBEDDINGS_ENGINE: 'embedded', ...environment,
      },
    },
    never,
  )
  try {
    // The company's phrases are being made ready: a caller would share the machine with that.
    await clock.sleep(15_000)
    return await work({ target: server.url, openai, keep: (kept) => (isKept = kept) })
  } finally {
    await server.stop(never)
    await Promise.all([deepgram.stop(), openai.stop()])
    rmSync(dataDir, { recursive: true, force: true })
  }
}

const answered = ({ turns }: Figures): Figures['turns'] => turns.filter((turn) => turn.input === 'speech')
const pair = (values: readonly number[]): string => (values.length === 0 ? 'none' : `${Math.round(quantile(values, 0.5))} / ${Math.round(quantile(values, 0.95))} ms (n=${values.length})`)
const percent = (part: number, whole: number): string => `${((100 * part) / Math.max(1, whole)).toFixed(0)} %`

function describe(name: string, figures: Figures): void {
  const turns = answered(figures)
  const by = (key: (turn: Figures['turns'][number]) => string): string => JSON.stringify(Object.fromEntries(Map.groupBy(turns, key).entries().map(([value, group]) => [value, group.length])))
  console.error(
    `${name}: ${figures.calls} calls, ${figures.refused} refused, ${figures.dropped} dropped, ${figures.unanswered} unanswered, harness late by ${Math.round(figures.worstLateMs)} ms at worst; ` +
      `sources ${by((turn) => turn.sources.join('+'))}, ends by ${by((turn) => turn.endpoint?.rule ?? '-')}, used ${by((turn) => String(turn.speculation.used))}, stalled ${by((turn) => String(turn.stalled))}`,
  )
}

async function main(): Promise<Row[]> {
  const rows: Row[] = []
  await withServer({}, async ({ target, keep }) => {
    await callersOf(target, 1, 15, null)
    const one = await callersOf(target, 1, SECONDS, null)
    describe('one call', one)
    rows.push({ what: 'caller-heard gap, one call, p50 / p95', figure: pair(one.gapsMs), bar: '620 / 800 ms' })
    const many = await callersOf(target, MANY, SECONDS, null)
    describe(`${MANY} calls`, many)
    rows.push({ what: `caller-heard gap, ${MANY} calls, p50 / p95`, figure: pair(many.gapsMs), bar: 'within 10 % of one call' })
    const turns = [...answered(one), ...answered(many)].filter((turn) => turn.endpoint !== null)
    const waitMs = turns.reduce((sum, turn) => sum + (turn.endpoint?.waitMs ?? 0), 0)
    const hiddenMs = turns.reduce((sum, turn) => sum + Math.min(turn.speculation.aheadMs ?? 0, turn.endpoint?.waitMs ?? 0), 0)
    const tokens = turns.reduce((sum, turn) => sum + (turn.model?.outputTokens ?? 0), 0)
    const wasted = turns.reduce((sum, turn) => sum + (turn.model?.wastedOutputTokens ?? 0), 0)
    rows.push({ what: 'wait for the end of the turn hidden by early starts; callers who do not pause', figure: percent(hiddenMs, waitMs), bar: '50 %' })
    rows.push({
      what: 'early starts aborted / extra generated tokens',
      figure: `${turns.reduce((sum, turn) => sum + turn.speculation.wasted, 0)} of ${turns.reduce((sum, turn) => sum + turn.speculation.started, 0)} / ${percent(wasted, tokens - wasted)}`,
      bar: '25 %',
    })
    keep(true)
    await callersOf(target, 1, 12, 0)
    const cached = await callersOf(target, 1, SECONDS, 0)
    describe('repeated question', cached)
    rows.push({ what: 'a repeated question, from the decided answers, p50 / p95', figure: pair(cached.gapsMs), bar: 'p50 400 ms' })
  })
  // Without a head start the chain is longer than a caller is made to wait: here the stall line comes later, so that the chain can be seen.
  await withServer({ TURN_EARLY_REPLIES: 'false', TURN_STALL_MS: '1000', TURN_RESPONSE_MS: '900' }, async ({ target }) => {
    await callersOf(target, 1, 15, null)
    for (const calls of [1, MANY]) {
      const figures = await callersOf(target, calls, SECONDS, null)
      describe(`${calls} calls without early starts`, figures)
      // A caller whose answer was bridged heard the bridge: not the chain.
      const overheads = answered(figures).flatMap((turn) => (turn.gapMs === null || turn.endpoint === null || turn.stalled ? [] : [turn.gapMs - turn.endpoint.waitMs - AFTER_COMMIT_MS]))
      rows.push({ what: `overhead without early starts, ${calls} call${calls === 1 ? '' : 's'}, p50 / p99`, figure: overheads.length === 0 ? 'none' : `${quantile(overheads, 0.5).toFixed(1)} / ${quantile(overheads, 0.99).toFixed(1)} ms (n=${overheads.length})`, bar: calls === 1 ? '' : '5 / 25 ms' })
      rows.push({ what: `the same calls' gap, p50 / p95`, figure: pair(figures.gapsMs), bar: '' })
    }
  })
  return rows
}

const rows = await main()
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root }).toString().trim()
const table = [
  `Server, stand-ins and callers on one machine: ${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}, Node ${process.version}; commit ${commit}; \`npm run bench:vendors\`.`,
  '',
  "| With vendors' stand-ins: speech ends after 300 ms, final words 50, first token 250 and 15 each, first audio 120 | Measured | Bar |",
  '|---|---|---|',
  ...rows.map((row) => `| ${row.what} | ${row.figure} | ${row.bar} |`),
].join('\n')
console.log(table)
if (options.write !== undefined) {
  const [start, end] = ['<!-- vendor figures -->', '<!-- /vendor figures -->']
  const before = readFileSync(options.write, 'utf8')
  const from = before.indexOf(start)
  const to = before.indexOf(end)
  if (from === -1 || to < from) throw new Error(`${options.write} has no ${start} … ${end}`)
  writeFileSync(options.write, `${before.slice(0, from + start.length)}\n${table}\n${before.slice(to)}`)
}
