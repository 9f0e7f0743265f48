import type { Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { isClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import { Scope } from '../core/scope.ts'
import type { LeadInput } from '../booking/effect.ts'
import type { CompanyContext, CompanyContextSource } from '../response/company-context.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import type { DialogueState } from '../response/dialogue.ts'
import type { LearningRecord } from '../response/responder.ts'
import type { Company } from '../tenancy/company.ts'
import type { CallHandler, CallRouting, CarrierStatusUpdate, StreamStatusUpdate } from './call-handler.ts'
import type { CallContinuation, CallLeg } from './call-leg.ts'
import type { CallOutcome, CallRecord, CallRepository, ModelSpend, SpeechSpend, TurnRecord } from './call-record.ts'
import type { CallDirectory } from './call-directory.ts'
import { CallRecorder } from './call-recorder.ts'
import { restoredDialogue } from './restored-dialogue.ts'
import { CallRegistry } from './call-registry.ts'
import { continuationOf } from './continuation-of.ts'
import type { RecordingStore } from './recording.ts'
import { recordingNotice, refusesRecording } from './recording-policy.ts'
import type { SpendMeter } from './spend.ts'
import type { CallLimit, ConversationDeps, Exchange } from './conversation-deps.ts'
import { Conversation, type ConversationEnd } from './conversation.ts'

/** A stream that does not come within this time after the webhook gives its place back. */
const ADMISSION_MS = 30_000
/** A greeting that knows the caller is worth this much delay. */
const RECOGNISE_CALLER_MS = 60
/** The carrier waits for the webhook; the first look at a company's day may be slow. */
const SPENDING_MS = 500
/** Words of a call that was cut off, carried into the new stream. */
const MAX_CARRIED_EXCHANGES = 40

/** A carrier that lost a stream opens the next one within seconds. */
const RESUMES_WITHIN_MS = 30_000
/** A person who takes over has the caller on the line, and a voicemail their voice; these have nobody. */
const LEAVES_A_LEAD: readonly CallOutcome[] = ['caller-hung-up', 'completed', 'failed']

const CARRIER_ORDER: Readonly<Record<NonNullable<CallRecord['carrierStatus']>, number>> = {
  queued: 0,
  ringing: 1,
  'in-progress': 2,
  completed: 3,
  busy: 3,
  failed: 3,
  'no-answer': 3,
  canceled: 3,
}

export interface CallLogger {
  info(facts: Readonly<Record<string, unknown>>, message: string): void
  warn(facts: Readonly<Record<string, unknown>>, message: string): void
  error(facts: Readonly<Record<string, unknown>>, message: string): void
}

export type CallObserver = Readonly<{
  callStarted: (companyId: string, callSid: string) => void
  callEnded: (companyId: string, callSid: string, outcome: CallOutcome, facts: Readonly<{ durationSeconds: number; lostFrameCount: number }>) => void
  turnFinished: (companyId: string, callSid: string, turn: TurnRecord) => void
  limitReached?: (companyId: string, callSid: string, limit: CallLimit) => void
}>

export type CallServiceDeps = Readonly<{
  clock: Clock
  logger: CallLogger
  scope: Scope
  contexts: CompanyContextSource
  findCompanyByNumber: (phoneNumberE164: string, signal: AbortSignal) => Promise<Company | null>
  calls: CallRepository
  /** Shared with the other processes that answer calls. */
  directory: CallDirectory
  /** What this process has too much of; null: it has room. */
  overload?: () => string | null
  /** Null where this server keeps no recordings, whatever a company says. */
  recordings?: Readonly<{ store: RecordingStore; speakable: (notice: string) => SpeakableText }> | null
  /** Without it no company's daily spending limit is kept. */
  spend?: Pick<SpendMeter, 'spentToday'>
  recordLearning: (companyId: string, learning: LearningRecord) => Promise<void>
  observer: CallObserver
  /** What a turn's language model cost, asked once as the turn ends; null where none was asked. */
  modelSpend?: (companyId: string, callSid: string, turn: number, answered: boolean) => ModelSpend | null
  /** What a caller leaves who is gone in the middle of something. */
  unfinished?: (context: CompanyContext, dialogue: DialogueState, from: string) => LeadInput | null
  /** What the call's speech vendors bill until now; null where none took part. */
  speechSpend?: (callSid: string) => SpeechSpend | null
  conversation: Omit<ConversationDeps, 'clock' | 'onTurn' | 'onLearning' | 'onAction' | 'onError'>
}>

/** Everything that happens to a call outside its audio: routing, records, what follows it. */
export class CallService implements CallHandler {
  readonly registry: CallRegistry
  readonly #deps: CallServiceDeps
  /** Writes of a live call that are under way, so that its end waits for them. */
  readonly #writes = new Map<string, Set<Promise<void>>>()

  constructor(deps: CallServiceDeps) {
    this.#deps = deps
    this.registry = new CallRegistry()
    deps.directory.onEnd((companyId, callSid) => this.registry.end(companyId, callSid))
  }

  async route(call: Readonly<{ callSid: string; accountSid: string; from: string; to: string }>, signal: AbortSignal): Promise<CallRouting> {
    const company = await this.#deps.findCompanyByNumber(call.to, signal)
    if (company === null) return { kind: 'unknown-number' }
    if (company.status === 'suspended') {
      const message = company.statusMessage || 'This number is not in service right now. Goodbye.'
      return { kind: 'refuse', companyId: company.id, message, forwardToE164: null }
    }
    if (company.status === 'forward' && company.forwardToE164 !== null) {
      return { kind: 'forward', companyId: company.id, phoneNumberE164: company.forwardToE164, message: company.statusMessage }
    }
    if (await this.#isOverspent(company, signal)) {
      this.#deps.logger.warn({ companyId: company.id, callSid: call.callSid, admission: 'spent' }, 'call refused')
      this.#deps.observer.limitReached?.(company.id, call.callSid, 'spending')
      return { kind: 'refuse', companyId: company.id, message: 'We cannot take any more calls today. Please call back tomorrow. Goodbye.', forwardToE164: company.forwardToE164 }
    }
    const overload = this.#deps.overload?.() ?? null
    const spent = (await this.#deps.directory.minutesOn(company.id, this.#day(), signal)) >= company.limits.minutesPerDay
    const admission = overload !== null ? overload : spent ? 'day-full' : await this.#deps.directory.admit(company.id, call.callSid, company.limits.concurrentCalls, signal)
    if (admission !== 'admitted') {
      this.#deps.logger.warn({ companyId: company.id, callSid: call.callSid, admission }, 'call refused')
      const message = 'All our lines are busy right now. Please call back in a few minutes.'
      return { kind: 'refuse', companyId: company.id, message, forwardToE164: company.forwardToE164 }
    }
    void this.#expireAdmission(company.id, call.callSid)
    // Loaded while the carrier dials back, so that the greeting does not wait for the store.
    void this.#deps.contexts.load(company.id, this.#deps.scope.signal).catch(() => undefined)
    return { kind: 'answer', companyId: company.id }
  }

  async handle(leg: CallLeg, signal: AbortSignal): Promise<void> {
    const { companyId, callSid } = leg.start
    const scope = new Scope(this.#deps.scope)
    const onAbort = (): void => scope.end(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const { promise: over, resolve: settle } = Promise.withResolvers<void>()
    const live = { companyId, callSid, startedAt: this.#deps.clock.wallTime().toISOString(), over, end: () => leg.hangUp() }
    const { directory } = this.#deps
    this.#tell(callSid, directory.clearContinuation(companyId, callSid))
    const earlier = this.registry.begin(live)
    // Not waited for: the call's voice does not depend on who else knows of it.
    this.#tell(callSid, directory.begin(companyId, callSid, live.startedAt, scope.signal))
    try {
      earlier?.end()
      await earlier?.over
      await this.#converse(leg, live.startedAt, scope)
    } catch (error) {
      if (!scope.ended) this.#deps.logger.error({ companyId, callSid, error: String(error) }, 'call failed')
      leg.hangUp()
    } finally {
      this.registry.finish(live)
      this.#tell(callSid, directory.finish(companyId, callSid))
      signal.removeEventListener('abort', onAbort)
      scope.end('the call is over')
      settle()
    }
  }

  async #converse(leg: CallLeg, startedAt: string, scope: Scope): Promise<void> {
    const { companyId, callSid } = leg.start
    const context = await this.#deps.contexts.load(companyId, scope.signal)
    const earlierTurns = leg.start.resumed ? await this.#earlierTurns(companyId, callSid, scope.signal) : []
    const past = {
      exchanges: exchangesOf(earlierTurns),
      nextTurn: (earlierTurns.at(-1)?.turn ?? -1) + 1,
      returning: context.agent.greeting.returningCaller !== '' && (await this.#hasCalledBefore(leg, scope.signal)),
      dialogue: restoredDialogue(earlierTurns),
    }
    const recorder = this.#recorderFor(leg, context.company, past.exchanges)
    const conversation = new Conversation(this.#conversationDeps(context.company), leg, context, scope, past, recorder)
    this.#deps.observer.callStarted(companyId, callSid)
    this.#write(callSid, this.#begin(leg, context.agent.id, context.agent.version, startedAt))
    let outcome: CallOutcome = 'failed'
    let turns = past.nextTurn
    const answeredAt = this.#deps.clock.now()
    try {
      const end = await conversation.run()
      outcome = outcomeOf(end)
      turns = end.turns
    } finally {
      const durationSeconds = (this.#deps.clock.now() - answeredAt) / 1000
      this.#tell(callSid, this.#deps.directory.addSeconds(companyId, this.#day(), durationSeconds))
      this.#deps.observer.callEnded(companyId, callSid, outcome, { durationSeconds, lostFrameCount: leg.lostFrameCount })
      if (recorder !== null) this.#write(callSid, recorder.close())
      const lead = this.#deps.unfinished?.(context, conversation.dialogue, leg.start.from) ?? null
      if (lead !== null && outcome === 'connection-lost') void this.#leaveUnlessResumed(companyId, callSid, turns, lead)
      else if (lead !== null && LEAVES_A_LEAD.includes(outcome)) this.#write(callSid, this.#leave(companyId, callSid, turns, lead))
      await this.#settleWrites(callSid)
      await this.#finish(leg, outcome)
    }
  }

  /** Under the number of a turn that did not come. */
  async #leave(companyId: string, callSid: string, turn: number, lead: LeadInput): Promise<void> {
    const effects = this.#deps.conversation.effects?.({ companyId, callSid, turn, committed: Promise.resolve() })
    const result = await effects?.perform({ kind: 'lead', lead }, this.#deps.scope.signal)
    if (result?.kind === 'failed') this.#deps.logger.error({ companyId, callSid, reason: result.reason }, 'unfinished form not kept')
  }

  /** A stream that broke usually comes back, and its caller then finishes what they began. */
  async #leaveUnlessResumed(companyId: string, callSid: string, turn: number, lead: LeadInput): Promise<void> {
    try {
      await this.#deps.clock.sleep(RESUMES_WITHIN_MS, this.#deps.scope.signal)
      const later = await this.#deps.calls.turns(companyId, callSid, this.#deps.scope.signal)
      if (later.some((one) => one.turn >= turn)) return
      await this.#leave(companyId, callSid, turn, lead)
    } catch (error) {
      if (!this.#deps.scope.ended) this.#deps.logger.error({ companyId, callSid, error: String(error) }, 'unfinished form not kept')
    }
  }

  async continuation(companyId: string, callSid: string, signal: AbortSignal): Promise<CallContinuation | null> {
    return this.#deps.directory.continuation(companyId, callSid, signal)
  }

  async transferResult(
    companyId: string,
    callSid: string,
    result: 'completed' | 'answered' | 'busy' | 'no-answer' | 'failed' | 'canceled',
  ): Promise<'end' | 'return-to-agent'> {
    this.#deps.logger.info({ companyId, callSid, result }, 'transfer finished')
    if (result === 'completed' || result === 'answered') return 'end'
    await this.#deps.directory.clearContinuation(companyId, callSid)
    return 'return-to-agent'
  }

  async carrierStatus(update: CarrierStatusUpdate, signal: AbortSignal): Promise<void> {
    const known = await this.#deps.directory.companyOf(update.callSid, signal)
    const companyId = known ?? (update.to === undefined ? null : ((await this.#deps.findCompanyByNumber(update.to, signal))?.id ?? null))
    if (companyId === null) return
    // The carrier may be faster than the record of the call's beginning.
    await this.#settleWrites(update.callSid)
    const call = await this.#deps.calls.get(companyId, update.callSid, signal)
    if (call === null) return
    if (call.carrierStatus !== null && CARRIER_ORDER[update.status] <= CARRIER_ORDER[call.carrierStatus]) return
    const patch: Partial<CallRecord> = { carrierStatus: update.status }
    await this.#deps.calls.update(
      companyId,
      update.callSid,
      update.durationSeconds === null ? patch : { ...patch, durationSeconds: update.durationSeconds },
      signal,
    )
    if (CARRIER_ORDER[update.status] === 3) await this.#deps.directory.forget(companyId, update.callSid)
  }

  async streamStatus(update: StreamStatusUpdate, signal: AbortSignal): Promise<void> {
    if (update.error === null) return
    const companyId = await this.#deps.directory.companyOf(update.callSid, signal)
    if (companyId === null) return
    const call = await this.#deps.calls.get(companyId, update.callSid, signal)
    if (call === null) return
    const error = `${update.streamSid} ${update.error}`
    if (call.streamErrors.includes(error)) return
    await this.#deps.calls.update(companyId, update.callSid, { streamErrors: [...call.streamErrors, error] }, signal)
  }

  /** A caller who did not want it before the stream broke does not want it now. */
  #recorderFor(leg: CallLeg, company: Company, past: readonly Exchange[]): CallRecorder | null {
    const recordings = this.#deps.recordings ?? null
    const { companyId, callSid, from, to } = leg.start
    const notice = recordings === null ? null : recordingNotice(company, leg.start)
    if (recordings === null || notice === null) return null
    if (past.some((exchange) => exchange.who === 'caller' && refusesRecording(exchange.text))) return null
    return new CallRecorder({
      clock: this.#deps.clock,
      store: recordings.store,
      call: { companyId, callSid, from, to },
      notice: recordings.speakable(notice),
      onFailure: (error) => this.#deps.logger.error({ companyId, callSid, error: String(error) }, 'recording stopped'),
    })
  }

  /** Where the figure does not come in time the call is taken: it is looked at again after every turn. */
  async #isOverspent(company: Pick<Company, 'id' | 'limits'>, signal: AbortSignal): Promise<boolean> {
    const { dailySpendCents } = company.limits
    const { spend, clock, logger } = this.#deps
    if (dailySpendCents === null || spend === undefined) return false
    try {
      return (await withDeadline(clock, SPENDING_MS, signal, (inner) => spend.spentToday(company.id, inner))) >= dailySpendCents
    } catch (error) {
      signal.throwIfAborted()
      logger.warn({ companyId: company.id, error: String(error) }, 'spending not known')
      return false
    }
  }

  #day(): string {
    return this.#deps.clock.wallTime().toISOString().slice(0, 10)
  }

  #conversationDeps(company: Company): ConversationDeps {
    const { deps, logger } = { deps: this.#deps, logger: this.#deps.logger }
    return {
      ...deps.conversation,
      clock: deps.clock,
      onTurn: (companyId, callSid, spoken) => {
        const model = deps.modelSpend?.(companyId, callSid, spoken.turn, spoken.sources.includes('model')) ?? null
        const turn: TurnRecord = model === null ? spoken : { ...spoken, model }
        deps.observer.turnFinished(companyId, callSid, turn)
        logger.info(
          {
            companyId,
            callSid,
            turn: turn.turn,
            gapMs: turn.gapMs,
            patienceMs: turn.patienceMs,
            overBudgetMs: turn.budgetExceededByMs,
            sources: turn.sources,
            // Stages that took more than their share, on the critical path or beside it.
            slowStages: turn.work.filter(({ stage, ms }) => ms > (deps.conversation.budget.stagesMs[stage] ?? Infinity)).map(({ stage }) => stage),
          },
          'turn finished',
        )
        this.#write(callSid, deps.calls.saveTurn(companyId, callSid, turn))
      },
      onLearning: (companyId, callSid, turn, learning) => this.#write(callSid, this.#learn(companyId, callSid, turn, learning)),
      onAction: (companyId, callSid, action) => this.#tell(callSid, deps.directory.decide(companyId, callSid, continuationOf(action))),
      isOverspent: (_companyId, signal) => this.#isOverspent(company, signal),
      onLimit: (companyId, callSid, limit) => {
        logger.warn({ companyId, callSid, limit }, 'call brought to its end')
        deps.observer.limitReached?.(companyId, callSid, limit)
      },
      onError: (companyId, callSid, error) => logger.error({ companyId, callSid, error: String(error) }, 'turn failed'),
    }
  }

  async #begin(leg: CallLeg, agentId: string, agentVersion: number, startedAt: string): Promise<void> {
    const { companyId, callSid, from, to } = leg.start
    if (await this.#isKnown(companyId, callSid)) {
      await this.#deps.calls.update(companyId, callSid, { outcome: 'in-progress', endedAt: null })
      return
    }
    await this.#deps.calls.begin(companyId, {
      companyId,
      callSid,
      agentId,
      agentVersion,
      from,
      to,
      startedAt,
      endedAt: null,
      outcome: 'in-progress',
      carrierStatus: null,
      durationSeconds: null,
      streamErrors: [],
      lostFrameCount: 0,
    })
  }

  /** A store that does not answer counts as no: beginning a call that is there already keeps what is there. */
  async #isKnown(companyId: string, callSid: string): Promise<boolean> {
    try {
      return (await this.#deps.calls.get(companyId, callSid)) !== null
    } catch (error) {
      if (isClientsViaError(error)) return false
      throw error
    }
  }

  async #finish(leg: CallLeg, outcome: CallOutcome): Promise<void> {
    const { companyId, callSid } = leg.start
    const endedAt = this.#deps.clock.wallTime().toISOString()
    try {
      const speech = this.#deps.speechSpend?.(callSid) ?? null
      const ending = { outcome, endedAt, lostFrameCount: leg.lostFrameCount }
      await this.#deps.calls.update(companyId, callSid, speech === null ? ending : { ...ending, speech })
    } catch (error) {
      this.#deps.logger.error({ companyId, callSid, error: String(error) }, 'call record not written')
    }
  }

  async #learn(companyId: string, callSid: string, turn: number, learning: LearningRecord): Promise<void> {
    await this.#deps.recordLearning(companyId, learning)
    if (!learning.gap) return
    const wallTime = this.#deps.clock.wallTime()
    await this.#deps.calls.saveGap(companyId, {
      id: uuidv7(wallTime),
      companyId,
      callSid,
      turn,
      question: learning.question,
      askedAt: wallTime.toISOString(),
      solvedByEntryId: null,
    })
  }

  /** Asked only where the answer changes the greeting, and not waited for longer than a greeting may be late. */
  async #hasCalledBefore(leg: CallLeg, signal: AbortSignal): Promise<boolean> {
    const { companyId, callSid, from } = leg.start
    try {
      const calls = await withDeadline(this.#deps.clock, RECOGNISE_CALLER_MS, signal, (inner) =>
        this.#deps.calls.list(companyId, { before: null, limit: 2, from }, inner),
      )
      return calls.some((call) => call.callSid !== callSid)
    } catch {
      signal.throwIfAborted()
      return false
    }
  }

  async #earlierTurns(companyId: string, callSid: string, signal: AbortSignal): Promise<readonly TurnRecord[]> {
    try {
      return await this.#deps.calls.turns(companyId, callSid, signal)
    } catch (error) {
      if (isClientsViaError(error)) return []
      throw error
    }
  }

  /** What the other processes should know; a call goes on without their knowing. */
  #tell(callSid: string, told: Promise<void>): void {
    told.catch((error: unknown) => {
      if (!this.#deps.scope.ended) this.#deps.logger.warn({ callSid, error: String(error) }, 'directory not told')
    })
  }

  /** Records are written beside the call, never in its way; a failed one is logged and the call goes on. */
  #write(callSid: string, write: Promise<void>): void {
    const pending = this.#writes.get(callSid) ?? new Set()
    this.#writes.set(callSid, pending)
    const settled: Promise<void> = write
      .catch((error: unknown) => this.#deps.logger.error({ callSid, error: String(error) }, 'record not written'))
      .finally(() => pending.delete(settled))
    pending.add(settled)
  }

  async #settleWrites(callSid: string): Promise<void> {
    const pending = this.#writes.get(callSid)
    while (pending !== undefined && pending.size > 0) await Promise.all(pending)
    this.#writes.delete(callSid)
  }

  async #expireAdmission(companyId: string, callSid: string): Promise<void> {
    try {
      await this.#deps.clock.sleep(ADMISSION_MS, this.#deps.scope.signal)
    } catch {
      return
    }
    this.#tell(callSid, this.#deps.directory.forget(companyId, callSid))
  }
}

function outcomeOf(end: ConversationEnd): CallOutcome {
  switch (end.action?.kind) {
    case 'transfer':
      return 'transferred'
    case 'voicemail':
      return 'voicemail'
    case 'hang-up':
      return 'completed'
    case undefined:
      return end.legEnd === 'connection-lost' ? 'connection-lost' : 'caller-hung-up'
  }
}

function exchangesOf(turns: readonly TurnRecord[]): Exchange[] {
  const exchanges = turns.flatMap((turn): Exchange[] => [
    ...(turn.heard === '' ? [] : [{ who: 'caller' as const, text: turn.heard }]),
    ...(turn.delivered === '' ? [] : [{ who: 'agent' as const, text: turn.delivered }]),
  ])
  return exchanges.slice(-MAX_CARRIED_EXCHANGES)
}
