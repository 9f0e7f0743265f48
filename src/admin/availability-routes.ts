import { z } from 'zod'
import { understandWhen, sayOpening } from '../booking/when.ts'
import { ClientsViaError } from '../core/errors.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import type { Resources } from './pipeline.ts'
import { found } from './route.ts'

const TAG = 'Availability'
/** Beyond a page of a calendar nobody reads on. */
const MOST_OPENINGS = 500

const openingViewSchema = z.object({
  serviceId: z.string(),
  resourceId: z.string(),
  startsAt: z.string(),
  endsAt: z.string(),
  window: z.object({ startsAt: z.string(), endsAt: z.string() }).nullable(),
  /** As a caller would hear it. */
  said: z.string(),
})

/** What a caller who asks right now would be offered. */
export function availabilityRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    companyRoute(api, deps, {
      method: 'GET', path: '/companies/:companyId/availability', permission: 'bookings:read', audit: null, tag: TAG,
      summary: 'Free times of a service, by range or in a caller\'s own words ("next Tuesday after four")',
      params: companyParams,
      query: z.strictObject({
        serviceId: z.string().min(1).max(64),
        from: z.iso.datetime().optional(),
        to: z.iso.datetime().optional(),
        /** In words; instead of `from` and `to`. */
        when: z.string().min(1).max(200).optional(),
        partOfDay: z.enum(['morning', 'afternoon', 'evening']).optional(),
        resourceId: z.string().min(1).max(64).optional(),
        limit: z.coerce.number().int().min(1).max(MOST_OPENINGS).default(50),
      }),
      replies: {
        200: z.object({
          /** How the words were understood; null where none were given. */
          understood: z.object({ from: z.string(), to: z.string(), said: z.string() }).nullable(),
          items: z.array(openingViewSchema),
        }),
      },
      handler: async ({ companyId, query, signal }) => {
        const company = found(await ports.companies.get(companyId, signal), 'company')
        const now = deps.clock.wallTime()
        if (!company.services.some((service) => service.id === query.serviceId)) {
          throw new ClientsViaError('INVALID_INPUT', `serviceId: there is no service "${query.serviceId}"`, { field: 'serviceId' })
        }
        if (query.when !== undefined && (query.from !== undefined || query.to !== undefined)) {
          throw new ClientsViaError('INVALID_INPUT', 'when: give words or a range, not both', { field: 'when' })
        }
        const when = query.when === undefined ? null : understandWhen(query.when, now, company.timeZone, company.hours)
        if (query.when !== undefined && when === null) throw new ClientsViaError('INVALID_INPUT', 'when: names no time', { field: 'when' })
        const openings = await ports.booking.desk.search(
          companyId,
          {
            serviceId: query.serviceId,
            from: when?.from ?? query.from ?? now.toISOString(),
            to: when?.to ?? query.to ?? new Date(now.getTime() + (company.booking.horizonDays + 1) * 24 * 3_600_000).toISOString(),
            partOfDay: query.partOfDay ?? when?.partOfDay ?? null,
            resourceId: query.resourceId ?? null,
            limit: query.limit,
            between: when?.between ?? null,
            near: when?.near ?? null,
            except: when?.except ?? [],
          },
          signal,
        )
        const items = openings.map((opening) => ({ ...opening, said: sayOpening(opening, company.timeZone, now) }))
        return { status: 200, body: { understood: when === null ? null : { from: when.from, to: when.to, said: when.said }, items } }
      },
    })
  }
}
