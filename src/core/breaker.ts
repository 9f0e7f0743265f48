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

/** What processes tell each other about a provider, so that each need not find out by itself. Must neither throw nor wait. */
export interface SharedBreakerState {
  /** Told to the others: `key` is open for that long, or well again (null). */
  announce(key: string, openMs: number | null): void
  /** What the others announced. Returns the end of it. */
  subscribe(listener: (key: string, openMs: number | null) => void): () => void
}

/** Decides whether a provider is asked at all. Counts what it is told; knows no timers. */
export class Breaker {
  readonly key: string
  readonly #clock: Clock
  readonly #announce: (openMs: number | null) => void
  #failures: Instant[] = []
  #openUntil: Instant | null = null
  #nextOpenMs = FIRST_OPEN_MS
  #probeUntil: Instant | null = null

  constructor(key: string, clock: Clock, announce: (openMs: number | null) => void = () => undefined) {
    this.key = key
    this.#clock = clock
    this.#announce = announce
  }

  get state(): BreakerState {
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
    const wasOpen = this.#openUntil !== null
    this.#close()
    if (wasOpen) this.#announce(null)
  }

  failed(): void {
    const now = this.#clock.now()
    this.#failures = [...this.#failures.filter((at) => now - at < FAILURE_WINDOW_MS), now].slice(-FAILURES_TO_OPEN)
    if (this.#openUntil === null && this.#failures.length < FAILURES_TO_OPEN) return
    // Calls that were under way when it opened report the same outage: it does not count twice.
    if (this.state === 'open') return
    this.#open(this.#nextOpenMs)
    this.#announce(this.#nextOpenMs)
    this.#nextOpenMs = Math.min(this.#nextOpenMs * 2, LONGEST_OPEN_MS)
  }

  /** Given up before there was an answer to judge by: neither well nor failed. */
  abandoned(): void {
    this.#probeUntil = null
  }

  /** Another process found out. */
  heardFromOthers(openMs: number | null): void {
    if (openMs === null) this.#close()
    else if (this.state !== 'open') this.#open(openMs)
  }

  #open(openMs: number): void {
    this.#openUntil = later(this.#clock.now(), openMs)
    this.#probeUntil = null
  }

  #close(): void {
    this.#failures = []
    this.#openUntil = null
    this.#probeUntil = null
    this.#nextOpenMs = FIRST_OPEN_MS
  }
}

/** A process's breakers, one a provider and key: a company whose own key is refused does not switch the others' off. */
export class Breakers {
  readonly #clock: Clock
  readonly #shared: SharedBreakerState | null
  readonly #byKey = new Map<string, Breaker>()
  readonly #unsubscribe: () => void

  constructor(clock: Clock, shared: SharedBreakerState | null = null) {
    this.#clock = clock
    this.#shared = shared
    this.#unsubscribe = shared?.subscribe((key, openMs) => this.of(key).heardFromOthers(openMs)) ?? (() => undefined)
  }

  /** `key` names provider, use and account: "deepgram stt 3f9a2c". Never the account's secret itself. */
  of(key: string): Breaker {
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    const made = new Breaker(key, this.#clock, (openMs) => this.#shared?.announce(key, openMs))
    if (this.#byKey.size >= MAX_BREAKERS) this.#byKey.delete(this.#byKey.keys().next().value as string)
    this.#byKey.set(key, made)
    return made
  }

  get states(): readonly Readonly<{ key: string; state: BreakerState }>[] {
    return [...this.#byKey.values()].map(({ key, state }) => ({ key, state }))
  }

  close(): void {
    this.#unsubscribe()
  }
}
