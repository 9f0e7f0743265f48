import { z } from 'zod'
import { isClientsViaError } from '../core/errors.ts'
import type { AttemptAnswer, AttemptLimit, AttemptRepository } from '../security/repositories.ts'
import { companyKey } from './redis-keys.ts'
import type { RedisLink } from './redis-link.ts'

/** The rule of `AttemptLimit`, in one step. ARGV: now, free tries, first delay, longest delay, forget after. Gives: allowed, retry after, tries. */
const BEGIN = `
local now = tonumber(ARGV[1])
local kept = redis.call('HMGET', KEYS[1], 'attempts', 'blockedUntil', 'forgetAt')
local remembered = kept[3] and tonumber(kept[3]) > now
local before = remembered and tonumber(kept[1]) or 0
local blockedUntil = remembered and tonumber(kept[2]) or 0
if blockedUntil > now then return { 0, tostring(blockedUntil - now), before } end
local attempts = before + 1
local beyond = attempts - tonumber(ARGV[2])
local delay = 0
if beyond >= 0 then delay = math.min(tonumber(ARGV[4]), tonumber(ARGV[3]) * 2 ^ math.min(beyond, 40)) end
local forgetAfter = tonumber(ARGV[5])
redis.call('HSET', KEYS[1], 'attempts', attempts, 'blockedUntil', string.format('%.0f', now + delay), 'forgetAt', string.format('%.0f', now + delay + forgetAfter))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', delay + forgetAfter))
return { 1, '0', attempts }`

const answerSchema = z.tuple([z.number(), z.string(), z.number()])

/** Login counters that all processes share. While Redis is away the store's own counters go on: nobody gets free tries by it. */
export class RedisAttemptRepository implements AttemptRepository {
  readonly #link: RedisLink
  readonly #whenAway: AttemptRepository

  constructor(link: RedisLink, whenAway: AttemptRepository) {
    this.#link = link
    this.#whenAway = whenAway
  }

  async begin(companyId: string, key: string, limit: AttemptLimit, nowMs: number, signal?: AbortSignal): Promise<AttemptAnswer> {
    try {
      const values = [nowMs, limit.free, limit.firstDelayMs, limit.maxDelayMs, limit.forgetAfterMs]
      const [allowed, retryAfterMs, attempts] = answerSchema.parse(await this.#link.script(BEGIN, [attemptKey(companyId, key)], values, signal))
      return { allowed: allowed === 1, retryAfterMs: Number(retryAfterMs), attempts }
    } catch (error) {
      if (!isClientsViaError(error, 'STORE_FAILED')) throw error
      return this.#whenAway.begin(companyId, key, limit, nowMs, signal)
    }
  }

  async clear(companyId: string, key: string, signal?: AbortSignal): Promise<void> {
    try {
      await this.#link.run((redis) => redis.del(attemptKey(companyId, key)), signal)
    } catch (error) {
      if (!isClientsViaError(error, 'STORE_FAILED')) throw error
    }
    await this.#whenAway.clear(companyId, key, signal)
  }
}

function attemptKey(companyId: string, key: string): string {
  return companyKey(companyId, 'attempts', key)
}
