import { ClientsViaError } from '../core/errors.ts'
import { untilAborted } from './until-aborted.ts'

/** As many as any honest crowd makes for one thing; more is a loop somewhere. */
const MAX_WAITING = 1000

/**
 * Changes of one thing in the order they were asked for. Other processes are kept apart by the store's own compare-and-set; within the
 * process taking turns costs nothing, while racing costs a round trip each time.
 */
export class KeyedTurns {
  readonly #tails = new Map<string, Readonly<{ over: Promise<void>; waiting: { count: number } }>>()

  async take<T>(key: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    const before = this.#tails.get(key)
    const waiting = before?.waiting ?? { count: 0 }
    if (waiting.count >= MAX_WAITING) throw new ClientsViaError('OVERLOADED', `${MAX_WAITING} changes of one record are waiting`)
    const { promise: over, resolve: finish } = Promise.withResolvers<void>()
    const mine = { over: (before?.over ?? Promise.resolve()).then(() => over), waiting }
    this.#tails.set(key, mine)
    waiting.count += 1
    try {
      await untilAborted(before?.over ?? Promise.resolve(), signal)
      return await work()
    } finally {
      waiting.count -= 1
      finish()
      if (this.#tails.get(key) === mine) this.#tails.delete(key)
    }
  }
}
