import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { ApiKeys } from './api-keys.ts'
import { AuditLog } from './audit-log.ts'
import { BreakGlassGrants } from './break-glass.ts'
import { DeviceProofs } from './devices.ts'
import type { Locator } from './geo.ts'
import { Login } from './login.ts'
import type { SecurityNotifier } from './notifier.ts'
import { PasswordChange } from './password-change.ts'
import { PASSWORD_FLOOR, PasswordHasher, type Argon2Cost, type HashingEngine } from './passwords.ts'
import { DEFAULT_POLICY, type SecurityPolicy } from './policy.ts'
import type { SecurityStore } from './repositories.ts'
import { deriveKey } from './secrets.ts'
import { Sessions } from './sessions.ts'
import { Tokens, type KeyRing } from './tokens.ts'
import { Users } from './users.ts'

export type SecurityOptions = Readonly<{
  store: SecurityStore
  clock: Clock
  locator: Locator
  notifier: SecurityNotifier
  /** Signs tokens and challenges; may be replaced key by key. */
  keyRing: KeyRing
  /** Chains the audit log: at least 32 bytes, and kept for as long as the log is. */
  auditSecret: Uint8Array
  /** `iss` of every token: the public base URL. */
  issuer: string
  policy?: Partial<SecurityPolicy>
  passwordCost?: Argon2Cost
  /** Without it passwords are hashed on the process's own pool. */
  hashing?: HashingEngine
}>

/** The whole door, wired. */
export type Security = Readonly<{
  policy: SecurityPolicy
  store: SecurityStore
  locator: Locator
  audit: AuditLog
  proofs: DeviceProofs
  login: Login
  sessions: Sessions
  users: Users
  passwords: PasswordChange
  apiKeys: ApiKeys
  breakGlass: BreakGlassGrants
}>

const AUDIENCE = 'clientsvia-api'

/** Throws CONFIG_INVALID for short secrets and rules below the floor. */
export function createSecurity(options: SecurityOptions): Security {
  const { store, clock, locator } = options
  const policy: SecurityPolicy = { ...DEFAULT_POLICY, ...options.policy }
  if (policy.passwordMinLength < PASSWORD_FLOOR) {
    throw new ClientsViaError('CONFIG_INVALID', `passwordMinLength must be at least ${PASSWORD_FLOOR}`, { field: 'passwordMinLength' })
  }
  if (options.auditSecret.byteLength < 32) throw new ClientsViaError('CONFIG_INVALID', 'auditSecret must have at least 32 bytes', { field: 'auditSecret' })
  const tokens = new Tokens({ ring: options.keyRing, issuer: options.issuer, audience: AUDIENCE, clock })
  const signing = options.keyRing[0]
  if (signing === undefined) throw new ClientsViaError('CONFIG_INVALID', 'the key ring is empty', { field: 'keyRing' })
  const audit = new AuditLog(store.audit, clock, deriveKey(options.auditSecret, 'audit chain'))
  const proofs = new DeviceProofs({ clock, key: deriveKey(signing.secret, 'device challenge'), spent: store.links, lifeMs: policy.challengeMs })
  const hasher = new PasswordHasher(options.passwordCost, options.hashing)
  const deps = { store, audit, tokens, hasher, proofs, policy, clock }
  const sessions = new Sessions(deps)
  const usersDeps = { store, hasher, sessions, audit, policy, clock }
  return {
    policy, store, locator, audit, proofs, sessions,
    login: new Login(deps),
    users: new Users(usersDeps),
    passwords: new PasswordChange(usersDeps, options.notifier),
    apiKeys: new ApiKeys(store.apiKeys, policy, clock),
    breakGlass: new BreakGlassGrants({ store, tokens, policy, clock }),
  }
}
