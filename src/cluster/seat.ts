import { InMemoryCallDirectory, type CallDirectory } from '../call/call-directory.ts'
import type { Clock } from '../core/clock.ts'
import type { EventBus } from '../observability/event-bus.ts'
import { InMemoryMediaTokens, type MediaTokens } from '../telephony/media-tokens.ts'
import type { News, WorkerLink } from './link.ts'
import { SharedCallDirectory, SharedMediaTokens } from './shared-calls.ts'
import { ALONE, type WorkerPlace } from './worker-place.ts'

/** One process's place among those that answer calls on the same port, and what it shares with them. */
export type Seat = Readonly<{
  /** It does what must be done once: seeding, the first owner, sweeps. */
  isFirst: boolean
  directory: CallDirectory
  mediaTokens: MediaTokens
  /** For everybody who watches, on whichever process. */
  publish: (companyId: string, event: News['event']['event']) => void
  /** Something of the company was saved here: the others must hear of it. */
  saved: (companyId: string) => void
  onSavedElsewhere: (listener: (companyId: string) => void) => void
  /** The metrics of all processes; null: there is only this one. */
  metricsOfAll: (() => Promise<string>) | null
  /** This process takes calls now. */
  ready: () => Promise<void>
}>

export type SeatDeps = Readonly<{ clock: Clock; events: EventBus; maxCalls: number }>
export type Place = WorkerPlace & Readonly<{ link: WorkerLink | null }>
export const ONLY_PROCESS: Place = { ...ALONE, link: null }

export function takeSeat({ place, link }: Place, { clock, events, maxCalls }: SeatDeps): Seat {
  if (link === null) {
    return {
      isFirst: true,
      directory: new InMemoryCallDirectory({ maxCalls }),
      mediaTokens: new InMemoryMediaTokens(clock),
      publish: (companyId, event) => events.publish(companyId, event),
      saved: () => undefined,
      onSavedElsewhere: () => undefined,
      metricsOfAll: null,
      ready: async () => undefined,
    }
  }
  // Published when it comes back from the primary, so that every process numbers a company's events alike.
  link.onNews('event', ({ companyId, event }) => events.publish(companyId, event))
  return {
    isFirst: place === 0,
    directory: new SharedCallDirectory(link),
    mediaTokens: new SharedMediaTokens(link),
    publish: (companyId, event) => link.tell('event', { companyId, event }),
    saved: (companyId) => link.tell('company-saved', { companyId, place }),
    onSavedElsewhere: (listener) =>
      link.onNews('company-saved', (saved) => {
        if (saved.place !== place) listener(saved.companyId)
      }),
    metricsOfAll: () => link.ask('metrics.text', null, null),
    ready: async () => void (await link.ask('worker.ready', null, null)),
  }
}
