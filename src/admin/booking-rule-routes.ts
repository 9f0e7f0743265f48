import { z } from 'zod'
import { bookingRulesSchema } from '../tenancy/booking-config.ts'
import { companyParams, companyRoute, patchOf, type AdminPorts } from './admin-contract.ts'
import { saveCompany } from './company-routes.ts'
import { etagOf, guardedByIfMatch, requireIfMatch } from './conventions.ts'
import type { Resources } from './pipeline.ts'
import { found } from './route.ts'

const TAG = 'Booking rules'
const PATH = '/companies/:companyId/booking-rules'
const viewSchema = z.object(bookingRulesSchema.shape)

/** Lead time, horizon, step, arrival windows: for every service that has none of its own. Their ETag is the company's. */
export function bookingRuleRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    companyRoute(api, deps, {
      method: 'GET', path: PATH, permission: 'config:read', audit: null, tag: TAG, summary: 'The rules by which times are offered',
      params: companyParams, replies: { 200: viewSchema },
      handler: async ({ companyId, signal }) => {
        const company = found(await ports.companies.get(companyId, signal), 'company')
        return { status: 200, body: company.booking, etag: etagOf(company.version) }
      },
    })

    companyRoute(api, deps, {
      method: 'PATCH', path: PATH, permission: 'config:write', audit: 'booking_rules.update', tag: TAG, summary: 'Change the rules by which times are offered',
      params: companyParams, body: patchOf(bookingRulesSchema, ['feedEdition']), replies: { 200: viewSchema },
      handler: async ({ companyId, body, request, state, signal }) => {
        const ifVersion = requireIfMatch(request)
        state.auditTarget = 'booking-rules'
        const before = found(await ports.companies.get(companyId, signal), 'company')
        const company = await guardedByIfMatch(() => saveCompany(ports, before, { booking: { ...before.booking, ...body } }, ifVersion, signal))
        return { status: 200, body: company.booking, etag: etagOf(company.version) }
      },
    })
  }
}
