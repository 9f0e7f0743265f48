import type { CallHandler, CallRouting, CarrierStatusUpdate, StreamStatusUpdate } from '../../src/call/call-handler.ts'
import type { CallContinuation, CallLeg, LegEnd, LegEvent } from '../../src/call/call-leg.ts'

export type HandledCall = { readonly leg: CallLeg; readonly events: LegEvent[]; end: LegEnd | null }

/** Everybody else, as telephony sees them: answers as told and remembers what it was told. */
export class ScriptedCallHandler implements CallHandler {
  routing: CallRouting | Error | 'never' = { kind: 'answer', companyId: 'company-1' }
  next: CallContinuation | null = { kind: 'hang-up' }
  afterTransfer: 'end' | 'return-to-agent' = 'end'
  /** What the conversation does with its leg once it began to listen. */
  onCall: (leg: CallLeg, signal: AbortSignal) => Promise<void> = async () => undefined
  readonly asked: string[] = []
  readonly calls: HandledCall[] = []
  readonly statuses: CarrierStatusUpdate[] = []
  readonly streamStatuses: StreamStatusUpdate[] = []

  async route(call: Readonly<{ callSid: string; accountSid: string; from: string; to: string }>): Promise<CallRouting> {
    this.asked.push(`route ${call.callSid} to ${call.to}`)
    if (this.routing === 'never') return new Promise(() => undefined)
    if (this.routing instanceof Error) throw this.routing
    return this.routing
  }

  async handle(leg: CallLeg, signal: AbortSignal): Promise<void> {
    const call: HandledCall = { leg, events: [], end: null }
    this.calls.push(call)
    const listening = (async () => {
      for await (const event of leg.events) call.events.push(event)
    })()
    await this.onCall(leg, signal)
    call.end = await leg.ended
    await listening
  }

  async continuation(companyId: string, callSid: string): Promise<CallContinuation | null> {
    this.asked.push(`continuation of ${callSid} for ${companyId}`)
    return this.next
  }

  async transferResult(companyId: string, callSid: string, result: string): Promise<'end' | 'return-to-agent'> {
    this.asked.push(`transfer of ${callSid} for ${companyId}: ${result}`)
    return this.afterTransfer
  }

  async carrierStatus(update: CarrierStatusUpdate): Promise<void> {
    this.statuses.push(update)
  }

  async streamStatus(update: StreamStatusUpdate): Promise<void> {
    this.streamStatuses.push(update)
  }
}
