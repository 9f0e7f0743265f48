import { z } from 'zod'
import type { SharedBreakerState } from '../core/breaker.ts'
import type { Clock } from '../core/clock.ts'
import { MemoryBreakerState } from '../core/memory-breaker-state.ts'
import { sharedKey } from './redis-keys.ts'
import type { RedisLink } from './redis-link.ts'
import type { RedisListener } from './redis-listener.ts'

const STATE_KEY = sharedKey('breakers')
const CHANNEL = sharedKey('breakers-channel')

/** Remaining times travel, not moments: hosts' clocks differ. */
const newsSchema = z.strictObject({ key: z.string(), forMs: z.number().min(0) })

/** Opens a breaker until Redis' own time plus `forMs`, and tells everybody. ARGV: key, forMs, the news. */
const TELL = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if tonumber(ARGV[2]) > 0 then redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1]) else redis.call('ZREM', KEYS[1], ARGV[1]) end
redis.call('PUBLISH', KEYS[2], ARGV[3])
return 1`

/** What is open now: key, remaining ms, key, ... */
const ASK = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local open = redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf', 'WITHSCORES')
for i = 2, #open, 2 do open[i] = string.format('%d', open[i] - now) end
return open`

/** Every process keeps its own picture, so that asking costs nothing; Redis carries the news, and the whole picture to a process that starts. */
export class RedisBreakerState implements SharedBreakerState {
  readonly #local: MemoryBreakerState
  readonly #link: RedisLink

  constructor(link: RedisLink, listener: RedisListener, clock: Clock) {
    this.#link = link
    this.#local = new MemoryBreakerState(clock)
    listener.hear(CHANNEL, (message) => this.#hear(newsSchema.parse(JSON.parse(message))))
    listener.onGap(() => void this.catchUp())
  }

  openForMs(key: string): number {
    return this.#local.openForMs(key)
  }

  open(key: string, forMs: number): void {
    this.#local.open(key, forMs)
    this.#tell(key, forMs)
  }

  close(key: string): void {
    this.#local.close(key)
    this.#tell(key, 0)
  }

  /** Reads what the others know; at start, and after a gap. */
  async catchUp(): Promise<void> {
    // Redis away: this process goes by what it finds out itself.
    const open = z.array(z.string()).parse(await this.#link.script(ASK, [STATE_KEY], []).catch(() => []))
    for (let at = 0; at + 1 < open.length; at += 2) this.#local.open(open[at] as string, Number(open[at + 1]))
  }

  #hear(news: z.infer<typeof newsSchema>): void {
    if (news.forMs > 0) this.#local.open(news.key, news.forMs)
    else this.#local.close(news.key)
  }

  #tell(key: string, forMs: number): void {
    void this.#link.script(TELL, [STATE_KEY, CHANNEL], [key, Math.round(forMs), JSON.stringify({ key, forMs: Math.round(forMs) })]).catch(() => undefined)
  }
}
