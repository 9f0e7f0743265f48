import { z } from 'zod'
import { Secret } from '../core/secret.ts'
import { about, text } from './variables.ts'

/** Where records live, and what several processes share. The URLs may hold passwords. */
export type StoresConfig = Readonly<{
  store: Readonly<{ kind: 'embedded' }> | Readonly<{ kind: 'mongodb'; url: Secret; database: string }>
  cache: Readonly<{ kind: 'memory' }> | Readonly<{ kind: 'redis'; url: Secret }>
}>

const STORES = ['embedded', 'mongodb'] as const
const CACHES = ['memory', 'redis'] as const

/** What keeps the records, and what several processes share. */
export const storeVariables = {
  DATA_DIR: text().register(about, { says: 'Folder of the embedded store; made if it is not there.', example: './data', default: './data' }),
  MONGODB_URL: text().optional().register(about, {
    says: 'A MongoDB replica set that keeps the records instead of DATA_DIR; the URL names the database. Prepare it once: clientsvia migrate.',
    example: 'mongodb://127.0.0.1:27017/clientsvia?replicaSet=rs0',
    default: null,
    secret: true,
  }),
  REDIS_URL: text().optional().register(about, {
    says: 'A Redis that several processes share: sessions, media tokens, places on the line, cached settings.',
    example: 'redis://127.0.0.1:6379/0',
    default: null,
    secret: true,
  }),
  STORE: z.enum(STORES, { error: `must be one of ${STORES.join(', ')}` }).optional().register(about, {
    says: 'What keeps the records: embedded or mongodb. Without it: mongodb where MONGODB_URL is set.',
    example: 'embedded',
    default: null,
  }),
  CACHE: z.enum(CACHES, { error: `must be one of ${CACHES.join(', ')}` }).optional().register(about, {
    says: 'What processes share: memory (one process) or redis. Without it: redis where REDIS_URL is set.',
    example: 'memory',
    default: null,
  }),
}
export type StoreValues = z.output<z.ZodObject<typeof storeVariables>>

export function storeProblems({ STORE, CACHE, MONGODB_URL, REDIS_URL }: StoreValues): string[] {
  const problems: string[] = []
  if (STORE === 'mongodb' && MONGODB_URL === undefined) problems.push('MONGODB_URL is missing: STORE=mongodb needs it; for example MONGODB_URL=mongodb://127.0.0.1:27017/clientsvia')
  if (CACHE === 'redis' && REDIS_URL === undefined) problems.push('REDIS_URL is missing: CACHE=redis needs it; for example REDIS_URL=redis://127.0.0.1:6379')
  // The values are never shown: they may hold a password.
  if (MONGODB_URL !== undefined && !/^mongodb(\+srv)?:\/\/\S+$/.test(MONGODB_URL)) problems.push('MONGODB_URL must begin with mongodb:// or mongodb+srv://')
  else if (MONGODB_URL !== undefined) {
    const database = databaseOf(MONGODB_URL)
    // Without a name the driver takes "test", and a typing mistake runs for hours on an empty database.
    if (!/^[\w-]{1,63}$/.test(database) || database === 'test') {
      problems.push('MONGODB_URL must name the database after the host, and not "test"; for example mongodb://127.0.0.1:27017/clientsvia')
    }
  }
  if (REDIS_URL !== undefined && !/^rediss?:\/\/[^/\s]+(\/\d{1,3})?$/.test(REDIS_URL)) problems.push('REDIS_URL must be redis://HOST:PORT, or rediss:// for TLS, with a database number after a slash at most')
  return problems
}

export function storesOf({ STORE, CACHE, MONGODB_URL, REDIS_URL }: StoreValues): StoresConfig {
  const isMongo = MONGODB_URL !== undefined && (STORE ?? 'mongodb') === 'mongodb'
  const isRedis = REDIS_URL !== undefined && (CACHE ?? 'redis') === 'redis'
  return {
    store: isMongo ? { kind: 'mongodb', url: new Secret(MONGODB_URL), database: databaseOf(MONGODB_URL) } : { kind: 'embedded' },
    cache: isRedis ? { kind: 'redis', url: new Secret(REDIS_URL) } : { kind: 'memory' },
  }
}

/** The part after the hosts. Not read by URL, which knows no list of hosts. */
function databaseOf(mongoUrl: string): string {
  return /^[^:]+:\/\/[^/]+\/([^?]*)/.exec(mongoUrl)?.[1] ?? ''
}
