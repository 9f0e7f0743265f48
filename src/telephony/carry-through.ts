import type { CallHandler, CarrierStatusUpdate } from '../call/call-handler.ts'
import type { CallLeg } from '../call/call-leg.ts'
import type { CarrierControl } from '../call/carrier-control.ts'
import type { Clock } from '../core/clock.ts'
import { OneShot } from '../core/one-shot.ts'
import type { Scope } from '../core/scope.ts'
import type { TelephonyLogger } from './telephony-log.ts'

export type CarryThroughDeps = Readonly<{ clock: Clock; scope: Scope; logger: TelephonyLogger; control: CarrierControl }>

/** Twilio asks what is next within half a second of our stream's end. A caller who was promised a person waits no longer than this. */
const ASKED_WITHIN_MS = 3000
/** Calls that are over at the same moment, and then some. */
const MAX_WATCHED = 2000

/**
 * A call handler that sees its decisions through: when the agent has decided what follows a call, its stream is over, and the carrier
 * has neither asked what is next nor said that the call is over, the carrier is told over its REST API. Where the carrier asks, as it nearly
 * always does, nothing else happens.
 *
 * For one process only: among several, the carrier may ask another one, and telling it twice would cut a transfer off.
 */
export function carriedThrough(handler: CallHandler, deps: CarryThroughDeps): CallHandler {
  const { clock, scope, logger, control } = deps
  /** Calls whose stream is over and that nobody has asked about yet. */
  const watched = new Map<string, OneShot>()
  const settled = (callSid: string): void => {
    watched.get(callSid)?.cancel()
    watched.delete(callSid)
  }
  const watch = async (companyId: string, callSid: string): Promise<void> => {
    const next = await handler.continuation(companyId, callSid, scope.signal)
    if (next === null || watched.size >= MAX_WATCHED || watched.has(callSid)) return
    const timer = new OneShot(clock, scope)
    watched.set(callSid, timer)
    timer.start(ASKED_WITHIN_MS, () => {
      watched.delete(callSid)
      void control.redirect(companyId, callSid, next, scope.signal).then(
        (result) => logger.warn({ companyId, callSid, next: next.kind, result }, 'the carrier did not ask what is next, and was told'),
        (error: unknown) => logger.error({ companyId, callSid, next: next.kind, error: String(error) }, 'the carrier did not ask what is next, and could not be told'),
      )
    })
  }
  return {
    route: (call, signal) => handler.route(call, signal),
    handle: async (leg: CallLeg, signal) => {
      const { companyId, callSid } = leg.start
      settled(callSid)
      await handler.handle(leg, signal)
      // The carrier closed it because the caller is gone: there is nobody to see it through for.
      if ((await leg.ended) === 'caller-hung-up') return
      await watch(companyId, callSid).catch((error: unknown) => logger.error({ companyId, callSid, error: String(error) }, 'a call cannot be seen through'))
    },
    continuation: (companyId, callSid, signal) => {
      settled(callSid)
      return handler.continuation(companyId, callSid, signal)
    },
    transferResult: (companyId, callSid, result, signal) => {
      settled(callSid)
      return handler.transferResult(companyId, callSid, result, signal)
    },
    carrierStatus: (update: CarrierStatusUpdate, signal) => {
      if (OVER.has(update.status)) settled(update.callSid)
      return handler.carrierStatus(update, signal)
    },
    streamStatus: (update, signal) => handler.streamStatus(update, signal),
  }
}

const OVER: ReadonlySet<CarrierStatusUpdate['status']> = new Set(['completed', 'busy', 'failed', 'no-answer', 'canceled'])
