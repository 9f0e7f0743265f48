import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { Scope } from '../core/scope.ts'
import type { CompanyEvent } from '../observability/event-bus.ts'
import { companyParams, companyRoute, type AdminPorts } from './admin-contract.ts'
import type { Resources } from './pipeline.ts'
import { Problem } from './problems.ts'

/** A logout or a new role closes the view within this time. */
const CHECK_EVERY_MS = 1000
/** Proxies and our own idle limit close a silent connection after 20 to 60 s. */
const KEEP_ALIVE_EVERY_CHECKS = 10
/** A wall of dashboards is a dozen; more is a script that forgot to close. */
const MAX_READERS_PER_COMPANY = 20
/** What a turn's event says only to those who may read transcripts. */
const WORDS = new Set(['heard', 'said', 'delivered', 'from', 'question'])

/** The live view: server-sent events of the company's calls and turns. */
export function eventRoutes(ports: AdminPorts): Resources {
  return (api, deps) => {
    const open = new Set<Scope>()
    // Before the server waits for its replies to end: these would not end by themselves.
    api.addHook('preClose', async () => {
      for (const scope of open) scope.end('the server stops')
    })

    companyRoute(api, deps, {
      method: 'GET', path: '/companies/:companyId/events', permission: 'calls:read', audit: null, tag: 'Calls',
      summary: 'Calls and turns as they happen; Last-Event-ID goes on where a reader left off',
      params: companyParams, replies: { 200: z.string() }, replyType: 'text/event-stream',
      handler: async ({ companyId, principal, request, reply, state }) => {
        if (ports.events.readerCount(companyId) >= MAX_READERS_PER_COMPANY) {
          throw new Problem(429, 'TOO_MANY_READERS', `${MAX_READERS_PER_COMPANY} readers watch this company already`, { headers: { 'retry-after': '30' } })
        }
        const lastId = Number(request.headers['last-event-id'])
        const scope = new Scope(state.scope)
        const stream = new PassThrough()
        open.add(scope)
        scope.signal.addEventListener('abort', () => {
          open.delete(scope)
          stream.end()
        }, { once: true })
        // What goes wrong while nobody waits for an answer; a reader who left is nothing wrong.
        const close = (error: unknown = null): void => {
          if (!scope.ended && error !== null) deps.reportError(error, { traceId: state.traceId, method: 'GET', route: request.routeOptions.url ?? '' })
          scope.end('the live view is over')
        }
        stream.once('close', () => close())
        // Nothing is sent before the first byte, not even the headers.
        stream.write(': connected\n\n')
        const isLive = (): Promise<boolean> => deps.security.sessions.stillLive(principal, scope.signal)
        void watch(stream, deps.clock, isLive, scope).then(() => close(), close)
        void send(stream, ports.events.subscribe(companyId, Number.isSafeInteger(lastId) ? lastId : null, scope.signal), principal.permissions.has('transcripts:read'), scope).then(() => close(), close)
        reply.header('x-accel-buffering', 'no')
        return { status: 200, stream }
      },
    })
  }
}

/** Closes the view when the session that opened it has ended, and keeps the line alive until then. */
async function watch(stream: PassThrough, clock: Clock, isLive: () => Promise<boolean>, scope: Scope): Promise<void> {
  for (let checks = 1; !scope.ended; checks++) {
    await clock.sleep(CHECK_EVERY_MS, scope.signal)
    if (!(await isLive())) {
      stream.write('event: session.ended\ndata: {}\n\n')
      return
    } else if (checks % KEEP_ALIVE_EVERY_CHECKS === 0) stream.write(': still here\n\n')
  }
}

async function send(stream: PassThrough, events: AsyncIterable<CompanyEvent>, seesWords: boolean, scope: Scope): Promise<void> {
  for await (const event of events) {
    const data = seesWords ? event.data : Object.fromEntries(Object.entries(event.data).filter(([key]) => !WORDS.has(key)))
    const { id, kind, at, callSid } = event
    const wrote = stream.write(`id: ${id}\nevent: ${kind}\ndata: ${JSON.stringify({ at, callSid, ...data })}\n\n`)
    // A reader that does not read is waited for here; what happens meanwhile waits in the bounded queue.
    if (!wrote) await once(stream, 'drain', { signal: scope.signal })
  }
}
