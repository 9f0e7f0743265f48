import { Readable } from 'node:stream'
import { stringify } from 'csv-stringify/sync'
import { z } from 'zod'
import { newEvent, type EventType } from '../events/event.ts'
import { LEAD_KINDS, LEAD_STATUSES, MAX_LEAD_NOTES, leadSchema, type Lead } from '../events/lead.ts'
import { ClientsViaError } from '../core/errors.ts'
import { maskPhoneNumber } from '../tenancy/phone-numbers.ts'
import { phoneNumberE164Schema } from '../tenancy/company.ts'
import type { Principal } from '../security/principal.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import { etagOf, guardedByIfMatch, pageOf, pageQuery, pageReply, pageReplySchema, requireIfMatch } from './conventions.ts'
import type { Resources } from './pipeline.ts'
import { found } from './route.ts'

const TAG = 'Leads'
const BASE = '/companies/:companyId/leads'
const leadParams = companyParams.extend({ leadId: z.string().min(1).max(64) })
const viewSchema = z.object(leadSchema.omit({ idempotencyKey: true, phoneNumberE164: true }).shape).extend({ phoneNumberE164: z.string().nullable() })
const filters = {
  status: z.enum(LEAD_STATUSES).optional(),
  kind: z.enum(LEAD_KINDS).optional(),
  from: phoneNumberE164Schema.optional(),
  callSid: z.string().min(1).max(64).optional(),
  createdFrom: z.iso.datetime().optional(),
  createdBefore: z.iso.datetime().optional(),
}
const changeSchema = z
  .strictObject({ status: z.enum(LEAD_STATUSES).optional(), note: z.string().min(1).max(1000).optional() })
  .refine((change) => change.status !== undefined || change.note !== undefined, { message: 'is needed, or a note', path: ['status'] })

const EVENT_OF: Readonly<Record<Lead['status'], EventType | null>> = { new: null, contacted: 'lead.contacted', converted: 'lead.converted', closed: 'lead.closed' }
/** An export beyond this is asked for in parts, by time. */
const MAX_EXPORTED = 10_000
const EXPORT_PAGE = 200

/** What callers wanted and somebody has to see to. */
export function leadRoutes(ports: AdminPorts): Resources {
  const { leads } = ports.notifications
  return (api, deps) => {
    companyRoute(api, deps, {
      method: 'GET', path: BASE, permission: 'bookings:read', audit: null, tag: TAG, summary: 'List leads, newest first; by status, kind, caller, call and time',
      params: companyParams, query: z.strictObject({ ...pageQuery, ...filters }), replies: { 200: pageReplySchema(viewSchema) },
      handler: async ({ companyId, query, principal, signal }) => {
        const { after, limit } = pageOf(query)
        const rows = await leads.list(companyId, { ...filterOf(query), before: after, limit }, signal)
        return { status: 200, body: pageReply(rows, query, (lead) => lead.id, (lead) => shown(lead, principal)) }
      },
    })

    companyRoute(api, deps, {
      method: 'GET', path: `${BASE}/:leadId`, permission: 'bookings:read', audit: null, tag: TAG, summary: 'One lead',
      params: leadParams, replies: { 200: viewSchema },
      handler: async ({ companyId, params, principal, signal }) => {
        const lead = found(await leads.get(companyId, params.leadId, signal), 'lead')
        return { status: 200, body: shown(lead, principal), etag: etagOf(lead.version) }
      },
    })

    companyRoute(api, deps, {
      method: 'PATCH', path: `${BASE}/:leadId`, permission: 'bookings:write', audit: 'lead.update', tag: TAG, summary: 'Say what has become of it, and leave a note',
      params: leadParams, body: changeSchema, replies: { 200: viewSchema },
      handler: async ({ companyId, params, body, principal, request, state, signal }) => {
        const ifVersion = requireIfMatch(request)
        state.auditTarget = `lead/${params.leadId}`
        const before = found(await leads.get(companyId, params.leadId, signal), 'lead')
        if (body.note !== undefined && before.notes.length >= MAX_LEAD_NOTES) throw new ClientsViaError('CONFLICT', `a lead has ${MAX_LEAD_NOTES} notes at most`, { field: 'note' })
        const wallTime = deps.clock.wallTime()
        const status = body.status ?? before.status
        const notes = body.note === undefined ? before.notes : [...before.notes, { at: wallTime.toISOString(), by: principal.id, text: body.note }]
        const type = status === before.status ? null : EVENT_OF[status]
        const events = type === null ? [] : [newEvent(wallTime, { companyId, type, subject: `lead/${before.id}`, callSid: before.callSid, data: { lead: { ...before, status } } })]
        const saved = await guardedByIfMatch(() => leads.save(companyId, { ...before, status, notes }, ifVersion, events, signal))
        return { status: 200, body: shown(saved, principal), etag: etagOf(saved.version) }
      },
    })

    companyRoute(api, deps, {
      method: 'POST', path: '/companies/:companyId/leads-export', permission: 'data:export', audit: 'lead.export', tag: TAG, replay: 'never',
      summary: `Leads as CSV, newest first, ${MAX_EXPORTED} at most`,
      params: companyParams, body: z.strictObject(filters), replies: { 200: z.string() }, replyType: 'text/csv; charset=utf-8',
      handler: async ({ companyId, body, signal }) => ({
        status: 200,
        filename: `leads-${companyId}.csv`,
        stream: Readable.from(csvOf(companyId, body, signal)),
      }),
    })
  }

  async function* csvOf(companyId: string, filter: z.output<z.ZodObject<typeof filters>>, signal: AbortSignal): AsyncGenerator<string> {
    yield `${COLUMNS.join(',')}\n`
    let before: string | null = null
    for (let count = 0; count < MAX_EXPORTED; count += EXPORT_PAGE) {
      const rows: readonly Lead[] = await leads.list(companyId, { ...filterOf(filter), before, limit: EXPORT_PAGE }, signal)
      // A cell that a spreadsheet would take for a formula is made plain text.
      yield stringify(rows.map((lead) => COLUMNS.map((column) => (column === 'slots' ? JSON.stringify(lead.slots) : (lead[column] ?? '')))), { escape_formulas: true })
      before = rows.at(-1)?.id ?? null
      if (rows.length < EXPORT_PAGE) return
    }
  }
}

const COLUMNS = ['id', 'createdAt', 'status', 'kind', 'callerName', 'phoneNumberE164', 'summary', 'slots', 'formId', 'callSid'] as const

function filterOf(query: z.output<z.ZodObject<typeof filters>>) {
  const { status, kind, from, callSid, createdFrom, createdBefore } = query
  return {
    ...(status === undefined ? {} : { status }),
    ...(kind === undefined ? {} : { kind }),
    ...(from === undefined ? {} : { phoneNumberE164: from }),
    ...(callSid === undefined ? {} : { callSid }),
    ...(createdFrom === undefined ? {} : { createdFrom }),
    ...(createdBefore === undefined ? {} : { createdBefore }),
  }
}

/** Who may not read transcripts sees that there is something to do, not for whom. */
function shown(lead: Lead, principal: Principal): z.input<typeof viewSchema> {
  if (principal.permissions.has('transcripts:read')) return lead
  return { ...lead, callerName: lead.callerName === null ? null : 'hidden', phoneNumberE164: lead.phoneNumberE164 === null ? null : maskPhoneNumber(lead.phoneNumberE164), summary: 'hidden', slots: {}, notes: [] }
}
