import type { OpeningSearch } from './booking-desk.ts'

/** What a sentence says of the time of day; the spans that said it are cut out of `rest`. */
export type TimeWish = Readonly<{
  partOfDay: OpeningSearch['partOfDay']
  /** Minutes of the day. */
  from: number
  to: number
  at: number | null
  rest: string
  any: boolean
}>

/** Minutes of the day at which somebody is there, on the days that may be meant; empty when nothing is known. */
export type OpenMinutes = readonly Readonly<{ from: number; to: number }>[]

const DAY = 24 * 60
const NUMBERS = 'one two three four five six seven eight nine ten eleven twelve'.split(' ')
const ORDINALS = 'first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth'.split(' ')
const TENS: Readonly<Record<string, number>> = { twenty: 20, thirty: 30, forty: 40, fifty: 50 }
const HOUR = `(?:1[0-2]|0?[1-9]|${NUMBERS.join('|')})`
const MINUTE = '(?:oh (?:[1-9]|one|two|three|four|five|six|seven|eight|nine)|ten|fifteen|(?:twenty|thirty|forty|fifty)(?:[ -](?:one|two|three|four|five|six|seven|eight|nine))?|[0-5]\\d)'

/**
 * Speech as the rest of this room reads it: small letters, clock times in digits ("half past four" is "4:30"), ordinals as "3rd",
 * numbers up to twelve in digits.
 */
export function normalizedSpeech(text: string): string {
  let said = ` ${text.toLowerCase().replaceAll('’', "'").replaceAll(/\b([ap])\s*\.?\s*m\b\.?/g, '$1m').replaceAll(/[.,;!?](?=\s|$)/g, ' ')} `
  said = said.replaceAll(/\bo'? ?clock\b/g, "o'clock").replaceAll(/\bnoon\b|\bmid-?day\b/g, '12:00pm').replaceAll(/\bmidnight\b/g, '12:00am')
  said = said.replaceAll(new RegExp(`\\bhalf past (${HOUR})\\b`, 'g'), (_, hour: string) => `${numberOf(hour)}:30`)
  said = said.replaceAll(new RegExp(`\\b(?:a )?quarter (?:past|after) (${HOUR})\\b`, 'g'), (_, hour: string) => `${numberOf(hour)}:15`)
  said = said.replaceAll(new RegExp(`\\b(?:a )?quarter (?:to|of|till|before) (${HOUR})\\b`, 'g'), (_, hour: string) => `${numberOf(hour) === 1 ? 12 : numberOf(hour) - 1}:45`)
  said = said.replaceAll(new RegExp(`(?<!:)\\b(${HOUR})[ -](${MINUTE})\\b(?! (?:days?|weeks?|months?|hours?))(?!:)`, 'g'), (_, hour: string, minute: string) => `${numberOf(hour)}:${String(minutesOf(minute)).padStart(2, '0')}`)
  said = said.replaceAll(new RegExp(`\\b(twenty|thirty)[ -](${ORDINALS.slice(0, 9).join('|')})\\b`, 'g'), (_, tens: string, ones: string) => `${(TENS[tens] ?? 0) + ORDINALS.indexOf(ones) + 1}th`)
  said = said.replaceAll(/\bthirtieth\b/g, '30th')
  // "first thing" and "the second opening" are no dates.
  said = said.replaceAll(new RegExp(`\\b(${ORDINALS.join('|')})\\b(?! (?:thing|available|opening|appointment|slot|one|time|chance))`, 'g'), (_, word: string) => `${ORDINALS.indexOf(word) + 1}th`)
  said = said.replaceAll(/\b(\d{1,2})(?:st|nd|rd)\b/g, '$1th')
  said = said.replaceAll(new RegExp(`\\b(${NUMBERS.slice(1).join('|')})\\b`, 'g'), (word) => String(numberOf(word)))
  // "one" is an hour only where an hour can stand.
  said = said.replaceAll(/\b(at|after|before|by|around|about|between|from|to|until|till|past|and|in) one\b/g, '$1 1').replaceAll(/\bone(?= ?(?:am|pm|o'clock|to \d|week|day|month))/g, '1')
  return said.replaceAll(/\s+/g, ' ').trim()
}

const TIME = "(\\d{1,2})(?::(\\d{2}))? ?(am|pm|o'clock)?(?![\\d/:]|th\\b| (?:days?|weeks?|months?|hours?|minutes?)\\b)"
const BETWEEN = new RegExp(`\\b(?:between |from |anywhere from )?${TIME} ?(?:and|to|until|till|through|-) ?${TIME}`)
const AFTER = new RegExp(`\\b(?:any ?time |some ?time )?(?:(?:not|no) (?:before|earlier than)|after|past|from|later than|starting at|beginning at) (?:about |around )?${TIME}(?: on(?:wards?)?\\b)?`)
const BEFORE = new RegExp(`\\b(?:any ?time |some ?time )?(?:(?:not|no) (?:after|later than)|before|by|until|till|earlier than) (?:about |around )?${TIME}`)
const AT = new RegExp(`\\b(?:at|around|about|roughly|like|say|for) ${TIME}`)
/** "Can we do ten?": an hour, where nothing follows that could be counted. */
const DO = new RegExp(`\\b(?:do|take|have|prefer) ${TIME}(?= *(?:$|instead|please|then|or|on|in the|that|this|tomorrow|today|if))`)
/** No word before it is needed where it cannot be a day of a month. */
const CLOCK = /(?<![\d/:])\b(\d{1,2})(?::(\d{2}) ?(am|pm)?| ?(am|pm|o'clock))(?![\d/:])/
const ALONE = /^(?:uh |um |maybe |let's say |how about |what about )*(\d{1,2})(?: (?:please|works|is good|would be good|is fine))?$/

/** The order matters: what says more comes first, and each is read once. */
const PHRASES: readonly Readonly<{ pattern: RegExp; from?: number; to?: number; part?: OpeningSearch['partOfDay']; at?: number }>[] = [
  { pattern: /\b(?:not|no|never) (?:in the |any )?mornings?\b/, from: 12 * 60 },
  { pattern: /\b(?:not|no|never) (?:in the |any )?(?:afternoons?|evenings?)\b/, to: 12 * 60 },
  { pattern: /\bafter lunch(?:time)?\b/, from: 13 * 60 },
  { pattern: /\bbefore lunch(?:time)?\b/, to: 12 * 60 },
  { pattern: /\bafter (?:work|school)\b/, from: 16 * 60 },
  { pattern: /\b(?:first thing|bright and early|early in the day)(?: in the morning)?\b/, to: 10 * 60, part: 'morning' },
  { pattern: /\b(?:end of the (?:work ?)?day|late in the day|later in the day)\b/, from: 15 * 60 },
  { pattern: /\bearly (?:in the )?morning\b/, to: 10 * 60, part: 'morning' },
  { pattern: /\b(?:mid|late)[ -](?:in the )?morning\b/, from: 9 * 60 + 30, part: 'morning' },
  { pattern: /\bearly (?:in the )?afternoon\b/, to: 14 * 60, part: 'afternoon' },
  { pattern: /\blate (?:in the )?afternoon\b/, from: 15 * 60, part: 'afternoon' },
  { pattern: /\b(?:around|at|during|over) lunch(?:time)?\b|\blunch ?time\b/, at: 12 * 60 },
  { pattern: /\b(?:in the |the |this |some ?time in the )?mornings?\b/, part: 'morning' },
  { pattern: /\b(?:in the |the |this |some ?time in the )?afternoons?\b/, part: 'afternoon' },
  { pattern: /\b(?:in the |the |this |some ?time in the )?evenings?\b|\bto-?night\b|\bat night\b/, part: 'evening' },
]

/** Reads normalised speech. Hours without "am" or "pm" are those at which somebody is there: "four" of a shop open 8 to 5 is 16:00. */
export function timeWish(said: string, open: OpenMinutes): TimeWish {
  let rest = said
  let wish: Omit<TimeWish, 'rest' | 'any'> = { partOfDay: null, from: 0, to: DAY, at: null }
  const part = PHRASES.find((phrase) => phrase.part !== undefined && phrase.pattern.test(said))?.part ?? null
  const minutes = (hour: string | undefined, minute: string | undefined, half: string | undefined): number | null => minutesOfDay(Number(hour), Number(minute ?? 0), half, part, open)
  const take = (pattern: RegExp): RegExpExecArray | null => {
    const match = pattern.exec(rest)
    if (match !== null) rest = `${rest.slice(0, match.index)} ${keptDay(match[0])} ${rest.slice(match.index + match[0].length)}`.replaceAll(/\s+/g, ' ').trim()
    return match
  }

  const between = BETWEEN.exec(rest)
  // "between 10 and 2": the second half of a span is said as the first one is.
  const [first, last] = between === null ? [null, null] : [minutes(between[1], between[2], halfOf(between[3], between[6])), minutes(between[4], between[5], between[6])]
  if (between !== null && first !== null && last !== null && first !== last) {
    take(BETWEEN)
    const earlier = first > last && first >= 12 * 60 && between[3] === undefined ? first - 12 * 60 : first
    wish = { ...wish, from: earlier, to: last > earlier ? last : Math.min(DAY, last + 12 * 60) }
  }
  for (const [pattern, bound] of [[AFTER, 'from'], [BEFORE, 'to'], [AT, 'at'], [DO, 'at'], [CLOCK, 'at'], [ALONE, 'at']] as const) {
    const match = pattern.exec(rest)
    const time = match === null ? null : minutes(match[1], match[2], match[3] ?? match[4])
    if (match === null || time === null || (bound === 'at' && (wish.from > 0 || wish.to < DAY || wish.at !== null))) continue
    take(pattern)
    wish = { ...wish, [bound]: time }
  }
  for (const phrase of PHRASES) {
    if (take(phrase.pattern) === null) continue
    wish = {
      partOfDay: wish.partOfDay ?? phrase.part ?? null,
      from: Math.max(wish.from, phrase.from ?? 0),
      to: Math.min(wish.to, phrase.to ?? DAY),
      at: wish.at ?? phrase.at ?? null,
    }
  }
  // A time that was named says more than the part of the day it lies in, which may only have told which "eight" it is.
  if (wish.at !== null || wish.from >= wish.to) wish = { ...wish, partOfDay: null, from: 0, to: DAY }
  const any = wish.partOfDay !== null || wish.from > 0 || wish.to < DAY || wish.at !== null
  return { ...wish, rest, any }
}

/** 'HH:MM'. */
export function clockOf(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`
}

/** "tonight" and "this morning" say the day, too. */
function keptDay(matched: string): string {
  return /to-?night|^this /.test(matched) ? 'today' : ''
}

function halfOf(own: string | undefined, other: string | undefined): string | undefined {
  return own ?? (other === 'am' ? other : undefined)
}

function minutesOfDay(hour: number, minute: number, half: string | undefined, part: OpeningSearch['partOfDay'], open: OpenMinutes): number | null {
  if (hour > 24 || minute > 59) return null
  if (hour > 12 || hour === 0) return Math.min(DAY, hour * 60 + minute)
  const morning = (hour % 12) * 60 + minute
  const evening = morning + 12 * 60
  if (half === 'am') return morning
  if (half === 'pm') return evening
  if (part === 'morning') return morning
  if (part !== null) return evening
  const there = [morning, evening].filter((time) => open.some(({ from, to }) => time >= from && time <= to))
  const [only] = there
  if (there.length === 1 && only !== undefined) return only
  // What people mean when they make an appointment: from seven in the morning to half past six in the evening.
  return hour >= 7 && hour <= 11 ? morning : evening
}

function numberOf(word: string): number {
  const index = NUMBERS.indexOf(word)
  return index >= 0 ? index + 1 : Number(word)
}

function minutesOf(words: string): number {
  if (/^\d/.test(words)) return Number(words)
  const [first = '', second = ''] = words.split(/[ -]/)
  if (first === 'oh') return numberOf(second)
  if (first === 'ten') return 10
  if (first === 'fifteen') return 15
  return (TENS[first] ?? 0) + (second === '' ? 0 : numberOf(second))
}
