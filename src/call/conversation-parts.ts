import { NO_EFFECTS } from '../booking/effect.ts'
import type { Scope } from '../core/scope.ts'
import type { CompanyContext } from '../response/company-context.ts'
import type { InterruptionDecision } from '../turn-taking/interruption.ts'
import type { TurnDecision } from '../turn-taking/turn-detector.ts'
import { CallEffects } from './call-effects.ts'
import { CallEnding } from './call-ending.ts'
import type { CallLeg } from './call-leg.ts'
import type { CallRecorder } from './call-recorder.ts'
import { CallerEar } from './caller-ear.ts'
import { CallerWords } from './caller-words.ts'
import type { ConversationDeps } from './conversation-deps.ts'
import { ReplyMaker, type ReplySource } from './reply-maker.ts'
import type { Reply } from './reply.ts'
import { Speculations } from './speculation.ts'

/** Who hears the caller, who says what was said, who prepares replies ahead of their turn, and who brings the call to its end. */
export type ConversationParts = Readonly<{ ear: CallerEar; words: CallerWords; replies: ReplyMaker; speculations: Speculations; ending: CallEnding }>

/** What the parts tell the conversation. */
export type PartsListener = Readonly<{
  turn: (decision: TurnDecision) => void
  interruption: (decision: InterruptionDecision) => void
  /** False for a reply that is not being spoken. */
  audible: (reply: Reply) => boolean
  timeUp: () => void
}>

export type PartsCall = Readonly<{
  leg: CallLeg
  context: CompanyContext
  /** Null: this call is not recorded. */
  recorder: CallRecorder | null
  firstTurn: number
  talk: ReplySource['talk']
}>

/** Puts the parts of one call together; everything they start ends with `scope`. */
export function conversationParts(deps: ConversationDeps, { leg, context, recorder, firstTurn, talk }: PartsCall, scope: Scope, listener: PartsListener): ConversationParts {
  const { clock } = deps
  const { callSid } = leg.start
  const { company, agent } = context
  const words = new CallerWords(clock, scope, () => ear.heard)
  const effects = new CallEffects(deps.effects ?? (() => NO_EFFECTS), company.id, callSid)
  const replies = new ReplyMaker(
    deps,
    { leg, context, voice: deps.voice(context, callSid), lines: deps.lines(context), effects, recorder, firstTurn, talk },
    {
      onSent: (mulaw, heardAtMs) => {
        recorder?.agent(mulaw, heardAtMs)
        ear.agentSent(mulaw, heardAtMs)
      },
      onAudible: listener.audible,
    },
  )
  const ending = new CallEnding(clock, scope, {
    onLimit: (limit) => deps.onLimit?.(company.id, callSid, limit),
    onAction: (action) => deps.onAction(company.id, callSid, action),
    hangUp: () => leg.hangUp(),
    onTimeUp: listener.timeUp,
  })
  const evidence = deps.onEvidence
  const ear: CallerEar = new CallerEar(
    {
      clock,
      leg,
      voiceActivity: deps.voiceActivity,
      transcriber: deps.transcriber,
      detector: deps.createTurnDetector(agent.speech.preset),
      interruption: deps.createInterruptionDetector(),
      echo: deps.createEchoGuard(),
      correct: (text) => deps.correct(context, text),
    },
    { companyId: company.id, callId: callSid, language: agent.personality.language, vocabulary: company.vocabulary },
    {
      turn: listener.turn,
      interruption: listener.interruption,
      words: (heard) => words.onWords(heard),
      lost: (utterance) => words.onLost(utterance),
      ...(recorder === null ? {} : { overheard: (text: string, isPrivate: boolean, fromMs: number) => recorder.words(text, isPrivate, fromMs) }),
    },
    scope,
    evidence === undefined ? null : (item) => evidence(company.id, callSid, item),
  )
  return { ear, words, replies, speculations: new Speculations(clock, scope, replies, deps.budget.stallAfterMs), ending }
}
