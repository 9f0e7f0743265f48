import { resourceSchema } from '../tenancy/booking-config.ts'
import type { AdminPorts } from './admin-contract.ts'
import { companyListRoutes } from './booking-list-routes.ts'
import type { Resources } from './pipeline.ts'

/** Who or what does it: crews, chairs, rooms. */
export function resourceRoutes(ports: AdminPorts): Resources {
  return (api, deps) => companyListRoutes(api, deps, ports, { field: 'resources', noun: 'resource', tag: 'Resources', schema: resourceSchema, item: resourceSchema })
}
