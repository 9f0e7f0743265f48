import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { CallHandler, CallRouting } from '../call/call-handler.ts'
import type { CallContinuation } from '../call/call-leg.ts'
import type { Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError, isClientsViaError } from '../core/errors.ts'
import type { MediaTokens } from './media-tokens.ts'
import type { TelephonyCounters, TelephonyLogger } from './telephony-log.ts'
import type { TwilioSignature } from './twilio-signature.ts'
import { signedRequest } from './signed-request.ts'
import {
  FALLBACK_TWIML,
  ROUTES,
  connectTwiml,
  forwardTwiml,
  hangUpTwiml,
  rejectTwiml,
  transferTwiml,
  voicemailTwiml,
} from './voice-twiml.ts'
import { carrierStatusUpdate, dialResult, optionalField, requiredField, streamStatusUpdate, type WebhookForm } from './webhook-form.ts'
import { WebhookReplies, replyKey } from './webhook-replies.ts'

export type VoiceWebhookDeps = Readonly<{
  clock: Clock
  logger: TelephonyLogger
  counters: TelephonyCounters
  handler: CallHandler
  mediaTokens: MediaTokens
  signature: TwilioSignature
  publicBaseUrl: () => string
  /** When set, a webhook of any other account is refused. */
  accountSid: string | null
  signal: AbortSignal
  /** True while the server drains: new calls are sent to the carrier's fallback. */
  isDraining: () => boolean
}>

/** Twilio gives up after 15 s and the caller hears its apology; ours comes first. */
const ANSWER_WITHIN_MS = 5000
/** A Twilio form has about 40 fields and 2 KB. */
const BODY_LIMIT_BYTES = 32 * 1024
/** A stream that broke this often in one call will break again. */
const MAX_RECONNECTS = 5
/** Every call in progress and the recent ones, a few hundred bytes each; a forgotten call is looked up by its number again. */
const KNOWN_CALLS = 20_000

/** For a person who calls while something of ours is broken. */
const APOLOGY = 'We are sorry, something went wrong on our side. Please call again in a few minutes.'
const VOICEMAIL_TAKEN = 'Thank you. Your message was saved. Goodbye.'

type Call = Readonly<{ callSid: string; accountSid: string; from: string; to: string }>
type KnownCall = { readonly companyId: string; reconnects: number }

/** The carrier's HTTP side: what to do with a call, what follows our stream, and how the call went. */
export async function voiceWebhook(app: FastifyInstance, deps: VoiceWebhookDeps): Promise<void> {
  const { handler } = deps
  const replies = new WebhookReplies(deps.clock)
  const knownCalls = new LRUCache<string, KnownCall>({ max: KNOWN_CALLS })
  if (!app.hasContentTypeParser('application/x-www-form-urlencoded')) await app.register(formbody, { bodyLimit: BODY_LIMIT_BYTES })

  app.route({ method: ['GET', 'POST'], url: ROUTES.fallback, bodyLimit: BODY_LIMIT_BYTES, handler: (_, reply) => sendTwiml(reply, FALLBACK_TWIML) })

  app.post(ROUTES.voice, signed(deps), async (request, reply) => {
    if (deps.isDraining()) return reply.code(503).send({ code: 'OVERLOADED', message: 'this server is shutting down' })
    const form = formOf(request)
    const call = callOf(form)
    const key = replyKey(ROUTES.voice, call.callSid, idempotencyToken(request), form)
    return sendTwiml(reply, await orApology(deps, call, () => replies.once(key, () => answer(call))))
  })

  app.post(ROUTES.continue, signed(deps), async (request, reply) => {
    const call = callOf(formOf(request))
    return sendTwiml(reply, await orApology(deps, call, () => replies.once(continuationKey(ROUTES.continue, call, request), () => proceed(call))))
  })

  app.post(ROUTES.dialResult, signed(deps), async (request, reply) => {
    const form = formOf(request)
    const call = callOf(form)
    const result = dialResult(form)
    const after = async (): Promise<string> => {
      const known = await companyOf(call)
      if (known === null) return hangUpTwiml()
      const next = await inTime(deps, (inner) => handler.transferResult(known.companyId, call.callSid, result, inner))
      return next === 'end' ? hangUpTwiml() : reconnect(call, known)
    }
    return sendTwiml(reply, await orApology(deps, call, () => replies.once(continuationKey(ROUTES.dialResult, call, request), after)))
  })

  app.post(ROUTES.recorded, signed(deps), async (request, reply) => {
    const form = formOf(request)
    const { callSid } = callOf(form)
    const facts = { callSid, recordingSid: optionalField(form, 'RecordingSid'), seconds: optionalField(form, 'RecordingDuration') }
    deps.logger.info(facts, 'voicemail recorded')
    return sendTwiml(reply, hangUpTwiml(VOICEMAIL_TAKEN))
  })

  app.post(ROUTES.status, signed(deps), async (request, reply) => {
    const update = carrierStatusUpdate(formOf(request))
    await inTime(deps, (inner) => handler.carrierStatus(update, inner))
    return reply.code(204).send()
  })

  app.post(ROUTES.streamStatus, signed(deps), async (request, reply) => {
    const update = streamStatusUpdate(formOf(request))
    if (update.event === 'stream-error') {
      deps.counters.add(`stream-error ${/\b31\d{3}\b/.exec(update.error ?? '')?.[0] ?? 'other'}`)
      deps.logger.warn({ callSid: update.callSid, streamSid: update.streamSid, error: update.error }, 'the carrier reports a stream error')
    }
    await inTime(deps, (inner) => handler.streamStatus(update, inner))
    return reply.code(204).send()
  })

  async function answer(call: Call): Promise<string> {
    const routing = await inTime(deps, (inner) => handler.route(call, inner))
    if (routing.kind === 'answer') {
      knownCalls.set(call.callSid, { companyId: routing.companyId, reconnects: 0 })
      return connect(call, routing.companyId, false)
    }
    return routedElsewhere(routing)
  }

  /** After our stream: what the agent decided, or, when the stream broke, back to the agent. */
  async function proceed(call: Call): Promise<string> {
    const known = await companyOf(call)
    if (known === null) return hangUpTwiml()
    const next = await inTime(deps, (inner) => handler.continuation(known.companyId, call.callSid, inner))
    return next === null ? reconnect(call, known) : continued(next)
  }

  function continued(next: CallContinuation): string {
    switch (next.kind) {
      case 'hang-up':
        return hangUpTwiml()
      case 'transfer':
        return transferTwiml(deps.publicBaseUrl(), next.phoneNumberE164, next.timeoutSeconds)
      case 'voicemail':
        return voicemailTwiml(deps.publicBaseUrl(), next.prompt, next.maxSeconds)
    }
  }

  async function reconnect(call: Call, known: KnownCall): Promise<string> {
    known.reconnects += 1
    if (known.reconnects > MAX_RECONNECTS) return hangUpTwiml(APOLOGY)
    return connect(call, known.companyId, true)
  }

  async function connect(call: Call, companyId: string, resumed: boolean): Promise<string> {
    const token = await inTime(deps, (inner) => deps.mediaTokens.issue({ ...call, companyId, resumed }, inner))
    return connectTwiml(deps.publicBaseUrl(), token)
  }

  /** Whose call this is: by memory, or after a restart by the signed called number; never by anything the request could choose. */
  async function companyOf(call: Call): Promise<KnownCall | null> {
    const known = knownCalls.get(call.callSid)
    if (known !== undefined) return known
    const routing = await inTime(deps, (inner) => handler.route(call, inner))
    if (routing.kind === 'unknown-number' || routing.companyId === null) return null
    const found: KnownCall = { companyId: routing.companyId, reconnects: 0 }
    knownCalls.set(call.callSid, found)
    return found
  }
}

function routedElsewhere(routing: Exclude<CallRouting, { kind: 'answer' }>): string {
  switch (routing.kind) {
    case 'forward':
      return forwardTwiml(routing.message, routing.phoneNumberE164)
    case 'refuse':
      return routing.forwardToE164 === null ? hangUpTwiml(routing.message) : forwardTwiml(routing.message, routing.forwardToE164)
    case 'unknown-number':
      return rejectTwiml()
  }
}

/** Refuses before the body means anything to anybody: 403 for a request the carrier did not sign, 400 for one that makes no sense. */
export function signed(deps: Pick<VoiceWebhookDeps, 'accountSid' | 'signature' | 'counters' | 'logger'>): {
  bodyLimit: number
  preHandler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>
  errorHandler: (error: unknown, request: FastifyRequest, reply: FastifyReply) => unknown
} {
  return {
    bodyLimit: BODY_LIMIT_BYTES,
    preHandler: async (request, reply) => {
      const form = formOf(request)
      const ours = deps.accountSid === null || form['AccountSid'] === deps.accountSid
      if (ours && deps.signature.allowsWebhook(signedRequest(request, form))) return
      deps.counters.add('webhook-refused')
      deps.logger.warn({ route: request.routeOptions.url, peerAddress: request.socket.remoteAddress }, 'webhook refused: not signed by the carrier')
      return reply.code(403).send({ code: 'FORBIDDEN', message: 'the signature does not match' })
    },
    errorHandler: (error, request, reply) => {
      if (isClientsViaError(error)) {
        if (error.status >= 500) deps.logger.error({ error, route: request.routeOptions.url }, 'webhook failed')
        return reply.code(error.status).send({ code: error.code, message: error.message })
      }
      const status = error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500
      if (status >= 500) deps.logger.error({ error, route: request.routeOptions.url }, 'webhook failed')
      return reply.code(status).send({ code: status < 500 ? 'INVALID_INPUT' : 'INTERNAL', message: 'the request could not be handled' })
    },
  }
}

/** A caller is waiting: whatever breaks behind us, the answer is TwiML that speaks. */
async function orApology(deps: VoiceWebhookDeps, call: Call, answer: () => Promise<string>): Promise<string> {
  try {
    return await answer()
  } catch (error) {
    deps.counters.add('webhook-apology')
    deps.logger.error({ error, callSid: call.callSid }, 'call could not be routed')
    return hangUpTwiml(APOLOGY)
  }
}

export function inTime<T>(deps: Pick<VoiceWebhookDeps, 'clock' | 'signal'>, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return withDeadline(deps.clock, ANSWER_WITHIN_MS, deps.signal, work)
}

export function sendTwiml(reply: FastifyReply, twiml: string): FastifyReply {
  return reply.code(200).header('content-type', 'text/xml; charset=utf-8').header('cache-control', 'no-store').send(twiml)
}

function callOf(form: WebhookForm): Call {
  return {
    callSid: requiredField(form, 'CallSid'),
    accountSid: requiredField(form, 'AccountSid'),
    from: optionalField(form, 'From') ?? '',
    to: requiredField(form, 'To'),
  }
}

export function formOf(request: FastifyRequest): WebhookForm {
  const { body } = request
  if (body === undefined || body === null) return {}
  if (typeof body !== 'object') throw new ClientsViaError('INVALID_INPUT', 'the body must be a form')
  return { ...body }
}

export function idempotencyToken(request: FastifyRequest): string | null {
  const token = request.headers['i-twilio-idempotency-token']
  return typeof token === 'string' && token !== '' ? token.slice(0, 200) : null
}

/** The same fields twice are two events here (a stream may break twice): only the carrier's own token tells a repetition. */
function continuationKey(route: string, call: Call, request: FastifyRequest): string | null {
  const token = idempotencyToken(request)
  return token === null ? null : replyKey(route, call.callSid, token, {})
}
