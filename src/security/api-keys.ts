import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import type { SecurityPolicy } from './policy.ts'
import { principalOfKey, type Principal } from './principal.ts'
import type { ApiKey } from './records.ts'
import { Refusal } from './refusals.ts'
import type { ApiKeyRepository } from './repositories.ts'
import type { Permission } from './roles.ts'
import { formatBearer, hashSecret, parseBearer, randomSecret, sameText } from './secrets.ts'

export const API_KEY_PREFIX = 'cvk'

/** For clients that are not people. A key is shown once, kept as a hash, has scopes and an end. */
export class ApiKeys {
  readonly #keys: ApiKeyRepository
  readonly #policy: Pick<SecurityPolicy, 'maxApiKeyDays' | 'maxApiKeys'>
  readonly #clock: Clock

  constructor(keys: ApiKeyRepository, policy: Pick<SecurityPolicy, 'maxApiKeyDays' | 'maxApiKeys'>, clock: Clock) {
    this.#keys = keys
    this.#policy = policy
    this.#clock = clock
  }

  /** Throws PERMISSION_DENIED for a scope that its maker does not hold, INVALID_INPUT for a life that is too long. */
  async create(
    actor: Principal,
    companyId: string,
    input: Readonly<{ label: string; scopes: readonly Permission[]; expiresInDays: number }>,
    signal?: AbortSignal,
  ): Promise<Readonly<{ key: ApiKey; secret: string }>> {
    const beyond = input.scopes.find((scope) => !actor.permissions.has(scope))
    if (beyond !== undefined) throw new Refusal('PERMISSION_DENIED', { field: 'scopes', scope: beyond })
    if (input.expiresInDays > this.#policy.maxApiKeyDays) {
      throw new ClientsViaError('INVALID_INPUT', `expiresInDays must be at most ${this.#policy.maxApiKeyDays}`, { field: 'expiresInDays' })
    }
    const now = this.#clock.wallTime()
    const id = uuidv7(now)
    const secret = formatBearer(API_KEY_PREFIX, companyId, id, randomSecret())
    const key: ApiKey = {
      id, companyId, label: input.label, secretHash: hashSecret(secret), scopes: [...new Set(input.scopes)], createdBy: actor.id, createdAt: now.toISOString(),
      expiresAt: new Date(now.getTime() + input.expiresInDays * 86_400_000).toISOString(), revokedAt: null,
    }
    await this.#keys.create(companyId, key, this.#policy.maxApiKeys, signal)
    return { key, secret }
  }

  /** Throws API_KEY_INVALID. */
  async authenticate(secret: string, signal?: AbortSignal): Promise<Principal> {
    const parsed = parseBearer(API_KEY_PREFIX, 2, secret)
    const key = parsed === null ? null : await this.#keys.get(parsed.companyId, parsed.parts[0] ?? '', signal)
    if (key === null || !sameText(key.secretHash, hashSecret(secret))) throw new Refusal('API_KEY_INVALID')
    if (key.revokedAt !== null || Date.parse(key.expiresAt) <= this.#clock.wallTime().getTime()) throw new Refusal('API_KEY_INVALID')
    return principalOfKey(key)
  }

  list(companyId: string, page: Readonly<{ after: string | null; limit: number }>, signal?: AbortSignal): Promise<readonly ApiKey[]> {
    return this.#keys.list(companyId, page, signal)
  }

  async revoke(companyId: string, keyId: string, signal?: AbortSignal): Promise<ApiKey> {
    const key = await this.#keys.revoke(companyId, keyId, this.#clock.wallTime().toISOString(), signal)
    if (key === null) throw new ClientsViaError('NOT_FOUND', 'no such API key', { keyId })
    return key
  }
}
