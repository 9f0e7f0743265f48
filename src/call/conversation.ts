import type { VoiceActivityEngine } from '../audio/voice-activity.ts'
import { NO_EFFECTS, type Effects, type EffectsForTurn } from '../booking/effect.ts'
import { later, type Clock, type Instant } from '../core/clock.ts'
import { OPEN_EXPECTATION, digitsWanted, type Expectation } from '../core/expectation.ts'
import { StageRecorder, type LatencyBudget } from '../core/latency-budget.ts'
import type { Reading } from '../core/reading.ts'
import { OneShot } from '../core/one-shot.ts'
import { Scope } from '../core/scope.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import type { CompanyContext } from '../response/company-context.ts'
import { INITIAL_DIALOGUE, type DialogueState } from '../response/dialogue.ts'
import type { CallAction, EarlyStart, LearningRecord, ReplyPart, Responder, TurnInput } from '../response/responder.ts'
import type { CompanyVoice } from '../synthesis/synthesizer.ts'
import type { Transcriber } from '../transcription/transcriber.ts'
import type { InterruptionDecision, InterruptionDetector } from '../turn-taking/interruption.ts'
import type { TurnDecision, TurnDetector, TurnPreset } from '../turn-taking/turn-detector.ts'
import type { CallLeg, LegEnd } from './call-leg.ts'
import { CallEffects } from './call-effects.ts'
import type { CallRecorder } from './call-recorder.ts'
import type { TurnRecord } from './call-record.ts'
import { CallerEar, type EarEvidence, type EchoGuard, type Heard } from './caller-ear.ts'
import { keyReading } from '../forms/key-reading.ts'
import { KeyEntry } from './key-entry.ts'
import type { WordsHeard } from './playout-position.ts'
import { redact } from './redaction.ts'
import { noticesBefore } from './recording-notice.ts'
import { Reply, type ReplyEnd } from './reply.ts'
import { TurnLog } from './turn-log.ts'

/** Words that come this close to the end of what the agent says are an answer to it, not talk over it. */
const ANSWER_OVERLAP_MS = 1500
/** How long a committed turn waits for the recogniser's words before it is answered as not understood. */
const TRANSCRIPT_PATIENCE_MS = 3000
/** What an answer gets at least when its words came late, ms: the knowledge search and a sentence. */
const MIN_ANSWER_MS = 250
/** Silence prompts wait this long after the caller asked us to hold. */
const HOLD_SILENCE_MS = 60_000
/** A goodbye that has not come to its end by then is not waited for. */
const GOODBYE_MS = 15_000
/** After the last words nobody may hang the line up forever on a lost mark. */
const HANG_UP_GRACE_MS = 300

/** The turn detector's reasons for "nothing was said to us": what was recorded of it must not begin the next utterance. */
const NO_TURN_RULES = ['blip', 'noise', 'acknowledgement', 'wordless-over-agent']

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
  lines: (context: CompanyContext) => Readonly<{ stall: readonly SpeakableText[]; apology: SpeakableText }>
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

export type ConversationEnd = Readonly<{ legEnd: LegEnd; action: CallAction | null; turns: number }>

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

/** Null: this call is not recorded. */
export type Recorder = CallRecorder | null

type PendingInput = TurnInput | Promise<TurnInput>
type Commit = Extract<TurnDecision, { kind: 'commit' }>
type Words = Readonly<{ text: string; reading: Reading | null }>
type Speculation = Words & { readonly reply: Reply; readonly scope: Scope; readonly stages: StageRecorder; readonly commit: () => void; readonly startedAt: Instant }
/** Words that are still being recognised; settles once, with nothing when they are not coming. */
type AwaitedWords = { readonly utterance: number; readonly lastVoicedMs: number; readonly settle: (words: Words) => void; readonly scope: Scope }
type ActiveTurn = { readonly log: TurnLog; readonly reply: Reply; readonly scope: Scope }
const NO_WORDS: Words = { text: '', reading: null }

/** One call, from the first frame to the last. States in words: it listens, it prepares, it speaks, it is held. */
export class Conversation {
  readonly #deps: ConversationDeps
  readonly #leg: CallLeg
  readonly #context: CompanyContext
  readonly #scope: Scope
  readonly #ear: CallerEar
  readonly #history: Exchange[]
  readonly #returning: boolean
  /** The call's picture of its company does not change, so neither do these. */
  readonly #voice: CompanyVoice
  readonly #lines: ReturnType<ConversationDeps['lines']>
  readonly #keys: KeyEntry
  readonly #effects: CallEffects
  readonly #quiet: OneShot
  readonly #ending: OneShot
  readonly #recorder: Recorder
  readonly #firstTurn: number
  #dialogue: DialogueState
  #expectation: Expectation = OPEN_EXPECTATION
  #turnCount: number
  #generation = 0
  #speculation: Speculation | null = null
  #speculationsStarted = 0
  #speculationsWasted = 0
  #active: ActiveTurn | null = null
  /** A turn that was committed before its words were known. */
  #awaitingWords: AwaitedWords | null = null
  /** A commit that came while the agent was finishing its sentence. */
  #afterReply: Commit | null = null
  /** What was answered before we knew that the caller had not finished. */
  #mergePrefix = ''
  #lostWords = false
  #silencePrompts = 0
  /** Where the caller's latest stretch of sound ended, on the media clock. */
  #lastPausedMs = 0
  #agentSilentAt: Instant
  #finalAction: CallAction | null = null
  /** 'due': the agent finishes what it is saying first. */
  #limit: 'none' | 'due' | 'said' = 'none'

  constructor(deps: ConversationDeps, leg: CallLeg, context: CompanyContext, parent: Scope, past: CallPast, recorder: Recorder = null) {
    this.#deps = deps
    this.#recorder = recorder
    this.#firstTurn = past.nextTurn
    this.#leg = leg
    this.#context = context
    this.#scope = new Scope(parent)
    this.#history = [...past.exchanges]
    this.#returning = past.returning
    this.#dialogue = past.dialogue ?? INITIAL_DIALOGUE
    this.#effects = new CallEffects(deps.effects ?? (() => NO_EFFECTS), context.company.id, leg.start.callSid)
    this.#voice = deps.voice(context, leg.start.callSid)
    this.#lines = deps.lines(context)
    this.#keys = new KeyEntry(deps.clock, this.#scope, (digits) => this.#onKeys(digits))
    this.#quiet = new OneShot(deps.clock, this.#scope)
    this.#ending = new OneShot(deps.clock, this.#scope)
    this.#turnCount = past.nextTurn
    this.#agentSilentAt = deps.clock.now()
    const evidence = deps.onEvidence
    this.#ear = new CallerEar(
      {
        clock: deps.clock,
        leg,
        voiceActivity: deps.voiceActivity,
        transcriber: deps.transcriber,
        detector: deps.createTurnDetector(context.agent.speech.preset),
        interruption: deps.createInterruptionDetector(),
        echo: deps.createEchoGuard(),
        correct: (text) => deps.correct(context, text),
      },
      {
        companyId: context.company.id,
        callId: leg.start.callSid,
        language: context.agent.personality.language,
        vocabulary: context.company.vocabulary,
      },
      {
        turn: (decision) => this.#onTurnDecision(decision),
        interruption: (decision) => this.#onInterruption(decision),
        words: (heard) => this.#onWords(heard),
        lost: (utterance) => this.#onLost(utterance),
        ...(recorder === null ? {} : { overheard: (text: string, isPrivate: boolean, fromMs: number) => recorder.words(text, isPrivate, fromMs) }),
      },
      this.#scope,
      evidence === undefined ? null : (item) => evidence(context.company.id, leg.start.callSid, item),
    )
  }

  /** Runs until the leg ends. Everything it started is over when it resolves. */
  async run(): Promise<ConversationEnd> {
    try {
      this.#startTurn({ kind: 'answered', resumed: this.#leg.start.resumed, returning: this.#returning }, null)
      this.#ending.start(this.#context.company.limits.callMinutes * 60_000, () => this.#reachLimit('minutes'))
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
      this.#abandonSpeculation()
      if (this.#active !== null) this.#close(this.#active, [])
      this.#scope.end('the call is over')
      await this.#ear.close()
    }
    return { legEnd: await this.#leg.ended, action: this.#finalAction, turns: this.#turnCount }
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
        this.#abandonSpeculation()
        this.#mergeUnheardReply()
        if (NO_TURN_RULES.some((rule) => decision.rule.startsWith(rule))) this.#dropUtterance(this.#lastPausedMs)
        if (this.#active === null && !this.#ear.speaking) this.#armQuiet()
        return
      case 'cut-in':
        this.#mergePrefix = this.#active?.log.heard ?? ''
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
    const heard = this.#ear.heard
    const text = commit.text !== '' ? commit.text : heard.text
    const wordsAreIn = heard.final || heard.audioEndMs >= commit.lastVoicedMs - 200
    if (text === '' && this.#lostWords) this.#startTurn({ kind: 'inaudible' }, commit)
    else if (wordsAreIn) this.#startTurn(this.#inputOf({ text, reading: heard.text === text ? heard.reading : null }), commit)
    else this.#startTurn(this.#awaitWords(commit), commit)
  }

  #inputOf(words: Words): TurnInput {
    this.#lostWords = false
    return this.#inputFor(words)
  }

  #inputFor({ text, reading }: Words): TurnInput {
    const whole = this.#withPrefix(text)
    if (whole === '') return { kind: 'inaudible' }
    // A reading is of this utterance alone: with what was said before it, the words have to be read anew.
    return reading === null || whole !== text ? { kind: 'speech', text: whole } : { kind: 'speech', text: whole, reading }
  }

  #withPrefix(text: string): string {
    return [this.#mergePrefix, text].filter((part) => part !== '').join(' ')
  }

  #dropUtterance(lastVoicedMs: number): void {
    this.#mergePrefix = ''
    this.#ear.dropUtterance(lastVoicedMs)
  }

  /** The turn is over and its words are late: it is answered when they come, bridged until then, and asked for again if they never do. */
  async #awaitWords(commit: Commit): Promise<TurnInput> {
    this.#awaitingWords?.settle(NO_WORDS)
    const scope = new Scope(this.#scope)
    const { promise, resolve } = Promise.withResolvers<Words>()
    const awaited: AwaitedWords = { utterance: this.#ear.heard.utterance, lastVoicedMs: commit.lastVoicedMs, settle: resolve, scope }
    this.#awaitingWords = awaited
    void this.#deps.clock.sleep(TRANSCRIPT_PATIENCE_MS, scope.signal).catch(() => undefined).then(() => resolve(this.#ear.heard))
    const words = await promise
    scope.end('settled')
    if (this.#awaitingWords === awaited) this.#awaitingWords = null
    return this.#inputOf(words)
  }

  #onWords(heard: Heard): void {
    const awaited = this.#awaitingWords
    if (awaited === null || heard.utterance !== awaited.utterance) return
    if (heard.final || heard.audioEndMs >= awaited.lastVoicedMs - 200) awaited.settle(heard)
  }

  #onLost(utterance: number): void {
    if (this.#awaitingWords?.utterance === utterance) this.#awaitingWords.settle(NO_WORDS)
    else if (utterance === this.#ear.heard.utterance) this.#lostWords = true
  }

  /** The caller went on before the reply could be heard: nothing was said, so nothing is lost. */
  #mergeUnheardReply(): void {
    const active = this.#active
    if (active === null || active.reply.audibleAt !== null) return
    if (active.log.input.kind === 'answered' || active.log.input.kind === 'dtmf' || active.log.input.kind === 'limit') return
    this.#awaitingWords?.settle(NO_WORDS)
    active.scope.end('the caller went on')
    this.#active = null
    this.#speculationsWasted += 1
    this.#turnCount -= 1
  }

  #speculate(text: string, score: number): void {
    if (this.#active !== null || this.#deps.earlyReplies === false) return
    const input = this.#inputFor({ text, reading: this.#ear.heard.text === text ? this.#ear.heard.reading : null })
    if (input.kind !== 'speech') return
    if (this.#speculation !== null) {
      if (sameInput(this.#speculation, input)) return
      this.#abandonSpeculation()
    }
    const scope = new Scope(this.#scope)
    const stages = new StageRecorder(this.#deps.clock)
    const dueBy = later(this.#deps.clock.now(), this.#deps.budget.stallAfterMs)
    const { promise: committed, resolve: commit } = Promise.withResolvers<void>()
    const reply = this.#prepare(input, scope, stages, dueBy, this.#turnCount, () => undefined, { score, committed })
    this.#speculationsStarted += 1
    this.#speculation = { text: input.text, reading: input.reading ?? null, reply, scope, stages, commit, startedAt: this.#deps.clock.now() }
  }

  #abandonSpeculation(): void {
    if (this.#speculation === null) return
    this.#speculation.scope.end('the words changed')
    this.#speculation = null
    this.#speculationsWasted += 1
  }

  #prepare(input: PendingInput, scope: Scope, stages: StageRecorder, firstPartBy: Instant, turn: number, onInput: (input: TurnInput) => void, early: EarlyStart | null = null): Reply {
    const deps = this.#deps
    const { voice } = this.#context.agent
    const generation = ++this.#generation
    const { effects, commit } = this.#effects.forReply(turn)
    const reply = new Reply(
      generation,
      {
        clock: deps.clock,
        leg: this.#leg,
        voice: this.#voice,
        voiceSettings: { id: voice.id, speed: voice.speed },
        dueBy: firstPartBy,
        wordsHeard: deps.wordsHeard,
        stallLines: this.#lines.stall,
        apology: this.#lines.apology,
        onSent: (mulaw, heardAtMs) => {
          this.#recorder?.agent(mulaw, heardAtMs)
          this.#ear.agentSent(mulaw, heardAtMs)
        },
        onAudible: () => {
          // From the first sound on nobody goes on as if nothing had been said: what was decided may be done.
          if (this.#active?.reply === reply) commit()
          this.#onAudible(reply)
        },
        onHeard: (source) => {
          if (source === 'notice') this.#recorder?.noticeHeard(this.#leg.mediaNowMs())
        },
      },
      scope,
      stages,
    )
    void reply.prepare(this.#respond(input, effects, scope, stages, firstPartBy, turn, onInput, early))
    return reply
  }

  async *#respond(
    pending: PendingInput,
    effects: Effects,
    scope: Scope,
    stages: StageRecorder,
    firstPartBy: Instant,
    turn: number,
    onInput: (input: TurnInput) => void,
    early: EarlyStart | null,
  ): AsyncGenerator<ReplyPart, void, undefined> {
    const finish = pending instanceof Promise ? stages.start('transcript') : () => undefined
    const input = await pending
    finish()
    onInput(input)
    if (scope.ended) return
    const now = this.#deps.clock.now()
    const notices = noticesBefore(this.#recorder, input, turn - this.#firstTurn)
    yield* notices.parts
    if (notices.isWhole) return
    yield* this.#deps.responder.respond(
      {
        companyId: this.#context.company.id,
        callId: this.#leg.start.callSid,
        turn,
        input,
        context: this.#context,
        dialogue: this.#dialogue,
        history: [...this.#history],
        from: this.#leg.start.from,
        wallTime: this.#deps.clock.wallTime(),
        clock: this.#deps.clock,
        // Words that came late leave the answer the time that an answer needs.
        firstPartBy: latest(firstPartBy, later(now, MIN_ANSWER_MS)),
        stages,
        effects,
        early,
      },
      scope.signal,
    )
  }

  /** From here on the turn is the agent's, and it will be answered. */
  #startTurn(input: PendingInput, commit: Commit | null): void {
    if (this.#scope.ended || this.#finalAction !== null) return
    this.#quiet.cancel()
    this.#interruptActive('superseded')
    const now = this.#deps.clock.now()
    const lastVoicedAt = commit === null ? now : latest(this.#leg.instantOf(commit.lastVoicedMs), this.#agentSilentAt)
    const { budget } = this.#deps
    const bridgeAt = later(lastVoicedAt, (commit?.patienceMs ?? 0) + budget.stallAfterMs)
    const transcriptMs = budget.stagesMs.transcript
    const stallAt = input instanceof Promise && transcriptMs !== undefined ? earliest(bridgeAt, later(now, transcriptMs)) : bridgeAt
    const known = input instanceof Promise ? null : input
    if (this.#limit === 'said') {
      this.#act({ kind: 'hang-up', reason: 'limit' })
      return
    }
    if (known?.kind === 'limit') this.#limit = 'said'
    else if (this.#limit === 'due' || this.#turnCount >= this.#context.company.limits.turnsPerCall) {
      this.#reachLimit('turns')
      return
    }
    const turn = this.#turnCount++
    const speculation = this.#speculation
    const used = speculation !== null && known?.kind === 'speech' && sameInput(speculation, known)
    if (used) speculation.commit()
    else this.#abandonSpeculation()
    this.#speculation = null
    const scope = used ? speculation.scope : new Scope(this.#scope)
    const stages = used ? speculation.stages : new StageRecorder(this.#deps.clock)
    const reply = used ? speculation.reply : this.#prepare(input, scope, stages, stallAt, turn, (settled) => log.settle(settled))
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
      speculation: { started: this.#speculationsStarted, wasted: this.#speculationsWasted, used, ...(used ? { aheadMs: now - speculation.startedAt } : {}) },
    })
    this.#speculationsStarted = 0
    this.#speculationsWasted = 0
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

  /** The first sound is on the wire: what the caller said is now answered, and what was decided is now true. */
  #onAudible(reply: Reply): void {
    const active = this.#active
    if (active === null || active.reply !== reply) return
    this.#mergePrefix = ''
    this.#ear.agentAudible(reply.generation)
  }

  #onReplyEnd(active: ActiveTurn, end: ReplyEnd): void {
    if (this.#active !== active || end.kind === 'interrupted') return
    this.#active = null
    this.#mergePrefix = ''
    this.#close(active, end.actions)
    this.#fallSilent()
    this.#expectation = active.reply.expectation ?? OPEN_EXPECTATION
    this.#ear.expect(this.#expectation)
    const action = end.actions.at(-1) ?? (this.#limit === 'said' ? ({ kind: 'hang-up', reason: 'limit' } as const) : undefined)
    if (action !== undefined) {
      this.#act(action)
      return
    }
    if (this.#limit === 'due') {
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
    const { unplayedMs } = this.#leg.clear(this.#generation + 1)
    this.#recorder?.cut(this.#leg.mediaNowMs())
    active.log.interruption = { atMs, heardMs: Math.max(0, active.reply.sentMs - unplayedMs), rule }
    this.#close(active, [], unplayedMs)
    this.#fallSilent()
    // Only a stall line was heard: what the caller had asked is still open and belongs to what comes now.
    if (!active.reply.answered) this.#mergePrefix = active.log.heard
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

  /** Goodbye, in words, after what the agent is saying; and whatever becomes of the goodbye, the end. */
  #reachLimit(limit: CallLimit): void {
    if (this.#scope.ended || this.#finalAction !== null || this.#limit === 'said') return
    if (this.#limit === 'none') this.#deps.onLimit?.(this.#context.company.id, this.callSid, limit)
    this.#limit = 'due'
    this.#ending.start(GOODBYE_MS, () => this.#act({ kind: 'hang-up', reason: 'limit' }))
    if (this.#active === null || this.#active.reply.audibleAt === null) this.#startTurn({ kind: 'limit' }, null)
  }

  #act(action: CallAction): void {
    this.#finalAction = action
    this.#deps.onAction(this.#context.company.id, this.callSid, action)
    this.#ending.start(HANG_UP_GRACE_MS, () => this.#leg.hangUp())
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
    const wanted = digitsWanted(this.#expectation)?.at(-1) ?? 1
    if (speaking) this.#yield(active, 'key pressed', this.#leg.mediaNowMs())
    this.#keys.press(digit, wanted)
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

function earliest(a: Instant, b: Instant): Instant {
  return a < b ? a : b
}

function latest(a: Instant, b: Instant): Instant {
  return a > b ? a : b
}

/** What was prepared for words is for these words, and for what they mean in the light of what was asked. */
function sameInput(a: Words, b: Readonly<{ text: string; reading?: Reading | null }>): boolean {
  return sameWords(a.text, b.text) && JSON.stringify(a.reading?.slots ?? null) === JSON.stringify(b.reading?.slots ?? null)
}

/** Punctuation and case come and go between two decodes of the same words. */
function sameWords(a: string, b: string): boolean {
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z0-9' ]+/g, ' ').replace(/\s+/g, ' ').trim()
  return plain(a) === plain(b)
}
