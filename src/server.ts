import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Clock } from './core/clock.ts'
import { isClientsViaError } from './core/errors.ts'
import { Scope } from './core/scope.ts'
import { Problem } from './admin/problems.ts'
import type { CallRecord, TurnRecord } from './call/call-record.ts'
import type { PartHealth } from './observability/vendor-health.ts'
import { answerOnSocket, answerProblem } from './server-problems.ts'

/** Slow or stuck clients are let go after this; media sockets are not requests and live as long as their call. */
const REQUEST_TIMEOUT_MS = 10_000
/** Twilio's webhooks are a few hundred bytes; administration has its own limit on its own routes. */
const BODY_LIMIT_BYTES = 256 * 1024
const CONNECTION_TIMEOUT_MS = 20_000
const HEADERS_TIMEOUT_MS = 8_000
const LATE_CHECK_MS = 2_000

export interface ServerLogger {
  info(facts: Readonly<Record<string, unknown>>, message: string): void
  warn(facts: Readonly<Record<string, unknown>>, message: string): void
  error(facts: Readonly<Record<string, unknown>>, message: string): void
}

type PartCheck = Omit<PartHealth, 'degraded'> & Readonly<{ degraded?: boolean }>

/** What /readyz tells: the parts that must work before a call may come. */
export class Readiness {
  #state: 'starting' | 'ready' | 'draining' = 'starting'
  readonly #parts = new Map<string, () => PartCheck>()

  get state(): 'starting' | 'ready' | 'draining' {
    return this.#state
  }

  part(name: string, check: () => PartCheck): void {
    this.#parts.set(name, check)
  }

  ready(): void {
    if (this.#state === 'starting') this.#state = 'ready'
  }

  drain(): void {
    this.#state = 'draining'
  }

  /** Degraded: some part is away and something else does its work. That is no reason to send calls elsewhere. */
  report(): Readonly<{ ok: boolean; degraded: boolean; state: string; parts: Readonly<Record<string, PartHealth>> }> {
    const parts = Object.fromEntries([...this.#parts].map(([name, check]) => [name, { degraded: false, ...check() }]))
    const all = Object.values(parts)
    return { ok: this.#state === 'ready' && all.every((part) => part.ok), degraded: all.some((part) => part.degraded), state: this.#state, parts }
  }
}

export type ServerDeps = Readonly<{
  logger: ServerLogger
  readiness: Readiness
  metrics: () => Promise<Readonly<{ contentType: string; body: string }>>
  /** For the load harness and whoever stands on this machine; never for the network. */
  callRecord: (callSid: string) => Promise<Readonly<{ call: CallRecord; turns: readonly TurnRecord[] }> | null>
  stats: () => Readonly<Record<string, unknown>>
}>

/** The HTTP server without its rooms: health, metrics, error answers. Telephony and administration register themselves on it. */
export function buildServer(deps: ServerDeps): FastifyInstance {
  const app = Fastify({
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    // Node looks for late clients only this often; its default of 30 s would add to every limit.
    http: { connectionsCheckingInterval: LATE_CHECK_MS },
    // Calls are drained by us; open keep-alive connections must not hold a stop up.
    forceCloseConnections: 'idle',
    routerOptions: { ignoreTrailingSlash: true },
    frameworkErrors: (error, request, reply) => void answerProblem(error, request, reply),
    clientErrorHandler: answerOnSocket,
  })

  // Node swaps the two when the time for headers is the longer one, and a slow body then holds its connection for a minute.
  app.server.headersTimeout = HEADERS_TIMEOUT_MS

  app.get('/livez', async () => ({ status: 'ok' }))
  app.get('/healthz', async () => ({ status: 'ok' }))
  for (const path of ['/readyz', '/startupz']) {
    app.get(path, async (request, reply) => {
      const report = deps.readiness.report()
      const ok = path === '/startupz' ? report.state !== 'starting' : report.ok
      reply.code(ok ? 200 : 503)
      return isLocal(request) ? { status: ok ? 'ok' : 'unavailable', ...report } : { status: ok ? 'ok' : 'unavailable' }
    })
  }

  app.get('/metrics', async (request, reply) => {
    if (!isLocal(request)) return reply.callNotFound()
    const { contentType, body } = await deps.metrics()
    return reply.type(contentType).send(body)
  })
  app.get('/internal/stats', async (request, reply) => (isLocal(request) ? deps.stats() : reply.callNotFound()))
  app.get<{ Params: { callSid: string } }>('/internal/calls/:callSid', async (request, reply) => {
    if (!isLocal(request)) return reply.callNotFound()
    const record = await deps.callRecord(request.params.callSid)
    return record ?? reply.callNotFound()
  })

  // A balancer's kept connection would go on bringing requests here, and hold the stop up while it rests.
  app.addHook('onSend', async (_request, reply) => {
    if (deps.readiness.state === 'draining') reply.header('connection', 'close')
  })

  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const status = isClientsViaError(error) ? error.status : (error.statusCode ?? 500)
    if (status >= 500) deps.logger.error({ path: request.routeOptions.url ?? 'unknown', error: error.message }, 'request failed')
    return answerProblem(error, request, reply)
  })
  app.setNotFoundHandler((request, reply) => answerProblem(new Problem(404, 'NOT_FOUND', 'nothing is here'), request, reply))
  return app
}

/** Connections come to rest at any time while the server closes, and one at rest would be waited for; a stuck one is not. */
const CLOSE_IDLE_EVERY_MS = 200
const CLOSE_WITHIN_MS = 5000

export async function closeServer(app: FastifyInstance, clock: Clock): Promise<void> {
  const closed = new Scope()
  const closing = app.close().finally(() => closed.end('closed'))
  for (let waitedMs = 0; !closed.ended; waitedMs += CLOSE_IDLE_EVERY_MS) {
    await clock.sleep(CLOSE_IDLE_EVERY_MS, closed.signal).catch(() => undefined)
    if (waitedMs < CLOSE_WITHIN_MS) app.server.closeIdleConnections()
    else app.server.closeAllConnections()
  }
  await closing
}

const PROXY_HEADERS = ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip']

/** A peer on this machine that no proxy speaks for. Headers can only take the right away, never give it. */
export function isLocal(request: FastifyRequest): boolean {
  if (PROXY_HEADERS.some((name) => request.headers[name] !== undefined)) return false
  const address = request.socket.remoteAddress ?? ''
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.')
}
