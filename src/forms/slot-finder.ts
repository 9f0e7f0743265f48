import { correctedParts } from '../core/corrected-speech.ts'
import { digitRuns } from '../core/digit-runs.ts'
import type { Form, FormSlot } from '../tenancy/form.ts'
import { calendarDate } from './calendar-date.ts'
import { activeSlots, isVisitTime, type FormState } from './form-state.ts'
import { refusals } from './refusals.ts'
import { acceptedValue } from './slot-values.ts'
import { nameWithLetters, spelledWord } from './spelled-word.ts'

/** One value that a sentence says. */
export type SlotFill = Readonly<{ slotId: string; value: string; spoken: string; confidence: number }>

/** What a caller's words say about when: `value` is absolute, `namesDay` false where only an hour or a part of the day was named. */
export type WhenRead = Readonly<{ value: string; namesDay: boolean }>
export type ReadWhen = (words: string) => WhenRead | null
/** What the readers need beside the words. `today`: ISO, in the company's time zone. */
export type FindContext = Readonly<{ readWhen: ReadWhen; today: string }>

/** Words out of an open transcript are less sure than a reading that was listened for. */
const OPEN_CONFIDENCE = { choice: 0.8, digits: 0.75, date: 0.75, name: 0.6, spelled: 0.9, words: 0.7 } as const

/**
 * Everything a sentence says into a form, whatever else it says: the open words are searched slot by slot, each by what its type looks
 * like. A slot that was asked for is read generously, the others only where the words leave no doubt. `spellFor`: the slot whose letters
 * were asked for.
 */
export function findSlots(form: Form, state: FormState, text: string, askedId: string | null, spellFor: string | null, context: FindContext): SlotFill[] {
  const fills: SlotFill[] = []
  const take = (slot: FormSlot, found: Readonly<{ value: string; spoken: string }> | null, confidence: number): boolean => {
    const value = found === null ? null : acceptedValue(slot, found.value)
    if (found === null || value === null || fills.some((fill) => fill.slotId === slot.id)) return false
    fills.push({ slotId: slot.id, value, spoken: found.spoken, confidence })
    return true
  }
  const slots = form.slots
  const active = new Set(activeSlots(form, state).map((slot) => slot.id))
  // What has been recognised is no longer looked at by the less certain readers behind it.
  let left = text
  const strike = (spoken: string): void => {
    left = left.replace(spoken, ' , ')
  }
  for (const slot of slots) {
    if (slot.id === spellFor && take(slot, spelled(text), OPEN_CONFIDENCE.spelled)) strike(text)
  }
  for (const { at, length } of refusals(form, state, left)) left = `${left.slice(0, at)}${'\0'.repeat(length)}${left.slice(at + length)}`
  for (const { slot, value, spoken } of choices(slots, left, askedId)) {
    if (take(slot, { value, spoken }, OPEN_CONFIDENCE.choice)) strike(spoken)
  }
  for (const slot of slots) {
    if (slot.type !== 'address') continue
    const found = lastOf(left, (part) => street(part, slot.id === askedId))
    if (take(slot, found, OPEN_CONFIDENCE.words) && found !== null) strike(found.spoken)
  }
  for (const slot of slots) {
    const counts = numberLengths(slot)
    if (counts === null) continue
    const found = digits(left, counts, slot.id === askedId, slot.type === 'phone')
    if (take(slot, found, OPEN_CONFIDENCE.digits) && found !== null) strike(found.spoken)
  }
  for (const slot of slots) {
    if (slot.type !== 'name') continue
    // A bare name is the whole of what was said: beside other answers it is none.
    const isBare = slot.id === askedId && fills.length === 0 && !TIME_TALK.test(left)
    const found = correctedName(slot, left, isBare) ?? spelledAgain(state.slots[slot.id]?.value ?? null, left)
    if (take(slot, found, found?.isSpelled === true ? OPEN_CONFIDENCE.spelled : OPEN_CONFIDENCE.name) && found !== null) strike(found.spoken)
  }
  for (const slot of slots) {
    if (slot.type !== 'date') continue
    const isAsked = slot.id === askedId
    if (isVisitTime(form, slot)) {
      const words = left.replace(CORRECTION, '')
      const read = isAsked || TIME_TALK.test(words) ? context.readWhen(words) : null
      // "In the afternoon" alone goes with the day that was talked of before.
      const whole = read === null || read.namesDay ? words : besides(state.slots[slot.id]?.spoken, words)
      const value = read === null ? null : whole === words ? read.value : (context.readWhen(whole)?.value ?? read.value)
      take(slot, value === null ? null : { value, spoken: whole }, OPEN_CONFIDENCE.date)
    } else if (isAsked || BIRTH_TALK.test(left)) {
      const date = calendarDate(left, context.today)
      take(slot, date === null ? null : { value: date, spoken: left }, OPEN_CONFIDENCE.date)
    }
  }
  for (const slot of slots) {
    if (slot.type === 'yes-no' && slot.id === askedId) take(slot, yesNo(left), OPEN_CONFIDENCE.choice)
    if (slot.type === 'money' && (slot.id === askedId || /\bdollars?\b|\$/i.test(left))) take(slot, lastOf(left, money), OPEN_CONFIDENCE.digits)
    if (slot.type === 'spelling' && slot.id === askedId) take(slot, spelled(left), OPEN_CONFIDENCE.spelled)
    if (slot.type === 'text' && slot.id === askedId) take(slot, { value: withoutFillers(left), spoken: left }, OPEN_CONFIDENCE.words)
  }
  return fills.filter((fill) => active.has(fill.slotId) || fill.slotId === askedId || isConditionMet(form, fills, fill.slotId))
}

/** Words about the same thing as earlier ones: where both name a day, or an hour, the later ones count. */
export function besides(earlier: string | undefined, later: string): string {
  return earlier === undefined ? later : `${earlier}, no, ${later}`
}

/** What was found in the last part of a sentence that has any: "12, no, 14 Palm Street". */
function lastOf<T>(text: string, find: (part: string) => T | null): T | null {
  for (const part of correctedParts(text).toReversed()) {
    const found = find(part)
    if (found !== null) return found
  }
  return null
}

/** A condition may be met by the very sentence: "a new patient, and I have Cigna". */
function isConditionMet(form: Form, fills: readonly SlotFill[], slotId: string): boolean {
  const when = form.slots.find((slot) => slot.id === slotId)?.when
  return when === null || when === undefined || fills.some((fill) => fill.slotId === when.slotId && when.in.includes(fill.value))
}

const TIME_TALK =
  /\b(?:today|tonight|tomorrow|morning|afternoon|evening|noon|lunchtime|weekend|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|next week|this week|as soon as|asap|earliest|soonest|first thing|end of the (?:day|week)|january|february|april|june|july|august|september|october|november|december|o'clock|\d{1,2}(?::\d\d)? ?[ap]\.?m)\b|\b(?:after|before|around|at|by) (?:\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b|\b(?:do|take|have|prefer|make it) (?:\d{1,2}|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)(?= *(?:[.,?!]|$|instead|please))/i

/** Whether words speak of a day or an hour unmistakably: "the first one" may be a date, and is none unless one was asked for. */
export function namesATime(words: string): boolean {
  return TIME_TALK.test(words)
}

/** What puts something right says nothing about it: "no, Thursday" does not rule Thursday out. */
const CORRECTION = /^(?:\W*\b(?:no|nope|actually|sorry|wait|well|i mean|i meant|i said|make (?:it|that)|change (?:it|that) to|how about|what about|rather|instead)\b\W*)+/i
const BIRTH_TALK = /\b(?:born|birth|birthday|birthdate)\b/i

/** How many digits a slot takes; null where it takes none. */
export function numberLengths(slot: FormSlot): readonly number[] | null {
  if (slot.type === 'phone') return [10, 11]
  if (slot.type === 'zip') return [5]
  return slot.type === 'digits' ? (slot.counts.length === 0 ? [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] : slot.counts) : null
}

/** Every option that is said, longest first, so that "medium roast" is not the size "medium". */
function choices(slots: readonly FormSlot[], text: string, askedId: string | null): { slot: FormSlot; value: string; spoken: string }[] {
  const names = slots
    .filter((slot) => slot.type === 'choice' || slot.type === 'service')
    .flatMap((slot) => slot.options.flatMap((option) => [option.value, ...option.aliases].map((name) => ({ slot, value: option.value, name: name.replace(/[-_]/g, ' ') }))))
    // A yes is the answer to what was asked, and to nothing else.
    .filter(({ slot, name }) => slot.id === askedId || !isBareAnswer(name))
    .sort((a, b) => b.name.length - a.name.length)
  const found: { slot: FormSlot; value: string; spoken: string; at: number }[] = []
  let left = text.replace(/-/g, ' ')
  for (const { slot, value, name } of names) {
    const match = new RegExp(`(?<![\\w'])${escaped(name)}(?:s|es)?(?![\\w'])`, 'i').exec(left)
    if (match === null) continue
    found.push({ slot, value, spoken: text.slice(match.index, match.index + match[0].length), at: match.index })
    left = left.slice(0, match.index) + '\0'.repeat(match[0].length) + left.slice(match.index + match[0].length)
  }
  // Of two values for one slot the later one is the correction: "small, no, large".
  return found.sort((a, b) => b.at - a.at)
}

/** Means something only after its own question. */
export function isBareAnswer(words: string): boolean {
  return /^(?:yes|yeah|no|nope|none|right|correct)$/i.test(words.trim())
}

function escaped(name: string): string {
  return name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\s+/g, '\\s+')
}

const STREET = /\b((?:\d+|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|oh|zero)(?:[ -](?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|oh|zero))*)\s+(?:[a-z0-9']+\s+){1,4}?(?:street|avenue|road|drive|lane|boulevard|court|circle|way|place|terrace|parkway|highway|trail|loop|st|ave|rd|dr|ln|blvd|ct)\b(?:,?\s+(?:apartment|apt|unit|suite|number)\s+\w+)?)/i

/** With its kind of street it is one anywhere; without, only where it was asked for. */
function street(text: string, isAsked: boolean): { value: string; spoken: string } | null {
  const named = STREET.exec(text)?.[1]
  if (named !== undefined) return { value: named, spoken: named }
  if (!isAsked) return null
  const said = withoutFillers(text)
  return /^\D{0,25}(?:\d|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)/i.test(said) && said.split(' ').length >= 2 && said.split(' ').length <= 14 ? { value: said, spoken: text } : null
}

/** Of two numbers the later one counts, where the second puts the first one right; of a telephone number also its end alone: "... 0187, no, 0188". */
function digits(text: string, counts: readonly number[], isAsked: boolean, mayMendEnd: boolean): { value: string; spoken: string } | null {
  let found: { value: string; spoken: string } | null = null
  for (const part of correctedParts(text)) {
    const runs = digitRuns(part)
    // A short number anywhere may be a time or a house; a long one is what it is.
    const whole = runs.find((run) => counts.includes(run.digits.length) && (isAsked || run.digits.length >= 5))
    const [first, last] = [whole?.tokens[0], whole?.tokens.at(-1)]
    if (whole !== undefined && first !== undefined && last !== undefined) found = { value: whole.digits, spoken: part.slice(first.start, last.end) }
    else if (found !== null && mayMendEnd && ONLY_AN_END.test(part)) {
      const end = runs.map((run) => run.digits).join('')
      if (end.length >= 2 && end.length < found.value.length) found = { value: `${found.value.slice(0, -end.length)}${end}`, spoken: `${found.spoken}, no, ${part}` }
    }
  }
  return found
}

/** Digits, and at most "it ends in" before them. */
const ONLY_AN_END = /^\W*(?:(?:it's|it is|that's|that is|it ends|ends|ending|in|with|the|last|end|two|three|four|digits|is|are)\W+)*(?:(?:\d+|zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|double|triple)\W*)+$/i

type FoundName = Readonly<{ value: string; spoken: string; isSpelled?: boolean }>

/** "Jane Smith, sorry, Jane Smythe": after a name, what stands behind the correction is one, too, where it is written like one. */
function correctedName(slot: FormSlot, text: string, isAsked: boolean): FoundName | null {
  let found: FoundName | null = null
  for (const part of correctedParts(text)) {
    const plain = (isAsked ? nameWithLetters(part) : null) ?? name(part, isAsked)
    const again: FoundName | null = plain === null && found !== null && WRITTEN_AS_NAME.test(part) ? { value: part.replace(/[.,!?]+/g, ' ').trim(), spoken: part } : plain
    if (again !== null && acceptedValue(slot, again.value) !== null) found = again
  }
  return found
}

/** Letters and nothing else, for a name that was said before: whoever hears theirs said back wrong spells it, whatever was asked meanwhile. */
function spelledAgain(known: string | null, text: string): FoundName | null {
  const again = known === null ? null : nameWithLetters(text)
  if (known === null || again === null || again.value.includes(' ') || again.value.length < LEAST_LETTERS_AGAIN) return null
  const words = known.split(' ')
  const isLast = words.at(-1)?.[0]?.toLowerCase() === again.value[0]?.toLowerCase()
  return { ...again, value: [...(isLast ? words.slice(0, -1) : []), again.value].join(' ') }
}

/** Fewer may be part of an address. */
const LEAST_LETTERS_AGAIN = 3

const WRITTEN_AS_NAME = /^(?:\p{Lu}[\p{L}'-]*[ .,!]*){1,3}$/u

const NAME_WORD = "[\\p{L}][\\p{L}'-]*"
const INTRODUCED = new RegExp(`\\b(?:my name is|my name's|the name is|name is|i am|i'm|(?:it is|it's|this is)(?: for)?|for)\\s+(${NAME_WORD}(?:\\s+${NAME_WORD}){0,2})`, 'giu')
const ENDS_A_NAME = /^(?:and|from|at|calling|i|my|the|a|an|here|with|about|over|on|in|to|but|so|that|is|for|of|who|speaking|again|please|thanks|phone|number|we|you|it)$/i

/** "My name is Jane Smith and ..." anywhere; a bare name only where it was asked for. */
function name(text: string, isAsked: boolean): { value: string; spoken: string } | null {
  for (const match of text.matchAll(INTRODUCED)) {
    const lead = match[0].slice(0, match[0].length - (match[1] ?? '').length).trim().toLowerCase()
    const isClear = lead.includes('name')
    if (!isClear && !isAsked && lead === 'for') continue
    const words: string[] = []
    for (const word of (match[1] ?? '').split(/\s+/)) {
      if (ENDS_A_NAME.test(word)) break
      // "This is Jane" names somebody, "this is getting worse" nobody: a recogniser writes names with capitals.
      if (!isClear && !isAsked && !/^\p{Lu}/u.test(word)) break
      words.push(word)
    }
    if (words.length > 0) return { value: words.join(' '), spoken: words.join(' ') }
  }
  if (!isAsked) return null
  const speaking = new RegExp(`^(${NAME_WORD}(?:\\s+${NAME_WORD})?)\\s+(?:speaking|here)\\b`, 'iu').exec(text)?.[1]
  const bare = speaking ?? withoutFillers(text).replace(/^(?:first|last|full) name(?: is)?\s*/i, '')
  return /^[\p{L}' .,-]+$/u.test(bare) ? { value: bare.replace(/[.,]+/g, ' ').trim(), spoken: bare } : null
}

function spelled(text: string): { value: string; spoken: string } | null {
  const word = spelledWord(text)
  return word === null ? null : { value: word, spoken: text }
}

function money(text: string): { value: string; spoken: string } | null {
  const match = /\$?\s?(\d{1,7}(?:\.\d\d)?)/.exec(text.replace(/,(?=\d{3})/g, ''))
  return match?.[1] === undefined ? null : { value: match[1], spoken: match[0] }
}

const YES = /^(?:(?:well|uh|um|oh|ah)[, ]+)*(?:yes|yeah|yep|yup|sure|correct|right|that's right|that is right|exactly|of course|absolutely|definitely|i am|i do|i have|it is|it does|we do|we are|uh-huh|mhm|mm-hmm|please|okay|ok|sounds good|that works|that's fine|that is fine|that's good|perfect|great|go ahead|do it|book it|please do|fine|works for me|let's do (?:it|that))\b/i
const NO = /^(?:(?:well|uh|um|oh|ah|actually)[, ]+)*(?:no|nope|nah|not|i'm not|i am not|i don't|i do not|i haven't|it isn't|it's not|we don't|wrong|incorrect|that's wrong|that's not|that is not|never)\b/i

/** A plain answer, whatever follows it. */
export function yesNo(text: string): { value: 'yes' | 'no'; spoken: string } | null {
  const said = text.trim()
  const no = NO.exec(said)
  if (no !== null) return { value: 'no', spoken: no[0] }
  const yes = YES.exec(said)
  return yes === null ? null : { value: 'yes', spoken: yes[0] }
}

const FILLERS = /^(?:(?:um+|uh+|er+|ah|oh|well|so|yeah|yes|okay|ok|sure|hi|hello|please|like|you know|let me see|let's see|it is|it's|that is|that's|that would be|the address is|my address is|address is|at|i live at|we are at|we're at|i think|just)[ ,.]+)+/i

function withoutFillers(text: string): string {
  return text.replace(FILLERS, '').replace(/[ ,.]+(?:please|thanks|thank you)[.!]?$/i, '').replace(/[\s.,!]+$/, '').trim()
}
