import type { AuditNote } from './audit-log.ts'
import { sameClientMark, type ClientFacts } from './client.ts'
import type { DeviceProof } from './devices.ts'
import { isLive, KEYLESS_PREFIX, keylessAllowed, REFRESH_PREFIX, type LoginDeps } from './login.ts'
import { principalOfUser, type Principal } from './principal.ts'
import type { RefreshToken, Session, SessionEndReason, User } from './records.ts'
import { Refusal } from './refusals.ts'
import { formatBearer, hashSecret, parseBearer, randomSecret } from './secrets.ts'
import type { AccessClaims } from './tokens.ts'

export type RefreshReply = Readonly<{ accessToken: string; refreshToken: string; expiresIn: number }>

/** Activity is written at most this often: a page full of requests is one write. */
const TOUCH_EVERY_MS = 60_000

/**
 * What a session is worth after login. Nothing is remembered in the process: every request reads the stored session, device and
 * user, so logout, revocation and a new role hold at once on every process that shares the store.
 */
export class Sessions {
  readonly #deps: LoginDeps

  constructor(deps: LoginDeps) {
    this.#deps = deps
  }

  readToken(token: string): Promise<AccessClaims> {
    return this.#deps.tokens.verifyAccess(token)
  }

  /** The hardware lock, anew at each request: a revoked device is out although its token has not expired. */
  async checkDevice(claims: Pick<AccessClaims, 'companyId' | 'userId' | 'deviceId'>, client: ClientFacts, signal?: AbortSignal): Promise<void> {
    if (claims.deviceId.startsWith(KEYLESS_PREFIX)) {
      if (!keylessAllowed(this.#deps.policy, client)) throw new Refusal('DEVICE_KEY_REQUIRED')
      return
    }
    const device = await this.#deps.store.devices.get(claims.companyId, claims.userId, claims.deviceId, signal)
    if (device?.state !== 'approved') throw new Refusal('DEVICE_REVOKED')
  }

  /** Is this session still the one, and is its user still who they were at login? */
  async checkSession(claims: AccessClaims, signal?: AbortSignal): Promise<Principal> {
    const { store, clock } = this.#deps
    const session = await store.sessions.get(claims.companyId, claims.userId, claims.deviceId, signal)
    const user = await store.users.get(claims.companyId, claims.userId, signal)
    if (session === null || user === null) throw new Refusal('SESSION_ENDED')
    if (session.id !== claims.sessionId) throw new Refusal('SESSION_REPLACED')
    this.#checkLive(session, user)
    if (claims.sessionVersion !== user.sessionVersion) throw new Refusal('ACCESS_CHANGED')
    const now = clock.wallTime()
    if (now.getTime() - Date.parse(session.lastActivity) >= TOUCH_EVERY_MS) {
      await store.sessions.touch(claims.companyId, claims.userId, claims.deviceId, session.id, now.toISOString(), signal)
    }
    return principalOfUser(user, session)
  }

  /** For replies that stay open (server-sent events): true while the session that opened them is live. */
  async stillLive(principal: Principal, signal?: AbortSignal): Promise<boolean> {
    const { store, clock, policy } = this.#deps
    if (principal.kind === 'api-key') {
      const key = await store.apiKeys.get(principal.companyId, principal.id, signal)
      return key !== null && key.revokedAt === null && Date.parse(key.expiresAt) > clock.wallTime().getTime()
    }
    if (principal.deviceId === null) return false
    const session = await store.sessions.get(principal.companyId, principal.id, principal.deviceId, signal)
    const user = await store.users.get(principal.companyId, principal.id, signal)
    return session !== null && user !== null && session.id === principal.sessionId && isLive(session, clock.wallTime(), policy.idleMs) &&
      user.status === 'active' && user.sessionVersion === session.sessionVersion && user.role === principal.role
  }

  /**
   * A new pair of tokens for a live session. The token that was given is spent; one that was spent before ends the session, unless
   * the same client repeats itself within the grace time. A session bound to a device needs the device's proof again.
   */
  async refresh(refreshToken: string, proof: DeviceProof | null, client: ClientFacts, signal?: AbortSignal): Promise<RefreshReply> {
    const { store, policy, proofs, tokens } = this.#deps
    const companyId = parseBearer(REFRESH_PREFIX, 1, refreshToken)?.companyId
    const token = companyId === undefined ? null : await store.sessions.getRefresh(companyId, hashSecret(refreshToken), signal)
    if (token === null) throw new Refusal('REFRESH_TOKEN_INVALID')
    const rotation = {
      hash: token.hash, nextHash: '', client: sameClientMark(client), at: this.#now(), graceMs: policy.refreshGraceMs, graceTokens: policy.refreshGraceTokens,
    }
    const spentElsewhere = token.spentAt !== null &&
      (token.spentBy !== rotation.client || Date.parse(rotation.at) - Date.parse(token.spentAt) > policy.refreshGraceMs)
    if (spentElsewhere) throw await this.#endFamily(token, client, signal)

    const { session, user } = await this.#liveSession(token, signal)
    await this.checkDevice(session, client, signal)
    if (session.hardwareId !== null) {
      const proven = proof === null ? null : await proofs.check(proof, 'refresh', refreshToken, signal)
      if (proven?.id !== session.hardwareId) throw new Refusal('DEVICE_PROOF_INVALID')
    }
    const next = formatBearer(REFRESH_PREFIX, token.companyId, randomSecret())
    const rotated = await store.sessions.rotateRefresh(token.companyId, { ...rotation, nextHash: hashSecret(next) }, signal)
    if (rotated.outcome === 'unknown') throw new Refusal('REFRESH_TOKEN_INVALID')
    if (rotated.outcome === 'reused') throw await this.#endFamily(token, client, signal)
    await store.sessions.touch(session.companyId, session.userId, session.deviceId, session.id, rotation.at, signal)
    const claims = { userId: user.id, companyId: user.companyId, deviceId: session.deviceId, sessionId: session.id, sessionVersion: session.sessionVersion }
    return { accessToken: await tokens.issueAccess(claims, policy.accessTokenMs), refreshToken: next, expiresIn: Math.floor(policy.accessTokenMs / 1000) }
  }

  /** Ended ones too, newest first, until their absolute end: that is how somebody sees what became of the session before. */
  async list(companyId: string, userId: string, signal?: AbortSignal): Promise<readonly Session[]> {
    const sessions = await this.#deps.store.sessions.listByUser(companyId, userId, signal)
    return [...sessions].sort((a, b) => b.loginTime.localeCompare(a.loginTime))
  }

  isLive(session: Session): boolean {
    return isLive(session, this.#deps.clock.wallTime(), this.#deps.policy.idleMs)
  }

  end(
    companyId: string,
    userId: string,
    which: Readonly<{ deviceId?: string; keepSessionId?: string }>,
    reason: SessionEndReason,
    signal?: AbortSignal,
  ): Promise<readonly Session[]> {
    const chosen = { deviceId: which.deviceId ?? null, keepSessionId: which.keepSessionId ?? null }
    return this.#deps.store.sessions.end(companyId, userId, chosen, { at: this.#now(), reason }, signal)
  }

  /** Drops what has reached its absolute end; a few times a day is enough, since an ended session is refused whether it is kept or not. */
  sweep(signal?: AbortSignal): Promise<number> {
    return this.#deps.store.sessions.sweep(this.#now(), signal)
  }

  async #liveSession(token: RefreshToken, signal?: AbortSignal): Promise<Readonly<{ session: Session; user: User }>> {
    const { store } = this.#deps
    const session = await store.sessions.get(token.companyId, token.userId, token.deviceId, signal)
    const user = await store.users.get(token.companyId, token.userId, signal)
    if (session === null || user === null) throw new Refusal('SESSION_ENDED')
    if (session.id !== token.sessionId) throw new Refusal('SESSION_REPLACED')
    this.#checkLive(session, user)
    return { session, user }
  }

  #checkLive(session: Session, user: User): void {
    if (session.ended !== null) {
      const replaced = session.ended.reason === 'replaced'
      throw new Refusal(replaced ? 'SESSION_REPLACED' : session.ended.reason === 'access-changed' ? 'ACCESS_CHANGED' : 'SESSION_ENDED')
    }
    if (!this.isLive(session)) throw new Refusal('SESSION_EXPIRED')
    if (user.status !== 'active' || session.sessionVersion !== user.sessionVersion) throw new Refusal('ACCESS_CHANGED')
  }

  /** Two parties hold the family's tokens and nobody can say which is the thief: both are out. */
  async #endFamily(token: RefreshToken, client: ClientFacts, signal?: AbortSignal): Promise<Refusal> {
    const session = await this.#deps.store.sessions.get(token.companyId, token.userId, token.deviceId, signal)
    // The device may have signed in anew since; that session is not of this family.
    if (session?.id === token.sessionId) await this.end(token.companyId, token.userId, { deviceId: token.deviceId }, 'refresh-token-reused', signal)
    const note: AuditNote = {
      action: 'auth.refresh', result: 'refused', reason: 'REFRESH_TOKEN_REUSED', target: `session/${token.sessionId}`,
      actor: { kind: 'nobody', id: '', companyId: '' }, address: client.address, userAgent: client.userAgent, traceId: client.traceId,
      details: { deviceId: token.deviceId, userId: token.userId },
    }
    await this.#deps.audit.record(token.companyId, note, signal)
    return new Refusal('REFRESH_TOKEN_REUSED')
  }

  #now(): string {
    return this.#deps.clock.wallTime().toISOString()
  }
}
