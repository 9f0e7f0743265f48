import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/clock.ts'

/** Twilio's signature has no time in it, so a captured request stays valid: a day covers every retry and most replays. */
const KEPT_MS = 24 * 3600 * 1000
/** About 1 KB each. */
const KEPT_REPLIES = 10_000

/** A webhook repeated by the carrier, or by somebody who recorded it, gets the bytes of the first answer and changes nothing. */
export class WebhookReplies {
  readonly #replies: LRUCache<string, Promise<string>>

  constructor(clock: Clock) {
    this.#replies = new LRUCache({ max: KEPT_REPLIES, ttl: KEPT_MS, ttlResolution: 0, perf: { now: () => clock.now() } })
  }

  /** `key` null: this request cannot be told from another, so it is answered anew. A failed answer is not kept. */
  async once(key: string | null, answer: () => Promise<string>): Promise<string> {
    if (key === null) return answer()
    const earlier = this.#replies.get(key)
    if (earlier !== undefined) return earlier
    const reply = answer()
    this.#replies.set(key, reply)
    try {
      return await reply
    } catch (error) {
      this.#replies.delete(key)
      throw error
    }
  }
}

/** One request's identity: the carrier's own token when it sent one, else what it asked. */
export function replyKey(route: string, callSid: string, idempotencyToken: string | null, params: Readonly<Record<string, unknown>>): string {
  if (idempotencyToken !== null) return `${route} ${callSid} token ${idempotencyToken}`
  const sorted = Object.keys(params)
    .toSorted()
    .map((name) => [name, params[name]])
  return `${route} ${callSid} digest ${createHash('sha256').update(JSON.stringify(sorted)).digest('base64')}`
}
