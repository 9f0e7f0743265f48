import { z } from 'zod'
import { identitySchema, apiKeySchema, breakGlassSchema, deviceSchema, placeSchema, SESSION_END_REASONS, type Session, type User } from '../security/records.ts'
import { permissionSchema, permissionsOf, roleSchema } from '../security/roles.ts'

/** What leaves: every schema names the fields it lets through, so a new secret in a record stays inside until somebody lists it here. */
export const userViewSchema = z.object({
  id: z.string(),
  companyId: z.string(),
  email: z.string(),
  name: z.string(),
  role: roleSchema,
  status: z.enum(['active', 'disabled']),
  passwordChangedAt: z.iso.datetime(),
  lastLogin: z.object({ at: z.iso.datetime(), place: placeSchema }).nullable(),
  /** At the identity provider; null or absent until the first sign-in through it. */
  identity: identitySchema.nullable().optional(),
  version: z.int(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
})

export const meViewSchema = userViewSchema.extend({ permissions: z.array(permissionSchema) })

export const sessionViewSchema = z.object({
  id: z.string(),
  deviceId: z.string(),
  location: placeSchema,
  loginTime: z.iso.datetime(),
  lastActivity: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  live: z.boolean(),
  current: z.boolean(),
  endReason: z.enum(SESSION_END_REASONS).nullable(),
})

export const deviceReplySchema = z.object(deviceSchema.pick({ id: true, label: true, state: true, createdAt: true, lastSeenAt: true, decidedBy: true }).shape)
export const apiKeyViewSchema = z.object(apiKeySchema.omit({ secretHash: true }).shape)
export const breakGlassViewSchema = z.object(breakGlassSchema.shape)

export function meOf(user: User): z.input<typeof meViewSchema> {
  return { ...user, permissions: [...permissionsOf(user.companyId, user.role)] }
}

export function sessionViewOf(session: Session, live: boolean, currentId: string | null): z.input<typeof sessionViewSchema> {
  return { ...session, live, current: session.id === currentId, endReason: session.ended?.reason ?? null }
}
