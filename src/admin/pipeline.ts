import { randomBytes } from 'node:crypto'
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../core/clock.ts'
import { Scope, ScopeEnded } from '../core/scope.ts'
import { API_KEY_PREFIX } from '../security/api-keys.ts'
import type { ClientFacts } from '../security/client.ts'
import { checkPlace, clientAddress } from '../security/geo.ts'
import type { Principal } from '../security/principal.ts'
import { Refusal } from '../security/refusals.ts'
import { PLATFORM, reachesCompany } from '../security/roles.ts'
import type { Security } from '../security/security.ts'
import type { AccessClaims } from '../security/tokens.ts'
import { AuditStage } from './audit-stage.ts'
import { answerNotFound, RouteTable } from './not-found.ts'
import { registerOpenApi } from './openapi.ts'
import { documentOf, pathOf, Problem, problemOf } from './problems.ts'
import { DEFAULT_RATE_TIERS, RateStage, type RateTiers } from './rate-stage.ts'
import type { RouteRules } from './route.ts'

/** The order of every request under /api/v1. A test reads it back from what really ran. */
export const STAGES = ['headers', 'rate-limit', 'cors', 'location', 'token', 'device', 'session', 'permission', 'handler', 'audit'] as const
export type Stage = (typeof STAGES)[number]

export const API_PREFIX = '/api/v1'

export type AdminDeps = Readonly<{
  security: Security
  clock: Clock
  companyExists: (companyId: string, signal: AbortSignal) => Promise<boolean>
  /** Where errors that are ours go; the caller only sees the trace id. */
  reportError: (error: unknown, facts: Readonly<{ traceId: string; method: string; route: string }>) => void
  /** Web pages of other origins that may call the API; none by default. */
  allowedOrigins?: readonly string[]
  rateTiers?: Partial<RateTiers>
  /** For tests: told of every request's stages when it ends. */
  onTrace?: (trace: Readonly<{ method: string; url: string; stages: readonly Stage[] }>) => void
}>

/** One room's routes, registered with `route(api, ...)`. */
export type Resources = (api: FastifyInstance, deps: AdminDeps) => void | Promise<void>

/** What the pipeline knows of a request so far. */
export type RequestState = {
  readonly traceId: string
  readonly client: ClientFacts
  readonly scope: Scope
  readonly stages: Stage[]
  credential: Readonly<{ kind: 'claims'; claims: AccessClaims } | { kind: 'key'; principal: Principal }> | null
  principal: Principal | null
  /** The company that the path names; null until it is known to exist and to be the caller's. */
  companyId: string | null
  /** What the handler adds to the audit line. */
  auditTarget: string
  auditDetails: Record<string, string | number | boolean | null>
  problemCode: string
}

declare module 'fastify' {
  interface FastifyRequest {
    admin: RequestState | null
  }
  interface FastifyContextConfig {
    rules?: RouteRules
  }
}

const HSTS_S = 15_552_000
/** One for all requests: taking a stack trace for each cost 3 % of a request. */
const OVER = new ScopeEnded()

/**
 * The REST plane: the pipeline, the error documents, the OpenAPI document and the given rooms' routes, under /api/v1. Nothing of it
 * touches routes outside of that prefix.
 */
export async function registerAdmin(app: FastifyInstance, deps: AdminDeps, resources: readonly Resources[]): Promise<void> {
  await registerOpenApi(app)
  await app.register(
    async (api) => {
      const routes = new RouteTable()
      const rates = new RateStage({ ...DEFAULT_RATE_TIERS, ...deps.rateTiers })
      const audit = new AuditStage(deps.security.audit)
      api.decorateRequest('admin', null)
      // JSON only: what cannot be validated is not read.
      api.removeContentTypeParser('text/plain')
      api.setValidatorCompiler(() => () => true)
      api.setSerializerCompiler(() => (body) => JSON.stringify(body))
      api.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, deps))
      api.setNotFoundHandler((request) => answerNotFound(request, routes, API_PREFIX))

      api.addHook('onRequest', async (request, reply) => begin(request, reply, deps))
      await api.register(helmet, {
        contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"] } },
        hsts: { maxAge: HSTS_S, includeSubDomains: true },
        referrerPolicy: { policy: 'no-referrer' },
        frameguard: { action: 'deny' },
      })
      api.addHook('onRequest', async (request, reply) => {
        reply.header('cache-control', 'no-store')
        stateOf(request).stages.push('headers')
      })
      await api.register(rateLimit, { global: false })
      rates.open(api)
      api.addHook('onRequest', async (request, reply) => {
        stateOf(request).stages.push('rate-limit')
        await rates.beforeToken(request, reply)
      })
      api.addHook('onRequest', async (request) => {
        stateOf(request).stages.push('cors')
        // The plugin would answer in words of its own.
        const isPreflight = request.headers.origin !== undefined && request.headers['access-control-request-method'] !== undefined
        if (request.method === 'OPTIONS' && !isPreflight) answerNotFound(request, routes, API_PREFIX)
      })
      await api.register(cors, {
        origin: [...(deps.allowedOrigins ?? [])],
        methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
        allowedHeaders: ['authorization', 'content-type', 'if-match', 'idempotency-key', 'x-break-glass', 'traceparent'],
        exposedHeaders: ['etag', 'location', 'ratelimit', 'ratelimit-policy', 'retry-after', 'idempotent-replayed'],
        maxAge: 600,
      })
      // After the plugins, whose own routes (the answer to preflights) have no rules.
      api.addHook('onRoute', (options) => routes.add(options))
      api.addHook('onRequest', async (request, reply) => {
        await identify(request, reply, deps, rates)
      })
      // The handler of a route marks itself; this hook runs for refusals and unknown paths too.
      api.addHook('onSend', async (request, reply) => {
        const state = stateOf(request)
        if (state.stages.includes('audit')) return
        state.stages.push('audit')
        await audit.write(request, reply, state)
      })
      api.addHook('onResponse', async (request) => {
        const state = stateOf(request)
        state.scope.end(OVER)
        deps.onTrace?.({ method: request.method, url: request.url, stages: state.stages })
      })
      for (const resource of resources) await resource(api, deps)
    },
    { prefix: API_PREFIX },
  )
}

export function stateOf(request: FastifyRequest): RequestState {
  if (request.admin === null) throw new Problem(500, 'INTERNAL_ERROR', 'the request was not begun by the pipeline')
  return request.admin
}

/** The stages between CORS and the handler. Public routes have no token, device or session; their location is checked all the same. */
async function identify(request: FastifyRequest, reply: FastifyReply, deps: AdminDeps, rates: RateStage): Promise<void> {
  const state = stateOf(request)
  const { security } = deps
  state.stages.push('location')
  checkPlace(state.client.place, security.policy)
  const rules = request.routeOptions.config.rules
  if (request.is404 || rules === undefined || rules.permission === 'public') return

  state.stages.push('token')
  state.credential = await readCredential(request, security, state.scope.signal)
  const { credential } = state
  state.stages.push('device')
  if (credential.kind === 'claims') await security.sessions.checkDevice(credential.claims, state.client, state.scope.signal)
  state.stages.push('session')
  const principal = credential.kind === 'key' ? credential.principal : await security.sessions.checkSession(credential.claims, state.scope.signal)
  state.principal = principal
  await rates.afterToken(request, reply)

  state.stages.push('permission')
  await checkPermission(request, rules, principal, deps, state)
}

async function readCredential(request: FastifyRequest, security: Security, signal: AbortSignal): Promise<NonNullable<RequestState['credential']>> {
  const [scheme = '', token = ''] = (request.headers.authorization ?? '').split(' ')
  if (token === '' || scheme.toLowerCase() !== 'bearer') throw new Refusal('TOKEN_MISSING')
  if (token.startsWith(`${API_KEY_PREFIX}.`)) return { kind: 'key', principal: await security.apiKeys.authenticate(token, signal) }
  return { kind: 'claims', claims: await security.sessions.readToken(token) }
}

/**
 * First the tenant wall: a company that is not the caller's does not exist for them (404, whatever their role). Then the role, or a
 * break-glass grant that covers this very request.
 */
async function checkPermission(request: FastifyRequest, rules: RouteRules, principal: Principal, deps: AdminDeps, state: RequestState): Promise<void> {
  const { permission } = rules
  if (permission === 'public') return
  const companyId = companyOfPath(request)
  if (companyId !== null) {
    if (!reachesCompany(principal.companyId, companyId)) throw new Problem(404, 'NOT_FOUND', 'no such company')
    if (companyId !== PLATFORM && !(await deps.companyExists(companyId, state.scope.signal))) throw new Problem(404, 'NOT_FOUND', 'no such company')
    state.companyId = companyId
  }
  if (principal.permissions.has(permission)) return
  const token = request.headers['x-break-glass']
  if (typeof token !== 'string' || companyId === null) throw new Refusal('PERMISSION_DENIED')
  // As it was sent and routed: what a URL parser makes of `..` is another path.
  const [, , , , , ...below] = (request.url.replace(/^https?:\/\/[^/]*/i, '').split('?')[0] ?? '').split('/')
  const path = `/${below.join('/')}`
  const grant = await deps.security.breakGlass.check(principal, token, { companyId, permission, method: request.method, path }, state.scope.signal)
  state.principal = { ...principal, breakGlass: grant }
}

function companyOfPath(request: FastifyRequest): string | null {
  const { params } = request
  if (typeof params !== 'object' || params === null || !('companyId' in params)) return null
  return typeof params.companyId === 'string' ? params.companyId : null
}

function begin(request: FastifyRequest, reply: FastifyReply, deps: AdminDeps): void {
  const scope = new Scope()
  // A caller who hangs up takes what was begun for them along; after a reply nothing is left to end.
  reply.raw.once('close', () => scope.end(OVER))
  const header = (name: string): string => {
    const value = request.headers[name]
    return typeof value === 'string' ? value : (value?.join(',') ?? '')
  }
  const address = clientAddress(request.socket.remoteAddress ?? '', header('x-forwarded-for'), deps.security.policy.trustedProxyHops)
  const traceId = traceIdOf(header('traceparent'))
  reply.header('x-trace-id', traceId)
  request.admin = {
    traceId,
    scope,
    client: {
      address,
      place: deps.security.locator.locate(address),
      userAgent: header('user-agent'),
      acceptLanguage: header('accept-language'),
      platform: header('sec-ch-ua-platform'),
      traceId,
    },
    stages: [],
    credential: null,
    principal: null,
    companyId: null,
    auditTarget: '',
    auditDetails: {},
    problemCode: '',
  }
}

/** W3C trace context: the caller's trace goes on; without one, or with a broken one, a new trace begins. */
function traceIdOf(traceparent: string): string {
  const given = /^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(traceparent)?.[1]
  return given !== undefined && !/^0+$/.test(given) ? given : randomBytes(16).toString('hex')
}

function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply, deps: AdminDeps): FastifyReply {
  const problem = problemOf(error)
  const state = stateOf(request)
  state.problemCode = problem.code
  // A caller who hung up is no fault of ours.
  if (problem.status >= 500 && !state.scope.ended) deps.reportError(error, { traceId: state.traceId, method: request.method, route: request.routeOptions.url ?? '' })
  for (const [name, value] of Object.entries(problem.extras.headers ?? {})) reply.header(name, value)
  return reply
    .code(problem.status)
    .header('content-type', 'application/problem+json')
    .serializer((body) => JSON.stringify(body))
    .send(documentOf(problem, state.traceId, pathOf(request.url)))
}
