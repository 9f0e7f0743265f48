import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { CallHandler } from '../call/call-handler.ts'
import type { Clock } from '../core/clock.ts'
import { Scope, ScopeEnded } from '../core/scope.ts'
import type { MediaTokens } from './media-tokens.ts'
import type { MediaStreamLeg } from './media-stream-leg.ts'
import { MAX_MESSAGE_BYTES } from './media-stream-protocol.ts'
import { MediaStreamSession, type SessionLimits } from './media-stream-session.ts'
import { signedRequest } from './signed-request.ts'
import type { TelephonyCounters, TelephonyLogger } from './telephony-log.ts'
import type { TwilioSignature } from './twilio-signature.ts'
import { ROUTES } from './voice-twiml.ts'

export type MediaStreamDeps = Readonly<{
  clock: Clock
  logger: TelephonyLogger
  counters: TelephonyCounters
  handler: CallHandler
  mediaTokens: MediaTokens
  signature: TwilioSignature
  scope: Scope
  limits: MediaStreamLimits
}>

export type MediaStreamLimits = SessionLimits & Readonly<{ pendingPerAddress: number; pendingSockets: number; liveLegs: number }>

export const DEFAULT_LIMITS: MediaStreamLimits = {
  /** `start` follows the handshake within milliseconds. */
  startWithinMs: 5000,
  messagesPerSecond: 100,
  messageBurst: 200,
  idleMs: 10_000,
  pingEveryMs: 15_000,
  /** Many calls may begin at once from one carrier address, each pending for milliseconds. */
  pendingPerAddress: 100,
  pendingSockets: 400,
  /** One core moves about 650 calls' frames and does nothing else (measured); the agents' admission is stricter. */
  liveLegs: 500,
}

/** A call has 16 KB messages at most in one piece; a sender that needs more fragments is not the carrier. */
const MAX_FRAGMENTS = 16
/** For a peer that does not answer our close. */
const CLOSE_HANDSHAKE_MS = 5000
/** What a conversation may still write down after its leg was ended by a shutdown. */
const FAREWELL_MS = 2000

export type MediaStreams = Readonly<{
  liveLegs: () => number
  isDraining: () => boolean
  /** Takes no new calls, waits for those in progress, and ends what is left (close code 1001) when `signal` aborts. */
  drain: (signal: AbortSignal) => Promise<void>
}>

/** The carrier's WebSocket side. Everything is refused before the handshake, as JSON, unless the carrier signed it. */
export async function mediaStreamRoute(app: FastifyInstance, deps: MediaStreamDeps): Promise<MediaStreams> {
  const { clock, logger, counters, limits } = deps
  const sessions = new Set<MediaStreamSession>()
  const pendingByAddress = new Map<string, number>()
  const legs = new Map<string, MediaStreamLeg>()
  const conversations = new Set<Promise<void>>()
  let pendingSockets = 0
  let draining = false

  // closeTimeout is an option of ws that its types do not name yet.
  const options = { maxPayload: MAX_MESSAGE_BYTES, maxFragments: MAX_FRAGMENTS, perMessageDeflate: false, closeTimeout: CLOSE_HANDSHAKE_MS }
  await app.register(websocket, {
    options,
    // ws has already begun to close a socket whose bytes are wrong, with the right code: terminating it would cut that off.
    errorHandler: (error, socket) => {
      counters.add('socket-error')
      logger.warn({ error: error.message }, 'media socket failed')
      socket.close(1011, 'internal error')
    },
    preClose: async () => {
      await drain(AbortSignal.abort())
      for (const client of app.websocketServer.clients) client.terminate()
    },
  })

  app.route({
    method: 'GET',
    url: ROUTES.media,
    preValidation: refuseUpgrade,
    handler: (_, reply) => reply.code(426).header('upgrade', 'websocket').send({ code: 'INVALID_INPUT', message: 'this is a WebSocket' }),
    wsHandler: (socket, request) => {
      const address = request.ip
      pendingSockets += 1
      pendingByAddress.set(address, (pendingByAddress.get(address) ?? 0) + 1)
      const session = new MediaStreamSession(socket, {
        ...deps,
        connection: request.raw.socket,
        hasRoom: () => legs.size < limits.liveLegs && !draining,
        onLive: (leg) => {
          const conversation = converse(leg).finally(() => conversations.delete(conversation))
          conversations.add(conversation)
        },
        onSettled: () => {
          pendingSockets -= 1
          const left = (pendingByAddress.get(address) ?? 1) - 1
          if (left > 0) pendingByAddress.set(address, left)
          else pendingByAddress.delete(address)
        },
      })
      sessions.add(session)
      socket.on('close', () => sessions.delete(session))
    },
  })

  async function refuseUpgrade(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    if (!request.ws) return undefined
    // Only browsers send an Origin, and the carrier is none.
    if (request.headers.origin !== undefined || !deps.signature.allowsUpgrade(signedRequest(request, {}))) {
      counters.add('upgrade-refused')
      logger.warn({ peerAddress: request.socket.remoteAddress }, 'media stream refused: not signed by the carrier')
      return reply.code(403).send({ code: 'FORBIDDEN', message: 'the signature does not match' })
    }
    const full =
      pendingSockets >= limits.pendingSockets ||
      (pendingByAddress.get(request.ip) ?? 0) >= limits.pendingPerAddress ||
      legs.size >= limits.liveLegs
    if (full || draining || deps.scope.ended) {
      counters.add('upgrade-over-capacity')
      return reply.code(503).header('retry-after', '5').send({ code: 'OVERLOADED', message: 'no more media streams now' })
    }
    return undefined
  }

  async function converse(leg: MediaStreamLeg): Promise<void> {
    const { companyId, callSid, streamSid } = leg.start
    const key = `${companyId} ${callSid}`
    // One call has one voice: the newest stream that proved itself speaks, the older one falls silent first.
    legs.get(key)?.end('connection-lost', 1000, 'replaced by a newer stream')
    legs.set(key, leg)
    void leg.ended.then((end) => {
      if (legs.get(key) === leg) legs.delete(key)
      logger.info({ callSid, streamSid, end, lostFrameCount: leg.lostFrameCount }, 'leg ended')
    })
    const scope = new Scope(deps.scope)
    try {
      await deps.handler.handle(leg, scope.signal)
      leg.hangUp()
    } catch (error) {
      if (!deps.scope.ended) logger.error({ error, callSid, streamSid }, 'conversation failed')
      leg.end('connection-lost', 1011, 'internal error')
    } finally {
      scope.end(new ScopeEnded())
    }
  }

  async function drain(signal: AbortSignal): Promise<void> {
    draining = true
    await settledOrAborted([...conversations], signal)
    for (const session of sessions) session.refuseUnlessLive(1001, 'server is shutting down')
    for (const leg of legs.values()) leg.end('connection-lost', 1001, 'server is shutting down')
    const farewell = new Scope()
    void clock.sleep(FAREWELL_MS, farewell.signal).then(
      () => farewell.end(new ScopeEnded()),
      () => undefined,
    )
    await settledOrAborted([...conversations], farewell.signal)
    farewell.end(new ScopeEnded())
  }

  return { liveLegs: () => legs.size, isDraining: () => draining, drain }
}

function settledOrAborted(work: readonly Promise<void>[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const onAbort = (): void => resolve()
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', onAbort, { once: true })
    void Promise.allSettled(work).then(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    })
  })
}
