import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { documentOf, pathOf, Problem, problemOf } from './admin/problems.ts'

/** For what ends before any room's own handlers are asked: paths that cannot be read, and paths that nobody serves. */
export function answerProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = problemOf(error)
  const traceId = newTraceId()
  for (const [name, value] of Object.entries({ ...ANSWER_HEADERS, ...problem.extras.headers })) reply.header(name, value)
  return reply
    .code(problem.status)
    .header('content-type', 'application/problem+json')
    .header('x-trace-id', traceId)
    .serializer((body) => JSON.stringify(body))
    .send(documentOf(problem, traceId, pathOf(request.url)))
}

/** For what is no HTTP at all, or too slow or too large to become a request: there is only the socket to answer on. */
export function answerOnSocket(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const problem = SOCKET_PROBLEMS.get(error.code ?? '') ?? new Problem(400, 'BAD_REQUEST', 'this is not a request that can be read')
  const traceId = newTraceId()
  const body = JSON.stringify(documentOf(problem, traceId, ''))
  const headers = { ...ANSWER_HEADERS, 'content-type': 'application/problem+json', 'content-length': String(Buffer.byteLength(body)), 'x-trace-id': traceId, connection: 'close' }
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  if (socket.writable) socket.write([`HTTP/1.1 ${problem.status} ${documentOf(problem, traceId, '').title}`, ...head, '', body].join('\r\n'))
  socket.destroy(error)
}

/** The pipeline's own headers are not there yet, or no longer. */
const ANSWER_HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const

const SOCKET_PROBLEMS = new Map([
  ['ERR_HTTP_REQUEST_TIMEOUT', new Problem(408, 'REQUEST_TIMEOUT', 'the request did not arrive in time')],
  ['HPE_HEADER_OVERFLOW', new Problem(431, 'HEADERS_TOO_LARGE', 'the headers are larger than this server reads')],
])

function newTraceId(): string {
  return randomBytes(16).toString('hex')
}
