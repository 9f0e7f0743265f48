import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { PASSWORD_CEILING } from '../security/passwords.ts'
import type { User } from '../security/records.ts'
import { roleSchema } from '../security/roles.ts'
import { etagOf, guardedByIfMatch, pageOf, pageQuerySchema, pageReply, pageReplySchema, requireIfMatch } from './conventions.ts'
import type { AdminDeps } from './pipeline.ts'
import { found, route } from './route.ts'
import { deviceReplySchema, sessionViewOf, sessionViewSchema, userViewSchema } from './views.ts'

const TAG = 'Users'
const companyParams = z.strictObject({ companyId: z.string().min(1).max(64) })
const userParams = companyParams.extend({ userId: z.string().min(1).max(64) })
const deviceParams = userParams.extend({ deviceId: z.string().min(1).max(64) })
const nameSchema = z.string().trim().min(1).max(120)

/** The people of a company; of the platform under companyId `platform`. */
export function userRoutes(api: FastifyInstance, deps: AdminDeps): void {
  people(api, deps)
  theirSessionsAndDevices(api, deps)
}

function people(api: FastifyInstance, deps: AdminDeps): void {
  const { users, store } = deps.security
  const base = '/companies/:companyId/users'

  route(api, deps, {
    method: 'GET', path: base, permission: 'users:read', audit: null, tag: TAG, summary: 'List people',
    params: companyParams, query: pageQuerySchema, replies: { 200: pageReplySchema(userViewSchema) },
    handler: async ({ query, companyId, signal }) => {
      const rows = await store.users.list(companyId, pageOf(query), signal)
      return { status: 200, body: pageReply(rows, query, (user) => user.id, (user) => user) }
    },
  })

  route(api, deps, {
    method: 'POST', path: base, permission: 'users:write', audit: 'user.create', tag: TAG, summary: 'Add a person',
    params: companyParams,
    body: z.strictObject({ email: z.email().max(254), name: nameSchema, role: roleSchema, password: z.string().min(1).max(PASSWORD_CEILING) }),
    replies: { 201: userViewSchema },
    handler: async ({ body, principal, companyId, state, signal }) => {
      const user = await users.create(principal, companyId, body, signal)
      state.auditTarget = `user/${user.id}`
      Object.assign(state.auditDetails, { role: user.role, after: markOf(user) })
      return { status: 201, body: user, etag: etagOf(user.version), location: `/api/v1/companies/${companyId}/users/${user.id}` }
    },
  })

  route(api, deps, {
    method: 'GET', path: `${base}/:userId`, permission: 'users:read', audit: null, tag: TAG, summary: 'One person',
    params: userParams, replies: { 200: userViewSchema },
    handler: async ({ params, companyId, signal }) => {
      const user = found(await store.users.get(companyId, params.userId, signal), 'user')
      return { status: 200, body: user, etag: etagOf(user.version) }
    },
  })

  route(api, deps, {
    method: 'PATCH', path: `${base}/:userId`, permission: 'users:write', audit: 'user.update', tag: TAG,
    summary: 'Change name, role or status; a new role or status ends the sessions',
    params: userParams,
    body: z
      .strictObject({ name: nameSchema.optional(), role: roleSchema.optional(), status: z.enum(['active', 'disabled']).optional(), identity: z.null().optional().describe('null releases the account from who it is bound to at the identity provider') })
      .refine((change) => Object.keys(change).length > 0, 'must change something'),
    replies: { 200: userViewSchema },
    handler: async ({ params, body, principal, companyId, request, state, signal }) => {
      const ifVersion = requireIfMatch(request)
      state.auditTarget = `user/${params.userId}`
      const before = found(await store.users.get(companyId, params.userId, signal), 'user')
      const user = await guardedByIfMatch(() => users.change(principal, companyId, params.userId, body, ifVersion, signal))
      Object.assign(state.auditDetails, { before: markOf(before), after: markOf(user), roleBefore: before.role, role: user.role, userStatus: user.status })
      return { status: 200, body: user, etag: etagOf(user.version) }
    },
  })

  route(api, deps, {
    method: 'DELETE', path: `${base}/:userId`, permission: 'users:write', audit: 'user.delete', tag: TAG,
    summary: 'Delete a person with their sessions and devices; the last owner stays',
    params: userParams, replies: { 204: z.undefined() },
    handler: async ({ params, principal, companyId, state, signal }) => {
      state.auditTarget = `user/${params.userId}`
      await users.remove(principal, companyId, params.userId, signal)
      return { status: 204 }
    },
  })
}

function theirSessionsAndDevices(api: FastifyInstance, deps: AdminDeps): void {
  const { users, store, sessions, policy } = deps.security
  const base = '/companies/:companyId/users/:userId'

  route(api, deps, {
    method: 'GET', path: `${base}/sessions`, permission: 'users:read', audit: null, tag: TAG, summary: "A person's sessions",
    params: userParams, replies: { 200: z.object({ items: z.array(sessionViewSchema) }) },
    handler: async ({ params, companyId, signal }) => {
      found(await store.users.get(companyId, params.userId, signal), 'user')
      const all = await sessions.list(companyId, params.userId, signal)
      return { status: 200, body: { items: all.map((session) => sessionViewOf(session, sessions.isLive(session), null)) } }
    },
  })

  route(api, deps, {
    method: 'DELETE', path: `${base}/sessions`, permission: 'users:write', audit: 'auth.session_ended', tag: TAG, summary: "End a person's sessions",
    params: userParams, replies: { 200: z.object({ ended: z.int() }) },
    handler: async ({ params, principal, companyId, state, signal }) => {
      state.auditTarget = `user/${params.userId}`
      return { status: 200, body: { ended: await users.endSessions(principal, companyId, params.userId, signal) } }
    },
  })

  route(api, deps, {
    method: 'GET', path: `${base}/devices`, permission: 'users:read', audit: null, tag: TAG, summary: "A person's devices",
    params: userParams, replies: { 200: z.object({ items: z.array(deviceReplySchema) }) },
    handler: async ({ params, companyId, signal }) => {
      found(await store.users.get(companyId, params.userId, signal), 'user')
      return { status: 200, body: { items: await store.devices.list(companyId, params.userId, signal) } }
    },
  })

  for (const [verb, newState] of [['approve', 'approved'], ['revoke', 'revoked']] as const) {
    route(api, deps, {
      method: 'POST', path: `${base}/devices/:deviceId/${verb}`, permission: 'users:write', audit: `auth.device_${newState}`, tag: TAG,
      summary: verb === 'approve' ? 'Let a waiting device in' : 'Shut a device out; its session ends',
      params: deviceParams, replies: { 200: deviceReplySchema },
      handler: async ({ params, principal, companyId, state, signal }) => {
        state.auditTarget = `device/${params.deviceId}`
        const decision = { state: newState, by: principal.id, maxApproved: policy.maxDevices }
        const device = found(await store.devices.decide(companyId, params.userId, params.deviceId, decision, signal), 'device')
        if (newState === 'revoked') await sessions.end(companyId, params.userId, { deviceId: params.deviceId }, 'device-revoked', signal)
        return { status: 200, body: device }
      },
    })
  }

  route(api, deps, {
    method: 'POST', path: `${base}/devices/reset`, permission: 'users:write', audit: 'auth.devices_reset', tag: TAG,
    summary: 'Forget every device of a person who lost them all: the next one they sign in from is the first again',
    params: userParams,
    body: z.strictObject({ reason: z.string().trim().min(10).max(300) }),
    replies: { 200: z.object({ forgotten: z.int() }) },
    handler: async ({ params, body, principal, companyId, state, signal }) => {
      state.auditTarget = `user/${params.userId}`
      state.auditDetails['why'] = body.reason
      return { status: 200, body: { forgotten: await users.resetDevices(principal, companyId, params.userId, signal) } }
    },
  })
}

/** For the audit line: tells two states of a record apart without keeping either. */
function markOf(user: User): string {
  return createHash('sha256').update(JSON.stringify([user.email, user.name, user.role, user.status, user.version])).digest('base64url')
}
