import type { ContactStore, MessageTemplateStore } from '../../src/events/contacts.ts'
import { eventStores } from '../../src/events/erasure.ts'
import type { EventStore } from '../../src/events/event.ts'
import type { LeadStore } from '../../src/events/lead.ts'
import type { Outbox } from '../../src/events/outbox.ts'
import { CALLER, at, event, item, lead } from './fixtures.ts'

type Test = import('tap').Test
type Stores = Readonly<{ eventLog: EventStore; outbox: Outbox; leads: LeadStore; contacts: ContactStore; messageTemplates: MessageTemplateStore }>
const never = new AbortController().signal

/** What any store of events, tasks, messages, leads, contacts and templates must do. `make` gives an empty one. */
export function eventStoresContract(t: Test, make: (t: Test) => Promise<Stores>): void {
  t.test('events are kept in the order they came, each once, and only their company sees them', async (t) => {
    const { eventLog } = await make(t)
    const booked = event('a', 'appointment.booked', 'appointment/A1', { callSid: 'CA1', data: { n: 1 } })
    const sent = event('a', 'message.sent', 'message/M1')
    await eventLog.append('a', [booked])
    await eventLog.append('a', [sent, booked])
    await eventLog.append('b', [event('b', 'lead.created', 'lead/L1')])
    t.same(await eventLog.list('a', { after: null, limit: 10 }), [booked, sent])
    t.same(await eventLog.list('a', { after: booked.id, limit: 10 }), [sent])
    t.same(await eventLog.list('a', { after: null, limit: 1 }), [booked])
    t.same(await eventLog.list('a', { after: null, limit: 10, types: ['message.sent', 'message.failed'] }), [sent])
    t.same(await eventLog.list('a', { after: null, limit: 10, subject: 'appointment/A1' }), [booked])
    t.same(await eventLog.list('a', { after: null, limit: 10, callSid: 'CA1' }), [booked])
    t.equal(await eventLog.newestId('a'), sent.id)
    t.equal(await eventLog.newestId('nobody'), null)
    t.equal(await eventLog.get('b', booked.id), null)
    await t.rejects(eventLog.list('b', { after: booked.id, limit: 10 }), { code: 'INVALID_INPUT' })
    await t.rejects(eventLog.append('b', [sent]), { code: 'INVALID_INPUT', message: /companyId/ })
    await t.rejects(eventLog.append('a', [{ ...sent, data: { text: 'x'.repeat(20_000) } }]), { code: 'INVALID_INPUT', message: /characters/ })
  })

  t.test('old events go, and one can be made to forget somebody', async (t) => {
    const { eventLog } = await make(t)
    const [first, second] = [event('a', 'message.sent', 'message/M1', { at: at(0) }), event('a', 'message.received', `contact/${CALLER}`, { at: at(60), data: { from: CALLER } })]
    await eventLog.append('a', [first, second])
    t.equal(await eventLog.deleteBefore('a', at(30), 100), 1)
    t.ok(await eventLog.rewrite('a', { ...second, subject: 'contact/[erased]', data: { from: '[erased]' } }))
    t.notOk(await eventLog.rewrite('b', { ...second, companyId: 'b' }))
    t.notMatch(JSON.stringify(await eventLog.list('a', { after: null, limit: 10 })), CALLER)
  })

  t.test('an event that something follows from comes with one task; the others are only kept', async (t) => {
    const { eventLog, outbox } = await make(t)
    const booked = event('a', 'appointment.booked', 'appointment/A1')
    await eventLog.append('a', [booked, event('a', 'message.sent', 'message/M1')])
    await eventLog.append('a', [booked])
    t.match(await outbox.list('a', { before: null, limit: 10, kind: 'event' }), [{ state: 'waiting', work: { kind: 'event', event: booked }, attempts: 0 }])
    t.equal((await outbox.list('a', { before: null, limit: 10, kind: 'event' })).length, 1)
  })

  t.test('of a subject only the oldest task may be done; messages and other subjects go on', async (t) => {
    const { eventLog, outbox } = await make(t)
    await eventLog.append('a', [event('a', 'appointment.booked', 'appointment/A1'), event('a', 'appointment.rescheduled', 'appointment/A1'), event('a', 'appointment.booked', 'appointment/A2')])
    const now = '2099-01-01T00:00:00.000Z'
    const types = async (): Promise<string[]> => {
      const due = await outbox.due(now, 10)
      const items = await Promise.all(due.map(({ companyId, itemId }) => outbox.get(companyId, itemId)))
      return items.map((one) => (one?.work.kind === 'event' ? `${one.work.event.type} ${one.subject}` : 'message'))
    }
    t.same(await types(), ['appointment.booked appointment/A1', 'appointment.booked appointment/A2'])
    const [second] = await outbox.list('a', { before: null, limit: 1, kind: 'event', subject: 'appointment/A1' })
    t.equal(await outbox.claim('a', second?.id ?? '', { token: 'w', now, leaseUntil: now }), null, 'not before the one before it')
    const [first] = await outbox.due(now, 1)
    const until = '2099-01-01T00:01:00.000Z'
    const lease = await outbox.claim('a', first?.itemId ?? '', { token: 'w', now, leaseUntil: until })
    t.same(await types(), ['appointment.booked appointment/A2'], 'nor while somebody is at it')
    await outbox.settle('a', lease?.item.id ?? '', 'w', { state: 'done', reason: '', providerId: null }, now)
    t.same(await types(), ['appointment.rescheduled appointment/A1', 'appointment.booked appointment/A2'])
  })

  t.test('a message is written once by its key, found when it is due, and held by one worker', async (t) => {
    const { outbox } = await make(t)
    const due = item('reminder:1', { dueAt: at(60) })
    t.equal(await outbox.add('a', [due, item('reminder:1'), item('reminder:2', { dueAt: at(90) })], at(0)), 2)
    t.equal(await outbox.add('b', [item('reminder:1', { dueAt: at(600) })], at(0)), 1, 'a key is its company\'s')
    t.same(await outbox.due(at(59), 10), [])
    t.same(await outbox.due(at(60), 10), [{ companyId: 'a', itemId: due.id, dueAt: at(60) }])
    t.equal(await outbox.claim('a', due.id, { token: 'w1', now: at(59), leaseUntil: at(99) }), null)
    t.equal(await outbox.claim('b', due.id, { token: 'w1', now: at(60), leaseUntil: at(99) }), null)
    const claims = await Promise.all(['w1', 'w2', 'w3'].map((token) => outbox.claim('a', due.id, { token, now: at(60), leaseUntil: at(99) })))
    t.same(claims.map((lease) => lease?.token ?? null), ['w1', null, null])
    t.match(claims[0]?.item, { ...due, state: 'claimed', attempts: 1 })
    t.notOk(await outbox.beginSending('a', due.id, 'w2', at(61), at(99)))
    t.ok(await outbox.beginSending('a', due.id, 'w1', at(61), at(99)))
    t.notOk(await outbox.beginSending('a', due.id, 'w1', at(61), at(99)), 'and begun once')
    t.notOk(await outbox.settle('a', due.id, 'w2', { state: 'done', reason: '', providerId: 'SM1' }, at(62)))
    const sent = event('a', 'message.sent', `message/${due.id}`)
    t.ok(await outbox.settle('a', due.id, 'w1', { state: 'done', reason: '', providerId: 'SM1', events: [sent] }, at(62)))
    t.match(await outbox.get('a', due.id), { state: 'done', providerId: 'SM1', attempts: 1 })
    t.same(await outbox.due(at(80), 10), [])
    t.equal(await outbox.sentSince('a', 'sms', at(61)), 1)
    t.equal(await outbox.sentSince('a', 'sms', at(62)), 0)
    t.equal(await outbox.sentSince('a', 'email', at(0)), 0)
  })

  t.test('a worker that is lost before it asked the provider is replaced; one lost after leaves an unknown that nobody sends again', async (t) => {
    const { outbox, eventLog } = await make(t)
    const [before, after] = [item('one'), item('two')]
    await outbox.add('a', [before, after], at(0))
    for (const { id } of [before, after]) await outbox.claim('a', id, { token: 'dead', now: at(0), leaseUntil: at(30) })
    await outbox.beginSending('a', after.id, 'dead', at(1), at(30))
    t.same(await outbox.due(at(29), 10), [])
    t.same((await outbox.due(at(30), 10)).map((one) => one.itemId), [before.id])
    t.match(await outbox.get('a', after.id), { state: 'unknown', reason: /stopped/ })
    t.match(await eventLog.list('a', { after: null, limit: 10 }), [{ type: 'message.unknown', subject: `message/${after.id}` }])
    t.same((await outbox.due(at(9999), 10)).map((one) => one.itemId), [before.id])
    t.notOk(await outbox.beginSending('a', before.id, 'dead', at(31), at(60)), 'a worker that was only slow finds its lease gone')
    t.notOk(await outbox.settle('a', after.id, 'dead', { state: 'waiting', reason: '', dueAt: at(40), countsAsAttempt: true }, at(31)))
    t.equal((await outbox.claim('a', before.id, { token: 'next', now: at(31), leaseUntil: at(60) }))?.item.attempts, 2)
  })

  t.test('the carrier\'s word proves what was taken, moves forward only, and is believed for its own message', async (t) => {
    const { outbox } = await make(t)
    const [lost, sent] = [item('lost'), item('sent')]
    await outbox.add('a', [lost, sent], at(0))
    for (const { id } of [lost, sent]) {
      await outbox.claim('a', id, { token: 'w', now: at(0), leaseUntil: at(30) })
      await outbox.beginSending('a', id, 'w', at(1), at(30))
    }
    await outbox.settle('a', sent.id, 'w', { state: 'done', reason: '', providerId: 'SM2' }, at(2))
    await outbox.due(at(30), 10)
    t.match(await outbox.delivered('a', lost.id, { providerId: 'SM1', delivery: 'sent', reason: '' }, at(40)), { state: 'done', providerId: 'SM1', delivery: 'sent' })
    t.equal(await outbox.delivered('a', sent.id, { providerId: 'SM9', delivery: 'delivered', reason: '' }, at(40)), null)
    t.match(await outbox.delivered('a', sent.id, { providerId: 'SM2', delivery: 'delivered', reason: '' }, at(40)), { delivery: 'delivered' })
    t.equal(await outbox.delivered('a', sent.id, { providerId: 'SM2', delivery: 'queued', reason: '' }, at(41)), null)
    t.equal(await outbox.delivered('b', sent.id, { providerId: 'SM2', delivery: 'delivered', reason: '' }, at(41)), null)
  })

  t.test('what a task leads to is written with its end; what is no longer true is dropped, even out of a worker\'s hands', async (t) => {
    const { outbox, eventLog } = await make(t)
    const [held, waiting, other, begun] = [item('reminder:h'), item('reminder:w'), item('confirmation:o'), item('reminder:b')]
    await outbox.add('a', [held, waiting, other, begun], at(0))
    for (const { id } of [held, begun]) await outbox.claim('a', id, { token: 'm', now: at(0), leaseUntil: at(60) })
    await outbox.beginSending('a', begun.id, 'm', at(1), at(60))
    await eventLog.append('a', [event('a', 'appointment.cancelled', 'appointment/A1')])
    const now = '2099-01-01T00:00:00.000Z'
    const [task] = await outbox.list('a', { before: null, limit: 1, kind: 'event' })
    await outbox.claim('a', task?.id ?? '', { token: 'e', now, leaseUntil: '2099-01-01T00:01:00.000Z' })
    const next = item('cancellation')
    await outbox.settle('a', task?.id ?? '', 'e', { state: 'done', reason: '', providerId: null, add: [next], dropSubject: { subject: 'appointment/A1', prefix: 'reminder:', reason: 'cancelled' } }, now)
    const states = async (): Promise<(string | undefined)[]> => Promise.all([held, waiting, other, begun, next].map(async ({ id }) => (await outbox.get('a', id))?.state))
    t.same(await states(), ['dropped', 'dropped', 'waiting', 'sending', 'waiting'])
    t.notOk(await outbox.beginSending('a', held.id, 'm', at(2), at(60)))
  })

  t.test('messages are listed newest first; a dead letter is tried again, a waiting one dropped, by hand', async (t) => {
    const { outbox } = await make(t)
    const items = ['one', 'two', 'three'].map((key, n) => item(key, {}, { to: n === 0 ? '+12395550199' : CALLER }))
    for (const one of items) await outbox.add('a', [one], at(0))
    const ids = items.map((one) => one.id)
    const list = async (filter: object): Promise<number[]> => (await outbox.list('a', { before: null, limit: 10, kind: 'message', ...filter })).map((one) => ids.indexOf(one.id))
    t.same(await list({}), [2, 1, 0])
    t.same(await list({ before: ids[2] }), [1, 0])
    t.same(await list({ to: CALLER }), [2, 1])
    await outbox.claim('a', ids[0] ?? '', { token: 'w', now: at(0), leaseUntil: at(30) })
    await outbox.settle('a', ids[0] ?? '', 'w', { state: 'failed', reason: 'no such number' }, at(1))
    t.same(await list({ state: 'failed' }), [0])
    t.match(await outbox.retry('a', ids[0] ?? '', at(5)), { state: 'waiting', attempts: 0, dueAt: at(5) })
    t.equal(await outbox.retry('a', ids[1] ?? '', at(5)), null)
    t.match(await outbox.drop('a', ids[1] ?? '', 'not wanted', at(5)), { state: 'dropped', reason: 'not wanted' })
    t.equal(await outbox.drop('a', ids[1] ?? '', 'not wanted', at(5)), null)
    t.same(await outbox.list('b', { before: null, limit: 10, kind: 'message' }), [])
    await t.rejects(outbox.list('b', { before: ids[0] ?? '', limit: 10, kind: 'message' }), { code: 'INVALID_INPUT' })
    t.equal(await outbox.deleteEndedBefore('a', at(6), 10), 1)
    t.same(await list({}), [2, 0])
    t.ok(await outbox.delete('a', ids[2] ?? ''))
    t.match(await outbox.depth(), { waiting: 1, failed: 0, oldestDueAt: at(5) })
  })

  t.test('a wait that is nobody\'s failure takes its attempt back', async (t) => {
    const { outbox } = await make(t)
    const one = item('night')
    await outbox.add('a', [one], at(0))
    await outbox.claim('a', one.id, { token: 'w', now: at(0), leaseUntil: at(30) })
    await outbox.settle('a', one.id, 'w', { state: 'waiting', reason: 'quiet hours', dueAt: at(3600), countsAsAttempt: false }, at(1))
    t.match(await outbox.get('a', one.id), { state: 'waiting', attempts: 0, dueAt: at(3600), reason: 'quiet hours' })
  })

  t.test('a lead is made once by its key, together with its event and task, and edits do not overwrite each other', async (t) => {
    const { leads, eventLog, outbox } = await make(t)
    const made = await leads.create('a', lead('a', 'L1'))
    t.match(made, { created: true, lead: { id: 'L1', status: 'new', version: 1 } })
    t.match(await leads.create('a', lead('a', 'L2', { idempotencyKey: 'key-L1', summary: 'Something else.' })), { created: false, lead: { id: 'L1' } })
    t.equal((await eventLog.list('a', { after: null, limit: 10 })).length, 1)
    t.equal((await outbox.list('a', { before: null, limit: 10, kind: 'event' })).length, 1)
    const saved = await leads.save('a', { ...made.lead, status: 'contacted' }, 1, [event('a', 'lead.contacted', 'lead/L1')])
    t.match(saved, { status: 'contacted', version: 2 })
    await t.rejects(leads.save('a', made.lead, 1, [event('a', 'lead.closed', 'lead/L1')]), { code: 'CONFLICT' })
    await t.rejects(leads.save('b', { ...made.lead, companyId: 'b' }, 1, []), { code: 'NOT_FOUND' })
    t.same((await eventLog.list('a', { after: null, limit: 10 })).map((one) => one.type), ['lead.created', 'lead.contacted'], 'a save that lost left no event')
    t.same(await leads.get('a', 'L1'), saved)
    t.equal(await leads.get('b', 'L1'), null)
  })

  t.test('leads are found by status, kind, caller, call and age, newest first', async (t) => {
    const { leads } = await make(t)
    await leads.create('a', lead('a', 'L1', { createdAt: at(1) }))
    await leads.create('a', lead('a', 'L2', { createdAt: at(2), kind: 'order', phoneNumberE164: null, callSid: 'CA2' }))
    await leads.create('a', lead('a', 'L3', { createdAt: at(3), status: 'closed' }))
    await leads.create('b', lead('b', 'L4', { createdAt: at(3) }))
    const ids = async (page: object): Promise<string[]> => (await leads.list('a', { before: null, limit: 10, ...page })).map((one) => one.id)
    t.same(await ids({}), ['L3', 'L2', 'L1'])
    t.same(await ids({ before: 'L3', limit: 1 }), ['L2'])
    t.same(await ids({ status: 'closed' }), ['L3'])
    t.same(await ids({ kind: 'order' }), ['L2'])
    t.same(await ids({ phoneNumberE164: CALLER }), ['L3', 'L1'])
    t.same(await ids({ callSid: 'CA2' }), ['L2'])
    t.same(await ids({ createdFrom: at(2), createdBefore: at(3) }), ['L2'])
    await t.rejects(leads.list('b', { before: 'L1', limit: 10 }), { code: 'INVALID_INPUT' })
    t.ok(await leads.delete('a', 'L1'))
    t.notOk(await leads.delete('a', 'L1'))
    t.equal(await leads.deleteBefore('a', '2099-01-01T00:00:00.000Z', 1), 1)
    t.equal((await ids({})).length, 1)
  })
  t.test('several events are one change: each once and in order, with the tasks of those that need one', async (t) => {
    const { eventLog, outbox } = await make(t)
    const [sent, delivered, booked] = [event('a', 'message.sent', 'message/M1'), event('a', 'message.delivered', 'message/M1'), event('a', 'appointment.booked', 'appointment/A1')]
    await eventLog.append('a', [sent, delivered, booked])
    await eventLog.append('a', [delivered, booked])
    t.same((await eventLog.list('a', { after: null, limit: 10 })).map((one) => one.id), [sent.id, delivered.id, booked.id])
    t.equal((await outbox.list('a', { before: null, limit: 10, kind: 'event' })).length, 1)
    await t.rejects(eventLog.append('a', [event('a', 'message.sent', 'message/M2'), event('b', 'message.sent', 'message/M3')]), { code: 'INVALID_INPUT' })
    t.equal((await eventLog.list('a', { after: null, limit: 10 })).length, 3, 'one that is wrong and none is kept')
  })

  t.test('an end that a worker could not be told of is asked for again, and happens once', async (t) => {
    const { outbox, eventLog } = await make(t)
    const one = item('x')
    await outbox.add('a', [one], at(0))
    await outbox.claim('a', one.id, { token: 'w', now: at(0), leaseUntil: at(60) })
    await outbox.beginSending('a', one.id, 'w', at(1), at(60))
    const end = { state: 'done', reason: '', providerId: 'SM1', events: [event('a', 'message.sent', `message/${one.id}`)] } as const
    await outbox.settle('a', one.id, 'w', end, at(2))
    await outbox.settle('a', one.id, 'w', end, at(3))
    t.match(await outbox.get('a', one.id), { state: 'done', updatedAt: at(2) })
    t.equal((await eventLog.list('a', { after: null, limit: 10 })).length, 1)
  })

  t.test('a person\'s last word on texts counts, is told once, and outlives the number', async (t) => {
    const { contacts, eventLog } = await make(t)
    const said = (state: 'opted-in' | 'opted-out', seconds: number) => ({ phoneNumberE164: CALLER, state, source: 'text', at: at(seconds) }) as const
    t.equal(await contacts.get('a', CALLER), null)
    t.ok(await contacts.set('a', said('opted-out', 1), [event('a', 'contact.opted_out', `contact/${CALLER}`)]))
    t.notOk(await contacts.set('a', said('opted-out', 2), [event('a', 'contact.opted_out', `contact/${CALLER}`)]))
    t.match(await contacts.get('a', CALLER), { state: 'opted-out', at: at(1) })
    t.equal(await contacts.get('b', CALLER), null)
    t.equal((await eventLog.list('a', { after: null, limit: 10 })).length, 1)
    t.same((await contacts.list('a', { after: null, limit: 10, state: 'opted-out' })).map((one) => one.phoneNumberE164), [CALLER])
    t.same(await contacts.list('a', { after: null, limit: 10, state: 'opted-in' }), [])
    t.ok(await contacts.forget('a', CALLER))
    t.notOk(await contacts.forget('a', CALLER))
    t.match(await contacts.get('a', CALLER), { state: 'opted-out', phoneNumberE164: null })
    t.ok(await contacts.set('a', said('opted-in', 3), []))
    t.ok(await contacts.forget('a', CALLER), 'an opt-in goes whole')
    t.equal(await contacts.get('a', CALLER), null)
  })

  t.test('a template is edited by one person at a time, and one that is taken back leaves its version', async (t) => {
    const { messageTemplates } = await make(t)
    const template = { subject: '', text: 'See you {{when}}.' }
    t.match(await messageTemplates.get('a', 'reminder_day_before', 'sms'), { version: 0, template: null })
    t.match(await messageTemplates.save('a', 'reminder_day_before', 'sms', template, 0), { version: 1, template })
    await t.rejects(messageTemplates.save('a', 'reminder_day_before', 'sms', template, 0), { code: 'CONFLICT' })
    t.match(await messageTemplates.save('a', 'reminder_day_before', 'sms', null, undefined), { version: 2, template: null })
    t.match(await messageTemplates.list('a'), [{ kind: 'reminder_day_before', channel: 'sms', version: 2, template: null }])
    t.same(await messageTemplates.list('b'), [])
  })

  t.test('a caller who wants to be forgotten is found in none of them afterwards, and other callers are', async (t) => {
    const stores = await make(t)
    const { eventLog, outbox, leads, contacts } = stores
    const other = '+12395550199'
    for (const [n, number] of [CALLER, other].entries()) {
      await leads.create('a', lead('a', `L${n}`, { phoneNumberE164: number, callerName: `Name ${n}`, summary: `Call ${number} back.` }))
      await outbox.add('a', [item(`m${n}`, {}, { to: number })], at(0))
      await contacts.set('a', { phoneNumberE164: number, state: 'opted-out', source: 'text', at: at(0) }, [event('a', 'contact.opted_out', `contact/${number}`)])
    }
    await eventLog.append('a', [event('a', 'message.received', `contact/${CALLER}`, { data: { intent: 'stop' } })])
    const found = async (number: string): Promise<number> => {
      let count = 0
      for (const store of eventStores(stores)) count += await store.find('a', number, never)
      return count
    }
    t.ok((await found(CALLER)) >= 5)
    const before = await found(other)
    for (const store of eventStores(stores)) await store.erase('a', CALLER, never)
    t.equal(await found(CALLER), 0)
    t.equal(await found(other), before)
    t.match(await contacts.get('a', CALLER), { state: 'opted-out' }, 'and is still not texted')
  })
}
