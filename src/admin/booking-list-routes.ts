import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import type { Company } from '../tenancy/company.ts'
import { companyParams, companyRoute, newIdSchema, patchOf, type AdminPorts } from './admin-contract.ts'
import { saveCompany } from './company-routes.ts'
import { etagOf, guardedByIfMatch, requireIfMatch } from './conventions.ts'
import type { AdminDeps } from './pipeline.ts'
import { found } from './route.ts'

type Listed = 'services' | 'resources' | 'calendars' | 'forms'

/** One of a company's lists of things with an id. */
export type CompanyList<Field extends Listed> = Readonly<{
  field: Field
  /** As it stands in the path and in the audit log: 'service' is /services/{serviceId} and `service.create`. */
  noun: 'service' | 'resource' | 'calendar' | 'form'
  tag: string
  /** The fields as they are stored, without rules over several of them: those are checked with the whole company. */
  schema: z.ZodObject
  item: z.ZodType<Company[Field][number]>
  /** When one is gone. */
  removed?: (companyId: string, id: string, signal: AbortSignal) => Promise<void>
}>

/** Services, resources, calendars, forms: parts of the company's document that are edited one by one. Their ETag is the company's. */
export function companyListRoutes<Field extends Listed>(api: FastifyInstance, deps: AdminDeps, ports: AdminPorts, list: CompanyList<Field>): void {
  const { field, noun, tag, item } = list
  const base = `/companies/:companyId/${field}`
  const one = `${base}/:${noun}Id`
  const idName = `${noun}Id`
  const params = companyParams.extend({ [idName]: z.string().min(1).max(64) })
  const view = z.object(list.schema.shape)
  const newItem = list.schema.omit({ id: true }).extend({ id: newIdSchema.optional() })
  const audit = (what: string): string => `${noun}.${what}`
  const idOf = (given: Readonly<Record<string, unknown>>): string => String(given[idName])
  const listOf = (company: Company): readonly Company[Field][number][] => company[field]
  const itemOf = (company: Company, id: string): Company[Field][number] => found(listOf(company).find((each) => each.id === id) ?? null, noun)
  const stored = async (companyId: string, signal: AbortSignal): Promise<Company> => found(await ports.companies.get(companyId, signal), 'company')

  companyRoute(api, deps, {
    method: 'GET', path: base, permission: 'config:read', audit: null, tag, summary: `List ${field}`,
    params: companyParams, replies: { 200: z.object({ items: z.array(view) }) },
    handler: async ({ companyId, signal }) => {
      const company = await stored(companyId, signal)
      return { status: 200, body: { items: listOf(company) }, etag: etagOf(company.version) }
    },
  })

  companyRoute(api, deps, {
    method: 'POST', path: base, permission: 'config:write', audit: audit('create'), tag, summary: `Add a ${noun}`,
    params: companyParams, body: newItem, replies: { 201: view },
    handler: async ({ companyId, body, state, signal }) => {
      const before = await stored(companyId, signal)
      const made = item.parse({ ...body, id: body['id'] ?? uuidv7(deps.clock.wallTime()) })
      state.auditTarget = `${noun}/${made.id}`
      if (listOf(before).some((each) => each.id === made.id)) throw new ClientsViaError('CONFLICT', `there is a ${noun} ${made.id} already`, { field: 'id' })
      const company = await saveCompany(ports, before, { [field]: [...listOf(before), made] }, before.version, signal)
      return { status: 201, body: made, etag: etagOf(company.version), location: `/api/v1/companies/${companyId}/${field}/${made.id}` }
    },
  })

  companyRoute(api, deps, {
    method: 'GET', path: one, permission: 'config:read', audit: null, tag, summary: `One ${noun}`,
    params, replies: { 200: view },
    handler: async ({ companyId, params: given, signal }) => {
      const company = await stored(companyId, signal)
      return { status: 200, body: itemOf(company, idOf(given)), etag: etagOf(company.version) }
    },
  })

  companyRoute(api, deps, {
    method: 'PATCH', path: one, permission: 'config:write', audit: audit('update'), tag, summary: `Change a ${noun}`,
    params, body: patchOf(list.schema, ['id']), replies: { 200: view },
    handler: async ({ companyId, params: given, body, request, state, signal }) => {
      const ifVersion = requireIfMatch(request)
      state.auditTarget = `${noun}/${idOf(given)}`
      const before = await stored(companyId, signal)
      const changed = item.parse({ ...itemOf(before, idOf(given)), ...body })
      const items = listOf(before).map((each) => (each.id === changed.id ? changed : each))
      const company = await guardedByIfMatch(() => saveCompany(ports, before, { [field]: items }, ifVersion, signal))
      return { status: 200, body: changed, etag: etagOf(company.version) }
    },
  })

  companyRoute(api, deps, {
    method: 'DELETE', path: one, permission: 'config:write', audit: audit('delete'), tag, summary: `Delete a ${noun}`,
    params, replies: { 204: z.undefined() },
    handler: async ({ companyId, params: given, state, signal }) => {
      state.auditTarget = `${noun}/${idOf(given)}`
      const before = await stored(companyId, signal)
      const gone = itemOf(before, idOf(given))
      await saveCompany(ports, before, { [field]: listOf(before).filter((each) => each.id !== gone.id) }, before.version, signal)
      await list.removed?.(companyId, gone.id, signal)
      return { status: 204 }
    },
  })
}
