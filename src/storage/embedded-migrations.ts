import type { Migration } from './embedded-database.ts'

/**
 * The whole schema, in steps. Documents are JSON beside the columns that are searched by; companyId leads every key, so that one
 * company's rows lie together and no query can do without it.
 */
export const MIGRATIONS: readonly Migration[] = [
  {
    name: 'companies, agents, knowledge',
    sql: `
      CREATE TABLE companies (
        company_id TEXT PRIMARY KEY, version INTEGER NOT NULL, document TEXT NOT NULL
      ) STRICT;
      CREATE TABLE company_phone_numbers (
        phone_number_e164 TEXT PRIMARY KEY, company_id TEXT NOT NULL
      ) STRICT;
      CREATE INDEX company_phone_numbers_by_company ON company_phone_numbers (company_id);

      CREATE TABLE agent_drafts (
        company_id TEXT NOT NULL, agent_id TEXT NOT NULL, draft_version INTEGER NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, agent_id)
      ) STRICT;
      CREATE TABLE agent_versions (
        company_id TEXT NOT NULL, agent_id TEXT NOT NULL, version INTEGER NOT NULL, published_at TEXT NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, agent_id, version)
      ) STRICT;

      CREATE TABLE knowledge_entries (
        row_id INTEGER PRIMARY KEY, company_id TEXT NOT NULL, entry_id TEXT NOT NULL, version INTEGER NOT NULL,
        category TEXT NOT NULL, document TEXT NOT NULL,
        UNIQUE (company_id, entry_id)
      ) STRICT;
      CREATE INDEX knowledge_entries_by_category ON knowledge_entries (company_id, category, entry_id);
      CREATE TABLE knowledge_versions (company_id TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;
      CREATE VIRTUAL TABLE knowledge_text USING fts5 (
        company, question, answer, tags, caller_phrases, content = '', contentless_delete = 1, tokenize = 'porter unicode61 remove_diacritics 2'
      );`,
  },
  {
    name: 'calls, turns, gaps',
    sql: `
      CREATE TABLE calls (
        company_id TEXT NOT NULL, call_sid TEXT NOT NULL, started_at TEXT NOT NULL, outcome TEXT NOT NULL, from_number TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (company_id, call_sid)
      ) STRICT;
      CREATE INDEX calls_by_start ON calls (company_id, started_at, call_sid);
      CREATE INDEX calls_by_caller ON calls (company_id, from_number, started_at, call_sid);
      CREATE TABLE turns (
        company_id TEXT NOT NULL, call_sid TEXT NOT NULL, turn INTEGER NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, call_sid, turn)
      ) STRICT;
      CREATE TABLE gaps (
        company_id TEXT NOT NULL, gap_id TEXT NOT NULL, call_sid TEXT NOT NULL, solved INTEGER NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, gap_id)
      ) STRICT;
      CREATE INDEX gaps_by_call ON gaps (company_id, call_sid);`,
  },
  {
    name: 'documents of other rooms',
    sql: `
      CREATE TABLE documents (
        company_id TEXT NOT NULL, collection TEXT NOT NULL, document_id TEXT NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, collection, document_id)
      ) STRICT;`,
  },
  {
    name: 'events, outbox, leads, message templates, opt-outs',
    sql: `
      CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, company_id TEXT NOT NULL, event_id TEXT NOT NULL, type TEXT NOT NULL, at TEXT NOT NULL,
        subject TEXT NOT NULL, call_sid TEXT, document TEXT NOT NULL,
        UNIQUE (company_id, event_id)
      ) STRICT;
      CREATE INDEX events_by_order ON events (company_id, seq);
      CREATE INDEX events_by_subject ON events (company_id, subject, seq);

      CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, company_id TEXT NOT NULL, item_id TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
        dedupe_key TEXT NOT NULL, channel TEXT, recipient TEXT, state TEXT NOT NULL, attempts INTEGER NOT NULL, due_at TEXT NOT NULL,
        expires_at TEXT, reason TEXT NOT NULL, provider_id TEXT, delivery TEXT NOT NULL, lease_token TEXT, lease_until TEXT, begun_at TEXT,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL, work TEXT NOT NULL,
        UNIQUE (company_id, item_id), UNIQUE (company_id, dedupe_key)
      ) STRICT;
      CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'waiting';
      CREATE INDEX outbox_leases ON outbox (lease_until) WHERE state IN ('claimed', 'sending');
      CREATE INDEX outbox_open_tasks ON outbox (company_id, subject, seq) WHERE state IN ('waiting', 'claimed');
      CREATE INDEX outbox_by_order ON outbox (company_id, kind, seq);
      CREATE INDEX outbox_by_recipient ON outbox (company_id, recipient, seq);
      CREATE INDEX outbox_begun ON outbox (company_id, channel, begun_at);

      CREATE TABLE leads (
        company_id TEXT NOT NULL, lead_id TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, status TEXT NOT NULL,
        kind TEXT NOT NULL, phone_number_e164 TEXT, call_sid TEXT, idempotency_key TEXT NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, lead_id), UNIQUE (company_id, idempotency_key)
      ) STRICT;
      CREATE INDEX leads_by_age ON leads (company_id, created_at, lead_id);

      CREATE TABLE message_templates (
        company_id TEXT NOT NULL, kind TEXT NOT NULL, channel TEXT NOT NULL, version INTEGER NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, kind, channel)
      ) STRICT;
      CREATE TABLE contact_preferences (
        company_id TEXT NOT NULL, contact_hash TEXT NOT NULL, state TEXT NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, contact_hash)
      ) STRICT;`,
  },
  {
    name: 'appointments and their claims',
    sql: `
      CREATE TABLE appointments (
        company_id TEXT NOT NULL, appointment_id TEXT NOT NULL, idempotency_key TEXT NOT NULL, resource_id TEXT NOT NULL, service_id TEXT,
        status TEXT NOT NULL, phone_number TEXT NOT NULL, call_sid TEXT, starts_at_ms INTEGER NOT NULL, ends_at_ms INTEGER NOT NULL,
        busy_until_ms INTEGER NOT NULL, held_until_ms INTEGER, version INTEGER NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (company_id, appointment_id),
        UNIQUE (company_id, idempotency_key)
      ) STRICT;
      CREATE INDEX appointments_by_start ON appointments (company_id, starts_at_ms, appointment_id);
      CREATE INDEX appointments_by_caller ON appointments (company_id, phone_number, starts_at_ms);
      CREATE INDEX appointments_by_call ON appointments (company_id, call_sid);
      CREATE INDEX appointments_busy ON appointments (company_id, starts_at_ms, busy_until_ms, resource_id, held_until_ms)
        WHERE status IN ('held', 'confirmed');
      CREATE TABLE appointment_claims (
        company_id TEXT NOT NULL, resource_id TEXT NOT NULL, grain INTEGER NOT NULL, seat INTEGER NOT NULL, appointment_id TEXT NOT NULL,
        held_until_ms INTEGER,
        PRIMARY KEY (company_id, resource_id, grain, seat)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX appointment_claims_by_appointment ON appointment_claims (company_id, appointment_id);`,
  },
]
