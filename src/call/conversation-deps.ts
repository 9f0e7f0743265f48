import type { VoiceActivityEngine } from '../audio/voice-activity.ts'
import type { EffectsForTurn } from '../booking/effect.ts'
import type { Clock } from '../core/clock.ts'
import type { LatencyBudget } from '../core/latency-budget.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import type { CompanyContext } from '../response/company-context.ts'
import type { DialogueState } from '../response/dialogue.ts'
import type { CallAction, LearningRecord, Responder } from '../response/responder.ts'
import type { CompanyVoice } from '../synthesis/synthesizer.ts'
import type { Transcriber } from '../transcription/transcriber.ts'
import type { InterruptionDetector } from '../turn-taking/interruption.ts'
import type { TurnDetector, TurnPreset } from '../turn-taking/turn-detector.ts'
import type { TurnRecord } from './call-record.ts'
import type { EarEvidence, EchoGuard } from './caller-ear.ts'
import type { WordsHeard } from './playout-position.ts'

/** What a conversation is made of, and whom it tells. */
export type ConversationDeps = Readonly<{
  clock: Clock
  voiceActivity: VoiceActivityEngine
  transcriber: Transcriber
  responder: Responder
  createTurnDetector: (preset: TurnPreset) => TurnDetector
  createInterruptionDetector: () => InterruptionDetector
  createEchoGuard: () => EchoGuard
  wordsHeard: WordsHeard
  correct: (context: CompanyContext, text: string) => string
  lines: (context: CompanyContext) => ReadyLines
  voice: (context: CompanyContext, callSid: string) => CompanyVoice
  budget: LatencyBudget
  /** False: no reply is begun before its turn is committed. */
  earlyReplies?: boolean
  /** Called as each turn ends; must not throw. */
  onTurn: (companyId: string, callSid: string, turn: TurnRecord) => void
  onLearning: (companyId: string, callSid: string, turn: number, learning: LearningRecord) => void
  /** The agent has decided how the call goes on; told before the stream ends. */
  onAction: (companyId: string, callSid: string, action: CallAction) => void
  /** A defect that was survived. */
  onError: (companyId: string, callSid: string, error: unknown) => void
  /** The company has spent what it may spend in a day. Asked as each turn ends. */
  isOverspent?: (companyId: string, signal: AbortSignal) => Promise<boolean>
  /** Said to whoever watches: a call was brought to its end. */
  onLimit?: (companyId: string, callSid: string, limit: CallLimit) => void
  /** What a turn may change in the world, once it is the agent's. Absent: nothing. */
  effects?: EffectsForTurn
  onEvidence?: (companyId: string, callSid: string, evidence: EarEvidence) => void
}>

/** Said when the answer is late, in order, and when nothing else can be said. */
export type ReadyLines = Readonly<{ stall: readonly SpeakableText[]; apology: SpeakableText }>

export type Exchange = Readonly<{ who: 'caller' | 'agent'; text: string }>

/** What is known before the first word. */
export type CallPast = Readonly<{
  /** Of this very call, when its stream had broken. */
  exchanges: readonly Exchange[]
  nextTurn: number
  /** The number has called this company before. */
  returning: boolean
  /** Where the talk of this very call stood when its stream broke. */
  dialogue?: DialogueState | null
}>

export type CallLimit = 'minutes' | 'turns' | 'spending'
