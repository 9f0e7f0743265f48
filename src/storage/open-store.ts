import { join } from 'node:path'
import type { CallDirectory } from '../call/call-directory.ts'
import type { Config } from '../config.ts'
import type { SharedBreakerState } from '../core/breaker.ts'
import type { Clock } from '../core/clock.ts'
import { isClientsViaError } from '../core/errors.ts'
import type { DomainEvent } from '../events/event.ts'
import type { SecurityStore } from '../security/repositories.ts'
import { readOrCreateSecret } from '../security/secret-file.ts'
import { deriveKey } from '../security/secrets.ts'
import { parseKeyRing } from '../security/tokens.ts'
import type { MediaTokens } from '../telephony/media-tokens.ts'
import { appointmentsInTime } from './appointments-in-time.ts'
import { CachedCompanies, type CompanyReads } from './cached-companies.ts'
import type { EmbeddedRepositories } from './embedded-repositories.ts'
import { openEmbeddedSecurityStore } from './embedded-security-store.ts'
import { openEmbeddedStore } from './embedded-store.ts'
import { journalStore } from './journal-erasure.ts'
import { Journal } from './journal.ts'
import { JournaledCallRepository } from './journaled-call-repository.ts'
import { JournaledContactStore, JournaledEventStore, JournaledLeadStore } from './journaled-event-stores.ts'
import { JournaledReports } from './journaled-reports.ts'
import { JournaledWrites } from './journaled-writes.ts'
import { MongoDatabase } from './mongo-database.ts'
import { mongoRepositories, type MongoRepositories } from './mongo-repositories.ts'
import { checkMongoSchema } from './mongo-schema.ts'
import { mongoSecurityStore } from './mongo-security-store.ts'
import { RedisAttemptRepository } from './redis-attempt-repository.ts'
import { RedisBreakerState } from './redis-breaker-state.ts'
import { RedisCallDirectory } from './redis-call-directory.ts'
import { RedisCompanyCache } from './redis-company-cache.ts'
import { ADMIN_TIMEOUT_MS, CALL_PATH_TIMEOUT_MS, RedisLink } from './redis-link.ts'
import { RedisListener } from './redis-listener.ts'
import { RedisMediaTokens } from './redis-media-tokens.ts'
import { RedisSessionRepository } from './redis-session-repository.ts'

/** Everything that is kept, the same whatever keeps it. */
export type Stores = EmbeddedRepositories &
  Readonly<{
    security: SecurityStore
    /** What of a caller waits outside the stores; it is asked before they are. */
    waiting: readonly ReturnType<typeof journalStore>[]
    /** Null: the store cannot be away. */
    reports: JournaledReports | null
    /** What calls read, through the caches. */
    forCalls: CompanyReads
    /** What machines share; null: there is only this one. */
    shared: SharedState | null
    /** Something of the company was saved by this process: no cache serves what was before. */
    saved: (companyId: string) => void
    onSavedElsewhere: (listener: (companyId: string) => void) => void
    /** Other machines' saves may have been missed while Redis was away. */
    onGap: (listener: () => void) => void
    /** For /readyz. A part that is away leaves the server in use: calls go on without it. */
    parts: readonly Readonly<{ name: string; check: () => Readonly<{ ok: boolean; degraded: boolean; detail: string }> }>[]
    /** What goes on until the signal: leases, and the journal's way to the database. */
    start: (signal: AbortSignal) => void
    close: () => Promise<void>
  }>

export type SharedState = Readonly<{
  directory: CallDirectory
  mediaTokens: MediaTokens
  breakers: SharedBreakerState
}>

export type OpenStoreOptions = Readonly<{
  config: Pick<Config, 'dataDir' | 'stores' | 'admin'>
  clock: Clock
  logger: Readonly<{
    info: (facts: Readonly<Record<string, unknown>>, message: string) => void
    warn: (facts: Readonly<Record<string, unknown>>, message: string) => void
    error: (facts: Readonly<Record<string, unknown>>, message: string) => void
  }>
  /** The directory of this machine's processes, for while Redis is away. */
  directory: CallDirectory
  /** Told of every event once it is stored. */
  onEvent: (event: DomainEvent) => void
  signal: AbortSignal
}>

/** A Redis that is slow to start is no reason to wait longer: it is taken in when it comes. */
const REDIS_AT_START_MS = 2000
/** Of all machines; each process has its own ceiling below it. */
const MAX_CALLS_EVERYWHERE = 20_000
/** How late what follows from a change may be whose process died. */
const FINISH_EVERY_MS = 15_000
/** A Redis that is away is said this often, not with every call. */
const REPEAT_PROBLEM_MS = 10_000

/** Throws CONFIG_INVALID when the database is not prepared, STORE_FAILED when it does not answer. Redis may be away. */
export async function openStore(options: OpenStoreOptions): Promise<Stores> {
  const { config, clock, logger, signal } = options
  const say = seldom(clock, (problem, error) => {
    if (error === null) logger.info({}, problem)
    else logger.warn({ error: describe(error) }, problem)
  })
  const records = config.stores.store.kind === 'mongodb' ? await openMongo(options, say) : await openEmbedded(options)
  const redis = config.stores.cache.kind === 'redis' ? openRedis(config.stores.cache.url.reveal(), clock) : null
  if (redis !== null && !(await redis.calls.ready(REDIS_AT_START_MS, signal))) logger.warn({ detail: redis.calls.detail }, 'Redis does not answer yet: this server goes by itself until it does')
  const cache = redis === null ? null : new RedisCompanyCache(redis.calls, redis.listener)
  const reads = records.isRemote ? new CachedCompanies({ store: records.repositories, shared: cache, clock, onProblem: say }) : null
  cache?.onChangedElsewhere((companyId) => reads?.forget(companyId))
  redis?.listener.onGap(() => reads?.doubt())
  const directory = redis === null ? null : new RedisCallDirectory({ link: redis.calls, listener: redis.listener, clock, here: options.directory, maxCalls: MAX_CALLS_EVERYWHERE, onProblem: say })
  const breakers = redis === null ? null : new RedisBreakerState(redis.calls, redis.listener, clock)
  const shared: SharedState | null =
    redis === null || directory === null || breakers === null
      ? null
      : { directory, breakers, mediaTokens: new RedisMediaTokens(redis.calls, clock, await mediaTokenKeys(config, signal)) }
  const security: SecurityStore =
    redis === null
      ? records.security
      : { ...records.security, sessions: new RedisSessionRepository(redis.admin, clock), attempts: new RedisAttemptRepository(redis.admin, records.security.attempts) }
  return {
    ...records.repositories,
    security,
    waiting: records.waiting,
    reports: records.reports,
    forCalls: reads ?? records.repositories,
    shared,
    saved: (companyId) => {
      reads?.forget(companyId)
      cache?.changed(companyId)
    },
    onSavedElsewhere: (listener) => cache?.onChangedElsewhere(listener),
    onGap: (listener) => redis?.listener.onGap(listener),
    parts: [
      ...records.parts,
      ...(redis === null ? [] : [{ name: 'redis', check: () => degradable(redis.calls.isUp, redis.calls.detail, 'sessions are away, calls go by this machine') }]),
    ],
    start: (until) => {
      records.start(until)
      void breakers?.catchUp()
      void directory?.keepLeases(until).catch((error: unknown) => {
        if (!until.aborted) logger.error({ error: describe(error) }, 'leases are not renewed any more')
      })
    },
    close: async () => {
      redis?.close()
      await records.close()
    },
  }
}

type Records = Readonly<{
  repositories: EmbeddedRepositories
  security: SecurityStore
  isRemote: boolean
  waiting: Stores['waiting']
  reports: Stores['reports']
  parts: Stores['parts']
  start: (signal: AbortSignal) => void
  close: () => Promise<void>
}>
type Say = (problem: string, error: unknown) => void

async function openEmbedded({ config, logger, onEvent }: OpenStoreOptions): Promise<Records> {
  const store = await openEmbeddedStore({ dataDir: config.dataDir, onProblem: (problem) => logger.error({ problem }, 'stored document cannot be read'), onEvent })
  const security = openEmbeddedSecurityStore(join(config.dataDir, 'security.db'))
  return {
    repositories: store,
    security,
    isRemote: false,
    waiting: [],
    reports: null,
    parts: [],
    start: () => undefined,
    close: async () => {
      security.close()
      await store.close()
    },
  }
}

async function openMongo({ config, clock, logger, onEvent, signal }: OpenStoreOptions, say: Say): Promise<Records> {
  const { store } = config.stores
  if (store.kind !== 'mongodb') throw new TypeError('openMongo without a MongoDB')
  const database = MongoDatabase.open(store.url.reveal(), store.database)
  try {
    await checkMongoSchema(database, signal)
  } catch (error) {
    await database.close()
    throw error
  }
  const { finishLeftBehind, ...repositories } = mongoRepositories(database, { clock, report: (problem) => logger.error({ problem }, 'stored document cannot be read') }, onEvent)
  const journal = await Journal.open({ folder: join(config.dataDir, 'journal'), clock, onProblem: (problem) => logger.error({ problem }, 'journal line lost') })
  const writes = new JournaledWrites({ journal, clock, onProblem: say })
  // What a call leaves behind; people at their desks are told when the database is away.
  const kept = {
    calls: new JournaledCallRepository(repositories.calls, writes),
    eventLog: new JournaledEventStore(repositories.eventLog, writes),
    leads: new JournaledLeadStore(repositories.leads, writes),
    contacts: new JournaledContactStore(repositories.contacts, writes),
    appointments: appointmentsInTime(repositories.appointments, writes),
  }
  return {
    repositories: { ...repositories, ...kept },
    security: mongoSecurityStore(database, clock),
    isRemote: true,
    waiting: [journalStore(journal, clock)],
    reports: new JournaledReports(writes),
    parts: [
      {
        name: 'mongodb',
        check: () => degradable(database.isUp, database.detail, `calls are answered from memory, ${writes.pending} of their records wait on this disk`),
      },
    ],
    start: (until) => {
      void writes.keepReplaying(until).catch((error: unknown) => {
        if (!until.aborted) logger.error({ error: describe(error) }, 'the journal is not replayed any more')
      })
      void keepFinishing(finishLeftBehind, clock, say, until).catch(() => undefined)
    },
    close: async () => {
      await journal.close()
      await database.close()
    },
  }
}

/** Finishes what a process that died has left half done, at start and now and then. */
async function keepFinishing(finishLeftBehind: MongoRepositories['finishLeftBehind'], clock: Clock, say: Say, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await finishLeftBehind(signal).catch((error: unknown) => {
      if (!signal.aborted) say('what another process has left half done cannot be finished', error)
    })
    await clock.sleep(FINISH_EVERY_MS, signal)
  }
}

function openRedis(url: string, clock: Clock) {
  const calls = new RedisLink({ url, clock, commandTimeoutMs: CALL_PATH_TIMEOUT_MS })
  const admin = new RedisLink({ url, clock, commandTimeoutMs: ADMIN_TIMEOUT_MS })
  const listener = new RedisListener(url)
  const close = (): void => {
    calls.close()
    admin.close()
    listener.close()
  }
  return { calls, admin, listener, close }
}

/** The keys that sign sessions also sign the tickets of media streams: every process has them, and they are exchanged in steps. */
async function mediaTokenKeys({ admin, dataDir }: OpenStoreOptions['config'], signal: AbortSignal): Promise<readonly [Uint8Array, ...Uint8Array[]]> {
  const secrets = admin.jwtKeys === null ? [await readOrCreateSecret(join(dataDir, 'auth.secret'), signal)] : parseKeyRing(admin.jwtKeys.reveal(), 'JWT_KEYS').map(({ secret }) => secret)
  const [first, ...others] = secrets.map((secret) => deriveKey(secret, 'media tokens'))
  if (first === undefined) throw new TypeError('a key ring without keys')
  return [first, ...others]
}

function degradable(isUp: boolean, detail: string, without: string): Readonly<{ ok: boolean; degraded: boolean; detail: string }> {
  return { ok: true, degraded: !isUp, detail: isUp ? detail : `degraded: ${detail}; ${without}` }
}

/** The same problem is said once in a while. */
function seldom(clock: Clock, say: Say): Say {
  const saidAt = new Map<string, number>()
  return (problem, error) => {
    const last = saidAt.get(problem)
    const now = clock.now()
    if (last !== undefined && now - last < REPEAT_PROBLEM_MS) return
    if (saidAt.size > 100) saidAt.clear()
    saidAt.set(problem, now)
    say(problem, error)
  }
}

function describe(error: unknown): string {
  const detail = isClientsViaError(error) ? error.details['detail'] : undefined
  return detail === undefined ? String(error) : `${String(error)} (${String(detail)})`
}
