/** Where a calendar is, with what it takes to read it. */
export type CalendarAccess = Readonly<{ url: string; username: string; password: string | null }>
export type ReadRange = Readonly<{ fromMs: number; toMs: number }>

/** Reads a calendar that is kept elsewhere, as iCalendar texts. Throws INVALID_INPUT, FORBIDDEN, ENGINE_FAILED, ENGINE_UNAVAILABLE. */
export interface CalendarSourceReader {
  read(access: CalendarAccess, range: ReadRange, signal: AbortSignal): Promise<readonly string[]>
}
