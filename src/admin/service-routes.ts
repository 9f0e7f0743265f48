import { serviceSchema } from '../tenancy/booking-config.ts'
import type { AdminPorts } from './admin-contract.ts'
import { companyListRoutes } from './booking-list-routes.ts'
import type { Resources } from './pipeline.ts'

/** What can be booked. */
export function serviceRoutes(ports: AdminPorts): Resources {
  return (api, deps) => companyListRoutes(api, deps, ports, { field: 'services', noun: 'service', tag: 'Services', schema: serviceSchema, item: serviceSchema })
}
