/** Something that runs a call and can be told to stop. */
export interface LiveCall {
  readonly companyId: string
  readonly callSid: string
  readonly startedAt: string
  /** Settles when the conversation has ended and its records are written. */
  readonly over: Promise<void>
  end(): void
}

/** The conversations of this process, one a call. What other processes must know too is in the directory. */
export class CallRegistry {
  readonly #live = new Map<string, LiveCall>()

  get liveCount(): number {
    return this.#live.size
  }

  get live(): readonly LiveCall[] {
    return [...this.#live.values()]
  }

  /** The newest stream of a call wins; the older conversation is returned so that it can be ended. */
  begin(call: LiveCall): LiveCall | null {
    const earlier = this.#live.get(call.callSid) ?? null
    this.#live.set(call.callSid, call)
    return earlier
  }

  finish(call: LiveCall): void {
    if (this.#live.get(call.callSid) === call) this.#live.delete(call.callSid)
  }

  end(companyId: string, callSid: string): void {
    const call = this.#live.get(callSid)
    if (call?.companyId === companyId) call.end()
  }
}
