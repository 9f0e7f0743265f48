import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ask } from '../../src/admin/ask.ts'
import type { Principal } from '../../src/security/principal.ts'
import { PERMISSIONS, PLATFORM, permissionsOf, ROLES, type Permission, type Role } from '../../src/security/roles.ts'
import { knowledgeToCsv } from '../../src/tenancy/knowledge-csv.ts'
import { formSchema } from '../../src/tenancy/form.ts'
import { calendarSourceSchema, resourceSchema, serviceSchema } from '../../src/tenancy/booking-config.ts'
import { visit } from '../booking/appointments.ts'
import { item, lead } from '../events/fixtures.ts'
import { DeviceKey } from '../security/device-key.ts'
import { agent, call, entry, gap, turn } from '../storage/fixtures.ts'
import { END, recordingFacts } from '../storage/recording-store-contract.ts'
import { CANARIES, COMPANIES, openCompanyWorld, type Ask, type CompanyId, type CompanyWorld } from './company-world.ts'

type Row = Readonly<{
  permission: Permission
  body?: object
  query?: string
  ifMatch?: true
  /** Whom the platform has, too: people, keys, grants and a log of its own. */
  platformHasIt?: true
  /** The id in the path is a name that the request itself makes. */
  names?: true
  /** Made from what the route says of itself: what it needs is not stated a second time here, and its body is a guess. */
  derived?: true
}>

const NUMBER = '+12395550143'
const people = { platformHasIt: true } as const
/** The expected table: every route that needs somebody, what they must hold, and a body that would be good. */
const TABLE: Readonly<Record<string, Row>> = {
  'GET /companies': { permission: 'companies:list' },
  'POST /companies': { permission: 'companies:create', body: { name: 'New', industry: 'hvac', timeZone: 'UTC' } },
  'GET /effective-config': { permission: 'diagnostics:admin' },
  'GET /health': { permission: 'diagnostics:admin' },

  'GET /companies/{companyId}': { permission: 'config:read' },
  'PATCH /companies/{companyId}': { permission: 'config:write', body: { industry: 'cooling' }, ifMatch: true },
  'DELETE /companies/{companyId}': { permission: 'companies:delete' },
  'GET /companies/{companyId}/effective-config': { permission: 'config:read' },
  'GET /companies/{companyId}/readiness': { permission: 'config:read' },

  'GET /companies/{companyId}/agents': { permission: 'config:read' },
  'POST /companies/{companyId}/agents': { permission: 'config:write', body: { name: 'A', personality: { name: 'A' }, greeting: { text: 'Hi.', emergencyText: 'Hi.' } } },
  'GET /companies/{companyId}/agents/{agentId}': { permission: 'config:read' },
  'PATCH /companies/{companyId}/agents/{agentId}': { permission: 'config:write', body: { name: 'B' }, ifMatch: true },
  'DELETE /companies/{companyId}/agents/{agentId}': { permission: 'config:write' },
  'POST /companies/{companyId}/agents/{agentId}/publish': { permission: 'config:write', body: {} },
  'GET /companies/{companyId}/agents/{agentId}/versions': { permission: 'config:read' },
  'GET /companies/{companyId}/agents/{agentId}/versions/{version}': { permission: 'config:read' },
  'GET /companies/{companyId}/agents/{agentId}/diff': { permission: 'config:read', query: '?from=1' },
  'POST /companies/{companyId}/agents/{agentId}/rollback': { permission: 'config:write', body: { version: 1 } },

  'GET /companies/{companyId}/knowledge': { permission: 'config:read' },
  'POST /companies/{companyId}/knowledge': { permission: 'config:write', body: { question: 'Q?', answer: 'A.' } },
  'GET /companies/{companyId}/knowledge/{entryId}': { permission: 'config:read' },
  'PATCH /companies/{companyId}/knowledge/{entryId}': { permission: 'config:write', body: { priority: 6 }, ifMatch: true },
  'DELETE /companies/{companyId}/knowledge/{entryId}': { permission: 'config:write' },
  'GET /companies/{companyId}/knowledge-export': { permission: 'config:read' },
  'GET /companies/{companyId}/knowledge-export.csv': { permission: 'config:read' },
  'POST /companies/{companyId}/knowledge-import': { permission: 'config:write', body: { format: 'json', entries: [] } },
  'POST /companies/{companyId}/knowledge-test': { permission: 'config:read', body: { text: 'mascot' } },
  'POST /companies/{companyId}/try': { permission: 'config:read', body: { text: 'mascot' } },

  'GET /companies/{companyId}/transfer-targets': { permission: 'config:read' },
  'POST /companies/{companyId}/transfer-targets': { permission: 'config:write', body: { label: 'L', phoneNumberE164: NUMBER } },
  'GET /companies/{companyId}/transfer-targets/{targetId}': { permission: 'config:read' },
  'PATCH /companies/{companyId}/transfer-targets/{targetId}': { permission: 'config:write', body: { priority: 3 }, ifMatch: true },
  'DELETE /companies/{companyId}/transfer-targets/{targetId}': { permission: 'config:write' },

  'GET /calls/{callSid}': { permission: 'transcripts:read' },
  'GET /companies/{companyId}/calls': { permission: 'calls:read' },
  'GET /companies/{companyId}/live-calls': { permission: 'calls:read' },
  'POST /companies/{companyId}/live-calls/{callSid}/hang-up': { permission: 'calls:write', body: {} },
  'GET /companies/{companyId}/calls/{callSid}': { permission: 'transcripts:read' },
  'DELETE /companies/{companyId}/calls/{callSid}': { permission: 'data:erase' },
  'GET /companies/{companyId}/calls/{callSid}/explain': { permission: 'calls:read' },
  'POST /companies/{companyId}/calls/{callSid}/export': { permission: 'data:export', body: {} },
  'POST /companies/{companyId}/erasures': { permission: 'data:erase', body: { from: NUMBER } },
  'GET /companies/{companyId}/events': { permission: 'calls:read' },
  'GET /companies/{companyId}/usage': { permission: 'usage:read' },

  'GET /companies/{companyId}/recordings': { permission: 'recordings:read' },
  'GET /companies/{companyId}/recordings/{recordingId}': { permission: 'recordings:read' },
  'GET /companies/{companyId}/recordings/{recordingId}/audio': { permission: 'recordings:read' },
  'DELETE /companies/{companyId}/recordings/{recordingId}': { permission: 'data:erase' },

  'GET /companies/{companyId}/gaps': { permission: 'transcripts:read' },
  'GET /companies/{companyId}/gaps/{gapId}': { permission: 'transcripts:read' },
  'POST /companies/{companyId}/gaps/{gapId}/entry': { permission: 'config:write', body: { answer: 'Yes.' } },
  'POST /companies/{companyId}/gaps/{gapId}/replay': { permission: 'config:read', body: {} },
  'POST /companies/{companyId}/gaps/{gapId}/solve': { permission: 'config:write', body: { entryId: 'mascot' } },

  'GET /companies/{companyId}/leads': { permission: 'bookings:read' },
  'GET /companies/{companyId}/leads/{leadId}': { permission: 'bookings:read' },
  'PATCH /companies/{companyId}/leads/{leadId}': { permission: 'bookings:write', body: { status: 'contacted' }, ifMatch: true },
  'POST /companies/{companyId}/leads-export': { permission: 'data:export', body: {} },
  'GET /companies/{companyId}/notification-templates': { permission: 'config:read' },
  'GET /companies/{companyId}/notification-templates/{kind}/{channel}': { permission: 'config:read', names: true },
  'PUT /companies/{companyId}/notification-templates/{kind}/{channel}': { permission: 'config:write', body: { text: 'See you {{ when }}' }, ifMatch: true, names: true },
  'DELETE /companies/{companyId}/notification-templates/{kind}/{channel}': { permission: 'config:write', names: true },
  'POST /companies/{companyId}/notification-templates/{kind}/{channel}/preview': { permission: 'config:read', body: {}, names: true },
  'POST /companies/{companyId}/notification-templates/{kind}/{channel}/test': { permission: 'config:write', body: { to: NUMBER }, names: true },
  'GET /companies/{companyId}/messages': { permission: 'bookings:read' },
  'GET /companies/{companyId}/messages/{messageId}': { permission: 'bookings:read' },
  'POST /companies/{companyId}/messages/{messageId}/retry': { permission: 'bookings:write', body: {} },
  'POST /companies/{companyId}/messages/{messageId}/drop': { permission: 'bookings:write', body: {} },
  'GET /companies/{companyId}/opt-outs': { permission: 'bookings:read' },
  'POST /companies/{companyId}/opt-outs': { permission: 'bookings:write', body: { phoneNumberE164: NUMBER } },
  'GET /companies/{companyId}/event-log': { permission: 'transcripts:read' },

  'GET /companies/{companyId}/secrets': { permission: 'config:read' },
  'PUT /companies/{companyId}/secrets/{name}': { permission: 'config:write', body: { value: 'x' }, names: true },
  'DELETE /companies/{companyId}/secrets/{name}': { permission: 'config:write' },

  'GET /companies/{companyId}/services': { permission: 'config:read' },
  'POST /companies/{companyId}/services': { permission: 'config:write', body: { name: 'Visit', durationMinutes: 30 } },
  'GET /companies/{companyId}/services/{serviceId}': { permission: 'config:read' },
  'PATCH /companies/{companyId}/services/{serviceId}': { permission: 'config:write', body: { durationMinutes: 45 }, ifMatch: true },
  'DELETE /companies/{companyId}/services/{serviceId}': { permission: 'config:write' },
  'GET /companies/{companyId}/resources': { permission: 'config:read' },
  'POST /companies/{companyId}/resources': { permission: 'config:write', body: { name: 'Crew' } },
  'GET /companies/{companyId}/resources/{resourceId}': { permission: 'config:read' },
  'PATCH /companies/{companyId}/resources/{resourceId}': { permission: 'config:write', body: { capacity: 2 }, ifMatch: true },
  'DELETE /companies/{companyId}/resources/{resourceId}': { permission: 'config:write' },
  'GET /companies/{companyId}/forms': { permission: 'config:read' },
  'POST /companies/{companyId}/forms': { permission: 'config:write', body: { name: 'Callback', slots: [{ id: 'name', label: 'the name', type: 'name', prompt: 'Your name?' }] } },
  'GET /companies/{companyId}/forms/{formId}': { permission: 'config:read' },
  'PATCH /companies/{companyId}/forms/{formId}': { permission: 'config:write', body: { done: 'Thank you.' }, ifMatch: true },
  'DELETE /companies/{companyId}/forms/{formId}': { permission: 'config:write' },
  'GET /companies/{companyId}/booking-rules': { permission: 'config:read' },
  'PATCH /companies/{companyId}/booking-rules': { permission: 'config:write', body: { leadMinutes: 30 }, ifMatch: true },
  'GET /companies/{companyId}/calendars': { permission: 'config:read' },
  'POST /companies/{companyId}/calendars': { permission: 'config:write', body: { name: 'Days off', kind: 'file' } },
  'GET /companies/{companyId}/calendars/{calendarId}': { permission: 'config:read' },
  'PATCH /companies/{companyId}/calendars/{calendarId}': { permission: 'config:write', body: { enabled: false }, ifMatch: true },
  'DELETE /companies/{companyId}/calendars/{calendarId}': { permission: 'config:write' },
  'GET /companies/{companyId}/calendars/{calendarId}/state': { permission: 'config:read' },
  'POST /companies/{companyId}/calendars/{calendarId}/refresh': { permission: 'config:write', body: {} },
  'PUT /companies/{companyId}/calendars/{calendarId}/file': { permission: 'config:write', body: { ics: 'BEGIN:VCALENDAR\r\nEND:VCALENDAR' } },
  'GET /companies/{companyId}/calendar-feeds': { permission: 'config:write' },
  'POST /companies/{companyId}/calendar-feeds/rotate': { permission: 'config:write', body: {} },
  'GET /companies/{companyId}/availability': { permission: 'bookings:read', query: '?serviceId=visit' },
  'GET /companies/{companyId}/appointments': { permission: 'bookings:read' },
  'POST /companies/{companyId}/appointments': {
    permission: 'bookings:write',
    body: { serviceId: 'visit', startsAt: '2026-03-04T15:00:00.000Z', customer: { name: 'N', phoneNumberE164: NUMBER }, reason: 'R', anyTime: true },
  },
  'GET /companies/{companyId}/appointments/{appointmentId}': { permission: 'bookings:read' },
  'PATCH /companies/{companyId}/appointments/{appointmentId}': { permission: 'bookings:write', body: { status: 'completed' }, ifMatch: true },
  'POST /companies/{companyId}/appointments/{appointmentId}/cancel': { permission: 'bookings:write', body: {} },

  'GET /companies/{companyId}/users': { permission: 'users:read', ...people },
  'POST /companies/{companyId}/users': { permission: 'users:write', body: { email: 'taken@example.com', name: 'N', role: 'read_only', password: 'heron lifts the quiet tide' }, ...people },
  'GET /companies/{companyId}/users/{userId}': { permission: 'users:read', ...people },
  'PATCH /companies/{companyId}/users/{userId}': { permission: 'users:write', body: { name: 'M' }, ifMatch: true, ...people },
  'DELETE /companies/{companyId}/users/{userId}': { permission: 'users:write', ...people },
  'GET /companies/{companyId}/users/{userId}/sessions': { permission: 'users:read', ...people },
  'DELETE /companies/{companyId}/users/{userId}/sessions': { permission: 'users:write', ...people },
  'GET /companies/{companyId}/users/{userId}/devices': { permission: 'users:read', ...people },
  'POST /companies/{companyId}/users/{userId}/devices/{deviceId}/approve': { permission: 'users:write', body: {}, ...people },
  'POST /companies/{companyId}/users/{userId}/devices/{deviceId}/revoke': { permission: 'users:write', body: {}, ...people },
  'POST /companies/{companyId}/users/{userId}/devices/reset': { permission: 'users:write', body: { reason: 'lost all of them' }, ...people },
  'GET /companies/{companyId}/api-keys': { permission: 'api_keys:read', ...people },
  'POST /companies/{companyId}/api-keys': { permission: 'api_keys:write', body: { label: 'l', scopes: ['config:read'] }, ...people },
  'DELETE /companies/{companyId}/api-keys/{keyId}': { permission: 'api_keys:write', ...people },
  'GET /companies/{companyId}/break-glass': { permission: 'break_glass:read', ...people },
  'POST /companies/{companyId}/break-glass': {
    permission: 'break_glass:issue', ...people,
    body: { granteeUserId: 'SUPPORT', permissions: ['config:write'], methods: ['PATCH'], pathPrefixes: ['/agents'], reason: 'to help them with it' },
  },
  'DELETE /companies/{companyId}/break-glass/{grantId}': { permission: 'break_glass:issue', ...people },
  'GET /companies/{companyId}/audit': { permission: 'audit:read', ...people },
  'POST /companies/{companyId}/audit/verify': { permission: 'audit:read', body: {}, ...people },
  'POST /companies/{companyId}/audit/export': { permission: 'data:export', body: {}, ...people },
}
/** About the caller's own session: no company and no id of anybody else in the path, and what is opened by its address alone. Their own tests are beside them. */
const OWN_SESSION = /^[A-Z]+ \/(?:auth|calendar-feeds)\//

/** What a later cell would miss. */
const USES_UP = /^DELETE \/companies|revoke$|reset$|erasures$/

type Ids = Readonly<Record<string, string>>

/** Something of everything, under ids that no other company has. Made anew after a cell that may have changed it. */
async function furnish(world: CompanyWorld, companyId: CompanyId, owner: Ask): Promise<Ids> {
  const { repositories, ports, live, security } = world
  const { companies, agents, knowledge, calls } = repositories
  const suffix = companyId
  const agentId = `agent-${suffix}`
  const stored = await companies.get(companyId)
  if (stored === null) throw new Error(`${companyId} is gone`)
  const targets = stored.transferTargets.filter((target) => target.id !== `target-${suffix}`)
  await companies.save(companyId, { ...stored, transferTargets: [...targets, { ...targets[0], id: `target-${suffix}`, phoneNumberE164: '+12395550166' } as (typeof targets)[number]] })
  await furnishBooking(repositories, companyId)
  const messageId = await furnishMessages(repositories, companyId)
  await agents.saveDraft(companyId, agent(companyId, agentId))
  await agents.publish(companyId, agentId)
  await knowledge.save(companyId, entry(companyId, `entry-${suffix}`))
  await calls.begin(companyId, call(companyId, `CA-x-${suffix}`, { outcome: 'completed' }))
  await calls.saveTurn(companyId, `CA-x-${suffix}`, turn(1))
  await calls.saveGap(companyId, gap(companyId, `gap-x-${suffix}`, `CA-x-${suffix}`))
  live.set(companyId, [{ callSid: `LIVE-${suffix}`, startedAt: '2026-03-02T15:00:00.000Z', hangUp: () => undefined }])
  const recording = recordingFacts(companyId, { id: `0195b2f0-0000-7000-8000-${Buffer.from(companyId).toString('hex').slice(0, 12)}` })
  await (await world.recordings.create(companyId, recording)).finish(END)
  const name = `secret_${suffix.replaceAll('-', '_')}`
  await ports.secrets?.set(companyId, name, 'x')
  const user = await world.addUser(companyId, 'read_only')
  const key = await DeviceKey.create()
  await world.signIn(user, { key })
  const [device] = await security.store.devices.list(companyId, user.id)
  // A company has so many live keys and no more.
  for (const old of await security.apiKeys.list(companyId, { after: null, limit: 200 })) if (old.revokedAt === null) await security.apiKeys.revoke(companyId, old.id)
  const api = (await owner('POST', `/companies/${companyId}/api-keys`, { label: 'k', scopes: ['config:read'] })).json()
  const support = await world.addUser(companyId, 'support')
  const grant = (await owner('POST', `/companies/${companyId}/break-glass`, { granteeUserId: support.id, permissions: ['config:write'], methods: ['PATCH'], pathPrefixes: ['/agents'], reason: 'to help them with it' })).json()
  return {
    agentId, version: '1', recordingId: recording.id, entryId: `entry-${suffix}`, targetId: `target-${suffix}`, callSid: `CA-x-${suffix}`, liveSid: `LIVE-${suffix}`, gapId: `gap-x-${suffix}`, name,
    leadId: `lead-${suffix}`, messageId, kind: 'reminder_day_before', channel: 'sms', serviceId: `service-${suffix}`, resourceId: `resource-${suffix}`, appointmentId: `appointment-${suffix}`, formId: `form-${suffix}`, calendarId: `calendar-${suffix}`,
    userId: user.id, deviceId: device?.id ?? 'no device', keyId: api.key?.id ?? 'no key', grantId: grant.grant?.id ?? 'no grant',
  }
}

async function furnishMessages({ leads, outbox }: CompanyWorld['repositories'], companyId: CompanyId): Promise<string> {
  await leads.create(companyId, lead(companyId, `lead-${companyId}`, { summary: `about ${CANARIES[companyId]}` }))
  const waiting = item(`message-${companyId}`, {}, { facts: { when: CANARIES[companyId] } })
  await outbox.add(companyId, [waiting], '2026-03-02T15:00:00.000Z')
  const [first] = await outbox.list(companyId, { before: null, limit: 1, kind: 'message' })
  return first?.id ?? 'no message'
}

async function furnishBooking({ companies, appointments }: CompanyWorld['repositories'], companyId: CompanyId): Promise<void> {
  const stored = await companies.get(companyId)
  if (stored === null) throw new Error(`${companyId} is gone`)
  const [service, resource] = [`service-${companyId}`, `resource-${companyId}`]
  await companies.save(companyId, {
    ...stored,
    services: [serviceSchema.parse({ id: 'visit', name: 'Visit', durationMinutes: 30 }), serviceSchema.parse({ id: service, name: 'Own visit', durationMinutes: 30 })],
    forms: [formSchema.parse({ id: `form-${companyId}`, name: 'Own form', slots: [{ id: 'name', label: 'the name', type: 'name', prompt: 'Your name?' }] })],
    resources: [resourceSchema.parse({ id: 'desk', name: 'Desk', capacity: 100 }), resourceSchema.parse({ id: resource, name: 'Own desk' })],
    calendars: [calendarSourceSchema.parse({ id: `calendar-${companyId}`, name: 'Days off', kind: 'file' })],
  })
  const appointmentId = `appointment-${companyId}`
  await appointments.create(companyId, visit(companyId, appointmentId, { serviceId: 'visit', resourceId: 'desk' }), { capacity: 100, now: '2026-03-02T15:00:00.000Z' }, [])
}

const ABSENT: Ids = {
  serviceId: 'none', resourceId: 'none', appointmentId: 'none', formId: 'none', calendarId: 'none', leadId: 'none', messageId: 'none', kind: 'reminder_day_before', channel: 'sms',
  agentId: 'none', version: '9', recordingId: 'none', entryId: 'none', targetId: 'none', callSid: 'none', liveSid: 'none', gapId: 'none', name: 'none', userId: 'none', deviceId: 'none', keyId: 'none', grantId: 'none',
}

function urlOf(path: string, companyId: string, ids: Ids): string {
  return path.replace(/\{(\w+)\}/g, (_match, name: string) => (name === 'companyId' ? companyId : (ids[name === 'callSid' && path.includes('live-calls') ? 'liveSid' : name] ?? '')))
}

t.test('T25, T26: every route, for every role, with its own, a foreign and an absent id, answers as the table says', async (t) => {
  const world = await openCompanyWorld()
  const { app, as } = world
  const document = (await app.inject('/openapi.json')).json() as ApiDocument
  const served = Object.entries(document.paths)
    .flatMap(([path, operations]) => Object.keys(operations).map((method) => `${method.toUpperCase()} ${path.replace('/api/v1', '')}`))
    .filter((operation) => !OWN_SESSION.test(operation))
  const rows: Readonly<Record<string, Row>> = Object.fromEntries(served.map((operation) => [operation, TABLE[operation] ?? derivedRow(document, operation)]))
  t.same(Object.keys(TABLE).filter((operation) => !served.includes(operation)), [], 'every row has a route')

  const owners = { 'polar-bay': await as('polar-bay', 'owner'), 'harbor-lane': await as('harbor-lane', 'owner') }
  let own = await furnish(world, 'polar-bay', owners['polar-bay'])
  const foreign = await furnish(world, 'harbor-lane', owners['harbor-lane'])
  const helper = await world.addUser(PLATFORM, 'support')
  const principals: [string, Role][] = ['polar-bay', PLATFORM].flatMap((companyId) => ROLES.map((role): [string, Role] => [companyId, role]))
  let cells = 0
  const unexpected: string[] = []

  const check = async (who: string, send: Ask, operation: string, row: Row, companyId: string, ids: Ids, expected: number | 'allowed'): Promise<void> => {
    const [method = 'GET', path = ''] = operation.split(' ')
    const body = row.body === undefined ? undefined : JSON.parse(JSON.stringify(row.body).replace('"SUPPORT"', `"${helper.id}"`)) as object
    const headers = row.ifMatch === true ? { 'if-match': '"v1"' } : {}
    const url = urlOf(path, companyId, ids) + (row.query ?? '')
    const status = path.endsWith('/events') && expected === 'allowed' ? await firstStatus(world, url, await world.bearer(await world.addUser('polar-bay', 'read_only'))) : (await send(method as 'GET', url, body, headers)).statusCode
    cells += 1
    const guessed = row.derived === true && expected === 404 && status === 400
    const ok = guessed || expected === 'allowed' ? status < 500 && ![401, 403, 404].includes(status) : status === expected
    if (!ok) unexpected.push(`${who} ${method} ${url}: ${status}, expected ${expected}`)
  }

  const nobody: Ask = (method, path, body) => app.inject({ method, url: `/api/v1${path}`, ...(body === undefined ? {} : { payload: body as object }) })
  for (const [operation, row] of Object.entries(rows)) {
    const hasCompany = operation.includes('{companyId}')
    const hasId = /\{(?!companyId)/.test(operation) && row.names !== true
    await check('nobody', nobody, operation, row, 'polar-bay', own, 401)
    for (const [home, role] of principals) {
      const who = `${home}/${role}`
      const send = await as(home, role)
      const may = permissionsOf(home, role).has(row.permission)
      const isPlatform = home === PLATFORM
      if (hasCompany) {
        await check(who, send, operation, row, 'nowhere', own, 404)
        if (!isPlatform) await check(who, send, operation, row, 'harbor-lane', foreign, 404)
        await check(who, send, operation, row, PLATFORM, ABSENT, !isPlatform ? 404 : !may ? 403 : row.platformHasIt !== true || hasId ? 404 : 'allowed')
        if (hasId) {
          await check(who, send, operation, row, 'polar-bay', foreign, may ? 404 : 403)
          await check(who, send, operation, row, 'polar-bay', ABSENT, may ? 404 : 403)
        }
      }
      const named = [...operation.matchAll(/\{(\w+)\}/g)].every(([, name = '']) => name === 'companyId' || name in own)
      await check(who, send, operation, row, 'polar-bay', own, !may ? 403 : named ? 'allowed' : 404)
      if (may && operation === 'DELETE /companies/{companyId}') await world.refill('polar-bay')
      if (may && USES_UP.test(operation)) own = await furnish(world, 'polar-bay', owners['polar-bay'])
    }
  }
  t.same(unexpected, [])
  t.ok(cells > 2500)
  const derived = Object.keys(rows).filter((operation) => rows[operation]?.derived === true)
  t.comment(`${Object.keys(rows).length} routes, ${cells} cells, ${unexpected.length} unexpected${derived.length === 0 ? '' : `; rows made from the route itself: ${derived.join(', ')}`}`)
})

type ApiDocument = Readonly<{ paths: Readonly<Record<string, Readonly<Record<string, Readonly<{ description?: string; requestBody?: unknown }>>>>> }>

/** A route that the table does not name yet is checked by what it declares: a permission, or the build fails. */
function derivedRow(document: ApiDocument, operation: string): Row {
  const [method = '', path = ''] = operation.split(' ')
  const described = document.paths[`/api/v1${path}`]?.[method.toLowerCase()]
  const permission = /permission `([^`]+)`/.exec(described?.description ?? '')?.[1]
  const known = PERMISSIONS.find((one) => one === permission)
  if (known === undefined) throw new Error(`${operation} declares no permission`)
  return { permission: known, derived: true, ...(described?.requestBody === undefined ? {} : { body: {} }), ...(['PATCH', 'PUT'].includes(method) ? { ifMatch: true } : {}) }
}

/** Of a reply that does not end by itself. */
async function firstStatus(world: CompanyWorld, url: string, headers: Readonly<Record<string, string>>): Promise<number> {
  const response = await world.app.inject({ method: 'GET', url: `/api/v1${url}`, headers, payloadAsStream: true })
  response.stream().destroy()
  return response.statusCode
}

t.test('T23, T24: in 10,000 operations of two companies, no fact of the one reaches the other', async (t) => {
  const world = await openCompanyWorld()
  const { repositories, ports, clock } = world
  const { knowledge, companies, agents, calls } = repositories
  let state = 7
  const roll = (sides: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor((state / 2_147_483_648) * sides)
  }
  const signal = new AbortController().signal
  const questions = ['what is your mascot called', 'how much is a tune up', 'connect me to the desk', 'who are you', 'glacierfox', 'molarwhale', 'do you sell glacierfox toys', 'tell me about molarwhale', 'goodbye']
  const principal = (companyId: CompanyId): Pick<Principal, 'companyId'> => ({ companyId })
  const send = { 'polar-bay': await world.as('polar-bay', 'owner'), 'harbor-lane': await world.as('harbor-lane', 'owner') }
  const typed = (text: string) => ({ input: { kind: 'speech' as const, text }, dialogue: null, from: NUMBER, at: null, turn: 1 })
  /** What a caller said may hold any word; the answer to it must not. */
  const withoutEcho = (answer: Awaited<ReturnType<typeof ask>>) => ({ said: answer.said, actions: answer.actions, dialogue: answer.dialogue })
  type Operation = (companyId: CompanyId, n: number) => Promise<unknown>
  const operations: Operation[] = [
    async (companyId) => withoutEcho(await ask(ports, clock, await ports.contexts.load(companyId, signal), typed(questions[roll(questions.length)] ?? ''), signal)),
    async (companyId) => withoutEcho(await ask(ports, clock, await ports.contexts.load(companyId, signal), typed(questions[roll(2)] ?? ''), signal)),
    async (companyId) => (await ports.contexts.load(companyId, signal)).knowledge.search(questions[roll(questions.length)] ?? '', { limit: 5 }, signal),
    async (companyId) => [...(await ports.contexts.load(companyId, signal)).entryById.values()],
    async (companyId) => knowledge.list(companyId, { text: roll(2) === 0 ? 'mascot' : 'glacierfox molarwhale' }),
    async (companyId) => knowledgeToCsv(await knowledge.listAll(companyId)),
    async (companyId, n) => knowledge.save(companyId, entry(companyId, `extra-${n % 20}`, { question: `What about ${CANARIES[companyId]} number ${n % 20}?`, answer: `${CANARIES[companyId]} ${n}.` })),
    async (companyId, n) => knowledge.delete(companyId, `extra-${n % 20}`),
    async (companyId) => calls.list(companyId, { before: null, limit: 20 }),
    async (companyId) => calls.turns(companyId, `CA-${COMPANIES[roll(2)] ?? ''}`),
    async (companyId) => calls.gaps(companyId, { after: null, limit: 20 }),
    async (companyId, n) => calls.saveTurn(companyId, `CA-${companyId}`, turn(n % 30, { heard: CANARIES[companyId] })),
    async (companyId) => agents.getPublished(companyId, 'front-desk'),
    async (companyId) => companies.get(principal(companyId).companyId),
    async (companyId) => void ports.saved(companyId),
    async (companyId, n) => void ports.events.publish(companyId, { kind: 'turn.finished', at: '', callSid: 'CA1', data: { heard: CANARIES[companyId], n } }),
    async (companyId) => ports.secrets?.list(companyId),
  ]
  const rest: Operation[] = ['knowledge', 'knowledge-export', 'gaps', 'calls', 'agents', 'effective-config', 'transfer-targets', 'services', 'resources', 'forms', 'appointments', 'leads', 'messages', 'event-log', 'notification-templates', `calls/CA-polar-bay`, `calls/CA-harbor-lane`, 'audit'].map(
    (path): Operation => async (companyId) => (await send[companyId]('GET', `/companies/${companyId}/${path}`)).body,
  )
  const leaks: string[] = []
  const overheard: string[] = []
  const end = new AbortController()
  const watching = COMPANIES.map(async (companyId) => {
    for await (const event of ports.events.subscribe(companyId, null, end.signal)) if (mentionsOther(companyId, event)) overheard.push(companyId)
  })
  for (let n = 0; n < 10_000; ) {
    // Together, so that a cache that mixes up two loads under way would show it.
    const batch = Array.from({ length: 8 }, () => {
      n += 1
      const companyId = COMPANIES[roll(2)] as CompanyId
      const which = n % 20 === 0 ? rest : operations
      const operation = which[roll(which.length)] as Operation
      return operation(companyId, n).then((result) => (mentionsOther(companyId, result) ? leaks.push(`${companyId}: ${operation.toString().slice(0, 90)}`) : 0))
    })
    await Promise.all(batch)
  }
  end.abort()
  await Promise.all(watching)
  t.same(leaks, [])
  t.same(overheard, [])
  const said = withoutEcho(await ask(ports, clock, await ports.contexts.load('polar-bay', signal), typed('what is your mascot called'), signal))
  t.match(JSON.stringify(said), /glacierfox/, 'and each company still knows its own')
})

function mentionsOther(companyId: CompanyId, result: unknown): boolean {
  const other = COMPANIES.find((one) => one !== companyId) as CompanyId
  return (JSON.stringify(result) ?? '').includes(CANARIES[other])
}

const src = join(import.meta.dirname, '../../src')

t.test('no repository method does without a companyId, save those that look one up or go through all of them', async (t) => {
  const files = ['tenancy/repositories.ts', 'call/call-record.ts', 'security/repositories.ts', 'events/event.ts', 'events/outbox.ts', 'events/lead.ts', 'booking/appointment-repository.ts']
  const without = files.flatMap((file) => {
    const interfaces = [...readFileSync(join(src, file), 'utf8').matchAll(/export interface (\w+Repository|\w+Store|Outbox) \{\n([\s\S]*?)\n\}/g)]
    return interfaces.flatMap(([, name = '', body = '']) => [...body.matchAll(/^ {2}(\w+)\(\s*(\w*)/gm)].filter((method) => method[2] !== 'companyId').map((method) => `${name}.${method[1]}`))
  })
  t.same(without.sort(), [
    'AuditRepository.listCompanies', 'CompanyRepository.findByPhoneNumber', 'CompanyRepository.list', 'Outbox.depth', 'Outbox.due', 'SessionRepository.sweep', 'UserRepository.findByEmail',
  ])
})

t.test('no statement reads or changes rows without naming the company, save the same few', async (t) => {
  const statements = readdirSync(join(src, 'storage'))
    .filter((name) => /^embedded-.*\.ts$/.test(name) && name !== 'embedded-migrations.ts')
    .flatMap((name) => [...readFileSync(join(src, 'storage', name), 'utf8').matchAll(/(['`])((?:SELECT|UPDATE|DELETE|INSERT)\b[\s\S]*?)\1/g)].map((match) => `${name}: ${(match[2] ?? '').replaceAll(/\s+/g, ' ')}`))
  t.ok(statements.length > 60, `${statements.length} statements`)
  const conditions = (sql: string): string => sql.slice(sql.search(/WHERE|VALUES|ON CONFLICT/))
  const open = statements.filter((sql) => !/company_id/.test(conditions(sql)) && !/INSERT (OR \w+ )?INTO \w+ \((rowid, company,|company_id|phone_number_e164, company_id)/.test(sql))
  t.same(open.filter((sql) => !GLOBAL_STATEMENTS.some((known) => sql.includes(known))), [])
  t.same(GLOBAL_STATEMENTS.filter((known) => !open.some((sql) => sql.includes(known))), [], 'no reason outlives its statement')
})

/** Whose number or address is this, what has expired or is due, how much there is of all, and rows of a text index that were found by company a line before. */
const GLOBAL_STATEMENTS: readonly string[] = [
  'FROM company_phone_numbers JOIN companies USING (company_id) WHERE phone_number_e164 = ?',
  'SELECT company_id FROM company_phone_numbers WHERE phone_number_e164 = ?',
  'DELETE FROM knowledge_text WHERE rowid = ?',
  'FROM users WHERE email = ?',
  'SELECT company_id FROM audit_heads ORDER BY company_id',
  'DELETE FROM attempts WHERE rowid IN',
  'DELETE FROM idempotency WHERE rowid IN',
  'DELETE FROM spent_nonces WHERE rowid IN',
  'DELETE FROM sessions WHERE expires_at < ?',
  "WHERE state = 'waiting' AND due_at <= ?1 AND ${OLDEST_OF_SUBJECT}",
  "WHERE state = 'claimed' AND lease_until <= ?1",
  "WHERE seq IN (SELECT seq FROM outbox WHERE state = 'sending' AND lease_until <= ?1 LIMIT ?3)",
  'FROM outbox GROUP BY state',
  "SELECT min(due_at) AS due_at FROM outbox WHERE state = 'waiting'",
]
