import type { DomainEvent } from '../events/event.ts'
import type { EmbeddedRepositories } from './embedded-repositories.ts'
import type { RepositoryTools } from './embedded-documents.ts'
import { MongoAgentRepository } from './mongo-agent-repository.ts'
import { MongoAppointmentRepository } from './mongo-appointment-repository.ts'
import { MongoCallRepository } from './mongo-call-repository.ts'
import { MongoCompanyRepository } from './mongo-company-repository.ts'
import { MongoContactRepository } from './mongo-contact-repository.ts'
import type { MongoDatabase } from './mongo-database.ts'
import { MongoDocumentRepository } from './mongo-document-repository.ts'
import { MongoEventLog } from './mongo-event-log.ts'
import { MongoEventRepository } from './mongo-event-repository.ts'
import { MongoKnowledgeRepository } from './mongo-knowledge-repository.ts'
import { MongoLeadRepository } from './mongo-lead-repository.ts'
import { MongoMessageTemplateRepository } from './mongo-message-template-repository.ts'
import { MongoOutboxRepository } from './mongo-outbox-repository.ts'

/** Everything is kept in MongoDB. */
export type MongoRepositories = EmbeddedRepositories & Readonly<{ finishLeftBehind: (signal: AbortSignal) => Promise<number> }>

/** `onEvent`: told of every event that this process has stored, once. */
export function mongoRepositories(database: MongoDatabase, tools: RepositoryTools, onEvent: (event: DomainEvent) => void): MongoRepositories {
  const log = new MongoEventLog(database, tools, onEvent)
  const appointments = new MongoAppointmentRepository(database, tools, log)
  return {
    companies: new MongoCompanyRepository(database, tools),
    agents: new MongoAgentRepository(database, tools),
    knowledge: new MongoKnowledgeRepository(database, tools),
    calls: new MongoCallRepository(database, tools),
    documents: new MongoDocumentRepository(database),
    eventLog: new MongoEventRepository(database, tools, log),
    outbox: new MongoOutboxRepository(database, tools, log),
    leads: new MongoLeadRepository(database, tools, log),
    contacts: new MongoContactRepository(database, tools, log),
    messageTemplates: new MongoMessageTemplateRepository(database),
    appointments,
    /** What processes that died have left half done; returns in how many records. */
    finishLeftBehind: async (signal) => (await appointments.tellLeftBehind(signal)) + (await log.finishLeftBehind(signal)),
  }
}
