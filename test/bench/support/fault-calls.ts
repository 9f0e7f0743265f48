import { join } from 'node:path'
import { decodeMulaw } from '../../../src/audio/g711.ts'
import { levelDb } from '../../../src/audio/level.ts'
import { loadConfig } from '../../../src/config.ts'
import { parseCallScript, readClip, type LoadedScript } from '../../../src/load/call-script.ts'
import type { CallerTransport, StreamConnection, StreamListener } from '../../../src/load/caller-transport.ts'
import { judge } from '../../../src/load/load-run.ts'
import { placeCall } from '../../../src/load/simulated-caller.ts'
import { SocketTransport } from '../../../src/load/socket-transport.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { createPlatform, type Platform } from '../../../src/platform.ts'
import { clock, type Fault } from '../../vendors/faults.ts'

/** When in the call the vendor falls ill; it stays so until the call's end. */
export const PHASES = ['before', 'during', 'after'] as const
export type Phase = (typeof PHASES)[number]

/** `wav`: of media/calls. `answer`: what the caller must hear, whatever happens. */
export type Question = Readonly<{ wav: string; answer: RegExp }>

/** One row of the matrix: a thing the server depends on, and how to make it ill. */
export type FaultSubject = Readonly<{
  /** As the report names it: 'listening (Deepgram)'. */
  name: string
  faults: readonly Fault[]
  /** Settings that make the server use the stand-in. */
  environment: Readonly<Record<string, string>>
  /** Puts companies into the data folder, before the server starts. */
  seed?: (dataDir: string) => Promise<void>
  /** What `during` means for it: while the caller asks, or while the agent answers. */
  during: 'caller-speaks' | 'agent-speaks'
  /** The caller's two questions; the recordings of media/calls unless told otherwise. */
  questions?: readonly [Question, Question]
  fail: (fault: Fault | null) => Promise<void>
  /** Before every call, when it is well again: nothing of the last call is remembered. */
  fresh: (platform: Platform) => Promise<void> | void
  /** What the call left behind, still with the fault: one remark each for the report. */
  left?: (callSid: string) => Promise<readonly string[]>
  /** After the call, when it is well again: what was kept meanwhile has found its way. */
  healed?: (platform: Platform) => Promise<void>
  /** The carrier's account, where webhooks are signed. */
  account?: Readonly<{ accountSid: string; authToken: string }>
  /** Both questions are asked whatever the phase, and the caller hangs up when the last was answered. */
  asksBoth?: boolean
  stop: () => Promise<void>
}>

export type FaultCell = Readonly<{
  subject: string
  fault: Fault | null
  phase: Phase
  /** Of the turn that the fault hit, in ms: caller's last sound to the agent's first; null when there was none. */
  gapMs: number | null
  /** The longest silence of that turn while something was due, sentences of the answer included. */
  silenceMs: number | null
  /** What the server made of the caller's words, and what the caller heard. */
  understood: string
  heard: string
  sources: readonly string[]
  stalled: boolean
  /** Engines that failed and were replaced in this call, as the server counts them: proof that the fault was felt. */
  replaced: number
  /** The caller was answered, in the words that are due. */
  answered: boolean
  /** With phase `after`: the turn before the fault. */
  earlier: Readonly<{ gapMs: number | null; understood: string; heard: string }> | null
  greeted: boolean
  /** What else became of it. */
  remarks: readonly string[]
  /** Broken rules of the carrier, and calls that did not come to their own end. */
  problems: readonly string[]
  /** The machine was too slow for the caller's own schedule: not a figure. */
  harnessLateMs: number
}>

const RECORDINGS = join(import.meta.dirname, '../../../media/calls')
/** Polar Bay Air. */
const NUMBER = '+15550100000'
const HOURS: Question = { wav: 'faq-hours.wav', answer: /saturday/i }
const PLAN: Question = { wav: 'back-channel-question.wav', answer: /plan/i }
/** Into the caller's question, and into the agent's answer. */
const INTO_SPEECH_MS = 600
const INTO_ANSWER_MS = 300
const LOUD_DB = -40
/** The answers say what matters in their first sentence; a call with a stall line before it ends in the middle of the second. */
const HEARD_ENOUGH_MS = 4800
/** The server takes calls again once its loop has been in time for five seconds. */
const RELIEF_MS = 6000
const MOST_TRIES = 8

/** A server with its own embedded engines beside the subject, for as many calls as wanted. */
export class FaultWorld {
  readonly #platform: Platform
  readonly #target: string
  readonly #subject: FaultSubject

  private constructor(platform: Platform, target: string, subject: FaultSubject) {
    this.#platform = platform
    this.#target = target
    this.#subject = subject
  }

  static async start(subject: FaultSubject, dataDir: string): Promise<FaultWorld> {
    await subject.seed?.(dataDir)
    const config = loadConfig({ PORT: '0', DATA_DIR: dataDir, SHUTDOWN_GRACE_SECONDS: '1', STT_WORKERS: '1', ...subject.environment })
    const platform = await createPlatform(config, createLogger({ level: 'silent', speech: false, version: 'test' }))
    const { publicBaseUrl } = await platform.start()
    return new FaultWorld(platform, publicBaseUrl, subject)
  }

  /** One call with one fault. Without a fault: what the caller hears when all is well. A machine too busy to take calls is waited for. */
  async call(fault: Fault | null, phase: Phase): Promise<FaultCell> {
    for (let tries = 1; ; tries += 1) {
      const cell = await this.#place(fault, phase)
      if (tries === MOST_TRIES || !cell.problems.some((problem) => problem.includes('lines are busy'))) return cell
      await clock.sleep(RELIEF_MS)
    }
  }

  async #place(fault: Fault | null, phase: Phase): Promise<FaultCell> {
    const subject = this.#subject
    await subject.fail(null)
    this.#platform.breakers.forget()
    await subject.fresh(this.#platform)
    if (phase === 'before') await subject.fail(fault)
    const replacedBefore = await this.#replaced()
    const transport = new WatchedTransport(new SocketTransport(clock, subject.account?.authToken ?? null))
    const script = await scriptOf(subject, phase)
    const signal = new AbortController().signal
    if (phase === 'during') void transport.moment(subject.during === 'caller-speaks' ? 'question' : 'answer', subject.during === 'caller-speaks' ? INTO_SPEECH_MS : INTO_ANSWER_MS).then(() => subject.fail(fault))
    if (phase === 'after') void transport.moment('answer', INTO_ANSWER_MS).then(() => subject.fail(fault))
    const evidence = await placeCall({ clock, transport, target: this.#target, script, ...(subject.account === undefined ? {} : { accountSid: subject.account.accountSid }) }, signal)
    const remarks = (await subject.left?.(evidence.callSid)) ?? []
    await subject.fail(null)
    await subject.healed?.(this.#platform)
    const judged = await judge({ clock, target: this.#target }, evidence, signal)
    const isKept = (judged.records?.call.endedAt ?? null) !== null
    const step = judged.measures.steps[phase === 'after' ? 1 : 0]
    const turns = judged.records?.turns.filter(({ input }) => input !== 'answered' && input !== 'silence') ?? []
    const turn = turns.at(phase === 'after' ? 1 : 0)
    const question = (subject.questions ?? [HOURS, PLAN])[phase === 'after' ? 1 : 0] as Question
    return {
      subject: subject.name,
      fault,
      phase,
      gapMs: step?.gapMs ?? null,
      silenceMs: step?.longestSilenceMs ?? null,
      understood: turn?.heard ?? '',
      heard: turn?.delivered ?? '',
      sources: turn?.sources ?? [],
      stalled: turn?.stalled ?? false,
      replaced: (await this.#replaced()) - replacedBefore,
      answered: question.answer.test(turn?.delivered ?? ''),
      earlier: phase === 'after' ? { gapMs: judged.measures.steps[0]?.gapMs ?? null, understood: turns[0]?.heard ?? '', heard: turns[0]?.delivered ?? '' } : null,
      greeted: judged.measures.greetingMs !== null && judged.measures.greetingMs <= 1200,
      // A call that was refused has no greeting, but something was said instead.
      remarks,
      problems: [...evidence.problems, ...(isKept ? [] : ['its record was lost']), ...(judged.measures.greetingMs === null ? evidence.verbs.map((verb) => JSON.stringify(verb)) : [])],
      harnessLateMs: evidence.worstLateMs,
    }
  }

  async #replaced(): Promise<number> {
    const text = await (await fetch(new URL('/metrics', this.#target))).text()
    return [...text.matchAll(/^clientsvia_engine_failures_total\{[^}]*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0)
  }

  async stop(): Promise<void> {
    await this.#platform.stop()
    await this.#subject.stop()
  }
}

async function scriptOf({ questions, asksBoth }: FaultSubject, phase: Phase): Promise<LoadedScript> {
  const [first, second] = questions ?? [HOURS, PLAN]
  const say = (wav: string, quietMs: number): unknown => ({ do: 'say', wav, text: wav, voice: 'ellen', when: { after: 'agent-finished', quietMs } })
  const asks = phase === 'after' || asksBoth === true ? [say(first.wav, 400), say(second.wav, 600)] : [say(first.wav, 400)]
  const enough = asksBoth === true ? { after: 'agent-finished', quietMs: 400 } : { after: 'agent-speaks', forMs: HEARD_ENOUGH_MS }
  const steps = [...asks, { do: 'hang-up', when: enough }]
  const script = parseCallScript({ name: `fault-${phase}`, description: 'One or two plain questions.', to: NUMBER, steps }, 'faults')
  const clips = new Map(await Promise.all([first.wav, second.wav].map(async (wav) => [wav, await readClip(join(RECORDINGS, wav))] as const)))
  return { script, clips }
}

/** Real sockets, watched: tells when the caller begins to ask and when the agent begins to answer. */
export class WatchedTransport implements CallerTransport {
  readonly #inner: CallerTransport
  readonly #waiting = new Map<'question' | 'answer', () => void>()
  #asked = false

  constructor(inner: CallerTransport) {
    this.#inner = inner
  }

  moment(what: 'question' | 'answer', laterMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.set(what, resolve)
    return promise.then(() => clock.sleep(laterMs))
  }

  post: CallerTransport['post'] = (url, fields, signal) => this.#inner.post(url, fields, signal)

  async connect(url: string, listener: StreamListener, signal: AbortSignal): Promise<StreamConnection> {
    const connection = await this.#inner.connect(
      url,
      {
        ...listener,
        text: (message) => {
          if (this.#asked && isLoud(message)) this.#waiting.get('answer')?.()
          listener.text(message)
        },
      },
      signal,
    )
    return {
      close: () => connection.close(),
      send: (message) => {
        if (isLoud(message)) {
          this.#asked = true
          this.#waiting.get('question')?.()
        }
        connection.send(message)
      },
    }
  }
}

function isLoud(message: string): boolean {
  const { media } = JSON.parse(message) as { media?: { payload: string } }
  return media !== undefined && levelDb(decodeMulaw(Buffer.from(media.payload, 'base64'))) > LOUD_DB
}
