import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema } from 'fastify'
import { z } from 'zod'
import type { RouteSpec } from './route.ts'

export const DOCUMENT_PATH = '/openapi.json'
export const REFERENCE_PATH = '/docs/api'

/** OpenAPI 3.1, made from the very schemas that validate; a page that renders it. Before any route is registered. */
export async function registerOpenApi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    hideUntagged: true,
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'ClientsVia API',
        version: '1.0.0',
        description:
          'Administration of ClientsVia. Every error is an RFC 9457 problem with `code` and `traceId`; lists are read page by page with `cursor`; ' +
          'POST takes an `Idempotency-Key`; what has an `ETag` is changed with `If-Match`; times are RFC 3339 in UTC.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'The access token of a session, or an API key (`cvk.…`).' },
        },
        schemas: { Problem: problemSchema },
      },
    },
  })
  await app.register(swaggerUi, { routePrefix: REFERENCE_PATH, staticCSP: true })
  app.get(DOCUMENT_PATH, { schema: { hide: true } }, async () => app.swagger())
}

/** What Fastify is given as a route's schema: documentation only, the route itself validates with zod. */
export function operationOf<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(spec: RouteSpec<P, Q, B>): FastifySchema {
  const response: Record<string, unknown> = {}
  for (const [status, schema] of Object.entries(spec.replies)) {
    response[status] = 
      schema instanceof z.ZodUndefined
        ? { description: 'Done', type: 'null' }
        : { description: 'Done', content: { [spec.replyType ?? 'application/json']: { schema: jsonSchemaOf(schema, 'output') } } }
  }
  for (const status of problemStatuses(spec)) {
    response[status] = { description: PROBLEM_TEXTS.get(status) ?? 'Error', content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } }
  }
  return {
    tags: [spec.tag],
    summary: spec.summary,
    operationId: operationIdOf(spec.method, spec.path),
    ...(spec.permission === 'public' ? { security: [] } : { security: [{ bearer: [] }], description: `Needs the permission \`${spec.permission}\`.` }),
    ...(spec.params === undefined ? {} : { params: jsonSchemaOf(spec.params, 'input') }),
    ...(spec.query === undefined ? {} : { querystring: jsonSchemaOf(spec.query, 'input') }),
    ...(spec.body === undefined ? {} : { body: jsonSchemaOf(spec.body, 'input') }),
    response,
  }
}

/** Every status that the pipeline or the conventions may answer this route with. */
function problemStatuses(spec: Readonly<{ method: string; path: string; permission: string; body?: unknown; replay?: string; alsoRefuses?: readonly number[] }>): readonly number[] {
  const signedIn = spec.permission !== 'public'
  const statuses = [400, 403, 429, 500, 503]
  if (signedIn || spec.path.startsWith('/auth')) statuses.push(401)
  if (spec.path.includes(':')) statuses.push(404)
  if (spec.method !== 'GET') statuses.push(409, 413, 415)
  if (spec.method === 'POST' && signedIn) statuses.push(422)
  if (spec.method === 'PATCH' || spec.method === 'PUT') statuses.push(412, 428)
  return [...statuses, ...(spec.alsoRefuses ?? [])].sort((a, b) => a - b)
}

/** Schemas are constants, and a process may build the application more than once. */
const described = { input: new WeakMap<z.ZodType, Record<string, unknown>>(), output: new WeakMap<z.ZodType, Record<string, unknown>>() }

function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  const known = described[io].get(schema)
  // Whoever serves the document may write into it.
  if (known !== undefined) return structuredClone(known)
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, target: 'draft-2020-12', unrepresentable: 'any' })
  described[io].set(schema, rest)
  return structuredClone(rest)
}

function operationIdOf(method: string, path: string): string {
  const words = path.split('/').filter((word) => word !== '').map((word) => word.replace(/^:/, 'by-'))
  return [method.toLowerCase(), ...words].join('-').replace(/-([a-z])/gi, (_match, letter: string) => letter.toUpperCase())
}

const problemSchema = {
  type: 'object' as const,
  required: ['type', 'title', 'status', 'detail', 'instance', 'code', 'traceId'],
  properties: {
    type: { type: 'string' as const },
    title: { type: 'string' as const },
    status: { type: 'integer' as const },
    detail: { type: 'string' as const },
    instance: { type: 'string' as const },
    code: { type: 'string' as const },
    traceId: { type: 'string' as const },
    errors: {
      type: 'array' as const,
      items: {
        type: 'object' as const,
        required: ['field', 'message'],
        properties: { field: { type: 'string' as const }, message: { type: 'string' as const } },
      },
    },
  },
}

const PROBLEM_TEXTS = new Map([
  [400, 'The request is not valid; `errors` names the fields'],
  [401, 'Not signed in, or no longer'],
  [403, 'Refused: role, device or place'],
  [404, 'No such thing, or not yours'],
  [409, 'In conflict with what is stored'],
  [412, 'Changed since it was read'],
  [413, 'Body too large'],
  [415, 'Body is not JSON'],
  [416, 'The range begins after the end'],
  [422, 'Idempotency-Key used with another body'],
  [428, 'If-Match is missing'],
  [429, 'Too many requests; see Retry-After'],
  [500, 'Our fault; quote the trace id'],
  [503, 'Busy or a store is down; try again'],
])
