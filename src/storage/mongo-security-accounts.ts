import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'
import { type Identity, apiKeySchema, breakGlassSchema, deviceSchema, userSchema, type ApiKey, type BreakGlass, type Device, type Place, type User } from '../security/records.ts'
import type { ApiKeyRepository, BreakGlassRepository, DeviceRegistration, DeviceRepository, Page, UserRepository } from '../security/repositories.ts'
import { checkDocument, checkLimit, checkSame, checkVersion } from './embedded-documents.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import { readRecord } from './mongo-documents.ts'

/** A save takes at most a few seconds: a claim that is older and that nobody stands by was left behind. */
const LEFT_BEHIND_MS = 60_000

/**
 * People. An address is a record whose key is the address, and counts only while its user has it. Who the active owners of a company are is one
 * record, changed before a user stops being one and after a user has become one: whatever dies in between, the last is never lost.
 */
export class MongoUserRepository implements UserRepository {
  readonly #database: MongoDatabase
  readonly #users: MongoRecords
  readonly #emails: MongoRecords
  readonly #owners: MongoRecords
  readonly #clock: Clock

  constructor(database: MongoDatabase, clock: Clock) {
    this.#database = database
    this.#clock = clock
    this.#users = database.collection('users')
    this.#emails = database.collection('user_emails')
    this.#owners = database.collection('user_owners')
  }

  async get(companyId: string, userId: string, signal?: AbortSignal): Promise<User | null> {
    const record = await this.#users.get(idOf(companyId, userId), signal)
    return record === null ? null : userOf(record)
  }

  async findByEmail(email: string, signal?: AbortSignal): Promise<User | null> {
    const claim = await this.#emails.get(email.toLowerCase(), signal)
    if (claim === null) return null
    const user = await this.get(String(claim['companyId']), String(claim['userId']), signal)
    return user?.email === email.toLowerCase() ? user : null
  }

  async list(companyId: string, page: Page, signal?: AbortSignal): Promise<readonly User[]> {
    const limit = checkLimit(page.limit)
    return (await this.#users.find({ companyId, userId: { $gt: page.after ?? '' } }, { sort: { userId: 1 }, limit }, signal)).map(userOf)
  }

  async save(companyId: string, user: User, ifVersion: number, signal?: AbortSignal): Promise<User> {
    const checked = checkDocument(userSchema, user, `user ${user.id}`)
    checkSame('user.companyId', companyId, checked.companyId)
    checkSame('user.email', checked.email.toLowerCase(), checked.email)
    let before: User | null = null
    const saved = await this.#users.change<User>(
      idOf(companyId, checked.id),
      async (record) => {
        before = record === null ? null : userOf(record)
        checkVersion(`user ${checked.id}`, before?.version ?? 0, ifVersion)
        await this.#claimEmail(checked, signal)
        if (before !== null && isOwner(before) && !isOwner(checked)) await this.#dropOwner(companyId, checked.id, signal)
        const next: User = { ...checked, version: ifVersion + 1 }
        return { record: recordOf(next), answer: next }
      },
      signal,
    )
    if (isOwner(saved)) await this.#addOwner(companyId, saved.id, signal)
    const earlier = before as User | null
    if (earlier !== null && earlier.email !== saved.email) await this.#emails.delete({ _id: earlier.email, companyId, userId: saved.id }, signal)
    return saved
  }

  async delete(companyId: string, userId: string, signal?: AbortSignal): Promise<boolean> {
    const stored = await this.get(companyId, userId, signal)
    if (stored === null) return false
    if (isOwner(stored)) await this.#dropOwner(companyId, userId, signal)
    await this.#database.collection('user_devices').delete({ _id: idOf(companyId, userId) }, signal)
    await this.#database.collection('user_sessions').delete({ _id: idOf(companyId, userId) }, signal)
    await this.#database.collection('one_use_links').delete({ companyId, userId }, signal)
    const deleted = await this.#users.delete({ _id: idOf(companyId, userId) }, signal)
    await this.#emails.delete({ _id: stored.email, companyId, userId }, signal)
    return deleted === 1
  }

  countOwners(companyId: string, signal?: AbortSignal): Promise<number> {
    return this.#users.count({ companyId, isOwner: true }, signal)
  }

  async recordLogin(companyId: string, userId: string, login: Readonly<{ at: string; place: Place }>, signal?: AbortSignal): Promise<void> {
    await this.#amend(companyId, userId, (user) => ({ ...user, lastLogin: login }), signal)
  }

  async bindIdentity(companyId: string, userId: string, identity: Identity, signal?: AbortSignal): Promise<boolean> {
    await this.#amend(companyId, userId, (user) => ((user.identity ?? null) === null ? { ...user, identity } : null), signal)
    const bound = (await this.get(companyId, userId, signal))?.identity ?? null
    return bound?.issuer === identity.issuer && bound.subject === identity.subject
  }

  async rehash(companyId: string, userId: string, change: Readonly<{ from: string; to: string }>, signal?: AbortSignal): Promise<void> {
    await this.#amend(companyId, userId, (user) => (user.passwordHash === change.from ? { ...user, passwordHash: change.to } : null), signal)
  }

  /** A change that is no edit: the version stays. */
  async #amend(companyId: string, userId: string, change: (user: User) => User | null, signal?: AbortSignal): Promise<void> {
    await this.#users.change<void>(
      idOf(companyId, userId),
      (record) => {
        const next = record === null ? null : change(userOf(record))
        return { record: next === null ? null : recordOf(next), answer: undefined }
      },
      signal,
    )
  }

  async #claimEmail({ companyId, id: userId, email }: User, signal?: AbortSignal): Promise<void> {
    const claimedAtMs = this.#clock.wallTime().getTime()
    const claim: Stored = { _id: email, companyId, userId, claimedAtMs }
    if (await this.#emails.insert(claim, signal)) return
    const holder = await this.#emails.get(email, signal)
    if (holder === null) return this.#claimEmail({ companyId, id: userId, email } as User, signal)
    if (holder['companyId'] === companyId && holder['userId'] === userId) return
    const { companyId: otherCompany, userId: otherUser } = holder
    const isFresh = claimedAtMs - Number(holder['claimedAtMs'] ?? 0) < LEFT_BEHIND_MS
    if (isFresh || (await this.get(String(otherCompany), String(otherUser), signal))?.email === email) {
      throw new ClientsViaError('CONFLICT', 'this e-mail address already has an account', { field: 'email' })
    }
    // Left behind by a save that died: whoever comes first may have it.
    const taken = await this.#emails.update({ _id: email, companyId: otherCompany, userId: otherUser }, { $set: { companyId, userId, claimedAtMs } }, signal)
    if (taken === 0) throw new ClientsViaError('CONFLICT', 'this e-mail address already has an account', { field: 'email' })
  }

  #addOwner(companyId: string, userId: string, signal?: AbortSignal): Promise<void> {
    return this.#owners.change<void>(
      idOf(companyId),
      (record) => {
        const owners = ownersOf(record)
        return { record: owners.includes(userId) ? null : { companyId, owners: [...owners, userId] }, answer: undefined }
      },
      signal,
    )
  }

  #dropOwner(companyId: string, userId: string, signal?: AbortSignal): Promise<void> {
    return this.#owners.change<void>(
      idOf(companyId),
      (record) => {
        const others = ownersOf(record).filter((owner) => owner !== userId)
        if (others.length === 0) throw new ClientsViaError('CONFLICT', 'the last active owner must stay: make somebody else owner first', { field: 'role' })
        return { record: { companyId, owners: others }, answer: undefined }
      },
      signal,
    )
  }
}

/** All devices of a person in one record: which is the first, and how many wait, is decided in one step. */
export class MongoDeviceRepository implements DeviceRepository {
  readonly #people: MongoRecords

  constructor(database: MongoDatabase) {
    this.#people = database.collection('user_devices')
  }

  async get(companyId: string, userId: string, deviceId: string, signal?: AbortSignal): Promise<Device | null> {
    return (await this.list(companyId, userId, signal)).find((device) => device.id === deviceId) ?? null
  }

  async list(companyId: string, userId: string, signal?: AbortSignal): Promise<readonly Device[]> {
    return devicesOf(await this.#people.get(idOf(companyId, userId), signal))
  }

  async register(
    companyId: string,
    device: Device,
    limits: Readonly<{ maxApproved: number; maxPending: number }>,
    signal?: AbortSignal,
  ): Promise<DeviceRegistration> {
    const checked = checkDocument(deviceSchema, device, `device ${device.id}`)
    checkSame('device.companyId', companyId, checked.companyId)
    return this.#change<DeviceRegistration>(
      companyId,
      checked.userId,
      (all) => {
        const known = all.find((other) => other.id === checked.id)
        if (known !== undefined) return { devices: all, answer: { outcome: 'known', device: known } }
        if (all.length === 0) {
          const first: Device = { ...checked, state: 'approved', decidedBy: 'first-device' }
          return { devices: [first], answer: { outcome: 'first', device: first } }
        }
        const pending: Device = { ...checked, state: 'pending', decidedBy: null }
        if (all.filter((other) => other.state === 'approved').length >= limits.maxApproved) return { devices: all, answer: { outcome: 'full', device: pending } }
        const waiting = all.filter((other) => other.state === 'pending')
        const dropped = waiting.slice(0, Math.max(0, waiting.length - limits.maxPending + 1))
        return { devices: [...all.filter((other) => !dropped.includes(other)), pending], answer: { outcome: 'waiting', device: pending } }
      },
      signal,
    )
  }

  decide(
    companyId: string,
    userId: string,
    deviceId: string,
    decision: Readonly<{ state: 'approved' | 'revoked'; by: string; maxApproved: number }>,
    signal?: AbortSignal,
  ): Promise<Device | null> {
    return this.#change<Device | null>(
      companyId,
      userId,
      (all) => {
        const device = all.find((other) => other.id === deviceId)
        if (device === undefined) return { devices: all, answer: null }
        const approvedCount = all.filter((other) => other.state === 'approved' && other !== device).length
        if (decision.state === 'approved' && approvedCount >= decision.maxApproved) {
          throw new ClientsViaError('CONFLICT', `${decision.maxApproved} devices are approved already: revoke one first`, { field: 'deviceId' })
        }
        const decided: Device = { ...device, state: decision.state, decidedBy: decision.by }
        return { devices: all.map((other) => (other === device ? decided : other)), answer: decided }
      },
      signal,
    )
  }

  async seen(companyId: string, userId: string, deviceId: string, at: string, fingerprint: string, signal?: AbortSignal): Promise<void> {
    await this.#change<void>(
      companyId,
      userId,
      (all) => {
        const isKnown = all.some((device) => device.id === deviceId)
        const devices = isKnown ? all.map((device) => (device.id === deviceId ? { ...device, lastSeenAt: at, fingerprint } : device)) : all
        return { devices, answer: undefined }
      },
      signal,
    )
  }

  reset(companyId: string, userId: string, signal?: AbortSignal): Promise<number> {
    return this.#change<number>(companyId, userId, (all) => ({ devices: all.length === 0 ? all : [], answer: all.length }), signal)
  }

  /** `decide` returns the very list it was given when nothing is to be written. */
  #change<T>(companyId: string, userId: string, decide: (all: readonly Device[]) => Readonly<{ devices: readonly Device[]; answer: T }>, signal?: AbortSignal): Promise<T> {
    return this.#people.change<T>(
      idOf(companyId, userId),
      (record) => {
        const all = devicesOf(record)
        const { devices, answer } = decide(all)
        return { record: devices === all ? null : { companyId, userId, devices }, answer }
      },
      signal,
    )
  }
}

/** A key is a record; how many of a company's keys are live is another, changed first. */
export class MongoApiKeyRepository implements ApiKeyRepository {
  readonly #keys: MongoRecords
  readonly #counts: MongoRecords

  constructor(database: MongoDatabase) {
    this.#keys = database.collection('api_keys')
    this.#counts = database.collection('api_key_counts')
  }

  async get(companyId: string, keyId: string, signal?: AbortSignal): Promise<ApiKey | null> {
    const record = await this.#keys.get(idOf(companyId, keyId), signal)
    return record === null ? null : readRecord(apiKeySchema, record, 'API key')
  }

  async list(companyId: string, page: Page, signal?: AbortSignal): Promise<readonly ApiKey[]> {
    const limit = checkLimit(page.limit)
    const records = await this.#keys.find({ companyId, keyId: { $gt: page.after ?? '' } }, { sort: { keyId: 1 }, limit }, signal)
    return records.map((record) => readRecord(apiKeySchema, record, 'API key'))
  }

  async create(companyId: string, key: ApiKey, maxLive: number, signal?: AbortSignal): Promise<void> {
    const checked = checkDocument(apiKeySchema, key, 'API key')
    checkSame('apiKey.companyId', companyId, checked.companyId)
    const tooMany = new ClientsViaError('CONFLICT', `a company has at most ${maxLive} live API keys: revoke one first`)
    await this.#changeLive(
      companyId,
      (live) => {
        const still = live.filter((one) => one.expiresAt > checked.createdAt)
        if (still.length >= maxLive) throw tooMany
        return [...still, { keyId: checked.id, expiresAt: checked.expiresAt }]
      },
      signal,
    )
    const isNew = await this.#keys.insert({ _id: idOf(companyId, checked.id), companyId, keyId: checked.id, revision: 1, document: checked }, signal)
    if (!isNew) throw new ClientsViaError('CONFLICT', `there is an API key ${checked.id} already`)
  }

  async revoke(companyId: string, keyId: string, at: string, signal?: AbortSignal): Promise<ApiKey | null> {
    const revoked = await this.#keys.change<ApiKey | null>(
      idOf(companyId, keyId),
      (record) => {
        if (record === null) return { record: null, answer: null }
        const key = readRecord(apiKeySchema, record, 'API key')
        const next: ApiKey = { ...key, revokedAt: key.revokedAt ?? at }
        return { record: { companyId, keyId, document: next }, answer: next }
      },
      signal,
    )
    if (revoked !== null) await this.#changeLive(companyId, (live) => live.filter((one) => one.keyId !== keyId), signal)
    return revoked
  }

  async #changeLive(companyId: string, change: (live: readonly LiveKey[]) => readonly LiveKey[], signal?: AbortSignal): Promise<void> {
    await this.#counts.change<void>(
      idOf(companyId),
      (record) => ({ record: { companyId, live: change((record?.['live'] as readonly LiveKey[] | undefined) ?? []) }, answer: undefined }),
      signal,
    )
  }
}

type LiveKey = Readonly<{ keyId: string; expiresAt: string }>

export class MongoBreakGlassRepository implements BreakGlassRepository {
  readonly #grants: MongoRecords

  constructor(database: MongoDatabase) {
    this.#grants = database.collection('break_glass')
  }

  async get(companyId: string, grantId: string, signal?: AbortSignal): Promise<BreakGlass | null> {
    const record = await this.#grants.get(idOf(companyId, grantId), signal)
    return record === null ? null : readRecord(breakGlassSchema, record, 'break-glass grant')
  }

  async list(companyId: string, page: Page, signal?: AbortSignal): Promise<readonly BreakGlass[]> {
    const limit = checkLimit(page.limit)
    const records = await this.#grants.find({ companyId, grantId: { $gt: page.after ?? '' } }, { sort: { grantId: 1 }, limit }, signal)
    return records.map((record) => readRecord(breakGlassSchema, record, 'break-glass grant'))
  }

  async create(companyId: string, grant: BreakGlass, signal?: AbortSignal): Promise<void> {
    const checked = checkDocument(breakGlassSchema, grant, 'break-glass grant')
    checkSame('grant.companyId', companyId, checked.companyId)
    const isNew = await this.#grants.insert({ _id: idOf(companyId, checked.id), companyId, grantId: checked.id, revision: 1, document: checked }, signal)
    if (!isNew) throw new ClientsViaError('CONFLICT', `there is a break-glass grant ${checked.id} already`)
  }

  revoke(companyId: string, grantId: string, at: string, signal?: AbortSignal): Promise<BreakGlass | null> {
    return this.#grants.change<BreakGlass | null>(
      idOf(companyId, grantId),
      (record) => {
        if (record === null) return { record: null, answer: null }
        const grant = readRecord(breakGlassSchema, record, 'break-glass grant')
        const next: BreakGlass = { ...grant, revokedAt: grant.revokedAt ?? at }
        return { record: { companyId, grantId, document: next }, answer: next }
      },
      signal,
    )
  }
}

function recordOf(user: User): Readonly<Record<string, unknown>> {
  return { companyId: user.companyId, userId: user.id, isOwner: isOwner(user), document: user }
}

function userOf(record: Stored): User {
  return readRecord(userSchema, record, 'user')
}

function isOwner(user: User): boolean {
  return user.role === 'owner' && user.status === 'active'
}

function ownersOf(record: Stored | null): readonly string[] {
  const owners: unknown = record?.['owners']
  return Array.isArray(owners) ? owners.map(String) : []
}

/** Oldest first. */
function devicesOf(record: Stored | null): readonly Device[] {
  const devices = deviceSchema.array().parse(record?.['devices'] ?? [])
  return devices.sort((a, b) => (`${a.createdAt} ${a.id}` < `${b.createdAt} ${b.id}` ? -1 : 1))
}
