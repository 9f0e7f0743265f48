import type { Clock } from '../core/clock.ts'
import { OneShot } from '../core/one-shot.ts'
import type { Scope } from '../core/scope.ts'

/** Keys of one entry come faster than this; the entry is over after it. */
const GATHER_MS = 2500
const MAX_DIGITS = 32

/** Collects the keys of one entry: a single key at once, a number until it is whole, '#' is pressed or the caller pauses. */
export class KeyEntry {
  readonly #timer: OneShot
  readonly #onEntered: (digits: string) => void
  #digits = ''

  constructor(clock: Clock, scope: Scope, onEntered: (digits: string) => void) {
    this.#timer = new OneShot(clock, scope)
    this.#onEntered = onEntered
  }

  /** `wanted`: how many digits the agent has asked for; 1 where it asked for none. */
  press(digit: string, wanted: number): void {
    const ends = digit === '#' && wanted > 1
    if (!ends) this.#digits += digit
    if (ends || this.#digits.length >= Math.min(wanted, MAX_DIGITS)) this.#enter()
    else this.#timer.start(GATHER_MS, () => this.#enter())
  }

  #enter(): void {
    this.#timer.cancel()
    const digits = this.#digits
    this.#digits = ''
    if (digits !== '') this.#onEntered(digits)
  }
}
