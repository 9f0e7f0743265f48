import type { Clock } from '../core/clock.ts'
import { TwilioRest, type TwilioAccount } from '../telephony/twilio-rest.ts'
import { ROUTES } from '../telephony/voice-twiml.ts'
import type { Company } from '../tenancy/company.ts'
import type { MessageChannel, OutgoingText, SendOutcome } from './channel.ts'

export type SmsChannelDeps = Readonly<{
  clock: Clock
  companies: Readonly<{ get: (companyId: string, signal?: AbortSignal) => Promise<Company | null> }>
  /** The platform's account; null where it has none. */
  account: TwilioAccount | null
  /** A company's own `twilio_account_sid` and `twilio_auth_token` stand before it. Null where secrets cannot be kept. */
  secrets: Readonly<{ reveal: (companyId: string, name: string, signal?: AbortSignal) => Promise<string | null> }> | null
  publicBaseUrl: () => string
  /** See TwilioRest. */
  baseUrl: string | null
}>

/** Clients of companies' own accounts that are kept; one is a few kilobytes. */
const MAX_CLIENTS = 100

/** Text messages by Twilio. */
export class SmsChannel implements MessageChannel {
  readonly #deps: SmsChannelDeps
  readonly #clients = new Map<string, TwilioRest>()

  constructor(deps: SmsChannelDeps) {
    this.#deps = deps
  }

  async unavailable(companyId: string, signal: AbortSignal): Promise<string | null> {
    if ((await this.#sender(companyId, signal)) === null) return 'the company has no number to send from'
    return (await this.accountOf(companyId, signal)) === null ? 'no Twilio account is configured' : null
  }

  async send(companyId: string, text: OutgoingText, signal: AbortSignal): Promise<SendOutcome> {
    const sender = await Promise.all([this.#sender(companyId, signal), this.accountOf(companyId, signal)]).catch(() => null)
    if (sender === null) return { kind: 'not-taken', reason: "the company's number and account cannot be read", retryAfterMs: null }
    const [from, account] = sender
    if (from === null || account === null) return { kind: 'not-taken', reason: 'no Twilio account or number is configured', retryAfterMs: null }
    const base = this.#deps.publicBaseUrl()
    // Twilio reports to public addresses only; a report that never comes leaves the message as 'sent'.
    const statusCallback = base.startsWith('https://') ? `${base}${smsStatusPath(companyId, text.itemId)}` : null
    return this.clientOf(account).sendMessage({ to: text.to, from, body: text.text, statusCallback }, signal)
  }

  /** Null when neither the company nor the platform has one. */
  async accountOf(companyId: string, signal: AbortSignal): Promise<TwilioAccount | null> {
    const { secrets, account } = this.#deps
    if (secrets === null) return account
    const [accountSid, authToken] = await Promise.all(['twilio_account_sid', 'twilio_auth_token'].map((name) => secrets.reveal(companyId, name, signal)))
    return accountSid !== null && accountSid !== undefined && authToken !== null && authToken !== undefined && accountSid.startsWith('AC') ? { accountSid, authToken } : account
  }

  clientOf(account: TwilioAccount): TwilioRest {
    const key = JSON.stringify(account)
    const known = this.#clients.get(key)
    if (known !== undefined) return known
    const client = new TwilioRest({ clock: this.#deps.clock, account, baseUrl: this.#deps.baseUrl })
    if (this.#clients.size >= MAX_CLIENTS) this.#clients.delete(this.#clients.keys().next().value ?? '')
    this.#clients.set(key, client)
    return client
  }

  async #sender(companyId: string, signal: AbortSignal): Promise<string | null> {
    const company = await this.#deps.companies.get(companyId, signal)
    return company?.notifications.smsFromE164 ?? company?.phoneNumbers[0] ?? null
  }
}

/** Where Twilio reports what became of a message; the whole URL is signed, so nobody else can name another one. */
function smsStatusPath(companyId: string, itemId: string): string {
  return `${ROUTES.smsStatus}?company=${encodeURIComponent(companyId)}&message=${encodeURIComponent(itemId)}`
}
