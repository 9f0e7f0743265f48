import { createHash, randomBytes } from 'node:crypto'
import { later, type Clock, type Instant } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'

/** What the signed webhook vouches for, and the media stream may then claim. */
export type MediaClaims = Readonly<{
  companyId: string
  callSid: string
  accountSid: string
  from: string
  to: string
  resumed: boolean
}>

/** One-use tickets from the webhook to the media stream it asked for: the stream itself carries no proof of who is calling whom. */
export interface MediaTokens {
  /** A token of 43 to 490 URL-safe characters, which fits into a stream's parameter. @throws ClientsViaError OVERLOADED when too many are outstanding. */
  issue(claims: MediaClaims, signal?: AbortSignal): Promise<string>
  /** Atomic: of any number of attempts with one token exactly one gets the claims. Null: unknown, used or expired. */
  consume(token: string, signal?: AbortSignal): Promise<MediaClaims | null>
}

/** Twilio dials the stream within a second of our answer; a minute covers its slowest retry. */
export const MEDIA_TOKEN_TTL_MS = 60_000
/** A minute of 160 calls a second, about 5 MB. */
const MAX_OUTSTANDING = 10_000

export class InMemoryMediaTokens implements MediaTokens {
  readonly #clock: Clock
  readonly #capacity: number
  /** By the token's digest, so that a look-up's time says nothing about a token. Oldest first, as all live equally long. */
  readonly #claims = new Map<string, Readonly<{ claims: MediaClaims; expiresAt: Instant }>>()

  constructor(clock: Clock, capacity = MAX_OUTSTANDING) {
    this.#clock = clock
    this.#capacity = capacity
  }

  async issue(claims: MediaClaims, signal?: AbortSignal): Promise<string> {
    signal?.throwIfAborted()
    this.#dropExpired()
    if (this.#claims.size >= this.#capacity) throw new ClientsViaError('OVERLOADED', 'too many media tokens are outstanding')
    const token = randomBytes(32).toString('base64url')
    this.#claims.set(digest(token), { claims, expiresAt: later(this.#clock.now(), MEDIA_TOKEN_TTL_MS) })
    return token
  }

  async consume(token: string, signal?: AbortSignal): Promise<MediaClaims | null> {
    signal?.throwIfAborted()
    this.#dropExpired()
    const key = digest(token)
    const entry = this.#claims.get(key)
    this.#claims.delete(key)
    return entry?.claims ?? null
  }

  #dropExpired(): void {
    const now = this.#clock.now()
    for (const [key, entry] of this.#claims) {
      if (entry.expiresAt > now) return
      this.#claims.delete(key)
    }
  }
}

function digest(token: string): string {
  return createHash('sha256').update(token).digest('base64')
}
