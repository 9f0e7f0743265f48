import type { SecurityStore } from '../security/repositories.ts'
import { EmbeddedDatabase, type Migration } from './embedded-database.ts'
import { EmbeddedApiKeyRepository, EmbeddedBreakGlassRepository, EmbeddedDeviceRepository, EmbeddedUserRepository } from './embedded-security-accounts.ts'
import { EmbeddedAuditRepository } from './embedded-security-audit.ts'
import { EmbeddedAttemptRepository, EmbeddedIdempotencyRepository, EmbeddedOneUseRepository } from './embedded-security-guards.ts'
import { EmbeddedSessionRepository } from './embedded-security-sessions.ts'

/**
 * Users, sessions and audit in a SQLite file of their own: who copies the companies' data for a test does not copy password hashes
 * with it, and the audit log has its own write path. `:memory:` is allowed, for tests.
 */
export function openEmbeddedSecurityStore(path: string): SecurityStore & Readonly<{ close: () => void }> {
  const database = EmbeddedDatabase.open(path)
  // Sessions and audit rows are written on the process's own loop. NORMAL syncs at checkpoints only: kill -9 loses nothing
  // acknowledged, a power cut may lose the last seconds, and no call waits for a disk because somebody logs in.
  database.run('PRAGMA synchronous = NORMAL')
  database.migrate(SECURITY_MIGRATIONS)
  return {
    users: new EmbeddedUserRepository(database),
    sessions: new EmbeddedSessionRepository(database),
    devices: new EmbeddedDeviceRepository(database),
    apiKeys: new EmbeddedApiKeyRepository(database),
    breakGlass: new EmbeddedBreakGlassRepository(database),
    links: new EmbeddedOneUseRepository(database),
    attempts: new EmbeddedAttemptRepository(database),
    idempotency: new EmbeddedIdempotencyRepository(database),
    audit: new EmbeddedAuditRepository(database),
    close: () => database.close(),
  }
}

const SECURITY_MIGRATIONS: readonly Migration[] = [
  {
    name: 'users, sessions, devices, keys, audit',
    sql: `
      CREATE TABLE users (
        company_id TEXT NOT NULL, user_id TEXT NOT NULL, email TEXT NOT NULL UNIQUE, is_owner INTEGER NOT NULL, version INTEGER NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (company_id, user_id)
      ) STRICT;
      CREATE TABLE sessions (
        company_id TEXT NOT NULL, user_id TEXT NOT NULL, device_id TEXT NOT NULL, session_id TEXT NOT NULL, live INTEGER NOT NULL,
        last_activity TEXT NOT NULL, expires_at TEXT NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, user_id, device_id)
      ) STRICT;
      CREATE INDEX sessions_by_end ON sessions (expires_at);
      CREATE INDEX sessions_by_id ON sessions (company_id, session_id);
      CREATE TABLE refresh_tokens (
        company_id TEXT NOT NULL, hash TEXT NOT NULL, session_id TEXT NOT NULL, spent INTEGER NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, hash)
      ) STRICT;
      CREATE INDEX refresh_tokens_by_family ON refresh_tokens (company_id, session_id);
      CREATE TABLE devices (
        company_id TEXT NOT NULL, user_id TEXT NOT NULL, device_id TEXT NOT NULL, state TEXT NOT NULL, created_at TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (company_id, user_id, device_id)
      ) STRICT;
      CREATE TABLE api_keys (
        company_id TEXT NOT NULL, key_id TEXT NOT NULL, revoked INTEGER NOT NULL, expires_at TEXT NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, key_id)
      ) STRICT;
      CREATE TABLE break_glass (
        company_id TEXT NOT NULL, grant_id TEXT NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, grant_id)
      ) STRICT;
      CREATE TABLE one_use_links (
        company_id TEXT NOT NULL, hash TEXT NOT NULL, purpose TEXT NOT NULL, user_id TEXT NOT NULL, expires_at TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (company_id, hash)
      ) STRICT;
      CREATE TABLE spent_nonces (
        company_id TEXT NOT NULL, nonce TEXT NOT NULL, expires_at TEXT NOT NULL,
        PRIMARY KEY (company_id, nonce)
      ) STRICT;
      CREATE INDEX spent_nonces_by_end ON spent_nonces (expires_at);
      CREATE TABLE attempts (
        company_id TEXT NOT NULL, key TEXT NOT NULL, attempts INTEGER NOT NULL, blocked_until_ms INTEGER NOT NULL, forget_at_ms INTEGER NOT NULL,
        PRIMARY KEY (company_id, key)
      ) STRICT;
      CREATE INDEX attempts_by_end ON attempts (forget_at_ms);
      CREATE TABLE idempotency (
        company_id TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, expires_at TEXT NOT NULL, running_until TEXT NOT NULL,
        status INTEGER, body TEXT, etag TEXT,
        PRIMARY KEY (company_id, key)
      ) STRICT;
      CREATE INDEX idempotency_by_end ON idempotency (expires_at);

      CREATE TABLE audit_rows (
        company_id TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL, action TEXT NOT NULL, actor_id TEXT NOT NULL,
        previous_hash TEXT NOT NULL, hash TEXT NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, seq)
      ) STRICT;
      CREATE INDEX audit_rows_by_actor ON audit_rows (company_id, actor_id, at);
      CREATE INDEX audit_rows_by_action ON audit_rows (company_id, action, at);
      CREATE TABLE audit_heads (company_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
      CREATE TRIGGER audit_rows_stay BEFORE DELETE ON audit_rows BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted'); END;
      CREATE TRIGGER audit_rows_stand BEFORE UPDATE ON audit_rows BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END;
      CREATE TRIGGER audit_heads_stay BEFORE DELETE ON audit_heads BEGIN SELECT RAISE(ABORT, 'audit heads are never deleted'); END;
      CREATE TRIGGER audit_heads_grow BEFORE UPDATE ON audit_heads WHEN NEW.seq <> OLD.seq + 1
        BEGIN SELECT RAISE(ABORT, 'audit heads only move forward'); END;`,
  },
  {
    name: 'audit rows go when their time is over, and only after the log says so',
    sql: `
      DROP TRIGGER audit_rows_stay;
      CREATE TRIGGER audit_rows_stay BEFORE DELETE ON audit_rows
        WHEN NOT EXISTS (
          SELECT 1 FROM audit_rows AS later WHERE later.company_id = OLD.company_id AND later.action = 'audit.trimmed' AND later.seq > OLD.seq
            AND json_extract(later.document, '$.details.throughSeq') >= OLD.seq
        )
        BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted'); END;`,
  },
  { name: 'where the thing is that a repeated request made', sql: 'ALTER TABLE idempotency ADD COLUMN location TEXT;' },
]
