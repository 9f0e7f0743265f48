import type { CallContinuation, CallLeg } from './call-leg.ts'
import type { CallRecord } from './call-record.ts'

/** What to do with a call before it is answered. */
export type CallRouting =
  | Readonly<{ kind: 'answer'; companyId: string }>
  | Readonly<{ kind: 'forward'; companyId: string; phoneNumberE164: string; message: string }>
  /** Refused politely: suspended company, over its limits, or the server is full. */
  | Readonly<{ kind: 'refuse'; companyId: string | null; message: string; forwardToE164: string | null }>
  | Readonly<{ kind: 'unknown-number' }>

export type CarrierStatusUpdate = Readonly<{
  callSid: string
  status: NonNullable<CallRecord['carrierStatus']>
  durationSeconds: number | null
  /** The number that was called: finds the company of a call from before a restart. */
  to?: string
  /** The carrier's own order of events, where it gives one. */
  sequenceNumber: number | null
}>

export type StreamStatusUpdate = Readonly<{
  callSid: string
  streamSid: string
  event: 'stream-started' | 'stream-stopped' | 'stream-error'
  error: string | null
  at: string
}>

/** What telephony needs of everybody else. Telephony calls it with signed facts only. */
export interface CallHandler {
  route(call: Readonly<{ callSid: string; accountSid: string; from: string; to: string }>, signal: AbortSignal): Promise<CallRouting>
  /** Runs the conversation; resolves when it is over and recorded. A second leg for the same call takes over from the first. */
  handle(leg: CallLeg, signal: AbortSignal): Promise<void>
  /**
   * What follows our stream. Null: the stream broke and the agent did not end it, so the call should come back to us.
   * Asked again (a repeated webhook), it answers the same.
   */
  continuation(companyId: string, callSid: string, signal: AbortSignal): Promise<CallContinuation | null>
  /** A transfer that was not answered comes back with the dial's result. */
  transferResult(
    companyId: string,
    callSid: string,
    result: 'completed' | 'answered' | 'busy' | 'no-answer' | 'failed' | 'canceled',
    signal: AbortSignal,
  ): Promise<'end' | 'return-to-agent'>
  /** Idempotent; out-of-order updates never move a call backwards. Unknown calls are ignored. */
  carrierStatus(update: CarrierStatusUpdate, signal: AbortSignal): Promise<void>
  streamStatus(update: StreamStatusUpdate, signal: AbortSignal): Promise<void>
}
