import { Scope } from '../core/scope.ts'
import type { LeadInput } from '../booking/effect.ts'
import type { CompanyContext } from '../response/company-context.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import type { DialogueState } from '../response/dialogue.ts'
import type { Company } from '../tenancy/company.ts'
import { Admission, dayOf, type AdmissionDeps } from './admission.ts'
import type { CallHandler, CallRouting, CarrierStatusUpdate, StreamStatusUpdate } from './call-handler.ts'
import { CallLedger, type LedgerDeps } from './call-ledger.ts'
import type { CallContinuation, CallLeg } from './call-leg.ts'
import type { CallOutcome, ModelSpend, TurnRecord } from './call-record.ts'
import { CallRecorder } from './call-recorder.ts'
import { restoredDialogue } from './restored-dialogue.ts'
import { CallRegistry } from './call-registry.ts'
import { continuationOf } from './continuation-of.ts'
import type { RecordingStore } from './recording.ts'
import { recordingNotice, refusesRecording } from './recording-policy.ts'
import type { ConversationDeps, Exchange } from './conversation-deps.ts'
import { Conversation, type ConversationEnd } from './conversation.ts'

/** Words of a call that was cut off, carried into the new stream. */
const MAX_CARRIED_EXCHANGES = 40

/** A carrier that lost a stream opens the next one within seconds. */
const RESUMES_WITHIN_MS = 30_000
/** A person who takes over has the caller on the line, and a voicemail their voice; these have nobody. */
const LEAVES_A_LEAD: readonly CallOutcome[] = ['caller-hung-up', 'completed', 'failed']

export type CallServiceDeps = AdmissionDeps &
  LedgerDeps &
  Readonly<{
    /** Null where this server keeps no recordings, whatever a company says. */
    recordings?: Readonly<{ store: RecordingStore; speakable: (notice: string) => SpeakableText }> | null
    /** What a turn's language model cost, asked once as the turn ends; null where none was asked. */
    modelSpend?: (companyId: string, callSid: string, turn: number, answered: boolean) => ModelSpend | null
    /** What a caller leaves who is gone in the middle of something. */
    unfinished?: (context: CompanyContext, dialogue: DialogueState, from: string) => LeadInput | null
    conversation: Omit<ConversationDeps, 'clock' | 'onTurn' | 'onLearning' | 'onAction' | 'onError'>
  }>

/** Everything that happens to a call outside its audio: whether it is taken (Admission), its conversation, its records (CallLedger), what follows it. */
export class CallService implements CallHandler {
  readonly registry: CallRegistry
  readonly #deps: CallServiceDeps
  readonly #admission: Admission
  readonly #ledger: CallLedger

  constructor(deps: CallServiceDeps) {
    this.#deps = deps
    this.#admission = new Admission(deps)
    this.#ledger = new CallLedger(deps)
    this.registry = new CallRegistry()
    deps.directory.onEnd((companyId, callSid) => this.registry.end(companyId, callSid))
  }

  route(call: Readonly<{ callSid: string; accountSid: string; from: string; to: string }>, signal: AbortSignal): Promise<CallRouting> {
    return this.#admission.route(call, signal)
  }

  carrierStatus(update: CarrierStatusUpdate, signal: AbortSignal): Promise<void> {
    return this.#ledger.carrierStatus(update, signal)
  }

  streamStatus(update: StreamStatusUpdate, signal: AbortSignal): Promise<void> {
    return this.#ledger.streamStatus(update, signal)
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
    const earlierTurns = leg.start.resumed ? await this.#ledger.earlierTurns(companyId, callSid, scope.signal) : []
    const past = {
      exchanges: exchangesOf(earlierTurns),
      nextTurn: (earlierTurns.at(-1)?.turn ?? -1) + 1,
      returning: context.agent.greeting.returningCaller !== '' && (await this.#ledger.hasCalledBefore(leg, scope.signal)),
      dialogue: restoredDialogue(earlierTurns),
    }
    const recorder = this.#recorderFor(leg, context.company, past.exchanges)
    const conversation = new Conversation(this.#conversationDeps(context.company), leg, context, scope, past, recorder)
    this.#deps.observer.callStarted(companyId, callSid)
    this.#ledger.write(callSid, this.#ledger.begin(leg, context.agent.id, context.agent.version, startedAt))
    let outcome: CallOutcome = 'failed'
    let turns = past.nextTurn
    const answeredAt = this.#deps.clock.now()
    try {
      const end = await conversation.run()
      outcome = outcomeOf(end)
      turns = end.turns
    } finally {
      const durationSeconds = (this.#deps.clock.now() - answeredAt) / 1000
      this.#tell(callSid, this.#deps.directory.addSeconds(companyId, dayOf(this.#deps.clock), durationSeconds))
      this.#deps.observer.callEnded(companyId, callSid, outcome, { durationSeconds, lostFrameCount: leg.lostFrameCount })
      if (recorder !== null) this.#ledger.write(callSid, recorder.close())
      const lead = this.#deps.unfinished?.(context, conversation.dialogue, leg.start.from) ?? null
      if (lead !== null && outcome === 'connection-lost') void this.#leaveUnlessResumed(companyId, callSid, turns, lead)
      else if (lead !== null && LEAVES_A_LEAD.includes(outcome)) this.#ledger.write(callSid, this.#leave(companyId, callSid, turns, lead))
      await this.#ledger.settled(callSid)
      await this.#ledger.finish(leg, outcome)
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
        this.#ledger.write(callSid, deps.calls.saveTurn(companyId, callSid, turn))
      },
      onLearning: (companyId, callSid, turn, learning) => this.#ledger.write(callSid, this.#ledger.learn(companyId, callSid, turn, learning)),
      onAction: (companyId, callSid, action) => this.#tell(callSid, deps.directory.decide(companyId, callSid, continuationOf(action))),
      isOverspent: (_companyId, signal) => this.#admission.isOverspent(company, signal),
      onLimit: (companyId, callSid, limit) => {
        logger.warn({ companyId, callSid, limit }, 'call brought to its end')
        deps.observer.limitReached?.(companyId, callSid, limit)
      },
      onError: (companyId, callSid, error) => logger.error({ companyId, callSid, error: String(error) }, 'turn failed'),
    }
  }

  /** What the other processes should know; a call goes on without their knowing. */
  #tell(callSid: string, told: Promise<void>): void {
    told.catch((error: unknown) => {
      if (!this.#deps.scope.ended) this.#deps.logger.warn({ callSid, error: String(error) }, 'directory not told')
    })
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
