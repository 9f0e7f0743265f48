import type { ServerResponse } from 'node:http'
import { once } from 'node:events'
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
    companyRoute(api, deps, {
      method: 'GET', path: '/companies/:companyId/events', permission: 'calls:read', audit: null, tag: 'Calls',
      summary: 'Calls and turns as they happen (text/event-stream); Last-Event-ID goes on where a reader left off',
      params: companyParams, replies: { 200: z.string() },
      handler: async ({ companyId, principal, request, reply, state }) => {
        if (ports.events.readerCount(companyId) >= MAX_READERS_PER_COMPANY) {
          throw new Problem(429, 'TOO_MANY_READERS', `${MAX_READERS_PER_COMPANY} readers watch this company already`, { headers: { 'retry-after': '30' } })
        }
        const lastId = Number(request.headers['last-event-id'])
        const scope = new Scope(state.scope)
        const seesWords = principal.permissions.has('transcripts:read')
        reply.hijack()
        reply.raw.writeHead(200, { ...withoutUndefined(reply.getHeaders()), 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' })
        reply.raw.flushHeaders()
        const isLive = (): Promise<boolean> => deps.security.sessions.stillLive(principal, scope.signal)
        const onStop = (): void => scope.end('the server stops')
        ports.stopping.addEventListener('abort', onStop, { once: true })
        scope.signal.addEventListener('abort', () => ports.stopping.removeEventListener('abort', onStop), { once: true })
        // What goes wrong while nobody waits for an answer; a reader who left is nothing wrong.
        const report = (error: unknown): void => {
          if (!scope.ended) deps.reportError(error, { traceId: state.traceId, method: 'GET', route: request.routeOptions.url ?? '' })
          scope.end('the live view failed')
        }
        void watch(reply.raw, deps.clock, isLive, scope).catch(report)
        void send(reply.raw, ports.events.subscribe(companyId, Number.isSafeInteger(lastId) ? lastId : null, scope.signal), seesWords, scope)
          .catch(report)
          .finally(() => reply.raw.end())
        return { status: 200, body: '' }
      },
    })
  }
}

/** Closes the view when the session that opened it has ended, and keeps the line alive until then. */
async function watch(response: ServerResponse, clock: Clock, isLive: () => Promise<boolean>, scope: Scope): Promise<void> {
  for (let checks = 1; !scope.ended; checks++) {
    await clock.sleep(CHECK_EVERY_MS, scope.signal)
    if (!(await isLive())) {
      response.write('event: session.ended\ndata: {}\n\n')
      scope.end('the session ended')
    } else if (checks % KEEP_ALIVE_EVERY_CHECKS === 0) response.write(': still here\n\n')
  }
}

async function send(response: ServerResponse, events: AsyncIterable<CompanyEvent>, seesWords: boolean, scope: Scope): Promise<void> {
  for await (const event of events) {
    const data = seesWords ? event.data : Object.fromEntries(Object.entries(event.data).filter(([key]) => !WORDS.has(key)))
    const { id, kind, at, callSid } = event
    const wrote = response.write(`id: ${id}\nevent: ${kind}\ndata: ${JSON.stringify({ at, callSid, ...data })}\n\n`)
    // A reader that does not read is waited for here; what happens meanwhile waits in the bounded queue.
    if (!wrote) await once(response, 'drain', { signal: scope.signal })
  }
}

function withoutUndefined(headers: Readonly<Record<string, number | string | string[] | undefined>>): Record<string, number | string | string[]> {
  const kept: Record<string, number | string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) kept[name] = value
  return kept
}
