import type { Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import type { Scope } from '../core/scope.ts'
import type { CompanyContextSource } from '../response/company-context.ts'
import type { Company } from '../tenancy/company.ts'
import type { CallDirectory } from './call-directory.ts'
import type { CallRouting } from './call-handler.ts'
import type { CallLogger, CallObserver } from './call-observer.ts'
import type { SpendMeter } from './spend.ts'

/** A stream that does not come within this time after the webhook gives its place back. */
const ADMISSION_MS = 30_000
/** The carrier waits for the webhook; the first look at a company's day may be slow. */
const SPENDING_MS = 500

export type AdmissionDeps = Readonly<{
  clock: Clock
  logger: CallLogger
  scope: Scope
  contexts: CompanyContextSource
  findCompanyByNumber: (phoneNumberE164: string, signal: AbortSignal) => Promise<Company | null>
  /** Shared with the other processes that answer calls. */
  directory: CallDirectory
  /** What this process has too much of; null: it has room. */
  overload?: () => string | null
  /** Without it no company's daily spending limit is kept. */
  spend?: Pick<SpendMeter, 'spentToday'>
  observer: CallObserver
}>

/** Whether a call is taken: whose number it is, what the company may still spend, and whether there is room. */
export class Admission {
  readonly #deps: AdmissionDeps

  constructor(deps: AdmissionDeps) {
    this.#deps = deps
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
    if (await this.isOverspent(company, signal)) {
      this.#deps.logger.warn({ companyId: company.id, callSid: call.callSid, admission: 'spent' }, 'call refused')
      this.#deps.observer.limitReached?.(company.id, call.callSid, 'spending')
      return { kind: 'refuse', companyId: company.id, message: 'We cannot take any more calls today. Please call back tomorrow. Goodbye.', forwardToE164: company.forwardToE164 }
    }
    const overload = this.#deps.overload?.() ?? null
    const spent = (await this.#deps.directory.minutesOn(company.id, dayOf(this.#deps.clock), signal)) >= company.limits.minutesPerDay
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

  /** Where the figure does not come in time the call is taken: it is looked at again after every turn. */
  async isOverspent(company: Pick<Company, 'id' | 'limits'>, signal: AbortSignal): Promise<boolean> {
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

  async #expireAdmission(companyId: string, callSid: string): Promise<void> {
    try {
      await this.#deps.clock.sleep(ADMISSION_MS, this.#deps.scope.signal)
    } catch {
      return
    }
    try {
      await this.#deps.directory.forget(companyId, callSid)
    } catch (error) {
      if (!this.#deps.scope.ended) this.#deps.logger.warn({ callSid, error: String(error) }, 'directory not told')
    }
  }
}

/** Days are counted in UTC, the same for every process. */
export function dayOf(clock: Pick<Clock, 'wallTime'>): string {
  return clock.wallTime().toISOString().slice(0, 10)
}
