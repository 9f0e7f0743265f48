import type { Effects } from '../booking/effect.ts'
import { later, latest, type Instant } from '../core/clock.ts'
import type { StageRecorder } from '../core/latency-budget.ts'
import type { Scope } from '../core/scope.ts'
import type { CompanyContext } from '../response/company-context.ts'
import type { DialogueState } from '../response/dialogue.ts'
import type { EarlyStart, ReplyPart, TurnInput } from '../response/responder.ts'
import type { CompanyVoice } from '../synthesis/synthesizer.ts'
import type { CallEffects } from './call-effects.ts'
import type { CallLeg } from './call-leg.ts'
import type { CallRecorder } from './call-recorder.ts'
import type { PendingInput } from './caller-words.ts'
import type { ConversationDeps, Exchange, ReadyLines } from './conversation-deps.ts'
import { noticesBefore } from './recording-notice.ts'
import { Reply } from './reply.ts'

/** What an answer gets at least when its words came late, ms: the knowledge search and a sentence. */
const MIN_ANSWER_MS = 250

/** One reply as it is asked for. */
export type ReplyOrder = Readonly<{
  input: PendingInput
  turn: number
  scope: Scope
  stages: StageRecorder
  /** When the caller must hear something of it. */
  dueBy: Instant
  /** Told the words once they are known. */
  onInput: (input: TurnInput) => void
  /** Null: the turn is the agent's already. */
  early: EarlyStart | null
}>

/** What a reply is made from besides the caller's words: the call it belongs to and where its talk stands. */
export type ReplySource = Readonly<{
  leg: CallLeg
  context: CompanyContext
  /** The call's picture of its company does not change, so neither do these. */
  voice: CompanyVoice
  lines: ReadyLines
  effects: CallEffects
  /** Null: this call is not recorded. */
  recorder: CallRecorder | null
  firstTurn: number
  talk: () => Readonly<{ dialogue: DialogueState; history: readonly Exchange[] }>
}>

export type ReplyListener = Readonly<{
  /** A frame goes to the carrier, to be heard at `heardAtMs`. */
  onSent: (mulaw: Uint8Array, heardAtMs: number) => void
  /** The first sound is on the wire. True: the reply is the one the caller is meant to hear, so what was decided may be done. */
  onAudible: (reply: Reply) => boolean
}>

/** Makes the replies of one call: each has its generation, its voice and its effects, and is being prepared when it is handed out. */
export class ReplyMaker {
  readonly #deps: ConversationDeps
  readonly #source: ReplySource
  readonly #listener: ReplyListener
  #generation = 0

  constructor(deps: ConversationDeps, source: ReplySource, listener: ReplyListener) {
    this.#deps = deps
    this.#source = source
    this.#listener = listener
  }

  /** The first generation that no reply has had: what is cleared before it stays cleared. */
  get nextGeneration(): number {
    return this.#generation + 1
  }

  prepare(order: ReplyOrder): Reply {
    const { leg, voice, lines, recorder, context } = this.#source
    const { effects, commit } = this.#source.effects.forReply(order.turn)
    const reply = new Reply(
      ++this.#generation,
      {
        clock: this.#deps.clock,
        leg,
        voice,
        voiceSettings: { id: context.agent.voice.id, speed: context.agent.voice.speed },
        dueBy: order.dueBy,
        wordsHeard: this.#deps.wordsHeard,
        stallLines: lines.stall,
        apology: lines.apology,
        onSent: this.#listener.onSent,
        onAudible: () => {
          if (this.#listener.onAudible(reply)) commit()
        },
        onHeard: (source) => {
          if (source === 'notice') recorder?.noticeHeard(leg.mediaNowMs())
        },
      },
      order.scope,
      order.stages,
    )
    void reply.prepare(this.#parts(order, effects))
    return reply
  }

  async *#parts({ input: pending, turn, scope, stages, dueBy, onInput, early }: ReplyOrder, effects: Effects): AsyncGenerator<ReplyPart, void, undefined> {
    const { leg, context, recorder, firstTurn } = this.#source
    const { clock, responder } = this.#deps
    const finish = pending instanceof Promise ? stages.start('transcript') : () => undefined
    const input = await pending
    finish()
    onInput(input)
    if (scope.ended) return
    const now = clock.now()
    const notices = noticesBefore(recorder, input, turn - firstTurn)
    yield* notices.parts
    if (notices.isWhole) return
    const { dialogue, history } = this.#source.talk()
    yield* responder.respond(
      {
        companyId: context.company.id,
        callId: leg.start.callSid,
        turn,
        input,
        context,
        dialogue,
        history: [...history],
        from: leg.start.from,
        wallTime: clock.wallTime(),
        clock,
        // Words that came late leave the answer the time that an answer needs.
        firstPartBy: latest(dueBy, later(now, MIN_ANSWER_MS)),
        stages,
        effects,
        early,
      },
      scope.signal,
    )
  }
}
