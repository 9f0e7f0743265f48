import type { FastifyInstance } from 'fastify'
import type { CallHandler } from '../call/call-handler.ts'
import type { Clock } from '../core/clock.ts'
import type { Scope } from '../core/scope.ts'
import { DEFAULT_LIMITS, mediaStreamRoute, type MediaStreamLimits } from './media-stream-route.ts'
import type { MediaTokens } from './media-tokens.ts'
import { smsWebhook, type TextHandler } from './sms-webhook.ts'
import { TelephonyCounters, type TelephonyLogger } from './telephony-log.ts'
import { checkedPublicBaseUrl, twilioSignature } from './twilio-signature.ts'
import { voiceWebhook } from './voice-webhook.ts'

export type TelephonyDeps = Readonly<{
  clock: Clock
  logger: TelephonyLogger
  handler: CallHandler
  mediaTokens: MediaTokens
  /** The origin that the carrier reaches us at. A function when the port is known only after listening. */
  publicBaseUrl: string | (() => string)
  /** Null: loopback peers only. */
  twilioAuthToken: string | null
  /** When given, webhooks of other accounts are refused. */
  twilioAccountSid?: string | null
  /** The server's lifetime. */
  scope: Scope
  limits?: Partial<MediaStreamLimits>
  /** Null: text messages are taken and nothing is made of them. */
  texts?: TextHandler | null
}>

export type Telephony = Readonly<{
  liveLegs: () => number
  counters: TelephonyCounters
  /** Takes no new calls and waits for those in progress; when `signal` aborts, the rest are ended with close code 1001. */
  drain: (signal: AbortSignal) => Promise<void>
}>

/**
 * Adds the carrier's routes to `app` (ROUTES in voice-twiml.ts). Call it before other WebSocket routes are added; `app.close()` ends
 * what `drain` has not.
 * @throws ClientsViaError CONFIG_INVALID for an empty auth token or a public base URL that is neither https nor loopback.
 */
export async function registerTelephony(app: FastifyInstance, deps: TelephonyDeps): Promise<Telephony> {
  const { clock, logger, handler, mediaTokens, scope } = deps
  const counters = new TelephonyCounters()
  const given = deps.publicBaseUrl
  const fixed = typeof given === 'string' ? checkedPublicBaseUrl(given) : null
  const publicBaseUrl = (): string => fixed ?? checkedPublicBaseUrl(typeof given === 'string' ? given : given())
  const signature = twilioSignature({ publicBaseUrl, authToken: deps.twilioAuthToken })
  const limits = { ...DEFAULT_LIMITS, ...deps.limits }
  const streams = await mediaStreamRoute(app, { clock, logger, counters, handler, mediaTokens, signature, scope, limits })
  const webhooks = {
    clock,
    logger,
    counters,
    handler,
    mediaTokens,
    signature,
    publicBaseUrl,
    accountSid: deps.twilioAccountSid ?? null,
    signal: scope.signal,
    isDraining: streams.isDraining,
  }
  // In a context of its own: only the carrier posts forms, so no other route should take them.
  await app.register(async (carrier) => {
    await voiceWebhook(carrier, webhooks)
    smsWebhook(carrier, { ...webhooks, texts: deps.texts ?? null })
  })
  return { liveLegs: streams.liveLegs, counters, drain: streams.drain }
}
