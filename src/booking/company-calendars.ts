import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError, isClientsViaError } from '../core/errors.ts'
import type { CalendarSource } from '../tenancy/booking-config.ts'
import type { Company } from '../tenancy/company.ts'
import type { CompanyRepository } from '../tenancy/repositories.ts'
import type { AwayTime } from './availability.ts'
import { MAX_CALENDAR_BYTES } from './calendar-fetch.ts'
import { readBusy } from './calendar-reading.ts'
import type { CalendarSourceReader } from './calendar-source.ts'

/** How a calendar stands: `fetchedAt` is of the busy times that are in use, `problem` of the last try; null where it went well. */
export type CalendarState = Readonly<{ triedAt: string | null; fetchedAt: string | null; problem: string | null; busyCount: number }>

/** Small documents of a company, as the store keeps them. */
export interface CalendarDocuments {
  get(companyId: string, collection: string, documentId: string, signal?: AbortSignal): Promise<unknown>
  put(companyId: string, collection: string, documentId: string, document: unknown, signal?: AbortSignal): Promise<void>
  delete(companyId: string, collection: string, documentId: string, signal?: AbortSignal): Promise<boolean>
}

export type CompanyCalendarsDeps = Readonly<{
  clock: Clock
  companies: Pick<CompanyRepository, 'get' | 'list'>
  documents: CalendarDocuments
  readers: Readonly<Record<'ics-url' | 'caldav', CalendarSourceReader>>
  /** A company's secret in plain text; null when there is none of that name. */
  reveal: (companyId: string, name: string, signal: AbortSignal) => Promise<string | null>
  /** A calendar that could not be read: its old busy times stay in use. */
  onProblem: (companyId: string, calendarId: string, problem: string) => void
}>

const BUSY = 'calendar-busy'
const FILES = 'calendar-files'
/** What somebody enters elsewhere is not offered to callers a quarter of an hour later. */
const REFRESH_EVERY_MS = 10 * 60_000
/** An uploaded file says the same every day, but a year ahead is another year. */
const FILE_EVERY_MS = 12 * 60 * 60_000
const ROUND_MS = 60_000
const DAY_MS = 24 * 3_600_000
/** As far ahead as anybody may book, and a day. */
const AHEAD_MS = 367 * DAY_MS
const PAGE = 200

const storedSchema = z.strictObject({
  triedAt: z.iso.datetime().nullable(),
  fetchedAt: z.iso.datetime().nullable(),
  problem: z.string().nullable(),
  busy: z.array(z.tuple([z.number(), z.number()])),
})
type Stored = z.infer<typeof storedSchema>
const NEVER_READ: Stored = { triedAt: null, fetchedAt: null, problem: null, busy: [] }

/**
 * Outside calendars of all companies: read in the background, kept in the store, and in memory for whoever asks what is free. A caller
 * never waits for somebody else's server; a server that is down leaves its last word standing.
 */
export class CompanyCalendars {
  readonly #deps: CompanyCalendarsDeps
  readonly #away = new Map<string, readonly AwayTime[]>()

  constructor(deps: CompanyCalendarsDeps) {
    this.#deps = deps
  }

  /** From memory, at once. */
  away(companyId: string): readonly AwayTime[] {
    return this.#away.get(companyId) ?? []
  }

  /** Until the signal aborts. `mayRead`: of several processes one asks the servers, all keep what is known in memory. */
  async keep(mayRead: boolean, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.round(mayRead, signal)
        await this.#deps.clock.sleep(ROUND_MS, signal)
      } catch (error) {
        if (signal.aborted) return
        throw error
      }
    }
  }

  /** One round through all companies: what is due is read, everything is taken into memory. */
  async round(mayRead: boolean, signal: AbortSignal): Promise<void> {
    for (let after: string | null = null; ; ) {
      const page: readonly Company[] = await this.#deps.companies.list({ after, limit: PAGE }, signal)
      for (const company of page) await this.#company(company, mayRead, signal)
      after = page.at(-1)?.id ?? null
      if (page.length < PAGE || after === null) return
    }
  }

  /** Reads it now. Never throws for what is wrong with the calendar: that is in the state. */
  async refresh(companyId: string, calendarId: string, signal: AbortSignal): Promise<CalendarState> {
    const { company, calendar } = await this.#find(companyId, calendarId, signal)
    await this.#read(company, calendar, signal)
    await this.#remember(company, signal)
    return this.state(companyId, calendarId, signal)
  }

  /** Keeps an uploaded file's busy times. Throws INVALID_INPUT when it is not a calendar; then the one before stays. */
  async upload(companyId: string, calendarId: string, text: string, signal: AbortSignal): Promise<CalendarState> {
    const { company, calendar } = await this.#find(companyId, calendarId, signal)
    if (calendar.kind !== 'file') throw new ClientsViaError('CONFLICT', `calendar ${calendarId} is read from its address, not from a file`)
    if (text.length > MAX_CALENDAR_BYTES) throw new ClientsViaError('INVALID_INPUT', `ics: is larger than ${MAX_CALENDAR_BYTES} bytes`, { field: 'ics' })
    const busy = await this.#busyOf([text], company, signal)
    await this.#deps.documents.put(companyId, FILES, calendarId, { text }, signal)
    await this.#store(companyId, calendarId, { triedAt: this.#now(), fetchedAt: this.#now(), problem: null, busy }, signal)
    await this.#remember(company, signal)
    return this.state(companyId, calendarId, signal)
  }

  async state(companyId: string, calendarId: string, signal: AbortSignal): Promise<CalendarState> {
    const { busy, ...state } = await this.#stored(companyId, calendarId, signal)
    return { ...state, busyCount: busy.length }
  }

  async forget(companyId: string, calendarId: string, signal: AbortSignal): Promise<void> {
    await this.#deps.documents.delete(companyId, BUSY, calendarId, signal)
    await this.#deps.documents.delete(companyId, FILES, calendarId, signal)
    const company = await this.#deps.companies.get(companyId, signal)
    if (company === null) this.#away.delete(companyId)
    else await this.#remember(company, signal)
  }

  async #company(company: Company, mayRead: boolean, signal: AbortSignal): Promise<void> {
    if (company.calendars.length === 0) {
      this.#away.delete(company.id)
      return
    }
    const nowMs = this.#deps.clock.wallTime().getTime()
    for (const calendar of mayRead ? company.calendars.filter((one) => one.enabled) : []) {
      const { triedAt } = await this.#stored(company.id, calendar.id, signal)
      const every = calendar.kind === 'file' ? FILE_EVERY_MS : REFRESH_EVERY_MS
      if (triedAt === null || nowMs - Date.parse(triedAt) >= every) await this.#read(company, calendar, signal)
    }
    await this.#remember(company, signal)
  }

  async #read(company: Company, calendar: CalendarSource, signal: AbortSignal): Promise<void> {
    const before = await this.#stored(company.id, calendar.id, signal)
    try {
      const texts = await this.#texts(company.id, calendar, signal)
      const busy = await this.#busyOf(texts, company, signal)
      await this.#store(company.id, calendar.id, { triedAt: this.#now(), fetchedAt: this.#now(), problem: null, busy }, signal)
    } catch (error) {
      signal.throwIfAborted()
      // A calendar's trouble is its company's, not the server's; anything else is a defect and is told as one.
      const problem = isClientsViaError(error) ? error.message : 'it cannot be read'
      await this.#store(company.id, calendar.id, { ...before, triedAt: this.#now(), problem }, signal)
      this.#deps.onProblem(company.id, calendar.id, isClientsViaError(error) ? problem : String(error))
    }
  }

  async #texts(companyId: string, calendar: CalendarSource, signal: AbortSignal): Promise<readonly string[]> {
    if (calendar.kind === 'file') {
      const file = z.object({ text: z.string() }).safeParse(await this.#deps.documents.get(companyId, FILES, calendar.id, signal))
      return file.success ? [file.data.text] : []
    }
    const secret = async (name: string): Promise<string> => {
      const value = await this.#deps.reveal(companyId, name, signal)
      if (value === null) throw new ClientsViaError('INVALID_INPUT', `the company has no secret "${name}"`)
      return value
    }
    const url = calendar.url ?? (await secret(calendar.urlSecret ?? ''))
    const password = calendar.passwordSecret === null ? null : await secret(calendar.passwordSecret)
    return this.#deps.readers[calendar.kind].read({ url, username: calendar.username, password }, this.#range(), signal)
  }

  async #busyOf(texts: readonly string[], company: Company, signal: AbortSignal): Promise<Stored['busy']> {
    const spans = await readBusy(this.#deps.clock, texts, { ...this.#range(), timeZone: company.timeZone }, signal)
    return spans.map((span) => [span.startsAtMs, span.endsAtMs])
  }

  async #remember(company: Company, signal: AbortSignal): Promise<void> {
    const away: AwayTime[] = []
    for (const calendar of company.calendars) {
      if (!calendar.enabled) continue
      const { busy } = await this.#stored(company.id, calendar.id, signal)
      away.push(...busy.map(([startsAtMs, endsAtMs]) => ({ resourceId: calendar.resourceId, startsAtMs, endsAtMs })))
    }
    this.#away.set(company.id, away)
  }

  async #find(companyId: string, calendarId: string, signal: AbortSignal): Promise<Readonly<{ company: Company; calendar: CalendarSource }>> {
    const company = await this.#deps.companies.get(companyId, signal)
    const calendar = company?.calendars.find((one) => one.id === calendarId)
    if (company === null || calendar === undefined) throw new ClientsViaError('NOT_FOUND', 'no such calendar', { calendarId })
    return { company, calendar }
  }

  async #stored(companyId: string, calendarId: string, signal: AbortSignal): Promise<Stored> {
    const stored = storedSchema.safeParse(await this.#deps.documents.get(companyId, BUSY, calendarId, signal))
    return stored.success ? stored.data : NEVER_READ
  }

  #store(companyId: string, calendarId: string, state: Stored, signal: AbortSignal): Promise<void> {
    return this.#deps.documents.put(companyId, BUSY, calendarId, state, signal)
  }

  #range(): Readonly<{ fromMs: number; toMs: number }> {
    const nowMs = this.#deps.clock.wallTime().getTime()
    return { fromMs: nowMs - DAY_MS, toMs: nowMs + AHEAD_MS }
  }

  #now(): string {
    return this.#deps.clock.wallTime().toISOString()
  }
}
