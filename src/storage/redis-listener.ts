import { Redis } from 'ioredis'

const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 2000
const CONNECT_TIMEOUT_MS = 1000

/**
 * The connection that hears what other processes announce; it can do nothing else. Messages sent while it was away are lost: whoever
 * depends on them is told of the gap.
 */
export class RedisListener {
  readonly #redis: Redis
  readonly #handlers = new Map<string, (message: string) => void>()
  readonly #gapHandlers: (() => void)[] = []
  readonly #subscribed: Promise<unknown>[] = []
  #connections = 0

  constructor(url: string) {
    this.#redis = new Redis(url, {
      connectTimeout: CONNECT_TIMEOUT_MS,
      // A subscription waits for the connection, however long it takes.
      maxRetriesPerRequest: null,
      retryStrategy: (attempt) => Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempt, 10)),
    })
    this.#redis.on('error', () => undefined)
    this.#redis.on('message', (channel: string, message: string) => this.#handlers.get(channel)?.(message))
    this.#redis.on('ready', () => {
      this.#connections += 1
      if (this.#connections > 1) for (const onGap of this.#gapHandlers) onGap()
    })
  }

  /** One handler a channel. */
  hear(channel: string, handler: (message: string) => void): void {
    this.#handlers.set(channel, handler)
    // Rejects only when closed before it ever connected.
    this.#subscribed.push(this.#redis.subscribe(channel).catch(() => undefined))
  }

  onGap(handler: () => void): void {
    this.#gapHandlers.push(handler)
  }

  /** Resolves when everything asked to be heard so far is heard. */
  async listening(): Promise<void> {
    await Promise.all(this.#subscribed)
  }

  close(): void {
    this.#redis.disconnect()
  }
}
