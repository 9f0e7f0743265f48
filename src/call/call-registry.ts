import { LRUCache } from 'lru-cache'
import type { CallAction } from '../response/responder.ts'
import type { CallContinuation } from './call-leg.ts'

/** Calls whose end is remembered, for the webhooks that follow it. */
const REMEMBERED_CALLS = 10_000

/** Something that runs a call and can be told to stop. */
export interface LiveCall {
  readonly companyId: string
  readonly callSid: string
  readonly startedAt: string
  /** Settles when the conversation has ended and its records are written. */
  readonly over: Promise<void>
  end(): void
}

/** Every call in this process: admission before it is answered, the one live conversation, and what follows it. */
export class CallRegistry {
  readonly #live = new Map<string, LiveCall>()
  /** Admitted by the webhook, stream not here yet: callSid -> companyId. Bounded by time through `forget`. */
  readonly #admitted = new Map<string, string>()
  readonly #companyOf = new LRUCache<string, string>({ max: REMEMBERED_CALLS })
  readonly #continuations = new LRUCache<string, CallContinuation>({ max: REMEMBERED_CALLS })
  readonly #maxCalls: number
  /** Seconds on the line by company, for one UTC day; a restart begins anew. */
  readonly #secondsToday = new Map<string, number>()
  #today = ''

  constructor(options: { maxCalls: number }) {
    this.#maxCalls = options.maxCalls
  }

  get liveCount(): number {
    return this.#live.size
  }

  get live(): readonly LiveCall[] {
    return [...this.#live.values()]
  }

  /** Calls of one company that run or are about to. */
  countOf(companyId: string): number {
    const sids = new Set<string>()
    for (const call of this.#live.values()) if (call.companyId === companyId) sids.add(call.callSid)
    for (const [callSid, admittedTo] of this.#admitted) if (admittedTo === companyId) sids.add(callSid)
    return sids.size
  }

  /** Takes a place for a call; the same call asked again keeps its place. */
  admit(companyId: string, callSid: string, companyLimit: number): 'admitted' | 'company-full' | 'server-full' {
    this.#companyOf.set(callSid, companyId)
    if (this.#live.has(callSid) || this.#admitted.has(callSid)) return 'admitted'
    if (this.#live.size + this.#admitted.size >= this.#maxCalls) return 'server-full'
    if (this.countOf(companyId) >= companyLimit) return 'company-full'
    this.#admitted.set(callSid, companyId)
    return 'admitted'
  }

  /** `day` is a date such as 2026-03-02. */
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

  /** The stream did not come. */
  forget(callSid: string): void {
    this.#admitted.delete(callSid)
  }

  /** The newest stream of a call wins; the older conversation is returned so that it can be ended. */
  begin(call: LiveCall): LiveCall | null {
    const earlier = this.#live.get(call.callSid) ?? null
    this.#admitted.delete(call.callSid)
    this.#companyOf.set(call.callSid, call.companyId)
    this.#live.set(call.callSid, call)
    return earlier
  }

  finish(call: LiveCall): void {
    if (this.#live.get(call.callSid) === call) this.#live.delete(call.callSid)
  }

  companyOf(callSid: string): string | null {
    return this.#companyOf.get(callSid) ?? null
  }

  decide(callSid: string, action: CallAction): void {
    this.#continuations.set(callSid, continuationOf(action))
  }

  continuation(companyId: string, callSid: string): CallContinuation | null {
    if (this.#companyOf.get(callSid) !== companyId) return null
    return this.#continuations.get(callSid) ?? null
  }

  /** The call comes back to the agent: what was decided before is done. */
  clearContinuation(callSid: string): void {
    this.#continuations.delete(callSid)
  }
}

function continuationOf(action: CallAction): CallContinuation {
  switch (action.kind) {
    case 'hang-up':
      return { kind: 'hang-up' }
    case 'transfer':
      return { kind: 'transfer', phoneNumberE164: action.phoneNumberE164, label: action.label, timeoutSeconds: action.timeoutSeconds }
    case 'voicemail':
      return { kind: 'voicemail', prompt: action.prompt, maxSeconds: action.maxSeconds }
  }
}
