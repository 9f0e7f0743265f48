import { parsePhoneNumberFromString, type CountryCode } from 'libphonenumber-js/min'

/**
 * What the carrier sends in place of a number that the caller withholds: ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN and UNAVAILABLE,
 * spelled on a telephone keypad.
 */
const WITHHELD = new Set(['266696687', '7378742833', '2562533', '8656696', '86282452253'])

/** Any usual way of writing a number -> E.164; null when it cannot be one. `country` is for numbers written without a country code. */
export function normalizePhoneNumber(written: string, country: CountryCode = 'US'): string | null {
  if (isWithheldNumber(written)) return null
  const parsed = parsePhoneNumberFromString(written, { defaultCountry: country, extract: false })
  return parsed !== undefined && parsed.isPossible() ? parsed.number : null
}

/** Whether a `From` is no number at all: withheld, a word, or empty. */
export function isWithheldNumber(from: string): boolean {
  const digits = from.replaceAll(/\D/g, '')
  return digits === '' || WITHHELD.has(digits) || WITHHELD.has(digits.replace(/^1/, ''))
}

/** Digit by digit, in the groups people say it in: "five five five, zero one zero, zero zero zero zero". Country code 1 is left out. */
export function speakPhoneNumber(phoneNumberE164: string): string {
  const parsed = parsePhoneNumberFromString(phoneNumberE164)
  if (parsed === undefined) return speakDigits(phoneNumberE164)
  const national = String(parsed.nationalNumber)
  const isNorthAmerican = parsed.countryCallingCode === '1' && national.length === 10
  if (isNorthAmerican) return [national.slice(0, 3), national.slice(3, 6), national.slice(6)].map(speakDigits).join(', ')
  const [countryCode = '', ...groups] = parsed.formatInternational().split(/[^\d+]+/)
  return [`plus ${speakDigits(countryCode)}`, ...groups.map(speakDigits)].join(', ')
}

/** For logs: the country code's start and the last two digits, which tell two callers apart and call nobody: "+1*********00". */
export function maskPhoneNumber(phoneNumberE164: string): string {
  const shown = 2
  if (phoneNumberE164.length <= 2 * shown) return '*'.repeat(phoneNumberE164.length)
  return phoneNumberE164.slice(0, shown) + '*'.repeat(phoneNumberE164.length - 2 * shown) + phoneNumberE164.slice(-shown)
}

const DIGITS = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine']

function speakDigits(text: string): string {
  return [...text].flatMap((character) => DIGITS[Number(character)] ?? []).join(' ')
}
