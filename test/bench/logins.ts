/**
 * `npm run bench:logins`: does signing in move the calls? A real server, callers on the telephone all the time, and in every second
 * stretch people who sign in beside them, each from a device of their own at an address of their own. Prints the gap that callers heard
 * without and with, and fails where the second p95 is more than a tenth above the first. Options: `--calls N`, `--logins N` a second,
 * `--seconds N` a stretch, `--rounds N` pairs of stretches.
 */
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { SystemClock, later, type Instant } from '../../src/core/clock.ts'
import { loadScript, parseCallScript, type Clip, type LoadedScript } from '../../src/load/call-script.ts'
import { judge } from '../../src/load/load-run.ts'
import { summarise } from '../../src/load/report.ts'
import { startServer } from '../../src/load/server-process.ts'
import { placeCall } from '../../src/load/simulated-caller.ts'
import { SocketTransport } from '../../src/load/socket-transport.ts'
import type { JudgedCall } from '../../src/load/call-judgement.ts'
import { DeviceKey } from '../security/device-key.ts'

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '20' },
    logins: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '30' },
    rounds: { type: 'string', default: '3' },
  },
})
const CALLS = Number(values.calls)
const LOGINS_PER_SECOND = Number(values.logins)
const STRETCH_MS = Number(values.seconds) * 1000
const ROUNDS = Number(values.rounds)

const MEDIA = join(import.meta.dirname, '../../media/calls')
const OWNER = { email: 'owner@example.com', password: 'a bench is not a place to sleep on' }
/** Each signs in every two seconds. */
const PEOPLE = LOGINS_PER_SECOND * 2
const ALLOWED_RISE = 1.1
/** Between two questions of one caller: 20 callers then ask twice a second, which is what two processors take along with the harness. */
const THINKING_MS = 5500
/** With the question itself and its answer. */
const QUESTION_MS = THINKING_MS + 4500
const GREETED_MS = 6000
const NO_SIGN_INS = { ms: [], failed: 0 } as const

const clock = new SystemClock()
const never = new AbortController().signal
const loginSchema = z.object({ accessToken: z.string() })

type Person = Readonly<{ email: string; password: string; key: DeviceKey; address: string }>

async function main(): Promise<number> {
  const environment = { ADMIN_EMAIL: OWNER.email, ADMIN_PASSWORD: OWNER.password, TRUSTED_PROXY_HOPS: '1' }
  const server = await startServer(clock, { environment }, never)
  try {
    const people = await hire(server.url)
    for (const person of people) await signIn(server.url, person)
    process.stdout.write(`${cpus()[0]?.model ?? 'unknown processor'} x ${cpus().length}, node ${process.version}, load ${loadavg()[0]?.toFixed(1)}; ${CALLS} calls, ${LOGINS_PER_SECOND} sign-ins a second, ${ROUNDS} x ${STRETCH_MS / 1000} s each way\n`)
    const script = await questions()
    const gaps = { without: [] as number[], beside: [] as number[] }
    const logins: number[] = []
    let failed = 0
    for (let round = 1; round <= ROUNDS; round++) {
      for (const kind of ['without', 'beside'] as const) {
        const startedAt = clock.wallTime().toISOString()
        const calls = callers(server.url, script)
        // The first caller has been greeted and is about to ask.
        await clock.sleep(GREETED_MS)
        const outcome = kind === 'beside' ? await signInAll(server.url, people) : NO_SIGN_INS
        const judged = await calls
        const report = summarise({ startedAt, target: server.url, concurrency: CALLS, calls: judged })
        const heard = judged.flatMap(({ measures }) => measures.steps.flatMap(({ gapMs }) => (gapMs === null ? [] : [gapMs])))
        const unanswered = report.turns - report.answeredTurns
        failed += unanswered
        gaps[kind].push(...heard)
        logins.push(...outcome.ms)
        failed += outcome.failed
        process.stdout.write(
          `  round ${round} ${kind.padEnd(7)}: gap p50 ${Math.round(percentile(heard, 0.5))} p95 ${Math.round(percentile(heard, 0.95))} ms (n=${heard.length} of ${report.turns}), ${unanswered} unanswered, harness late ${Math.round(report.harnessWorstLateMs)} ms` +
            `${outcome.ms.length === 0 ? '' : `; ${outcome.ms.length} sign-ins, p50 ${Math.round(percentile(outcome.ms, 0.5))} p95 ${Math.round(percentile(outcome.ms, 0.95))} ms, ${outcome.failed} failed`}\n`,
        )
      }
    }
    const [without, beside] = [percentile(gaps.without, 0.95), percentile(gaps.beside, 0.95)]
    process.stdout.write(`gap p95 without ${Math.round(without)} ms (n=${gaps.without.length}), beside ${Math.round(beside)} ms (n=${gaps.beside.length}): ${((beside / without - 1) * 100).toFixed(1)} % (at most 10 %); sign-ins p95 ${Math.round(percentile(logins, 0.95))} ms\n`)
    if (failed > 0) process.stdout.write(`${failed} sign-ins failed or questions were not answered\n`)
    return beside <= without * ALLOWED_RISE && failed === 0 ? 0 : 1
  } finally {
    await server.stop(never)
  }
}

/** What a caller asks, over and over, with a pause to think: all of it is answered from the company's own knowledge. */
async function questions(): Promise<LoadedScript> {
  const demo = await loadScript(MEDIA, 'demo')
  const clips = new Map<string, Clip>(demo.clips)
  const asked = [
    ['demo-hours.wav', 'When are you open on Saturday?'],
    ['demo-price.wav', 'What is the price of a tune up?'],
  ] as const
  const steps = Array.from({ length: 40 }, (_, index) => {
    const [wav, text] = asked[index % asked.length] as (typeof asked)[number]
    return { do: 'say', wav, text, voice: 'alan', when: { after: 'agent-finished', quietMs: THINKING_MS }, expect: { withinMs: 5000 } }
  })
  return { script: parseCallScript({ name: 'bench-questions', description: 'Asks two questions in turn, thinking in between.', to: '+15550100000', steps, ends: 'any' }, 'bench'), clips }
}

/** `CALLS` callers, spread over the time that one of them needs for a question; each asks until the stretch is over. */
async function callers(target: string, script: LoadedScript): Promise<JudgedCall[]> {
  const transport = new SocketTransport(clock, null)
  const spreadMs = QUESTION_MS / CALLS
  return Promise.all(
    Array.from({ length: CALLS }, async (_, position) => {
      await clock.sleep(position * spreadMs)
      const count = Math.max(1, Math.floor((STRETCH_MS - position * spreadMs) / QUESTION_MS))
      const shortened = { ...script, script: { ...script.script, steps: script.script.steps.slice(0, count) } }
      return judge({ clock, target }, await placeCall({ clock, transport, target, script: shortened }, never), never)
    }),
  )
}

/** Colleagues, with addresses of an American provider: one office would be held back as one. */
async function hire(url: string): Promise<Person[]> {
  const owner = loginSchema.parse(await post(url, '/auth/login', OWNER, {})).accessToken
  const people: Person[] = []
  for (let number = 0; number < PEOPLE; number++) {
    const person = { email: `person-${number}@example.com`, password: `the quiet heron number ${number} waits`, key: await DeviceKey.create(), address: `12.${100 + (number % 100)}.7.9` }
    await post(url, '/companies/platform/users', { email: person.email, name: `Person ${number}`, role: 'read_only', password: person.password }, { authorization: `Bearer ${owner}` })
    people.push(person)
  }
  return people
}

async function signIn(url: string, person: Person): Promise<void> {
  const headers = { 'x-forwarded-for': person.address }
  const { challenge } = z.object({ challenge: z.string() }).parse(await post(url, '/auth/devices/challenge', {}, headers))
  await post(url, '/auth/login', { email: person.email, password: person.password, device: await person.key.prove('login', person.email, challenge) }, headers)
}

/** On time, whether or not those before are in: a server that is slow must not be asked less. */
async function signInAll(url: string, people: readonly Person[]): Promise<Readonly<{ ms: number[]; failed: number }>> {
  const ms: number[] = []
  let failed = 0
  const startedAt = clock.now()
  const all: Promise<void>[] = []
  for (let number = 0; number < (LOGINS_PER_SECOND * STRETCH_MS) / 1000; number++) {
    const dueAt = later(startedAt, (number * 1000) / LOGINS_PER_SECOND)
    if (dueAt > clock.now()) await clock.sleep(dueAt - clock.now())
    all.push(
      signIn(url, people[number % people.length] as Person).then(
        () => void ms.push(since(dueAt)),
        (error: unknown) => {
          if (failed++ === 0) process.stderr.write(`${String(error)}\n`)
        },
      ),
    )
  }
  await Promise.all(all)
  return { ms, failed }
}

function since(at: Instant): number {
  return clock.now() - at
}

async function post(url: string, path: string, body: object, headers: Readonly<Record<string, string>>): Promise<unknown> {
  const response = await fetch(`${url}/api/v1${path}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) })
  const text = await response.text()
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`)
  return text === '' ? null : JSON.parse(text)
}

/** Nearest rank. */
function percentile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(share * values.length) - 1)] ?? Number.NaN
}

process.exitCode = await main()
