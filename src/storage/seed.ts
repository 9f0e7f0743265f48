import { createHash } from 'node:crypto'
import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import { agentSchema, type Agent } from '../tenancy/agent.ts'
import { companySchema, type Company } from '../tenancy/company.ts'
import { knowledgeEntrySchema, type KnowledgeEntry } from '../tenancy/knowledge-entry.ts'
import type { AgentRepository, CompanyRepository, KnowledgeRepository } from '../tenancy/repositories.ts'
import type { DocumentRepository } from './embedded-document-repository.ts'

/** One company as its data file says it; `companyId` may be left out of the agent and the entries. */
export type SeedFile = Readonly<{ company: unknown; agent: unknown; knowledge: readonly unknown[] }>
export type SeedRepositories = Readonly<{
  companies: CompanyRepository
  agents: AgentRepository
  knowledge: KnowledgeRepository
  documents: DocumentRepository
}>
/** `kept`: an admin has edited or deleted it, so the file no longer rules. */
export type SeedOutcome = 'created' | 'updated' | 'unchanged' | 'removed' | 'kept'
export type SeedResult = Readonly<{ companyId: string; document: string; outcome: SeedOutcome }>

export const SEED_MARKS = 'seed-marks'

/** What the seed last wrote: the hash of the file's document, and the version the store gave it. */
const seedMarkSchema = z.strictObject({ hash: z.string(), version: z.int() })
type SeedMark = z.infer<typeof seedMarkSchema>

/** The whole file, once everything in it has been brought in. */
const FILE_MARK = 'file'

/** Marks are read in pages of this many. */
const MARKS_PAGE = 500

/**
 * Brings the companies of `files` into the store and publishes their agents. Document by document, an admin's word is final:
 * every save counts a document's version up, and the seed remembers the version of its own last save. A stored version that is
 * another one, or a document that is gone, is an admin's doing and is left alone. A document whose content is the file's own is
 * taken for seeded even without a mark, so a seed that was killed half-way carries on where it stopped.
 * Throws INVALID_INPUT naming the company and the field when a file does not fit its schema; nothing of that file is stored then.
 */
export async function seedCompanies(repositories: SeedRepositories, files: readonly SeedFile[], signal?: AbortSignal): Promise<readonly SeedResult[]> {
  const results: SeedResult[] = []
  for (const seed of files.map(parseSeed)) results.push(...(await seedCompany(repositories, seed, signal)))
  return results
}

type Seed = Readonly<{ company: Company; agent: Agent; knowledge: readonly KnowledgeEntry[] }>

/** One kind of document, as the seed sees it. */
type Target = Readonly<{
  document: string
  hash: string
  stored: () => Promise<Readonly<{ hash: string; version: number }> | null>
  save: (ifVersion: number) => Promise<number>
  /** What a seed that was killed after its save has left undone. */
  finish: () => Promise<void>
}>

async function seedCompany(repositories: SeedRepositories, seed: Seed, signal?: AbortSignal): Promise<SeedResult[]> {
  const companyId = seed.company.id
  const marks = await readMarks(repositories.documents, companyId, signal)
  // Most starts find the file as the last one left it: then there is nothing to compare, document by document.
  const fileHash = sha256([seed.company, seed.agent, ...seed.knowledge].map(contentHash).join())
  if (marks.get(FILE_MARK)?.hash === fileHash) return [{ companyId, document: 'file', outcome: 'unchanged' }]
  const results: SeedResult[] = []
  // Last comes the company, whose phone numbers open it to callers: by then it can answer them.
  const targets = [...seed.knowledge.map((entry) => entryTarget(repositories, entry, signal)), agentTarget(repositories, seed.agent, signal)]
  const companyMark = marks.get('company')
  const company = companyTarget(repositories, seed.company, signal)
  if (companyMark !== undefined && (await company.stored()) === null) return [{ companyId, document: 'company', outcome: 'kept' }]
  for (const target of [...targets, company]) {
    const outcome = await seedDocument(repositories.documents, companyId, target, marks.get(target.document), signal)
    results.push({ companyId, document: target.document, outcome })
  }
  const wanted = new Set([...targets, company].map((target) => target.document))
  for (const [document, mark] of marks) {
    if (wanted.has(document) || !document.startsWith('knowledge/')) continue
    results.push({ companyId, document, outcome: await removeEntry(repositories, companyId, document, mark, signal) })
  }
  await repositories.documents.put(companyId, SEED_MARKS, FILE_MARK, { hash: fileHash, version: 0 } satisfies SeedMark, signal)
  return results
}

async function seedDocument(
  documents: DocumentRepository,
  companyId: string,
  target: Target,
  mark: SeedMark | undefined,
  signal?: AbortSignal,
): Promise<SeedOutcome> {
  const stored = await target.stored()
  if (stored === null && mark !== undefined) return 'kept'
  const remember = (version: number): Promise<void> =>
    documents.put(companyId, SEED_MARKS, target.document, { hash: target.hash, version } satisfies SeedMark, signal)
  if (stored === null) {
    await remember(await target.save(0))
    return 'created'
  }
  const isOurs = stored.version === mark?.version || stored.hash === target.hash
  if (!isOurs) return 'kept'
  if (stored.hash === target.hash) {
    // A mark of this very content means that a seed was through with it: what came later is an admin's.
    if (mark?.hash !== target.hash) await target.finish()
    if (mark?.hash !== target.hash || mark.version !== stored.version) await remember(stored.version)
    return 'unchanged'
  }
  await remember(await target.save(stored.version))
  return 'updated'
}

function companyTarget(repositories: SeedRepositories, company: Company, signal?: AbortSignal): Target {
  return {
    document: 'company',
    hash: contentHash(company),
    stored: async () => {
      const stored = await repositories.companies.get(company.id, signal)
      return stored === null ? null : { hash: contentHash(stored), version: stored.version }
    },
    save: async (ifVersion) => (await repositories.companies.save(company.id, company, ifVersion, signal)).version,
    finish: async () => undefined,
  }
}

function agentTarget(repositories: SeedRepositories, agent: Agent, signal?: AbortSignal): Target {
  const { agents } = repositories
  return {
    document: `agent/${agent.id}`,
    hash: contentHash(agent),
    stored: async () => {
      const stored = await agents.getDraft(agent.companyId, agent.id, signal)
      return stored === null ? null : { hash: contentHash(stored), version: stored.draftVersion }
    },
    save: async (ifVersion) => {
      const { draftVersion } = await agents.saveDraft(agent.companyId, agent, ifVersion, signal)
      await agents.publish(agent.companyId, agent.id, signal)
      return draftVersion
    },
    finish: async () => {
      const published = await agents.getPublished(agent.companyId, agent.id, signal)
      if (published === null || contentHash(published) !== contentHash(agent)) await agents.publish(agent.companyId, agent.id, signal)
    },
  }
}

function entryTarget(repositories: SeedRepositories, entry: KnowledgeEntry, signal?: AbortSignal): Target {
  return {
    document: `knowledge/${entry.id}`,
    hash: contentHash(entry),
    stored: async () => {
      const stored = await repositories.knowledge.get(entry.companyId, entry.id, signal)
      return stored === null ? null : { hash: contentHash(stored), version: stored.version }
    },
    save: async (ifVersion) => (await repositories.knowledge.save(entry.companyId, entry, ifVersion, signal)).version,
    finish: async () => undefined,
  }
}

/** An entry that left the file leaves the store too, unless an admin has made it theirs. */
async function removeEntry(
  { knowledge, documents }: SeedRepositories,
  companyId: string,
  document: string,
  mark: SeedMark,
  signal?: AbortSignal,
): Promise<SeedOutcome> {
  const entryId = document.slice('knowledge/'.length)
  const stored = await knowledge.get(companyId, entryId, signal)
  const isOurs = stored !== null && stored.version === mark.version
  if (isOurs) await knowledge.delete(companyId, entryId, signal)
  await documents.delete(companyId, SEED_MARKS, document, signal)
  return isOurs ? 'removed' : 'kept'
}

async function readMarks(documents: DocumentRepository, companyId: string, signal?: AbortSignal): Promise<Map<string, SeedMark>> {
  const marks = new Map<string, SeedMark>()
  let after: string | null = null
  for (;;) {
    const page: Awaited<ReturnType<DocumentRepository['list']>> = await documents.list(companyId, SEED_MARKS, { after, limit: MARKS_PAGE }, signal)
    for (const { documentId, document } of page) marks.set(documentId, seedMarkSchema.parse(document))
    const last = page.at(-1)
    if (last === undefined || page.length < MARKS_PAGE) return marks
    after = last.documentId
  }
}

function parseSeed(file: SeedFile, index: number): Seed {
  const company = parsed(companySchema, file.company, `company ${index + 1}`)
  const owned = (document: unknown): unknown =>
    typeof document === 'object' && document !== null ? { companyId: company.id, ...document } : document
  const agent = parsed(agentSchema, owned(file.agent), `the agent of ${company.id}`)
  const knowledge = file.knowledge.map((entry, at) => parsed(knowledgeEntrySchema, owned(entry), `knowledge entry ${at + 1} of ${company.id}`))
  const ids = new Set<string>()
  for (const entry of knowledge) {
    if (ids.has(entry.id)) throw new ClientsViaError('INVALID_INPUT', `knowledge entry ${entry.id} of ${company.id} is there twice`, { companyId: company.id })
    ids.add(entry.id)
  }
  for (const { companyId } of [agent, ...knowledge]) {
    if (companyId !== company.id) throw new ClientsViaError('INVALID_INPUT', `${company.id} holds a document of ${companyId}`, { companyId: company.id })
  }
  if (agent.id !== company.agentId) {
    throw new ClientsViaError('INVALID_INPUT', `${company.id} is answered by agent ${company.agentId}, but its agent is ${agent.id}`, { companyId: company.id })
  }
  return { company, agent, knowledge }
}

function parsed<S extends z.ZodType>(schema: S, value: unknown, name: string): z.output<S> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const problems = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  throw new ClientsViaError('INVALID_INPUT', `${name} is not valid: ${problems.join('; ')}`, { document: name })
}

/** What a person wrote, without what the store and the calls keep in the same document. */
const BOOKKEEPING = new Set(['version', 'draftVersion', 'publishedAt', 'createdAt', 'updatedAt', 'usage'])

function contentHash(document: Company | Agent | KnowledgeEntry): string {
  const content = Object.entries(document).filter(([key]) => !BOOKKEEPING.has(key))
  return sha256(canonicalJson(Object.fromEntries(content)))
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** The same text for the same content, whatever the order of its keys. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  )
}
