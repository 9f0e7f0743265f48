import type { FastifyRequest } from 'fastify'
import type { SignedRequest } from './twilio-signature.ts'

/** What of an HTTP request decides whether the carrier sent it. */
export function signedRequest(request: FastifyRequest, params: Readonly<Record<string, unknown>>): SignedRequest {
  return {
    path: request.raw.url ?? '/',
    signature: request.headers['x-twilio-signature'],
    params,
    peerAddress: request.socket.remoteAddress ?? '',
    forwarded: ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'].some((name) => request.headers[name] !== undefined),
  }
}
