import type { BreakerState } from '../core/breaker.ts'

/** One part of the server as /readyz tells of it. `degraded`: something else does its work, and callers are answered all the same. */
export type PartHealth = Readonly<{ ok: boolean; degraded: boolean; detail: string }>

/** Companies may have accounts of their own: a line of text for a person, not a list of all of them. */
const MOST_NAMED = 5

/**
 * Vendors by their breakers. One that has just failed keeps no call from being answered, so the server stays in use; it is ill until it has been
 * asked again and was well.
 */
export function vendorHealth(states: readonly Readonly<{ key: string; state: BreakerState }>[]): PartHealth {
  const ill = states.filter(({ state }) => state !== 'closed')
  if (ill.length === 0) return { ok: true, degraded: false, detail: states.length === 0 ? 'none was asked yet' : 'those that were asked have answered' }
  const named = ill.slice(0, MOST_NAMED).map(({ key, state }) => `${key} (${state === 'open' ? 'left alone' : 'to be tried again'})`)
  const more = ill.length > MOST_NAMED ? ` and ${ill.length - MOST_NAMED} more` : ''
  return { ok: true, degraded: true, detail: `degraded: ${named.join(', ')}${more}; others answer in their place` }
}
