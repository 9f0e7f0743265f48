import { Agent, fetch as send } from 'undici'
import { ClientsViaError } from '../core/errors.ts'
import { guardUrl, pinnedLookup, type GuardedUrl } from '../security/url-guard.ts'

export type CheckUrl = (url: string) => Promise<GuardedUrl>
export type CalendarReply = Readonly<{ status: number; headers: Readonly<Record<string, string>>; text: string }>
export type CalendarRequest = Readonly<{ method: string; headers: Readonly<Record<string, string>>; body: string | null; /** False: a redirect is the answer. */ follow?: boolean }>

/** A decade of a busy calendar is a megabyte; parsing two is what a worker does in a second or so. */
export const MAX_CALENDAR_BYTES = 2 * 1024 * 1024
const HEADERS_MS = 10_000
/** A published calendar often stands behind one redirect or two. Each address is checked like the first. */
const MAX_REDIRECTS = 3
const REDIRECTS = new Set([301, 302, 303, 307, 308])

/**
 * Asks an address that a company gave us, at the very address that was checked. Throws what `guardUrl` throws, also for where a redirect
 * leads; ENGINE_FAILED when it answers too much or redirects in circles, ENGINE_UNAVAILABLE when it does not answer.
 */
export async function askCalendar(url: string, request: CalendarRequest, signal: AbortSignal, check: CheckUrl = guardUrl): Promise<CalendarReply> {
  let target = url
  let { headers } = request
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    signal.throwIfAborted()
    const guarded = await check(target)
    const reply = await once(guarded, { ...request, headers }, signal)
    const location = REDIRECTS.has(reply.status) ? reply.headers['location'] : undefined
    if (location === undefined || request.follow === false) return reply
    const next = new URL(location, target)
    // A password is for the host it was given for.
    if (next.origin !== new URL(target).origin) headers = Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'))
    target = next.href
  }
  throw new ClientsViaError('ENGINE_FAILED', 'the calendar redirects in circles')
}

async function once(guarded: GuardedUrl, request: CalendarRequest, signal: AbortSignal): Promise<CalendarReply> {
  const agent = new Agent({ connect: { lookup: pinnedLookup(guarded), timeout: HEADERS_MS }, headersTimeout: HEADERS_MS, bodyTimeout: HEADERS_MS, pipelining: 0 })
  try {
    const response = await send(guarded.url, { method: request.method, headers: { ...request.headers }, body: request.body, redirect: 'manual', dispatcher: agent, signal })
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of response.body ?? []) {
      size += chunk.byteLength
      if (size > MAX_CALENDAR_BYTES) throw new ClientsViaError('ENGINE_FAILED', `the calendar is larger than ${MAX_CALENDAR_BYTES} bytes`)
      chunks.push(chunk)
    }
    return { status: response.status, headers: Object.fromEntries(response.headers), text: Buffer.concat(chunks).toString('utf8') }
  } catch (cause) {
    signal.throwIfAborted()
    if (cause instanceof ClientsViaError) throw cause
    // Never the cause's own words: an address that is a secret may stand in them.
    throw new ClientsViaError('ENGINE_UNAVAILABLE', 'the calendar does not answer', {}, { cause })
  } finally {
    await agent.destroy()
  }
}
