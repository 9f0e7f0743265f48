/** The part of a pino logger that telephony uses: facts in keys, a constant message. Speech and phone numbers never go in. */
export interface TelephonyLogger {
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}

/** How often things happened that are too many or too small to log one by one. Read by metrics. */
export class TelephonyCounters {
  readonly #counts = new Map<string, number>()

  readonly add = (name: string): void => {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  entries(): readonly (readonly [name: string, count: number])[] {
    return [...this.#counts]
  }
}
