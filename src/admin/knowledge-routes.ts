import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import { configDiff } from '../tenancy/config-diff.ts'
import { knowledgeEntrySchema, type KnowledgeEntry } from '../tenancy/knowledge-entry.ts'
import type { KnowledgeFilter } from '../tenancy/repositories.ts'
import { companyParams, companyRoute, newIdSchema, patchOf, type AdminPorts } from './admin-contract.ts'
import { etagOf, guardedByIfMatch, pageOf, pageQuery, pageReply, pageReplySchema, requireIfMatch } from './conventions.ts'
import type { AdminDeps, Resources } from './pipeline.ts'
import { found } from './route.ts'
import { textProblemIn } from './texts.ts'

const TAG = 'Knowledge'
const BASE = '/companies/:companyId/knowledge'
const entryParams = companyParams.extend({ entryId: z.string().min(1).max(64) })
const viewSchema = z.object(knowledgeEntrySchema.shape)
const READ_ONLY = ['id', 'companyId', 'usage', 'version', 'createdAt', 'updatedAt']
export const newEntrySchema = knowledgeEntrySchema
  .omit({ companyId: true, usage: true, version: true, createdAt: true, updatedAt: true })
  .extend({ id: newIdSchema.optional() })

export function knowledgeRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    manyEntries(api, deps, ports)
    oneEntry(api, deps, ports)
  }
}

function manyEntries(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  companyRoute(api, deps, {
    method: 'GET', path: BASE, permission: 'config:read', audit: null, tag: TAG, summary: 'List or search entries',
    params: companyParams,
    query: z.strictObject({
      ...pageQuery,
      category: z.string().min(1).max(60).optional(),
      tag: z.string().min(1).max(40).optional(),
      text: z.string().min(1).max(200).optional(),
    }),
    replies: { 200: pageReplySchema(viewSchema) },
    handler: async ({ companyId, query, signal }) => {
      const { category, tag, text } = query
      const filter: KnowledgeFilter = {
        ...pageOf(query),
        ...(category === undefined ? {} : { category }),
        ...(tag === undefined ? {} : { tag }),
        ...(text === undefined ? {} : { text }),
      }
      const rows = await ports.knowledge.list(companyId, filter, signal)
      return { status: 200, body: pageReply(rows, query, (entry) => entry.id, (entry) => entry) }
    },
  })

  companyRoute(api, deps, {
    method: 'POST', path: BASE, permission: 'config:write', audit: 'knowledge.create', tag: TAG, summary: 'Add an entry',
    params: companyParams, body: newEntrySchema, replies: { 201: viewSchema },
    handler: async ({ companyId, body, state, signal }) => {
      const entry = await createEntry(ports, deps, companyId, body, signal)
      state.auditTarget = `knowledge/${entry.id}`
      return { status: 201, body: entry, etag: etagOf(entry.version), location: `/api/v1/companies/${companyId}/knowledge/${entry.id}` }
    },
  })
}

/** Also for answers to gaps. */
export async function createEntry(ports: AdminPorts, deps: AdminDeps, companyId: string, input: z.infer<typeof newEntrySchema>, signal: AbortSignal): Promise<KnowledgeEntry> {
  const entry = knowledgeEntrySchema.parse({ ...input, id: input.id ?? uuidv7(deps.clock.wallTime()), companyId })
  await checkTexts(ports, deps, entry, signal)
  const saved = await ports.knowledge.save(companyId, entry, 0, signal)
  ports.saved(companyId)
  return saved
}

function oneEntry(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  const path = `${BASE}/:entryId`

  companyRoute(api, deps, {
    method: 'GET', path, permission: 'config:read', audit: null, tag: TAG, summary: 'One entry',
    params: entryParams, replies: { 200: viewSchema },
    handler: async ({ companyId, params, signal }) => {
      const entry = found(await ports.knowledge.get(companyId, params.entryId, signal), 'knowledge entry')
      return { status: 200, body: entry, etag: etagOf(entry.version) }
    },
  })

  companyRoute(api, deps, {
    method: 'PATCH', path, permission: 'config:write', audit: 'knowledge.update', tag: TAG,
    summary: 'Change an entry: each field given replaces the stored one whole',
    params: entryParams, body: patchOf(knowledgeEntrySchema, READ_ONLY), replies: { 200: viewSchema },
    handler: async ({ companyId, params, body, request, state, signal }) => {
      const ifVersion = requireIfMatch(request)
      state.auditTarget = `knowledge/${params.entryId}`
      const before = found(await ports.knowledge.get(companyId, params.entryId, signal), 'knowledge entry')
      const entry = knowledgeEntrySchema.parse({ ...before, ...body })
      await checkTexts(ports, deps, entry, signal)
      const saved = await guardedByIfMatch(() => ports.knowledge.save(companyId, entry, ifVersion, signal))
      ports.saved(companyId)
      state.auditDetails['changed'] = configDiff(before, saved).map((change) => change.path).join(' ').slice(0, 500)
      return { status: 200, body: saved, etag: etagOf(saved.version) }
    },
  })

  companyRoute(api, deps, {
    method: 'DELETE', path, permission: 'config:write', audit: 'knowledge.delete', tag: TAG, summary: 'Delete an entry',
    params: entryParams, replies: { 204: z.undefined() },
    handler: async ({ companyId, params, state, signal }) => {
      state.auditTarget = `knowledge/${params.entryId}`
      if (!(await ports.knowledge.delete(companyId, params.entryId, signal))) throw new ClientsViaError('NOT_FOUND', 'no such knowledge entry')
      ports.saved(companyId)
      return { status: 204 }
    },
  })
}

/** An answer that names a price or variable the company does not have would never be said: its author hears of it now. */
async function checkTexts(ports: AdminPorts, deps: AdminDeps, entry: KnowledgeEntry, signal: AbortSignal): Promise<void> {
  const problemOf = await textChecker(ports, deps, entry.companyId, signal)
  for (const field of ['answer', 'followUp'] as const) {
    const problem = problemOf(entry[field])
    if (problem !== null) throw new ClientsViaError('INVALID_INPUT', `${field}: cannot be said: ${problem}`, { field })
  }
}

export async function textChecker(ports: AdminPorts, deps: AdminDeps, companyId: string, signal: AbortSignal): Promise<(text: string) => string | null> {
  const company = found(await ports.companies.get(companyId, signal), 'company')
  const agent = await ports.agents.getDraft(companyId, company.agentId, signal)
  return textProblemIn(company, agent, deps.clock.wallTime())
}
