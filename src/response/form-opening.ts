import { openForm } from '../forms/form-questions.ts'
import { isLive, newFormState } from '../forms/form-state.ts'
import { findSlots } from '../forms/slot-finder.ts'
import { readText } from '../grammar/read-text.ts'
import type { Form } from '../tenancy/form.ts'
import type { Turn } from './answer-step.ts'
import { saidPhrase } from './emergency.ts'
import { formContext, withServices } from './form-context.ts'

/** What was: a story, and no wish, unless the caller says one as well. */
const PAST =
  /\b(?:last (?:week|month|time|night|year|visit)|yesterday|(?:you|he|she|they|someone|somebody|your \w+)(?: guys)? (?:already )?(?:came|was here|were here|were out|sent|installed|fixed|replaced|told)|already|just had|still (?:hot|broken|not|leaking|doesn't|does not|isn't|is not|won't|waiting)|again)\b/i
const WISH = /\b(?:i'd like to|i would like to|we'd like to|we would like to|i want to|we want to|i need to|we need to|can i|can we|could i|could we) (?:please )?(?:schedule|book|make an appointment|set up (?:a|an)) /i
/** What is asked about, and what belongs to a visit that exists: none of it begins a new one. */
const ABOUT = /\b(?:how much|how long|what does it cost|do you charge|price|cost|fee|confirm|cancel|reschedule|late|where is|when is my|my (?:appointment|visit|booking)|the internet|online|website)\b/i
const ASKS_ABOUT = /^(?:what|how|when|where|who|why|which|do you|does|did|are you|is (?:it|there|that)|will you)\b/i

/** The form that a sentence begins: by one of its phrases, or by filling it where the form allows that. Null: none. */
export function formToOpen(turn: Turn): Form | null {
  if (turn.text === '' || isLive(turn.question.dialogue.form ?? null)) return null
  const { company } = turn.question.context
  const forms = company.forms.filter((form) => form.enabled)
  const bySlots = forms.find((form) => form.opensBySlots && fillsIt(turn, withServices(form, company)))
  if (bySlots !== undefined) return withServices(bySlots, company)
  if ((PAST.test(turn.text) && !WISH.test(turn.text)) || ABOUT.test(turn.text) || turn.understanding.isAboutPrice) return null
  const named = forms
    .map((form) => ({ form, phrase: saidPhrase(turn.text, { phrases: form.phrases, notWhen: [] }, company.mishearings) }))
    .filter(({ phrase }) => phrase !== null)
    .sort((a, b) => (b.phrase?.length ?? 0) - (a.phrase?.length ?? 0))[0]
  return named === undefined ? null : withServices(named.form, company)
}

/** "Can I get a small latte": heard as a sentence of the form, or with something in it that the form cannot do without. */
function fillsIt(turn: Turn, form: Form): boolean {
  const { input } = turn.question
  if (turn.understanding.isAboutPrice || ASKS_ABOUT.test(turn.understanding.rest)) return false
  const listened = input.kind === 'speech' ? input.reading : undefined
  if (listened !== undefined && listened.verdict !== 'outside' && listened.slots.some((slot) => form.slots.some((one) => one.id === slot.slotId))) return true
  const found = findSlots(form, newFormState(form.id), turn.text, null, null, formContext(turn, form))
  const needed = found.some((fill) => form.slots.find((slot) => slot.id === fill.slotId)?.required === true)
  const carried = form.carriers.some((carrier) => ` ${turn.text.toLowerCase().replace(/[^a-z' ]+/g, ' ')} `.includes(` ${carrier.toLowerCase()} `))
  if (needed && (carried || found.length >= 2 || found.length === turn.plain.split(' ').length)) return true
  if (listened !== undefined || !carried || found.length === 0) return false
  const reading = readText(openForm({ form }, null), turn.text)
  return reading.verdict !== 'outside' && reading.slots.length > 0
}
