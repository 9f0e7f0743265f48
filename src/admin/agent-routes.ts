import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import { agentSchema, type Agent } from '../tenancy/agent.ts'
import { configDiff } from '../tenancy/config-diff.ts'
import { companyParams, companyRoute, newIdSchema, patchOf, type AdminPorts } from './admin-contract.ts'
import { etagOf, guardedByIfMatch, requireIfMatch } from './conventions.ts'
import type { AdminDeps, Resources } from './pipeline.ts'
import { found } from './route.ts'
import { textProblemIn } from './texts.ts'

const TAG = 'Agents'
const BASE = '/companies/:companyId/agents'
const agentParams = companyParams.extend({ agentId: z.string().min(1).max(64) })
const versionParams = agentParams.extend({ version: z.coerce.number().int().min(1).max(1_000_000) })
const viewSchema = z.object(agentSchema.shape)
const READ_ONLY = ['id', 'companyId', 'version', 'publishedAt', 'draftVersion', 'createdAt', 'updatedAt']
const newAgentSchema = agentSchema
  .omit({ companyId: true, version: true, publishedAt: true, draftVersion: true, createdAt: true, updatedAt: true })
  .extend({ id: newIdSchema.optional(), voice: agentSchema.shape.voice.prefault({}) })

/** 'draft', or the number of a published version. */
const versionNameSchema = z.string().regex(/^(draft|[1-9]\d{0,5})$/, 'must be "draft" or the number of a version')

export function agentRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    drafts(api, deps, ports)
    versions(api, deps, ports)
  }
}

/** Edits go to the draft; callers hear the published version until the next publish. */
function drafts(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  const { agents } = ports

  companyRoute(api, deps, {
    method: 'GET', path: BASE, permission: 'config:read', audit: null, tag: TAG, summary: 'List agents, as their drafts stand',
    params: companyParams, replies: { 200: z.object({ items: z.array(viewSchema) }) },
    handler: async ({ companyId, signal }) => ({ status: 200, body: { items: await agents.list(companyId, signal) } }),
  })

  companyRoute(api, deps, {
    method: 'POST', path: BASE, permission: 'config:write', audit: 'agent.create', tag: TAG,
    summary: "Create an agent's draft; without an id it is the company's own agent, where that is still missing",
    params: companyParams, body: newAgentSchema, replies: { 201: viewSchema },
    handler: async ({ companyId, body, state, signal }) => {
      const company = found(await ports.companies.get(companyId, signal), 'company')
      const isMissing = (await agents.getDraft(companyId, company.agentId, signal)) === null
      const id = body.id ?? (isMissing ? company.agentId : uuidv7(deps.clock.wallTime()))
      state.auditTarget = `agent/${id}`
      const agent = await agents.saveDraft(companyId, agentSchema.parse({ ...body, id, companyId }), 0, signal)
      return { status: 201, body: agent, etag: etagOf(agent.draftVersion), location: `/api/v1/companies/${companyId}/agents/${id}` }
    },
  })

  companyRoute(api, deps, {
    method: 'GET', path: `${BASE}/:agentId`, permission: 'config:read', audit: null, tag: TAG, summary: "One agent's draft",
    params: agentParams, replies: { 200: viewSchema },
    handler: async ({ companyId, params, signal }) => {
      const agent = found(await agents.getDraft(companyId, params.agentId, signal), 'agent')
      return { status: 200, body: agent, etag: etagOf(agent.draftVersion) }
    },
  })

  companyRoute(api, deps, {
    method: 'PATCH', path: `${BASE}/:agentId`, permission: 'config:write', audit: 'agent.update', tag: TAG,
    summary: 'Change the draft: each field given replaces the stored one whole',
    params: agentParams, body: patchOf(agentSchema, READ_ONLY), replies: { 200: viewSchema },
    handler: async ({ companyId, params, body, request, state, signal }) => {
      const ifVersion = requireIfMatch(request)
      state.auditTarget = `agent/${params.agentId}`
      const before = found(await agents.getDraft(companyId, params.agentId, signal), 'agent')
      const agent = await guardedByIfMatch(() => agents.saveDraft(companyId, agentSchema.parse({ ...before, ...body }), ifVersion, signal))
      state.auditDetails['changed'] = configDiff(before, agent).map((change) => change.path).join(' ').slice(0, 500)
      return { status: 200, body: agent, etag: etagOf(agent.draftVersion) }
    },
  })

  companyRoute(api, deps, {
    method: 'DELETE', path: `${BASE}/:agentId`, permission: 'config:write', audit: 'agent.delete', tag: TAG,
    summary: "Delete an agent with its versions; the company's own agent stays", params: agentParams, replies: { 204: z.undefined() },
    handler: async ({ companyId, params, state, signal }) => {
      state.auditTarget = `agent/${params.agentId}`
      const company = found(await ports.companies.get(companyId, signal), 'company')
      if (company.agentId === params.agentId) throw new ClientsViaError('CONFLICT', "it is the agent that answers the company's calls")
      if (!(await agents.delete(companyId, params.agentId, signal))) throw new ClientsViaError('NOT_FOUND', 'no such agent')
      return { status: 204 }
    },
  })
}

function versions(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  const { agents } = ports

  companyRoute(api, deps, {
    method: 'POST', path: `${BASE}/:agentId/publish`, permission: 'config:write', audit: 'agent.publish', tag: TAG,
    summary: 'Freeze the draft as the next version: the next call hears it',
    params: agentParams,
    /** The draft that was looked at; left out: whatever stands there now. */
    body: z.strictObject({ draftVersion: z.int().min(1).optional() }),
    replies: { 200: viewSchema },
    handler: async ({ companyId, params, body, state, signal }) => {
      state.auditTarget = `agent/${params.agentId}`
      const draft = found(await agents.getDraft(companyId, params.agentId, signal), 'agent')
      if (body.draftVersion !== undefined && body.draftVersion !== draft.draftVersion) {
        throw new ClientsViaError('CONFLICT', `the draft is at ${draft.draftVersion}, not ${body.draftVersion}: somebody else has saved it`)
      }
      const agent = await publish(ports, draft, deps.clock.wallTime(), signal)
      state.auditDetails['version'] = agent.version
      return { status: 200, body: agent, etag: etagOf(agent.draftVersion) }
    },
  })

  companyRoute(api, deps, {
    method: 'GET', path: `${BASE}/:agentId/versions`, permission: 'config:read', audit: null, tag: TAG, summary: 'Published versions, newest first',
    params: agentParams, replies: { 200: z.object({ items: z.array(z.object({ version: z.int(), publishedAt: z.string() })) }) },
    handler: async ({ companyId, params, signal }) => {
      found(await agents.getDraft(companyId, params.agentId, signal), 'agent')
      return { status: 200, body: { items: await agents.listVersions(companyId, params.agentId, signal) } }
    },
  })

  companyRoute(api, deps, {
    method: 'GET', path: `${BASE}/:agentId/versions/:version`, permission: 'config:read', audit: null, tag: TAG, summary: 'One published version',
    params: versionParams, replies: { 200: viewSchema },
    handler: async ({ companyId, params, signal }) => {
      return { status: 200, body: found(await agents.getVersion(companyId, params.agentId, params.version, signal), 'version of this agent') }
    },
  })

  companyRoute(api, deps, {
    method: 'GET', path: `${BASE}/:agentId/diff`, permission: 'config:read', audit: null, tag: TAG, summary: 'What differs between two versions, or a version and the draft; of what callers hear now and the draft unless told otherwise',
    params: agentParams, query: z.strictObject({ from: versionNameSchema.optional(), to: versionNameSchema.default('draft') }),
    replies: { 200: z.object({ changes: z.array(z.object({ path: z.string(), before: z.unknown().optional(), after: z.unknown().optional() })) }) },
    handler: async ({ companyId, params, query, signal }) => {
      const from = query.from ?? String(found(await agents.getDraft(companyId, params.agentId, signal), 'agent').version)
      const [before, after] = await Promise.all([from, query.to].map((name) => named(ports, companyId, params.agentId, name, signal)))
      return { status: 200, body: { changes: configDiff(found(before ?? null, 'version of this agent'), found(after ?? null, 'version of this agent')) } }
    },
  })

  companyRoute(api, deps, {
    method: 'POST', path: `${BASE}/:agentId/rollback`, permission: 'config:write', audit: 'agent.rollback', tag: TAG,
    summary: 'Publish an earlier version again, as the newest one; the draft becomes it too',
    params: agentParams, body: z.strictObject({ version: z.int().min(1) }), replies: { 200: viewSchema },
    handler: async ({ companyId, params, body, state, signal }) => {
      state.auditTarget = `agent/${params.agentId}`
      state.auditDetails['rolledBackTo'] = body.version
      const draft = found(await agents.getDraft(companyId, params.agentId, signal), 'agent')
      const earlier = found(await agents.getVersion(companyId, params.agentId, body.version, signal), 'version of this agent')
      const restored = await agents.saveDraft(companyId, earlier, draft.draftVersion, signal)
      const agent = await publish(ports, restored, deps.clock.wallTime(), signal)
      return { status: 200, body: agent, etag: etagOf(agent.draftVersion) }
    },
  })
}

/** Nothing is published that could not be said. */
async function publish(ports: AdminPorts, draft: Agent, wallTime: Date, signal: AbortSignal): Promise<Agent> {
  const company = found(await ports.companies.get(draft.companyId, signal), 'company')
  const problemOf = textProblemIn(company, draft, wallTime)
  const texts: [string, string][] = [
    ['greeting.text', draft.greeting.text],
    ['greeting.afterHours', draft.greeting.afterHours],
    ['greeting.returningCaller', draft.greeting.returningCaller],
    ...draft.templates.map((template, index): [string, string] => [`templates.${index}.text`, template.text]),
    ...draft.emergencyRules.map((rule, index): [string, string] => [`emergencyRules.${index}.say`, rule.say]),
  ]
  if (draft.greeting.emergencyText.includes('{')) {
    throw new ClientsViaError('INVALID_INPUT', 'greeting.emergencyText: must not need variables, it is said when nothing else works', { field: 'greeting.emergencyText' })
  }
  for (const [field, text] of texts) {
    const problem = problemOf(text)
    if (problem !== null) throw new ClientsViaError('INVALID_INPUT', `${field}: cannot be said: ${problem}`, { field })
  }
  const published = await ports.agents.publish(draft.companyId, draft.id, signal)
  ports.saved(draft.companyId)
  return published
}

function named(ports: AdminPorts, companyId: string, agentId: string, name: string, signal: AbortSignal): Promise<Agent | null> {
  return name === 'draft' ? ports.agents.getDraft(companyId, agentId, signal) : ports.agents.getVersion(companyId, agentId, Number(name), signal)
}
