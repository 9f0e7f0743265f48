import { z } from 'zod'
import { breakGlassPermissionSchema, permissionSchema, roleSchema } from './roles.ts'

/** What the security stores keep. Every record carries its companyId; times are RFC 3339 in UTC; secrets are kept as hashes only. */
const idSchema = z.string().min(1).max(64)
const timeSchema = z.iso.datetime()
const sha256Schema = z.string().regex(/^[A-Za-z0-9_-]{43}$/)

/** Where a request comes from, as far as a local database knows. `country` is ISO 3166-1 alpha-2. */
export const placeSchema = z.strictObject({
  kind: z.enum(['loopback', 'country', 'unknown']),
  country: z.string().length(2).nullable(),
  latitude: z.number().nullable(),
  longitude: z.number().nullable(),
})
export type Place = Readonly<z.infer<typeof placeSchema>>

/** Who somebody is at an identity provider: unlike an address, never given to anybody else (OpenID Connect Core 1.0, section 5.7). */
export const identitySchema = z.strictObject({ issuer: z.string().min(1).max(500), subject: z.string().min(1).max(255) })
export type Identity = Readonly<z.infer<typeof identitySchema>>

export const userSchema = z.strictObject({
  id: idSchema,
  companyId: idSchema,
  /** Lower case; unique over all companies, since a login names nothing else. */
  email: z.email().max(254),
  name: z.string().min(1).max(120),
  role: roleSchema,
  status: z.enum(['active', 'disabled']),
  /** PHC string. */
  passwordHash: z.string().min(20).max(300),
  passwordChangedAt: timeSchema,
  /** Counts up when role, status or password changes: every older session and token ends with it. */
  sessionVersion: z.int().min(1),
  lastLogin: z.strictObject({ at: timeSchema, place: placeSchema }).nullable(),
  /** Bound at the first sign-in through a provider; from then on nobody else there opens this account, whatever their address says. */
  identity: identitySchema.nullable().optional(),
  version: z.int().min(0),
  createdAt: timeSchema,
  updatedAt: timeSchema,
})
export type User = Readonly<z.infer<typeof userSchema>>

export const SESSION_END_REASONS = [
  'logout',
  'replaced',
  'ended-by-user',
  'ended-by-admin',
  'refresh-token-reused',
  'access-changed',
  'password-changed',
  'device-revoked',
  'expired',
] as const

/** Stored under `session:{userId}:{deviceId}` of its company: one device has one session. */
export const sessionSchema = z.strictObject({
  /** New at every login; also the name of the refresh family. */
  id: idSchema,
  companyId: idSchema,
  userId: idSchema,
  deviceId: idSchema,
  /** Thumbprint (RFC 7638) of the key that the device proved; null for a client without one. */
  hardwareId: sha256Schema.nullable(),
  fingerprint: sha256Schema,
  location: placeSchema,
  loginTime: timeSchema,
  lastActivity: timeSchema,
  /** Absolute end, whatever happens. */
  expiresAt: timeSchema,
  /** As they were at login, for the session list; a request reads the role anew. */
  permissions: z.array(permissionSchema),
  sessionVersion: z.int().min(1),
  ended: z.strictObject({ at: timeSchema, reason: z.enum(SESSION_END_REASONS) }).nullable(),
})
export type Session = Readonly<z.infer<typeof sessionSchema>>
export type SessionEndReason = (typeof SESSION_END_REASONS)[number]

export const refreshTokenSchema = z.strictObject({
  hash: sha256Schema,
  companyId: idSchema,
  userId: idSchema,
  deviceId: idSchema,
  sessionId: idSchema,
  issuedAt: timeSchema,
  spentAt: timeSchema.nullable(),
  /** Hash of address and user agent of the client that spent it: only that client may repeat itself, shortly. */
  spentBy: sha256Schema.nullable(),
})
export type RefreshToken = Readonly<z.infer<typeof refreshTokenSchema>>

export const publicKeyJwkSchema = z.strictObject({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: sha256Schema,
  y: sha256Schema,
})
export type PublicKeyJwk = Readonly<z.infer<typeof publicKeyJwkSchema>>

export const deviceSchema = z.strictObject({
  /** The key's thumbprint: a device cannot claim an id without its key. */
  id: sha256Schema,
  companyId: idSchema,
  userId: idSchema,
  publicKey: publicKeyJwkSchema,
  label: z.string().min(1).max(80),
  state: z.enum(['approved', 'pending', 'revoked']),
  fingerprint: sha256Schema,
  createdAt: timeSchema,
  lastSeenAt: timeSchema,
  decidedBy: z.string().max(64).nullable(),
})
export type Device = Readonly<z.infer<typeof deviceSchema>>

export const apiKeySchema = z.strictObject({
  id: idSchema,
  companyId: idSchema,
  label: z.string().min(1).max(80),
  secretHash: sha256Schema,
  scopes: z.array(permissionSchema).min(1),
  createdBy: idSchema,
  createdAt: timeSchema,
  expiresAt: timeSchema,
  revokedAt: timeSchema.nullable(),
})
export type ApiKey = Readonly<z.infer<typeof apiKeySchema>>

export const breakGlassSchema = z.strictObject({
  id: idSchema,
  /** The company it opens. */
  companyId: idSchema,
  granteeUserId: idSchema,
  granteeCompanyId: idSchema,
  permissions: z.array(breakGlassPermissionSchema).min(1),
  methods: z.array(z.enum(['POST', 'PUT', 'PATCH', 'DELETE'])).min(1),
  /** Below /api/v1/companies/{companyId}. */
  pathPrefixes: z.array(z.string().regex(/^\/[a-z0-9/_-]*$/)).min(1).max(10),
  reason: z.string().min(10).max(500),
  issuedBy: idSchema,
  issuedAt: timeSchema,
  expiresAt: timeSchema,
  revokedAt: timeSchema.nullable(),
})
export type BreakGlass = Readonly<z.infer<typeof breakGlassSchema>>

export const oneUseLinkSchema = z.strictObject({
  hash: sha256Schema,
  companyId: idSchema,
  purpose: z.enum(['password-reset']),
  userId: idSchema,
  createdAt: timeSchema,
  expiresAt: timeSchema,
})
export type OneUseLink = Readonly<z.infer<typeof oneUseLinkSchema>>

/** One line of the audit log before it is chained. Never a secret, never a caller's words. */
export const auditFactSchema = z.strictObject({
  at: timeSchema,
  /** 'auth.login', 'user.updated' ... */
  action: z.string().regex(/^[a-z_]+(\.[a-z_]+)+$/),
  result: z.enum(['done', 'refused', 'failed']),
  /** Code of a refusal, or what a person gave as reason; '' when there is none. */
  reason: z.string().max(500),
  actor: z.strictObject({ kind: z.enum(['user', 'api-key', 'nobody', 'system']), id: z.string().max(64), companyId: z.string().max(64) }),
  /** What was acted on: 'user/0190…'. */
  target: z.string().max(300),
  address: z.string().max(64),
  userAgent: z.string().max(200),
  traceId: z.string().max(64),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())])),
})
export type AuditFact = Readonly<z.infer<typeof auditFactSchema>>

export type AuditRow = Readonly<{
  companyId: string
  /** From 1, without gaps. */
  seq: number
  fact: AuditFact
  previousHash: string
  hash: string
}>
/** Kept apart from the rows, so that rows cut off at the end are missed. */
export type AuditHead = Readonly<{ seq: number; hash: string }>
