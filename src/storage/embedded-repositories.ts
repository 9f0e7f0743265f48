import type { AppointmentRepository } from '../booking/appointment-repository.ts'
import type { CallRepository } from '../call/call-record.ts'
import type { ContactStore, MessageTemplateStore } from '../events/contacts.ts'
import type { EventStore } from '../events/event.ts'
import type { LeadStore } from '../events/lead.ts'
import type { Outbox } from '../events/outbox.ts'
import type { AgentRepository, CompanyRepository, KnowledgeRepository } from '../tenancy/repositories.ts'
import { EmbeddedAgentRepository } from './embedded-agent-repository.ts'
import { EmbeddedAppointmentRepository } from './embedded-appointment-repository.ts'
import { EmbeddedCallRepository } from './embedded-call-repository.ts'
import { EmbeddedCompanyRepository } from './embedded-company-repository.ts'
import { EmbeddedContactRepository } from './embedded-contact-repository.ts'
import type { EmbeddedDatabase } from './embedded-database.ts'
import { EmbeddedDocumentRepository, type DocumentRepository } from './embedded-document-repository.ts'
import type { RepositoryTools } from './embedded-documents.ts'
import { EmbeddedEventRepository } from './embedded-event-repository.ts'
import { EmbeddedKnowledgeRepository } from './embedded-knowledge-repository.ts'
import { EmbeddedLeadRepository } from './embedded-lead-repository.ts'
import { EmbeddedMessageTemplateRepository } from './embedded-message-template-repository.ts'
import { EmbeddedOutboxRepository } from './embedded-outbox-repository.ts'

/** Everything the embedded store keeps. A new resource is one more line here, one in `makeRepositories`, one in the store. */
export type EmbeddedRepositories = Readonly<{
  companies: CompanyRepository
  agents: AgentRepository
  knowledge: KnowledgeRepository
  calls: CallRepository
  documents: DocumentRepository
  eventLog: EventStore
  outbox: Outbox
  leads: LeadStore
  contacts: ContactStore
  messageTemplates: MessageTemplateStore
  appointments: AppointmentRepository
}>

export function makeRepositories(database: EmbeddedDatabase, tools: RepositoryTools): EmbeddedRepositories {
  return {
    companies: new EmbeddedCompanyRepository(database, tools),
    agents: new EmbeddedAgentRepository(database, tools),
    knowledge: new EmbeddedKnowledgeRepository(database, tools),
    calls: new EmbeddedCallRepository(database, tools),
    documents: new EmbeddedDocumentRepository(database),
    eventLog: new EmbeddedEventRepository(database, tools),
    outbox: new EmbeddedOutboxRepository(database, tools),
    leads: new EmbeddedLeadRepository(database, tools),
    contacts: new EmbeddedContactRepository(database, tools),
    messageTemplates: new EmbeddedMessageTemplateRepository(database),
    appointments: new EmbeddedAppointmentRepository(database, tools),
  }
}
