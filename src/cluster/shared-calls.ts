import type { Admission, CallDirectory, LiveCallFacts } from '../call/call-directory.ts'
import type { CallContinuation } from '../call/call-leg.ts'
import type { MediaClaims, MediaTokens } from '../telephony/media-tokens.ts'
import type { WorkerLink } from './link.ts'

/** The directory of a server of several worker processes: kept by the primary, asked over the link. */
export class SharedCallDirectory implements CallDirectory {
  readonly #link: WorkerLink

  constructor(link: WorkerLink) {
    this.#link = link
  }

  admit(companyId: string, callSid: string, companyLimit: number, signal: AbortSignal): Promise<Admission> {
    return this.#link.ask('calls.admit', { companyId, callSid, companyLimit }, signal)
  }

  async forget(companyId: string, callSid: string): Promise<void> {
    await this.#link.ask('calls.forget', { companyId, callSid }, null)
  }

  async begin(companyId: string, callSid: string, startedAt: string, signal: AbortSignal): Promise<void> {
    await this.#link.ask('calls.begin', { companyId, callSid, startedAt }, signal)
  }

  async finish(companyId: string, callSid: string): Promise<void> {
    await this.#link.ask('calls.finish', { companyId, callSid }, null)
  }

  async decide(companyId: string, callSid: string, continuation: CallContinuation): Promise<void> {
    await this.#link.ask('calls.decide', { companyId, callSid, continuation }, null)
  }

  continuation(companyId: string, callSid: string, signal: AbortSignal): Promise<CallContinuation | null> {
    return this.#link.ask('calls.continuation', { companyId, callSid }, signal)
  }

  async clearContinuation(companyId: string, callSid: string): Promise<void> {
    await this.#link.ask('calls.clear-continuation', { companyId, callSid }, null)
  }

  companyOf(callSid: string, signal: AbortSignal): Promise<string | null> {
    return this.#link.ask('calls.company-of', { callSid }, signal)
  }

  live(companyId: string, signal: AbortSignal): Promise<readonly LiveCallFacts[]> {
    return this.#link.ask('calls.live', { companyId }, signal)
  }

  end(companyId: string, callSid: string, signal: AbortSignal): Promise<boolean> {
    return this.#link.ask('calls.end', { companyId, callSid }, signal)
  }

  async addSeconds(companyId: string, day: string, seconds: number): Promise<void> {
    await this.#link.ask('calls.add-seconds', { companyId, day, seconds }, null)
  }

  minutesOn(companyId: string, day: string, signal: AbortSignal): Promise<number> {
    return this.#link.ask('calls.minutes-on', { companyId, day }, signal)
  }

  onEnd(listener: (companyId: string, callSid: string) => void): void {
    this.#link.onNews('end-call', ({ companyId, callSid }) => listener(companyId, callSid))
  }
}

/** Media tokens that any worker may redeem, whichever issued them. */
export class SharedMediaTokens implements MediaTokens {
  readonly #link: WorkerLink

  constructor(link: WorkerLink) {
    this.#link = link
  }

  issue(claims: MediaClaims, signal?: AbortSignal): Promise<string> {
    return this.#link.ask('tokens.issue', claims, signal ?? null)
  }

  consume(token: string, signal?: AbortSignal): Promise<MediaClaims | null> {
    return this.#link.ask('tokens.consume', { token }, signal ?? null)
  }
}
