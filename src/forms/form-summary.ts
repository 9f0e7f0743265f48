import type { Form } from '../tenancy/form.ts'
import { sayValue } from './form-lines.ts'
import { activeSlots, type FormState } from './form-state.ts'

/** What the lead store takes of a sentence. */
const MAX_SUMMARY_CHARS = 600

/** What a form has come to, for a person who has to go on with it. */
export type FormSummary = Readonly<{ formId: string; callerName: string | null; phoneNumberE164: string | null; summary: string; slots: Readonly<Record<string, string>> }>

/** Slot by slot as understood, and one sentence. The number that called stands in for one that was not said. */
export function formSummary(form: Form, state: FormState, callerNumber: string | null): FormSummary {
  const filled = activeSlots(form, state).flatMap((slot) => {
    const value = state.slots[slot.id]
    return value === undefined ? [] : [{ slot, value }]
  })
  const slots = Object.fromEntries(filled.map(({ slot, value }) => [slot.id, value.value]))
  const said = filled.map(({ slot, value }) => `${slot.label.replace(/^(?:the|your) /, '')}: ${slot.type === 'phone' ? value.value : sayValue(slot, value) || value.value}`)
  if (state.chosen !== null) {
    slots['chosenTime'] = state.chosen.startsAt
    said.push(`chosen time: ${state.chosen.said}`)
  }
  return {
    formId: form.id,
    callerName: filled.find(({ slot }) => slot.type === 'name')?.value.value ?? null,
    phoneNumberE164: filled.find(({ slot }) => slot.type === 'phone')?.value.value ?? callerNumber,
    summary: `${form.name}. ${said.length === 0 ? 'Nothing was said yet' : said.join('; ')}.`.slice(0, MAX_SUMMARY_CHARS),
    slots,
  }
}
