import type { EmbeddedRepositories } from './embedded-repositories.ts'
import type { RepositoryTools } from './embedded-documents.ts'
import { MongoAgentRepository } from './mongo-agent-repository.ts'
import { MongoCallRepository } from './mongo-call-repository.ts'
import { MongoCompanyRepository } from './mongo-company-repository.ts'
import type { MongoDatabase } from './mongo-database.ts'
import { MongoDocumentRepository } from './mongo-document-repository.ts'
import { MongoKnowledgeRepository } from './mongo-knowledge-repository.ts'

/** Everything MongoDB keeps. */
export type MongoRepositories = Pick<EmbeddedRepositories, 'companies' | 'agents' | 'knowledge' | 'calls' | 'documents'>

export function mongoRepositories(database: MongoDatabase, tools: RepositoryTools): MongoRepositories {
  return {
    companies: new MongoCompanyRepository(database, tools),
    agents: new MongoAgentRepository(database, tools),
    knowledge: new MongoKnowledgeRepository(database, tools),
    calls: new MongoCallRepository(database, tools),
    documents: new MongoDocumentRepository(database),
  }
}
