import type { RecordingStore } from '../../src/call/recording.ts'
import type { CallRecord, CallRepository, Gap, TurnRecord } from '../../src/call/call-record.ts'
import { InMemoryCallDirectory } from '../../src/call/call-directory.ts'
import { CallService, type CallServiceDeps } from '../../src/call/call-service.ts'
import { BoundedQueue } from '../../src/core/bounded-queue.ts'
import type { Clock } from '../../src/core/clock.ts'
import { ClientsViaError } from '../../src/core/errors.ts'
import { Scope } from '../../src/core/scope.ts'
import type { SpeakableText } from '../../src/core/speakable-text.ts'
import type { CompanyContext } from '../../src/response/company-context.ts'
import type { Question, ReplyPart, Responder } from '../../src/response/responder.ts'
import type { CompanyVoice } from '../../src/synthesis/synthesizer.ts'
import { agentSchema } from '../../src/tenancy/agent.ts'
import { companySchema, type Company } from '../../src/tenancy/company.ts'
import type { Transcriber, TranscriberOptions, TranscriptEvent, TranscriptionSession } from '../../src/transcription/transcriber.ts'
import { createTurnDetector } from '../../src/turn-taking/endpointing.ts'
import { createInterruptionDetector } from '../../src/turn-taking/interruption.ts'
import { FakeLeg } from './fake-leg.ts'
import { FakeVoiceActivity } from './fake-voice-activity.ts'
import { VirtualClock } from './virtual-clock.ts'

/** Words per utterance, in order; each is known `delayMs` after the pause that ends it. */
export class ScriptedTranscriber implements Transcriber {
  readonly name = 'scripted'
  readonly #clock: Clock
  readonly #says: (spokenMs: number) => string
  openSessions = 0
  delayMs = 120
  /** While true, utterances are lost instead of heard. */
  broken = false

  /** `says` gives the words of the utterance so far, by how much of the current utterance has been spoken. */
  constructor(clock: Clock, says: (utteranceSpokenMs: number) => string) {
    this.#clock = clock
    this.#says = says
  }

  open(_options: TranscriberOptions, signal: AbortSignal): TranscriptionSession {
    const events = new BoundedQueue<TranscriptEvent>(100, 'drop-oldest')
    const scope = new Scope()
    let utterance = 0
    let startedMs: number | null = null
    let closed = false
    this.openSessions += 1
    signal.addEventListener('abort', () => scope.end('closed'), { once: true })
    return {
      events,
      push: () => undefined,
      expect: () => undefined,
      hint: (hint) => {
        if (hint.kind === 'speech-started') startedMs ??= hint.mediaMs
        if (hint.kind !== 'speech-paused') return
        const mine = utterance
        const spokenMs = hint.lastVoicedMs - (startedMs ?? hint.lastVoicedMs)
        void this.#clock.sleep(this.delayMs, scope.signal).then(
          () => {
            if (this.broken) events.push({ kind: 'lost', utterance: mine, reason: 'worker died' })
            else
              events.push({ kind: 'transcript', utterance: mine, text: this.#says(spokenMs), words: [], audioEndMs: hint.lastVoicedMs, final: true })
          },
          () => undefined,
        )
      },
      endUtterance: () => {
        utterance += 1
        startedMs = null
      },
      close: async () => {
        if (!closed) this.openSessions -= 1
        closed = true
        scope.end('closed')
        events.close()
      },
    }
  }
}

/** 60 ms of tone a word, first audio after `delayMs`; `ready` phrases need no time. */
export class ToneVoice implements CompanyVoice {
  readonly ready = new Set<string>()
  readonly #clock: Clock
  delayMs = 80
  failing = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  spare(): null {
    return null
  }

  peek(text: SpeakableText): Uint8Array | null {
    return this.ready.has(text) ? tone(text) : null
  }

  async *synthesize(text: SpeakableText, _voice: unknown, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    await this.#clock.sleep(this.delayMs, signal)
    if (this.failing) throw new ClientsViaError('ENGINE_FAILED', 'the voice is gone')
    yield tone(text)
  }
}

/** How long ToneVoice speaks a text. */
export const spokenMs = (text: string): number => text.split(' ').length * MS_PER_WORD
const MS_PER_WORD = 280

function tone(text: string): Uint8Array {
  return new Uint8Array(spokenMs(text) * 8).map((_, index) => (index % 16 < 8 ? 0x10 : 0x90))
}

export class MemoryCalls implements CallRepository {
  readonly calls = new Map<string, CallRecord>()
  readonly turnsOf = new Map<string, TurnRecord[]>()
  readonly gapList: Gap[] = []
  failing = false

  async begin(companyId: string, call: CallRecord): Promise<void> {
    this.#check()
    this.calls.set(`${companyId}/${call.callSid}`, call)
  }
  async get(companyId: string, callSid: string): Promise<CallRecord | null> {
    return this.calls.get(`${companyId}/${callSid}`) ?? null
  }
  async list(companyId: string, page: Readonly<{ limit: number; from?: string }>): Promise<readonly CallRecord[]> {
    const newestFirst = [...this.calls.values()].reverse()
    return newestFirst.filter((call) => call.companyId === companyId && (page.from === undefined || call.from === page.from)).slice(0, page.limit)
  }
  async update(companyId: string, callSid: string, patch: Partial<CallRecord>): Promise<CallRecord | null> {
    this.#check()
    const call = this.calls.get(`${companyId}/${callSid}`)
    if (call === undefined) return null
    const next = { ...call, ...patch }
    this.calls.set(`${companyId}/${callSid}`, next)
    return next
  }
  async saveTurn(companyId: string, callSid: string, turn: TurnRecord): Promise<void> {
    this.#check()
    const key = `${companyId}/${callSid}`
    this.turnsOf.set(key, [...(this.turnsOf.get(key) ?? []), turn])
  }
  async turns(companyId: string, callSid: string): Promise<readonly TurnRecord[]> {
    return this.turnsOf.get(`${companyId}/${callSid}`) ?? []
  }
  async saveGap(_companyId: string, gap: Gap): Promise<void> {
    this.gapList.push(gap)
  }
  async gap(companyId: string, gapId: string): Promise<Gap | null> {
    return this.gapList.find((gap) => gap.companyId === companyId && gap.id === gapId) ?? null
  }
  async gaps(companyId: string): Promise<readonly Gap[]> {
    return this.gapList.filter((gap) => gap.companyId === companyId)
  }
  async solveGap(): Promise<boolean> {
    return false
  }
  async deleteCall(companyId: string, callSid: string): Promise<boolean> {
    return this.calls.delete(`${companyId}/${callSid}`)
  }
  #check(): void {
    if (this.failing) throw new ClientsViaError('STORE_FAILED', 'the store is away')
  }
}

/** Answers by a table of the caller's words; every answer takes `thinkingMs`. */
export type AnswerTable = (question: Question) => readonly ReplyPart[]

export const say = (text: string): ReplyPart => ({ kind: 'say', text: text as SpeakableText, source: 'fixed-answer', entryId: 'entry-1' })

export const GREETING = 'Thank you for calling Polar Bay Air.'

/** A whole call with everything real but the engines, in virtual time. */
export function virtualCall(options: { answer: AnswerTable; says: (spokenMs: number) => string; thinkingMs?: number; company?: Partial<Company>; returningCaller?: string; recordings?: RecordingStore; spend?: CallServiceDeps['spend']; overload?: () => string | null; respond?: (clock: VirtualClock) => Responder; context?: CompanyContext; listen?: (clock: VirtualClock) => Transcriber; speak?: (clock: VirtualClock) => ToneVoice }) {
  const clock = new VirtualClock()
  const scope = new Scope()
  const calls = new MemoryCalls()
  const voice = options.speak?.(clock) ?? new ToneVoice(clock)
  const voiceActivity = new FakeVoiceActivity()
  const transcriber = new ScriptedTranscriber(clock, options.says)
  const errors: unknown[] = []
  const questions: Question[] = []
  for (const line of [GREETING, 'One moment, please.', 'Let me check.', 'Sorry, could you say that again?']) voice.ready.add(line)
  const responder: Responder = options.respond?.(clock) ?? {
    async *respond(question, signal) {
      questions.push(question)
      const finish = question.stages.start('knowledge')
      if (question.input.kind !== 'answered') await clock.sleep(options.thinkingMs ?? 30, signal)
      finish()
      if (question.input.kind === 'answered') yield say(question.input.resumed ? 'Sorry, we were cut off.' : GREETING)
      else yield* options.answer(question)
      yield { kind: 'dialogue', state: { ...question.dialogue, greeted: true } }
    },
  }
  const context: CompanyContext = options.context ?? {
    company: companySchema.parse({
      id: 'polar-bay-air',
      name: 'Polar Bay Air',
      industry: 'hvac',
      timeZone: 'America/New_York',
      phoneNumbers: ['+15550100000'],
      agentId: 'front-desk',
      ...options.company,
    }),
    agent: agentSchema.parse({
      id: 'front-desk',
      companyId: 'polar-bay-air',
      name: 'Front desk',
      personality: { name: 'Robin' },
      greeting: { text: GREETING, emergencyText: GREETING, returningCaller: options.returningCaller ?? '' },
      voice: {},
    }),
    knowledge: { companyId: 'polar-bay-air', version: 1, search: async () => [], searchByWords: () => [], meaningOf: async () => null },
    entryById: new Map(),
  }
  const learned: unknown[] = []
  const limits: string[] = []
  const deps: CallServiceDeps = {
    clock,
    scope,
    calls,
    logger: { info: () => undefined, warn: () => undefined, error: (facts) => errors.push(facts) },
    contexts: { load: async () => context, invalidate: () => undefined },
    findCompanyByNumber: async (number) => (context.company.phoneNumbers.includes(number) ? context.company : null),
    recordings: options.recordings === undefined ? null : { store: options.recordings, speakable: (notice) => notice as SpeakableText },
    ...(options.spend === undefined ? {} : { spend: options.spend }),
    ...(options.overload === undefined ? {} : { overload: options.overload }),
    recordLearning: async (_companyId, learning) => {
      learned.push(learning)
    },
    observer: { callStarted: () => undefined, callEnded: () => undefined, turnFinished: () => undefined, limitReached: (_companyId, _callSid, limit) => limits.push(limit) },
    directory: new InMemoryCallDirectory({ maxCalls: 1000 }),
    conversation: {
      voiceActivity,
      transcriber: options.listen?.(clock) ?? transcriber,
      responder,
      createTurnDetector: (preset) => createTurnDetector({ preset }),
      createInterruptionDetector: () => createInterruptionDetector(),
      createEchoGuard: () => ({ sent: () => undefined, heard: () => 'caller', lagMs: null }),
      wordsHeard: (text, audioMs, heardMs) => {
        const words = text.split(' ')
        const count = heardMs >= audioMs ? words.length : Math.floor((heardMs / audioMs) * words.length)
        return { text: words.slice(0, count).join(' '), complete: count === words.length }
      },
      correct: (_context, text) => text,
      lines: () => ({ stall: ['One moment, please.' as SpeakableText, 'Let me check.' as SpeakableText], apology: 'Sorry, could you say that again?' as SpeakableText }),
      voice: () => voice,
      budget: { targetMs: 600, hardMs: 1000, stallAfterMs: 700, stagesMs: {} },
    },
  }
  const service = new CallService(deps)
  return {
    clock,
    scope,
    calls,
    voice,
    voiceActivity,
    transcriber,
    errors,
    questions,
    learned,
    limits,
    service,
    /** Starts a call; returns its leg and a promise for its end. */
    dial(start: Partial<FakeLeg['start']> = {}) {
      const leg = new FakeLeg(clock, start)
      const over = service.handle(leg, scope.signal)
      return { leg, over }
    },
    turns(callSid = 'CA00000000000000000000000000000001'): readonly TurnRecord[] {
      return calls.turnsOf.get(`polar-bay-air/${callSid}`) ?? []
    },
  }
}
