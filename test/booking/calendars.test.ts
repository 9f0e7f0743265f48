import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { CalDavReader } from '../../src/booking/calendar-caldav.ts'
import { busyTimes } from '../../src/booking/calendar-busy.ts'
import { calendarFeed, calendarFeedPieces } from '../../src/booking/calendar-feed.ts'
import type { CheckUrl } from '../../src/booking/calendar-fetch.ts'
import { IcsUrlReader } from '../../src/booking/calendar-ics-url.ts'
import { CompanyCalendars } from '../../src/booking/company-calendars.ts'
import { SystemClock } from '../../src/core/clock.ts'
import { EmbeddedDatabase } from '../../src/storage/embedded-database.ts'
import { MIGRATIONS } from '../../src/storage/embedded-migrations.ts'
import { makeRepositories } from '../../src/storage/embedded-repositories.ts'
import { calendarSourceSchema } from '../../src/tenancy/booking-config.ts'
import { openCompanyWorld } from '../admin-resources/company-world.ts'
import { company } from '../storage/fixtures.ts'
import { openCalDav } from '../vendors/caldav.ts'
import { visit } from './appointments.ts'

const SIGNAL = new AbortController().signal
const ICS = (startsAt: string, uid = 'one'): string =>
  `BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:${uid}\r\nDTSTART:${startsAt}\r\nDURATION:PT1H\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n`
const RANGE = { fromMs: Date.parse('2026-03-01T00:00:00Z'), toMs: Date.parse('2026-04-01T00:00:00Z') }
/** The real guard refuses loopback, which is right: for tests it is the one address there is. */
const loopback: CheckUrl = async (url) => ({ url: new URL(url), address: '127.0.0.1', family: 4 })

async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('a published calendar is read from its address, redirects checked one by one, and no further than it may', async (t) => {
  const checked: string[] = []
  const check: CheckUrl = async (url) => {
    checked.push(new URL(url).pathname)
    return loopback(url)
  }
  const origin = await serve(t, (request, response) => {
    if (request.url === '/moved.ics') response.writeHead(302, { location: '/here.ics' }).end()
    else if (request.url === '/circle.ics') response.writeHead(302, { location: '/circle.ics' }).end()
    else if (request.url === '/gone.ics') response.writeHead(404).end()
    else if (request.url === '/huge.ics') response.end(Buffer.alloc(3 * 1024 * 1024, 'x'))
    else response.end(`${ICS('20260303T140000Z')}${request.headers.authorization ?? ''}`)
  })
  const read = (path: string, password: string | null = null) => new IcsUrlReader(check).read({ url: `${origin}${path}`, username: 'dana', password }, RANGE, SIGNAL)
  t.same(await read('/moved.ics'), [ICS('20260303T140000Z')])
  t.same(checked, ['/moved.ics', '/here.ics'])
  t.match((await read('/here.ics', 'secret'))[0], /Basic ZGFuYTpzZWNyZXQ=$/)
  await t.rejects(read('/circle.ics'), { code: 'ENGINE_FAILED', message: /circles/ })
  await t.rejects(read('/gone.ics'), { code: 'ENGINE_FAILED', message: /404/ })
  await t.rejects(read('/huge.ics'), { code: 'ENGINE_FAILED', message: /larger/ })
  await t.rejects(new IcsUrlReader().read({ url: `${origin}/here.ics`, username: '', password: null }, RANGE, SIGNAL), { code: 'INVALID_INPUT', message: /https/ })
  await t.rejects(new IcsUrlReader().read({ url: 'https://127.0.0.1/x.ics', username: '', password: null }, RANGE, SIGNAL), { code: 'FORBIDDEN' }, 'nobody reads our own network through a calendar')
  await t.rejects(new IcsUrlReader(loopback).read({ url: 'http://127.0.0.1:1/x.ics', username: '', password: null }, RANGE, SIGNAL), { code: 'ENGINE_UNAVAILABLE' })
})

t.test('a password goes to the host it was given for, and to no other', async (t) => {
  const seen: string[] = []
  const other = await serve(t, (request, response) => {
    seen.push(request.headers.authorization ?? 'none')
    response.end(ICS('20260303T140000Z'))
  })
  const origin = await serve(t, (_, response) => void response.writeHead(302, { location: `${other}/x.ics` }).end())
  await new IcsUrlReader(loopback).read({ url: `${origin}/x.ics`, username: 'dana', password: 'secret' }, RANGE, SIGNAL)
  t.same(seen, ['none'])
})

t.test('a CalDAV account is found from its server, or read at a calendar\'s own address', async (t) => {
  const server = await openCalDav({ work: [ICS('20260303T140000Z'), ICS('20260304T140000Z', 'two')], home: [ICS('20260305T140000Z', 'three')] })
  t.teardown(() => server.close())
  const read = (path: string, password = 'secret') => new CalDavReader(loopback).read({ url: `${server.origin}${path}`, username: 'dana', password }, RANGE, SIGNAL)
  const starts = (texts: readonly string[]): string[] => texts.map((text) => /DTSTART:(\d{8})/.exec(text)?.[1] ?? text).sort()
  t.same(starts(await read('/calendars/dana/home/')), ['20260305'])
  t.same(starts(await read('/')), ['20260303', '20260304', '20260305'])
  t.ok(server.asked.some((line) => line === 'REPORT /calendars/dana/work/'))
  await t.rejects(read('/', 'wrong'), { code: 'ENGINE_FAILED', message: /name and password/ })
  await t.rejects(read('/calendars/dana/nothing/'), { code: 'ENGINE_FAILED', message: /404/ })
  server.fail(503)
  await t.rejects(read('/calendars/dana/home/'), { code: 'ENGINE_FAILED', message: /503/ })
  await t.rejects(new CalDavReader().read({ url: server.origin, username: 'dana', password: 'secret' }, RANGE, SIGNAL), { code: 'INVALID_INPUT' }, 'the guard stands before it, too')
})

t.test('busy times are read in the background, kept over a restart, and stay when their server goes', async (t) => {
  const database = EmbeddedDatabase.open(':memory:')
  database.migrate(MIGRATIONS)
  let nowMs = Date.parse('2026-03-02T15:00:00Z')
  const clock = Object.assign(new SystemClock(), { wallTime: () => new Date(nowMs) })
  const { companies, documents } = makeRepositories(database, { clock, report: () => undefined })
  const calendars = [
    calendarSourceSchema.parse({ id: 'google', name: 'Google', kind: 'ics-url', urlSecret: 'google_ics', resourceId: 'crew-1' }),
    calendarSourceSchema.parse({ id: 'off', name: 'Off', kind: 'ics-url', url: 'https://example.com/x.ics', enabled: false }),
  ]
  await companies.save('a', company('a', { resources: [{ id: 'crew-1', name: 'One' }], calendars }))
  const asked: string[] = []
  let answer: () => string = () => ICS('20260303T140000Z')
  const reader = { read: async ({ url }: { url: string }) => { asked.push(url); return [answer()] } }
  const problems: string[] = []
  const open = (): CompanyCalendars =>
    new CompanyCalendars({
      clock, companies, documents, readers: { 'ics-url': reader, caldav: reader },
      reveal: async (_company, name) => (name === 'google_ics' ? 'https://calendar.example.com/private-1/basic.ics' : null),
      onProblem: (_company, calendarId, problem) => void problems.push(`${calendarId}: ${problem}`),
    })
  const first = open()
  t.same(first.away('a'), [], 'nobody waits for it')
  await first.round(true, SIGNAL)
  const busy = [{ resourceId: 'crew-1', startsAtMs: Date.parse('2026-03-03T14:00:00Z'), endsAtMs: Date.parse('2026-03-03T15:00:00Z') }]
  t.same(first.away('a'), busy)
  await first.round(true, SIGNAL)
  t.same(asked, ['https://calendar.example.com/private-1/basic.ics'], 'not again within ten minutes')
  const second = open()
  await second.round(false, SIGNAL)
  t.same(second.away('a'), busy, 'another process knows it from the store')
  nowMs += 10 * 60_000
  answer = () => '<html>sign in</html>'
  await first.round(true, SIGNAL)
  t.same(first.away('a'), busy, 'the last word stands')
  t.match(await first.state('a', 'google', SIGNAL), { triedAt: '2026-03-02T15:10:00.000Z', fetchedAt: '2026-03-02T15:00:00.000Z', problem: /not an iCalendar/, busyCount: 1 })
  t.same(problems, ['google: it is not an iCalendar file'])
  answer = () => ICS('20260304T140000Z')
  await first.refresh('a', 'google', SIGNAL)
  t.equal(first.away('a')[0]?.startsAtMs, Date.parse('2026-03-04T14:00:00Z'))
  await first.forget('a', 'google', SIGNAL)
  t.same(first.away('a'), [])
})

t.test('a feed says who comes, or only that the time is taken; piece by piece it is the same', async (t) => {
  const shop = company('a', { services: [{ id: 'repair', name: 'AC repair', durationMinutes: 60 }], resources: [{ id: 'crew-1', name: 'Crew one' }] })
  const address = { street: '12 Palm Way', unit: '', city: 'Fort Myers', state: 'FL', zip: '33901' }
  const visits = [
    visit('a', 'one', { customer: { name: 'Dana; Reyes, Jr', phoneNumberE164: '+12395550143', address }, answers: { gate_code: '4411' }, updatedAt: '2026-03-01T00:00:00.000Z' }),
    visit('a', 'two', { status: 'requested', startsAt: '2026-12-01T14:00:00.000Z', updatedAt: '2026-03-01T00:00:00.000Z' }),
    visit('a', 'three', { status: 'cancelled', startsAt: '2026-12-02T14:00:00.000Z' }),
  ]
  const full = calendarFeed(shop, 'crew-1', visits, 'full').replaceAll('\r\n ', '')
  t.match(full, /SUMMARY:AC repair: Dana\\; Reyes\\, Jr/)
  t.match(full, /gate code: 4411/)
  t.match(full, /STATUS:TENTATIVE/)
  t.notMatch(full, /three@/)
  const busy = calendarFeed(shop, null, visits, 'busy')
  t.notMatch(busy, /Dana|Palm|AC|2395550143/, 'nothing of who or why')
  t.equal(busy.match(/BEGIN:VEVENT/g)?.length, 2)
  let pieces = ''
  for await (const piece of calendarFeedPieces(shop, 'crew-1', pagesOf(visits), 'full')) pieces += piece
  t.equal(pieces.replaceAll('\r\n ', ''), `${full.trimEnd()}\r\n`)
  t.same(busyTimes(pieces, { timeZone: 'UTC', fromMs: 0, toMs: Date.parse('2030-01-01T00:00:00Z') }), [], 'read back in, our own visits take no time twice')
})

async function* pagesOf<T>(items: readonly T[]): AsyncGenerator<readonly T[]> {
  for (const item of items) yield [item]
}

t.test('over the API: calendars are added, uploaded and read, and feeds are subscribed to', async (t) => {
  const world = await openCompanyWorld()
  const { polarBay, app, repositories } = world
  const base = '/companies/polar-bay'
  await polarBay('POST', `${base}/resources`, { id: 'crew-1', name: 'Crew one' })
  await polarBay('POST', `${base}/services`, { id: 'repair', name: 'Repair', durationMinutes: 60 })
  const company = await polarBay('GET', base)
  await polarBay('PATCH', base, { hours: { tuesday: [{ opens: '09:00', closes: '11:00' }] } }, { 'if-match': String(company.headers.etag) })
  const offered = async (): Promise<string[]> => (await polarBay('GET', `${base}/availability?serviceId=repair&limit=2`)).json().items.map((item: { startsAt: string }) => item.startsAt)
  t.same(await offered(), ['2026-03-03T14:00:00.000Z', '2026-03-03T14:30:00.000Z'])
  t.equal((await polarBay('POST', `${base}/calendars`, { name: 'X', kind: 'ics-url' })).statusCode, 400, 'an address is needed')
  t.equal((await polarBay('POST', `${base}/calendars`, { name: 'X', kind: 'file', resourceId: 'nobody' })).statusCode, 400)
  t.equal((await polarBay('POST', `${base}/calendars`, { id: 'days-off', name: 'Days off', kind: 'file', resourceId: 'crew-1' })).statusCode, 201)
  t.match((await polarBay('GET', `${base}/calendars/days-off/state`)).json(), { fetchedAt: null, busyCount: 0 })
  t.equal((await polarBay('PUT', `${base}/calendars/days-off/file`, { ics: 'no calendar' })).statusCode, 400)
  t.match((await polarBay('PUT', `${base}/calendars/days-off/file`, { ics: ICS('20260303T140000Z') })).json(), { problem: null, busyCount: 1 })
  t.same(await offered(), ['2026-03-03T15:00:00.000Z', '2026-03-10T13:00:00.000Z'], 'at once')
  t.equal((await polarBay('POST', `${base}/calendars`, { id: 'down', name: 'Down', kind: 'ics-url', url: 'https://calendar.example.com/x.ics' })).statusCode, 201)
  t.match((await polarBay('POST', `${base}/calendars/down/refresh`, {})).json(), { problem: 'nobody is there' })
  t.equal((await polarBay('DELETE', `${base}/calendars/days-off`)).statusCode, 204)
  t.same(await offered(), ['2026-03-03T14:00:00.000Z', '2026-03-03T14:30:00.000Z'])

  await repositories.appointments.create('polar-bay', visit('polar-bay', 'one', { startsAt: '2026-03-03T14:00:00.000Z' }), { capacity: 1, now: '2026-03-02T15:00:00.000Z' }, [])
  const feeds = (await polarBay('GET', `${base}/calendar-feeds`)).json().items as { resourceId: string | null; detail: string; url: string }[]
  t.same(feeds.map((feed) => [feed.resourceId, feed.detail]), [[null, 'full'], [null, 'busy'], ['crew-1', 'full'], ['crew-1', 'busy']])
  const pathOf = (index: number): string => (feeds[index]?.url ?? '').replace('https://voice.example.com', '')
  const subscribe = (path: string) => app.inject({ method: 'GET', url: path })
  const full = await subscribe(pathOf(0))
  t.match(full.headers['content-type'], /^text\/calendar/)
  t.match(full.body, /SUMMARY:Repair: Dana Reyes/)
  t.notMatch((await subscribe(pathOf(1))).body, /Dana/)
  t.equal((await subscribe(pathOf(0).replace('/full/', '/busy/'))).statusCode, 404, 'each address is for what it says')
  t.equal((await subscribe(pathOf(2).replace('crew-1', 'crew-2'))).statusCode, 404)
  t.equal((await subscribe(pathOf(0).replace('polar-bay', 'harbor-lane'))).statusCode, 404)
  t.equal((await subscribe(pathOf(0).replace('polar-bay', 'nowhere'))).statusCode, 404)
  await polarBay('POST', `${base}/calendar-feeds/rotate`, {})
  t.equal((await subscribe(pathOf(0))).statusCode, 404, 'after a rotation the old addresses are worthless')
})
