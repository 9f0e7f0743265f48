import { createHash } from 'node:crypto'
import { Redis } from 'ioredis'
import { instant, later, type Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { untilAborted } from './until-aborted.ts'

export type RedisLinkOptions = Readonly<{
  url: string
  clock: Clock
  /** Longer than this and the answer is worth nothing to whoever waits. */
  commandTimeoutMs: number
}>

/** What a call may wait for Redis: a turn has some 600 ms, and whatever Redis knows can be decided locally. */
export const CALL_PATH_TIMEOUT_MS = 50
/** What a person at a screen may wait. */
export const ADMIN_TIMEOUT_MS = 500

const CONNECT_TIMEOUT_MS = 300
const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 2000
/** A Redis that hangs without closing costs the timeout once each; after this many in a row nobody waits for it any more ... */
const TIMEOUTS_UNTIL_AWAY = 3
/** ... for this long, then one command finds out whether it is back. */
const AWAY_MS = 1000

/**
 * One connection that fails at once rather than late: no offline queue, no second try, and nobody waits for a Redis that hangs.
 * Reconnects by itself for as long as it is open.
 */
export class RedisLink {
  readonly #redis: Redis
  readonly #clock: Clock
  #timeoutsInARow = 0
  #awayUntil = instant(0)
  readonly #whenConnected: (() => void)[] = []
  #detail = 'connecting'

  constructor(options: RedisLinkOptions) {
    this.#clock = options.clock
    this.#redis = new Redis(options.url, {
      commandTimeout: options.commandTimeoutMs,
      connectTimeout: CONNECT_TIMEOUT_MS,
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      retryStrategy: (attempt) => Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempt, 10)),
    })
    this.#redis.on('ready', () => {
      this.#timeoutsInARow = 0
      this.#detail = 'connected'
      for (const whenConnected of this.#whenConnected) whenConnected()
    })
    // Every failed attempt to connect says why; without a listener each would end the process.
    this.#redis.on('error', (error: Error) => (this.#detail = error.message))
  }

  /** Whether a command sent now has a chance. */
  get isUp(): boolean {
    return this.#redis.status === 'ready' && this.#clock.now() >= this.#awayUntil
  }

  get detail(): string {
    return this.isUp ? 'connected' : `not answering: ${this.#detail}`
  }

  /** Called at each connection, and when Redis answers after it did not: what could not be said while there was none may be said now. */
  onConnected(listener: () => void): void {
    this.#whenConnected.push(listener)
  }

  /** Waits for the first connection; false when it does not come in time. Commands may be sent either way. */
  async ready(withinMs: number, signal?: AbortSignal): Promise<boolean> {
    const until = later(this.#clock.now(), withinMs)
    while (!this.isUp) {
      if (this.#clock.now() >= until) return false
      await this.#clock.sleep(10, signal)
    }
    return true
  }

  /** Throws STORE_FAILED when Redis does not answer in time, or the signal's reason. */
  async run<T>(work: (redis: Redis) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    if (!this.isUp) throw away(this.#detail)
    try {
      const result = await untilAborted(work(this.#redis), signal)
      const wasHanging = this.#timeoutsInARow > 0
      this.#timeoutsInARow = 0
      if (wasHanging) for (const whenConnected of this.#whenConnected) whenConnected()
      return result
    } catch (error) {
      signal?.throwIfAborted()
      if (isReplyError(error)) throw new ClientsViaError('STORE_FAILED', `Redis refused a command: ${error.message}`, {}, { cause: error })
      this.#noteFailure(error)
      throw away(error instanceof Error ? error.message : String(error), error)
    }
  }

  /** Runs Lua in Redis, by its digest once it is known there. */
  script(lua: string, keys: readonly string[], values: readonly (string | number)[], signal?: AbortSignal): Promise<unknown> {
    return this.run(async (redis) => {
      try {
        return await redis.evalsha(digestOf(lua), keys.length, ...keys, ...values)
      } catch (error) {
        if (!isReplyError(error) || !error.message.startsWith('NOSCRIPT')) throw error
        return redis.eval(lua, keys.length, ...keys, ...values)
      }
    }, signal)
  }

  close(): void {
    this.#redis.disconnect()
  }

  #noteFailure(error: unknown): void {
    if (!(error instanceof Error) || !error.message.includes('timed out')) return
    this.#timeoutsInARow += 1
    this.#detail = error.message
    if (this.#timeoutsInARow >= TIMEOUTS_UNTIL_AWAY) this.#awayUntil = later(this.#clock.now(), AWAY_MS)
  }
}

const digests = new Map<string, string>()

function digestOf(lua: string): string {
  const known = digests.get(lua)
  if (known !== undefined) return known
  const digest = createHash('sha1').update(lua).digest('hex')
  digests.set(lua, digest)
  return digest
}

function isReplyError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}

function away(detail: string, cause?: unknown): ClientsViaError {
  return new ClientsViaError('STORE_FAILED', 'Redis does not answer', { detail }, { cause })
}
