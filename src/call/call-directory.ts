import { LRUCache } from 'lru-cache'
import type { CallContinuation } from './call-leg.ts'

/** Calls whose end is remembered, for the webhooks that follow it. */
const REMEMBERED_CALLS = 10_000

export type Admission = 'admitted' | 'company-full' | 'server-full'
export type LiveCallFacts = Readonly<{ callSid: string; startedAt: string }>

/**
 * What every process that answers calls must agree on: the places that are taken, whose stream a call is, and what follows it. The
 * carrier's webhooks and its stream may reach different processes. companyId first, always.
 */
export interface CallDirectory {
  /** Takes a place for a call; the same call asked again keeps its place. */
  admit(companyId: string, callSid: string, companyLimit: number, signal: AbortSignal): Promise<Admission>
  /** The stream did not come. */
  forget(companyId: string, callSid: string): Promise<void>
  /** The call's stream is here now. Whoever had it before is told to end it: a call has one voice. */
  begin(companyId: string, callSid: string, startedAt: string, signal: AbortSignal): Promise<void>
  /** The conversation here is over; nothing changes when the call has gone to another process meanwhile. */
  finish(companyId: string, callSid: string): Promise<void>
  /** What the agent wants to follow the stream. */
  decide(companyId: string, callSid: string, continuation: CallContinuation): Promise<void>
  /** Null: nothing was decided, or it is not this company's call. */
  continuation(companyId: string, callSid: string, signal: AbortSignal): Promise<CallContinuation | null>
  /** The call comes back to the agent: what was decided before is done. */
  clearContinuation(companyId: string, callSid: string): Promise<void>
  /** The one look-up that starts from a call: webhooks about a call name no company. */
  companyOf(callSid: string, signal: AbortSignal): Promise<string | null>
  /** Calls going on in any process. */
  live(companyId: string, signal: AbortSignal): Promise<readonly LiveCallFacts[]>
  /** Hangs a call up wherever it is; false when there is none. */
  end(companyId: string, callSid: string, signal: AbortSignal): Promise<boolean>
  /** `day` is a UTC date such as 2026-03-02; only one day is kept. */
  addSeconds(companyId: string, day: string, seconds: number): Promise<void>
  minutesOn(companyId: string, day: string, signal: AbortSignal): Promise<number>
  /** Called when a call of this process is to end here: another process has it now, or somebody hangs it up. */
  onEnd(listener: (companyId: string, callSid: string) => void): void
}

type Live = { readonly companyId: string; readonly startedAt: string; readonly owner: string }

/** The facts behind a directory, for any number of processes that tell it who they are. Synchronous, so every step is atomic. */
export class CallLedger {
  readonly #maxCalls: number
  readonly #live = new Map<string, Live>()
  /** Admitted by the webhook, stream not here yet: callSid -> companyId. Bounded by time through `forget`. */
  readonly #admitted = new Map<string, string>()
  readonly #companyOf = new LRUCache<string, string>({ max: REMEMBERED_CALLS })
  readonly #continuations = new LRUCache<string, CallContinuation>({ max: REMEMBERED_CALLS })
  /** Seconds on the line by company, for one UTC day; a restart begins anew. */
  readonly #secondsToday = new Map<string, number>()
  #today = ''

  constructor(options: { maxCalls: number }) {
    this.#maxCalls = options.maxCalls
  }

  admit(companyId: string, callSid: string, companyLimit: number): Admission {
    this.#companyOf.set(callSid, companyId)
    if (this.#live.has(callSid) || this.#admitted.has(callSid)) return 'admitted'
    if (this.#live.size + this.#admitted.size >= this.#maxCalls) return 'server-full'
    if (this.#countOf(companyId) >= companyLimit) return 'company-full'
    this.#admitted.set(callSid, companyId)
    return 'admitted'
  }

  forget(callSid: string): void {
    this.#admitted.delete(callSid)
  }

  /** Who had the call's stream until now, when that was somebody else. */
  begin(companyId: string, callSid: string, startedAt: string, owner: string): string | null {
    const earlier = this.#live.get(callSid)
    this.#admitted.delete(callSid)
    this.#companyOf.set(callSid, companyId)
    this.#live.set(callSid, { companyId, startedAt, owner })
    return earlier === undefined || earlier.owner === owner ? null : earlier.owner
  }

  finish(callSid: string, owner: string): void {
    if (this.#live.get(callSid)?.owner === owner) this.#live.delete(callSid)
  }

  /** A process is gone: its calls give their places back; what was decided about them stays. */
  release(owner: string): void {
    for (const [callSid, call] of this.#live) if (call.owner === owner) this.#live.delete(callSid)
  }

  ownerOf(companyId: string, callSid: string): string | null {
    const call = this.#live.get(callSid)
    return call?.companyId === companyId ? call.owner : null
  }

  decide(companyId: string, callSid: string, continuation: CallContinuation): void {
    if (this.#companyOf.get(callSid) === companyId) this.#continuations.set(callSid, continuation)
  }

  continuation(companyId: string, callSid: string): CallContinuation | null {
    if (this.#companyOf.get(callSid) !== companyId) return null
    return this.#continuations.get(callSid) ?? null
  }

  clearContinuation(companyId: string, callSid: string): void {
    if (this.#companyOf.get(callSid) === companyId) this.#continuations.delete(callSid)
  }

  companyOf(callSid: string): string | null {
    return this.#companyOf.get(callSid) ?? null
  }

  live(companyId: string): readonly LiveCallFacts[] {
    return [...this.#live].filter(([, call]) => call.companyId === companyId).map(([callSid, { startedAt }]) => ({ callSid, startedAt }))
  }

  addSeconds(companyId: string, day: string, seconds: number): void {
    this.#secondsToday.set(companyId, this.minutesOn(companyId, day) * 60 + seconds)
  }

  minutesOn(companyId: string, day: string): number {
    if (this.#today !== day) {
      this.#today = day
      this.#secondsToday.clear()
    }
    return (this.#secondsToday.get(companyId) ?? 0) / 60
  }

  #countOf(companyId: string): number {
    let count = 0
    for (const call of this.#live.values()) if (call.companyId === companyId) count += 1
    // A call that comes back is admitted and may still be live: it has one place.
    for (const [callSid, admittedTo] of this.#admitted) if (admittedTo === companyId && !this.#live.has(callSid)) count += 1
    return count
  }
}

const HERE = 'here'

/** For a server of one process. */
export class InMemoryCallDirectory implements CallDirectory {
  readonly #ledger: CallLedger
  #onEnd: (companyId: string, callSid: string) => void = () => undefined

  constructor(options: { maxCalls: number }) {
    this.#ledger = new CallLedger(options)
  }

  async admit(companyId: string, callSid: string, companyLimit: number): Promise<Admission> {
    return this.#ledger.admit(companyId, callSid, companyLimit)
  }

  async forget(_companyId: string, callSid: string): Promise<void> {
    this.#ledger.forget(callSid)
  }

  async begin(companyId: string, callSid: string, startedAt: string): Promise<void> {
    this.#ledger.begin(companyId, callSid, startedAt, HERE)
  }

  async finish(_companyId: string, callSid: string): Promise<void> {
    this.#ledger.finish(callSid, HERE)
  }

  async decide(companyId: string, callSid: string, continuation: CallContinuation): Promise<void> {
    this.#ledger.decide(companyId, callSid, continuation)
  }

  async continuation(companyId: string, callSid: string): Promise<CallContinuation | null> {
    return this.#ledger.continuation(companyId, callSid)
  }

  async clearContinuation(companyId: string, callSid: string): Promise<void> {
    this.#ledger.clearContinuation(companyId, callSid)
  }

  async companyOf(callSid: string): Promise<string | null> {
    return this.#ledger.companyOf(callSid)
  }

  async live(companyId: string): Promise<readonly LiveCallFacts[]> {
    return this.#ledger.live(companyId)
  }

  async end(companyId: string, callSid: string): Promise<boolean> {
    if (this.#ledger.ownerOf(companyId, callSid) === null) return false
    this.#onEnd(companyId, callSid)
    return true
  }

  async addSeconds(companyId: string, day: string, seconds: number): Promise<void> {
    this.#ledger.addSeconds(companyId, day, seconds)
  }

  async minutesOn(companyId: string, day: string): Promise<number> {
    return this.#ledger.minutesOn(companyId, day)
  }

  onEnd(listener: (companyId: string, callSid: string) => void): void {
    this.#onEnd = listener
  }
}
