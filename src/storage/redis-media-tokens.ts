import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { isClientsViaError } from '../core/errors.ts'
import { MEDIA_TOKEN_TTL_MS, type MediaClaims, type MediaTokens } from '../telephony/media-tokens.ts'
import { sharedKey } from './redis-keys.ts'
import type { RedisLink } from './redis-link.ts'

/** Hosts' clocks are a little apart; a token that the issuing host takes for new must not be old on the next. */
const CLOCK_SKEW_MS = 5000
/** Tokens used in this process and not yet expired: a minute of 160 calls a second. */
const MAX_REMEMBERED = 10_000

const payloadSchema = z.strictObject({
  companyId: z.string().min(1),
  callSid: z.string().min(1),
  accountSid: z.string(),
  from: z.string(),
  to: z.string(),
  resumed: z.boolean(),
  nonce: z.string().min(16),
  expiresAtMs: z.number(),
})

/**
 * One-use tickets that any process can check. The claims travel in the token itself, under a key that all processes share, and Redis keeps
 * only which ones are used: a webhook and its stream may reach two processes with Redis stopping between them, and the call goes on.
 * While Redis is away a token works once in each process instead of once.
 */
export class RedisMediaTokens implements MediaTokens {
  readonly #link: RedisLink
  readonly #clock: Clock
  readonly #keys: readonly Uint8Array[]
  /** Nonce to when it expires; oldest first, as all live equally long. */
  readonly #usedHere = new Map<string, number>()

  /** `keys`: the same in every process, 32 bytes each; the first signs, all of them are believed, so that keys can be exchanged in steps. */
  constructor(link: RedisLink, clock: Clock, keys: readonly [Uint8Array, ...Uint8Array[]]) {
    this.#link = link
    this.#clock = clock
    this.#keys = keys
  }

  async issue(claims: MediaClaims, signal?: AbortSignal): Promise<string> {
    signal?.throwIfAborted()
    const payload: z.infer<typeof payloadSchema> = {
      ...claims,
      nonce: randomBytes(16).toString('base64url'),
      expiresAtMs: this.#clock.wallTime().getTime() + MEDIA_TOKEN_TTL_MS,
    }
    const text = Buffer.from(JSON.stringify(payload)).toString('base64url')
    return `${text}.${sign(text, this.#keys[0] as Uint8Array).toString('base64url')}`
  }

  async consume(token: string, signal?: AbortSignal): Promise<MediaClaims | null> {
    signal?.throwIfAborted()
    const payload = this.#read(token)
    if (payload === null) return null
    const { nonce, expiresAtMs, ...claims } = payload
    const leftMs = expiresAtMs - this.#clock.wallTime().getTime()
    if (leftMs <= 0 || !this.#useHere(nonce, expiresAtMs)) return null
    try {
      const first = await this.#link.run(
        (redis) => redis.set(sharedKey('used-media-token', nonce), '1', 'PX', Math.ceil(leftMs) + CLOCK_SKEW_MS, 'NX'),
        signal,
      )
      return first === 'OK' ? claims : null
    } catch (error) {
      if (isClientsViaError(error, 'STORE_FAILED')) return claims
      throw error
    }
  }

  /** Null for whatever was not signed by one of these processes. */
  #read(token: string): z.infer<typeof payloadSchema> | null {
    const [, text, mac] = /^([\w-]{1,600})\.([\w-]{43})$/.exec(token) ?? []
    if (text === undefined || mac === undefined) return null
    const given = Buffer.from(mac, 'base64url')
    if (!this.#keys.some((key) => timingSafeEqual(given, sign(text, key)))) return null
    return payloadSchema.parse(JSON.parse(Buffer.from(text, 'base64url').toString()))
  }

  /** True the first time. Before Redis is asked, so that of two sockets in this process one wins whatever Redis says. */
  #useHere(nonce: string, expiresAtMs: number): boolean {
    const now = this.#clock.wallTime().getTime()
    for (const [old, endsAtMs] of this.#usedHere) {
      if (endsAtMs > now && this.#usedHere.size < MAX_REMEMBERED) break
      this.#usedHere.delete(old)
    }
    if (this.#usedHere.has(nonce)) return false
    this.#usedHere.set(nonce, expiresAtMs)
    return true
  }
}

function sign(text: string, key: Uint8Array): Buffer {
  return createHmac('sha256', key).update('media token ').update(text).digest()
}
