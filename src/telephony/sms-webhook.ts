import type { FastifyInstance } from 'fastify'
import type { Clock } from '../core/clock.ts'
import { textTwiml } from './sms-twiml.ts'
import type { TelephonyCounters, TelephonyLogger } from './telephony-log.ts'
import type { TwilioSignature } from './twilio-signature.ts'
import { ROUTES } from './voice-twiml.ts'
import { formOf, idempotencyToken, inTime, sendTwiml, signed } from './voice-webhook.ts'
import { optionalField, requiredField } from './webhook-form.ts'
import { WebhookReplies, replyKey } from './webhook-replies.ts'

export type ReceivedText = Readonly<{
  messageSid: string
  from: string
  to: string
  body: string
  /** The carrier has answered a STOP, HELP or START itself. */
  carrierAnswered: boolean
}>
export type TextReport = Readonly<{ companyId: string; itemId: string; messageSid: string; delivery: 'queued' | 'sent' | 'delivered' | 'undelivered'; errorCode: string | null }>

export interface TextHandler {
  /** What the sender is answered; null: nothing. The same messageSid again changes nothing. */
  received(text: ReceivedText, signal: AbortSignal): Promise<string | null>
  /** What became of a text of ours. */
  reported(report: TextReport, signal: AbortSignal): Promise<void>
}

export type SmsWebhookDeps = Readonly<{
  clock: Clock
  logger: TelephonyLogger
  counters: TelephonyCounters
  signature: TwilioSignature
  accountSid: string | null
  signal: AbortSignal
  texts: TextHandler | null
}>

const DELIVERIES: Readonly<Record<string, TextReport['delivery']>> = {
  accepted: 'queued',
  scheduled: 'queued',
  queued: 'queued',
  sending: 'queued',
  sent: 'sent',
  delivered: 'delivered',
  read: 'delivered',
  undelivered: 'undelivered',
  failed: 'undelivered',
}

/** The carrier's HTTP side of text messages. In the context of the voice webhooks, whose forms and signatures these share. */
export function smsWebhook(app: FastifyInstance, deps: SmsWebhookDeps): void {
  const replies = new WebhookReplies(deps.clock)

  app.post(ROUTES.sms, signed(deps), async (request, reply) => {
    const form = formOf(request)
    const text: ReceivedText = {
      messageSid: requiredField(form, 'MessageSid'),
      from: requiredField(form, 'From'),
      to: requiredField(form, 'To'),
      body: bodyOf(form['Body']),
      carrierAnswered: optionalField(form, 'OptOutType') !== null,
    }
    const answer = async (): Promise<string> => textTwiml(deps.texts === null ? null : await inTime(deps, (inner) => (deps.texts as TextHandler).received(text, inner)))
    return sendTwiml(reply, await replies.once(replyKey(ROUTES.sms, text.messageSid, idempotencyToken(request), {}), answer))
  })

  app.post(ROUTES.smsStatus, signed(deps), async (request, reply) => {
    const form = formOf(request)
    const { company, message } = Object.fromEntries(new URL(request.raw.url ?? '/', 'http://host').searchParams)
    const delivery = DELIVERIES[requiredField(form, 'MessageStatus')]
    if (company !== undefined && message !== undefined && delivery !== undefined && deps.texts !== null) {
      const report = { companyId: company, itemId: message, messageSid: requiredField(form, 'MessageSid'), delivery, errorCode: optionalField(form, 'ErrorCode') }
      const { texts } = deps
      await inTime(deps, (inner) => texts.reported(report, inner))
    }
    return reply.code(204).send()
  })
}

/** Up to ten parts of a text; longer than any field that decides something. */
const MAX_BODY_CHARS = 1600

function bodyOf(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MAX_BODY_CHARS) : ''
}
