import type { Clock, Instant } from '../core/clock.ts'

export type Allowance = 'take' | 'drop' | 'flooding'

/**
 * A token bucket for one socket's messages. Twilio sends 50 a second and, after a network stall, all that it held back at once:
 * twice the rate and four seconds of burst lose nothing of that. Who exceeds it keeps losing messages, then the socket.
 */
export class MessageAllowance {
  readonly #clock: Clock
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #filledAt: Instant
  #dropped = 0

  constructor(clock: Clock, perSecond: number, burst: number) {
    this.#clock = clock
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
    this.#filledAt = clock.now()
  }

  next(): Allowance {
    const now = this.#clock.now()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#filledAt) * this.#perSecond) / 1000)
    this.#filledAt = now
    if (this.#tokens >= this.#burst) this.#dropped = 0
    if (this.#tokens >= 1) {
      this.#tokens -= 1
      return 'take'
    }
    this.#dropped += 1
    return this.#dropped > this.#burst ? 'flooding' : 'drop'
  }
}
