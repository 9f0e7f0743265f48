import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import { transferTargetSchema, type TransferTarget } from '../tenancy/company.ts'
import { companyParams, companyRoute, newIdSchema, patchOf, type AdminPorts } from './admin-contract.ts'
import { saveCompany } from './company-routes.ts'
import { etagOf, guardedByIfMatch, requireIfMatch } from './conventions.ts'
import type { Resources } from './pipeline.ts'
import { found } from './route.ts'

const TAG = 'Transfer targets'
const BASE = '/companies/:companyId/transfer-targets'
const targetParams = companyParams.extend({ targetId: z.string().min(1).max(64) })
const viewSchema = z.object(transferTargetSchema.shape)
const newTargetSchema = transferTargetSchema.omit({ id: true }).extend({ id: newIdSchema.optional() })

/** The only people a caller may be connected to. They are part of the company, so their ETag is the company's. */
export function transferTargetRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    companyRoute(api, deps, {
      method: 'GET', path: BASE, permission: 'config:read', audit: null, tag: TAG, summary: 'List transfer targets, most wanted first',
      params: companyParams, replies: { 200: z.object({ items: z.array(viewSchema) }) },
      handler: async ({ companyId, signal }) => {
        const company = found(await ports.companies.get(companyId, signal), 'company')
        const items = [...company.transferTargets].sort((a, b) => b.priority - a.priority)
        return { status: 200, body: { items }, etag: etagOf(company.version) }
      },
    })

    companyRoute(api, deps, {
      method: 'POST', path: BASE, permission: 'config:write', audit: 'transfer_target.create', tag: TAG, summary: 'Add a transfer target',
      params: companyParams, body: newTargetSchema, replies: { 201: viewSchema },
      handler: async ({ companyId, body, state, signal }) => {
        const before = found(await ports.companies.get(companyId, signal), 'company')
        const target: TransferTarget = { ...body, id: body.id ?? uuidv7(deps.clock.wallTime()) }
        state.auditTarget = `transfer-target/${target.id}`
        if (before.transferTargets.some((one) => one.id === target.id)) throw new ClientsViaError('CONFLICT', `there is a transfer target ${target.id} already`, { field: 'id' })
        const company = await saveCompany(ports, before, { transferTargets: [...before.transferTargets, target] }, before.version, signal)
        return { status: 201, body: target, etag: etagOf(company.version), location: `/api/v1/companies/${companyId}/transfer-targets/${target.id}` }
      },
    })

    companyRoute(api, deps, {
      method: 'GET', path: `${BASE}/:targetId`, permission: 'config:read', audit: null, tag: TAG, summary: 'One transfer target',
      params: targetParams, replies: { 200: viewSchema },
      handler: async ({ companyId, params, signal }) => {
        const company = found(await ports.companies.get(companyId, signal), 'company')
        return { status: 200, body: targetOf(company.transferTargets, params.targetId), etag: etagOf(company.version) }
      },
    })

    companyRoute(api, deps, {
      method: 'PATCH', path: `${BASE}/:targetId`, permission: 'config:write', audit: 'transfer_target.update', tag: TAG, summary: 'Change a transfer target',
      params: targetParams, body: patchOf(transferTargetSchema, ['id']), replies: { 200: viewSchema },
      handler: async ({ companyId, params, body, request, state, signal }) => {
        const ifVersion = requireIfMatch(request)
        state.auditTarget = `transfer-target/${params.targetId}`
        const before = found(await ports.companies.get(companyId, signal), 'company')
        const changed = transferTargetSchema.parse({ ...targetOf(before.transferTargets, params.targetId), ...body })
        const transferTargets = before.transferTargets.map((one) => (one.id === changed.id ? changed : one))
        const company = await guardedByIfMatch(() => saveCompany(ports, before, { transferTargets }, ifVersion, signal))
        return { status: 200, body: changed, etag: etagOf(company.version) }
      },
    })

    companyRoute(api, deps, {
      method: 'DELETE', path: `${BASE}/:targetId`, permission: 'config:write', audit: 'transfer_target.delete', tag: TAG, summary: 'Delete a transfer target',
      params: targetParams, replies: { 204: z.undefined() },
      handler: async ({ companyId, params, state, signal }) => {
        state.auditTarget = `transfer-target/${params.targetId}`
        const before = found(await ports.companies.get(companyId, signal), 'company')
        const gone = targetOf(before.transferTargets, params.targetId)
        await saveCompany(ports, before, { transferTargets: before.transferTargets.filter((one) => one !== gone) }, before.version, signal)
        return { status: 204 }
      },
    })
  }
}

function targetOf(targets: readonly TransferTarget[], targetId: string): TransferTarget {
  return found(targets.find((one) => one.id === targetId) ?? null, 'transfer target')
}
