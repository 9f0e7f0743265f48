import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { breakGlassSchema } from '../security/records.ts'
import { apiKeyScopeSchema, breakGlassPermissionSchema } from '../security/roles.ts'
import { pageOf, pageQuerySchema, pageReply, pageReplySchema } from './conventions.ts'
import type { AdminDeps } from './pipeline.ts'
import { route } from './route.ts'
import { apiKeyViewSchema, breakGlassViewSchema } from './views.ts'

const companyParams = z.strictObject({ companyId: z.string().min(1).max(64) })

/** API keys and break-glass grants of a company. */
export function accessRoutes(api: FastifyInstance, deps: AdminDeps): void {
  apiKeys(api, deps)
  breakGlass(api, deps)
}

function apiKeys(api: FastifyInstance, deps: AdminDeps): void {
  const { apiKeys } = deps.security
  const tag = 'API keys'
  const base = '/companies/:companyId/api-keys'
  const keyParams = companyParams.extend({ keyId: z.string().min(1).max(64) })

  route(api, deps, {
    method: 'GET', path: base, permission: 'api_keys:read', audit: null, tag, summary: 'List API keys, never their secrets',
    params: companyParams, query: pageQuerySchema, replies: { 200: pageReplySchema(apiKeyViewSchema) },
    handler: async ({ query, companyId, signal }) => {
      const rows = await apiKeys.list(companyId, pageOf(query), signal)
      return { status: 200, body: pageReply(rows, query, (key) => key.id, (key) => key) }
    },
  })

  route(api, deps, {
    method: 'POST', path: base, permission: 'api_keys:write', audit: 'api_key.create', tag, replay: 'never',
    summary: 'Make an API key; its secret is in this answer and nowhere else',
    params: companyParams,
    body: z.strictObject({
      label: z.string().trim().min(1).max(80),
      scopes: z.array(apiKeyScopeSchema).min(1).max(30),
      expiresInDays: z.int().min(1).max(3650).default(90),
    }),
    replies: { 201: z.object({ key: apiKeyViewSchema, secret: z.string() }) },
    handler: async ({ body, principal, companyId, state, signal }) => {
      const made = await apiKeys.create(principal, companyId, body, signal)
      state.auditTarget = `api-key/${made.key.id}`
      Object.assign(state.auditDetails, { scopes: made.key.scopes.join(' '), expiresAt: made.key.expiresAt })
      return { status: 201, body: made, location: `/api/v1/companies/${companyId}/api-keys/${made.key.id}` }
    },
  })

  route(api, deps, {
    method: 'DELETE', path: `${base}/:keyId`, permission: 'api_keys:write', audit: 'api_key.revoke', tag, summary: 'Revoke an API key, at once',
    params: keyParams, replies: { 200: apiKeyViewSchema },
    handler: async ({ params, companyId, state, signal }) => {
      state.auditTarget = `api-key/${params.keyId}`
      return { status: 200, body: await apiKeys.revoke(companyId, params.keyId, signal) }
    },
  })
}

function breakGlass(api: FastifyInstance, deps: AdminDeps): void {
  const { breakGlass } = deps.security
  const tag = 'Break-glass'
  const base = '/companies/:companyId/break-glass'
  const grantParams = companyParams.extend({ grantId: z.string().min(1).max(64) })

  route(api, deps, {
    method: 'GET', path: base, permission: 'break_glass:read', audit: null, tag, summary: 'Who was let in to write, when and why',
    params: companyParams, query: pageQuerySchema, replies: { 200: pageReplySchema(breakGlassViewSchema) },
    handler: async ({ query, companyId, signal }) => {
      const rows = await breakGlass.list(companyId, pageOf(query), signal)
      return { status: 200, body: pageReply(rows, query, (grant) => grant.id, (grant) => grant) }
    },
  })

  route(api, deps, {
    method: 'POST', path: base, permission: 'break_glass:issue', audit: 'break_glass.issue', tag, replay: 'never',
    summary: 'Let a support colleague write for a while; they send the token as X-Break-Glass',
    params: companyParams,
    body: z.strictObject({
      granteeUserId: z.string().min(1).max(64),
      permissions: z.array(breakGlassPermissionSchema).min(1).max(10),
      methods: breakGlassSchema.shape.methods,
      pathPrefixes: breakGlassSchema.shape.pathPrefixes,
      expiresInMinutes: z.int().min(1).max(1440).default(60),
      reason: z.string().trim().min(10).max(500),
    }),
    replies: { 201: z.object({ grant: breakGlassViewSchema, token: z.string() }) },
    handler: async ({ body, principal, companyId, state, signal }) => {
      const issued = await breakGlass.issue(principal, companyId, body, signal)
      state.auditTarget = `break-glass/${issued.grant.id}`
      Object.assign(state.auditDetails, { grantee: body.granteeUserId, why: body.reason, expiresAt: issued.grant.expiresAt })
      return { status: 201, body: issued }
    },
  })

  route(api, deps, {
    method: 'DELETE', path: `${base}/:grantId`, permission: 'break_glass:issue', audit: 'break_glass.revoke', tag, summary: 'Take a grant back, at once',
    params: grantParams, replies: { 200: breakGlassViewSchema },
    handler: async ({ params, companyId, state, signal }) => {
      state.auditTarget = `break-glass/${params.grantId}`
      return { status: 200, body: await breakGlass.revoke(companyId, params.grantId, signal) }
    },
  })
}
