import t from 'tap'
import { expiredRecordings } from '../../src/call/recording-upkeep.ts'
import { deleteOrphans } from '../../src/call/recording-upkeep.ts'
import { rangeOf } from '../../src/admin/recording-routes.ts'
import type { MemoryRecordings } from '../support/memory-recordings.ts'
import { END, recordingFacts } from '../storage/recording-store-contract.ts'
import { openCompanyWorld } from './company-world.ts'

const { signal } = new AbortController()
const BASE = '/companies/polar-bay/recordings'

async function made(recordings: MemoryRecordings, companyId: string, changes: Parameters<typeof recordingFacts>[1] = {}): Promise<string> {
  const facts = recordingFacts(companyId, changes)
  const sink = await recordings.create(companyId, facts)
  await sink.write(0, Uint8Array.from({ length: 3200 }, (_, index) => index % 251))
  await sink.finish(END)
  return facts.id
}

t.test('an admin finds a recording, hears it from any place, and that they listened is in the audit log', async (t) => {
  const world = await openCompanyWorld()
  const { polarBay, recordings } = world
  const id = await made(recordings, 'polar-bay', { callSid: 'CA-polar-bay' })
  await made(recordings, 'polar-bay', { callSid: 'other', startedAt: '2026-03-01T10:00:00.000Z' })
  const listed = (await polarBay('GET', `${BASE}?callSid=CA-polar-bay`)).json()
  t.match(listed, { items: [{ id, durationMs: 200, endedBy: 'call', silenced: [{ because: 'private' }] }], nextCursor: null })
  const first = (await polarBay('GET', `${BASE}?limit=1`)).json()
  const second = (await polarBay('GET', `${BASE}?limit=1&cursor=${first.nextCursor}`)).json()
  t.same([first.items[0].callSid, second.items[0].callSid, second.nextCursor], ['CA-polar-bay', 'other', null])
  t.equal((await polarBay('GET', `${BASE}/${id}`)).json().notice, 'This call is recorded.')

  const whole = await polarBay('GET', `${BASE}/${id}/audio`)
  t.equal(whole.statusCode, 200)
  t.match(whole.headers, { 'content-type': 'audio/wav', 'accept-ranges': 'bytes', 'content-length': '3258', 'cache-control': /no-store/ })
  const part = await polarBay('GET', `${BASE}/${id}/audio`, undefined, { range: 'bytes=58-67' })
  t.equal(part.statusCode, 206)
  t.equal(part.headers['content-range'], 'bytes 58-67/3258')
  t.same([...part.rawPayload], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  t.equal((await polarBay('GET', `${BASE}/${id}/audio`, undefined, { range: 'bytes=-8' })).rawPayload.length, 8)
  const beyond = await polarBay('GET', `${BASE}/${id}/audio`, undefined, { range: 'bytes=9999-' })
  t.equal(beyond.statusCode, 416)
  t.match(beyond.json(), { code: 'RANGE_NOT_SATISFIABLE' })
  const played = await world.security.audit.list('polar-bay', { afterSeq: 0, limit: 50, action: 'compliance.recording_played' })
  t.equal(played.length, 3, 'every time')
  t.equal(played[0]?.fact.target, `recording/${id}`)
})

t.test('who may not read transcripts may not listen either', async (t) => {
  const { as, recordings } = await openCompanyWorld()
  const id = await made(recordings, 'polar-bay')
  const reader = await as('polar-bay', 'read_only')
  for (const path of [BASE, `${BASE}/${id}`, `${BASE}/${id}/audio`]) t.equal((await reader('GET', path)).statusCode, 403, path)
  const foreign = await as('harbor-lane', 'owner')
  for (const path of [BASE, `${BASE}/${id}`, `${BASE}/${id}/audio`]) t.equal((await foreign('GET', path)).statusCode, 404, path)
  t.equal((await foreign('GET', `/companies/harbor-lane/recordings/${id}/audio`)).statusCode, 404, 'nor by their own door')
  t.equal((await (await as('polar-bay', 'support'))('DELETE', `${BASE}/${id}`)).statusCode, 403)
})

t.test('a call shows its recordings, and where in them each silence is', async (t) => {
  const { polarBay, recordings } = await openCompanyWorld()
  const id = await made(recordings, 'polar-bay', { callSid: 'CA-polar-bay', startedAt: '2026-03-02T15:00:04.900Z' })
  t.same((await polarBay('GET', '/companies/polar-bay/calls/CA-polar-bay')).json().recordings.map((one: { id: string }) => one.id), [id])
  t.same((await polarBay('POST', '/companies/polar-bay/calls/CA-polar-bay/export')).json().recordings.map((one: { id: string }) => one.id), [id], 'and takes them along')
  t.same((await polarBay('GET', '/companies/polar-bay/calls/CA-polar-bay/explain')).json().silences[0].recording, { id, atMs: 100 })
})

t.test('T42: a recording goes with its time, its call, its caller and its company', async (t) => {
  const { polarBay, as, recordings } = await openCompanyWorld()
  await made(recordings, 'polar-bay', { startedAt: '2026-02-01T00:00:00.000Z' })
  const kept = await made(recordings, 'polar-bay', { callSid: 'CA-polar-bay' })
  t.equal(await expiredRecordings(recordings)('polar-bay', '2026-03-01T00:00:00.000Z', signal), 1, 'by retention')
  t.same([...recordings.kept.keys()], [kept])

  t.equal((await polarBay('DELETE', '/companies/polar-bay/calls/CA-polar-bay')).statusCode, 204)
  t.equal(recordings.kept.size, 0, 'with its call')

  const other = await made(recordings, 'polar-bay', { from: '+12395550122' })
  await made(recordings, 'polar-bay')
  const foreign = await made(recordings, 'harbor-lane')
  const erased = (await polarBay('POST', '/companies/polar-bay/erasures', { from: '(239) 555-0111' })).json()
  t.match(erased, { clean: true })
  t.match(erased.stores.find((store: { name: string }) => store.name === 'recordings'), { erased: 1, remaining: 0 })
  t.same([...recordings.kept.keys()].sort(), [other, foreign].sort(), 'by its caller, of this company')

  t.equal((await polarBay('DELETE', `${BASE}/${other}`)).statusCode, 204, 'by itself')
  await made(recordings, 'polar-bay')
  const companies = await as('platform', 'owner')
  t.equal((await companies('DELETE', '/companies/polar-bay')).statusCode, 204)
  t.same([...recordings.kept.keys()], [foreign], 'with its company')
  t.equal(await deleteOrphans(recordings, async () => false, signal), 1, 'and what was left behind all the same is swept')
})

t.test('a company that is to be recorded has to say for how long', async (t) => {
  const { polarBay } = await openCompanyWorld()
  const version = (await polarBay('GET', '/companies/polar-bay')).headers['etag'] as string
  const refused = await polarBay('PATCH', '/companies/polar-bay', { recording: { mode: 'announce' } }, { 'if-match': version })
  t.equal(refused.statusCode, 400)
  t.equal(refused.json().errors[0].field, 'retention.audioDays')
  const saved = await polarBay('PATCH', '/companies/polar-bay', { recording: { mode: 'announce' }, retention: { audioDays: 30 } }, { 'if-match': version })
  t.equal(saved.statusCode, 200)
  t.match(saved.json().recording, { mode: 'announce', allPartyStates: 'announce', notice: /recorded/ })
})

t.test('ranges as players write them', async (t) => {
  t.same(rangeOf(undefined, 100), { from: 0, to: 100, isPart: false })
  t.same(rangeOf('bytes=0-', 100), { from: 0, to: 100, isPart: true })
  t.same(rangeOf('bytes=10-19', 100), { from: 10, to: 20, isPart: true })
  t.same(rangeOf('bytes=90-500', 100), { from: 90, to: 100, isPart: true })
  t.same(rangeOf('bytes=-10', 100), { from: 90, to: 100, isPart: true })
  t.same(rangeOf('bytes=-500', 100), { from: 0, to: 100, isPart: true })
  for (const ignored of ['bytes=5-2', 'items=0-5', 'bytes=0-1,5-6', 'bytes=-', 'bytes=a-b']) t.same(rangeOf(ignored, 100).isPart, false, ignored)
  for (const beyond of ['bytes=100-', 'bytes=-0']) t.throws(() => rangeOf(beyond, 100), { code: 'RANGE_NOT_SATISFIABLE' }, beyond)
})
