import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import { uuidv7 } from '../core/ids.ts'
import { contactSchema, type StoredTemplate } from '../events/contacts.ts'
import { EVENT_TYPES, domainEventSchema, newEvent } from '../events/event.ts'
import { FACTS, builtInTemplate, checkTemplate, everyTemplate } from '../events/message-texts.ts'
import { OUTBOX_STATES, type OutboxItem } from '../events/outbox.ts'
import type { Principal } from '../security/principal.ts'
import { phoneNumberE164Schema, type Company } from '../tenancy/company.ts'
import { MESSAGE_CHANNELS, MESSAGE_KINDS, messageTemplateSchema, type MessageChannelName, type MessageKind } from '../tenancy/notifications.ts'
import { maskPhoneNumber } from '../tenancy/phone-numbers.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import { etagOf, guardedByIfMatch, pageOf, pageQuery, pageReply, pageReplySchema, requireIfMatch } from './conventions.ts'
import type { Resources } from './pipeline.ts'
import { Problem } from './problems.ts'
import { found } from './route.ts'

const TAG = 'Notifications'
const TEMPLATES = '/companies/:companyId/notification-templates'
const MESSAGES = '/companies/:companyId/messages'
/** Password links are the platform's own. */
const COMPANY_KINDS = MESSAGE_KINDS.filter((kind) => kind !== 'password_link') as [MessageKind, ...MessageKind[]]
const templateParams = companyParams.extend({ kind: z.enum(COMPANY_KINDS), channel: z.enum(MESSAGE_CHANNELS) })
const messageParams = companyParams.extend({ messageId: z.string().min(1).max(64) })

const templateViewSchema = z.object({
  kind: z.enum(COMPANY_KINDS),
  channel: z.enum(MESSAGE_CHANNELS),
  source: z.enum(['built-in', 'company']),
  subject: z.string(),
  text: z.string(),
  version: z.int(),
  /** What it may speak of. */
  variables: z.array(z.string()),
})
const previewSchema = z.object({ subject: z.string().nullable(), text: z.string(), segments: z.object({ encoding: z.enum(['GSM-7', 'UCS-2']), segments: z.int(), units: z.int() }).nullable() })
const reportSchema = z.object({ problems: z.array(z.object({ field: z.string(), message: z.string() })), warnings: z.array(z.string()), preview: previewSchema.nullable() })
const messageViewSchema = z.object({
  id: z.string(),
  kind: z.enum(MESSAGE_KINDS),
  channel: z.enum(MESSAGE_CHANNELS),
  to: z.string(),
  state: z.enum(OUTBOX_STATES),
  delivery: z.enum(['none', 'queued', 'sent', 'delivered', 'undelivered']),
  attempts: z.int(),
  reason: z.string(),
  subject: z.string(),
  callSid: z.string().nullable(),
  providerId: z.string().nullable(),
  dueAt: z.string(),
  createdAt: z.string(),
  updatedAt: z.string(),
})

/** What a company writes to people, what became of it, and who does not want it. */
export function notificationRoutes(ports: AdminPorts): Resources {
  const { messageTemplates, outbox, contacts, eventLog } = ports.notifications

  async function companyOf(companyId: string, signal: AbortSignal): Promise<Company> {
    return found(await ports.companies.get(companyId, signal), 'company')
  }

  return (api, deps) => {
    companyRoute(api, deps, {
      method: 'GET', path: TEMPLATES, permission: 'config:read', audit: null, tag: TAG, summary: 'Every text that may be sent, in the wording that stands now',
      params: companyParams, replies: { 200: z.object({ items: z.array(templateViewSchema) }) },
      handler: async ({ companyId, signal }) => {
        const company = await companyOf(companyId, signal)
        const own = new Map((await messageTemplates.list(companyId, signal)).map((stored) => [`${stored.kind}/${stored.channel}`, stored]))
        const items = [...everyTemplate()]
          .filter(([kind]) => kind !== 'password_link')
          .map(([kind, channel]) => viewOf(company, own.get(`${kind}/${channel}`) ?? { kind, channel, version: 0, template: null }))
        return { status: 200, body: { items } }
      },
    })

    companyRoute(api, deps, {
      method: 'GET', path: `${TEMPLATES}/:kind/:channel`, permission: 'config:read', audit: null, tag: TAG, summary: 'One text; its ETag is v0 until somebody writes it',
      params: templateParams, replies: { 200: templateViewSchema },
      handler: async ({ companyId, params, signal }) => {
        const stored = await messageTemplates.get(companyId, params.kind, params.channel, signal)
        return { status: 200, body: viewOf(await companyOf(companyId, signal), stored), etag: etagOf(stored.version) }
      },
    })

    companyRoute(api, deps, {
      method: 'PUT', path: `${TEMPLATES}/:kind/:channel`, permission: 'config:write', audit: 'notification_template.set', tag: TAG,
      summary: 'Write it anew; refused when it names what it cannot know or is too long, with warnings when it is risky',
      params: templateParams, body: messageTemplateSchema, replies: { 200: templateViewSchema.extend({ warnings: z.array(z.string()), preview: previewSchema.nullable() }) },
      handler: async ({ companyId, params, body, request, state, signal }) => {
        const ifVersion = requireIfMatch(request)
        state.auditTarget = `notification-template/${params.kind}/${params.channel}`
        const company = await companyOf(companyId, signal)
        const { problems, warnings, preview } = checkTemplate(company, params.kind, params.channel, body)
        if (problems.length > 0) throw new Problem(400, 'INVALID_INPUT', `${problems[0]?.field}: ${problems[0]?.message}`, { errors: [...problems] })
        const stored = await guardedByIfMatch(() => messageTemplates.save(companyId, params.kind, params.channel, body, ifVersion, signal))
        return { status: 200, body: { ...viewOf(company, stored), warnings: [...warnings], preview }, etag: etagOf(stored.version) }
      },
    })

    companyRoute(api, deps, {
      method: 'DELETE', path: `${TEMPLATES}/:kind/:channel`, permission: 'config:write', audit: 'notification_template.delete', tag: TAG, summary: 'Go back to the built-in wording',
      params: templateParams, replies: { 204: z.undefined() },
      handler: async ({ companyId, params, state, signal }) => {
        state.auditTarget = `notification-template/${params.kind}/${params.channel}`
        await messageTemplates.save(companyId, params.kind, params.channel, null, undefined, signal)
        return { status: 204 }
      },
    })

    companyRoute(api, deps, {
      method: 'POST', path: `${TEMPLATES}/:kind/:channel/preview`, permission: 'config:read', audit: 'notification_template.preview', tag: TAG,
      summary: 'What it comes to with sample data, in how many parts, and what is wrong or risky about it; without a body the one that stands',
      params: templateParams, body: messageTemplateSchema.partial(), replies: { 200: reportSchema },
      handler: async ({ companyId, params, body, state, signal }) => {
        state.auditTarget = `notification-template/${params.kind}/${params.channel}`
        const company = await companyOf(companyId, signal)
        const standing = (await messageTemplates.get(companyId, params.kind, params.channel, signal)).template ?? builtInTemplate(company, params.kind, params.channel)
        const { problems, warnings, preview } = checkTemplate(company, params.kind, params.channel, { subject: body.subject ?? standing.subject, text: body.text ?? standing.text })
        return { status: 200, body: { problems: [...problems], warnings: [...warnings], preview } }
      },
    })

    companyRoute(api, deps, {
      method: 'POST', path: `${TEMPLATES}/:kind/:channel/test`, permission: 'config:write', audit: 'notification_template.test', tag: TAG, summary: 'Send it with sample data to one number or address',
      params: templateParams, body: z.strictObject({ to: z.string().min(3).max(254) }), replies: { 202: z.object({ messageId: z.string() }) },
      handler: async ({ companyId, params, body, state, signal }) => {
        state.auditTarget = `notification-template/${params.kind}/${params.channel}`
        const to = (params.channel === 'sms' ? phoneNumberE164Schema : z.email().max(254)).safeParse(body.to)
        if (!to.success) throw new ClientsViaError('INVALID_INPUT', `to: ${to.error.issues[0]?.message ?? 'is not valid'}`, { field: 'to' })
        const wallTime = deps.clock.wallTime()
        const id = uuidv7(wallTime)
        const message = { kind: params.kind, channel: params.channel, to: to.data, audience: 'people', anyHour: true, visit: null, facts: FACTS[params.kind], eventId: null, callSid: null } as const
        const item = { id, work: { kind: 'message', message }, subject: `message/${id}`, dedupeKey: `test:${id}`, dueAt: wallTime.toISOString(), expiresAt: new Date(wallTime.getTime() + TEST_KEEPS_MS).toISOString() } as const
        await outbox.add(companyId, [item], wallTime.toISOString(), signal)
        return { status: 202, body: { messageId: id } }
      },
    })

    companyRoute(api, deps, {
      method: 'GET', path: MESSAGES, permission: 'bookings:read', audit: null, tag: TAG, summary: 'Messages, newest first; state=failed are the dead letters, state=unknown may have been sent',
      params: companyParams, query: z.strictObject({ ...pageQuery, state: z.enum(OUTBOX_STATES).optional(), subject: z.string().min(3).max(160).optional(), to: z.string().min(3).max(254).optional() }),
      replies: { 200: pageReplySchema(messageViewSchema) },
      handler: async ({ companyId, query, principal, signal }) => {
        const { after, limit } = pageOf(query)
        const { state, subject, to } = query
        const filter = { before: after, limit, kind: 'message', ...(state === undefined ? {} : { state }), ...(subject === undefined ? {} : { subject }), ...(to === undefined ? {} : { to }) } as const
        const rows = await outbox.list(companyId, filter, signal)
        return { status: 200, body: pageReply(rows, query, (item) => item.id, (item) => messageView(item, principal)) }
      },
    })

    companyRoute(api, deps, {
      method: 'GET', path: `${MESSAGES}/:messageId`, permission: 'bookings:read', audit: null, tag: TAG, summary: 'One message and what became of it',
      params: messageParams, replies: { 200: messageViewSchema },
      handler: async ({ companyId, params, principal, signal }) => ({ status: 200, body: messageView(await messageOf(companyId, params.messageId, signal), principal) }),
    })

    companyRoute(api, deps, {
      method: 'POST', path: `${MESSAGES}/:messageId/retry`, permission: 'bookings:write', audit: 'message.retry', tag: TAG, summary: 'Try a dead letter again, or send an unknown one a second time, on your word',
      params: messageParams, replies: { 202: messageViewSchema },
      handler: async ({ companyId, params, principal, state, signal }) => {
        state.auditTarget = `message/${params.messageId}`
        await messageOf(companyId, params.messageId, signal)
        const item = await outbox.retry(companyId, params.messageId, deps.clock.wallTime().toISOString(), signal)
        if (item === null) throw new ClientsViaError('CONFLICT', 'only a failed or unknown message can be tried again')
        return { status: 202, body: messageView(item, principal) }
      },
    })

    companyRoute(api, deps, {
      method: 'POST', path: `${MESSAGES}/:messageId/drop`, permission: 'bookings:write', audit: 'message.drop', tag: TAG, summary: 'Do not send it',
      params: messageParams, replies: { 200: messageViewSchema },
      handler: async ({ companyId, params, principal, state, signal }) => {
        state.auditTarget = `message/${params.messageId}`
        await messageOf(companyId, params.messageId, signal)
        const item = await outbox.drop(companyId, params.messageId, 'dropped by hand', deps.clock.wallTime().toISOString(), signal)
        if (item === null) throw new ClientsViaError('CONFLICT', 'only a waiting message can be dropped')
        return { status: 200, body: messageView(item, principal) }
      },
    })

    companyRoute(api, deps, {
      method: 'GET', path: '/companies/:companyId/opt-outs', permission: 'bookings:read', audit: null, tag: TAG, summary: 'Who may not be texted; a number that was erased stays without its digits',
      params: companyParams, query: z.strictObject(pageQuery), replies: { 200: pageReplySchema(z.object(contactSchema.omit({ companyId: true }).shape)) },
      handler: async ({ companyId, query, principal, signal }) => {
        const rows = await contacts.list(companyId, { ...pageOf(query), state: 'opted-out' }, signal)
        const seesNumbers = principal.permissions.has('transcripts:read')
        const show = (contact: (typeof rows)[number]) => ({ ...contact, phoneNumberE164: seesNumbers || contact.phoneNumberE164 === null ? contact.phoneNumberE164 : maskPhoneNumber(contact.phoneNumberE164) })
        return { status: 200, body: pageReply(rows, query, (contact) => contact.id, show) }
      },
    })

    companyRoute(api, deps, {
      method: 'POST', path: '/companies/:companyId/opt-outs', permission: 'bookings:write', audit: 'opt_out.add', tag: TAG, summary: 'Somebody said not to text them; only they can take that back, by texting START',
      params: companyParams, body: z.strictObject({ phoneNumberE164: phoneNumberE164Schema }), replies: { 201: z.object({ added: z.boolean() }) },
      handler: async ({ companyId, body, signal }) => {
        const wallTime = deps.clock.wallTime()
        const event = newEvent(wallTime, { companyId, type: 'contact.opted_out', subject: `contact/${body.phoneNumberE164}`, data: { source: 'admin' } })
        const added = await contacts.set(companyId, { phoneNumberE164: body.phoneNumberE164, state: 'opted-out', source: 'admin', at: wallTime.toISOString() }, [event], signal)
        return { status: 201, body: { added } }
      },
    })

    companyRoute(api, deps, {
      method: 'GET', path: '/companies/:companyId/event-log', permission: 'transcripts:read', audit: null, tag: TAG,
      summary: 'What happened, oldest first, as it is kept; the live view names these by eventId',
      params: companyParams,
      query: z.strictObject({ ...pageQuery, type: z.enum(EVENT_TYPES).optional(), subject: z.string().min(3).max(160).optional(), callSid: z.string().min(1).max(64).optional() }),
      replies: { 200: pageReplySchema(z.object(domainEventSchema.omit({ companyId: true }).shape)) },
      handler: async ({ companyId, query, signal }) => {
        const { type, subject, callSid } = query
        const page = { ...pageOf(query), ...(type === undefined ? {} : { types: [type] }), ...(subject === undefined ? {} : { subject }), ...(callSid === undefined ? {} : { callSid }) }
        const rows = await eventLog.list(companyId, page, signal)
        return { status: 200, body: pageReply(rows, query, (event) => event.id, (event) => event) }
      },
    })

    async function messageOf(companyId: string, messageId: string, signal: AbortSignal): Promise<OutboxItem> {
      const item = await outbox.get(companyId, messageId, signal)
      return found(item?.work.kind === 'message' ? item : null, 'message')
    }
  }
}

/** A test that is not sent within the hour is not waited for. */
const TEST_KEEPS_MS = 60 * 60_000

function viewOf(company: Company, stored: StoredTemplate): z.input<typeof templateViewSchema> {
  const { kind, channel, version, template } = stored
  const variables = ['company.name', 'company.phone', 'company.industry', ...Object.keys(FACTS[kind])]
  return { kind, channel: channel satisfies MessageChannelName, version, source: template === null ? 'built-in' : 'company', ...(template ?? builtInTemplate(company, kind, channel)), variables }
}

function messageView(item: OutboxItem, principal: Principal): z.input<typeof messageViewSchema> {
  if (item.work.kind !== 'message') throw new TypeError('only messages are shown')
  const { kind, channel, to, callSid } = item.work.message
  const seen = principal.permissions.has('transcripts:read') ? to : channel === 'sms' ? maskPhoneNumber(to) : to.replace(/^.*@/, '…@')
  return { ...item, kind, channel, to: seen, callSid }
}
