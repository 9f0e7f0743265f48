import type { CallContinuation } from './call-leg.ts'

/** 'unavailable': no account to ask with. */
export type ControlResult = 'done' | 'already-over' | 'unavailable'

/**
 * The carrier's other door: it changes a call that is going on, whether or not its stream still obeys. companyId first, always. Each method is
 * bounded in time, may be repeated, and rejects with ENGINE_UNAVAILABLE, ENGINE_FAILED or DEADLINE_PASSED when the carrier does not do it.
 */
export interface CarrierControl {
  hangUp(companyId: string, callSid: string, signal: AbortSignal): Promise<ControlResult>
  /** Ends the stream and does what was decided. */
  redirect(companyId: string, callSid: string, next: CallContinuation, signal: AbortSignal): Promise<ControlResult>
}
