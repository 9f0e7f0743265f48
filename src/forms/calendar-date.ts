import { digitRuns } from '../core/digit-runs.ts'

const MONTHS = ['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october', 'november', 'december']
const ORDINALS = [
  'first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth', 'ninth', 'tenth', 'eleventh', 'twelfth', 'thirteenth', 'fourteenth', 'fifteenth', 'sixteenth',
  'seventeenth', 'eighteenth', 'nineteenth', 'twentieth', 'twenty first', 'twenty second', 'twenty third', 'twenty fourth', 'twenty fifth', 'twenty sixth', 'twenty seventh',
  'twenty eighth', 'twenty ninth', 'thirtieth', 'thirty first',
]

/**
 * A day that is past, such as one of birth, as ISO: "March third nineteen eighty four", "the 3rd of March 1984", "03 03 1984", and as
 * keys "03031984". Null for anything that is not a day of the calendar, or not past on `today` (ISO).
 */
export function calendarDate(text: string, today: string): string | null {
  const date = anyDate(text, Number(today.slice(2, 4)))
  return date === null || date > today ? null : date
}

/** Two-digit years up to `thisYear` are of this century. */
function anyDate(text: string, thisYear: number): string | null {
  const said = withOrdinals(text.toLowerCase().replace(/-/g, ' '))
  const month = MONTHS.findIndex((name) => new RegExp(`\\b(?:${name}|${name.slice(0, 3)})\\b`).test(said)) + 1
  const numbers = digitRuns(said.replace(/\b(?:of|the|born|on|in)\b/g, ' , ')).flatMap((run) => run.digits)
  const digits = numbers.join('')
  if (month === 0) return fromDigits(digits, thisYear)
  for (const dayLength of [2, 1]) {
    const date = isoDate(fullYear(digits.slice(dayLength), thisYear), month, Number(digits.slice(0, dayLength)))
    if (date !== null) return date
  }
  return null
}

/** Month, day, year, as it is written here. */
function fromDigits(digits: string, thisYear: number): string | null {
  const cuts: readonly (readonly [number, number])[] = digits.length === 8 ? [[2, 2]] : digits.length === 7 ? [[1, 2], [2, 1]] : digits.length === 6 ? [[2, 2], [1, 1]] : digits.length === 5 ? [[1, 2], [2, 1]] : []
  for (const [month, day] of cuts) {
    const date = isoDate(fullYear(digits.slice(month + day), thisYear), Number(digits.slice(0, month)), Number(digits.slice(month, month + day)))
    if (date !== null) return date
  }
  return null
}

function fullYear(digits: string, thisYear: number): number | null {
  if (/^(?:19|20)\d\d$/.test(digits)) return Number(digits)
  if (!/^\d\d$/.test(digits)) return null
  return Number(digits) <= thisYear ? 2000 + Number(digits) : 1900 + Number(digits)
}

function isoDate(year: number | null, month: number, day: number): string | null {
  if (year === null || month < 1 || month > 12 || day < 1) return null
  const date = new Date(Date.UTC(year, month - 1, day))
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.toISOString().slice(0, 10) : null
}

/** "twenty third" and "23rd" as figures, longest first. */
function withOrdinals(text: string): string {
  const years = text.replace(/\btwo thousand(?: and)? (?=(?:one|two|three|four|five|six|seven|eight|nine)\b)/g, '20 0 ').replace(/\btwo thousand(?: and)? (?=ten|eleven|twelve|\w+teen|twenty)/g, '20 ')
  const spoken = [...ORDINALS.entries()].reverse().reduce((left, [index, name]) => left.replace(new RegExp(`\\b${name}\\b`, 'g'), String(index + 1)), years)
  return spoken.replace(/\b(\d{1,2})(?:st|nd|rd|th)\b/g, '$1').replace(/\b(\d{1,2})[/. ](\d{1,2})[/. ](\d{2,4})\b/g, (_whole, a: string, b: string, c: string) => `${a.padStart(2, '0')} ${b.padStart(2, '0')} ${c}`)
}
