import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import type { Principal } from '../security/principal.ts'
import type { Permission } from '../security/roles.ts'
import { operationOf } from './openapi.ts'
import { stateOf, type AdminDeps, type RequestState } from './pipeline.ts'
import { Problem } from './problems.ts'
import { unreadableIn } from './readable-text.ts'

/** What the pipeline needs to know of a route before its handler runs. */
export type RouteRules = Readonly<{
  permission: Permission | 'public'
  tier: 'login' | null
  /** Name of the audit line; 'self' when the service behind the route writes it; null for reads. */
  audit: string | null
}>

/** `params`, `query` and `body` are strict schemas: a field they do not know is refused by name. */
export type RouteSpec<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> = Readonly<{
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Below /api/v1. A company's things live below /companies/:companyId, which the pipeline checks. */
  path: string
  permission: Permission | 'public'
  audit: string | null
  tier?: 'login'
  tag: string
  summary: string
  params?: P
  query?: Q
  body?: B
  /** Success status -> what is sent. The schema is also the filter: what it does not name never leaves. */
  replies: Readonly<Record<number, z.ZodType>>
  /** Of the success replies; application/json unless told. */
  replyType?: string
  /** Statuses that the handler answers with beside the usual ones, for the document. */
  alsoRefuses?: readonly number[]
  /** 'never' for replies that hold a secret or are too large to be kept for sending again. */
  replay?: 'allowed' | 'never'
  /** Bytes; 64 KiB unless told. */
  bodyLimit?: number
  handler: (input: RouteInput<z.output<P>, z.output<Q>, z.output<B>>) => Promise<Answer>
}>

export type RouteInput<P, Q, B> = Readonly<{
  params: P
  query: Q
  body: B
  request: FastifyRequest
  reply: FastifyReply
  state: RequestState
  signal: AbortSignal
  /** Throws on public routes, which have none. */
  principal: Principal
  /** Throws on routes without :companyId. */
  companyId: string
}>
/** `stream` instead of `body`: sent as it is read, under the spec's `replyType`. */
export type Answer = Readonly<{ status: number; body?: unknown; stream?: Readable; etag?: string; location?: string; filename?: string }>

/** Ample for a form; imports say their own. */
const BODY_LIMIT_BYTES = 64 * 1024
const nothing = z.strictObject({})
type Nothing = typeof nothing

/** Registers one route. Throws at start when the spec contradicts itself. */
export function route<P extends z.ZodType = Nothing, Q extends z.ZodType = Nothing, B extends z.ZodType = Nothing>(
  api: FastifyInstance,
  deps: AdminDeps,
  spec: RouteSpec<P, Q, B>,
): void {
  const writes = spec.method !== 'GET'
  if (writes === (spec.audit === null)) throw new Error(`${spec.method} ${spec.path}: a write names its audit line, a read has none unless it is 'self'`)
  api.route({
    method: spec.method,
    url: spec.path,
    bodyLimit: spec.bodyLimit ?? BODY_LIMIT_BYTES,
    config: { rules: { permission: spec.permission, tier: spec.tier ?? null, audit: spec.audit } },
    schema: operationOf(spec),
    handler: async (request, reply) => {
      const state = stateOf(request)
      state.stages.push('handler')
      const input: RouteInput<z.output<P>, z.output<Q>, z.output<B>> = {
        params: readPart(spec.params, request.params),
        query: readPart(spec.query, request.query),
        body: readPart(spec.body, request.body ?? {}),
        request,
        reply,
        state,
        signal: state.scope.signal,
        get principal() {
          if (state.principal === null) throw new Problem(500, 'INTERNAL_ERROR', 'a public route asked who its caller is')
          return state.principal
        },
        get companyId() {
          if (state.companyId === null) throw new Problem(500, 'INTERNAL_ERROR', 'a route without companyId asked for one')
          return state.companyId
        },
      }
      const run = async (): Promise<Prepared> => prepare(spec, await spec.handler(input))
      const prepared = spec.method === 'POST' && spec.permission !== 'public' ? await once(request, reply, deps, state, spec.replay !== 'never', run) : await run()
      reply.code(prepared.status)
      if (prepared.etag !== null) reply.header('etag', prepared.etag)
      if (prepared.location !== null) reply.header('location', prepared.location)
      if (prepared.filename !== null) reply.header('content-disposition', `attachment; filename="${prepared.filename}"`)
      if (prepared.stream === null && prepared.body === '') return reply.send()
      reply.header('content-type', spec.replyType ?? 'application/json; charset=utf-8')
      return prepared.stream === null ? reply.serializer(String).send(prepared.body) : reply.send(prepared.stream)
    },
  })
}

type Prepared = Readonly<{ status: number; body: string; stream: Readable | null; etag: string | null; location: string | null; filename: string | null }>

function readPart<S extends z.ZodType>(schema: S | undefined, value: unknown): z.output<S> {
  // A route without a schema takes nothing: what is sent all the same is refused like any unknown field.
  const checked: z.ZodType = schema ?? nothing
  const unreadable = unreadableIn(value)
  if (unreadable.length > 0) throw new Problem(400, 'INVALID_INPUT', unreadable.map((one) => `${one.field}: ${one.message}`).join('; '), { errors: unreadable })
  return checked.parse(value) as z.output<S>
}

function prepare(spec: Pick<RouteSpec<z.ZodType, z.ZodType, z.ZodType>, 'replies' | 'path'>, answer: Answer): Prepared {
  const schema = spec.replies[answer.status]
  if (schema === undefined) throw new Error(`${spec.path} answered ${answer.status}, which its document does not name`)
  const { status, stream = null, etag = null, location = null, filename = null } = answer
  if (stream !== null) return { status, body: '', stream, etag, location, filename }
  const filtered = schema.safeParse(answer.body)
  if (!filtered.success) throw new Error(`${spec.path} answered something that its document does not describe: ${filtered.error.message}`)
  const body = filtered.data === undefined ? '' : JSON.stringify(filtered.data)
  return { status, body, stream, etag, location, filename }
}

const KEY_LIFE_MS = 24 * 3_600_000
/** Longer than any request may take; then a key whose request died with its process is free again. */
const RUNNING_MS = 60_000

/** Idempotency-Key: the same key and body is done once; who asks again gets the same answer. */
async function once(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: AdminDeps,
  state: RequestState,
  mayReplay: boolean,
  run: () => Promise<Prepared>,
): Promise<Prepared> {
  const header = request.headers['idempotency-key']
  if (header === undefined) return run()
  if (typeof header !== 'string' || !/^[\x21-\x7e]{8,128}$/.test(header)) {
    throw new Problem(400, 'INVALID_INPUT', 'Idempotency-Key must be 8 to 128 visible characters', { errors: [{ field: 'Idempotency-Key', message: 'must be 8 to 128 visible characters' }] })
  }
  const { principal } = state
  if (principal === null) return run()
  const companyId = state.companyId ?? principal.companyId
  const key = digest([principal.companyId, principal.id, request.method, request.url, header])
  const nowMs = deps.clock.wallTime().getTime()
  const store = deps.security.store.idempotency
  const answer = await store.begin(companyId, key, {
    fingerprint: digest([request.body ?? null]),
    now: new Date(nowMs).toISOString(),
    expiresAt: new Date(nowMs + KEY_LIFE_MS).toISOString(),
    runningUntil: new Date(nowMs + RUNNING_MS).toISOString(),
  })
  if (answer.outcome === 'mismatch') throw new Problem(422, 'IDEMPOTENCY_KEY_REUSED', 'this Idempotency-Key was used with another body')
  if (answer.outcome === 'running') throw new Problem(409, 'IDEMPOTENCY_KEY_RUNNING', 'a request with this Idempotency-Key is still running', { headers: { 'retry-after': '1' } })
  if (answer.outcome === 'replay') {
    const { body, ...rest } = answer.reply
    if (!mayReplay || body === null) throw new Problem(409, 'ALREADY_DONE', 'this was done before; its answer is given once only')
    reply.header('idempotent-replayed', 'true')
    state.auditDetails['replayed'] = true
    return { ...rest, body, stream: null, filename: null }
  }
  try {
    const prepared = await run()
    await store.finish(companyId, key, { status: prepared.status, body: mayReplay ? prepared.body : '', etag: prepared.etag, location: prepared.location })
    return prepared
  } catch (error) {
    await store.abandon(companyId, key)
    throw error
  }
}

function digest(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}

/** For handlers: a missing thing, said the same way everywhere. */
export function found<T>(thing: T | null, what: string): T {
  if (thing === null) throw new ClientsViaError('NOT_FOUND', `no such ${what}`)
  return thing
}
