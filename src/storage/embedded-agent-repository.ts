import { ClientsViaError } from '../core/errors.ts'
import { agentSchema, type Agent } from '../tenancy/agent.ts'
import type { AgentRepository } from '../tenancy/repositories.ts'
import type { EmbeddedDatabase, Row } from './embedded-database.ts'
import { checkDocument, checkSame, checkVersion, readDocument, readDocuments, type RepositoryTools } from './embedded-documents.ts'

/** The draft is one row that changes, a published version is a row that never does. */
export class EmbeddedAgentRepository implements AgentRepository {
  readonly #database: EmbeddedDatabase
  readonly #tools: RepositoryTools

  constructor(database: EmbeddedDatabase, tools: RepositoryTools) {
    this.#database = database
    this.#tools = tools
  }

  async getPublished(companyId: string, agentId: string): Promise<Agent | null> {
    const row = this.#database.get(
      'SELECT company_id, agent_id, version, document FROM agent_versions WHERE company_id = ? AND agent_id = ? ORDER BY version DESC LIMIT 1',
      companyId,
      agentId,
    )
    return row === undefined ? null : readDocument(agentSchema, row, nameOf(row))
  }

  async getDraft(companyId: string, agentId: string): Promise<Agent | null> {
    return this.#draft(companyId, agentId)
  }

  async getVersion(companyId: string, agentId: string, version: number): Promise<Agent | null> {
    const row = this.#database.get(
      'SELECT company_id, agent_id, version, document FROM agent_versions WHERE company_id = ? AND agent_id = ? AND version = ?',
      companyId,
      agentId,
      version,
    )
    return row === undefined ? null : readDocument(agentSchema, row, nameOf(row))
  }

  async list(companyId: string): Promise<readonly Agent[]> {
    const rows = this.#database.all('SELECT company_id, agent_id, document FROM agent_drafts WHERE company_id = ? ORDER BY agent_id', companyId)
    return readDocuments(agentSchema, rows, nameOf, this.#tools.report)
  }

  async listVersions(companyId: string, agentId: string): Promise<readonly Readonly<{ version: number; publishedAt: string }>[]> {
    return this.#database
      .all('SELECT version, published_at FROM agent_versions WHERE company_id = ? AND agent_id = ? ORDER BY version DESC', companyId, agentId)
      .map((row) => ({ version: Number(row['version']), publishedAt: String(row['published_at']) }))
  }

  async saveDraft(companyId: string, agent: Agent, ifVersion?: number): Promise<Agent> {
    const checked = checkDocument(agentSchema, agent, `agent ${companyId}/${agent.id}`)
    checkSame('agent.companyId', companyId, checked.companyId)
    const now = this.#tools.clock.wallTime().toISOString()
    return this.#database.transaction(() => {
      const stored = this.#draftBookkeeping(companyId, checked.id)
      checkVersion(`the draft of agent ${companyId}/${checked.id}`, stored.draftVersion, ifVersion)
      const saved: Agent = {
        ...checked,
        draftVersion: stored.draftVersion + 1,
        version: stored.version,
        publishedAt: stored.publishedAt,
        createdAt: stored.createdAt ?? now,
        updatedAt: now,
      }
      this.#writeDraft(companyId, saved)
      return saved
    })
  }

  async publish(companyId: string, agentId: string): Promise<Agent> {
    return this.#database.transaction(() => {
      const draft = this.#draft(companyId, agentId)
      if (draft === null) throw new ClientsViaError('NOT_FOUND', `agent ${companyId}/${agentId} has no draft to publish`, { agentId })
      const publishedAt = this.#tools.clock.wallTime().toISOString()
      const published: Agent = { ...draft, version: this.#draftBookkeeping(companyId, agentId).version + 1, publishedAt }
      this.#database.run(
        'INSERT INTO agent_versions (company_id, agent_id, version, published_at, document) VALUES (?, ?, ?, ?, ?)',
        companyId,
        agentId,
        published.version,
        publishedAt,
        JSON.stringify(published),
      )
      this.#writeDraft(companyId, published)
      return published
    })
  }

  async delete(companyId: string, agentId: string): Promise<boolean> {
    return this.#database.transaction(() => {
      this.#database.run('DELETE FROM agent_versions WHERE company_id = ? AND agent_id = ?', companyId, agentId)
      return this.#database.run('DELETE FROM agent_drafts WHERE company_id = ? AND agent_id = ?', companyId, agentId) > 0
    })
  }

  #draft(companyId: string, agentId: string): Agent | null {
    const row = this.#database.get('SELECT company_id, agent_id, document FROM agent_drafts WHERE company_id = ? AND agent_id = ?', companyId, agentId)
    return row === undefined ? null : readDocument(agentSchema, row, nameOf(row))
  }

  /** From columns as far as possible: a corrupt draft must not keep an admin from saving a good one over it. */
  #draftBookkeeping(companyId: string, agentId: string): { draftVersion: number; version: number; publishedAt: string | null; createdAt: string | null } {
    const draft = this.#database.get(
      `SELECT draft_version, CASE WHEN json_valid(document) THEN document ->> '$.createdAt' END AS created_at
       FROM agent_drafts WHERE company_id = ? AND agent_id = ?`,
      companyId,
      agentId,
    )
    const published = this.#database.get(
      'SELECT version, published_at FROM agent_versions WHERE company_id = ? AND agent_id = ? ORDER BY version DESC LIMIT 1',
      companyId,
      agentId,
    )
    const createdAt = draft?.['created_at'] ?? null
    return {
      draftVersion: Number(draft?.['draft_version'] ?? 0),
      version: Number(published?.['version'] ?? 0),
      publishedAt: published === undefined ? null : String(published['published_at']),
      createdAt: createdAt === null ? null : String(createdAt),
    }
  }

  #writeDraft(companyId: string, agent: Agent): void {
    this.#database.run(
      `INSERT INTO agent_drafts (company_id, agent_id, draft_version, document) VALUES (?, ?, ?, ?)
       ON CONFLICT (company_id, agent_id) DO UPDATE SET draft_version = excluded.draft_version, document = excluded.document`,
      companyId,
      agent.id,
      agent.draftVersion,
      JSON.stringify(agent),
    )
  }
}

function nameOf(row: Row): string {
  const version = row['version'] === undefined ? 'draft' : `version ${String(row['version'])}`
  return `agent ${String(row['company_id'])}/${String(row['agent_id'])} ${version}`
}
