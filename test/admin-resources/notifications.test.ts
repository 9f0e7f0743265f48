import t from 'tap'
import { newEvent } from '../../src/events/event.ts'
import { CALLER, item, lead } from '../events/fixtures.ts'
import { visit } from '../events/delivery-world.ts'
import { openCompanyWorld } from './company-world.ts'

const BASE = '/companies/polar-bay'

t.test('a lead is found, seen to, noted and closed, and nobody\'s edit is lost', async (t) => {
  const { polarBay, repositories, as } = await openCompanyWorld()
  for (const [n, status] of (['new', 'new', 'closed'] as const).entries()) {
    await repositories.leads.create('polar-bay', lead('polar-bay', `L${n}`, { status, createdAt: `2026-03-02T15:0${n}:00.000Z`, kind: n === 1 ? 'order' : 'callback' }))
  }
  const first = (await polarBay('GET', `${BASE}/leads?limit=2`)).json()
  t.match(first.items, [{ id: 'L2' }, { id: 'L1' }])
  t.match((await polarBay('GET', `${BASE}/leads?limit=2&cursor=${first.nextCursor}`)).json(), { items: [{ id: 'L0' }], nextCursor: null })
  t.match((await polarBay('GET', `${BASE}/leads?status=new&kind=order`)).json().items, [{ id: 'L1' }])
  t.equal((await polarBay('GET', `${BASE}/leads?from=${encodeURIComponent(CALLER)}`)).json().items.length, 3)
  t.equal((await polarBay('GET', `${BASE}/leads?colour=red`)).statusCode, 400)
  const one = await polarBay('GET', `${BASE}/leads/L0`)
  t.equal(one.headers['etag'], '"v1"')
  t.notOk('idempotencyKey' in one.json())
  t.equal((await polarBay('PATCH', `${BASE}/leads/L0`, { status: 'contacted' })).statusCode, 428)
  const patched = await polarBay('PATCH', `${BASE}/leads/L0`, { status: 'contacted', note: 'left a message' }, { 'if-match': '"v1"' })
  t.match(patched.json(), { status: 'contacted', notes: [{ text: 'left a message' }], version: 2 })
  t.equal((await polarBay('PATCH', `${BASE}/leads/L0`, { status: 'closed' }, { 'if-match': '"v1"' })).statusCode, 412)
  t.equal((await polarBay('PATCH', `${BASE}/leads/L0`, {}, { 'if-match': '"v2"' })).statusCode, 400)
  t.match((await polarBay('GET', `${BASE}/event-log?subject=lead/L0`)).json().items, [{ type: 'lead.created' }, { type: 'lead.contacted' }])
  const reader = await as('polar-bay', 'read_only')
  t.match((await reader('GET', `${BASE}/leads/L0`)).json(), { callerName: 'hidden', summary: 'hidden', slots: {}, notes: [] }, 'who may not read transcripts sees that there is something to do')
  t.notMatch((await reader('GET', `${BASE}/leads`)).body, /Dana|furnace|5550143/)
})

t.test('leads go out as CSV, and no cell is a formula', async (t) => {
  const { polarBay, repositories } = await openCompanyWorld()
  await repositories.leads.create('polar-bay', lead('polar-bay', 'L1', { callerName: '=HYPERLINK("http://x")', summary: 'Wants "two", please' }))
  await repositories.leads.create('polar-bay', lead('polar-bay', 'L2', { status: 'closed' }))
  const reply = await polarBay('POST', `${BASE}/leads-export`, { status: 'new' })
  t.match(reply.headers['content-type'], /text\/csv/)
  t.match(reply.headers['content-disposition'], /leads-polar-bay\.csv/)
  const lines = reply.body.trim().split('\n')
  t.equal(lines.length, 2)
  t.match(lines[1], /^L1,.*,"'=HYPERLINK/)
  t.match(lines[1], /"Wants ""two"", please"/)
})

t.test('a company words its own texts, and is told what is wrong before it is kept', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const url = `${BASE}/notification-templates/reminder_day_before/sms`
  const all = (await polarBay('GET', `${BASE}/notification-templates`)).json().items
  t.equal(all.length, 20)
  t.ok(all.every((one: { source: string }) => one.source === 'built-in'))
  const before = await polarBay('GET', url)
  t.match([before.headers['etag'], before.json().variables.includes('when')], ['"v0"', true])
  const wrong = await polarBay('PUT', url, { text: 'Hi {{ summary }}' }, { 'if-match': '"v0"' })
  t.match([wrong.statusCode, wrong.json()], [400, { errors: [{ field: 'text', message: /no \{\{ summary \}\}/ }] }])
  t.equal((await polarBay('PUT', url, { text: 'Hi' })).statusCode, 428)
  const kept = await polarBay('PUT', url, { text: 'See you {{ when }}, {{ customer_name }}!' }, { 'if-match': '"v0"' })
  t.match(kept.json(), { source: 'company', version: 1, warnings: [/opt out/], preview: { text: 'See you Tue, Mar 3, 8:00 AM, Dana Reyes!', segments: { segments: 1 } } })
  t.equal((await polarBay('PUT', url, { text: 'Hi' }, { 'if-match': '"v0"' })).statusCode, 412)
  t.match((await polarBay('POST', `${url}/preview`, { text: 'x'.repeat(900) })).json(), { problems: [{ message: /6 parts/ }] })
  t.match((await polarBay('POST', `${url}/preview`, {})).json(), { problems: [], preview: { text: /^See you/ } })
  t.equal((await polarBay('DELETE', url)).statusCode, 204)
  t.match((await polarBay('GET', url)).json(), { source: 'built-in', version: 2 }, 'and the old ETag stays dead')
  t.equal((await polarBay('GET', `${BASE}/notification-templates/password_link/email`)).statusCode, 400)
})

t.test('a test message is queued like any other, to a number or an address that can be one', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const send = (channel: string, to: string) => polarBay('POST', `${BASE}/notification-templates/lead_for_people/${channel}/test`, { to })
  t.equal((await send('sms', 'me')).statusCode, 400)
  t.equal((await send('email', CALLER)).statusCode, 400)
  const { messageId } = (await send('sms', CALLER)).json()
  t.match((await polarBay('GET', `${BASE}/messages/${messageId}`)).json(), { state: 'waiting', kind: 'lead_for_people', channel: 'sms', to: CALLER })
  t.match((await polarBay('POST', `${BASE}/messages/${messageId}/drop`, {})).json(), { state: 'dropped' })
  t.equal((await polarBay('POST', `${BASE}/messages/${messageId}/retry`, {})).statusCode, 409)
})

t.test('dead letters and unknowns are seen, with the reason, and tried again by hand', async (t) => {
  const { polarBay, repositories, as } = await openCompanyWorld()
  const { outbox } = repositories
  const [failed, unknown, waiting] = [item('f'), item('u'), item('w', { dueAt: '2099-01-01T00:00:00.000Z' })]
  await outbox.add('polar-bay', [failed, unknown, waiting], '2026-03-02T15:00:00.000Z')
  for (const [one, state] of [[failed, 'failed'], [unknown, 'unknown']] as const) {
    await outbox.claim('polar-bay', one.id, { token: 'w', now: '2026-03-02T15:00:00.000Z', leaseUntil: '2026-03-02T15:05:00.000Z' })
    await outbox.settle('polar-bay', one.id, 'w', { state, reason: `it is ${state}` }, '2026-03-02T15:00:01.000Z')
  }
  t.match((await polarBay('GET', `${BASE}/messages?state=failed`)).json().items, [{ id: failed.id, attempts: 1, reason: 'it is failed' }])
  t.match((await polarBay('POST', `${BASE}/messages/${failed.id}/retry`, {})).json(), { state: 'waiting', attempts: 0 })
  t.equal((await polarBay('GET', `${BASE}/messages?limit=2`)).json().items.length, 2)
  t.notMatch((await (await as('polar-bay', 'read_only'))('GET', `${BASE}/messages`)).body, CALLER)
  const harbor = await as('harbor-lane', 'owner')
  t.equal((await harbor('GET', `/companies/harbor-lane/messages/${unknown.id}`)).statusCode, 404)
  t.equal((await harbor('POST', `/companies/harbor-lane/messages/${unknown.id}/retry`, {})).statusCode, 404)
})

t.test('an opt-out that was spoken is kept, and only the person can take it back', async (t) => {
  const { polarBay, repositories } = await openCompanyWorld()
  t.match((await polarBay('POST', `${BASE}/opt-outs`, { phoneNumberE164: CALLER })).json(), { added: true })
  t.match((await polarBay('POST', `${BASE}/opt-outs`, { phoneNumberE164: CALLER })).json(), { added: false })
  t.match((await polarBay('GET', `${BASE}/opt-outs`)).json().items, [{ phoneNumberE164: CALLER, source: 'admin' }])
  t.match(await repositories.contacts.get('polar-bay', CALLER), { state: 'opted-out' })
  t.equal(await repositories.contacts.get('harbor-lane', CALLER), null)
})

t.test('somebody who is forgotten is gone from leads, messages, events and tasks, and their STOP is still kept', async (t) => {
  const { polarBay, repositories } = await openCompanyWorld()
  const { leads, outbox, eventLog, contacts } = repositories
  await leads.create('polar-bay', lead('polar-bay', 'L1'))
  await leads.create('polar-bay', lead('polar-bay', 'L2', { phoneNumberE164: '+12395550999', summary: 'Call my neighbour at (239) 555-0143 too.' }))
  await outbox.add('polar-bay', [item('to them'), item('about them', {}, { to: '+12395550188', audience: 'people', facts: { caller_number: '+1 239 555 0143' } })], '2026-03-02T15:00:00.000Z')
  const booked = visit('2026-03-05T15:00:00Z', { companyId: 'polar-bay' })
  await eventLog.append('polar-bay', [newEvent(new Date(), { companyId: 'polar-bay', type: 'appointment.booked', subject: 'appointment/A1', data: { appointment: booked } })])
  await polarBay('POST', `${BASE}/opt-outs`, { phoneNumberE164: CALLER })
  const erased = (await polarBay('POST', `${BASE}/erasures`, { from: CALLER })).json()
  t.match(JSON.stringify(erased), /"leads"/)
  const left = JSON.stringify([
    await leads.list('polar-bay', { before: null, limit: 100 }),
    await outbox.list('polar-bay', { before: null, limit: 100, kind: 'message' }),
    await outbox.list('polar-bay', { before: null, limit: 100, kind: 'event' }),
    await eventLog.list('polar-bay', { after: null, limit: 100 }),
    await contacts.list('polar-bay', { after: null, limit: 100 }),
  ])
  t.notMatch(left, /555[^0-9]{0,3}0143/)
  const events = JSON.stringify(await eventLog.list('polar-bay', { after: null, limit: 100 }))
  t.notMatch(events, /Dana|no heat/, 'the name beside the number is gone, too')
  t.match(events, /appointment\.booked/, 'and what happened is still known')
  t.match(await contacts.get('polar-bay', CALLER), { state: 'opted-out', phoneNumberE164: null })
  t.match((await leads.list('polar-bay', { before: null, limit: 10 })).map((one) => one.id), ['L2'])
})
