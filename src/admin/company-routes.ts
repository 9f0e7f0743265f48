import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import { deleteRecordings } from '../call/recording.ts'
import type { UsageRates } from '../call/spend.ts'
import { uuidv7 } from '../core/ids.ts'
import { inPieces } from '../core/pieces.ts'
import { endAccess, hasPeople } from '../security/company-access.ts'
import { PLATFORM } from '../security/roles.ts'
import { checkCompany } from '../tenancy/company-check.ts'
import { companySchema, type Company } from '../tenancy/company.ts'
import { configDiff } from '../tenancy/config-diff.ts'
import { effectiveConfig } from '../tenancy/effective-config.ts'
import { readinessOf } from '../tenancy/readiness.ts'
import { companyParams, companyRoute, newIdSchema, patchOf, type AdminPorts } from './admin-contract.ts'
import { etagOf, guardedByIfMatch, pageOf, pageQuery, pageReply, pageReplySchema, requireIfMatch } from './conventions.ts'
import type { AdminDeps, Resources } from './pipeline.ts'
import { found, route } from './route.ts'
import { textProblemIn } from './texts.ts'

const TAG = 'Companies'
const READ_ONLY = ['id', 'version', 'createdAt', 'updatedAt']
const viewSchema = z.object(companySchema.shape)
const newCompanySchema = companySchema.omit({ version: true, createdAt: true, updatedAt: true }).extend({
  id: newIdSchema.refine((id) => id !== PLATFORM, 'is taken').optional(),
  /** The agent may be made afterwards; until then calls cannot be answered. */
  agentId: newIdSchema.default('front-desk'),
})

export function companyRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    manyCompanies(api, deps, ports)
    oneCompany(api, deps, ports)
    whatRuns(api, deps, ports)
  }
}

function manyCompanies(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  route(api, deps, {
    method: 'GET', path: '/companies', permission: 'companies:list', audit: null, tag: TAG, summary: 'List companies',
    query: z.strictObject(pageQuery), replies: { 200: pageReplySchema(viewSchema) },
    handler: async ({ query, signal }) => {
      const rows = await ports.companies.list(pageOf(query), signal)
      return { status: 200, body: pageReply(rows, query, (company) => company.id, (company) => company) }
    },
  })

  route(api, deps, {
    method: 'POST', path: '/companies', permission: 'companies:create', audit: 'company.create', tag: TAG, summary: 'Create a company',
    body: newCompanySchema, replies: { 201: viewSchema },
    handler: async ({ body, state, signal }) => {
      const id = body.id ?? uuidv7(deps.clock.wallTime())
      state.auditTarget = `company/${id}`
      const isTaken = (await ports.companies.get(id, signal)) !== null || (await hasPeople(deps.security.store, id, signal))
      if (isTaken) throw new ClientsViaError('CONFLICT', `id: ${id} is taken, or was: choose another`, { field: 'id' })
      const company = await ports.companies.save(id, checkSpending(checkCompany({ ...body, id }), ports.rates), 0, signal)
      ports.saved(id)
      return { status: 201, body: company, etag: etagOf(company.version), location: `/api/v1/companies/${id}` }
    },
  })
}

function oneCompany(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  const base = '/companies/:companyId'

  companyRoute(api, deps, {
    method: 'GET', path: base, permission: 'config:read', audit: null, tag: TAG, summary: 'One company',
    params: companyParams, replies: { 200: viewSchema },
    handler: async ({ companyId, signal }) => {
      const company = found(await ports.companies.get(companyId, signal), 'company')
      return { status: 200, body: company, etag: etagOf(company.version) }
    },
  })

  companyRoute(api, deps, {
    method: 'PATCH', path: base, permission: 'config:write', audit: 'company.update', tag: TAG,
    summary: 'Change a company: each field given replaces the stored one whole',
    params: companyParams, body: patchOf(companySchema, READ_ONLY), replies: { 200: viewSchema },
    handler: async ({ companyId, body, request, state, signal }) => {
      const ifVersion = requireIfMatch(request)
      state.auditTarget = `company/${companyId}`
      const before = found(await ports.companies.get(companyId, signal), 'company')
      const company = await guardedByIfMatch(() => saveCompany(ports, before, body, ifVersion, signal))
      state.auditDetails['changed'] = configDiff(before, company).map((change) => change.path).join(' ').slice(0, 500)
      return { status: 200, body: company, etag: etagOf(company.version) }
    },
  })

  companyRoute(api, deps, {
    method: 'DELETE', path: base, permission: 'companies:delete', audit: 'company.delete', tag: TAG,
    summary: 'Delete a company with its agents, knowledge, calls and recordings', params: companyParams, replies: { 204: z.undefined() },
    handler: async ({ companyId, state, signal }) => {
      state.auditTarget = `company/${companyId}`
      await endAccess({ ...deps.security, clock: deps.clock }, companyId, signal)
      await ports.companies.delete(companyId, signal)
      if (ports.recordings !== null) await deleteRecordings(ports.recordings, companyId, {}, signal)
      ports.saved(companyId)
      return { status: 204 }
    },
  })
}

/** Also for resources that are part of the company's document. Throws CONFLICT when the stored version is another one. */
export async function saveCompany(ports: AdminPorts, before: Company, change: Readonly<Record<string, unknown>>, ifVersion: number, signal: AbortSignal): Promise<Company> {
  const checked = checkSpending(checkCompany({ ...before, ...change }), ports.rates)
  const saved = await ports.companies.save(before.id, checked, ifVersion, signal)
  ports.saved(before.id)
  return saved
}

/** A limit on what nobody has put a price on would never be reached. */
function checkSpending(company: Company, rates: UsageRates): Company {
  if (company.limits.dailySpendCents !== null && Object.values(rates).every((rate) => rate === null)) {
    throw new ClientsViaError('INVALID_INPUT', 'limits.dailySpendCents: needs CALL_MINUTE_CENTS, MODEL_TOKEN_CENTS, STT_MINUTE_CENTS or TTS_CHARACTER_CENTS in the settings of the server', { field: 'limits.dailySpendCents' })
  }
  return company
}

function whatRuns(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts): void {
  companyRoute(api, deps, {
    method: 'GET', path: '/companies/:companyId/effective-config', permission: 'config:read', audit: null, tag: TAG,
    summary: 'What calls really run on, setting by setting, and where each comes from', params: companyParams,
    replies: {
      200: z.object({
        companyVersion: z.int(),
        agentVersion: z.int(),
        /** False while calls still run on an older save. */
        current: z.boolean(),
        settings: z.array(z.object({ path: z.string(), value: z.unknown(), source: z.enum(['company', 'agent', 'default']) })),
      }),
    },
    handler: async ({ companyId, signal }) => {
      const stored = found(await ports.companies.get(companyId, signal), 'company')
      const { company, agent } = await ports.contexts.load(companyId, signal)
      const published = await ports.agents.getPublished(companyId, stored.agentId, signal)
      const current = company.version === stored.version && agent.version === (published?.version ?? 0)
      return { status: 200, body: { companyVersion: company.version, agentVersion: agent.version, current, settings: effectiveConfig(company, agent) } }
    },
  })

  companyRoute(api, deps, {
    method: 'GET', path: '/companies/:companyId/readiness', permission: 'config:read', audit: null, tag: TAG,
    summary: 'What is missing before callers are answered well', params: companyParams,
    replies: {
      200: z.object({
        percent: z.int(),
        canTakeCalls: z.boolean(),
        parts: z.array(z.object({ name: z.string(), ok: z.boolean(), blocks: z.boolean(), detail: z.string() })),
      }),
    },
    handler: async ({ companyId, signal }) => {
      const company = found(await ports.companies.get(companyId, signal), 'company')
      const published = await ports.agents.getPublished(companyId, company.agentId, signal)
      const draft = await ports.agents.getDraft(companyId, company.agentId, signal)
      const entries = await ports.knowledge.listAll(companyId, signal)
      const problemOf = textProblemIn(company, published ?? draft, deps.clock.wallTime())
      const unsayable: string[] = []
      for await (const piece of inPieces(entries, signal)) {
        unsayable.push(...piece.filter((entry) => entry.enabled && problemOf(entry.answer) !== null).map((entry) => entry.id))
      }
      const templates = (published?.templates ?? []).filter((template) => problemOf(template.text) !== null).map((template) => template.id)
      return { status: 200, body: readinessOf(company, published, draft, entries, { entries: unsayable, templates }) }
    },
  })

  route(api, deps, {
    method: 'GET', path: '/effective-config', permission: 'diagnostics:admin', audit: null, tag: 'Server',
    summary: 'The settings this server runs on and where each comes from; secrets are masked',
    replies: { 200: z.object({ settings: z.array(z.object({ name: z.string(), value: z.string(), source: z.string() })) }) },
    handler: async () => ({ status: 200, body: { settings: ports.settings } }),
  })

  route(api, deps, {
    method: 'GET', path: '/health', permission: 'diagnostics:admin', audit: null, tag: 'Server', summary: 'What works and what does not',
    replies: { 200: z.object({ ok: z.boolean(), degraded: z.boolean(), state: z.string(), parts: z.record(z.string(), z.object({ ok: z.boolean(), degraded: z.boolean(), detail: z.string() })) }) },
    handler: async () => ({ status: 200, body: ports.health() }),
  })
}
