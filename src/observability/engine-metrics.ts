import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

export type EngineUse = 'stt' | 'tts'

/** What the speech vendors do for us, in closed lists of labels: an engine, a use; no company, no key. */
export type EngineMetrics = Readonly<{
  /** Listening: from our asking for final words to having them. Speaking: to the first audio. */
  firstByte(use: EngineUse, engine: string, ms: number): void
  /** Beside the sum of all engines: which one it was, and whether another took its place. */
  failed(use: EngineUse, engine: string): void
  listened(engine: string, seconds: number): void
  spoke(engine: string, characters: number): void
  /** Read when the metrics are. */
  watchBreakers(states: () => readonly Readonly<{ key: string; state: 'closed' | 'half-open' | 'open' }>[]): void
}>

/** Around the 50 to 400 ms that vendors take in good health. In seconds. */
const FIRST_BYTE_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 2, 4]
const BREAKER_VALUE = { closed: 0, 'half-open': 1, open: 2 } as const

export function createEngineMetrics(registry: Registry, rates: Readonly<{ sttMinuteCents: number | null; ttsCharacterCents: number | null }>): EngineMetrics {
  const registers = [registry]
  const labelNames = ['use', 'engine'] as const
  const firstByte = new Histogram({ name: 'clientsvia_engine_first_byte_seconds', help: 'Request to first result of a speech engine', labelNames, buckets: FIRST_BYTE_BUCKETS, registers })
  const failures = new Counter({ name: 'clientsvia_speech_engine_failures_total', help: 'Speech engines that were replaced by their fallback', labelNames, registers })
  const seconds = new Counter({ name: 'clientsvia_stt_seconds_total', help: 'Audio sent to a listening vendor, replays included', labelNames: ['engine'], registers })
  const characters = new Counter({ name: 'clientsvia_tts_characters_total', help: 'Characters spoken by an engine, cached phrases not counted', labelNames: ['engine'], registers })
  const cents = new Counter({ name: 'clientsvia_speech_cost_cents_total', help: 'What speech vendors cost, by the configured rates', labelNames: ['use'], registers })
  return {
    firstByte: (use, engine, ms) => firstByte.observe({ use, engine }, ms / 1000),
    failed: (use, engine) => failures.inc({ use, engine }),
    listened: (engine, spentSeconds) => {
      seconds.inc({ engine }, spentSeconds)
      if (rates.sttMinuteCents !== null) cents.inc({ use: 'stt' }, (spentSeconds / 60) * rates.sttMinuteCents)
    },
    spoke: (engine, count) => {
      characters.inc({ engine }, count)
      // The voice that comes along costs nothing.
      if (rates.ttsCharacterCents !== null && engine !== 'embedded') cents.inc({ use: 'tts' }, count * rates.ttsCharacterCents)
    },
    watchBreakers: (states) => {
      new Gauge({
        name: 'clientsvia_breaker_state',
        help: 'Worst breaker of a provider and use: 0 closed, 1 half-open, 2 open',
        labelNames: ['provider'],
        registers,
        collect() {
          this.reset()
          const worst = new Map<string, number>()
          // The account is the last word of a key, and no label.
          for (const { key, state } of states()) {
            const provider = key.split(' ').slice(0, 2).join(' ')
            worst.set(provider, Math.max(worst.get(provider) ?? 0, BREAKER_VALUE[state]))
          }
          for (const [provider, value] of worst) this.set({ provider }, value)
        },
      })
    },
  }
}
