import type { CallContinuation } from '../call/call-leg.ts'
import type { CarrierControl, ControlResult } from '../call/carrier-control.ts'
import type { TwilioRest } from './twilio-rest.ts'
import { hangUpTwiml, transferTwiml, voicemailTwiml } from './voice-twiml.ts'

export type CallControlDeps = Readonly<{
  publicBaseUrl: () => string
  /** The account that a company's calls are on; null when there is none to ask with. */
  clientOf: (companyId: string, signal: AbortSignal) => Promise<TwilioRest | null>
}>

/** Live calls by Twilio's REST API. */
export class TwilioCallControl implements CarrierControl {
  readonly #deps: CallControlDeps

  constructor(deps: CallControlDeps) {
    this.#deps = deps
  }

  async hangUp(companyId: string, callSid: string, signal: AbortSignal): Promise<ControlResult> {
    return (await this.#deps.clientOf(companyId, signal))?.hangUp(callSid, signal) ?? 'unavailable'
  }

  async redirect(companyId: string, callSid: string, next: CallContinuation, signal: AbortSignal): Promise<ControlResult> {
    const client = await this.#deps.clientOf(companyId, signal)
    if (client === null) return 'unavailable'
    return next.kind === 'hang-up' ? client.hangUp(callSid, signal) : client.redirect(callSid, this.#twimlOf(next), signal)
  }

  #twimlOf(next: CallContinuation): string {
    switch (next.kind) {
      case 'hang-up':
        return hangUpTwiml()
      case 'transfer':
        return transferTwiml(this.#deps.publicBaseUrl(), next.phoneNumberE164, next.timeoutSeconds)
      case 'voicemail':
        return voicemailTwiml(this.#deps.publicBaseUrl(), next.prompt, next.maxSeconds)
    }
  }
}
