import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { isClientsViaError } from '../core/errors.ts'
import type { AppointmentRequest, BookingDesk, Opening } from './booking-desk.ts'
import type { Effect, EffectResult, Effects, EffectsForTurn, LeadInput } from './effect.ts'

export type EffectRunnerDeps = Readonly<{
  clock: Clock
  desk: BookingDesk
  /** Keeps what a caller wanted for the company's people; the same key again is the same lead. */
  keepLead: (companyId: string, lead: LeadInput, facts: Readonly<{ callSid: string; idempotencyKey: string }>, signal: AbortSignal) => Promise<void>
  /** Ends with the process: what was begun for a caller is finished, also when they have hung up. */
  signal: AbortSignal
  onFailure: (companyId: string, callSid: string, kind: Effect['kind'], error: unknown) => void
}>

/** A caller waits for it in silence or behind "one moment"; a store that takes longer is not going to be right. */
const EFFECT_MS = 3000
/** What is still free near a time that was taken: as far as a caller would look, and as many as one can keep in mind. */
const ALTERNATIVES_WITHIN_MS = 7 * 24 * 3_600_000
const MOST_ALTERNATIVES = 3
/** Results of a few hundred calls: asked again, they are given again. */
const MOST_REMEMBERED = 5000

/** What calls change in the world: after their turn is committed, once for each call, turn and kind. */
export class EffectRunner {
  readonly #deps: EffectRunnerDeps
  readonly #done = new LRUCache<string, Readonly<{ asked: string; result: Promise<EffectResult> }>>({ max: MOST_REMEMBERED })

  constructor(deps: EffectRunnerDeps) {
    this.#deps = deps
  }

  readonly forTurn: EffectsForTurn = ({ companyId, callSid, turn, committed }): Effects => ({
    perform: async (effect, signal) => {
      await settledOrAborted(committed, signal)
      const key = `${callSid}:${turn}:${effect.kind}`
      const remembered = `${companyId} ${key}`
      const asked = fingerprint(effect)
      const known = this.#done.get(remembered)
      if (known?.asked === asked) return known.result
      const result = known === undefined ? this.#run(companyId, callSid, key, effect) : this.#replace(companyId, callSid, `${key}:${asked}`, effect, known.result)
      this.#done.set(remembered, { asked, result })
      return result
    },
  })

  /** A caller who went on before the reply was heard has the same turn again, and may want another time: then the first one is not wanted. */
  async #replace(companyId: string, callSid: string, key: string, effect: Effect, before: Promise<EffectResult>): Promise<EffectResult> {
    const unwanted = await before
    if (effect.kind === 'book' && unwanted.kind === 'done' && unwanted.appointment !== null) {
      await this.#run(companyId, callSid, key, { kind: 'cancel', appointmentId: unwanted.appointment.id })
    }
    return this.#run(companyId, callSid, key, effect)
  }

  /** Never rejects. From here on the turn's signal does not matter: what was begun is finished. */
  async #run(companyId: string, callSid: string, key: string, effect: Effect): Promise<EffectResult> {
    const { clock, signal, onFailure } = this.#deps
    try {
      // Begun inside the deadline, but not ended by it: a booking that lands late must be found, and undone.
      return await withDeadline(clock, EFFECT_MS, signal, async (inTime) => {
        const result = this.#do(companyId, callSid, key, effect)
        inTime.addEventListener('abort', () => this.#undoWhenLate(companyId, effect, inTime, result), { once: true })
        return result
      })
    } catch (error) {
      onFailure(companyId, callSid, effect.kind, error)
      return { kind: 'failed', reason: isClientsViaError(error) ? error.message : 'something went wrong' }
    }
  }

  async #do(companyId: string, callSid: string, key: string, effect: Effect): Promise<EffectResult> {
    const { desk, signal } = this.#deps
    switch (effect.kind) {
      case 'lead':
        await this.#deps.keepLead(companyId, effect.lead, { callSid, idempotencyKey: key }, signal)
        return { kind: 'done', appointment: null }
      case 'cancel':
        return { kind: 'done', appointment: await desk.cancel(companyId, effect.appointmentId, signal) }
      case 'reschedule':
        return orTaken(
          async () => ({ kind: 'done', appointment: await desk.reschedule(companyId, effect.appointmentId, effect.opening, signal) }),
          () => this.#alternatives(companyId, effect.opening),
        )
      case 'book':
        return orTaken(
          async () => ({ kind: 'done', appointment: await desk.book(companyId, effect.request, key, signal) }),
          async () => (await this.#ownBooking(companyId, callSid, effect.request)) ?? (await this.#alternatives(companyId, effect.request.opening)),
        )
    }
  }

  /** A caller who cut in and was asked again is not refused because of their own first yes. */
  async #ownBooking(companyId: string, callSid: string, { customer, opening }: AppointmentRequest): Promise<EffectResult | null> {
    const own = await this.#deps.desk.upcoming(companyId, customer.phoneNumberE164, this.#deps.signal)
    const same = own.find((one) => one.callSid === callSid && one.serviceId === opening.serviceId && Date.parse(one.startsAt) === Date.parse(opening.startsAt))
    return same === undefined ? null : { kind: 'done', appointment: same }
  }

  async #alternatives(companyId: string, opening: Opening): Promise<EffectResult> {
    const { clock, desk, signal } = this.#deps
    const nearMs = Date.parse(opening.window?.startsAt ?? opening.startsAt)
    const fromMs = Math.max(clock.wallTime().getTime(), nearMs - ALTERNATIVES_WITHIN_MS)
    const alternatives = await desk.search(
      companyId,
      {
        serviceId: opening.serviceId,
        from: new Date(fromMs).toISOString(),
        to: new Date(nearMs + ALTERNATIVES_WITHIN_MS).toISOString(),
        partOfDay: null,
        resourceId: null,
        limit: MOST_ALTERNATIVES,
        near: new Date(nearMs).toISOString(),
      },
      signal,
    )
    return { kind: 'taken', alternatives }
  }

  /** The caller has been told that it did not work: then it must not have worked. */
  #undoWhenLate(companyId: string, effect: Effect, inTime: AbortSignal, result: Promise<EffectResult>): void {
    if (effect.kind !== 'book' || !isClientsViaError(inTime.reason, 'DEADLINE_PASSED')) return
    result
      .then(async (late) => {
        if (late.kind === 'done' && late.appointment !== null) await this.#deps.desk.cancel(companyId, late.appointment.id, this.#deps.signal)
      })
      .catch((error: unknown) => this.#deps.onFailure(companyId, effect.request.callSid ?? '', 'cancel', error))
  }
}

function fingerprint(effect: Effect): string {
  return createHash('sha256').update(JSON.stringify(effect)).digest('base64url').slice(0, 16)
}

async function orTaken(work: () => Promise<EffectResult>, whenTaken: () => Promise<EffectResult>): Promise<EffectResult> {
  try {
    return await work()
  } catch (error) {
    if (!isClientsViaError(error, 'CONFLICT')) throw error
    return whenTaken()
  }
}

function settledOrAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason)
      return
    }
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    void promise.then(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }, reject)
  })
}
