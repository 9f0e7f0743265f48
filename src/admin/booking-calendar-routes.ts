import { z } from 'zod'
import { MAX_CALENDAR_BYTES } from '../booking/calendar-fetch.ts'
import { calendarFields, calendarSourceSchema } from '../tenancy/booking-config.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import { companyListRoutes } from './booking-list-routes.ts'
import type { Resources } from './pipeline.ts'
import { found } from './route.ts'

const TAG = 'Calendars'
const ONE = '/companies/:companyId/calendars/:calendarId'
const calendarParams = companyParams.extend({ calendarId: z.string().min(1).max(64) })
const stateSchema = z.object({
  triedAt: z.string().nullable(),
  /** Of the busy times that are in use: an old one stays in use while its calendar cannot be read. */
  fetchedAt: z.string().nullable(),
  /** Of the last try; null when it went well. */
  problem: z.string().nullable(),
  busyCount: z.int(),
})

/** Calendars kept elsewhere, whose busy times are not offered: read in the background, never while a caller waits. */
export function bookingCalendarRoutes(ports: AdminPorts): Resources {
  const { calendars } = ports.booking
  const exists = async (companyId: string, calendarId: string, signal: AbortSignal): Promise<void> => {
    const company = found(await ports.companies.get(companyId, signal), 'company')
    found(company.calendars.find((one) => one.id === calendarId) ?? null, 'calendar')
  }
  return (api, deps) => {
    companyListRoutes(api, deps, ports, {
      field: 'calendars', noun: 'calendar', tag: TAG, schema: calendarFields, item: calendarSourceSchema,
      removed: (companyId, calendarId, signal) => calendars.forget(companyId, calendarId, signal),
    })

    companyRoute(api, deps, {
      method: 'GET', path: `${ONE}/state`, permission: 'config:read', audit: null, tag: TAG, summary: 'When a calendar was read last, and what was wrong with it',
      params: calendarParams, replies: { 200: stateSchema },
      handler: async ({ companyId, params, signal }) => {
        await exists(companyId, params.calendarId, signal)
        return { status: 200, body: await calendars.state(companyId, params.calendarId, signal) }
      },
    })

    companyRoute(api, deps, {
      method: 'POST', path: `${ONE}/refresh`, permission: 'config:write', audit: 'calendar.refresh', tag: TAG, summary: 'Read a calendar now',
      params: calendarParams, replies: { 200: stateSchema },
      handler: async ({ companyId, params, state, signal }) => {
        state.auditTarget = `calendar/${params.calendarId}`
        return { status: 200, body: await calendars.refresh(companyId, params.calendarId, signal) }
      },
    })

    companyRoute(api, deps, {
      method: 'PUT', path: `${ONE}/file`, permission: 'config:write', audit: 'calendar.upload', tag: TAG, summary: 'Upload an iCalendar file; it replaces the one before',
      params: calendarParams, body: z.strictObject({ ics: z.string().min(1).max(MAX_CALENDAR_BYTES) }), replies: { 200: stateSchema },
      // JSON writes a line break in two characters.
      bodyLimit: 2 * MAX_CALENDAR_BYTES,
      handler: async ({ companyId, params, body, state, signal }) => {
        state.auditTarget = `calendar/${params.calendarId}`
        return { status: 200, body: await calendars.upload(companyId, params.calendarId, body.ics, signal) }
      },
    })
  }
}
