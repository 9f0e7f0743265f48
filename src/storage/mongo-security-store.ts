import type { Clock } from '../core/clock.ts'
import type { SecurityStore } from '../security/repositories.ts'
import type { MongoDatabase } from './mongo-database.ts'
import { MongoApiKeyRepository, MongoBreakGlassRepository, MongoDeviceRepository, MongoUserRepository } from './mongo-security-accounts.ts'
import { MongoAuditRepository } from './mongo-security-audit.ts'
import { MongoAttemptRepository, MongoIdempotencyRepository, MongoOneUseRepository } from './mongo-security-guards.ts'
import { MongoSessionRepository } from './mongo-session-repository.ts'

export function mongoSecurityStore(database: MongoDatabase, clock: Clock): SecurityStore {
  return {
    users: new MongoUserRepository(database, clock),
    sessions: new MongoSessionRepository(database),
    devices: new MongoDeviceRepository(database),
    apiKeys: new MongoApiKeyRepository(database),
    breakGlass: new MongoBreakGlassRepository(database),
    links: new MongoOneUseRepository(database),
    attempts: new MongoAttemptRepository(database),
    idempotency: new MongoIdempotencyRepository(database),
    audit: new MongoAuditRepository(database),
  }
}
