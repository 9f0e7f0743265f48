import { PLATFORM } from '../../src/security/roles.ts'
import t from 'tap'
import { callStore } from '../../src/call/erasure.ts'
import { explainCall } from '../../src/call/explain.ts'
import { sweepRetention } from '../../src/call/retention.ts'
import { EventBus } from '../../src/observability/event-bus.ts'
import { call, company, entry, gap, turn } from '../storage/fixtures.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { openCompanyWorld, type Ask } from './company-world.ts'

const sids = (answer: { json: () => { items: { callSid: string }[] } }): string[] => answer.json().items.map((one) => one.callSid)

t.test('calls are listed newest first, by outcome, caller and time, page by page', async (t) => {
  const { polarBay, repositories } = await openCompanyWorld()
  for (const minute of [1, 2, 3]) {
    await repositories.calls.begin('polar-bay', call('polar-bay', `CA${minute}`, { startedAt: `2026-03-03T10:0${minute}:00.000Z`, from: `+1239555012${minute}`, outcome: 'transferred' }))
  }
  const base = '/companies/polar-bay/calls'
  t.same(sids(await polarBay('GET', base)), ['CA3', 'CA2', 'CA1', 'CA-polar-bay'])
  t.same(sids(await polarBay('GET', `${base}?outcome=completed`)), ['CA-polar-bay'])
  t.same(sids(await polarBay('GET', `${base}?from=${encodeURIComponent('(239) 555-0122')}`)), ['CA2'], 'a number may be written as people write it')
  t.same(sids(await polarBay('GET', `${base}?startedFrom=2026-03-03T10:02:00.000Z&startedBefore=2026-03-03T10:03:00.000Z`)), ['CA2'])
  const first = await polarBay('GET', `${base}?limit=3`)
  t.same(sids(await polarBay('GET', `${base}?limit=3&cursor=${first.json().nextCursor}`)), ['CA-polar-bay'])
  t.equal((await polarBay('GET', `${base}?from=nobody`)).statusCode, 400)
})

t.test('who may not read transcripts sees that somebody called, not who nor what', async (t) => {
  const { as } = await openCompanyWorld()
  const reader = await as('polar-bay', 'read_only')
  const list = await reader('GET', '/companies/polar-bay/calls')
  t.notMatch(list.body, /15550100099/)
  t.equal((await reader('GET', '/companies/polar-bay/calls/CA-polar-bay')).statusCode, 403)
  const explained = await reader('GET', '/companies/polar-bay/calls/CA-polar-bay/explain')
  t.equal(explained.statusCode, 200)
  t.notMatch(explained.body, /glacierfox/)
})

t.test('a call shows its turns with source and timings, and that somebody read it is on record', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const shown = await polarBay('GET', '/companies/polar-bay/calls/CA-polar-bay')
  t.equal(shown.statusCode, 200, shown.body)
  t.match(shown.json().turns[0], { heard: 'is glacierfox there', sources: ['fixed-answer'], entryIds: ['hours'], gapMs: 900, stages: [{ stage: 'endpoint', ms: 300 }, {}] })
  const audit = (await polarBay('GET', '/companies/polar-bay/audit?action=compliance.transcript_viewed')).json()
  t.equal(audit.items.length, 1)
  t.equal(audit.items[0].target, 'call/CA-polar-bay')
})

t.test('every silence over 700 ms has a cause', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const { silences } = (await polarBay('GET', '/companies/polar-bay/calls/CA-polar-bay/explain')).json()
  t.equal(silences.length, 1, 'the turn of 412 ms is no silence')
  t.equal(silences[0].why, '600 of 900 ms: the voice had not produced its first sound')
  const record = call('a', 'CA1')
  const cutOff = turn(1, { gapMs: 1500, stages: [{ stage: 'endpoint', ms: 250 }, { stage: 'response', ms: 1250 }], work: [{ stage: 'response', ms: 1250, outcome: 'cut-off' }], stalled: true })
  t.match(explainCall(record, [cutOff]).silences[0], { why: '1250 of 1500 ms: the language model had not begun to answer, and was cut off', stalled: true })
  t.match(explainCall(record, [turn(1, { gapMs: null, interruption: null })]).silences[0]?.why, /never became audible/)
  t.match(explainCall(record, [turn(1, { gapMs: null })]).silences[0]?.why, /went on talking/)
  t.match(explainCall(record, [turn(1, { gapMs: 701, stages: [] })]).silences[0]?.why, /not measured/)
  t.same(explainCall(record, [turn(1, { gapMs: 700 }), turn(2, { gapMs: null, said: '', input: 'dtmf' })]).silences, [])
})

t.test('a call can be taken out whole and deleted whole', async (t) => {
  const { polarBay, live } = await openCompanyWorld()
  const bundle = (await polarBay('POST', '/companies/polar-bay/calls/CA-polar-bay/export')).json()
  t.equal(bundle.call.from, '+15550100099')
  t.equal(bundle.turns.length, 2)
  t.equal(bundle.gaps.length, 1)
  live.set('polar-bay', [{ callSid: 'CA-polar-bay', startedAt: '', hangUp: () => undefined }])
  t.equal((await polarBay('DELETE', '/companies/polar-bay/calls/CA-polar-bay')).statusCode, 409, 'not while it goes on')
  live.clear()
  t.equal((await polarBay('DELETE', '/companies/polar-bay/calls/CA-polar-bay')).statusCode, 204)
  t.equal((await polarBay('GET', '/companies/polar-bay/calls/CA-polar-bay')).statusCode, 404)
  t.same((await polarBay('GET', '/companies/polar-bay/gaps')).json().items, [])
})

t.test('a call that goes on is seen and can be ended, by its own company', async (t) => {
  const { polarBay, as, live } = await openCompanyWorld()
  const ended: string[] = []
  live.set('polar-bay', [{ callSid: 'CA7', startedAt: '2026-03-02T15:00:00.000Z', hangUp: () => void ended.push('CA7') }])
  t.same((await polarBay('GET', '/companies/polar-bay/live-calls')).json(), { items: [{ callSid: 'CA7', startedAt: '2026-03-02T15:00:00.000Z' }] })
  const other = await as('harbor-lane', 'owner')
  t.same((await other('GET', '/companies/harbor-lane/live-calls')).json(), { items: [] })
  t.equal((await other('POST', '/companies/harbor-lane/live-calls/CA7/hang-up')).statusCode, 404)
  t.equal((await polarBay('POST', '/companies/polar-bay/live-calls/CA7/hang-up')).statusCode, 202)
  t.same(ended, ['CA7'])
})

t.test('T42: an erased caller is in no store any more, however the number was written', async (t) => {
  const { polarBay, repositories, live, ports } = await openCompanyWorld()
  const { calls } = repositories
  const number = '+15550100099'
  for (let n = 0; n < 250; n++) await calls.begin('polar-bay', call('polar-bay', `CA${n}`, { from: number }))
  await calls.begin('polar-bay', call('polar-bay', 'CA-spouse', { from: '+15550100055' }))
  await calls.saveTurn('polar-bay', 'CA-spouse', turn(1, { heard: 'call my wife at 555 010 0099 or (555) 010-0099, not 555 010 00991', trace: [{ step: 'x', detail: { number: '+1 555-010-0099' } }] }))
  await calls.saveGap('polar-bay', { ...gap('polar-bay', 'g-spouse', 'CA-spouse'), question: 'is 5550100099 on your list' })
  await repositories.knowledge.save('polar-bay', entry('polar-bay', 'from-a-gap', { callerPhrases: ['are you calling from 555 010 0099'] }))
  ports.events.publish('polar-bay', { kind: 'turn.finished', at: '', callSid: 'CA1', data: { heard: '555 010 0099' } })
  const before = await callStore(calls).find('polar-bay', number, AbortSignal.abort())
  t.equal(before, 253, 'the search sees what there is: 251 calls, a turn and a gap')

  live.set('polar-bay', [{ callSid: 'CA1', startedAt: '', hangUp: () => undefined }])
  t.equal((await polarBay('POST', '/companies/polar-bay/erasures', { from: number })).statusCode, 409, 'not while the caller speaks')
  live.clear()
  const answer = await polarBay('POST', '/companies/polar-bay/erasures', { from: '(555) 010-0099' })
  t.same(answer.json(), {
    clean: true,
    stores: [{ name: 'live view', erased: 1, remaining: 0 }, { name: 'calls', erased: 253, remaining: 0 }, { name: 'recordings', erased: 0, remaining: 0 }, { name: 'knowledge', erased: 1, remaining: 0 }, { name: 'appointments', erased: 0, remaining: 0 }, ...['leads', 'messages', 'events', 'contacts', 'kept replies'].map((name) => ({ name, erased: 0, remaining: 0 }))],
  }, answer.body)
  t.same((await repositories.knowledge.get('polar-bay', 'from-a-gap'))?.callerPhrases, ['are you calling from [erased]'])
  const kept = await calls.turns('polar-bay', 'CA-spouse')
  t.equal(kept[0]?.heard, 'call my wife at [erased] or [erased], not 555 010 00991', "the other caller's words stay")
  t.same(kept[0]?.trace, [{ step: 'x', detail: { number: '[erased]' } }])
  t.equal((await calls.gap('polar-bay', 'g-spouse'))?.question, 'is [erased] on your list')
  t.equal((await calls.list('harbor-lane', { before: null, limit: 10, from: number })).length, 1, "another company's calls are not this company's to erase")
  t.notMatch((await polarBay('GET', '/companies/polar-bay/audit')).body, /0100099/, 'the log says that somebody was erased, not who')
})

t.test('T42: a visit made by hand is forgotten with its name, its copies on the way and the reply that waits to be sent again', async (t) => {
  const { polarBay, repositories, security } = await openCompanyWorld()
  await openForBookings(polarBay)
  const visit = {
    serviceId: 'visit', startsAt: '2026-03-03T15:00:00.000Z', anyTime: true, reason: 'Zebulon Quux: ring +1 555 010 0099',
    customer: { name: 'Zebulon Quux', phoneNumberE164: '+15550100099' }, answers: { gate: 'Quux 7' },
  }
  const key = { 'idempotency-key': 'visit-of-zebulon' }
  const booked = await polarBay('POST', '/companies/polar-bay/appointments', visit, key)
  t.equal(booked.statusCode, 201, booked.body)
  const everything = async (): Promise<string> =>
    JSON.stringify([
      await repositories.appointments.list('polar-bay', { after: null, limit: 50 }), await repositories.eventLog.list('polar-bay', { after: null, limit: 50 }),
      await repositories.outbox.list('polar-bay', { before: null, limit: 50, kind: 'event' }), await security.store.idempotency.kept('polar-bay'),
    ])
  t.match(await everything(), /Quux.*Quux.*Quux.*Quux/s)

  const erased = (await polarBay('POST', '/companies/polar-bay/erasures', { from: '+15550100099' })).json()
  t.equal(erased.clean, true)
  t.match(erased.stores.find((store: { name: string }) => store.name === 'kept replies'), { erased: 1, remaining: 0 })
  t.notMatch(await everything(), /Quux|Zebulon|0100099/)
  const again = await polarBay('POST', '/companies/polar-bay/appointments', visit, key)
  t.same([again.statusCode, again.json().code], [409, 'ALREADY_DONE'], 'sent again it says neither what it said nor books anew')
  t.same(await repositories.appointments.list('polar-bay', { after: null, limit: 50 }), [])
})

t.test('a call is found by its sid alone: by its own company, by the platform, and by nobody else', async (t) => {
  const { polarBay, as } = await openCompanyWorld()
  const other = await as('harbor-lane', 'owner')
  const platform = await as(PLATFORM, 'owner')
  const path = '/calls/CA-polar-bay'
  const named = (await polarBay('GET', '/companies/polar-bay/calls/CA-polar-bay')).json()
  t.same((await polarBay('GET', path)).json(), named)
  t.same((await platform('GET', path)).json().turns, named.turns)
  t.equal((await other('GET', path)).statusCode, 404)
  t.equal((await platform('GET', '/calls/CA-nobody')).statusCode, 404)
})

t.test('retention: each company keeps its calls as long as it said, and a live call is left alone', async (t) => {
  const { repositories } = await openCompanyWorld()
  const { calls, companies } = repositories
  const clock = new VirtualClock(new Date('2026-04-10T00:00:00.000Z'))
  const stored = await companies.get('harbor-lane')
  await companies.save('harbor-lane', { ...company('harbor-lane'), ...stored, retention: { audioDays: 3, transcriptDays: 90, auditDays: 365, appointmentDays: 730 } })
  for (let n = 0; n < 450; n++) {
    await calls.begin('polar-bay', call('polar-bay', `OLD${n}`, { startedAt: '2026-03-05T10:00:00.000Z', endedAt: n % 2 === 0 ? '2026-03-05T10:01:00.000Z' : null }))
  }
  await calls.begin('polar-bay', call('polar-bay', 'NEW', { startedAt: '2026-04-01T10:00:00.000Z', endedAt: '2026-04-01T10:01:00.000Z' }))
  await calls.begin('polar-bay', call('polar-bay', 'LIVE', { startedAt: '2026-04-09T23:59:00.000Z' }))
  const audio: [string, string][] = []
  const failures: unknown[] = []
  const deps = {
    clock, companies, calls,
    audio: async (companyId: string, before: string) => audio.push([companyId, before]),
    onFailure: (_companyId: string, error: unknown) => void failures.push(error),
  }
  const swept = await sweepRetention(deps, new AbortController().signal)
  t.same(failures, [])
  t.equal(swept.calls, 451)
  t.same((await calls.list('polar-bay', { before: null, limit: 10 })).map((one) => one.callSid), ['LIVE', 'NEW'])
  t.equal((await calls.list('harbor-lane', { before: null, limit: 10 })).length, 1, '90 days are not over')
  t.same(audio, [['harbor-lane', '2026-04-07T00:00:00.000Z'], ['polar-bay', '2026-04-10T00:00:00.000Z']])
  t.equal((await sweepRetention(deps, new AbortController().signal)).calls, 0)
})

t.test('a question nobody could answer becomes an entry, and asking again proves it', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const base = '/companies/polar-bay/gaps'
  const [open] = (await polarBay('GET', `${base}?solved=false`)).json().items
  t.equal(open.question, 'do you sell glacierfox toys')
  t.equal((await polarBay('POST', `${base}/${open.id}/replay`)).json().answered, false)
  const solved = await polarBay('POST', `${base}/${open.id}/entry`, { question: 'Do you sell toys?', answer: 'No, we do not sell toys.' })
  t.equal(solved.statusCode, 201, solved.body)
  t.match(solved.json(), { entry: { callerPhrases: ['do you sell glacierfox toys'] }, gap: { solvedByEntryId: solved.json().entry.id } })
  const replayed = (await polarBay('POST', `${base}/${open.id}/replay`)).json()
  t.equal(replayed.answered, true)
  t.match(replayed.answer.said[0].text, /do not sell toys/)
  t.same((await polarBay('GET', `${base}?solved=false`)).json().items, [])
  t.equal((await polarBay('POST', `${base}/${open.id}/solve`, { entryId: 'mascot' })).json().solvedByEntryId, 'mascot')
  t.equal((await polarBay('POST', `${base}/${open.id}/solve`, { entryId: 'none' })).statusCode, 404)
  t.equal((await polarBay('POST', `${base}/none/replay`)).statusCode, 404)
})

t.test('usage counts minutes, answers and cost from the calls themselves', async (t) => {
  const { polarBay, repositories } = await openCompanyWorld()
  const model = { requests: 2, inputTokens: 100, cachedInputTokens: 0, outputTokens: 20, cents: 0.5, wastedRequests: 1, wastedInputTokens: 50, wastedOutputTokens: 8, wastedCents: 0.2, isEstimate: false }
  await repositories.calls.saveTurn('polar-bay', 'CA-polar-bay', turn(3, { sources: ['model'], model, gapMs: null, interruption: null }))
  await repositories.calls.begin('polar-bay', call('polar-bay', 'CA2', { startedAt: '2026-03-02T16:00:00.000Z', endedAt: '2026-03-02T16:00:30.000Z', outcome: 'transferred' }))
  const usage = await polarBay('GET', '/companies/polar-bay/usage?from=2026-03-01T00:00:00.000Z&to=2026-03-03T00:00:00.000Z')
  t.match(usage.json(), {
    calls: 2, minutes: 2.5, turns: 3, outcomes: { completed: 1, transferred: 1 }, sources: { 'fixed-answer': 2, model: 1 }, transfers: 1, interruptions: 2,
    modelTokens: 120, wastedModelTokens: 58, gapP50Ms: 412.5, gapP95Ms: 900, complete: true, cost: { callsCents: 2.125, modelCents: 0.5, wastedModelCents: 0.2 },
  }, usage.body)
  t.equal((await polarBay('GET', '/companies/polar-bay/usage?from=2026-03-03T00:00:00.000Z&to=2026-03-01T00:00:00.000Z')).statusCode, 400)
  t.equal((await polarBay('GET', '/companies/polar-bay/usage?from=2020-03-03T00:00:00.000Z')).statusCode, 400)
})

t.test('the live view tells its own company only, and closes when the session ends', async (t) => {
  const { app, as, addUser, bearer, security, clock, ports } = await openCompanyWorld()
  await as('polar-bay', 'owner')
  const watcher = await addUser('polar-bay', 'support')
  const headers = await bearer(watcher)
  const answer = app.inject({ method: 'GET', url: '/api/v1/companies/polar-bay/events', headers })
  while (ports.events.readerCount('polar-bay') === 0) await clock.advance(1)
  ports.events.publish('polar-bay', { kind: 'call.started', at: '2026-03-02T15:00:00.000Z', callSid: 'CA1', data: { from: '+15550100099' } })
  ports.events.publish('harbor-lane', { kind: 'turn.finished', at: '2026-03-02T15:00:01.000Z', callSid: 'CA2', data: { heard: 'molarwhale' } })
  await clock.advance(11_000)
  await security.sessions.end('polar-bay', watcher.id, {}, 'logout')
  await clock.advance(1000)
  const { payload, headers: got } = await answer
  t.equal(got['content-type'], 'text/event-stream')
  t.equal(got['x-frame-options'], 'DENY', 'with the headers of every other reply')
  t.match(payload, /^id: 1\nevent: call\.started\ndata: .*15550100099/m)
  t.match(payload, /: still here/)
  t.match(payload, /event: session\.ended/)
  t.notMatch(payload, /molarwhale/)
  t.equal(ports.events.readerCount('polar-bay'), 0, 'nothing is left behind')
})

t.test('the live view of somebody who may not read transcripts has no words in it', async (t) => {
  const { app, addUser, bearer, security, clock, ports } = await openCompanyWorld()
  const watcher = await addUser('polar-bay', 'read_only')
  const answer = app.inject({ method: 'GET', url: '/api/v1/companies/polar-bay/events', headers: await bearer(watcher) })
  while (ports.events.readerCount('polar-bay') === 0) await clock.advance(1)
  ports.events.publish('polar-bay', { kind: 'turn.finished', at: '2026-03-02T15:00:00.000Z', callSid: 'CA1', data: { turn: 1, gapMs: 400, heard: 'my secret', said: 'x', from: '+15550100099' } })
  await clock.advance(1)
  await security.sessions.end('polar-bay', watcher.id, {}, 'logout')
  await clock.advance(1000)
  const { payload } = await answer
  t.match(payload, /"gapMs":400/)
  t.notMatch(payload, /secret|15550100099/)
})

t.test('a server that stops does not wait for those who watch it', async (t) => {
  const { app, addUser, bearer, clock, ports } = await openCompanyWorld()
  const headers = await bearer(await addUser('polar-bay', 'support'))
  const answer = app.inject({ method: 'GET', url: '/api/v1/companies/polar-bay/events', headers })
  while (ports.events.readerCount('polar-bay') === 0) await clock.advance(1)
  await app.close()
  t.match((await answer).payload, /: connected/)
  t.equal(ports.events.readerCount('polar-bay'), 0)
})

t.test('a company has so many watchers and no more', async (t) => {
  const { app, addUser, bearer, clock, ports } = await openCompanyWorld()
  const headers = await bearer(await addUser('polar-bay', 'support'))
  const watch = () => app.inject({ method: 'GET', url: '/api/v1/companies/polar-bay/events', headers, payloadAsStream: true })
  for (let n = 0; n < 20; n++) t.equal((await watch()).statusCode, 200)
  while (ports.events.readerCount('polar-bay') < 20) await clock.advance(1)
  const refused = await watch()
  t.equal(refused.statusCode, 429)
  t.equal(refused.headers['retry-after'], '30')
  await app.close()
})

t.test('a reader that comes back goes on where it left off, and one that sleeps does not grow the server', async (t) => {
  const bus = new EventBus()
  const say = (n: number): void => bus.publish('a', { kind: 'turn.finished', at: '', callSid: 'CA1', data: { n } })
  for (let n = 1; n <= 150; n++) say(n)
  const read = async (afterId: number | null, count: number): Promise<number[]> => {
    const end = new AbortController()
    const ids: number[] = []
    for await (const event of bus.subscribe('a', afterId, end.signal)) {
      ids.push(event.id)
      if (ids.length === count) end.abort()
    }
    return ids
  }
  t.same(await read(147, 3), [148, 149, 150])
  t.same((await read(9999, 100)).at(0), 51, 'an id from before a restart: what is remembered is new')
  const end = new AbortController()
  const sleeper = bus.subscribe('a', null, end.signal)
  const first = sleeper.next()
  for (let n = 0; n < 1000; n++) say(n)
  t.equal((await first).value?.id, 951, 'a thousand came while it slept: the newest 200 waited')
  const rest: (number | undefined)[] = []
  for (let n = 952; n <= 1150; n++) rest.push((await sleeper.next()).value?.id)
  t.same(rest.at(-1), 1150)
  end.abort()
  t.equal((await sleeper.next()).done, true)
  for (let n = 0; n < 700; n++) bus.publish(`company-${n}`, { kind: 'call.started', at: '', callSid: 'CA1', data: {} })
  t.equal(bus.readerCount('a'), 0)
})

/** A service, and somebody who does it. */
async function openForBookings(ask: Ask): Promise<void> {
  const steps = [
    ['/resources', { id: 'crew', name: 'Crew' }],
    ['/services', { id: 'visit', name: 'Visit', durationMinutes: 60 }],
  ] as const
  for (const [path, body] of steps) {
    const answer = await ask('POST', `/companies/polar-bay${path}`, body)
    if (answer.statusCode !== 201) throw new Error(answer.body)
  }
}
