import { earliest, later, latest, type Instant } from '../core/clock.ts'
import { OPEN_EXPECTATION, keysWanted, type Expectation } from '../core/expectation.ts'
import { StageRecorder } from '../core/latency-budget.ts'
import { OneShot } from '../core/one-shot.ts'
import { Scope } from '../core/scope.ts'
import { keyReading } from '../forms/key-reading.ts'
import type { CompanyContext } from '../response/company-context.ts'
import { INITIAL_DIALOGUE, type DialogueState } from '../response/dialogue.ts'
import type { CallAction } from '../response/responder.ts'
import type { InterruptionDecision } from '../turn-taking/interruption.ts'
import type { TurnDecision } from '../turn-taking/turn-detector.ts'
import type { CallEnding } from './call-ending.ts'
import type { CallLeg, LegEnd } from './call-leg.ts'
import type { CallRecorder } from './call-recorder.ts'
import type { CallerEar } from './caller-ear.ts'
import type { CallerWords, PendingInput } from './caller-words.ts'
import type { CallLimit, CallPast, ConversationDeps, Exchange } from './conversation-deps.ts'
import { conversationParts } from './conversation-parts.ts'
import { KeyEntry } from './key-entry.ts'
import { redact } from './redaction.ts'
import type { ReplyMaker } from './reply-maker.ts'
import type { Reply, ReplyEnd } from './reply.ts'
import type { Speculations } from './speculation.ts'
import { TurnLog } from './turn-log.ts'

/** Words that come this close to the end of what the agent says are an answer to it, not talk over it. */
const ANSWER_OVERLAP_MS = 1500
/** Silence prompts wait this long after the caller asked us to hold. */
const HOLD_SILENCE_MS = 60_000

/** The turn detector's reasons for "nothing was said to us": what was recorded of it must not begin the next utterance. */
const NO_TURN_RULES = ['blip', 'noise', 'acknowledgement', 'wordless-over-agent']

export type ConversationEnd = Readonly<{ legEnd: LegEnd; action: CallAction | null; turns: number }>

type Commit = Extract<TurnDecision, { kind: 'commit' }>
type ActiveTurn = { readonly log: TurnLog; readonly reply: Reply; readonly scope: Scope }

/** One call, from the first frame to the last. States in words: it listens, it prepares, it speaks, it is held. */
export class Conversation {
  readonly #deps: ConversationDeps
  readonly #leg: CallLeg
  readonly #context: CompanyContext
  readonly #scope: Scope
  readonly #ear: CallerEar
  readonly #words: CallerWords
  readonly #replies: ReplyMaker
  readonly #speculations: Speculations
  readonly #ending: CallEnding
  readonly #history: Exchange[]
  readonly #returning: boolean
  readonly #keys: KeyEntry
  readonly #quiet: OneShot
  /** Null: this call is not recorded. */
  readonly #recorder: CallRecorder | null
  #dialogue: DialogueState
  #expectation: Expectation = OPEN_EXPECTATION
  #turnCount: number
  #active: ActiveTurn | null = null
  /** A commit that came while the agent was finishing its sentence. */
  #afterReply: Commit | null = null
  #silencePrompts = 0
  /** Where the caller's latest stretch of sound ended, on the media clock. */
  #lastPausedMs = 0
  #agentSilentAt: Instant

  constructor(deps: ConversationDeps, leg: CallLeg, context: CompanyContext, parent: Scope, past: CallPast, recorder: CallRecorder | null = null) {
    this.#deps = deps
    this.#recorder = recorder
    this.#leg = leg
    this.#context = context
    this.#scope = new Scope(parent)
    this.#history = [...past.exchanges]
    this.#returning = past.returning
    this.#dialogue = past.dialogue ?? INITIAL_DIALOGUE
    this.#keys = new KeyEntry(deps.clock, this.#scope, (digits) => this.#onKeys(digits))
    this.#quiet = new OneShot(deps.clock, this.#scope)
    this.#turnCount = past.nextTurn
    this.#agentSilentAt = deps.clock.now()
    const talk = () => ({ dialogue: this.#dialogue, history: this.#history })
    const parts = conversationParts(deps, { leg, context, recorder, firstTurn: past.nextTurn, talk }, this.#scope, {
      turn: (decision) => this.#onTurnDecision(decision),
      interruption: (decision) => this.#onInterruption(decision),
      audible: (reply) => this.#onAudible(reply),
      timeUp: () => this.#reachLimit('minutes'),
    })
    this.#ear = parts.ear
    this.#words = parts.words
    this.#replies = parts.replies
    this.#speculations = parts.speculations
    this.#ending = parts.ending
  }

  /** Runs until the leg ends. Everything it started is over when it resolves. */
  async run(): Promise<ConversationEnd> {
    try {
      this.#startTurn({ kind: 'answered', resumed: this.#leg.start.resumed, returning: this.#returning }, null)
      this.#ending.allowMinutes(this.#context.company.limits.callMinutes)
      for await (const event of this.#leg.events) {
        if (this.#scope.ended) break
        switch (event.kind) {
          case 'audio':
            this.#recorder?.caller(event.frame)
            this.#ear.frame(event.frame)
            break
          case 'dtmf':
            this.#recorder?.key(this.#leg.mediaNowMs())
            this.#onDigit(event.digit)
            break
          case 'mark':
            this.#active?.reply.onMark(event.name, event.cleared, event.assumed)
            break
        }
      }
    } finally {
      this.#speculations.abandon()
      if (this.#active !== null) this.#close(this.#active, [])
      this.#scope.end('the call is over')
      await this.#ear.close()
    }
    return { legEnd: await this.#leg.ended, action: this.#ending.action, turns: this.#turnCount }
  }

  /** Where the talk stands: after the last turn that was booked. */
  get dialogue(): DialogueState {
    return this.#dialogue
  }

  get callSid(): string {
    return this.#leg.start.callSid
  }

  #onTurnDecision(decision: TurnDecision): void {
    switch (decision.kind) {
      case 'speech-started':
      case 'speech-resumed':
        this.#quiet.cancel()
        this.#mergeUnheardReply()
        return
      case 'speech-paused':
        this.#lastPausedMs = decision.lastVoicedMs
        // If it was only noise no commit follows, and somebody has to ask again.
        if (this.#active === null) this.#armQuiet()
        return
      case 'speculate':
        this.#speculate(decision.text, decision.score)
        return
      case 'retract':
        this.#speculations.abandon()
        this.#mergeUnheardReply()
        if (NO_TURN_RULES.some((rule) => decision.rule.startsWith(rule))) this.#dropUtterance(this.#lastPausedMs)
        if (this.#active === null && !this.#ear.speaking) this.#armQuiet()
        return
      case 'cut-in':
        this.#words.keepOpen(this.#active?.log.heard ?? '')
        return
      case 'commit':
        this.#onCommit(decision)
        return
    }
  }

  #onCommit(commit: Commit): void {
    const active = this.#active
    if (active !== null && active.reply.audibleAt !== null) {
      // Talk over the agent that did not take the turn. Words are answered when the agent has finished; sounds only close to
      // the end of what it says, where they are the answer to it.
      const answers = active.reply.unsentMs + this.#leg.bufferedMs <= ANSWER_OVERLAP_MS
      if (commit.text !== '' || answers || !this.#context.agent.speech.bargeIn) this.#afterReply = commit
      else this.#dropUtterance(commit.lastVoicedMs)
      return
    }
    this.#startTurn(this.#words.ofCommit(commit), commit)
  }

  #dropUtterance(lastVoicedMs: number): void {
    this.#words.answered()
    this.#ear.dropUtterance(lastVoicedMs)
  }

  /** The caller went on before the reply could be heard: nothing was said, so nothing is lost. */
  #mergeUnheardReply(): void {
    const active = this.#active
    if (active === null || active.reply.audibleAt !== null) return
    if (active.log.input.kind === 'answered' || active.log.input.kind === 'dtmf' || active.log.input.kind === 'limit') return
    this.#words.giveUpWaiting()
    active.scope.end('the caller went on')
    this.#active = null
    this.#speculations.countVoided()
    this.#turnCount -= 1
  }

  #speculate(text: string, score: number): void {
    if (this.#active !== null || this.#deps.earlyReplies === false) return
    const input = this.#words.ofPause(text)
    if (input !== null) this.#speculations.begin(input, this.#turnCount, score)
  }

  /** From here on the turn is the agent's, and it will be answered. */
  #startTurn(input: PendingInput, commit: Commit | null): void {
    if (this.#scope.ended || this.#ending.action !== null) return
    this.#quiet.cancel()
    this.#interruptActive('superseded')
    const now = this.#deps.clock.now()
    const lastVoicedAt = commit === null ? now : latest(this.#leg.instantOf(commit.lastVoicedMs), this.#agentSilentAt)
    const { budget } = this.#deps
    const bridgeAt = later(lastVoicedAt, (commit?.patienceMs ?? 0) + budget.stallAfterMs)
    const transcriptMs = budget.stagesMs.transcript
    const stallAt = input instanceof Promise && transcriptMs !== undefined ? earliest(bridgeAt, later(now, transcriptMs)) : bridgeAt
    const known = input instanceof Promise ? null : input
    if (this.#ending.limit === 'said') {
      this.#ending.act({ kind: 'hang-up', reason: 'limit' })
      return
    }
    if (known?.kind === 'limit') this.#ending.goodbyeBegins()
    else if (this.#ending.limit === 'due' || this.#turnCount >= this.#context.company.limits.turnsPerCall) {
      this.#reachLimit('turns')
      return
    }
    const turn = this.#turnCount++
    const speculation = this.#speculations.take(known)
    const scope = speculation?.scope ?? new Scope(this.#scope)
    const stages = speculation?.stages ?? new StageRecorder(this.#deps.clock)
    const reply = speculation?.reply ?? this.#replies.prepare({ input, turn, scope, stages, dueBy: stallAt, onInput: (settled) => log.settle(settled), early: null })
    const log: TurnLog = new TurnLog({
      turn,
      input: known ?? { kind: 'inaudible' },
      expectation: this.#expectation,
      startedAt: this.#deps.clock.wallTime().toISOString(),
      stages,
      lastVoicedAt,
      // A turn whose words were late was committed when the detector said so; the wait for words is a stage of its own.
      committedAt: commit === null ? now : latest(lastVoicedAt, this.#leg.instantOf(commit.atMs)),
      commit,
      speculation: this.#speculations.tally(speculation),
    })
    if (known?.kind !== 'silence') this.#silencePrompts = 0
    const active: ActiveTurn = { log, reply, scope }
    this.#active = active
    void reply.speak(stallAt).then(
      (end) => this.#onReplyEnd(active, end),
      (error: unknown) => {
        // A defect in speaking must not leave the caller with a silent line.
        this.#deps.onError(this.#context.company.id, this.callSid, error)
        this.#onReplyEnd(active, { kind: 'finished', actions: [] })
      },
    )
  }

  /** What the caller said is now answered, and from here on nobody goes on as if nothing had been said. False for a reply that is not being spoken. */
  #onAudible(reply: Reply): boolean {
    if (this.#active?.reply !== reply) return false
    this.#words.answered()
    this.#ear.agentAudible(reply.generation)
    return true
  }

  #onReplyEnd(active: ActiveTurn, end: ReplyEnd): void {
    if (this.#active !== active || end.kind === 'interrupted') return
    this.#active = null
    this.#words.answered()
    this.#close(active, end.actions)
    this.#fallSilent()
    this.#expectation = active.reply.expectation ?? OPEN_EXPECTATION
    this.#ear.expect(this.#expectation)
    const action = end.actions.at(-1) ?? (this.#ending.limit === 'said' ? ({ kind: 'hang-up', reason: 'limit' } as const) : undefined)
    if (action !== undefined) {
      this.#ending.act(action)
      return
    }
    if (this.#ending.limit === 'due') {
      this.#startTurn({ kind: 'limit' }, null)
      return
    }
    void this.#checkSpending()
    const waiting = this.#afterReply
    this.#afterReply = null
    if (waiting !== null) this.#onCommit(waiting)
    else this.#armQuiet()
  }

  /** Books a turn: record, history, dialogue, learning. Once. */
  #close(active: ActiveTurn, actions: readonly CallAction[], unplayedMs = this.#leg.bufferedMs): void {
    const { reply, log } = active
    const delivered = reply.delivered(unplayedMs)
    if (log.heard !== '') this.#history.push({ who: 'caller', text: log.heard })
    if (delivered !== '') this.#history.push({ who: 'agent', text: delivered })
    if (reply.dialogue !== null) this.#dialogue = reply.dialogue
    this.#deps.onTurn(this.#context.company.id, this.callSid, log.record(reply, delivered, actions, this.#deps.budget, this.#dialogue))
    for (const learning of reply.learning) this.#deps.onLearning(this.#context.company.id, this.callSid, log.turn, learning)
    active.scope.end('the turn is over')
  }

  #onInterruption(decision: InterruptionDecision): void {
    const active = this.#active
    if (active === null || !this.#context.agent.speech.bargeIn) return
    switch (decision.kind) {
      case 'hold':
        active.reply.hold()
        return
      case 'resume':
        active.reply.resume()
        return
      case 'yield':
        this.#yield(active, decision.rule, decision.atMs)
        return
    }
  }

  /** The turn is the caller's. Nothing of this reply is sent from here on. */
  #yield(active: ActiveTurn, rule: string, atMs: number): void {
    this.#active = null
    this.#afterReply = null
    const { unplayedMs } = this.#leg.clear(this.#replies.nextGeneration)
    this.#recorder?.cut(this.#leg.mediaNowMs())
    active.log.interruption = { atMs, heardMs: Math.max(0, active.reply.sentMs - unplayedMs), rule }
    this.#close(active, [], unplayedMs)
    this.#fallSilent()
    // Only a stall line was heard: what the caller had asked is still open and belongs to what comes now.
    if (!active.reply.answered) this.#words.keepOpen(active.log.heard)
    // A question that was cut short may be what is being answered: a form's grammar takes anything, a bare yes or no would not.
    const asked = active.reply.expectation
    this.#expectation = asked?.kind === 'form' ? asked : OPEN_EXPECTATION
    this.#ear.expect(this.#expectation)
    if (!this.#ear.speaking) this.#armQuiet()
  }

  #fallSilent(): void {
    this.#agentSilentAt = this.#deps.clock.now()
    this.#ear.agentSilent()
  }

  #interruptActive(rule: string): void {
    if (this.#active !== null) this.#yield(this.#active, rule, this.#leg.mediaNowMs())
  }

  async #checkSpending(): Promise<void> {
    try {
      if ((await this.#deps.isOverspent?.(this.#context.company.id, this.#scope.signal)) === true) this.#reachLimit('spending')
    } catch (error) {
      if (!this.#scope.ended) this.#deps.onError(this.#context.company.id, this.callSid, error)
    }
  }

  /** After what the agent is saying. */
  #reachLimit(limit: CallLimit): void {
    if (this.#scope.ended || this.#ending.action !== null || this.#ending.limit === 'said') return
    this.#ending.goodbyeDue(limit)
    if (this.#active === null || this.#active.reply.audibleAt === null) this.#startTurn({ kind: 'limit' }, null)
  }

  #onKeys(digits: string): void {
    const reading = redact(digits).found.length > 0 ? null : keyReading(this.#expectation, digits)
    this.#startTurn(reading === null ? { kind: 'dtmf', digits } : { kind: 'dtmf', digits, reading }, null)
  }

  #onDigit(digit: string): void {
    const active = this.#active
    const speaking = active !== null && active.reply.audibleAt !== null
    if (speaking && !this.#context.agent.speech.dtmfInterrupts) return
    this.#quiet.cancel()
    if (speaking) this.#yield(active, 'key pressed', this.#leg.mediaNowMs())
    this.#keys.press(digit, keysWanted(this.#expectation))
  }

  /** Nobody speaks: after a while, ask. */
  #armQuiet(): void {
    const waitMs = this.#dialogue.onHold ? HOLD_SILENCE_MS : this.#context.agent.speech.silencePromptAfterMs
    this.#quiet.start(waitMs, () => {
      this.#silencePrompts += 1
      this.#startTurn({ kind: 'silence', count: this.#silencePrompts }, null)
    })
  }
}
