import { ClientsViaError } from '../core/errors.ts'
import { guardUrl } from '../security/url-guard.ts'
import { askCalendar, type CheckUrl } from './calendar-fetch.ts'
import type { CalendarAccess, CalendarSourceReader, ReadRange } from './calendar-source.ts'

/** A published .ics address, as Google, Outlook and iCloud give out. */
export class IcsUrlReader implements CalendarSourceReader {
  readonly #check: CheckUrl

  constructor(check: CheckUrl = guardUrl) {
    this.#check = check
  }

  async read(access: CalendarAccess, _range: ReadRange, signal: AbortSignal): Promise<readonly string[]> {
    // What people copy from a calendar program.
    const url = access.url.replace(/^webcals?:\/\//, 'https://')
    const reply = await askCalendar(url, { method: 'GET', headers: { accept: 'text/calendar, */*;q=0.5', ...authorization(access) }, body: null }, signal, this.#check)
    if (reply.status !== 200) throw new ClientsViaError('ENGINE_FAILED', `the calendar answered ${reply.status}`, { status: reply.status })
    return [reply.text]
  }
}

function authorization({ username, password }: CalendarAccess): Record<string, string> {
  return password === null ? {} : { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` }
}
