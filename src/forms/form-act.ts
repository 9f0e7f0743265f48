import type { Form, FormSlot } from '../tenancy/form.ts'
import { yesNo } from './slot-finder.ts'

/** What a caller does with the form itself, beside answering. */
export type FormAct = 'give-up' | 'so-far' | 'enough'

const GIVE_UP =
  /^(?:(?:no|oh|um|uh|well|actually|you know what|sorry|okay|ok|hey)[ ,]+)*(?:never ?mind|forget (?:it|about it|that|the whole thing)|cancel (?:that|it|this|everything|the (?:booking|order))|drop it|skip it all|(?:i|i've|i have) changed?(?: \w+)? my mind|i don't (?:want|need) (?:it|this|that|an appointment|to book)(?: anymore| any more)?|stop(?: it| this)?|let's not|not now|i'll call (?:you )?back(?: later)?|i will call (?:you )?back(?: later)?|scratch that)\b(?![^.?!]*\b(?:make it|instead|changed?(?!(?: \w+)? my mind)|i want|can i)\b)/i
const SO_FAR =
  /\bwhat (?:name|(?:phone )?number|address) do you have\b|\bwhat (?:do|did|have) you (?:have|got|get|put|written down)(?: down)?(?: so far)?\b(?!.*\b(?:open|available|free)\b)|\bread (?:that|it|everything|this) back\b|\bwhat (?:have i|did i) (?:said|say|told|tell|order|give|given)\b|\bwhere (?:are|were) we\b|\brepeat (?:my|the) (?:order|booking|answers)\b|\bgo over (?:it|that|everything)\b/i
const ENOUGH = /^(?:(?:no|nope|um|uh|and|okay)[ ,]+)*(?:that's (?:it|all)|that is (?:it|all)|that'll be (?:it|all)|that will be (?:it|all)|nothing else|just that|that's everything|that is everything)\b/i

export function formAct(text: string): FormAct | null {
  const said = text.trim()
  if (GIVE_UP.test(said)) return 'give-up'
  if (SO_FAR.test(said)) return 'so-far'
  return ENOUGH.test(said) ? 'enough' : null
}

const WRONG = /\b(?:wrong|incorrect|not right|isn't right|change|fix|mistake|different|messed up|got .* wrong)\b/i

/** "The number is wrong": the slot that is named as wrong, by its label. Null: none is. */
export function slotCalledWrong(form: Form, text: string): FormSlot | null {
  if (!WRONG.test(text)) return null
  return named(form, text)
}

/** The slot that a caller names, as in "the size". */
export function named(form: Form, text: string): FormSlot | null {
  const plain = ` ${text.toLowerCase().replace(/[^a-z' ]+/g, ' ')} `
  return form.slots.find((slot) => [slot.label, slot.id].some((name) => plain.includes(` ${name.toLowerCase().replace(/^(?:the|your|a|an) /, '').split(' ').at(-1)} `))) ?? null
}

const HEDGE = /\b(?:but|maybe|i guess|not sure|wait|hold on|let me think|hmm+|depends|unless|perhaps)\b/i

/** A yes that may be acted on: a hedged one is asked again. */
export function plainYesNo(text: string): 'yes' | 'no' | 'hedged' | null {
  const answer = yesNo(text)
  if (answer === null) return null
  return answer.value === 'yes' && HEDGE.test(text) ? 'hedged' : answer.value
}
