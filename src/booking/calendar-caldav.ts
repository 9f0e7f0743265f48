import { createAccount, fetchCalendarObjects, fetchCalendars, getBasicAuthHeaders, type DAVCalendar } from 'tsdav'
import { ClientsViaError, isClientsViaError } from '../core/errors.ts'
import { guardUrl } from '../security/url-guard.ts'
import { askCalendar, MAX_CALENDAR_BYTES, type CheckUrl } from './calendar-fetch.ts'
import type { CalendarAccess, CalendarSourceReader, ReadRange } from './calendar-source.ts'

/** Of one account; nobody keeps more than a handful. */
const MOST_CALENDARS = 20

/** A CalDAV server: a calendar's own address, or the server's, and then all calendars of the account. */
export class CalDavReader implements CalendarSourceReader {
  readonly #check: CheckUrl

  constructor(check: CheckUrl = guardUrl) {
    this.#check = check
  }

  async read(access: CalendarAccess, range: ReadRange, signal: AbortSignal): Promise<readonly string[]> {
    const headers = access.password === null ? {} : basicHeaders(access.username, access.password)
    // The library asks one thing after another: the first refusal is remembered, since it may be swallowed on the way up.
    let refusal: unknown = null
    const fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
      try {
        return await this.#ask(input, init, signal)
      } catch (error) {
        refusal ??= error
        throw error
      }
    }
    try {
      const calendars = await this.#calendars(access, headers, fetch)
      const texts: string[] = []
      let size = 0
      for (const calendar of calendars.slice(0, MOST_CALENDARS)) {
        const timeRange = { start: new Date(range.fromMs).toISOString(), end: new Date(range.toMs).toISOString() }
        for (const object of await fetchCalendarObjects({ calendar, timeRange, headers, fetch })) {
          if (typeof object.data !== 'string') continue
          size += object.data.length
          if (size > MAX_CALENDAR_BYTES) throw new ClientsViaError('ENGINE_FAILED', `the calendar is larger than ${MAX_CALENDAR_BYTES} bytes`)
          texts.push(object.data)
        }
      }
      if (refusal !== null) throw refusal
      return texts
    } catch (error) {
      signal.throwIfAborted()
      if (refusal !== null) throw refusal
      if (isClientsViaError(error)) throw error
      throw new ClientsViaError('ENGINE_FAILED', 'the CalDAV server answered something else than a calendar', {}, { cause: error })
    }
  }

  async #calendars(access: CalendarAccess, headers: Record<string, string>, fetch: typeof globalThis.fetch): Promise<readonly DAVCalendar[]> {
    if (new URL(access.url).pathname !== '/') return [{ url: access.url }]
    const account = await createAccount({
      account: { accountType: 'caldav', serverUrl: access.url, credentials: { username: access.username, password: access.password ?? '' } },
      headers,
      fetch,
    })
    return fetchCalendars({ account, headers, fetch })
  }

  /** The library's questions, by the guarded road. */
  async #ask(input: string | URL | Request, init: RequestInit, signal: AbortSignal): Promise<Response> {
    const url = input instanceof Request ? input.url : String(input)
    const headers = Object.fromEntries(new Headers(init.headers))
    const follow = init.redirect !== 'manual'
    const reply = await askCalendar(url, { method: init.method ?? 'GET', headers, body: typeof init.body === 'string' ? init.body : null, follow }, signal, this.#check)
    if (reply.status === 401 || reply.status === 403) throw new ClientsViaError('ENGINE_FAILED', 'the CalDAV server does not accept the name and password', { status: reply.status })
    if (reply.status >= 400 && init.method === 'REPORT') throw new ClientsViaError('ENGINE_FAILED', `the CalDAV server answered ${reply.status}`, { status: reply.status })
    // These have no body by definition.
    const body = reply.status === 204 || reply.status === 304 ? null : reply.text
    return new Response(body, { status: reply.status, headers: reply.headers })
  }
}

function basicHeaders(username: string, password: string): Record<string, string> {
  const { authorization } = getBasicAuthHeaders({ username, password })
  return authorization === undefined ? {} : { authorization }
}
