import { later, type Clock, type Instant } from './clock.ts'

/** Closed: in use. Open: left alone. Half-open: one use is under way to see whether it is well again. */
export type BreakerState = 'closed' | 'half-open' | 'open'

/** One failure may be the request's own fault, or one lost connection. */
const FAILURES_TO_OPEN = 2
/** Failures further apart than this are not one outage. */
const FAILURE_WINDOW_MS = 10_000
/** The first probe comes soon, since one bad minute must not cost an hour; later ones spare a vendor that is really down. */
const FIRST_OPEN_MS = 5000
const LONGEST_OPEN_MS = 30_000
/** A probe that never reports (its caller hung up) gives its place to the next one. */
const PROBE_MS = 10_000
/** A key a company, an engine or two each: more than any process has. */
const MAX_BREAKERS = 10_000

/** What processes tell each other about a provider, so that each need not find out by its own callers. No method waits or throws. */
export interface SharedBreakerState {
  /** How long `key` is to be left alone, in ms, as far as this process has heard; 0: it may be asked. */
  openForMs(key: string): number
  open(key: string, forMs: number): void
  close(key: string): void
}

/** Decides whether a provider is asked at all. Counts what it is told; knows no timers. */
export class Breaker {
  readonly key: string
  readonly #clock: Clock
  readonly #shared: SharedBreakerState | null
  #failures: Instant[] = []
  #openUntil: Instant | null = null
  /** Another process found out, not this one. */
  #isHearsay = false
  #nextOpenMs = FIRST_OPEN_MS
  #probeUntil: Instant | null = null

  constructor(key: string, clock: Clock, shared: SharedBreakerState | null = null) {
    this.key = key
    this.#clock = clock
    this.#shared = shared
  }

  get state(): BreakerState {
    this.#hearOthers()
    if (this.#openUntil === null) return 'closed'
    return this.#clock.now() < this.#openUntil ? 'open' : 'half-open'
  }

  /** True when the provider may be asked; then `succeeded` or `failed` must follow. While half-open, true once at a time. */
  tryPass(): boolean {
    const state = this.state
    if (state === 'closed') return true
    const now = this.#clock.now()
    if (state === 'open' || (this.#probeUntil !== null && now < this.#probeUntil)) return false
    this.#probeUntil = later(now, PROBE_MS)
    return true
  }

  succeeded(): void {
    if (this.#openUntil !== null) this.#shared?.close(this.key)
    this.#close()
  }

  failed(): void {
    const now = this.#clock.now()
    this.#failures = [...this.#failures.filter((at) => now - at < FAILURE_WINDOW_MS), now].slice(-FAILURES_TO_OPEN)
    if (this.#openUntil === null && this.#failures.length < FAILURES_TO_OPEN) return
    // Calls that were under way when it opened report the same outage: it does not count twice.
    if (this.state === 'open') return
    this.#open(this.#nextOpenMs)
    this.#isHearsay = false
    this.#shared?.open(this.key, this.#nextOpenMs)
    this.#nextOpenMs = Math.min(this.#nextOpenMs * 2, LONGEST_OPEN_MS)
  }

  /** Given up before there was an answer to judge by: neither well nor failed. */
  abandoned(): void {
    this.#probeUntil = null
  }

  /** As if nothing had ever failed. For drills. */
  forget(): void {
    this.#shared?.close(this.key)
    this.#close()
  }

  #hearOthers(): void {
    const openMs = this.#shared?.openForMs(this.key) ?? 0
    if (openMs > 0 && this.#openUntil === null) {
      this.#open(openMs)
      this.#isHearsay = true
    } else if (openMs === 0 && this.#isHearsay && this.#openUntil !== null && this.#clock.now() < this.#openUntil) {
      // Whoever tried it first found it well.
      this.#close()
    }
  }

  #open(openMs: number): void {
    this.#openUntil = later(this.#clock.now(), openMs)
    this.#probeUntil = null
  }

  #close(): void {
    this.#failures = []
    this.#openUntil = null
    this.#probeUntil = null
    this.#isHearsay = false
    this.#nextOpenMs = FIRST_OPEN_MS
  }
}

/** A process's breakers, one a provider and key: a company whose own key is refused does not switch the others' off. */
export class Breakers {
  readonly #clock: Clock
  readonly #shared: SharedBreakerState | null
  readonly #byKey = new Map<string, Breaker>()

  constructor(clock: Clock, shared: SharedBreakerState | null = null) {
    this.#clock = clock
    this.#shared = shared
  }

  /** `key` names provider, use and account: "deepgram stt 3f9a2c". Never the account's secret itself. */
  of(key: string): Breaker {
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    const made = new Breaker(key, this.#clock, this.#shared)
    if (this.#byKey.size >= MAX_BREAKERS) this.#byKey.delete(this.#byKey.keys().next().value as string)
    this.#byKey.set(key, made)
    return made
  }

  /** As if nothing had ever failed. For drills. */
  forget(): void {
    for (const breaker of this.#byKey.values()) breaker.forget()
  }

  get states(): readonly Readonly<{ key: string; state: BreakerState }>[] {
    return [...this.#byKey.values()].map(({ key, state }) => ({ key, state }))
  }}
