import type { Clock } from '../core/clock.ts'
import type { CallDirectory } from './call-directory.ts'
import type { CallRepository } from './call-record.ts'
import { usageOf, type Usage } from './usage.ts'

/** What the operator pays, in US cents; null where nobody said. */
export type UsageRates = Readonly<{
  callMinuteCents: number | null
  modelTokenCents: number | null
  sttMinuteCents?: number | null
  ttsCharacterCents?: number | null
}>

export type UsageCost = Readonly<{ callsCents: number | null; modelCents: number | null; wastedModelCents: number | null; listeningCents: number | null; speakingCents: number | null }>

/** The one figure: what the usage page shows is what the daily limit counts. */
export function costOf(usage: Pick<Usage, 'minutes' | 'modelTokens' | 'wastedModelTokens' | 'modelCents' | 'wastedModelCents' | 'sttSeconds' | 'ttsCharacters'>, rates: UsageRates): UsageCost {
  // A model's own price first; the flat rate where a model has none.
  const flat = (tokens: number): number | null => (rates.modelTokenCents === null ? null : tokens * rates.modelTokenCents)
  const { sttMinuteCents = null, ttsCharacterCents = null } = rates
  return {
    callsCents: rates.callMinuteCents === null ? null : usage.minutes * rates.callMinuteCents,
    modelCents: usage.modelCents ?? flat(usage.modelTokens),
    wastedModelCents: usage.wastedModelCents ?? flat(usage.wastedModelTokens),
    listeningCents: sttMinuteCents === null ? null : (usage.sttSeconds / 60) * sttMinuteCents,
    speakingCents: ttsCharacterCents === null ? null : usage.ttsCharacters * ttsCharacterCents,
  }
}

export type SpendDeps = Readonly<{
  clock: Clock
  calls: Pick<CallRepository, 'list' | 'turns'>
  directory: Pick<CallDirectory, 'live'>
  rates: UsageRates
  signal: AbortSignal
  onFailure: (companyId: string, error: unknown) => void
}>

/** A figure older than this is read again when somebody asks. */
const FRESH_MS = 10_000
/** Reading a busy company's day takes seconds: no more than a twentieth of the time goes into it. */
const READING_SHARE = 20
/** Companies whose figure is kept; each is a few numbers. */
const MAX_KNOWN = 5000

type Figure = { readonly day: string; finishedCents: number; staleAt: number; reading: Promise<void> | null }

/**
 * What a company has spent since midnight UTC: what its finished calls cost, read from the calls themselves, so that every process and
 * the usage page agree and a restart forgets nothing, and what the minutes of its live calls have cost until now. The stored part is up
 * to ten seconds old, more where a day takes long to read: the limit may be passed by what is spent in that time.
 */
export class SpendMeter {
  readonly #deps: SpendDeps
  readonly #known = new Map<string, Figure>()

  constructor(deps: SpendDeps) {
    this.#deps = deps
  }

  /** In US cents. */
  async spentToday(companyId: string, signal: AbortSignal): Promise<number> {
    const figure = this.#figureOf(companyId)
    const isKnown = figure.staleAt > -Infinity
    const reading = this.#refresh(companyId, figure)
    if (!isKnown && reading !== null) await orAborted(reading, signal)
    return figure.finishedCents + (await this.#liveCents(companyId, signal))
  }

  #figureOf(companyId: string): Figure {
    const day = this.#deps.clock.wallTime().toISOString().slice(0, 10)
    const known = this.#known.get(companyId)
    if (known?.day === day) return known
    const [oldest] = this.#known.keys()
    if (this.#known.size >= MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest)
    const figure: Figure = { day, finishedCents: 0, staleAt: -Infinity, reading: null }
    this.#known.set(companyId, figure)
    return figure
  }

  #refresh(companyId: string, figure: Figure): Promise<void> | null {
    const { clock } = this.#deps
    if (figure.reading === null && clock.now() >= figure.staleAt) {
      const startedAt = clock.now()
      figure.reading = this.#read(companyId, figure)
        .catch((error: unknown) => this.#deps.onFailure(companyId, error))
        .then(() => {
          figure.staleAt = clock.now() + Math.max(FRESH_MS, (clock.now() - startedAt) * READING_SHARE)
          figure.reading = null
        })
    }
    return figure.reading
  }

  async #read(companyId: string, figure: Figure): Promise<void> {
    const { calls, rates, clock, signal } = this.#deps
    const period = { from: `${figure.day}T00:00:00.000Z`, to: clock.wallTime().toISOString() }
    const cost = costOf(await usageOf(calls, companyId, period, signal), rates)
    figure.finishedCents = (cost.callsCents ?? 0) + (cost.modelCents ?? 0) + (cost.listeningCents ?? 0) + (cost.speakingCents ?? 0)
  }

  /** Their tokens are stored turn by turn, their minutes only when they end. */
  async #liveCents(companyId: string, signal: AbortSignal): Promise<number> {
    const { callMinuteCents } = this.#deps.rates
    if (callMinuteCents === null) return 0
    const now = this.#deps.clock.wallTime().getTime()
    const live = await this.#deps.directory.live(companyId, signal)
    return live.reduce((cents, { startedAt }) => cents + (Math.max(0, now - Date.parse(startedAt)) / 60_000) * callMinuteCents, 0)
  }
}

/** The reading goes on for the others who wait for it. */
async function orAborted(reading: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([reading, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
