import type { Clock } from '../core/clock.ts'
import { OneShot } from '../core/one-shot.ts'
import type { Scope } from '../core/scope.ts'
import type { CallAction } from '../response/responder.ts'
import type { CallLimit } from './conversation-deps.ts'

/** A goodbye that has not come to its end by then is not waited for. */
const GOODBYE_MS = 15_000
/** After the last words nobody may hang the line up forever on a lost mark. */
const HANG_UP_GRACE_MS = 300

export type EndingListener = Readonly<{
  /** Told once, with the first limit that was reached. */
  onLimit: (limit: CallLimit) => void
  /** How the call goes on, before the line is given up. */
  onAction: (action: CallAction) => void
  hangUp: () => void
  /** The call's minutes are used up. */
  onTimeUp: () => void
}>

/** How a call comes to its end: by what the agent decided, or by a limit, after a goodbye in words. */
export class CallEnding {
  readonly #timer: OneShot
  readonly #listener: EndingListener
  #action: CallAction | null = null
  /** 'due': the agent finishes what it is saying first. */
  #limit: 'none' | 'due' | 'said' = 'none'

  constructor(clock: Clock, scope: Scope, listener: EndingListener) {
    this.#timer = new OneShot(clock, scope)
    this.#listener = listener
  }

  /** What was decided; null while the call goes on. */
  get action(): CallAction | null {
    return this.#action
  }

  get limit(): 'none' | 'due' | 'said' {
    return this.#limit
  }

  allowMinutes(minutes: number): void {
    this.#timer.start(minutes * 60_000, this.#listener.onTimeUp)
  }

  /** From here on a goodbye is due, and whatever becomes of the goodbye, the end. */
  goodbyeDue(limit: CallLimit): void {
    if (this.#limit === 'none') this.#listener.onLimit(limit)
    this.#limit = 'due'
    this.#timer.start(GOODBYE_MS, () => this.act({ kind: 'hang-up', reason: 'limit' }))
  }

  goodbyeBegins(): void {
    this.#limit = 'said'
  }

  act(action: CallAction): void {
    this.#action = action
    this.#listener.onAction(action)
    this.#timer.start(HANG_UP_GRACE_MS, this.#listener.hangUp)
  }
}
