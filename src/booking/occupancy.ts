import type { BusyTime } from './appointment-repository.ts'
import type { Span } from './working-time.ts'

/** One resource's time as far as it is taken: by appointments, each of which takes one place, and by what takes all of it. */
export class Occupancy {
  readonly #capacity: number
  readonly #taken: readonly Span[]
  readonly #away: readonly Span[]
  /** The longest that anything lasts: how far before a moment one must look for what may still be going on. */
  readonly #longestMs: number

  /** `away`: outside calendars, in which a person is busy whatever the capacity. */
  constructor(capacity: number, taken: readonly Span[], away: readonly Span[]) {
    this.#capacity = capacity
    this.#taken = [...taken].sort((a, b) => a.startsAtMs - b.startsAtMs)
    this.#away = [...away].sort((a, b) => a.startsAtMs - b.startsAtMs)
    this.#longestMs = Math.max(0, ...this.#taken.map((span) => span.endsAtMs - span.startsAtMs), ...this.#away.map((span) => span.endsAtMs - span.startsAtMs))
  }

  /** Whether there is a place at every moment of `span`. */
  hasRoom(span: Span): boolean {
    return this.#away.every((away) => !overlaps(away, span)) && mostAtOnce(this.#overlapping(span)) < this.#capacity
  }

  /** How much of `span` is taken, in milliseconds: who has less to do is asked first. */
  load(span: Span): number {
    return this.#overlapping(span).reduce((sum, taken) => sum + Math.min(taken.endsAtMs, span.endsAtMs) - Math.max(taken.startsAtMs, span.startsAtMs), 0)
  }

  #overlapping(span: Span): Span[] {
    const found: Span[] = []
    for (let at = firstFrom(this.#taken, span.startsAtMs - this.#longestMs); at < this.#taken.length; at++) {
      const taken = this.#taken[at] as Span
      if (taken.startsAtMs >= span.endsAtMs) break
      if (taken.endsAtMs > span.startsAtMs) found.push(taken)
    }
    return found
  }
}

export function overlaps(one: Span, other: Span): boolean {
  return one.startsAtMs < other.endsAtMs && other.startsAtMs < one.endsAtMs
}

/** Busy times by resource. */
export function byResource(busy: readonly BusyTime[]): ReadonlyMap<string, readonly Span[]> {
  const spans = new Map<string, Span[]>()
  for (const one of busy) {
    const own = spans.get(one.resourceId)
    if (own === undefined) spans.set(one.resourceId, [one])
    else own.push(one)
  }
  return spans
}

/** By start; ends are kept in a list that is never longer than what overlaps. */
function mostAtOnce(spans: readonly Span[]): number {
  let most = 0
  for (const span of spans) {
    // The fullest moment is one at which something begins.
    const present = spans.filter((other) => other.startsAtMs <= span.startsAtMs && other.endsAtMs > span.startsAtMs).length
    most = Math.max(most, present)
  }
  return most
}

function firstFrom(spans: readonly Span[], momentMs: number): number {
  let [low, high] = [0, spans.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((spans[middle] as Span).startsAtMs < momentMs) low = middle + 1
    else high = middle
  }
  return low
}
