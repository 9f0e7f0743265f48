import { ClientsViaError } from '../core/errors.ts'
import { type Identity, apiKeySchema, breakGlassSchema, deviceSchema, userSchema, type ApiKey, type BreakGlass, type Device, type Place, type User } from '../security/records.ts'
import type {
  ApiKeyRepository, BreakGlassRepository, DeviceRegistration, DeviceRepository, Page, UserRepository,
} from '../security/repositories.ts'
import type { EmbeddedDatabase, Row } from './embedded-database.ts'
import { checkDocument, checkLimit, checkSame, checkVersion, readDocument } from './embedded-documents.ts'

export class EmbeddedUserRepository implements UserRepository {
  readonly #database: EmbeddedDatabase

  constructor(database: EmbeddedDatabase) {
    this.#database = database
  }

  async get(companyId: string, userId: string, signal?: AbortSignal): Promise<User | null> {
    signal?.throwIfAborted()
    return this.#get(companyId, userId)
  }

  async findByEmail(email: string, signal?: AbortSignal): Promise<User | null> {
    signal?.throwIfAborted()
    const row = this.#database.get('SELECT document FROM users WHERE email = ?', email.toLowerCase())
    return row === undefined ? null : userOf(row)
  }

  async list(companyId: string, page: Page, signal?: AbortSignal): Promise<readonly User[]> {
    signal?.throwIfAborted()
    return this.#database
      .all('SELECT document FROM users WHERE company_id = ? AND user_id > ? ORDER BY user_id LIMIT ?', companyId, page.after ?? '', checkLimit(page.limit))
      .map(userOf)
  }

  async save(companyId: string, user: User, ifVersion: number, signal?: AbortSignal): Promise<User> {
    signal?.throwIfAborted()
    const checked = checkDocument(userSchema, user, `user ${user.id}`)
    checkSame('user.companyId', companyId, checked.companyId)
    checkSame('user.email', checked.email.toLowerCase(), checked.email)
    return this.#database.transaction(() => {
      const stored = this.#get(companyId, user.id)
      checkVersion(`user ${user.id}`, stored?.version ?? 0, ifVersion)
      const taken = this.#database.get('SELECT user_id FROM users WHERE email = ? AND user_id <> ?', checked.email, checked.id)
      if (taken !== undefined) throw new ClientsViaError('CONFLICT', 'this e-mail address already has an account', { field: 'email' })
      if (stored !== null && isOwner(stored) && !isOwner(checked)) this.#refuseLastOwner(companyId)
      const saved: User = { ...checked, version: ifVersion + 1 }
      this.#database.run(
        `INSERT INTO users (company_id, user_id, email, is_owner, version, document) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (company_id, user_id) DO UPDATE SET email = excluded.email, is_owner = excluded.is_owner, version = excluded.version,
           document = excluded.document`,
        companyId, saved.id, saved.email, isOwner(saved) ? 1 : 0, saved.version, JSON.stringify(saved),
      )
      return saved
    })
  }

  async delete(companyId: string, userId: string, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted()
    return this.#database.transaction(() => {
      const stored = this.#get(companyId, userId)
      if (stored === null) return false
      if (isOwner(stored)) this.#refuseLastOwner(companyId)
      this.#database.run('DELETE FROM devices WHERE company_id = ? AND user_id = ?', companyId, userId)
      this.#database.run('DELETE FROM sessions WHERE company_id = ? AND user_id = ?', companyId, userId)
      this.#database.run('DELETE FROM one_use_links WHERE company_id = ? AND user_id = ?', companyId, userId)
      return this.#database.run('DELETE FROM users WHERE company_id = ? AND user_id = ?', companyId, userId) === 1
    })
  }

  async countOwners(companyId: string, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted()
    return this.#countOwners(companyId)
  }

  async recordLogin(companyId: string, userId: string, login: Readonly<{ at: string; place: Place }>, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.#database.run(
      `UPDATE users SET document = json_set(document, '$.lastLogin', json(?)) WHERE company_id = ? AND user_id = ?`,
      JSON.stringify(login), companyId, userId,
    )
  }

  async bindIdentity(companyId: string, userId: string, identity: Identity, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted()
    return this.#database.transaction(() => {
      this.#database.run(
        `UPDATE users SET document = json_set(document, '$.identity', json(?)) WHERE company_id = ? AND user_id = ? AND document ->> '$.identity' IS NULL`,
        JSON.stringify(identity), companyId, userId,
      )
      const bound = this.#get(companyId, userId)?.identity ?? null
      return bound?.issuer === identity.issuer && bound.subject === identity.subject
    })
  }

  async rehash(companyId: string, userId: string, change: Readonly<{ from: string; to: string }>, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.#database.run(
      `UPDATE users SET document = json_set(document, '$.passwordHash', ?) WHERE company_id = ? AND user_id = ? AND document ->> '$.passwordHash' = ?`,
      change.to, companyId, userId, change.from,
    )
  }

  #get(companyId: string, userId: string): User | null {
    const row = this.#database.get('SELECT document FROM users WHERE company_id = ? AND user_id = ?', companyId, userId)
    return row === undefined ? null : userOf(row)
  }

  #countOwners(companyId: string): number {
    return Number(this.#database.get('SELECT count(*) AS n FROM users WHERE company_id = ? AND is_owner = 1', companyId)?.['n'])
  }

  #refuseLastOwner(companyId: string): void {
    if (this.#countOwners(companyId) > 1) return
    throw new ClientsViaError('CONFLICT', 'the last active owner must stay: make somebody else owner first', { field: 'role' })
  }
}

export class EmbeddedDeviceRepository implements DeviceRepository {
  readonly #database: EmbeddedDatabase

  constructor(database: EmbeddedDatabase) {
    this.#database = database
  }

  async get(companyId: string, userId: string, deviceId: string, signal?: AbortSignal): Promise<Device | null> {
    signal?.throwIfAborted()
    return this.#get(companyId, userId, deviceId)
  }

  async list(companyId: string, userId: string, signal?: AbortSignal): Promise<readonly Device[]> {
    signal?.throwIfAborted()
    return this.#list(companyId, userId)
  }

  async register(
    companyId: string,
    device: Device,
    limits: Readonly<{ maxApproved: number; maxPending: number }>,
    signal?: AbortSignal,
  ): Promise<DeviceRegistration> {
    signal?.throwIfAborted()
    const checked = checkDocument(deviceSchema, device, `device ${device.id}`)
    checkSame('device.companyId', companyId, checked.companyId)
    return this.#database.transaction((): DeviceRegistration => {
      const known = this.#get(companyId, checked.userId, checked.id)
      if (known !== null) return { outcome: 'known', device: known }
      const all = this.#list(companyId, checked.userId)
      if (all.length === 0) return { outcome: 'first', device: this.#store(companyId, { ...checked, state: 'approved', decidedBy: 'first-device' }) }
      const pending: Device = { ...checked, state: 'pending', decidedBy: null }
      if (all.filter((other) => other.state === 'approved').length >= limits.maxApproved) return { outcome: 'full', device: pending }
      const waiting = all.filter((other) => other.state === 'pending')
      for (const oldest of waiting.slice(0, Math.max(0, waiting.length - limits.maxPending + 1))) {
        this.#database.run('DELETE FROM devices WHERE company_id = ? AND user_id = ? AND device_id = ?', companyId, checked.userId, oldest.id)
      }
      return { outcome: 'waiting', device: this.#store(companyId, pending) }
    })
  }

  async decide(
    companyId: string,
    userId: string,
    deviceId: string,
    decision: Readonly<{ state: 'approved' | 'revoked'; by: string; maxApproved: number }>,
    signal?: AbortSignal,
  ): Promise<Device | null> {
    signal?.throwIfAborted()
    return this.#database.transaction(() => {
      const device = this.#get(companyId, userId, deviceId)
      if (device === null) return null
      const approved = this.#list(companyId, userId).filter((other) => other.state === 'approved' && other.id !== deviceId)
      if (decision.state === 'approved' && approved.length >= decision.maxApproved) {
        throw new ClientsViaError('CONFLICT', `${decision.maxApproved} devices are approved already: revoke one first`, { field: 'deviceId' })
      }
      return this.#store(companyId, { ...device, state: decision.state, decidedBy: decision.by })
    })
  }

  async seen(companyId: string, userId: string, deviceId: string, at: string, fingerprint: string, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.#database.transaction(() => {
      const device = this.#get(companyId, userId, deviceId)
      if (device !== null) this.#store(companyId, { ...device, lastSeenAt: at, fingerprint })
    })
  }

  async reset(companyId: string, userId: string, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted()
    return this.#database.run('DELETE FROM devices WHERE company_id = ? AND user_id = ?', companyId, userId)
  }

  #get(companyId: string, userId: string, deviceId: string): Device | null {
    const row = this.#database.get('SELECT document FROM devices WHERE company_id = ? AND user_id = ? AND device_id = ?', companyId, userId, deviceId)
    return row === undefined ? null : readDocument(deviceSchema, row, 'device')
  }

  #list(companyId: string, userId: string): Device[] {
    return this.#database
      .all('SELECT document FROM devices WHERE company_id = ? AND user_id = ? ORDER BY created_at, device_id', companyId, userId)
      .map((row) => readDocument(deviceSchema, row, 'device'))
  }

  #store(companyId: string, device: Device): Device {
    this.#database.run(
      'INSERT OR REPLACE INTO devices (company_id, user_id, device_id, state, created_at, document) VALUES (?, ?, ?, ?, ?, ?)',
      companyId, device.userId, device.id, device.state, device.createdAt, JSON.stringify(device),
    )
    return device
  }
}

export class EmbeddedApiKeyRepository implements ApiKeyRepository {
  readonly #database: EmbeddedDatabase

  constructor(database: EmbeddedDatabase) {
    this.#database = database
  }

  async get(companyId: string, keyId: string, signal?: AbortSignal): Promise<ApiKey | null> {
    signal?.throwIfAborted()
    const row = this.#database.get('SELECT document FROM api_keys WHERE company_id = ? AND key_id = ?', companyId, keyId)
    return row === undefined ? null : readDocument(apiKeySchema, row, 'API key')
  }

  async list(companyId: string, page: Page, signal?: AbortSignal): Promise<readonly ApiKey[]> {
    signal?.throwIfAborted()
    return this.#database
      .all('SELECT document FROM api_keys WHERE company_id = ? AND key_id > ? ORDER BY key_id LIMIT ?', companyId, page.after ?? '', checkLimit(page.limit))
      .map((row) => readDocument(apiKeySchema, row, 'API key'))
  }

  async create(companyId: string, key: ApiKey, maxLive: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const checked = checkDocument(apiKeySchema, key, 'API key')
    checkSame('apiKey.companyId', companyId, checked.companyId)
    this.#database.transaction(() => {
      const live = this.#database.get('SELECT count(*) AS n FROM api_keys WHERE company_id = ? AND revoked = 0 AND expires_at > ?', companyId, checked.createdAt)
      if (Number(live?.['n']) >= maxLive) throw new ClientsViaError('CONFLICT', `a company has at most ${maxLive} live API keys: revoke one first`)
      this.#database.run(
        'INSERT INTO api_keys (company_id, key_id, revoked, expires_at, document) VALUES (?, ?, 0, ?, ?)',
        companyId, checked.id, checked.expiresAt, JSON.stringify(checked),
      )
    })
  }

  async revoke(companyId: string, keyId: string, at: string, signal?: AbortSignal): Promise<ApiKey | null> {
    signal?.throwIfAborted()
    const row = this.#database.get(
      `UPDATE api_keys SET revoked = 1, document = json_set(document, '$.revokedAt', coalesce(document ->> '$.revokedAt', ?))
       WHERE company_id = ? AND key_id = ? RETURNING document`,
      at, companyId, keyId,
    )
    return row === undefined ? null : readDocument(apiKeySchema, row, 'API key')
  }
}

export class EmbeddedBreakGlassRepository implements BreakGlassRepository {
  readonly #database: EmbeddedDatabase

  constructor(database: EmbeddedDatabase) {
    this.#database = database
  }

  async get(companyId: string, grantId: string, signal?: AbortSignal): Promise<BreakGlass | null> {
    signal?.throwIfAborted()
    const row = this.#database.get('SELECT document FROM break_glass WHERE company_id = ? AND grant_id = ?', companyId, grantId)
    return row === undefined ? null : readDocument(breakGlassSchema, row, 'break-glass grant')
  }

  async list(companyId: string, page: Page, signal?: AbortSignal): Promise<readonly BreakGlass[]> {
    signal?.throwIfAborted()
    return this.#database
      .all('SELECT document FROM break_glass WHERE company_id = ? AND grant_id > ? ORDER BY grant_id LIMIT ?', companyId, page.after ?? '', checkLimit(page.limit))
      .map((row) => readDocument(breakGlassSchema, row, 'break-glass grant'))
  }

  async create(companyId: string, grant: BreakGlass, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const checked = checkDocument(breakGlassSchema, grant, 'break-glass grant')
    checkSame('grant.companyId', companyId, checked.companyId)
    this.#database.run('INSERT INTO break_glass (company_id, grant_id, document) VALUES (?, ?, ?)', companyId, checked.id, JSON.stringify(checked))
  }

  async revoke(companyId: string, grantId: string, at: string, signal?: AbortSignal): Promise<BreakGlass | null> {
    signal?.throwIfAborted()
    const row = this.#database.get(
      `UPDATE break_glass SET document = json_set(document, '$.revokedAt', coalesce(document ->> '$.revokedAt', ?))
       WHERE company_id = ? AND grant_id = ? RETURNING document`,
      at, companyId, grantId,
    )
    return row === undefined ? null : readDocument(breakGlassSchema, row, 'break-glass grant')
  }
}

function userOf(row: Row): User {
  return readDocument(userSchema, row, 'user')
}

function isOwner(user: User): boolean {
  return user.role === 'owner' && user.status === 'active'
}
