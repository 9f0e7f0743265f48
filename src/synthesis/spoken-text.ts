import { toCardinal, toCurrency, toOrdinal } from 'n2words/en-US'

/**
 * What a voice should be given to say `text` as a person would: amounts, times, telephone numbers and abbreviations in words. Pure.
 * The stored reply stays as it was written; only the engine sees this. US English.
 */
export function spokenText(text: string): string {
  let spoken = plainCharacters(text)
  for (const [pattern, say] of RULES) spoken = spoken.replace(pattern, (...match) => say(groupsOf(match)))
  return spoken
    .replace(/\s+([,;:.!?])/g, '$1')
    .replace(/\s+/g, ' ')
    .trim()
}

type Groups = readonly string[]
/** In order: what is read as a whole (telephone number, time) comes before the numbers it is made of. */
type Rule = readonly [RegExp, (groups: Groups) => string]

const MONTHS = 'January February March April May June July August September October November December'.split(' ')
const DAYS: Readonly<Record<string, string>> = {
  Mon: 'Monday', Tue: 'Tuesday', Tues: 'Tuesday', Wed: 'Wednesday', Thu: 'Thursday', Thur: 'Thursday', Thurs: 'Thursday', Fri: 'Friday', Sat: 'Saturday', Sun: 'Sunday',
}
const SHORT_MONTHS: Readonly<Record<string, string>> = {
  Jan: 'January', Feb: 'February', Mar: 'March', Apr: 'April', Jun: 'June', Jul: 'July', Aug: 'August', Sep: 'September', Sept: 'September', Oct: 'October', Nov: 'November', Dec: 'December',
}
const STREETS: Readonly<Record<string, string>> = {
  Ave: 'Avenue', Blvd: 'Boulevard', Rd: 'Road', Hwy: 'Highway', Pkwy: 'Parkway', Ln: 'Lane', Ct: 'Court', Apt: 'Apartment', Ste: 'Suite',
}
const ABBREVIATIONS: Readonly<Record<string, string>> = {
  mr: 'Mister', mrs: 'Missus', ms: 'Miz', jr: 'Junior', sr: 'Senior', inc: 'Incorporated', co: 'Company', corp: 'Corporation', etc: 'et cetera', vs: 'versus', approx: 'approximately',
  appt: 'appointment', dept: 'department', est: 'established', min: 'minutes', mins: 'minutes', hr: 'hours', hrs: 'hours', ext: 'extension', tel: 'telephone', no: 'number', prof: 'Professor',
}
const UNITS: Readonly<Record<string, readonly [string, string]>> = {
  min: ['minute', 'minutes'], mins: ['minute', 'minutes'], hr: ['hour', 'hours'], hrs: ['hour', 'hours'], h: ['hour', 'hours'], sec: ['second', 'seconds'], yr: ['year', 'years'], yrs: ['year', 'years'],
  mi: ['mile', 'miles'], ft: ['foot', 'feet'], lb: ['pound', 'pounds'], lbs: ['pound', 'pounds'], oz: ['ounce', 'ounces'], gal: ['gallon', 'gallons'], 'sq ft': ['square foot', 'square feet'],
  'sq. ft': ['square foot', 'square feet'], mph: ['mile an hour', 'miles an hour'], kg: ['kilogram', 'kilograms'], km: ['kilometer', 'kilometers'], cm: ['centimeter', 'centimeters'], mm: ['millimeter', 'millimeters'],
  kW: ['kilowatt', 'kilowatts'], BTU: ['B T U', 'B T Us'], BTUs: ['B T U', 'B T Us'],
}
const STATES: Readonly<Record<string, string>> = {
  AL: 'Alabama', AK: 'Alaska', AZ: 'Arizona', AR: 'Arkansas', CA: 'California', CT: 'Connecticut', DE: 'Delaware', FL: 'Florida', GA: 'Georgia', IA: 'Iowa', IL: 'Illinois', KS: 'Kansas', KY: 'Kentucky',
  LA: 'Louisiana', MA: 'Massachusetts', MD: 'Maryland', MI: 'Michigan', MN: 'Minnesota', MO: 'Missouri', MS: 'Mississippi', MT: 'Montana', NC: 'North Carolina', ND: 'North Dakota', NE: 'Nebraska',
  NH: 'New Hampshire', NJ: 'New Jersey', NM: 'New Mexico', NV: 'Nevada', NY: 'New York', OH: 'Ohio', PA: 'Pennsylvania', RI: 'Rhode Island', SC: 'South Carolina', SD: 'South Dakota', TN: 'Tennessee',
  TX: 'Texas', UT: 'Utah', VA: 'Virginia', VT: 'Vermont', WA: 'Washington', WI: 'Wisconsin', WV: 'West Virginia', WY: 'Wyoming',
}
/** Read letter by letter although they could pass for words, or though they have lower-case or mixed forms. */
const SPELLED = new Set('AC AI API CO ID IV TV UV US USA UK EU ATM FAQ ICU ER IRS SUV VIP DIY EIN GPS LED LLC PDF PIN SMS SSN URL WC CEO CPA DDS DMD DUI EPA'.split(' '))
const WHOLE: Readonly<Record<string, string>> = { HVAC: 'H vac', ASAP: 'as soon as possible', FYI: 'for your information', ETA: 'E T A', OK: 'okay', 'Wi-Fi': 'wye fye', WiFi: 'wye fye' }

const AMOUNT = '\\d{1,3}(?:,\\d{3})+(?:\\.\\d+)?|\\d+(?:\\.\\d+)?'
/** "a.m." with whatever of its points there are; the last one stays where it also ends the sentence. */
const HALF_DAY = '\\s*([apAP])\\.?\\s?[mM]\\b(?:\\.(?!\\s+[A-Z]|\\s*$))?'

const RULES: readonly Rule[] = [
  [/\b24\s*\/\s*7\b/g, () => 'twenty four seven'],
  // Telephone numbers, with or without country code and brackets.
  [/(?<![\d$])(?:\+?(1)[-. ]?)?\(?(\d{3})\)?[-. ](\d{3})[-. ](\d{4})(?!\d)/g, ([country, area, exchange, line]) => phone(country, area, exchange, line)],
  [/\+(1)(\d{3})(\d{3})(\d{4})(?!\d)/g, ([country, area, exchange, line]) => phone(country, area, exchange, line)],
  [/(?<![\d$-])(\d{3})-(\d{4})(?![\d-])/g, ([exchange, line]) => `${digits(exchange)}, ${digits(line)}`],
  // Money.
  [new RegExp(`\\$\\s?(${AMOUNT})\\s*(?:-|to)\\s*\\$?\\s?(${AMOUNT})(?![\\d%])`, 'g'), ([from, to]) => `${rangeStart(from)} to ${money(to)}`],
  [new RegExp(`\\$\\s?(${AMOUNT})\\s*(thousand|million|billion|k|K|M)\\b`, 'g'), ([amount, scale]) => `${decimal(amount)} ${SCALES[scale as string] ?? (scale as string)} dollars`],
  [new RegExp(`\\$\\s?(${AMOUNT})`, 'g'), ([amount]) => money(amount)],
  [/\b(\d+)\s?¢/g, ([cents]) => `${cardinal(cents)} ${cents === '1' ? 'cent' : 'cents'}`],
  // Times.
  [new RegExp(`\\b(\\d{1,2})(?::(\\d{2}))?\\s*(?:-|to)\\s*(\\d{1,2})(?::(\\d{2}))?${HALF_DAY}`, 'g'), ([h1, m1, h2, m2, half]) => `${clock(h1, m1)} to ${clock(h2, m2)} ${half?.toUpperCase()} M`],
  [new RegExp(`\\b(\\d{1,2})(?::(\\d{2}))?${HALF_DAY}\\s*-\\s*(\\d{1,2})(?::(\\d{2}))?${HALF_DAY}`, 'g'), ([h1, m1, half1, h2, m2, half2]) => `${clock(h1, m1)} ${half1?.toUpperCase()} M to ${clock(h2, m2)} ${half2?.toUpperCase()} M`],
  [new RegExp(`\\b(\\d{1,2})(?::(\\d{2}))?${HALF_DAY}`, 'g'), ([hour, minute, half]) => `${clock(hour, minute)} ${half?.toUpperCase()} M`],
  [/\b([01]?\d|2[0-3]):([0-5]\d)\b(?!:)/g, ([hour, minute]) => (minute === '00' ? `${cardinal(hour)} o'clock` : clock(hour, minute))],
  // Postal codes after a state; then the state itself.
  [/\b([A-Z]{2})\.?\s+(\d{5})(?:-(\d{4}))?\b/g, ([state, zip, plus]) => `${STATES[state as string] ?? (state as string)}, ${digits(zip)}${plus ? `, ${digits(plus)}` : ''}`],
  [/(?<=[A-Za-z], )([A-Z]{2})\b/g, ([state]) => STATES[state as string] ?? (state as string)],
  [/(?<![\d$.,-])(\d{5})-(\d{4})(?![\d-])/g, ([zip, plus]) => `${digits(zip)}, ${digits(plus)}`],
  // Numbers that are read digit by digit because of the word before them.
  [/\b(extension|ext\.?|code|PIN|press|number is|order|confirmation|invoice|account)(\s+(?:number|code)?\s*(?:is\s+)?#?)(\d{1,12})(?![\d.,:/%-]*\d)/gi, ([word, between, number]) => `${word}${between?.replace('#', '')}${digits(number)}`],
  [/#(\d+)\b/g, ([number]) => `number ${cardinal(number)}`],
  // Dates and fractions.
  [/(?<![\d/])(1\/2|1\/3|2\/3|1\/4|3\/4)(?![\d/])/g, ([fraction]) => FRACTIONS[fraction as string] as string],
  [/(?<![\d/])(1[0-2]|0?[1-9])\/(3[01]|[12]\d|0?[1-9])(?:\/(\d{4}))?(?![\d/])/g, ([month, day, year]) => `${MONTHS[Number(month) - 1]} ${ordinal(day)}${year ? `, ${yearOf(year)}` : ''}`],
  [new RegExp(`\\b(${Object.keys(SHORT_MONTHS).join('|')})\\.?(?=\\s+\\d)`, 'g'), ([month]) => SHORT_MONTHS[month as string] as string],
  [new RegExp(`\\b(${MONTHS.join('|')})\\s+(\\d{1,2})(?:st|nd|rd|th)?\\b(?!:)`, 'g'), ([month, day]) => `${month} ${ordinal(day)}`],
  [new RegExp(`\\b(${Object.keys(DAYS).join('|')})(?:\\.|\\b)\\s*(?:-|to|through)\\s*(${Object.keys(DAYS).join('|')})\\b\\.?`, 'g'), ([from, to]) => `${DAYS[from as string]} through ${DAYS[to as string]}`],
  [/\b(Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\.(?=\s|,|$)/g, ([day]) => DAYS[day as string] as string],
  [/\b(Mon|Tues?|Thu(?:rs?)?|Fri)\b(?!\.)/g, ([day]) => DAYS[day as string] as string],
  [/\b(\d+)(?:st|nd|rd|th)\b/gi, ([number]) => ordinal(number)],
  // Units.
  [new RegExp(`(${AMOUNT})\\s?%`, 'g'), ([amount]) => `${decimal(amount)} percent`],
  [/(-?\d+(?:\.\d+)?)\s?°\s?([FC])?\b/g, ([amount, scale]) => `${decimal(amount)} degrees${scale === 'F' ? ' Fahrenheit' : scale === 'C' ? ' Celsius' : ''}`],
  [/(-?\d+(?:\.\d+)?)\s?°/g, ([amount]) => `${decimal(amount)} degrees`],
  [new RegExp(`(?<![\\w.])(${AMOUNT})[\\s-]?(${Object.keys(UNITS).sort((a, b) => b.length - a.length).join('|').replaceAll('.', '\\.')})\\b(\\.(?=\\s+[a-z]))?`, 'g'), ([amount, unit]) => `${decimal(amount)} ${UNITS[unit as string]?.[amount === '1' ? 0 : 1]}`],
  // Titles, streets and other abbreviations.
  [/\bDr\.?(?=\s+[A-Z])/g, () => 'Doctor'],
  [/(?<=[A-Za-z]\s)Dr\b(?:\.(?!\s+[A-Z]|\s*$))?/g, () => 'Drive'],
  [/(?<=(?:^|[.!?,]\s|\b(?:in|to|at|near|of)\s))St\.?(?=\s+[A-Z])/g, () => 'Saint'],
  [/(?<=[A-Za-z]\s)St\b(?:\.(?!\s+[A-Z]|\s*$))?/g, () => 'Street'],
  [new RegExp(`\\b(${Object.keys(STREETS).join('|')})\\b(?:\\.(?!\\s+[A-Z]|\\s*$))?`, 'g'), ([street]) => STREETS[street as string] as string],
  [/\be\.\s?g\.,?/gi, () => 'for example,'],
  [/\bi\.\s?e\.,?/gi, () => 'that is,'],
  [/\b(No)\.(?=\s*\d)/g, () => 'number'],
  [new RegExp(`\\b(${Object.keys(ABBREVIATIONS).filter((word) => !['no', 'co', 'est', 'min'].includes(word)).join('|')})\\.`, 'gi'), ([word]) => ABBREVIATIONS[(word as string).toLowerCase()] as string],
  [/\bw\/o\b/g, () => 'without'],
  [/\bw\/(?=\s|[a-z])/g, () => 'with '],
  [/(?<=\S)\s?\/\s?(hr|hour|day|week|month|mo|yr|year|person|visit)\b/gi, ([unit]) => ` ${PER[(unit as string).toLowerCase()] ?? `a ${unit}`}`],
  [/\bA\/C\b/g, () => 'A C'],
  [/\b([A-Za-z]+)\/([A-Za-z]+)\b/g, ([left, right]) => `${left} or ${right}`],
  [/\s*&\s*/g, () => ' and '],
  [/(?<=\S)@(?=\S)/g, () => ' at '],
  [/(?<=\d)\s?\+/g, () => ' plus'],
  // Letters.
  [/\bCO2\b/g, () => 'C O two'],
  [/\b([A-Z])-?(\d{1,4})([A-Z])?\b/g, ([letter, number, tail]) => `${letter} ${pairs(number)}${tail ? ` ${tail}` : ''}`],
  [/(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])/g, () => ' '],
  [/\b(HVAC|ASAP|FYI|ETA|OK|Wi-?Fi)\b/g, ([word]) => WHOLE[word as string] ?? (word as string)],
  [/\b([A-Z]{2,5})(s)?\b(?!')/g, ([word, plural]) => initials(word as string, plural)],
  // What numbers are left.
  [/\b(\d{1,2})\s?-\s?(\d{1,2})\b(?!-)/g, ([from, to]) => `${cardinal(from)} to ${cardinal(to)}`],
  [new RegExp(`(?<![\\w.])(-)?(${AMOUNT})(?![\\w])`, 'g'), ([minus, amount]) => `${minus ? 'minus ' : ''}${number(amount as string)}`],
  // What fits no rule, such as a code of letters and digits, can still be written down by who hears it.
  [/[:$%\/]*(\d+)[:$%\/]*/g, ([run]) => ` ${digits(run)} `],
]

const SCALES: Readonly<Record<string, string>> = { k: 'thousand', K: 'thousand', M: 'million' }
const PER: Readonly<Record<string, string>> = { hr: 'an hour', hour: 'an hour', mo: 'a month', yr: 'a year' }
const FRACTIONS: Readonly<Record<string, string>> = { '1/2': 'one half', '1/3': 'one third', '2/3': 'two thirds', '1/4': 'one quarter', '3/4': 'three quarters' }

/** The engine knows ASCII: accents are dropped, typographic marks become the plain ones. */
function plainCharacters(text: string): string {
  return text
    .replace(/½/g, ' 1/2').replace(/¼/g, ' 1/4').replace(/¾/g, ' 3/4')
    .replace(/[\u2018\u2019]/g, "'")
    .replace(/[\u201c\u201d"]/g, '')
    .replace(/(?<=\d)\s*[\u2012\u2013\u2014]\s*(?=[\d$])/g, '-')
    .replace(/(?<=[A-Za-z.])\s?\u2013\s?(?=[A-Z])/g, '-')
    .replace(/\s*[\u2014\u2013]\s*|\s+-{1,2}\s+/g, ', ')
    .replace(/\u2026|\.{3,}/g, ', ')
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^\x20-\x7e¢°]/g, ' ')
}

/** `replace` hands over the whole match, the groups, then an offset and the text. */
function groupsOf(match: readonly unknown[]): Groups {
  const end = match.findIndex((value, i) => i > 0 && typeof value === 'number')
  return match.slice(1, end).map((group) => (typeof group === 'string' ? group : ''))
}

function cardinal(amount = ''): string {
  return toCardinal(amount.replaceAll(',', '')).replaceAll('-', ' ')
}

function ordinal(amount = ''): string {
  const value = Number(amount)
  return value === 0 ? 'zeroth' : toOrdinal(value).replaceAll('-', ' ')
}

function digits(run = ''): string {
  return [...run].map((digit) => cardinal(digit)).join(' ')
}

function phone(country = '', area = '', exchange = '', line = ''): string {
  return `${country === '' ? '' : 'one, '}${digits(area)}, ${digits(exchange)}, ${digits(line)}`
}

function decimal(amount = ''): string {
  if (amount.startsWith('-')) return `minus ${decimal(amount.slice(1))}`
  const [whole, fraction] = amount.split('.')
  return fraction === undefined ? cardinal(whole) : `${cardinal(whole)} point ${digits(fraction)}`
}

function money(amount = ''): string {
  return toCurrency(amount.replaceAll(',', '')).replaceAll('-', ' ')
}

/** "$89 to $129" is said "eighty nine to ... dollars"; with cents each amount is said in full. */
function rangeStart(amount = ''): string {
  return amount.includes('.') ? money(amount) : cardinal(amount)
}

function clock(hour = '', minute = ''): string {
  if (minute === '' || minute === '00') return cardinal(hour)
  return `${cardinal(hour)} ${minute.startsWith('0') ? `oh ${cardinal(minute.slice(1))}` : cardinal(minute)}`
}

/** 1998 is "nineteen ninety eight", 2005 "two thousand five", 410 "four ten". */
function pairs(run = ''): string {
  const value = Number(run)
  if (run.startsWith('0')) return digits(run)
  if (run.length < 3 || value % 1000 < 10) return cardinal(run)
  const head = Math.floor(value / 100)
  const tail = value % 100
  if (tail === 0) return `${cardinal(String(head))} hundred`
  return `${cardinal(String(head))} ${tail < 10 ? `oh ${cardinal(String(tail))}` : cardinal(String(tail))}`
}

function yearOf(year: string): string {
  return pairs(year)
}

/** A ZIP code and longer runs have no size: digit by digit, in groups that can be written down. Four digits are a year or a house. */
function number(amount: string): string {
  if (amount.includes('.')) return decimal(amount)
  if (amount.includes(',')) return cardinal(amount)
  if (amount.startsWith('0') && amount.length > 1) return digits(amount)
  if (amount.length === 4) return pairs(amount)
  if (amount.length === 5) return digits(amount)
  if (amount.length > 5) return (amount.match(/\d{1,3}/g) ?? []).map((group) => digits(group)).join(', ')
  return cardinal(amount)
}

function initials(word: string, plural = ''): string {
  if (!SPELLED.has(word) && /[AEIOUY]/.test(word)) return `${word}${plural}`
  return `${[...word].join(' ')}${plural === '' ? '' : "'s"}`
}
