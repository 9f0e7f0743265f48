import { ClientsViaError } from '../core/errors.ts'
import { agentSchema, type Agent } from '../tenancy/agent.ts'
import type { AgentRepository } from '../tenancy/repositories.ts'
import { checkDocument, checkSame, checkVersion, type RepositoryTools } from './embedded-documents.ts'
import { idOf, type MongoDatabase, type MongoRecords, type Stored } from './mongo-database.ts'
import { looseField, readRecord, readRecords } from './mongo-documents.ts'

/** A company has a handful of agents, and an agent some hundred versions. */
const MAX_LISTED = 500

/** The draft is one record that changes, a published version is a record that never does. */
export class MongoAgentRepository implements AgentRepository {
  readonly #tools: RepositoryTools
  readonly #drafts: MongoRecords
  readonly #versions: MongoRecords

  constructor(database: MongoDatabase, tools: RepositoryTools) {
    this.#tools = tools
    this.#drafts = database.collection('agent_drafts')
    this.#versions = database.collection('agent_versions')
  }

  async getPublished(companyId: string, agentId: string, signal?: AbortSignal): Promise<Agent | null> {
    const record = await this.#newest(companyId, agentId, signal)
    return record === null ? null : readRecord(agentSchema, record, 'agent')
  }

  async getDraft(companyId: string, agentId: string, signal?: AbortSignal): Promise<Agent | null> {
    const record = await this.#drafts.get(idOf(companyId, agentId), signal)
    return record === null ? null : readRecord(agentSchema, record, 'draft of agent')
  }

  async getVersion(companyId: string, agentId: string, version: number, signal?: AbortSignal): Promise<Agent | null> {
    const record = await this.#versions.get(idOf(companyId, agentId, version), signal)
    return record === null ? null : readRecord(agentSchema, record, 'agent')
  }

  async list(companyId: string, signal?: AbortSignal): Promise<readonly Agent[]> {
    const records = await this.#drafts.find({ companyId }, { sort: { agentId: 1 }, limit: MAX_LISTED }, signal)
    return readRecords(agentSchema, records, 'draft of agent', this.#tools.report)
  }

  async listVersions(companyId: string, agentId: string, signal?: AbortSignal): Promise<readonly Readonly<{ version: number; publishedAt: string }>[]> {
    const records = await this.#versions.find({ companyId, agentId }, { sort: { version: -1 }, limit: MAX_LISTED }, signal)
    return records.map((record) => ({ version: Number(record['version']), publishedAt: String(record['publishedAt']) }))
  }

  async saveDraft(companyId: string, agent: Agent, ifVersion?: number, signal?: AbortSignal): Promise<Agent> {
    const checked = checkDocument(agentSchema, agent, `agent ${companyId}/${agent.id}`)
    checkSame('agent.companyId', companyId, checked.companyId)
    const now = this.#tools.clock.wallTime().toISOString()
    return this.#drafts.change<Agent>(
      idOf(companyId, checked.id),
      async (before) => {
        const draftVersion = Number(before?.['draftVersion'] ?? 0)
        checkVersion(`the draft of agent ${companyId}/${checked.id}`, draftVersion, ifVersion)
        const published = await this.#newest(companyId, checked.id, signal)
        const saved: Agent = {
          ...checked,
          draftVersion: draftVersion + 1,
          version: Number(published?.['version'] ?? 0),
          publishedAt: published === null ? null : String(published['publishedAt']),
          createdAt: looseField(before, 'createdAt') ?? now,
          updatedAt: now,
        }
        return { record: recordOf(saved), answer: saved }
      },
      signal,
    )
  }

  async publish(companyId: string, agentId: string, signal?: AbortSignal): Promise<Agent> {
    const publishedAt = this.#tools.clock.wallTime().toISOString()
    return this.#drafts.change<Agent>(
      idOf(companyId, agentId),
      async (before) => {
        if (before === null) throw new ClientsViaError('NOT_FOUND', `agent ${companyId}/${agentId} has no draft to publish`, { agentId })
        const draft = readRecord(agentSchema, before, 'draft of agent')
        const version = Number((await this.#newest(companyId, agentId, signal))?.['version'] ?? 0) + 1
        const published: Agent = { ...draft, version, publishedAt }
        // Two who publish at once make two versions: the number is taken by whoever writes it first.
        const isFirst = await this.#versions.insert({ _id: idOf(companyId, agentId, version), companyId, agentId, version, publishedAt, document: published }, signal)
        if (!isFirst) throw new ClientsViaError('CONFLICT', `version ${version} of agent ${companyId}/${agentId} was published by somebody else at this moment`, { agentId })
        return { record: recordOf(published), answer: published }
      },
      signal,
    )
  }

  async delete(companyId: string, agentId: string, signal?: AbortSignal): Promise<boolean> {
    await this.#versions.delete({ companyId, agentId }, signal)
    return (await this.#drafts.delete({ _id: idOf(companyId, agentId) }, signal)) > 0
  }

  async #newest(companyId: string, agentId: string, signal?: AbortSignal): Promise<Stored | null> {
    return (await this.#versions.find({ companyId, agentId }, { sort: { version: -1 }, limit: 1 }, signal))[0] ?? null
  }
}

function recordOf(agent: Agent): Readonly<Record<string, unknown>> {
  return { companyId: agent.companyId, agentId: agent.id, draftVersion: agent.draftVersion, document: agent }
}
