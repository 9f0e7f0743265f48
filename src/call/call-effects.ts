import type { Effect, EffectResult, Effects, EffectsForTurn } from '../booking/effect.ts'

/** A call changes the world a handful of times; a caller who asks for more is not booking. */
const MOST_EFFECTS = 50

/**
 * What one call changes in the world. A reply's effects wait until its first sound is on the wire: until then the caller may go on, and
 * nothing was decided. The very same effect asked for again in a later turn, after an interruption, comes to the same.
 */
export class CallEffects {
  readonly #forTurn: EffectsForTurn
  readonly #companyId: string
  readonly #callSid: string
  readonly #done = new Map<string, Promise<EffectResult>>()

  constructor(forTurn: EffectsForTurn, companyId: string, callSid: string) {
    this.#forTurn = forTurn
    this.#companyId = companyId
    this.#callSid = callSid
  }

  /** `commit` lets the effects of this reply happen; without it none ever does. */
  forReply(turn: number): Readonly<{ effects: Effects; commit: () => void }> {
    const { promise: committed, resolve: commit } = Promise.withResolvers<void>()
    const inner = this.#forTurn({ companyId: this.#companyId, callSid: this.#callSid, turn, committed })
    return { commit, effects: { perform: (effect, signal) => this.#perform(inner, committed, effect, signal) } }
  }

  async #perform(inner: Effects, committed: Promise<void>, effect: Effect, signal: AbortSignal): Promise<EffectResult> {
    await settledOrAborted(committed, signal)
    const key = JSON.stringify(effect)
    const same = this.#done.get(key)
    if (same !== undefined) return same
    if (this.#done.size >= MOST_EFFECTS) return { kind: 'failed', reason: 'too many changes in one call' }
    const result = inner.perform(effect, signal)
    this.#done.set(key, result)
    // What did not come about may be tried again.
    void result.then(
      ({ kind }) => kind !== 'done' && this.#done.delete(key),
      () => this.#done.delete(key),
    )
    return result
  }
}

async function settledOrAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
