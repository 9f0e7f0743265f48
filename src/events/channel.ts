/** A text that is ready to go. */
export type OutgoingText = Readonly<{
  /** The message's own id: comes back with the carrier's reports. */
  itemId: string
  /** E.164 or an e-mail address. */
  to: string
  /** Null for channels without one. */
  subject: string | null
  text: string
}>

/** What is certain about a text that was handed to a provider. */
export type SendOutcome =
  /** The provider has it. */
  | Readonly<{ kind: 'taken'; providerId: string | null }>
  /** It will never take it: a wrong number, a wrong key. `optedOut`: the provider keeps a STOP of its own. */
  | Readonly<{ kind: 'refused'; reason: string; optedOut: boolean }>
  /** It surely does not have it, so asking again doubles nothing. */
  | Readonly<{ kind: 'not-taken'; reason: string; retryAfterMs: number | null }>
  /** It was asked and nobody knows: asking again might send it twice. */
  | Readonly<{ kind: 'unknown'; reason: string }>

/** A way to a person. companyId first, always. */
export interface MessageChannel {
  /** Whether this company can send this way at all; the reason when it cannot. */
  unavailable(companyId: string, signal: AbortSignal): Promise<string | null>
  /** Bounded in time by itself. Never rejects, save with the signal's reason before anything was sent. */
  send(companyId: string, text: OutgoingText, signal: AbortSignal): Promise<SendOutcome>
}
