import type { EventStore } from '../events/event.ts'
import type { EmbeddedRepositories } from './embedded-repositories.ts'
import type { RepositoryTools } from './embedded-documents.ts'
import { MongoAgentRepository } from './mongo-agent-repository.ts'
import { MongoAppointmentRepository } from './mongo-appointment-repository.ts'
import { MongoCallRepository } from './mongo-call-repository.ts'
import { MongoCompanyRepository } from './mongo-company-repository.ts'
import type { MongoDatabase } from './mongo-database.ts'
import { MongoDocumentRepository } from './mongo-document-repository.ts'
import { MongoKnowledgeRepository } from './mongo-knowledge-repository.ts'

/** Everything MongoDB keeps. */
export type MongoRepositories = Pick<EmbeddedRepositories, 'companies' | 'agents' | 'knowledge' | 'calls' | 'documents'> & Readonly<{ appointments: MongoAppointmentRepository }>

/** `events`: where what happened to an appointment is passed on to. */
export function mongoRepositories(database: MongoDatabase, tools: RepositoryTools, events: Pick<EventStore, 'append'>): MongoRepositories {
  return {
    companies: new MongoCompanyRepository(database, tools),
    agents: new MongoAgentRepository(database, tools),
    knowledge: new MongoKnowledgeRepository(database, tools),
    calls: new MongoCallRepository(database, tools),
    documents: new MongoDocumentRepository(database),
    appointments: new MongoAppointmentRepository(database, tools, events),
  }
}
