/**
 * `npm run bench:vendors -- [--calls 1,100] [--seconds 40] [--only early|plain] [--node FLAGS] [--profile FOLDER] [--json FILE] [--turns FILE] [--write
 * README.md]`:
 * the latency of calls whose ears, words and voice are vendors'. A server process, stand-ins with fixed delays in this one (end of speech 300 ms
 * and final words 50, first token 250 ms and 15 ms a further one, first audio 120 ms), callers in a third. The plain chain of these delays for
 * a first sentence of seven tokens is 810 ms. Every number of callers dials anew, 19 a second, and counts from its first turn on.
 *
 * `early` measures calls as they are; in `plain` no vendor is asked before the turn is over, so that the chain can be seen. What a turn takes
 * beyond the wait that its words ask for and what the stand-ins held back, by their own clock, is the platform's overhead. It begins when the
 * wait is over, not when that was noticed, and ends when the first audible frame is written to the caller's socket: the caller's own grid of
 * 20 ms frames is in neither end of it. It includes the way to the vendors and back over loopback, and whatever the stand-ins lack of
 * processor time: how late their loop was is printed beside it, and so is where the overhead goes.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { SystemClock } from '../../src/core/clock.ts'
import { startServer } from '../../src/load/server-process.ts'
import { DeepgramStandIn, tonesOf } from '../vendors/deepgram.ts'
import { OpenAiStandIn, callerWordsIn, type SeenRequest } from '../vendors/openai.ts'
import { tableOf, writeSection, type Row } from './support/figures.ts'
import { seedGenerated } from './support/generated-company.ts'
import { quantile } from './support/light-caller.ts'
import { TOPICS, spokenTopics } from './support/spoken-questions.ts'

const { values: options } = parseArgs({
  options: {
    calls: { type: 'string', default: '1,100' },
    seconds: { type: 'string', default: '40' },
    only: { type: 'string' },
    node: { type: 'string', default: '' },
    profile: { type: 'string' },
    json: { type: 'string' },
    turns: { type: 'string' },
    write: { type: 'string' },
  },
})
const LEVELS = options.calls.split(',').map(Number)
const SECONDS = Number(options.seconds)
/** Before anything is measured this many callers, or as many as will be, talk for a while: connections are opened, code is compiled. */
const WARM_UP_CALLS = 20
const WARM_UP_SECONDS = 12
const LOOP_LOOKED_AT_MS = 1

const DELAYS = { endpointMs: 300, finalMs: 50, firstTokenMs: 250, tokenMs: 15, firstAudioMs: 120 } as const
const FIRST_SENTENCE_TOKENS = 7
const STAGES = ['transcript', 'context', 'intent', 'knowledge', 'response', 'quality', 'personality', 'synthesis', 'playout', 'other'] as const

const clock = new SystemClock()
const never = new AbortController().signal

const turnSchema = z.looseObject({
  startedAt: z.string(),
  input: z.string(),
  said: z.string(),
  sources: z.array(z.string()),
  gapMs: z.number().nullable(),
  stages: z.array(z.object({ stage: z.string(), ms: z.number() })),
  stalled: z.boolean(),
  endpoint: z.object({ waitMs: z.number(), rule: z.string() }).nullable(),
  speculation: z.object({ started: z.number(), wasted: z.number(), used: z.boolean(), aheadMs: z.number().optional() }),
  model: z.object({ outputTokens: z.number(), wastedOutputTokens: z.number(), wastedRequests: z.number(), requests: z.number() }).optional(),
})
type TurnFigures = z.infer<typeof turnSchema>
const figuresSchema = z.object({ calls: z.number(), refused: z.number(), dropped: z.number(), gapsMs: z.array(z.number()), unanswered: z.number(), worstLateMs: z.number(), turns: z.array(turnSchema) })
type Figures = z.infer<typeof figuresSchema>

/** Seven tokens that were never said before, so that no ready audio answers; `isKept`: whole, so that the answer may be given again. */
function replyTo(isKept: () => boolean, onReply: (sentence: string, request: SeenRequest) => void): OpenAiStandIn['reply'] {
  // From a hundred on: a word of three letters ends a sentence at once, a shorter one may be an abbreviation.
  let count = 100
  return (request) => {
    count += 1
    const slug = [...String(count)].map((digit) => 'bacodufeginalorumito'.slice(Number(digit) * 2, Number(digit) * 2 + 2)).join('')
    const thing = /the ([a-z]+)/.exec(callerWordsIn(request.user).toLowerCase())?.[1] ?? 'thing'
    const sentence = `We gladly show the ${thing} from ${slug}.`
    onReply(sentence, request)
    // An invented number is not said, and an answer that lost a sentence is not kept.
    return { text: `${sentence} It is in our front room, and everybody may have a look.${isKept() ? '' : ' The code of it is 4711.'}` }
  }
}

/** A quarter as long as people speak: callers ask more often. */
function quickTones(text: string): Int16Array {
  const samples = tonesOf(text)
  return samples.slice(0, samples.length / 4)
}

async function callersOf(target: string, calls: number, seconds: number, topic: number | null): Promise<Figures> {
  const args = ['--target', target, '--to', '+15550100000', '--calls', String(calls), '--seconds', String(seconds), ...(topic === null ? [] : ['--topic', String(topic)])]
  const child = spawn(process.execPath, [...process.execArgv, join(import.meta.dirname, 'support/vendor-callers.ts'), ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let printed = ''
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
  await new Promise<void>((done, fail) => {
    child.once('error', fail)
    child.once('exit', () => done())
  })
  return figuresSchema.parse(JSON.parse(printed))
}

type World = Readonly<{
  target: string
  keep: (isKept: boolean) => void
  /** What the stand-ins held the turn's first sentence back for; null where they did not make it. */
  heldBack: (turn: TurnFigures) => HeldBack | null
  /** How late the stand-ins' own loop was since this was last asked, p50 / p99. */
  standInsLate: () => string
}>

/** By the stand-ins' own clock, ms: from a request's arrival to the sentence's last token, and from a text's arrival to its first audio. */
type HeldBack = Readonly<{ wordsMs: number; voiceMs: number }>

async function withServer<T>(environment: Readonly<Record<string, string>>, work: (world: World) => Promise<T>): Promise<T> {
  const dataDir = mkdtempSync(join(tmpdir(), 'clientsvia-vendors-'))
  const deepgram = await DeepgramStandIn.start({ hears: { kind: 'clips', clips: spokenTopics() }, delays: DELAYS, speaks: quickTones })
  const openai = await OpenAiStandIn.start()
  const requests = new Map<string, SeenRequest>()
  let isKept = false
  openai.firstTokenMs = DELAYS.firstTokenMs
  openai.tokenMs = DELAYS.tokenMs
  openai.reply = replyTo(
    () => isKept,
    (sentence, request) => requests.set(sentence, request),
  )
  await seedGenerated(dataDir, TOPICS)
  const server = await startServer(
    clock,
    {
      dataDir,
      environment: {
        DEMO_COMPANIES: 'false', LOG_LEVEL: 'error', DEEPGRAM_BASE_URL: deepgram.url, OPENAI_BASE_URL: openai.baseUrl, OPENAI_API: 'responses', STT_ENGINE: 'deepgram', TTS_ENGINE: 'deepgram',
        LLM_ENGINE: 'openai', EMBEDDINGS_ENGINE: 'embedded', NODE_OPTIONS: [process.env['NODE_OPTIONS'], options.node, options.profile === undefined ? undefined : `--cpu-prof --cpu-prof-dir=${options.profile}`].join(' ').trim(), ...environment,
      },
    },
    never,
  )
  const heldBack = (turn: TurnFigures): HeldBack | null => {
    const sentence = `${turn.said.slice(0, turn.said.indexOf('.'))}.`
    const asked = requests.get(sentence)
    const spoken = deepgram.spoken.find(({ text }) => text === sentence)
    const lastToken = asked?.tokensAt[FIRST_SENTENCE_TOKENS - 1]
    if (asked === undefined || lastToken === undefined || spoken === undefined || spoken.firstAudioAt === null) return null
    return { wordsMs: lastToken - asked.askedAt, voiceMs: spoken.firstAudioAt - spoken.askedAt }
  }
  const loop = monitorEventLoopDelay({ resolution: LOOP_LOOKED_AT_MS })
  loop.enable()
  const standInsLate = (): string => {
    const late = [50, 99].map((share) => Math.max(0, loop.percentile(share) / 1e6 - LOOP_LOOKED_AT_MS).toFixed(1)).join(' / ')
    loop.reset()
    return late
  }
  try {
    // The company's phrases are being made ready: a caller would share the machine with that.
    await clock.sleep(15_000)
    return await work({ target: server.url, keep: (kept) => (isKept = kept), heldBack, standInsLate })
  } finally {
    loop.disable()
    await server.stop(never)
    await Promise.all([deepgram.stop(), openai.stop()])
    rmSync(dataDir, { recursive: true, force: true })
  }
}

const answered = ({ turns }: Figures): TurnFigures[] => turns.filter((turn) => turn.input === 'speech')
const pair = (values: readonly number[]): string => (values.length === 0 ? 'none' : `${Math.round(quantile(values, 0.5))} / ${Math.round(quantile(values, 0.95))} ms (n=${values.length})`)
const percent = (part: number, whole: number): string => `${((100 * part) / Math.max(1, whole)).toFixed(0)} %`

function describe(name: string, figures: Figures): void {
  const turns = answered(figures)
  const by = (key: (turn: TurnFigures) => string): string => JSON.stringify(Object.fromEntries(Map.groupBy(turns, key).entries().map(([value, group]) => [value, group.length])))
  console.error(
    `${name}: ${figures.calls} calls, ${figures.refused} refused, ${figures.dropped} dropped, ${figures.unanswered} unanswered, harness late by ${Math.round(figures.worstLateMs)} ms at worst; ` +
      `sources ${by((turn) => turn.sources.join('+'))}, ends by ${by((turn) => turn.endpoint?.rule ?? '-')}, used ${by((turn) => String(turn.speculation.used))}, stalled ${by((turn) => String(turn.stalled))}`,
  )
}

/** Calls as they are: what is likely is prepared while the caller may still go on. */
async function early({ target, keep }: World): Promise<Row[]> {
  await callersOf(target, Math.min(WARM_UP_CALLS, Math.max(...LEVELS)), WARM_UP_SECONDS, null)
  const measured: { calls: number; figures: Figures }[] = []
  for (const calls of LEVELS) {
    const figures = await callersOf(target, calls, SECONDS, null)
    describe(callsText(calls), figures)
    measured.push({ calls, figures })
  }
  const turns = measured.flatMap(({ figures }) => answered(figures)).filter((turn) => turn.endpoint !== null)
  const sum = (of: (turn: TurnFigures) => number): number => turns.reduce((total, turn) => total + of(turn), 0)
  const waitMs = sum((turn) => turn.endpoint?.waitMs ?? 0)
  const hiddenMs = sum((turn) => Math.min(turn.speculation.aheadMs ?? 0, turn.endpoint?.waitMs ?? 0))
  const tokens = sum((turn) => turn.model?.outputTokens ?? 0)
  const wasted = sum((turn) => turn.model?.wastedOutputTokens ?? 0)
  keep(true)
  await callersOf(target, 1, WARM_UP_SECONDS, 0)
  const cached = await callersOf(target, 1, SECONDS, 0)
  describe('repeated question', cached)
  return [
    ...measured.map(({ calls, figures }) => ({
      what: `caller-heard gap, ${callsText(calls)}, p50 / p95`,
      figure: pair(figures.gapsMs),
      bar: calls === 1 ? '620 / 800 ms' : '10 % over one call',
    })),
    { what: 'a repeated question, from the decided answers, p50 / p95', figure: pair(cached.gapsMs), bar: 'p50 400 ms' },
    { what: 'wait for the end of the turn hidden by early starts; callers who do not pause', figure: percent(hiddenMs, waitMs), bar: '50 %' },
    {
      what: 'early starts aborted / extra generated tokens',
      figure: `${sum((turn) => turn.speculation.wasted)} of ${sum((turn) => turn.speculation.started)} / ${percent(wasted, tokens - wasted)}`,
      bar: '25 %',
    },
  ]
}

/** No early starts: the chain in full. */
async function plain({ target, heldBack, standInsLate }: World): Promise<Row[]> {
  const rows: Row[] = []
  const kept: unknown[] = []
  await callersOf(target, Math.min(WARM_UP_CALLS, Math.max(...LEVELS)), WARM_UP_SECONDS, null)
  for (const calls of LEVELS) {
    standInsLate()
    const figures = await callersOf(target, calls, SECONDS, null)
    describe(`${callsText(calls)} without early starts`, figures)
    const turns = answered(figures)
    // The turn detector waits for as long as the words ask for, which is the least that was waited after words of this kind.
    const wanted = new Map([...Map.groupBy(turns, ruleOf)].map(([rule, group]) => [rule, Math.min(...group.map((turn) => turn.endpoint?.waitMs ?? Infinity))]))
    const measured = turns.flatMap((turn) => {
      const held = heldBack(turn)
      const waitMs = wanted.get(ruleOf(turn))
      // A caller whose answer was bridged heard the bridge: not the chain.
      if (turn.gapMs === null || turn.endpoint === null || turn.stalled || held === null || waitMs === undefined) return []
      return [{ turn, held, overhead: overheadOf(turn, turn.gapMs - waitMs, turn.endpoint.waitMs - waitMs, held) }]
    })
    const overheads = measured.map(({ overhead }) => overhead.wholeMs)
    rows.push({
      what: `of it the platform's own, ${callsText(calls)} without early starts, p50 / p99`,
      figure: overheads.length === 0 ? 'none' : `${quantile(overheads, 0.5).toFixed(1)} / ${quantile(overheads, 0.99).toFixed(1)} ms (n=${overheads.length})`,
      bar: calls === 1 ? '' : '5 / 25 ms',
    })
    const spread = (values: readonly number[]): string => [0.5, 0.9, 0.99, 1].map((share) => quantile(values, share).toFixed(1)).join(' / ')
    console.error(`  gap ${pair(figures.gapsMs)}; the stand-ins' loop was late by ${standInsLate()} ms at p50 / p99; held back ${spread(measured.map(({ held }) => held.wordsMs + held.voiceMs))}; ms, p50 / p90 / p99 / most:`)
    console.error(`    overhead ${spread(overheads)}: ${PARTS.map((part) => `${part} ${spread(measured.map(({ overhead }) => overhead[part]))}`).join('; ')}`)
    for (const name of STAGES) console.error(`    ${name.padEnd(12)} ${spread(measured.map(({ turn }) => stageMs(turn, [name])))}`)
    kept.push(...measured.map(({ turn, overhead }) => ({ calls, startedAt: turn.startedAt, said: turn.said, ...overhead })))
  }
  if (options.turns !== undefined) writeFileSync(options.turns, JSON.stringify(kept))
  return rows
}

const PARTS = ['noticedMs', 'wordsMs', 'voiceMs', 'restMs'] as const
/** `noticedMs`: how late the end of the wait was seen; `wordsMs` and `voiceMs`: around the model and around the voice, less what they held back. */
type Overhead = Readonly<Record<'wholeMs' | (typeof PARTS)[number], number>>

function overheadOf(turn: TurnFigures, afterWaitMs: number, noticedMs: number, held: HeldBack): Overhead {
  const wholeMs = afterWaitMs - held.wordsMs - held.voiceMs
  const wordsMs = stageMs(turn, ['response']) - held.wordsMs
  const voiceMs = stageMs(turn, ['synthesis']) - held.voiceMs
  return { wholeMs, noticedMs, wordsMs, voiceMs, restMs: wholeMs - noticedMs - wordsMs - voiceMs }
}

const callsText = (calls: number): string => (calls === 1 ? 'one call' : `${calls} calls in one process`)
const ruleOf = (turn: TurnFigures): string => turn.endpoint?.rule ?? ''
const stageMs = (turn: TurnFigures, names: readonly string[]): number => turn.stages.reduce((total, { stage, ms }) => total + (names.includes(stage) ? ms : 0), 0)

const rows = [
  ...(options.only === 'plain' ? [] : await withServer({}, early)),
  // The chain is longer than a caller is made to wait: here the stall line comes later, so that the chain can be seen.
  ...(options.only === 'early' ? [] : await withServer({ TURN_EARLY_MODEL: 'false', TURN_STALL_MS: '1000', TURN_RESPONSE_MS: '900' }, plain)),
]
const table = tableOf("With vendors' stand-ins: speech ends after 300 ms, final words 50, first token 250 and 15 each, first audio 120", rows, 'npm run bench:vendors')
console.log(table)
if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(rows))
if (options.write !== undefined) writeSection(options.write, 'vendor figures', table)
