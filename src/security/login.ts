import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/clock.ts'
import { uuidv7 } from '../core/ids.ts'
import type { AuditLog, AuditNote } from './audit-log.ts'
import { addressGroup, fingerprintOf, type ClientFacts } from './client.ts'
import type { DeviceProof, DeviceProofs, ProvenDevice } from './devices.ts'
import { checkPlace, checkTravel, isLoopback } from './geo.ts'
import type { PasswordHasher } from './passwords.ts'
import type { SecurityPolicy } from './policy.ts'
import type { Identity, Session, User } from './records.ts'
import { Refusal } from './refusals.ts'
import type { AttemptLimit, SecurityStore } from './repositories.ts'
import { PLATFORM, permissionsOf } from './roles.ts'
import { formatBearer, hashSecret, randomSecret } from './secrets.ts'
import type { Tokens } from './tokens.ts'

/** The ten steps, in order. A refusal names the step it came from, in its audit line. */
export const LOGIN_STEPS = [
  'request', 'credentials', 'fingerprint', 'location', 'session-conflict', 'hardware-lock', 'token', 'session', 'audit', 'reply',
] as const
export type LoginStep = (typeof LOGIN_STEPS)[number]

export type LoginAttempt = Readonly<{ email: string; password: string; device: DeviceProof | null; client: ClientFacts }>
/** Somebody else vouches for who this is: `identify` gives a verified e-mail address and who they are there, or throws a Refusal. */
export type FederatedAttempt = Readonly<{
  device: DeviceProof | null
  /** What the device signed in place of an e-mail address, which it cannot know yet. */
  deviceSubject: string
  client: ClientFacts
  identify: () => Promise<Readonly<{ email: string; identity: Identity }>>
}>
export type LoginReply = Readonly<{
  accessToken: string
  refreshToken: string
  /** Seconds. */
  expiresIn: number
  user: User
  deviceId: string
  /** Older sessions that this login ended. */
  replacedSessions: number
}>

export type LoginDeps = Readonly<{
  store: SecurityStore
  audit: AuditLog
  tokens: Tokens
  hasher: PasswordHasher
  proofs: DeviceProofs
  policy: SecurityPolicy
  clock: Clock
}>

type Asked = Readonly<{ account: User | null; device: ProvenDevice | null; counters: readonly Counter[] }>
/** How far an attempt has come, for the line that says where it ended. */
type Progress = {
  readonly method: 'password' | 'oidc'
  step: LoginStep
  /** As given; null until it is known. */
  email: string | null
  account: User | null
  authenticated: boolean
}
/** The same refusal as within the last minute: said to the client, not to the audit log, which guesses must not be able to fill. */
class Throttled extends Refusal {
  constructor(retryAfterMs: number) {
    super('LOGIN_TOO_MANY_ATTEMPTS', {}, retryAfterMs)
  }
}
const QUIET_MS = 60_000
const QUIET_KEYS = 5000

type Counter = Readonly<{ key: string; limit: AttemptLimit; clearedBySuccess: boolean }>

export const REFRESH_PREFIX = 'cvr'
/** Devices without a key: told apart by their make, trusted only where policy says so. */
export const KEYLESS_PREFIX = 'keyless.'

export class Login {
  readonly #deps: LoginDeps
  /** Counter -> when its refusal was last written down, in milliseconds. */
  readonly #noted = new LRUCache<string, number>({ max: QUIET_KEYS })

  constructor(deps: LoginDeps) {
    this.#deps = deps
  }

  /** Throws a Refusal with the code of the step that refused; every outcome is one line in the audit log, a refusal for too many tries once a minute. */
  run(attempt: LoginAttempt, signal?: AbortSignal): Promise<LoginReply> {
    const progress: Progress = { method: 'password', step: 'request', email: attempt.email, account: null, authenticated: false }
    return this.#audited(progress, attempt.client, signal, async () => {
      const asked = await this.#admit(attempt, signal)
      progress.account = asked.account
      progress.step = 'credentials'
      const user = await this.#checkCredentials(attempt.password, asked, signal)
      return this.#enter(progress, user, asked.device, attempt.client, signal)
    })
  }

  /** The same ten steps where an identity provider's word stands in for the password. Also throws OIDC_NO_ACCOUNT and OIDC_OTHER_IDENTITY. */
  runFederated(attempt: FederatedAttempt, signal?: AbortSignal): Promise<LoginReply> {
    const progress: Progress = { method: 'oidc', step: 'request', email: null, account: null, authenticated: false }
    return this.#audited(progress, attempt.client, signal, async () => {
      const { store, proofs, policy } = this.#deps
      const counters = federatedCountersOf(attempt.client, policy)
      await this.#count(counters, signal)
      const device = attempt.device === null ? null : await proofs.check(attempt.device, 'login', attempt.deviceSubject, signal)
      progress.step = 'credentials'
      const { email, identity } = await attempt.identify()
      progress.email = email
      progress.account = await store.users.findByEmail(email, signal)
      // Never made here: an account is somebody's decision.
      if (progress.account === null || progress.account.status !== 'active') throw new Refusal('OIDC_NO_ACCOUNT')
      // An address may be given to somebody else at the provider, or be one that they chose for themselves there.
      if (!(await store.users.bindIdentity(progress.account.companyId, progress.account.id, identity, signal))) throw new Refusal('OIDC_OTHER_IDENTITY')
      await this.#clear(counters, signal)
      return this.#enter(progress, progress.account, device, attempt.client, signal)
    })
  }

  async #audited(progress: Progress, client: ClientFacts, signal: AbortSignal | undefined, work: () => Promise<LoginReply>): Promise<LoginReply> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof Refusal && !(error instanceof Throttled)) await this.#auditRefusal(error, progress, client, signal)
      throw error
    }
  }

  /** Every step after it is known who this is. */
  async #enter(progress: Progress, user: User, device: ProvenDevice | null, client: ClientFacts, signal?: AbortSignal): Promise<LoginReply> {
    progress.authenticated = true
    const step = <T>(name: LoginStep, work: () => T): T => {
      progress.step = name
      return work()
    }
    const fingerprint = step('fingerprint', () => fingerprintOf(client))
    step('location', () => this.#checkLocation(user, client))
    await step('session-conflict', () => this.#checkConflict(user, device, signal))
    const deviceId = await step('hardware-lock', () => this.#checkHardware(user, device, fingerprint, client, signal))
    const session = this.#newSession(user, deviceId, device, fingerprint, client)
    const accessToken = await step('token', () => this.#issueToken(session))
    const opened = await step('session', () => this.#openSession(session, signal))
    await step('audit', () => this.#auditSuccess(progress, user, session, opened.replaced, client, signal))
    return step('reply', () => ({
      accessToken,
      refreshToken: opened.refreshToken,
      expiresIn: Math.floor(this.#deps.policy.accessTokenMs / 1000),
      user,
      deviceId,
      replacedSessions: opened.replaced.length,
    }))
  }

  /** Who is asking, with which device, and have they asked too often. Tries are counted before the password is looked at. */
  async #admit(attempt: LoginAttempt, signal?: AbortSignal): Promise<Asked> {
    const { store, proofs, policy } = this.#deps
    const email = attempt.email.toLowerCase()
    const account = await store.users.findByEmail(email, signal)
    const device = attempt.device === null ? null : await proofs.check(attempt.device, 'login', email, signal)
    const stored = account === null || device === null ? null : await store.devices.get(account.companyId, account.id, device.id, signal)
    const counters = countersOf(email, attempt.client, policy, stored?.state === 'approved' ? stored.id : null)
    await this.#count(counters, signal)
    return { account, device, counters }
  }

  async #count(counters: readonly Counter[], signal?: AbortSignal): Promise<void> {
    const { store, clock } = this.#deps
    for (const counter of counters) {
      const answer = await store.attempts.begin(PLATFORM, counter.key, counter.limit, clock.wallTime().getTime(), signal)
      if (answer.allowed) continue
      if (this.#isQuiet(counter.key)) throw new Throttled(answer.retryAfterMs)
      throw new Refusal('LOGIN_TOO_MANY_ATTEMPTS', {}, answer.retryAfterMs)
    }
  }

  async #clear(counters: readonly Counter[], signal?: AbortSignal): Promise<void> {
    for (const counter of counters) if (counter.clearedBySuccess) await this.#deps.store.attempts.clear(PLATFORM, counter.key, signal)
  }

  async #checkCredentials(password: string, asked: Asked, signal?: AbortSignal): Promise<User> {
    const { store, hasher } = this.#deps
    const { account } = asked
    const matches = await hasher.verify(account?.passwordHash ?? null, password, signal)
    if (account === null || !matches || account.status !== 'active') throw new Refusal('LOGIN_INVALID_CREDENTIALS')
    await this.#clear(asked.counters, signal)
    if (hasher.needsRehash(account.passwordHash)) {
      await store.users.rehash(account.companyId, account.id, { from: account.passwordHash, to: await hasher.hash(password, signal) }, signal)
    }
    return account
  }

  #checkLocation(user: User, client: ClientFacts): void {
    checkPlace(client.place, this.#deps.policy)
    checkTravel(user.lastLogin, { at: this.#now(), place: client.place }, this.#deps.policy.maxTravelKmh)
  }

  async #checkConflict(user: User, device: ProvenDevice | null, signal?: AbortSignal): Promise<void> {
    const { store, policy, clock } = this.#deps
    if (policy.sessionConflict !== 'deny') return
    const sessions = await store.sessions.listByUser(user.companyId, user.id, signal)
    if (sessions.some((session) => isLive(session, clock.wallTime(), policy.idleMs) && session.deviceId !== device?.id)) throw new Refusal('SESSION_CONFLICT')
  }

  /** The first device is taken on; a later one waits until somebody approves it. Returns the id the session is bound to. */
  async #checkHardware(user: User, device: ProvenDevice | null, fingerprint: string, client: ClientFacts, signal?: AbortSignal): Promise<string> {
    const { store, policy, audit } = this.#deps
    if (device === null) {
      if (!keylessAllowed(policy, client)) throw new Refusal('DEVICE_KEY_REQUIRED')
      return `${KEYLESS_PREFIX}${fingerprint}`
    }
    const now = this.#now()
    const registration = await store.devices.register(
      user.companyId,
      {
        id: device.id, companyId: user.companyId, userId: user.id, publicKey: device.publicKey, label: device.label, state: 'pending', fingerprint,
        createdAt: now, lastSeenAt: now, decidedBy: null,
      },
      { maxApproved: policy.maxDevices, maxPending: policy.maxPendingDevices },
      signal,
    )
    if (registration.outcome === 'full') throw new Refusal('DEVICE_LIMIT', { deviceId: device.id })
    if (registration.device.state === 'pending') throw new Refusal('DEVICE_PENDING', { deviceId: device.id })
    if (registration.device.state === 'revoked') throw new Refusal('DEVICE_REVOKED', { deviceId: device.id })
    if (registration.outcome === 'first') await audit.record(user.companyId, this.#note(user, client, 'auth.device_registered', `device/${device.id}`, {}), signal)
    else await store.devices.seen(user.companyId, user.id, device.id, now, fingerprint, signal)
    return device.id
  }

  #newSession(user: User, deviceId: string, device: ProvenDevice | null, fingerprint: string, client: ClientFacts): Session {
    const nowMs = this.#deps.clock.wallTime().getTime()
    const now = new Date(nowMs).toISOString()
    return {
      // Never the id of an older session: whoever planted one has nothing (ASVS 7.2.4).
      id: uuidv7(new Date(nowMs)), companyId: user.companyId, userId: user.id, deviceId, hardwareId: device?.id ?? null, fingerprint,
      location: client.place, loginTime: now, lastActivity: now, expiresAt: new Date(nowMs + this.#deps.policy.absoluteMs).toISOString(),
      permissions: [...permissionsOf(user.companyId, user.role)], sessionVersion: user.sessionVersion, ended: null,
    }
  }

  #issueToken(session: Session): Promise<string> {
    return this.#deps.tokens.issueAccess(
      { userId: session.userId, companyId: session.companyId, deviceId: session.deviceId, sessionId: session.id, sessionVersion: session.sessionVersion },
      this.#deps.policy.accessTokenMs,
    )
  }

  async #openSession(session: Session, signal?: AbortSignal): Promise<Readonly<{ refreshToken: string; replaced: readonly Session[] }>> {
    const { store, policy } = this.#deps
    const refreshToken = formatBearer(REFRESH_PREFIX, session.companyId, randomSecret())
    const opening = { session, refreshHash: hashSecret(refreshToken), policy: policy.sessionConflict, idleMs: policy.idleMs }
    const opened = await store.sessions.open(session.companyId, opening, signal)
    // Two logins may both have passed the look in step five; only one of them gets here first.
    if (opened.outcome === 'denied') throw new Refusal('SESSION_CONFLICT')
    await store.users.recordLogin(session.companyId, session.userId, { at: session.loginTime, place: session.location }, signal)
    return { refreshToken, replaced: opened.replaced }
  }

  async #auditSuccess(progress: Progress, user: User, session: Session, replaced: readonly Session[], client: ClientFacts, signal?: AbortSignal): Promise<void> {
    const { audit } = this.#deps
    for (const older of replaced) {
      const note = this.#note(user, client, 'auth.session_replaced', `session/${older.id}`, { by: session.id, deviceId: older.deviceId })
      await audit.record(user.companyId, note, signal)
    }
    const steps = LOGIN_STEPS.slice(0, LOGIN_STEPS.indexOf('audit'))
    const details = { method: progress.method, sessionId: session.id, deviceId: session.deviceId, country: client.place.country, place: client.place.kind, steps }
    await audit.record(user.companyId, this.#note(user, client, 'auth.login', `user/${user.id}`, details), signal)
  }

  async #auditRefusal(refusal: Refusal, progress: Progress, client: ClientFacts, signal?: AbortSignal): Promise<void> {
    const { method, account, authenticated, email, step } = progress
    // An address that has no account is kept as a hash: people type their password into the wrong field.
    const stranger = email === null ? 'nobody' : `email-sha256/${hashSecret(email.toLowerCase())}`
    const note = this.#note(authenticated ? account : null, client, 'auth.login', account === null ? stranger : `user/${account.id}`, {
      ...refusal.details, method, step, country: client.place.country,
    })
    await this.#deps.audit.record(account?.companyId ?? PLATFORM, { ...note, result: 'refused', reason: refusal.code }, signal)
  }

  #note(user: User | null, client: ClientFacts, action: string, target: string, details: AuditNote['details']): AuditNote {
    return {
      action, result: 'done', reason: '', target, address: client.address, userAgent: client.userAgent, traceId: client.traceId, details,
      actor: user === null ? { kind: 'nobody', id: '', companyId: '' } : { kind: 'user', id: user.id, companyId: user.companyId },
    }
  }

  #isQuiet(key: string): boolean {
    const now = this.#deps.clock.now()
    const noted = this.#noted.get(key)
    if (noted !== undefined && now - noted < QUIET_MS) return true
    this.#noted.set(key, now)
    return false
  }

  #now(): string {
    return this.#deps.clock.wallTime().toISOString()
  }
}

/** A known device is counted for itself alone; strangers are counted per account, per address and altogether. */
function countersOf(email: string, client: ClientFacts, policy: SecurityPolicy, knownDeviceId: string | null): readonly Counter[] {
  const account = hashSecret(email)
  if (knownDeviceId !== null) return [{ key: `login-device:${account}:${knownDeviceId}`, limit: policy.limits.knownDevice, clearedBySuccess: true }]
  const counters: Counter[] = [{ key: `login-account:${account}`, limit: policy.limits.account, clearedBySuccess: true }]
  // Every process on this machine shares loopback; what guards it is the account's own counter.
  if (!isLoopback(client.address)) {
    counters.push({ key: `login-address:${addressGroup(client.address)}`, limit: policy.limits.address, clearedBySuccess: false })
  }
  counters.push({ key: 'login-everywhere', limit: policy.limits.everywhere, clearedBySuccess: false })
  return counters
}

/**
 * Apart from those of passwords: nothing is guessed here, so that guesses elsewhere must not shut this door; what is held back is work
 * at the provider.
 */
function federatedCountersOf(client: ClientFacts, policy: SecurityPolicy): readonly Counter[] {
  const everywhere: Counter = { key: 'oidc-everywhere', limit: policy.limits.everywhere, clearedBySuccess: false }
  if (isLoopback(client.address)) return [everywhere]
  // An office has one address: whoever really comes in from there opens it for the others.
  return [{ key: `oidc-address:${addressGroup(client.address)}`, limit: policy.limits.address, clearedBySuccess: true }, everywhere]
}

export function keylessAllowed(policy: Pick<SecurityPolicy, 'keylessLogin'>, client: Pick<ClientFacts, 'address'>): boolean {
  return policy.keylessLogin === 'anywhere' || (policy.keylessLogin === 'loopback' && isLoopback(client.address))
}

export function isLive(session: Session, now: Date, idleMs: number): boolean {
  return session.ended === null && Date.parse(session.expiresAt) > now.getTime() && Date.parse(session.lastActivity) + idleMs > now.getTime()
}
