import { readFileSync } from 'node:fs'
import type { VoiceActivityEngine } from '../../src/audio/voice-activity.ts'
import type { EffectsForTurn } from '../../src/booking/effect.ts'
import type { EarEvidence } from '../../src/call/caller-ear.ts'
import { InMemoryCallDirectory } from '../../src/call/call-directory.ts'
import type { TurnRecord } from '../../src/call/call-record.ts'
import { CallService, type CallServiceDeps } from '../../src/call/call-service.ts'
import { BoundedQueue } from '../../src/core/bounded-queue.ts'
import type { Clock } from '../../src/core/clock.ts'
import { OPEN_EXPECTATION, type Expectation } from '../../src/core/expectation.ts'
import { Scope } from '../../src/core/scope.ts'
import type { SpeakableText } from '../../src/core/speakable-text.ts'
import { readText } from '../../src/grammar/read-text.ts'
import { parseCallScript, type CallScript, type Clip, type ScriptStep } from '../../src/load/call-script.ts'
import { ScriptRunner } from '../../src/load/script-runner.ts'
import type { MadeByCall } from '../../src/load/turn-records.ts'
import { createResponder } from '../../src/response/intelligence-loop.ts'
import { unfinishedLead } from '../../src/response/unfinished-lead.ts'
import { correctMishearings } from '../../src/transcription/vocabulary.ts'
import type { Transcriber, TranscriberOptions, TranscriptEvent, TranscriptionSession, Word } from '../../src/transcription/transcriber.ts'
import { createTurnDetector } from '../../src/turn-taking/endpointing.ts'
import { createInterruptionDetector } from '../../src/turn-taking/interruption.ts'
import { contextOf, demoCompany } from './fake-company.ts'
import { FakeDesk } from './fake-desk.ts'
import { FakeLeg } from './fake-leg.ts'
import { FakeVoiceActivity } from './fake-voice-activity.ts'
import { MemoryCalls, ToneVoice } from './virtual-call.ts'
import { VirtualClock } from './virtual-clock.ts'

const WORD_MS = 300
const TICK_MS = 20
/** The agent's speech is one stretch as long as its pauses stay below this. */
const AGENT_PAUSE_MS = 500

/** Words on one caller's media clock, spoken so far and to come. */
export class SpokenWords {
  readonly words: Word[] = []

  /** "[pause 600]" is silence. Gives the stretches of sound. */
  say(text: string, fromMs: number): { fromMs: number; toMs: number }[] {
    const stretches: { fromMs: number; toMs: number }[] = []
    let at = fromMs
    for (const piece of text.split(/(\[pause \d+\])/)) {
      const pause = /^\[pause (\d+)\]$/.exec(piece)
      if (pause !== null) at += Number(pause[1])
      const said = pause === null ? piece.trim().split(/\s+/).filter((word) => word !== '') : []
      if (said.length === 0) continue
      stretches.push({ fromMs: at, toMs: at + said.length * WORD_MS })
      for (const word of said) {
        this.words.push({ text: word, startMs: at, endMs: at + WORD_MS })
        at += WORD_MS
      }
    }
    return stretches
  }
}

/** Hears every word that was spoken, and what it means in the light of what was asked. One caller a callSid. */
export class UnderstandingTranscriber implements Transcriber {
  readonly name = 'understanding'
  readonly #clock: Clock
  readonly #spoken: (callSid: string) => SpokenWords
  /** What was told to listen for, in order. */
  readonly expected: Expectation[] = []

  constructor(clock: Clock, spoken: (callSid: string) => SpokenWords) {
    this.#clock = clock
    this.#spoken = spoken
  }

  open(options: TranscriberOptions, signal: AbortSignal): TranscriptionSession {
    const events = new BoundedQueue<TranscriptEvent>(200, 'drop-oldest')
    const scope = new Scope()
    signal.addEventListener('abort', () => scope.end('closed'), { once: true })
    let utterance = 0
    let fromMs = 0
    let expectation: Expectation = OPEN_EXPECTATION
    const report = async (mine: number, startMs: number, untilMs: number): Promise<void> => {
      await this.#clock.sleep(120, scope.signal)
      const text = this.#spoken(options.callId).words.filter((word) => word.startMs >= startMs - 150 && word.endMs <= untilMs + 150).map((word) => word.text).join(' ')
      const reading = text === '' || expectation.kind === 'open' ? {} : { reading: readText(expectation, text) }
      events.push({ kind: 'transcript', utterance: mine, text, words: [], audioEndMs: untilMs, final: true, ...reading })
    }
    return {
      events,
      push: () => undefined,
      expect: (next) => {
        expectation = next
        this.expected.push(next)
      },
      hint: (hint) => {
        if (hint.kind === 'speech-paused') void report(utterance, fromMs, hint.lastVoicedMs).catch(() => undefined)
      },
      endUtterance: (atMs) => {
        utterance += 1
        fromMs = atMs
      },
      close: async () => {
        scope.end('closed')
        events.close()
      },
    }
  }
}

export function readScript(name: string): CallScript {
  const file = new URL(`../../media/calls/${name}.json`, import.meta.url)
  return parseCallScript(JSON.parse(readFileSync(file, 'utf8')), name)
}

/** What a caller's lines sound like, 8 kHz, and the line between them. */
export type CallerSound = Readonly<{ line: Int16Array; of: (step: ScriptStep & { do: 'say' }) => Clip }>

export type ScriptedCall = Readonly<{ callSid: string; turns: readonly TurnRecord[]; made: MadeByCall; end: 'caller' | 'agent'; outcome: string }>

/** A demo company that answers in virtual time: everything real but the engines, the store and the booking desk's calendar. */
export function scriptedCompany(
  name: Parameters<typeof demoCompany>[0],
  options: { wallTime?: Date; clock?: VirtualClock; voiceActivity?: VoiceActivityEngine; listen?: Transcriber; onEvidence?: (evidence: EarEvidence) => void } = {},
) {
  const clock = options.clock ?? new VirtualClock(options.wallTime)
  const scope = new Scope()
  const context = contextOf(demoCompany(name))
  const desk = new FakeDesk(context.company)
  const calls = new MemoryCalls()
  const voice = new ToneVoice(clock)
  const spoken = new Map<string, SpokenWords>()
  const wordsOf = (callSid: string): SpokenWords => {
    const words = spoken.get(callSid) ?? new SpokenWords()
    spoken.set(callSid, words)
    return words
  }
  const transcriber = new UnderstandingTranscriber(clock, wordsOf)
  const errors: unknown[] = []
  const effects: EffectsForTurn = ({ callSid, turn, committed }) => ({
    perform: async (effect, signal) => {
      await committed
      signal.throwIfAborted()
      return desk.do(callSid, turn, effect)
    },
  })
  const responder = createResponder({ model: null, desk })
  for (const line of context.agent.lines.stall) voice.ready.add(line)
  const deps: CallServiceDeps = {
    clock,
    scope,
    calls,
    directory: new InMemoryCallDirectory({ maxCalls: 1000 }),
    logger: { info: () => undefined, warn: () => undefined, error: (facts) => errors.push(facts) },
    contexts: { load: async () => context, invalidate: () => undefined },
    findCompanyByNumber: async () => context.company,
    recordLearning: async () => undefined,
    observer: { callStarted: () => undefined, callEnded: () => undefined, turnFinished: () => undefined },
    unfinished: unfinishedLead,
    conversation: {
      voiceActivity: options.voiceActivity ?? new FakeVoiceActivity(),
      transcriber: options.listen ?? transcriber,
      responder,
      effects,
      onEvidence: (_companyId, _callSid, evidence) => options.onEvidence?.(evidence),
      createTurnDetector: (preset) => createTurnDetector({ preset }),
      createInterruptionDetector: () => createInterruptionDetector(),
      createEchoGuard: () => ({ sent: () => undefined, heard: () => 'caller', lagMs: null }),
      wordsHeard: (text, audioMs, heardMs) => {
        const words = text.split(' ')
        const count = heardMs >= audioMs ? words.length : Math.floor((heardMs / audioMs) * words.length)
        return { text: words.slice(0, count).join(' '), complete: count === words.length }
      },
      correct: (loaded, text) => correctMishearings(text, loaded.company.mishearings),
      lines: (loaded) => ({ stall: loaded.agent.lines.stall.map((line) => line as SpeakableText), apology: loaded.agent.lines.inaudible as SpeakableText }),
      voice: () => voice,
      budget: { targetMs: 600, hardMs: 1000, stallAfterMs: 700, stagesMs: {} },
    },
  }
  const service = new CallService(deps)
  let dialled = 0
  const turnsOf = (callSid: string): readonly TurnRecord[] => calls.turnsOf.get(`${context.company.id}/${callSid}`) ?? []
  return {
    clock,
    desk,
    calls,
    context,
    errors,
    transcriber,
    turnsOf,
    wordsOf,
    nextCallSid: () => `CA${String(++dialled).padStart(32, '0')}`,
    dial(start: Partial<FakeLeg['start']>) {
      const leg = new FakeLeg(clock, { companyId: context.company.id, ...start })
      return { leg, over: service.handle(leg, scope.signal) }
    },
    /** Plays a script to its end, as the load harness does over a socket. With `sound` the caller's lines are heard, not only known. */
    async play(script: CallScript, from = script.from, sound: CallerSound | null = null): Promise<ScriptedCall> {
      const callSid = this.nextCallSid()
      const { leg, over } = this.dial({ callSid, from })
      if (sound !== null) leg.lineSound = sound.line
      let isOver = false
      let end: ScriptedCall['end'] = 'agent'
      void over.then(() => {
        isOver = true
      })
      const runner = new ScriptRunner(script)
      const keys: { digit: string; atMs: number }[] = []
      while (!isOver) {
        await clock.sleep(TICK_MS)
        const nowMs = leg.mediaNowMs()
        const act = runner.tick(nowMs, earOf(leg), (step) => (step.do === 'say' && sound !== null ? (sound.of(step).spans.at(-1)?.endMs ?? 0) : durationOf(step)))
        if (act?.kind === 'hang-up') {
          end = 'caller'
          leg.callerHangsUp()
          break
        }
        if (act?.kind === 'step' && act.step.do === 'say' && sound !== null) leg.playSound(sound.of(act.step).samples)
        else if (act?.kind === 'step' && act.step.do === 'say') for (const { fromMs, toMs } of wordsOf(callSid).say(act.step.text, nowMs)) leg.speak(fromMs - nowMs, toMs - fromMs)
        if (act?.kind === 'step' && act.step.do === 'press') for (const [index, digit] of [...act.step.digits].entries()) keys.push({ digit, atMs: nowMs + index * 250 })
        while (keys[0] !== undefined && keys[0].atMs <= nowMs) leg.press((keys.shift() as { digit: string }).digit)
      }
      await over
      const record = calls.calls.get(`${context.company.id}/${callSid}`)
      return { callSid, turns: turnsOf(callSid), made: madeBy(callSid), end, outcome: record?.outcome ?? 'none' }
    },
  }

  function madeBy(callSid: string): MadeByCall {
    return {
      appointments: desk.booked.filter((one) => one.callSid === callSid),
      leads: desk.leads.filter((_lead, index) => desk.leadCalls[index] === callSid).map(({ kind, formId, slots }) => ({ kind, formId, slots: { ...slots } })),
    }
  }
}

function earOf(leg: FakeLeg): { agentOnsetMs: number | null; agentLastAudibleMs: number | null; playoutEmpty: boolean } {
  const nowMs = leg.mediaNowMs()
  const heard = leg.heard.filter((frame) => frame.atMs < nowMs)
  const last = heard.at(-1)
  let onset = last?.atMs ?? null
  for (let index = heard.length - 1; index > 0; index--) {
    if ((heard[index]?.atMs ?? 0) - (heard[index - 1]?.atMs ?? 0) > AGENT_PAUSE_MS) break
    onset = heard[index - 1]?.atMs ?? null
  }
  return { agentOnsetMs: onset, agentLastAudibleMs: last === undefined ? null : last.atMs + 20, playoutEmpty: leg.bufferedMs <= 0 }
}

function durationOf(step: ScriptStep): number {
  if (step.do === 'say') return step.text.split(/(\[pause \d+\])/).reduce((sum, piece) => sum + (/^\[pause (\d+)\]$/.exec(piece) === null ? piece.trim().split(/\s+/).filter((word) => word !== '').length * WORD_MS : Number(/\d+/.exec(piece)?.[0])), 0)
  if (step.do === 'press') return step.digits.length * 250
  return step.do === 'stay-silent' || step.do === 'noise' ? step.durationMs : 0
}
