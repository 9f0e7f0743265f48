import type { CallAction } from '../response/responder.ts'
import type { CallContinuation } from './call-leg.ts'

/** What the carrier is to do after our stream, for what the agent decided. */
export function continuationOf(action: CallAction): CallContinuation {
  switch (action.kind) {
    case 'hang-up':
      return { kind: 'hang-up' }
    case 'transfer':
      return { kind: 'transfer', phoneNumberE164: action.phoneNumberE164, label: action.label, timeoutSeconds: action.timeoutSeconds }
    case 'voicemail':
      return { kind: 'voicemail', prompt: action.prompt, maxSeconds: action.maxSeconds }
  }
}
