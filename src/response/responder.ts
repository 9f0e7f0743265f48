import type { Clock, Instant } from '../core/clock.ts'
import type { Effects } from '../booking/effect.ts'
import type { Expectation } from '../core/expectation.ts'
import type { Reading } from '../core/reading.ts'
import type { StageRecorder } from '../core/latency-budget.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import type { CompanyContext } from './company-context.ts'
import type { DialogueState } from './dialogue.ts'

export type TurnInput =
  /** `reading`: what it means in the light of what was asked, where something was. */
  | Readonly<{ kind: 'speech'; text: string; reading?: Reading }>
  | Readonly<{ kind: 'dtmf'; digits: string; reading?: Reading }>
  /** The call has just been answered. `resumed`: its stream had broken. `returning`: this number has called the company before. */
  | Readonly<{ kind: 'answered'; resumed: boolean; returning?: boolean }>
  /** The caller has said nothing; `count` is 1 for the first prompt. */
  | Readonly<{ kind: 'silence'; count: number }>
  /** The call has come to one of its limits: minutes, turns, or what the company may spend in a day. Say goodbye and end it. */
  | Readonly<{ kind: 'limit' }>
  /** The recogniser lost the caller's words. */
  | Readonly<{ kind: 'inaudible' }>

export type Question = Readonly<{
  companyId: string
  callId: string
  turn: number
  input: TurnInput
  context: CompanyContext
  dialogue: DialogueState
  /** What the caller really heard and said so far, oldest first. */
  history: readonly Readonly<{ who: 'caller' | 'agent'; text: string }>[]
  /** The caller's number, E.164 where it is one. */
  from: string
  wallTime: Date
  clock: Clock
  /** The first speakable part is due by then. Steps are cut off against it. */
  firstPartBy: Instant
  stages: StageRecorder
  /** Everything a turn changes in the world. Held until the turn is committed, so a reply prepared during a pause may ask for it. */
  effects: Effects
  /** Set for a reply that is prepared while the caller may still go on; null or absent once the turn is the agent's. */
  early?: EarlyStart | null
}>

/** A start that is made before the turn is committed. */
export type EarlyStart = Readonly<{
  /** How finished the words sounded, as the turn detector judges them: above 1 finished, below -0.5 not. */
  score: number
  /** The turn is the agent's: from then on nothing is wasted by going ahead. Never rejects; a turn that is given up never settles it. */
  committed: Promise<void>
}>

export type AnswerSource =
  | 'greeting'
  | 'emergency'
  | 'rule'
  | 'fixed-answer'
  | 'template'
  | 'model'
  | 'unknown'
  | 'silence-prompt'
  | 'goodbye'
  | 'repeat'
  | 'form'
  | 'stall'
  /** That the call is recorded, and that it is not any more. */
  | 'notice'

export type CallAction =
  | Readonly<{ kind: 'hang-up'; reason: 'goodbye' | 'silence' | 'limit' | 'emergency' | 'spam' }>
  | Readonly<{ kind: 'transfer'; phoneNumberE164: string; label: string; timeoutSeconds: number }>
  | Readonly<{ kind: 'voicemail'; prompt: string; maxSeconds: number }>

/** What a turn taught us; written after the turn is committed, never by speculation. */
export type LearningRecord = Readonly<{
  question: string
  intent: string
  entryId: string | null
  confidence: number
  /** True when the company had no answer: an admin sees it as a gap. */
  gap: boolean
}>

export type ReplyPart =
  /** One sentence, in order. */
  | Readonly<{ kind: 'say'; text: SpeakableText; source: AnswerSource; entryId: string | null }>
  /** Done after everything said before it was heard. */
  | Readonly<{ kind: 'act'; action: CallAction }>
  | Readonly<{ kind: 'expect'; expectation: Expectation }>
  | Readonly<{ kind: 'learn'; record: LearningRecord }>
  /** The dialogue's next state; kept only if the turn is committed. Last one wins. */
  | Readonly<{ kind: 'dialogue'; state: DialogueState }>
  /** Why the reply is what it is: one per step that had a say. For the turn record and the admin's decision trace. */
  | Readonly<{ kind: 'trace'; step: string; detail: Readonly<Record<string, unknown>> }>

/**
 * Pure as far as the world can tell: reads, never writes, so that a reply prepared during a pause can be thrown away.
 * A responder never throws for a failing step: the next cheaper answer speaks. It throws only the signal's reason.
 */
export interface Responder {
  respond(question: Question, signal: AbortSignal): AsyncIterable<ReplyPart>
}
