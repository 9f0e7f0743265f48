import type { Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { isClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import type { LearningRecord } from '../response/responder.ts'
import type { Company } from '../tenancy/company.ts'
import type { CallDirectory } from './call-directory.ts'
import type { CarrierStatusUpdate, StreamStatusUpdate } from './call-handler.ts'
import type { CallLeg } from './call-leg.ts'
import type { CallLogger } from './call-observer.ts'
import type { CallOutcome, CallRecord, CallRepository, SpeechSpend, TurnRecord } from './call-record.ts'

/** A greeting that knows the caller is worth this much delay. */
const RECOGNISE_CALLER_MS = 60

/** The carrier says a thing once, and takes a late answer for a failure: a store that dribbles goes on being written to behind the answer. */
const CARRIER_WAITS_MS = 2500

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

export type LedgerDeps = Readonly<{
  clock: Clock
  logger: CallLogger
  calls: CallRepository
  directory: CallDirectory
  findCompanyByNumber: (phoneNumberE164: string, signal: AbortSignal) => Promise<Company | null>
  recordLearning: (companyId: string, learning: LearningRecord) => Promise<void>
  /** What the call's speech vendors bill until now; null where none took part. */
  speechSpend?: (callSid: string) => SpeechSpend | null
}>

/** What is written down of calls, and what is read of earlier ones. */
export class CallLedger {
  readonly #deps: LedgerDeps
  /** Writes of a live call that are under way, so that its end waits for them. */
  readonly #writes = new Map<string, Set<Promise<void>>>()

  constructor(deps: LedgerDeps) {
    this.#deps = deps
  }

  /** Records are written beside the call, never in its way; a failed one is logged and the call goes on. */
  write(callSid: string, write: Promise<void>): void {
    const pending = this.#writes.get(callSid) ?? new Set()
    this.#writes.set(callSid, pending)
    const settled: Promise<void> = write
      .catch((error: unknown) => this.#deps.logger.error({ callSid, error: String(error) }, 'record not written'))
      .finally(() => pending.delete(settled))
    pending.add(settled)
  }

  async settled(callSid: string): Promise<void> {
    const pending = this.#writes.get(callSid)
    while (pending !== undefined && pending.size > 0) await Promise.all(pending)
    this.#writes.delete(callSid)
  }

  async begin(leg: CallLeg, agentId: string, agentVersion: number, startedAt: string): Promise<void> {
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

  async finish(leg: CallLeg, outcome: CallOutcome): Promise<void> {
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

  async learn(companyId: string, callSid: string, turn: number, learning: LearningRecord): Promise<void> {
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
  async hasCalledBefore(leg: CallLeg, signal: AbortSignal): Promise<boolean> {
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

  async earlierTurns(companyId: string, callSid: string, signal: AbortSignal): Promise<readonly TurnRecord[]> {
    try {
      return await this.#deps.calls.turns(companyId, callSid, signal)
    } catch (error) {
      if (isClientsViaError(error)) return []
      throw error
    }
  }

  async carrierStatus(update: CarrierStatusUpdate, signal: AbortSignal): Promise<void> {
    const known = await this.#deps.directory.companyOf(update.callSid, signal)
    const companyId = known ?? (update.to === undefined ? null : ((await this.#deps.findCompanyByNumber(update.to, signal))?.id ?? null))
    if (companyId === null) return
    const written = this.#moveForward(companyId, update)
    try {
      await withDeadline(this.#deps.clock, CARRIER_WAITS_MS, signal, () => written)
    } catch (error) {
      if (!isClientsViaError(error, 'DEADLINE_PASSED')) throw error
      written.catch((failure: unknown) => this.#deps.logger.error({ companyId, callSid: update.callSid, error: String(failure) }, "the carrier's word was not written"))
    }
  }

  async #moveForward(companyId: string, { callSid, status, durationSeconds }: CarrierStatusUpdate): Promise<void> {
    // The carrier may be faster than the record of the call's beginning.
    await this.settled(callSid)
    const call = await this.#deps.calls.get(companyId, callSid)
    if (call === null) return
    if (call.carrierStatus !== null && CARRIER_ORDER[status] <= CARRIER_ORDER[call.carrierStatus]) return
    await this.#deps.calls.update(companyId, callSid, durationSeconds === null ? { carrierStatus: status } : { carrierStatus: status, durationSeconds })
    if (CARRIER_ORDER[status] === 3) await this.#deps.directory.forget(companyId, callSid)
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
}
