import { MongoServerError, type IndexDirection } from 'mongodb'
import { ClientsViaError } from '../core/errors.ts'
import { idOf, type MongoDatabase } from './mongo-database.ts'

type Index = Readonly<{
  fields: Readonly<Record<string, IndexDirection>>
  unique?: true
  /** The server drops a record once the date in the field has passed. */
  expires?: true
}>

/**
 * Every collection and index. An index begins with the company, as every query does and as the shard key is `companyId`; the others
 * are the ones that find a company, and those by which the server drops what has ended.
 */
const COLLECTIONS: Readonly<Record<string, readonly Index[]>> = {
  companies: [{ fields: { companyId: 1, status: 1 } }, { fields: { companyId: 1, createdAt: -1 } }],
  /** `_id` is the number: unique over all companies. Not sharded. */
  phone_numbers: [{ fields: { companyId: 1, version: 1 } }],
  agent_drafts: [{ fields: { companyId: 1, agentId: 1 }, unique: true }],
  agent_versions: [{ fields: { companyId: 1, agentId: 1, version: -1 }, unique: true }],
  knowledge_entries: [
    { fields: { companyId: 1, entryId: 1 }, unique: true },
    { fields: { companyId: 1, category: 1, entryId: 1 } },
    { fields: { companyId: 1, tags: 1 } },
    { fields: { companyId: 1, words: 1 } },
  ],
  knowledge_versions: [],
  calls: [
    { fields: { companyId: 1, callSid: 1 }, unique: true },
    { fields: { companyId: 1, startedAt: -1, callSid: -1 } },
    { fields: { companyId: 1, from: 1, startedAt: -1, callSid: -1 } },
    { fields: { companyId: 1, outcome: 1, startedAt: -1, callSid: -1 } },
  ],
  turns: [{ fields: { companyId: 1, callSid: 1, turn: 1 }, unique: true }],
  gaps: [{ fields: { companyId: 1, gapId: 1 }, unique: true }, { fields: { companyId: 1, callSid: 1 } }],
  documents: [{ fields: { companyId: 1, collection: 1, documentId: 1 }, unique: true }],
  appointments: [
    { fields: { companyId: 1, idempotencyKey: 1 }, unique: true },
    { fields: { companyId: 1, startsAtMs: 1, appointmentId: 1 } },
    { fields: { companyId: 1, phoneNumberE164: 1, startsAtMs: 1 } },
    { fields: { companyId: 1, callSid: 1 } },
    /** The few whose events were not passed on, over all companies. */
    { fields: { hasUntold: 1 } },
  ],
  appointment_keys: [{ fields: { companyId: 1, appointmentId: 1 } }],
  /** Several events that are one change, until they are in the log. */
  event_batches: [{ fields: { hasSequels: 1 } }],
  events: [
    { fields: { companyId: 1, seq: 1 }, unique: true },
    { fields: { companyId: 1, eventId: 1 }, unique: true },
    { fields: { companyId: 1, subject: 1, seq: 1 } },
    { fields: { companyId: 1, callSid: 1, seq: 1 } },
    { fields: { companyId: 1, at: 1 } },
    { fields: { hasSequels: 1 } },
  ],
  outbox: [
    { fields: { companyId: 1, dedupeKey: 1 }, unique: true },
    { fields: { companyId: 1, kind: 1, order: -1 } },
    { fields: { companyId: 1, recipient: 1, order: -1 } },
    { fields: { companyId: 1, subject: 1, order: 1 } },
    { fields: { companyId: 1, channel: 1, begunAt: 1 } },
    { fields: { companyId: 1, updatedAt: 1 } },
    /** Workers look for what is due and for leases that ran out, whosever they are. */
    { fields: { state: 1, dueAt: 1, order: 1 } },
    { fields: { state: 1, leaseUntil: 1 } },
    { fields: { hasSequels: 1 } },
  ],
  outbox_claims: [{ fields: { companyId: 1, itemId: 1 } }],
  leads: [
    { fields: { companyId: 1, idempotencyKey: 1 }, unique: true },
    { fields: { companyId: 1, createdAt: -1, leadId: -1 } },
    { fields: { companyId: 1, phoneNumberE164: 1, createdAt: -1 } },
    { fields: { companyId: 1, callSid: 1 } },
    { fields: { companyId: 1, updatedAt: 1 } },
    { fields: { hasSequels: 1 } },
  ],
  contacts: [{ fields: { companyId: 1, contactHash: 1 }, unique: true }, { fields: { hasSequels: 1 } }],
  message_templates: [{ fields: { companyId: 1, kind: 1, channel: 1 }, unique: true }],
  appointment_days: [{ fields: { companyId: 1, resourceId: 1, day: 1 }, unique: true }, { fields: { companyId: 1, day: 1 } }],
  users: [{ fields: { companyId: 1, userId: 1 }, unique: true }, { fields: { companyId: 1, isOwner: 1 } }],
  /** `_id` is the address: a login names nothing else. Not sharded. */
  user_emails: [],
  user_owners: [],
  user_sessions: [{ fields: { companyId: 1, hashes: 1 } }, { fields: { expiresAt: 1 }, expires: true }],
  user_devices: [],
  api_keys: [{ fields: { companyId: 1, keyId: 1 }, unique: true }],
  api_key_counts: [],
  break_glass: [{ fields: { companyId: 1, grantId: 1 }, unique: true }],
  one_use_links: [{ fields: { companyId: 1, hash: 1 } }, { fields: { expiresAt: 1 }, expires: true }],
  spent_nonces: [{ fields: { expiresAt: 1 }, expires: true }],
  attempts: [{ fields: { expiresAt: 1 }, expires: true }],
  idempotency: [{ fields: { expiresAt: 1 }, expires: true }],
  audit_rows: [
    { fields: { companyId: 1, seq: 1 }, unique: true },
    { fields: { companyId: 1, actorId: 1, at: -1 } },
    { fields: { companyId: 1, action: 1, at: -1 } },
  ],
  audit_heads: [],
}

/** Counts up whenever the list above changes: a server that is newer than its database says so at start. */
const SCHEMA_VERSION = 3
const SCHEMA_ID = 'schema'
/** Appointments whose keys are read at once. */
const KEYS_PAGE = 500
/** A server that speaks the protocol may lack TTL indexes (FerretDB 1). */
const NOT_IMPLEMENTED = 238

/** Makes what is missing; harmless to repeat. Says, line by line, what the server cannot do and what follows from it. */
export async function migrateMongo(database: MongoDatabase, say: (line: string) => void, signal?: AbortSignal): Promise<void> {
  let cannotExpire = false
  for (const [name, indexes] of Object.entries(COLLECTIONS)) {
    for (const index of indexes) {
      try {
        await database.run(
          (db) => db.collection(name).createIndex(index.fields, { ...(index.unique && { unique: true }), ...(index.expires && { expireAfterSeconds: 0 }) }),
          signal,
        )
      } catch (error) {
        if (!isNotImplemented(error) || !index.expires) throw error
        cannotExpire = true
        await database.run((db) => db.collection(name).createIndex(index.fields), signal)
      }
    }
  }
  if (cannotExpire) say('this server does not drop what has ended (it has no TTL indexes): ended links, counters and requests stay, unused')
  if ((await versionOf(database, signal)) < 3) await nameAppointments(database, signal)
  await database.collection('schema').put({ _id: SCHEMA_ID, version: SCHEMA_VERSION }, signal)
  say(`schema ${SCHEMA_VERSION}: ${Object.keys(COLLECTIONS).length} collections ready`)
}

/** Throws CONFIG_INVALID when the database is not prepared for this server, or is of a newer one. */
export async function checkMongoSchema(database: MongoDatabase, signal?: AbortSignal): Promise<void> {
  const version = await versionOf(database, signal)
  if (version < SCHEMA_VERSION) throw new ClientsViaError('CONFIG_INVALID', 'the database of MONGODB_URL is not prepared for this server: run "clientsvia migrate" (npm run migrate) once')
  if (version > SCHEMA_VERSION) throw new ClientsViaError('CONFIG_INVALID', 'the database of MONGODB_URL was prepared by a newer server: start that one')
}

async function versionOf(database: MongoDatabase, signal?: AbortSignal): Promise<number> {
  return Number((await database.collection('schema').get(SCHEMA_ID, signal))?.['version'] ?? 0)
}

/** From schema 3 on an appointment is looked up by its idempotency key in a record of the key's own. */
async function nameAppointments(database: MongoDatabase, signal?: AbortSignal): Promise<void> {
  const keys = database.collection('appointment_keys')
  for (let after = ''; ; ) {
    const options = { sort: { _id: 1 }, limit: KEYS_PAGE, projection: { companyId: 1, idempotencyKey: 1, appointmentId: 1 } } as const
    const page = await database.collection('appointments').find({ _id: { $gt: after } }, options, signal)
    for (const { companyId, idempotencyKey, appointmentId } of page) await keys.insert({ _id: idOf(String(companyId), String(idempotencyKey)), companyId, appointmentId }, signal)
    if (page.length < KEYS_PAGE) return
    after = page.at(-1)?._id ?? after
  }
}

/** Collections that hold something of a company, for when it is deleted. Users, audit and sessions are the platform's to keep. */
export const COMPANY_COLLECTIONS = [
  'agent_drafts', 'agent_versions', 'knowledge_entries', 'turns', 'gaps', 'calls', 'appointments', 'appointment_keys', 'appointment_days', 'phone_numbers',
  'event_batches', 'leads', 'outbox', 'outbox_claims', 'contacts', 'events', 'message_templates',
] as const

function isNotImplemented(error: unknown): boolean {
  return error instanceof ClientsViaError && error.cause instanceof MongoServerError && error.cause.code === NOT_IMPLEMENTED
}
