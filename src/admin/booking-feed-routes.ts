import { Readable } from 'node:stream'
import { z } from 'zod'
import type { Appointment } from '../booking/appointment.ts'
import type { AppointmentRepository } from '../booking/appointment-repository.ts'
import { calendarFeedPieces } from '../booking/calendar-feed.ts'
import { feedPath, feedResource, isFeedSignature, type Feed } from '../booking/calendar-feed-links.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { Company } from '../tenancy/company.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import { saveCompany } from './company-routes.ts'
import type { Resources } from './pipeline.ts'
import { found, route } from './route.ts'

const TAG = 'Calendar feeds'
const BASE = '/companies/:companyId/calendar-feeds'
const DAY_MS = 24 * 3_600_000
/** What was is for looking up, what comes is for working by. */
const BACK_MS = 30 * DAY_MS
const AHEAD_MS = 366 * DAY_MS
const PAGE = 200
/** Some 5 MB of calendar; programs give up on more. */
const MOST_EVENTS = 10_000
const feedSchema = z.object({ resourceId: z.string().nullable(), detail: z.enum(['full', 'busy']), url: z.string() })

/** Appointments as calendars to subscribe to. */
export function bookingFeedRoutes(ports: AdminPorts): Resources {
  const { appointments, feedKey, publicBaseUrl } = ports.booking
  const feedsOf = (company: Company): z.infer<typeof feedSchema>[] =>
    [null, ...company.resources.map((resource) => resource.id)].flatMap((resourceId) =>
      (['full', 'busy'] as const).map((detail) => {
        const path = feedPath({ companyId: company.id, resourceId, detail }, company.booking.feedEdition, feedKey)
        return { resourceId, detail, url: `${publicBaseUrl()}/api/v1${path}` }
      }),
    )
  return (api, deps) => {
    companyRoute(api, deps, {
      // Whoever has the address reads the calendar, also after they have left: it is not for everybody who may look at things.
      method: 'GET', path: BASE, permission: 'config:write', audit: null, tag: TAG, summary: 'Addresses for calendar programs: of everybody and of each resource, in full or only as busy',
      params: companyParams, replies: { 200: z.object({ items: z.array(feedSchema) }) },
      handler: async ({ companyId, signal }) => ({ status: 200, body: { items: feedsOf(found(await ports.companies.get(companyId, signal), 'company')) } }),
    })

    companyRoute(api, deps, {
      method: 'POST', path: `${BASE}/rotate`, permission: 'config:write', audit: 'calendar_feeds.rotate', tag: TAG, summary: 'New addresses; those of before stop working at once',
      params: companyParams, replies: { 200: z.object({ items: z.array(feedSchema) }) },
      handler: async ({ companyId, state, signal }) => {
        state.auditTarget = 'calendar-feeds'
        const before = found(await ports.companies.get(companyId, signal), 'company')
        const booking = { ...before.booking, feedEdition: before.booking.feedEdition + 1 }
        return { status: 200, body: { items: feedsOf(await saveCompany(ports, before, { booking }, before.version, signal)) } }
      },
    })

    route(api, deps, {
      method: 'GET', path: '/calendar-feeds/:feedCompany/:feedResource/:detail/:file', permission: 'public', audit: null, tag: TAG,
      summary: 'A calendar feed, by its unguessable address',
      params: z.strictObject({ feedCompany: z.string().max(64), feedResource: z.string().max(64), detail: z.enum(['full', 'busy']), file: z.string().regex(/^[\w-]{32}\.ics$/) }),
      replies: { 200: z.string() }, replyType: 'text/calendar; charset=utf-8',
      handler: async ({ params, signal, reply }) => {
        const feed: Feed = { companyId: params.feedCompany, resourceId: feedResource(params.feedResource), detail: params.detail }
        const company = await ports.companies.get(feed.companyId, signal)
        // The same answer for a company that is not there and for a wrong signature.
        if (company === null || !isFeedSignature(feed, company.booking.feedEdition, feedKey, params.file.slice(0, -4))) throw new ClientsViaError('NOT_FOUND', 'no such calendar')
        const nowMs = deps.clock.wallTime().getTime()
        reply.header('cache-control', 'private, max-age=300')
        return { status: 200, stream: Readable.from(calendarFeedPieces(company, feed.resourceId, pagesOf(appointments, feed, nowMs, signal), feed.detail)) }
      },
    })
  }
}

async function* pagesOf(appointments: AppointmentRepository, feed: Feed, nowMs: number, signal: AbortSignal): AsyncGenerator<readonly Appointment[]> {
  const filter = { startsFrom: new Date(nowMs - BACK_MS).toISOString(), startsBefore: new Date(nowMs + AHEAD_MS).toISOString(), limit: PAGE, ...(feed.resourceId === null ? {} : { resourceId: feed.resourceId }) }
  for (let after: string | null = null, sent = 0; sent < MOST_EVENTS; ) {
    const page: readonly Appointment[] = await appointments.list(feed.companyId, { ...filter, after }, signal)
    yield page
    sent += page.length
    after = page.at(-1)?.id ?? null
    if (page.length < PAGE) return
  }
}
