import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import type { SecurityPolicy } from './policy.ts'
import type { Principal } from './principal.ts'
import type { BreakGlass } from './records.ts'
import { Refusal } from './refusals.ts'
import type { SecurityStore } from './repositories.ts'
import { PLATFORM, permissionsOf, type Permission } from './roles.ts'
import type { Tokens } from './tokens.ts'

export type BreakGlassRequest = Readonly<{
  granteeUserId: string
  permissions: BreakGlass['permissions']
  methods: BreakGlass['methods']
  pathPrefixes: readonly string[]
  expiresInMinutes: number
  reason: string
}>

/** How support may write: for a while, in one company, on named paths, for a reason that somebody else wrote down. */
export class BreakGlassGrants {
  readonly #store: SecurityStore
  readonly #tokens: Tokens
  readonly #policy: Pick<SecurityPolicy, 'maxBreakGlassMs'>
  readonly #clock: Clock

  constructor(deps: Readonly<{ store: SecurityStore; tokens: Tokens; policy: Pick<SecurityPolicy, 'maxBreakGlassMs'>; clock: Clock }>) {
    this.#store = deps.store
    this.#tokens = deps.tokens
    this.#policy = deps.policy
    this.#clock = deps.clock
  }

  /** Throws PERMISSION_DENIED for oneself or for what the issuer may not do, NOT_FOUND for a grantee who is not support here. */
  async issue(actor: Principal, companyId: string, request: BreakGlassRequest, signal?: AbortSignal): Promise<Readonly<{ grant: BreakGlass; token: string }>> {
    if (request.granteeUserId === actor.id) throw new Refusal('PERMISSION_DENIED', { why: 'nobody breaks the glass for themselves' })
    const beyond = request.permissions.find((permission) => !actor.permissions.has(permission))
    if (beyond !== undefined) throw new Refusal('PERMISSION_DENIED', { permission: beyond })
    const lifeMs = request.expiresInMinutes * 60_000
    if (lifeMs > this.#policy.maxBreakGlassMs) {
      throw new ClientsViaError('INVALID_INPUT', `expiresInMinutes must be at most ${this.#policy.maxBreakGlassMs / 60_000}`, { field: 'expiresInMinutes' })
    }
    const grantee =
      (await this.#store.users.get(companyId, request.granteeUserId, signal)) ?? (await this.#store.users.get(PLATFORM, request.granteeUserId, signal))
    if (grantee === null || !permissionsOf(grantee.companyId, grantee.role).has('break_glass:use')) {
      throw new ClientsViaError('NOT_FOUND', 'no support user with this id', { field: 'granteeUserId' })
    }
    const now = this.#clock.wallTime()
    const grant: BreakGlass = {
      id: uuidv7(now), companyId, granteeUserId: grantee.id, granteeCompanyId: grantee.companyId, permissions: [...request.permissions],
      methods: [...request.methods], pathPrefixes: [...request.pathPrefixes], reason: request.reason, issuedBy: actor.id, issuedAt: now.toISOString(),
      expiresAt: new Date(now.getTime() + lifeMs).toISOString(), revokedAt: null,
    }
    await this.#store.breakGlass.create(companyId, grant, signal)
    return { grant, token: await this.#tokens.issueBreakGlass({ granteeUserId: grantee.id, companyId, grantId: grant.id }, lifeMs) }
  }

  /**
   * The grant behind a token, if it covers this very request. Throws BREAK_GLASS_INVALID. `path` is below
   * /api/v1/companies/{companyId}.
   */
  async check(
    actor: Principal,
    token: string,
    request: Readonly<{ companyId: string; permission: Permission; method: string; path: string }>,
    signal?: AbortSignal,
  ): Promise<BreakGlass> {
    const claims = await this.#tokens.verifyBreakGlass(token).catch((error: unknown) => {
      if (error instanceof Refusal) throw new Refusal('BREAK_GLASS_INVALID')
      throw error
    })
    const grant = await this.#store.breakGlass.get(claims.companyId, claims.grantId, signal)
    const covers =
      grant !== null && grant.revokedAt === null && Date.parse(grant.expiresAt) > this.#clock.wallTime().getTime() &&
      actor.permissions.has('break_glass:use') && grant.granteeUserId === actor.id && grant.granteeCompanyId === actor.companyId &&
      grant.companyId === request.companyId && grant.permissions.some((permission) => permission === request.permission) &&
      grant.methods.some((method) => method === request.method) && grant.pathPrefixes.some((prefix) => isBelow(request.path, prefix))
    if (!covers) throw new Refusal('BREAK_GLASS_INVALID')
    return grant
  }

  list(companyId: string, page: Readonly<{ after: string | null; limit: number }>, signal?: AbortSignal): Promise<readonly BreakGlass[]> {
    return this.#store.breakGlass.list(companyId, page, signal)
  }

  async revoke(companyId: string, grantId: string, signal?: AbortSignal): Promise<BreakGlass> {
    const grant = await this.#store.breakGlass.revoke(companyId, grantId, this.#clock.wallTime().toISOString(), signal)
    if (grant === null) throw new ClientsViaError('NOT_FOUND', 'no such grant', { grantId })
    return grant
  }
}

/** Whole segments: '/agents' covers '/agents/1' and not '/agents-of-others'. */
function isBelow(path: string, prefix: string): boolean {
  const base = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  return path === base || path.startsWith(`${base}/`)
}
