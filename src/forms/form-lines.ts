import type { Form, FormSlot } from '../tenancy/form.ts'
import { activeSlots, SPEAKABLE_NAME, type FilledSlot, type FormState } from './form-state.ts'

/** What every form can say without being told; short, and speakable as it stands. */
export const FORM_LINES = {
  callerId: 'Is the number you are calling from the best one to reach you?',
  sameAddress: 'Is it the same address as last time?',
  rest: 'Go on.',
  spell: 'Could you spell that for me, letter by letter?',
  change: 'What should I change?',
  changeAgain: 'Tell me which part is wrong.',
  isThatRight: 'Is that right?',
  yesOrNo: 'Shall I go ahead, yes or no?',
  which: 'Which of those suits you?',
  otherTime: 'What other day or time would suit you?',
  goOn: 'Shall we go on where we were?',
  sorry: 'Sorry about that.',
  nothingYet: 'Nothing yet.',
  cutOff: 'Sorry, we were cut off.',
} as const

const DIGIT_NAMES = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine']

/** A value as a voice says it. Empty for a name that was not heard well enough to be said. */
export function sayValue(slot: FormSlot, filled: FilledSlot): string {
  switch (slot.type) {
    case 'phone':
      return inGroups(filled.value.replace(/^\+1/, ''))
    case 'zip':
    case 'digits':
      return inGroups(filled.value)
    case 'service':
      return slot.options.find((option) => option.value === filled.value)?.aliases[0] ?? filled.value
    case 'name':
    case 'spelling':
      return filled.confidence >= SPEAKABLE_NAME ? filled.value : ''
    case 'money':
      return `${filled.value} dollars`
    case 'date':
      return sayDate(filled.value)
    case 'choice':
    case 'yes-no':
    case 'address':
    case 'text':
      return filled.value
  }
}

/** "two three nine, five five five, zero one four two": groups as people say telephone numbers. */
export function inGroups(digits: string): string {
  const groups = digits.length === 10 ? [digits.slice(0, 3), digits.slice(3, 6), digits.slice(6)] : (digits.match(/\d{1,4}/g) ?? [])
  return groups.map((group) => [...group].map((digit) => DIGIT_NAMES[Number(digit)] ?? digit).join(' ')).join(', ')
}

/** An ISO day as "March 3, 1984"; a caller's wish as it was said, without the day that it came to. */
function sayDate(value: string): string {
  if (!/^\d{4}-\d\d-\d\d$/.test(value)) return value.replace(/ \([^)]*\)$/, '')
  return new Intl.DateTimeFormat('en-US', { dateStyle: 'long', timeZone: 'UTC' }).format(new Date(`${value}T00:00:00Z`))
}

/** "A latte, right?" Names the doubtful thing and nothing else. */
export function doubtLine(slot: FormSlot, filled: FilledSlot): string {
  if (filled.provenance === 'crm') return `Is this for ${filled.value}?`
  const said = sayValue(slot, filled) || filled.value
  return `${said.charAt(0).toUpperCase()}${said.slice(1)}, right?`
}

/** Every answer so far, in the form's order, for "what do you have so far". */
export function soFarLine(form: Form, state: FormState): string {
  const parts = activeSlots(form, state).flatMap((slot) => {
    const filled = state.slots[slot.id]
    const said = filled === undefined ? '' : slot.id === 'when' && state.chosen !== null ? state.chosen.said : sayValue(slot, filled)
    return said === '' ? [] : [`${slot.label}, ${said}`]
  })
  return parts.length === 0 ? FORM_LINES.nothingYet : `So far I have ${parts.join('; ')}.`
}

/** What a read-back template may say: each slot as it is spoken; one without a value, or without its condition, or a name too uncertain, is not there. */
export function spokenSlots(form: Form, state: FormState): Record<string, string> {
  const said: Record<string, string> = {}
  for (const slot of activeSlots(form, state)) {
    const filled = state.slots[slot.id]
    const spoken = filled === undefined ? '' : sayValue(slot, filled)
    if (spoken !== '') said[slot.id] = spoken
  }
  if (state.chosen !== null) said['when'] = state.chosen.said
  return said
}

/** Where a form has no read-back of its own. */
export function plainReadBack(form: Form, state: FormState): string {
  const said = spokenSlots(form, state)
  const parts = form.slots.flatMap((slot) => (said[slot.id] === undefined ? [] : [said[slot.id] as string]))
  return `That is ${parts.join(', ')}.`
}

/** "I have tomorrow between 8 and 10, or between 10 and noon." A day is said once. */
export function offerLine(said: readonly string[]): string {
  if (said.length === 1) return `I have ${said[0]}. Does that work?`
  const times = said.map((time, index) => {
    const [day, rest] = dayAndTime(time)
    return index > 0 && dayAndTime(said[index - 1] as string)[0] === day ? rest : time
  })
  return `I have ${times.slice(0, -1).join(', ')}, or ${times.at(-1)}. ${FORM_LINES.which}`
}

function dayAndTime(said: string): readonly [string, string] {
  const at = said.search(/\b(?:between|at) /)
  return at < 0 ? [said, said] : [said.slice(0, at), said.slice(at)]
}
