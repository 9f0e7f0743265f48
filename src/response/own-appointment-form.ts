import { formSchema, type Form } from '../tenancy/form.ts'
import { WHEN_SLOT } from '../forms/form-state.ts'

/** Forms of the product's own: a caller's visit that exists is moved, or cancelled. No company form may begin with "@". */
export const RESCHEDULE_FORM = '@reschedule'
export const CANCEL_FORM = '@cancel'

const RESCHEDULE = formSchema.parse({
  id: RESCHEDULE_FORM,
  name: 'Move a visit',
  outcome: 'appointment',
  slots: [{ id: WHEN_SLOT, label: 'the time', type: 'date', prompt: 'What day would suit you instead?', reprompts: ['Which day would be better?'], attempts: 3, fallback: 'transfer' }],
  readBack: 'I would move it to {{ when }}. Is that right?',
  done: 'It is moved to {{ when }}.',
  abandoned: 'All right, it stays as it is.',
})

const CANCEL = formSchema.parse({
  id: CANCEL_FORM,
  name: 'Cancel a visit',
  outcome: 'lead',
  slots: [{ id: 'visit', label: 'the visit', type: 'text', required: false, prompt: 'Which visit?' }],
  readBack: 'Your visit is {{ visit }}. Shall I cancel it?',
  done: 'It is cancelled.',
  abandoned: 'All right, it stays as it is.',
})

export function ownAppointmentForm(formId: string): Form | null {
  if (formId === RESCHEDULE_FORM) return RESCHEDULE
  return formId === CANCEL_FORM ? CANCEL : null
}
