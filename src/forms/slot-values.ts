import type { FormSlot } from '../tenancy/form.ts'

/** North American, as callers here say it: area code and exchange never begin with 0 or 1. */
const TEN_DIGITS = /^[2-9]\d{2}[2-9]\d{6}$/
const MAX_WORDS_CHARS = 200

/**
 * The one gate into a form: whatever heard it, a value gets in when it is one of its slot, in canonical form; null when it is not. A
 * street never lands in a time, nor "go ahead" in a name. Dates come as ISO or as a caller's wish, already understood.
 */
export function acceptedValue(slot: FormSlot, value: string): string | null {
  const trimmed = value.trim()
  switch (slot.type) {
    case 'choice':
    case 'service':
      return slot.options.find((option) => option.value === trimmed)?.value ?? null
    case 'yes-no':
      return trimmed === 'yes' || trimmed === 'no' ? trimmed : null
    case 'phone':
      return phoneNumber(trimmed)
    case 'zip':
      return /^\d{5}$/.test(trimmed) ? trimmed : null
    case 'digits':
      return /^\d+$/.test(trimmed) && (slot.counts.length === 0 || slot.counts.includes(trimmed.length)) ? trimmed : null
    case 'money':
      return /^\d{1,7}(?:\.\d\d)?$/.test(trimmed) ? trimmed : null
    case 'name':
    case 'spelling':
      return properName(trimmed)
    case 'address':
      return /\d\D*[a-z]{3}/i.test(trimmed.replace(NUMBER_WORDS, '1')) ? trimmed.slice(0, MAX_WORDS_CHARS) : null
    case 'date':
      return trimmed === '' ? null : trimmed.slice(0, MAX_WORDS_CHARS)
    case 'text':
      return /[a-z]{2}/i.test(trimmed) ? trimmed.slice(0, MAX_WORDS_CHARS) : null
  }
}

/** A house has a number, and behind it a street's name: "forty five" alone is half an address, "the first one" none. */
const NUMBER_WORDS = /\b(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand)\b/gi

/** E.164, from ten digits, eleven with the country's 1, or a number that is E.164 already. */
function phoneNumber(value: string): string | null {
  const digits = value.replace(/\D/g, '')
  if (value.startsWith('+') && !value.startsWith('+1')) return /^\+[2-9]\d{6,14}$/.test(value) ? value : null
  const national = digits.length === 11 && digits.startsWith('1') ? digits.slice(1) : digits
  return TEN_DIGITS.test(national) || value === `+1${national}` ? `+1${national}` : null
}

/** What people say instead of a name. */
const NO_NAMES = new Set(
  `a about actually again ahead all alright am an and anyway are at back because but bye call called calling can cancel come could day did do does done dont down ever everything
  fine for forget from get getting give go goes going good got great guys have heat hello hey hi hold hot hour how hungry i if im in is it its just kidding later leave let
  like look me mind minute moment morning my name need never new no nope not nothing now of off oh ok okay on one or out over patient please pretty question quick ready really
  ridiculous right said same say see should slow so somebody someone soon sorry speak speaking still stop sure talk tell thank thanks that the there they thing think this
  time to today tomorrow too try uh um understand up upset us wait want was we well were what when where which who why will with work would wrong yeah yep yes yet you your
  told said heard gave asked spell spelled waiting listen monday tuesday wednesday thursday friday saturday sunday noon night evening week ma'am sir mister emergency repair appointment booking visit thank
  zero two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred first second third either neither both`.split(/\s+/),
)

/** "john smith" -> "John Smith"; null for anything that is hardly one. */
function properName(value: string): string | null {
  const words = value.replace(/[.,!?]+/g, ' ').split(/\s+/).filter((word) => word !== '')
  if (words.length === 0 || words.length > 4) return null
  if (words.some((word) => !/^[\p{L}][\p{L}'-]*$/u.test(word) || NO_NAMES.has(word.toLowerCase()))) return null
  if (words.join('').length < 2) return null
  return words.map(capitalised).join(' ')
}

function capitalised(word: string): string {
  const plain = /^\p{Lu}+$/u.test(word) && word.length > 2 ? word.toLowerCase() : word
  return plain.replace(/(^|['-])(\p{Ll})/gu, (_whole, before: string, letter: string) => before + letter.toUpperCase())
}
