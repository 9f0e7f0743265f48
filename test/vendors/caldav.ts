import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

export type CalDavStandIn = Readonly<{
  /** Where it listens: plain http on loopback; the tests' own guard lets it through. */
  origin: string
  /** What was asked, oldest first: "REPORT /calendars/dana/work/". */
  asked: string[]
  /** Answers every request with this status until it is null again. */
  fail: (status: number | null) => void
  close: () => Promise<void>
}>

/** One account ("dana", "secret") with calendars of events, as RFC 4791 answers: discovery, home set, listing, calendar-query, calendar-multiget. */
export async function openCalDav(calendars: Readonly<Record<string, readonly string[]>>): Promise<CalDavStandIn> {
  const asked: string[] = []
  let failing: number | null = null
  const server = createServer(async (request, response) => {
    const path = request.url ?? '/'
    asked.push(`${request.method ?? ''} ${path}`)
    const body = await textOf(request)
    const reply = (status: number, text = '', headers: Record<string, string> = {}): void => void response.writeHead(status, { 'content-type': 'application/xml; charset=utf-8', ...headers }).end(text)
    if (failing !== null) return reply(failing)
    if (request.headers.authorization !== `Basic ${Buffer.from('dana:secret').toString('base64')}`) return reply(401)
    if (path.startsWith('/.well-known/caldav')) return reply(301, '', { location: '/dav/' })
    if (path === '/dav/') return reply(207, multistatus(path, '<d:current-user-principal><d:href>/principals/dana/</d:href></d:current-user-principal>'))
    if (path === '/principals/dana/') return reply(207, multistatus(path, '<c:calendar-home-set><d:href>/calendars/dana/</d:href></c:calendar-home-set>'))
    if (path === '/calendars/dana/') return reply(207, envelope(Object.keys(calendars).map((name) => response_(`/calendars/dana/${name}/`, COLLECTION(name))).join('')))
    const events = calendars[/^\/calendars\/dana\/([^/]+)\/$/.exec(path)?.[1] ?? '']
    if (events === undefined) return reply(404)
    if (request.method !== 'REPORT') return reply(207, multistatus(path, COLLECTION(path)))
    const one = (ics: string, index: number): string => response_(`${path}${index}.ics`, `<d:getetag>"${index}"</d:getetag><c:calendar-data>${escaped(ics)}</c:calendar-data>`)
    if (body.includes('calendar-multiget')) {
      const hrefs = new Set([...body.matchAll(/<d:href>([^<]+)<\/d:href>/g)].map((match) => match[1]))
      return reply(207, envelope(events.map((ics, index) => (hrefs.has(`${path}${index}.ics`) ? one(ics, index) : '')).join('')))
    }
    if (!/time-range start="\d{8}T\d{6}Z" end="\d{8}T\d{6}Z"/.test(body)) return reply(400, 'a query without a time range')
    return reply(207, envelope(events.map(one).join('')))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    asked,
    fail: (status) => {
      failing = status
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

const COLLECTION = (name: string): string =>
  `<d:resourcetype><d:collection/><c:calendar/></d:resourcetype><d:displayname>${name}</d:displayname><c:supported-calendar-component-set><c:comp name="VEVENT"/></c:supported-calendar-component-set>`

function multistatus(path: string, props: string): string {
  return envelope(response_(path, props))
}

function envelope(responses: string): string {
  return `<?xml version="1.0" encoding="utf-8"?><d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">${responses}</d:multistatus>`
}

function response_(href: string, props: string): string {
  return `<d:response><d:href>${href}</d:href><d:propstat><d:prop>${props}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}
