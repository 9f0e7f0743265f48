import { oneUseLinkSchema, type OneUseLink } from '../security/records.ts'
import type {
  AttemptAnswer, AttemptLimit, AttemptRepository, IdempotencyAnswer, IdempotencyRepository, KeptReply, OneUseRepository, StoredReply,
} from '../security/repositories.ts'
import type { EmbeddedDatabase } from './embedded-database.ts'
import { checkDocument, readDocument } from './embedded-documents.ts'

/** Expired rows swept with each write: more than one write adds, few enough not to be felt. */
const SWEEP_ROWS = 20

export class EmbeddedOneUseRepository implements OneUseRepository {
  readonly #database: EmbeddedDatabase

  constructor(database: EmbeddedDatabase) {
    this.#database = database
  }

  async create(companyId: string, link: OneUseLink, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const checked = checkDocument(oneUseLinkSchema, link, 'one-use link')
    this.#database.transaction(() => {
      this.#database.run('DELETE FROM one_use_links WHERE company_id = ? AND user_id = ? AND purpose = ?', companyId, checked.userId, checked.purpose)
      this.#database.run(
        'INSERT INTO one_use_links (company_id, hash, purpose, user_id, expires_at, document) VALUES (?, ?, ?, ?, ?, ?)',
        companyId, checked.hash, checked.purpose, checked.userId, checked.expiresAt, JSON.stringify(checked),
      )
    })
  }

  async take(companyId: string, hash: string, now: string, signal?: AbortSignal): Promise<OneUseLink | null> {
    signal?.throwIfAborted()
    const row = this.#database.get('DELETE FROM one_use_links WHERE company_id = ? AND hash = ? RETURNING document', companyId, hash)
    if (row === undefined) return null
    const link = readDocument(oneUseLinkSchema, row, 'one-use link')
    return link.expiresAt > now ? link : null
  }

  async spend(companyId: string, nonce: string, now: string, expiresAt: string, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted()
    return this.#database.transaction(() => {
      this.#database.run('DELETE FROM spent_nonces WHERE rowid IN (SELECT rowid FROM spent_nonces WHERE expires_at < ? LIMIT ?)', now, SWEEP_ROWS)
      return this.#database.run('INSERT OR IGNORE INTO spent_nonces (company_id, nonce, expires_at) VALUES (?, ?, ?)', companyId, nonce, expiresAt) === 1
    })
  }
}

export class EmbeddedAttemptRepository implements AttemptRepository {
  readonly #database: EmbeddedDatabase

  constructor(database: EmbeddedDatabase) {
    this.#database = database
  }

  async begin(companyId: string, key: string, limit: AttemptLimit, nowMs: number, signal?: AbortSignal): Promise<AttemptAnswer> {
    signal?.throwIfAborted()
    return this.#database.transaction(() => {
      this.#database.run('DELETE FROM attempts WHERE rowid IN (SELECT rowid FROM attempts WHERE forget_at_ms <= ? LIMIT ?)', nowMs, SWEEP_ROWS)
      const row = this.#database.get('SELECT attempts, blocked_until_ms, forget_at_ms FROM attempts WHERE company_id = ? AND key = ?', companyId, key)
      const remembered = row !== undefined && Number(row['forget_at_ms']) > nowMs
      const before = remembered ? Number(row['attempts']) : 0
      const blockedUntilMs = remembered ? Number(row['blocked_until_ms']) : 0
      if (blockedUntilMs > nowMs) return { allowed: false, retryAfterMs: blockedUntilMs - nowMs, attempts: before }
      const attempts = before + 1
      const beyond = attempts - limit.free
      const delayMs = beyond < 0 ? 0 : Math.min(limit.maxDelayMs, limit.firstDelayMs * 2 ** Math.min(beyond, 40))
      this.#database.run(
        `INSERT INTO attempts (company_id, key, attempts, blocked_until_ms, forget_at_ms) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (company_id, key) DO UPDATE SET attempts = excluded.attempts, blocked_until_ms = excluded.blocked_until_ms,
           forget_at_ms = excluded.forget_at_ms`,
        companyId, key, attempts, Math.round(nowMs + delayMs), Math.round(nowMs + delayMs + limit.forgetAfterMs),
      )
      return { allowed: true, retryAfterMs: 0, attempts }
    })
  }

  async clear(companyId: string, key: string, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.#database.run('DELETE FROM attempts WHERE company_id = ? AND key = ?', companyId, key)
  }
}

export class EmbeddedIdempotencyRepository implements IdempotencyRepository {
  readonly #database: EmbeddedDatabase

  constructor(database: EmbeddedDatabase) {
    this.#database = database
  }

  async begin(
    companyId: string,
    key: string,
    request: Readonly<{ fingerprint: string; now: string; expiresAt: string; runningUntil: string }>,
    signal?: AbortSignal,
  ): Promise<IdempotencyAnswer> {
    signal?.throwIfAborted()
    return this.#database.transaction((): IdempotencyAnswer => {
      this.#database.run('DELETE FROM idempotency WHERE rowid IN (SELECT rowid FROM idempotency WHERE expires_at < ? LIMIT ?)', request.now, SWEEP_ROWS)
      const row = this.#database.get('SELECT fingerprint, running_until, expires_at, status, body, etag, location FROM idempotency WHERE company_id = ? AND key = ?', companyId, key)
      if (row !== undefined && String(row['expires_at']) > request.now) {
        if (row['fingerprint'] !== request.fingerprint) return { outcome: 'mismatch' }
        if (row['status'] !== null) {
          return { outcome: 'replay', reply: { status: Number(row['status']), body: textOf(row['body']), etag: textOf(row['etag']), location: textOf(row['location']) } }
        }
        // A process that died in the middle must not hold the key for a day.
        if (String(row['running_until']) > request.now) return { outcome: 'running' }
      }
      this.#database.run(
        `INSERT OR REPLACE INTO idempotency (company_id, key, fingerprint, expires_at, running_until, status, body, etag, location)
         VALUES (?, ?, ?, ?, ?, NULL, NULL, NULL, NULL)`,
        companyId, key, request.fingerprint, request.expiresAt, request.runningUntil,
      )
      return { outcome: 'begun' }
    })
  }

  async finish(companyId: string, key: string, reply: StoredReply, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const { status, body, etag, location } = reply
    this.#database.run('UPDATE idempotency SET status = ?, body = ?, etag = ?, location = ? WHERE company_id = ? AND key = ?', status, body, etag, location, companyId, key)
  }

  async abandon(companyId: string, key: string, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.#database.run('DELETE FROM idempotency WHERE company_id = ? AND key = ? AND status IS NULL', companyId, key)
  }

  async kept(companyId: string, signal?: AbortSignal): Promise<readonly KeptReply[]> {
    signal?.throwIfAborted()
    const rows = this.#database.all("SELECT key, body FROM idempotency WHERE company_id = ? AND body <> ''", companyId)
    return rows.map((row) => ({ key: String(row['key']), body: String(row['body']) }))
  }

  async withhold(companyId: string, key: string, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted()
    return this.#database.run('UPDATE idempotency SET body = NULL WHERE company_id = ? AND key = ? AND body IS NOT NULL', companyId, key) > 0
  }
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
