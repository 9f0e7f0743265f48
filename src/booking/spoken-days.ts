import * as chrono from 'chrono-node'
import { DateTime } from 'luxon'
import { WEEKDAYS } from '../tenancy/week.ts'
import { sayDay } from './say-when.ts'

/** Whole days of the company, `to` not included. */
export type Days = Readonly<{ from: DateTime; to: DateTime; said: string; /** What lies between the days of "Monday or Friday". */ gaps?: readonly Days[] }>
export type DayWish = Readonly<{ days: Days | null; except: readonly Days[]; soonest: boolean }>

const DAY_NAMES = WEEKDAYS.map((day) => `${day}|${day.slice(0, 3)}`).join('|').replace('|tue|', '|tues|tue|').replace('|thu|', '|thurs|thur|thu|').replace('|wed|', '|weds|wed|')
const WEEKDAY = `(?:(this|next|coming|this coming|following|the) )?(${DAY_NAMES})(s?)\\b`
const SOONEST = /\b(?:as soon as (?:possible|you can|you're able)|a\.?s\.?a\.?p\b|soonest|earliest|first available|next available|right away|right now|immediately|straight away|soon|whenever|any ?time|any ?day|doesn't matter|don't care|no preference|whatever(?: you have| works)?|sometime)\b/
const A_DAY = ` (?:(?:this|next|the) )?(?:${DAY_NAMES}|today|tomorrow|weekends?)s?\\b`
/** "Not Monday or Tuesday" rules out both, "not Monday, Tuesday" only one. */
const NOT = new RegExp(
  `\\b(?:but not|just not|not on|not|except(?: for)?|any ?(?:day|time) but|anything but|other than|besides|can't do|can't make|never|no)(?: on)?(${A_DAY}(?:(?:${A_DAY})* (?:or|and)${A_DAY})*)`,
  'g',
)
/** A year: the rules' horizon ends it sooner. */
const OPEN_DAYS = 365

/** Reads what normalised speech, without its times of day, says of the day. `now` in the company's zone. */
export function dayWish(said: string, now: DateTime): DayWish {
  const refused: string[] = []
  const rest = said.replaceAll(NOT, (_, words: string) => {
    refused.push(words)
    return ' '
  })
  const days = bounded(rest, now) ?? named(rest, now)
  const until = days?.to ?? now.startOf('day').plus({ days: OPEN_DAYS })
  return { days, except: refused.flatMap((words) => ruledOut(words, now, until)), soonest: SOONEST.test(rest) }
}

/** "after the 10th", "before Friday", "by Friday", "from Monday on". */
function bounded(rest: string, now: DateTime): Days | null {
  const match = /\b(after|before|by|until|starting|from|not before|no later than|later than) (?:on )?(.+)$/.exec(rest)
  const day = match === null ? null : named(match[2] ?? '', now)
  if (match === null || day === null || /\b(?:day after tomorrow|week after next)\b/.test(rest) || (match[1] === 'from' && /\b(?:weeks?|days?) from\b/.test(rest))) return null
  const today = now.startOf('day')
  switch (match[1]) {
    case 'after':
    case 'later than':
      return { from: day.to, to: today.plus({ days: OPEN_DAYS }), said: `after ${day.said}` }
    case 'before':
      return { from: today, to: day.from, said: `before ${day.said}` }
    case 'starting':
    case 'from':
    case 'not before':
      return { from: day.from, to: today.plus({ days: OPEN_DAYS }), said: `from ${day.said} on` }
    default:
      return { from: today, to: day.to, said: `by ${day.said}` }
  }
}

function named(rest: string, now: DateTime): Days | null {
  const today = now.startOf('day')
  const monday = today.startOf('week')
  if (/\bday after tomorrow\b/.test(rest)) return oneDay(today.plus({ days: 2 }), now)
  const counted = /\b(a|\d+) (day|week|month)s? from (today|now|tomorrow)\b|\bin (?:about )?(a|\d+) (day|week|month)s?\b/.exec(rest)
  if (counted !== null) {
    const start = counted[3] === 'tomorrow' ? today.plus({ days: 1 }) : today
    const word = counted[1] ?? counted[4] ?? 'a'
    return oneDay(start.plus({ [`${counted[2] ?? counted[5] ?? 'day'}s`]: word === 'a' ? 1 : Number(word) }), now)
  }
  const apart = new RegExp(`\\b(a|\\d+) weeks? from ${WEEKDAY}`).exec(rest)
  if (apart !== null) {
    const weeks = apart[1] === 'a' ? 1 : Number(apart[1])
    return oneDay(weekdayAfter(today, apart[3] ?? '', apart[2]).plus({ weeks }), now)
  }
  const week = weekOf(rest, today, monday)
  const weekdays = [...rest.matchAll(new RegExp(`\\b${WEEKDAY}`, 'g'))]
  const [firstDay] = weekdays
  if (firstDay !== undefined) {
    // "Tuesday of next week", "next week Tuesday or Wednesday".
    const days = weekdays.map((match) => (week?.whole === true ? monday.plus({ weeks: week.weeks, days: indexOf(match[2] ?? '') }) : weekdayAfter(today, match[2] ?? '', match[1])))
    // "tomorrow or Friday".
    if (/\btoday\b/.test(rest)) days.push(today)
    if (/\btomorrow\b/.test(rest)) days.push(today.plus({ days: 1 }))
    // "Tuesday the 8th", "Thursday, December 3": the date says which.
    const dated = days.length === 1 ? dateIn(rest, now) : null
    if (dated !== null) return dated
    return daysTogether(days, now, /\b(?:through|thru|to|until|till)\b/.test(rest))
  }
  if (week !== null) return week
  if (/\btomorrow\b|\btmrw\b/.test(rest)) return /\btoday\b/.test(rest) ? { from: today, to: today.plus({ days: 2 }), said: 'today or tomorrow' } : oneDay(today.plus({ days: 1 }), now)
  if (/\btoday\b|\bthis (?:morning|afternoon|evening)\b/.test(rest)) return oneDay(today, now)
  return dateIn(rest, now)
}

function weekOf(rest: string, today: DateTime, monday: DateTime): (Days & Readonly<{ weeks: number; whole: boolean }>) | null {
  if (/\bnext weekend\b|\bweekend after (?:this|next)\b/.test(rest)) return { ...weekend(monday.plus({ weeks: 1 }), 'next weekend'), weeks: 1, whole: false }
  if (/\b(?:this|the|on the|coming)? ?weekends?\b/.test(rest)) {
    const days = weekend(monday, 'this weekend')
    return { ...days, from: days.from < today ? today : days.from, weeks: 0, whole: false }
  }
  const month = /\b(this|next) month\b/.exec(rest)
  if (month !== null) {
    const start = month[1] === 'next' ? today.startOf('month').plus({ months: 1 }) : today
    return { from: start, to: start.startOf('month').plus({ months: 1 }), said: `${month[1]} month`, weeks: 0, whole: false }
  }
  const match = /\b(early |the beginning of |beginning of |middle of |mid-? ?|late |later |the end of |end of )?(this week|next week|the week after next|week after next|the following week|the week)\b/.exec(rest)
  if (match === null) return null
  const weeks = /after next/.test(match[2] ?? '') ? 2 : /next|following/.test(match[2] ?? '') ? 1 : 0
  const start = monday.plus({ weeks })
  const name = weeks === 2 ? 'the week after next' : weeks === 1 ? 'next week' : 'this week'
  const part = match[1]?.trim() ?? ''
  const [first, last, words] = /early|beginning/.test(part) ? [0, 3, `early ${name}`] : /mid/.test(part) ? [1, 4, `the middle of ${name}`] : /late|end/.test(part) ? [3, 7, `late ${name}`] : [0, 7, name]
  const from = start.plus({ days: first })
  return { from: from < today ? today : from, to: start.plus({ days: last }), said: words, weeks, whole: true }
}

function weekend(monday: DateTime, said: string): Days {
  return { from: monday.plus({ days: 5 }), to: monday.plus({ days: 7 }), said }
}

/** "the 3rd", "December 3rd", "12/3", "in three weeks' time": the next such day. */
function dateIn(rest: string, now: DateTime): Days | null {
  const today = now.startOf('day')
  const [result] = chrono.en.casual.parse(rest.replaceAll(/(\d)th\b/g, '$1'), { instant: now.toJSDate(), timezone: now.offset }, { forwardDate: true })
  if (result !== undefined && result.start.isCertain('day') && (result.start.isCertain('month') || /\b(?:days?|weeks?|months?)\b/.test(result.text))) {
    const day = DateTime.fromObject(
      { year: result.start.get('year') ?? now.year, month: result.start.get('month') ?? now.month, day: result.start.get('day') ?? now.day },
      { zone: now.zone },
    ).startOf('day')
    if (!day.isValid) return null
    if (day >= today) return oneDay(day, now)
    // "You came last week" is no wish for a day.
    return result.start.isCertain('year') ? null : oneDay(day.plus({ years: 1 }), now)
  }
  const dayOfMonth = Number(/\b(?:the |on )?(\d{1,2})th\b/.exec(rest)?.[1] ?? 0)
  if (dayOfMonth < 1 || dayOfMonth > 31) return null
  for (let month = today.startOf('month'), tries = 0; tries < 4; tries++, month = month.plus({ months: 1 })) {
    const day = month.plus({ days: dayOfMonth - 1 })
    if (day.month === month.month && day >= today) return oneDay(day, now)
  }
  return null
}

/** "Tuesday": the first one after today. "this Tuesday": today's own is one. "next Tuesday": that of the week after this one. */
function weekdayAfter(today: DateTime, name: string, which: string | undefined): DateTime {
  const index = indexOf(name)
  if (which === 'next') return today.startOf('week').plus({ weeks: 1, days: index })
  const ahead = (index - (today.weekday - 1) + 7) % 7
  return today.plus({ days: ahead === 0 && which !== 'this' ? 7 : ahead })
}

function daysTogether(days: readonly DateTime[], now: DateTime, isSpan: boolean): Days | null {
  const sorted = [...days].sort((a, b) => a.toMillis() - b.toMillis())
  const [first] = sorted
  const last = sorted.at(-1)
  if (first === undefined || last === undefined) return null
  if (sorted.length === 1) return oneDay(first, now)
  const joined = `${sayDay(first.toJSDate(), now.zoneName ?? 'UTC', now.toJSDate())} ${isSpan ? 'to' : 'or'} ${sayDay(last.toJSDate(), now.zoneName ?? 'UTC', now.toJSDate())}`
  const gaps = sorted.slice(1).flatMap((day, index): Days[] => {
    const from = (sorted[index] as DateTime).plus({ days: 1 })
    return from < day ? [{ from, to: day, said: '' }] : []
  })
  return { from: first, to: last.plus({ days: 1 }), said: joined, gaps: isSpan ? [] : gaps }
}

/** Every Tuesday until then, where only "Tuesday" was ruled out. */
function ruledOut(words: string, now: DateTime, until: DateTime): Days[] {
  const today = now.startOf('day')
  const days: Days[] = []
  if (/\btoday\b/.test(words)) days.push({ ...oneDay(today, now), said: 'today' })
  if (/\btomorrow\b/.test(words)) days.push({ ...oneDay(today.plus({ days: 1 }), now), said: 'tomorrow' })
  const weekdays = [...words.matchAll(new RegExp(`\\b${WEEKDAY}`, 'g'))].map((match) => ({ index: indexOf(match[2] ?? ''), which: match[1], name: match[2] ?? '' }))
  if (/\bweekends?\b/.test(words)) weekdays.push({ index: 5, which: undefined, name: 'saturday' }, { index: 6, which: undefined, name: 'sunday' })
  for (const { index, which, name } of weekdays) {
    if (which !== undefined && which !== 'the') {
      days.push(oneDay(weekdayAfter(today, name, which), now))
      continue
    }
    const first = today.plus({ days: (index - (today.weekday - 1) + 7) % 7 })
    const said = (WEEKDAYS[index] ?? '').replace(/^./, (letter) => letter.toUpperCase())
    for (let day = first; day < until; day = day.plus({ weeks: 1 })) days.push({ from: day, to: day.plus({ days: 1 }), said })
  }
  return days
}

function indexOf(name: string): number {
  return WEEKDAYS.findIndex((day) => day.startsWith(name.slice(0, 3)))
}

function oneDay(day: DateTime, now: DateTime): Days {
  return { from: day, to: day.plus({ days: 1 }), said: sayDay(day.toJSDate(), now.zoneName ?? 'UTC', now.toJSDate()) }
}
