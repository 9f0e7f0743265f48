import { DateTime } from 'luxon'

/** 'HH:MM', by the clock of the place. */
export type TextingHours = Readonly<{ from: string; to: string }>

/**
 * `at` itself when somebody in `timeZone` may be texted then, else the first moment when they may. Computed by the wall clock of each
 * day, so that on the nights when clocks change the morning still begins at `from`.
 */
export function textableAt(at: Date, timeZone: string, hours: TextingHours): Date {
  const local = DateTime.fromJSDate(at, { zone: timeZone })
  const opens = onDay(local, hours.from)
  if (local < opens) return opens.toJSDate()
  if (local < onDay(local, hours.to)) return at
  return onDay(local.plus({ days: 1 }), hours.from).toJSDate()
}

/** The same where any of several zones may be theirs: the first moment when it is day in all of them. Null: it never is. */
export function textableInAll(at: Date, timeZones: readonly string[], hours: TextingHours): Date | null {
  let moment = at
  for (let rounds = 0; rounds <= MOST_ROUNDS; rounds++) {
    const next = timeZones.map((zone) => textableAt(moment, zone, hours)).reduce((latest, one) => (one > latest ? one : latest), moment)
    if (next.getTime() === moment.getTime()) return moment
    moment = next
  }
  return null
}

/** Zones whose days meet do so within a day; half a dozen of them need a round each. */
const MOST_ROUNDS = 8

/** A time that this day does not have (clocks are put forward over it) is the first one after it. */
function onDay(day: DateTime, timeOfDay: string): DateTime {
  const [hour = 0, minute = 0] = timeOfDay.split(':').map(Number)
  return day.startOf('day').set({ hour, minute })
}
