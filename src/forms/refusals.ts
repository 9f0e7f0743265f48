import type { Form } from '../tenancy/form.ts'
import { acceptedValue } from './slot-values.ts'
import type { FormState } from './form-state.ts'

/** A choice that a caller does not want. */
export type Refusal = Readonly<{ slotId: string; value: string; /** Where it stands in the words. */ at: number; length: number }>

/** In front of what is not wanted: "without sugar", "not a small", "hold the milk". */
const DENIES = /\b(?:not|without|hold|skip|leave out|leave off|minus|never|(?:don't|do not|didn't|did not) (?:want|need|like)|instead of|rather than)(?: (?:a|an|the|any|that|my|it))? $/i
/** "No milk" denies, "no, large" puts something right, and "no large" may do either. */
const SAYS_NO = /\bno $/i

/**
 * The choices that the words turn down. A "no" right before a choice puts an earlier one of the same slot right ("small, no large") and
 * denies it where there is none ("a latte, no milk"), or where it is what was said before ("no milk"). As the answer to that slot's own
 * question it is an answer.
 */
export function refusals(form: Form, state: FormState, words: string): readonly Refusal[] {
  const text = words.replace(/[-\0]/g, ' ')
  return form.slots.flatMap((slot) => {
    if (slot.type !== 'choice' && slot.type !== 'service') return []
    const said = slot.options.flatMap((option) => [option.value, ...option.aliases].flatMap((name) => places(text, name).map((at) => ({ value: option.value, name: name.replace(/[-_]/g, ' '), at }))))
    return said.flatMap(({ value, name, at }): Refusal[] => {
      const before = text.slice(0, at)
      const known = state.slots[slot.id]
      const isOwnName = said.some((other) => other.at < at && other.at + other.name.length >= at + name.length)
      const saidBefore = said.some((other) => other.at + other.name.length < at) || (known !== undefined && !isSaidIn(known.value, name))
      const denied = DENIES.test(before) || (SAYS_NO.test(before) && !saidBefore && (before.trim().length > 2 || known !== undefined || state.asked?.slotId !== slot.id))
      return denied && !isOwnName && acceptedValue(slot, value) !== null ? [{ slotId: slot.id, value, at, length: name.length }] : []
    })
  })
}

/** What was taken before and is turned down now: "no milk" is about "a bit of milk", too. */
export function takenBack(form: Form, state: FormState, words: string): readonly string[] {
  const denied = refusals(form, state, words)
  return [...new Set(denied.filter(({ slotId, value }) => isSaidIn(state.slots[slotId]?.value ?? '', value)).map(({ slotId }) => slotId))]
}

function isSaidIn(value: string, name: string): boolean {
  return ` ${value.toLowerCase()} `.includes(` ${name.toLowerCase()} `)
}

function places(text: string, name: string): number[] {
  const pattern = new RegExp(`(?<![\\w'])${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/[-_\s]+/g, '\\s+')}(?![\\w'])`, 'gi')
  return [...text.matchAll(pattern)].map((match) => match.index)
}
