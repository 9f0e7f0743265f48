import { refreshTokenSchema, sessionSchema, type RefreshToken, type Session, type SessionEndReason } from '../security/records.ts'
import type { RefreshRotation, SessionOpening, SessionRepository } from '../security/repositories.ts'
import type { EmbeddedDatabase, Row } from './embedded-database.ts'
import { checkDocument, checkSame, readDocument } from './embedded-documents.ts'

export class EmbeddedSessionRepository implements SessionRepository {
  readonly #database: EmbeddedDatabase

  constructor(database: EmbeddedDatabase) {
    this.#database = database
  }

  async open(
    companyId: string,
    opening: Readonly<{ session: Session; refreshHash: string; policy: 'newest-wins' | 'deny'; idleMs: number }>,
    signal?: AbortSignal,
  ): Promise<SessionOpening> {
    signal?.throwIfAborted()
    const session = checkDocument(sessionSchema, opening.session, 'session')
    checkSame('session.companyId', companyId, session.companyId)
    const idleSince = new Date(Date.parse(session.loginTime) - opening.idleMs).toISOString()
    return this.#database.transaction((): SessionOpening => {
      const live = this.#list(companyId, session.userId).filter(
        (other) => other.ended === null && other.expiresAt > session.loginTime && other.lastActivity > idleSince,
      )
      const elsewhere = live.filter((other) => other.deviceId !== session.deviceId)
      if (opening.policy === 'deny' && elsewhere.length > 0) return { outcome: 'denied', live: elsewhere }
      const replaced = this.#end(companyId, session.userId, { deviceId: null, keepSessionId: null }, { at: session.loginTime, reason: 'replaced' })
      this.#database.run('DELETE FROM sessions WHERE company_id = ? AND user_id = ? AND device_id = ?', companyId, session.userId, session.deviceId)
      this.#database.run(
        `INSERT INTO sessions (company_id, user_id, device_id, session_id, live, last_activity, expires_at, document) VALUES (?, ?, ?, ?, 1, ?, ?, ?)`,
        companyId, session.userId, session.deviceId, session.id, session.lastActivity, session.expiresAt, JSON.stringify(session),
      )
      this.#storeRefresh(companyId, {
        hash: opening.refreshHash, companyId, userId: session.userId, deviceId: session.deviceId, sessionId: session.id,
        issuedAt: session.loginTime, spentAt: null, spentBy: null,
      })
      return { outcome: 'opened', replaced: replaced.filter((other) => live.some((one) => one.id === other.id)) }
    })
  }

  async get(companyId: string, userId: string, deviceId: string, signal?: AbortSignal): Promise<Session | null> {
    signal?.throwIfAborted()
    return this.#get(companyId, userId, deviceId)
  }

  async listByUser(companyId: string, userId: string, signal?: AbortSignal): Promise<readonly Session[]> {
    signal?.throwIfAborted()
    return this.#list(companyId, userId)
  }

  async touch(companyId: string, userId: string, deviceId: string, sessionId: string, at: string, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted()
    const changed = this.#database.run(
      `UPDATE sessions SET last_activity = ?, document = json_set(document, '$.lastActivity', ?)
       WHERE company_id = ? AND user_id = ? AND device_id = ? AND session_id = ? AND live = 1`,
      at, at, companyId, userId, deviceId, sessionId,
    )
    return changed === 1
  }

  async end(
    companyId: string,
    userId: string,
    which: Readonly<{ deviceId: string | null; keepSessionId: string | null }>,
    ended: Readonly<{ at: string; reason: SessionEndReason }>,
    signal?: AbortSignal,
  ): Promise<readonly Session[]> {
    signal?.throwIfAborted()
    return this.#database.transaction(() => this.#end(companyId, userId, which, ended))
  }

  async getRefresh(companyId: string, hash: string, signal?: AbortSignal): Promise<RefreshToken | null> {
    signal?.throwIfAborted()
    return this.#getRefresh(companyId, hash)
  }

  async rotateRefresh(
    companyId: string,
    rotation: Readonly<{ hash: string; nextHash: string; client: string; at: string; graceMs: number; graceTokens: number }>,
    signal?: AbortSignal,
  ): Promise<RefreshRotation> {
    signal?.throwIfAborted()
    return this.#database.transaction((): RefreshRotation => {
      const token = this.#getRefresh(companyId, rotation.hash)
      if (token === null) return { outcome: 'unknown' }
      const next: RefreshToken = { ...token, hash: rotation.nextHash, issuedAt: rotation.at, spentAt: null, spentBy: null }
      if (token.spentAt === null) {
        this.#database.run(
          'UPDATE refresh_tokens SET spent = 1, document = ? WHERE company_id = ? AND hash = ?',
          JSON.stringify({ ...token, spentAt: rotation.at, spentBy: rotation.client }), companyId, rotation.hash,
        )
        this.#storeRefresh(companyId, next)
        return { outcome: 'rotated', token: next }
      }
      const sinceSpentMs = Date.parse(rotation.at) - Date.parse(token.spentAt)
      const unspent = this.#database.get('SELECT count(*) AS n FROM refresh_tokens WHERE company_id = ? AND session_id = ? AND spent = 0', companyId, token.sessionId)
      const repeats = token.spentBy === rotation.client && sinceSpentMs <= rotation.graceMs && Number(unspent?.['n']) < rotation.graceTokens
      if (!repeats) return { outcome: 'reused', token }
      this.#storeRefresh(companyId, next)
      return { outcome: 'repeated', token: next }
    })
  }

  async sweep(now: string, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted()
    return this.#database.transaction(() => {
      const gone = this.#database.run('DELETE FROM sessions WHERE expires_at < ?', now)
      this.#database.run(
        `DELETE FROM refresh_tokens WHERE NOT EXISTS
           (SELECT 1 FROM sessions WHERE sessions.company_id = refresh_tokens.company_id AND sessions.session_id = refresh_tokens.session_id)`,
      )
      return gone
    })
  }

  #get(companyId: string, userId: string, deviceId: string): Session | null {
    const row = this.#database.get('SELECT document FROM sessions WHERE company_id = ? AND user_id = ? AND device_id = ?', companyId, userId, deviceId)
    return row === undefined ? null : sessionOf(row)
  }

  #list(companyId: string, userId: string): Session[] {
    return this.#database.all('SELECT document FROM sessions WHERE company_id = ? AND user_id = ? ORDER BY device_id', companyId, userId).map(sessionOf)
  }

  #end(
    companyId: string,
    userId: string,
    which: Readonly<{ deviceId: string | null; keepSessionId: string | null }>,
    ended: Readonly<{ at: string; reason: SessionEndReason }>,
  ): Session[] {
    const chosen = this.#list(companyId, userId).filter(
      (session) =>
        session.ended === null && (which.deviceId === null || session.deviceId === which.deviceId) && session.id !== which.keepSessionId,
    )
    for (const session of chosen) {
      this.#database.run(
        'UPDATE sessions SET live = 0, document = ? WHERE company_id = ? AND user_id = ? AND device_id = ?',
        JSON.stringify({ ...session, ended }), companyId, userId, session.deviceId,
      )
    }
    return chosen
  }

  #getRefresh(companyId: string, hash: string): RefreshToken | null {
    const row = this.#database.get('SELECT document FROM refresh_tokens WHERE company_id = ? AND hash = ?', companyId, hash)
    return row === undefined ? null : readDocument(refreshTokenSchema, row, 'refresh token')
  }

  #storeRefresh(companyId: string, token: RefreshToken): void {
    this.#database.run(
      'INSERT INTO refresh_tokens (company_id, hash, session_id, spent, document) VALUES (?, ?, ?, 0, ?)',
      companyId, token.hash, token.sessionId, JSON.stringify(checkDocument(refreshTokenSchema, token, 'refresh token')),
    )
  }
}

function sessionOf(row: Row): Session {
  return readDocument(sessionSchema, row, 'session')
}
