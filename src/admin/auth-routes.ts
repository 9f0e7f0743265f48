import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { deviceProofSchema } from '../security/devices.ts'
import { PASSWORD_CEILING } from '../security/passwords.ts'
import { Refusal } from '../security/refusals.ts'
import type { AdminDeps } from './pipeline.ts'
import { Problem } from './problems.ts'
import { found, route } from './route.ts'
import { deviceReplySchema, meOf, meViewSchema, sessionViewOf, sessionViewSchema } from './views.ts'

const TAG = 'Sign-in'
const emailSchema = z.email().max(254)
const passwordSchema = z.string().min(1).max(PASSWORD_CEILING)
const idParams = z.strictObject({ deviceId: z.string().min(1).max(64) })

export const loginReplySchema = z.object({
  accessToken: z.string(),
  refreshToken: z.string(),
  expiresIn: z.int().describe('Seconds'),
  user: meViewSchema,
  deviceId: z.string(),
  replacedSessions: z.int().describe('Older sessions that this sign-in ended'),
})
const refreshReplySchema = loginReplySchema.pick({ accessToken: true, refreshToken: true, expiresIn: true })

/** Sign-in and everything people do to their own account. */
export function authRoutes(api: FastifyInstance, deps: AdminDeps): void {
  signIn(api, deps)
  ownSessions(api, deps)
  ownDevices(api, deps)
  passwords(api, deps)
}

function signIn(api: FastifyInstance, deps: AdminDeps): void {
  const { login, sessions, proofs, store } = deps.security

  route(api, deps, {
    method: 'POST', path: '/auth/devices/challenge', permission: 'public', audit: 'self', tag: TAG,
    summary: 'A challenge for the device to sign, good for one sign-in or refresh',
    replies: { 200: z.object({ challenge: z.string(), expiresIn: z.int() }) },
    handler: async () => ({ status: 200, body: proofs.challenge() }),
  })

  route(api, deps, {
    method: 'POST', path: '/auth/login', permission: 'public', audit: 'self', tier: 'login', tag: TAG,
    summary: 'Sign in with e-mail, password and the proof of a device key',
    body: z.strictObject({ email: emailSchema, password: passwordSchema, device: deviceProofSchema.optional() }),
    replies: { 200: loginReplySchema },
    handler: async ({ body, state, signal }) => {
      const reply = await login.run({ email: body.email, password: body.password, device: body.device ?? null, client: state.client }, signal)
      return { status: 200, body: { ...reply, user: meOf(reply.user) } }
    },
  })

  route(api, deps, {
    method: 'POST', path: '/auth/refresh', permission: 'public', audit: 'self', tier: 'login', tag: TAG,
    summary: 'Exchange a refresh token for a new pair; a token works once',
    body: z.strictObject({ refreshToken: z.string().min(1).max(400), device: deviceProofSchema.optional() }),
    replies: { 200: refreshReplySchema },
    handler: async ({ body, state, signal }) => ({ status: 200, body: await sessions.refresh(body.refreshToken, body.device ?? null, state.client, signal) }),
  })

  route(api, deps, {
    method: 'POST', path: '/auth/logout', permission: 'self:write', audit: 'auth.logout', tag: TAG,
    summary: 'End this session, on every process at once',
    replies: { 204: z.undefined() },
    handler: async ({ principal, state, signal }) => {
      state.auditTarget = `session/${principal.sessionId ?? ''}`
      if (principal.deviceId !== null) await sessions.end(principal.companyId, principal.id, { deviceId: principal.deviceId }, 'logout', signal)
      return { status: 204 }
    },
  })

  route(api, deps, {
    method: 'GET', path: '/auth/me', permission: 'self:read', audit: null, tag: TAG,
    summary: 'Who am I, and what may I do',
    replies: { 200: meViewSchema },
    handler: async ({ principal, signal }) => ({ status: 200, body: meOf(found(await store.users.get(principal.companyId, principal.id, signal), 'user')) }),
  })
}

function ownSessions(api: FastifyInstance, deps: AdminDeps): void {
  const { sessions } = deps.security

  route(api, deps, {
    method: 'GET', path: '/auth/sessions', permission: 'self:read', audit: null, tag: TAG,
    summary: 'My sessions, ended ones too, newest first',
    replies: { 200: z.object({ items: z.array(sessionViewSchema) }) },
    handler: async ({ principal, signal }) => {
      const all = await sessions.list(principal.companyId, principal.id, signal)
      return { status: 200, body: { items: all.map((session) => sessionViewOf(session, sessions.isLive(session), principal.sessionId)) } }
    },
  })

  route(api, deps, {
    method: 'DELETE', path: '/auth/sessions/:deviceId', permission: 'self:write', audit: 'auth.session_ended', tag: TAG,
    summary: 'End my session on one device',
    params: idParams,
    replies: { 204: z.undefined() },
    handler: async ({ params, principal, state, signal }) => {
      const ended = await sessions.end(principal.companyId, principal.id, { deviceId: params.deviceId }, 'ended-by-user', signal)
      state.auditTarget = `device/${params.deviceId}`
      if (ended.length === 0) throw new Problem(404, 'NOT_FOUND', 'no such session')
      return { status: 204 }
    },
  })

  route(api, deps, {
    method: 'DELETE', path: '/auth/sessions', permission: 'self:write', audit: 'auth.session_ended', tag: TAG,
    summary: 'End all my sessions but this one',
    replies: { 200: z.object({ ended: z.int() }) },
    handler: async ({ principal, signal }) => {
      const keep = principal.sessionId === null ? {} : { keepSessionId: principal.sessionId }
      const ended = await sessions.end(principal.companyId, principal.id, keep, 'ended-by-user', signal)
      return { status: 200, body: { ended: ended.length } }
    },
  })
}

function ownDevices(api: FastifyInstance, deps: AdminDeps): void {
  const { store, sessions, policy } = deps.security

  route(api, deps, {
    method: 'GET', path: '/auth/devices', permission: 'self:read', audit: null, tag: TAG,
    summary: 'My devices: approved, waiting and revoked',
    replies: { 200: z.object({ items: z.array(deviceReplySchema) }) },
    handler: async ({ principal, signal }) => ({ status: 200, body: { items: await store.devices.list(principal.companyId, principal.id, signal) } }),
  })

  route(api, deps, {
    method: 'POST', path: '/auth/devices/:deviceId/approve', permission: 'self:write', audit: 'auth.device_approved', tag: TAG,
    summary: 'Approve one of my waiting devices, from a device that is approved',
    params: idParams,
    replies: { 200: deviceReplySchema },
    handler: async ({ params, principal, state, signal }) => {
      state.auditTarget = `device/${params.deviceId}`
      const decision = { state: 'approved' as const, by: principal.id, maxApproved: policy.maxDevices }
      const device = await store.devices.decide(principal.companyId, principal.id, params.deviceId, decision, signal)
      return { status: 200, body: found(device, 'device') }
    },
  })

  route(api, deps, {
    method: 'POST', path: '/auth/devices/:deviceId/revoke', permission: 'self:write', audit: 'auth.device_revoked', tag: TAG,
    summary: 'Revoke one of my devices; its session ends',
    params: idParams,
    replies: { 200: deviceReplySchema },
    handler: async ({ params, principal, state, signal }) => {
      state.auditTarget = `device/${params.deviceId}`
      const decision = { state: 'revoked' as const, by: principal.id, maxApproved: policy.maxDevices }
      const device = found(await store.devices.decide(principal.companyId, principal.id, params.deviceId, decision, signal), 'device')
      await sessions.end(principal.companyId, principal.id, { deviceId: params.deviceId }, 'device-revoked', signal)
      return { status: 200, body: device }
    },
  })
}

function passwords(api: FastifyInstance, deps: AdminDeps): void {
  const { passwords } = deps.security

  route(api, deps, {
    method: 'POST', path: '/auth/password', permission: 'self:write', audit: 'auth.password_changed', tier: 'login', tag: TAG, replay: 'never',
    summary: 'Change my password; every session ends, this one too',
    body: z.strictObject({ currentPassword: passwordSchema, newPassword: passwordSchema }),
    replies: { 204: z.undefined() },
    handler: async ({ body, principal, state, signal }) => {
      if (principal.kind !== 'user') throw new Refusal('PERMISSION_DENIED')
      state.auditTarget = `user/${principal.id}`
      await passwords.change(principal, body.currentPassword, body.newPassword, signal)
      return { status: 204 }
    },
  })

  route(api, deps, {
    method: 'POST', path: '/auth/password/forgot', permission: 'public', audit: 'self', tier: 'login', tag: TAG,
    summary: 'Ask for a one-use link; the answer is the same whether the account exists or not',
    body: z.strictObject({ email: emailSchema }),
    replies: { 202: z.undefined() },
    handler: async ({ body, state, signal }) => {
      await passwords.forgot(body.email, state.client, signal)
      return { status: 202 }
    },
  })

  route(api, deps, {
    method: 'POST', path: '/auth/password/reset', permission: 'public', audit: 'auth.password_reset', tier: 'login', tag: TAG,
    summary: 'Set a new password with a one-use link',
    body: z.strictObject({ token: z.string().min(1).max(400), newPassword: passwordSchema }),
    replies: { 204: z.undefined() },
    handler: async ({ body, state, signal }) => {
      const user = await passwords.reset(body.token, body.newPassword, signal)
      // The chain of the company that the link was for.
      state.companyId = user.companyId
      state.auditTarget = `user/${user.id}`
      return { status: 204 }
    },
  })
}
