import { randomBytes } from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import type { AuditLog } from './audit-log.ts'
import { passwordProblem, type PasswordHasher } from './passwords.ts'
import type { SecurityPolicy } from './policy.ts'
import type { Principal } from './principal.ts'
import type { User } from './records.ts'
import { Refusal } from './refusals.ts'
import type { SecurityStore } from './repositories.ts'
import { mayGrantRole, PLATFORM, type Role } from './roles.ts'
import type { Sessions } from './sessions.ts'

export type UsersDeps = Readonly<{ store: SecurityStore; hasher: PasswordHasher; sessions: Sessions; audit: AuditLog; policy: SecurityPolicy; clock: Clock }>
export type NewUser = Readonly<{ email: string; name: string; role: Role; password: string }>
export type UserChange = Readonly<{ name?: string | undefined; role?: Role | undefined; status?: 'active' | 'disabled' | undefined; /** null: released. */ identity?: null | undefined }>

/** People, made and changed by other people; nobody can register themselves. */
export class Users {
  readonly #deps: UsersDeps

  constructor(deps: UsersDeps) {
    this.#deps = deps
  }

  /** Throws PERMISSION_DENIED for a role above the maker's own, INVALID_INPUT for a poor password, CONFLICT for a taken address. */
  async create(actor: Principal, companyId: string, input: NewUser, signal?: AbortSignal): Promise<User> {
    if (actor.role === null || !mayGrantRole(actor.role, input.role)) throw new Refusal('PERMISSION_DENIED', { field: 'role' })
    return this.#store(companyId, input, signal)
  }

  /** Throws CONFLICT when the user is no longer at `ifVersion`, or when the last owner would go. A new role or status ends every session. */
  async change(actor: Principal, companyId: string, userId: string, change: UserChange, ifVersion: number, signal?: AbortSignal): Promise<User> {
    const { store, sessions, clock } = this.#deps
    const user = await this.#mustFind(companyId, userId, signal)
    this.#checkRank(actor, user)
    const role = change.role ?? user.role
    const status = change.status ?? user.status
    const access = role !== user.role || status !== user.status
    if (access && actor.id === user.id) throw new Refusal('PERMISSION_DENIED', { field: 'role', why: 'nobody changes their own role or status' })
    if (access && (actor.role === null || !mayGrantRole(actor.role, role))) throw new Refusal('PERMISSION_DENIED', { field: 'role' })
    const changed: User = {
      ...user,
      name: change.name ?? user.name,
      role,
      status,
      ...(change.identity === null ? { identity: null } : {}),
      sessionVersion: user.sessionVersion + (access ? 1 : 0),
      updatedAt: clock.wallTime().toISOString(),
    }
    const saved = await store.users.save(companyId, changed, ifVersion, signal)
    if (access) await sessions.end(companyId, userId, {}, 'access-changed', signal)
    return saved
  }

  async remove(actor: Principal, companyId: string, userId: string, signal?: AbortSignal): Promise<void> {
    const user = await this.#mustFind(companyId, userId, signal)
    this.#checkRank(actor, user)
    if (actor.id === user.id) throw new Refusal('PERMISSION_DENIED', { why: 'nobody deletes themselves' })
    await this.#deps.store.users.delete(companyId, userId, signal)
  }

  /** The way back for somebody who lost every device: the next one they sign in from is their first again. */
  async resetDevices(actor: Principal, companyId: string, userId: string, signal?: AbortSignal): Promise<number> {
    const { store, sessions } = this.#deps
    this.#checkRank(actor, await this.#mustFind(companyId, userId, signal))
    const count = await store.devices.reset(companyId, userId, signal)
    await sessions.end(companyId, userId, {}, 'device-revoked', signal)
    return count
  }

  async endSessions(actor: Principal, companyId: string, userId: string, signal?: AbortSignal): Promise<number> {
    this.#checkRank(actor, await this.#mustFind(companyId, userId, signal))
    return (await this.#deps.sessions.end(companyId, userId, {}, 'ended-by-admin', signal)).length
  }

  /**
   * The first start: without any owner of the platform, one is made from `email` and `password`, or with a random password that the
   * reply holds and nothing else does. Null when there is an owner already: then neither variable changes anything.
   */
  async ensureFirstOwner(
    first: Readonly<{ email: string; password: string | null }>,
    signal?: AbortSignal,
  ): Promise<Readonly<{ user: User; generatedPassword: string | null }> | null> {
    const { store, audit } = this.#deps
    if ((await store.users.countOwners(PLATFORM, signal)) > 0) return null
    const generatedPassword = first.password === null ? randomBytes(18).toString('base64url') : null
    const password = first.password ?? generatedPassword ?? ''
    const user = await this.#store(PLATFORM, { email: first.email, name: 'Owner', role: 'owner', password }, signal)
    await audit.record(
      PLATFORM,
      {
        action: 'user.create', result: 'done', reason: 'first start', actor: { kind: 'system', id: '', companyId: PLATFORM }, target: `user/${user.id}`,
        address: '', userAgent: '', traceId: '', details: { role: 'owner', generatedPassword: generatedPassword !== null },
      },
      signal,
    )
    return { user, generatedPassword }
  }

  async #store(companyId: string, input: NewUser, signal?: AbortSignal): Promise<User> {
    const { store, hasher, policy, clock } = this.#deps
    const email = input.email.toLowerCase()
    const problem = passwordProblem(input.password, { minLength: policy.passwordMinLength, email, name: input.name })
    if (problem !== null) throw new ClientsViaError('INVALID_INPUT', `password ${problem}`, { field: 'password' })
    const passwordHash = await hasher.hash(input.password, signal)
    const now = clock.wallTime()
    const at = now.toISOString()
    const user: User = {
      id: uuidv7(now), companyId, email, name: input.name, role: input.role, status: 'active', passwordHash, passwordChangedAt: at,
      sessionVersion: 1, lastLogin: null, version: 0, createdAt: at, updatedAt: at,
    }
    return store.users.save(companyId, user, 0, signal)
  }

  async #mustFind(companyId: string, userId: string, signal?: AbortSignal): Promise<User> {
    const user = await this.#deps.store.users.get(companyId, userId, signal)
    if (user === null) throw new ClientsViaError('NOT_FOUND', 'no such user', { userId })
    return user
  }

  /** An admin does not touch an owner. */
  #checkRank(actor: Principal, user: User): void {
    if (actor.id === user.id) return
    if (actor.role === null || !mayGrantRole(actor.role, user.role)) throw new Refusal('PERMISSION_DENIED', { why: 'this user ranks above you' })
  }
}
