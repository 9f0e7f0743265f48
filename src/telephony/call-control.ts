import { LRUCache } from 'lru-cache'
import type { CallContinuation } from '../call/call-leg.ts'
import type { CarrierControl, ControlResult } from '../call/carrier-control.ts'
import type { TwilioRest } from './twilio-rest.ts'
import { ROUTES, hangUpTwiml, transferTwiml, voicemailTwiml } from './voice-twiml.ts'

export type CallControlDeps = Readonly<{
  publicBaseUrl: () => string
  /** The account that a company's calls are on; null when there is none to ask with. */
  clientOf: (companyId: string, signal: AbortSignal) => Promise<TwilioRest | null>
}>

/** Calls whose recording is remembered: those of a busy day. */
const MAX_RECORDED = 10_000

/** Live calls by Twilio's REST API. */
export class TwilioCallControl implements CarrierControl {
  readonly #deps: CallControlDeps
  /** callSid -> the recording of it that was started here. */
  readonly #recordings = new LRUCache<string, string>({ max: MAX_RECORDED })

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

  async startRecording(companyId: string, callSid: string, signal: AbortSignal): Promise<ControlResult> {
    if (this.#recordings.has(callSid)) return 'done'
    const client = await this.#deps.clientOf(companyId, signal)
    if (client === null) return 'unavailable'
    const recordingSid = await client.startRecording(callSid, `${this.#deps.publicBaseUrl()}${ROUTES.status}`, signal)
    if (recordingSid === null) return 'already-over'
    this.#recordings.set(callSid, recordingSid)
    return 'done'
  }

  async setRecording(companyId: string, callSid: string, status: 'paused' | 'in-progress' | 'stopped', signal: AbortSignal): Promise<ControlResult> {
    const client = await this.#deps.clientOf(companyId, signal)
    if (client === null) return 'unavailable'
    const result = await client.setRecording(callSid, this.#recordings.get(callSid) ?? null, status, signal)
    if (status === 'stopped') this.#recordings.delete(callSid)
    return result
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
