import type {
  ApiKey, AuditFact, AuditHead, AuditRow, BreakGlass, Device, OneUseLink, Place, RefreshToken, Session, SessionEndReason, User, Identity,
} from './records.ts'

/**
 * What login, roles and audit need stored. companyId first, always; people of the platform are under companyId `platform`. A missing
 * thing is null, not an error; every method may throw STORE_FAILED. Methods that decide (open, rotate, register, begin, spend, take,
 * append) are atomic: any number of processes may race for them.
 */
export type SecurityStore = Readonly<{
  users: UserRepository
  sessions: SessionRepository
  devices: DeviceRepository
  apiKeys: ApiKeyRepository
  breakGlass: BreakGlassRepository
  links: OneUseRepository
  attempts: AttemptRepository
  idempotency: IdempotencyRepository
  audit: AuditRepository
}>

export type Page = Readonly<{ after: string | null; limit: number }>

export interface UserRepository {
  get(companyId: string, userId: string, signal?: AbortSignal): Promise<User | null>
  /** The one look-up that starts from something else: a login names an e-mail address only. */
  findByEmail(email: string, signal?: AbortSignal): Promise<User | null>
  /** By id, after `after`. */
  list(companyId: string, page: Page, signal?: AbortSignal): Promise<readonly User[]>
  /** Creates or replaces; counts `version` up. CONFLICT when `ifVersion` differs from the stored one (0: must be new) or the e-mail is taken. */
  save(companyId: string, user: User, ifVersion: number, signal?: AbortSignal): Promise<User>
  /** CONFLICT when it would leave the company without an active owner; false when there was no such user. */
  delete(companyId: string, userId: string, signal?: AbortSignal): Promise<boolean>
  countOwners(companyId: string, signal?: AbortSignal): Promise<number>
  /** Notes a login without touching `version`: logins race, and none of them is an edit. */
  recordLogin(companyId: string, userId: string, login: Readonly<{ at: string; place: Place }>, signal?: AbortSignal): Promise<void>
  /** Binds a user who is bound to nobody yet; true when they are now, or were already, bound to this very identity. Touches no version. */
  bindIdentity(companyId: string, userId: string, identity: Identity, signal?: AbortSignal): Promise<boolean>
  /** Replaces the hash of an unchanged password; does nothing when it has changed meanwhile. */
  rehash(companyId: string, userId: string, change: Readonly<{ from: string; to: string }>, signal?: AbortSignal): Promise<void>
}

export type SessionOpening = Readonly<
  { outcome: 'opened'; replaced: readonly Session[] } | { outcome: 'denied'; live: readonly Session[] }
>
export type RefreshRotation = Readonly<
  | { outcome: 'rotated' | 'repeated'; token: RefreshToken }
  | { outcome: 'reused'; token: RefreshToken }
  | { outcome: 'unknown' }
>

export interface SessionRepository {
  /**
   * Opens a session with its first refresh token. 'newest-wins' ends every other live session of the user in the same step; 'deny'
   * opens nothing while one is live on another device.
   */
  open(
    companyId: string,
    opening: Readonly<{ session: Session; refreshHash: string; policy: 'newest-wins' | 'deny'; idleMs: number }>,
    signal?: AbortSignal,
  ): Promise<SessionOpening>
  /** Live or ended. */
  get(companyId: string, userId: string, deviceId: string, signal?: AbortSignal): Promise<Session | null>
  /** Of one user, ended ones too, until they expire; by the per-user index, never by a scan. */
  listByUser(companyId: string, userId: string, signal?: AbortSignal): Promise<readonly Session[]>
  /** False when that very session is no longer live. */
  touch(companyId: string, userId: string, deviceId: string, sessionId: string, at: string, signal?: AbortSignal): Promise<boolean>
  /** Ends live sessions of one user: one device's, or all; `keepSessionId` stays. Returns those it ended. */
  end(
    companyId: string,
    userId: string,
    which: Readonly<{ deviceId: string | null; keepSessionId: string | null }>,
    ended: Readonly<{ at: string; reason: SessionEndReason }>,
    signal?: AbortSignal,
  ): Promise<readonly Session[]>
  getRefresh(companyId: string, hash: string, signal?: AbortSignal): Promise<RefreshToken | null>
  /**
   * Spends `hash` and stores `nextHash` in the same family. A token spent already is 'repeated' (and still gets `nextHash`) when the
   * same client asks again within `graceMs` of a live family, at most `graceTokens` times; else 'reused'.
   */
  rotateRefresh(
    companyId: string,
    rotation: Readonly<{ hash: string; nextHash: string; client: string; at: string; graceMs: number; graceTokens: number }>,
    signal?: AbortSignal,
  ): Promise<RefreshRotation>
  /** Drops sessions and their tokens whose absolute end has passed; returns how many sessions. */
  sweep(now: string, signal?: AbortSignal): Promise<number>
}

export type DeviceRegistration = Readonly<{ outcome: 'known' | 'first' | 'waiting' | 'full'; device: Device }>

export interface DeviceRepository {
  get(companyId: string, userId: string, deviceId: string, signal?: AbortSignal): Promise<Device | null>
  list(companyId: string, userId: string, signal?: AbortSignal): Promise<readonly Device[]>
  /**
   * 'known' when stored already (in whatever state); 'first' approves it when the user has none; 'waiting' stores it as pending, and
   * drops the oldest pending one beyond `maxPending`; 'full' stores nothing when `maxApproved` are approved already.
   */
  register(
    companyId: string,
    device: Device,
    limits: Readonly<{ maxApproved: number; maxPending: number }>,
    signal?: AbortSignal,
  ): Promise<DeviceRegistration>
  /** CONFLICT when approving would exceed `maxApproved`; null when there is no such device. */
  decide(
    companyId: string,
    userId: string,
    deviceId: string,
    decision: Readonly<{ state: 'approved' | 'revoked'; by: string; maxApproved: number }>,
    signal?: AbortSignal,
  ): Promise<Device | null>
  seen(companyId: string, userId: string, deviceId: string, at: string, fingerprint: string, signal?: AbortSignal): Promise<void>
  /** Forgets every device of a user; the next one counts as first again. */
  reset(companyId: string, userId: string, signal?: AbortSignal): Promise<number>
}

export interface ApiKeyRepository {
  get(companyId: string, keyId: string, signal?: AbortSignal): Promise<ApiKey | null>
  list(companyId: string, page: Page, signal?: AbortSignal): Promise<readonly ApiKey[]>
  /** CONFLICT when the company has `maxLive` keys that are neither revoked nor expired. */
  create(companyId: string, key: ApiKey, maxLive: number, signal?: AbortSignal): Promise<void>
  revoke(companyId: string, keyId: string, at: string, signal?: AbortSignal): Promise<ApiKey | null>
}

export interface BreakGlassRepository {
  get(companyId: string, grantId: string, signal?: AbortSignal): Promise<BreakGlass | null>
  list(companyId: string, page: Page, signal?: AbortSignal): Promise<readonly BreakGlass[]>
  create(companyId: string, grant: BreakGlass, signal?: AbortSignal): Promise<void>
  revoke(companyId: string, grantId: string, at: string, signal?: AbortSignal): Promise<BreakGlass | null>
}

/** Links and numbers that work once. */
export interface OneUseRepository {
  /** Replaces earlier links of the same user and purpose. */
  create(companyId: string, link: OneUseLink, signal?: AbortSignal): Promise<void>
  /** Hands it out once, and only before it expires. */
  take(companyId: string, hash: string, now: string, signal?: AbortSignal): Promise<OneUseLink | null>
  /** True the first time only. Kept until `expiresAt`. */
  spend(companyId: string, nonce: string, now: string, expiresAt: string, signal?: AbortSignal): Promise<boolean>
}

/** How a key may be tried: `free` tries cost nothing, each further one doubles the wait from `firstDelayMs` to `maxDelayMs`. */
export type AttemptLimit = Readonly<{ free: number; firstDelayMs: number; maxDelayMs: number; forgetAfterMs: number }>
export type AttemptAnswer = Readonly<{ allowed: boolean; retryAfterMs: number; attempts: number }>

/** Counts a try before it is made, so that parallel tries cannot all pass while the first is still being checked. */
export interface AttemptRepository {
  begin(companyId: string, key: string, limit: AttemptLimit, nowMs: number, signal?: AbortSignal): Promise<AttemptAnswer>
  /** After a success. */
  clear(companyId: string, key: string, signal?: AbortSignal): Promise<void>
}

/** `body` is null where what it said has been withheld since. */
export type StoredReply = Readonly<{ status: number; body: string | null; etag: string | null; location: string | null }>
export type IdempotencyAnswer = Readonly<
  { outcome: 'begun' | 'running' | 'mismatch' } | { outcome: 'replay'; reply: StoredReply }
>

export interface IdempotencyRepository {
  begin(
    companyId: string,
    key: string,
    request: Readonly<{ fingerprint: string; now: string; expiresAt: string; runningUntil: string }>,
    signal?: AbortSignal,
  ): Promise<IdempotencyAnswer>
  finish(companyId: string, key: string, reply: StoredReply, signal?: AbortSignal): Promise<void>
  /** The request failed in a way that may be tried again. */
  abandon(companyId: string, key: string, signal?: AbortSignal): Promise<void>
  /** Every reply that is kept with a body, for the search for a caller who is to be forgotten. */
  kept(companyId: string, signal?: AbortSignal): Promise<readonly KeptReply[]>
  /** Empties a kept reply. Its key stays spent: a request sent again must not make anew what was erased. False when there was none. */
  withhold(companyId: string, key: string, signal?: AbortSignal): Promise<boolean>
}
export type KeptReply = Readonly<{ key: string; body: string }>

export type AuditFilter = Readonly<{ afterSeq: number; limit: number; action?: string; actorId?: string; from?: string; until?: string }>

/** Append only: there is no way to change or drop a row. */
export interface AuditRepository {
  /** `chain` gives the hash of a row from the row before it; called inside the step that reserves `seq`. */
  append(companyId: string, fact: AuditFact, chain: (seq: number, previousHash: string) => string, signal?: AbortSignal): Promise<AuditRow>
  /** By seq, after `afterSeq`. */
  list(companyId: string, filter: AuditFilter, signal?: AbortSignal): Promise<readonly AuditRow[]>
  head(companyId: string, signal?: AbortSignal): Promise<AuditHead | null>
  /**
   * Deletes the oldest rows up to `throughSeq`, at most `limit` of them; returns how many. CONFLICT unless a later row, `audit.trimmed`,
   * says `throughSeq` or more in its details: the log itself has to say what it lost.
   */
  trim(companyId: string, throughSeq: number, limit: number, signal?: AbortSignal): Promise<number>
  /** Companies that have a chain, for the verify command. */
  listCompanies(signal?: AbortSignal): Promise<readonly string[]>
}
