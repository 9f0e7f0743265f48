import type { ChoiceOption, FormExpectation, SlotShape } from '../core/expectation.ts'
import type { Form, FormSlot } from '../tenancy/form.ts'

/** A service as callers name it: the booking desk's services, or the company's list of what it does. */
export type SpokenService = Readonly<{ name: string; aliases: readonly string[] }>

/** The form as the ear sees it while `asked` is the question last put; null while the caller may fill any of it. */
export function formExpectation(form: Form, asked: string | null, context: Readonly<{ services: readonly SpokenService[] }>): FormExpectation {
  return {
    kind: 'form',
    formId: form.id,
    carriers: form.carriers,
    slots: form.slots.map((slot) => ({ id: slot.id, shape: slotShape(slot, context.services) })),
    asked,
  }
}

export function slotShape(slot: FormSlot, services: readonly SpokenService[]): SlotShape {
  switch (slot.type) {
    case 'choice':
      return choice(slot.options)
    case 'service':
      return choice(services.map((service) => ({ value: service.name, aliases: service.aliases })))
    case 'digits':
      return { kind: 'digits', counts: slot.counts.length === 0 ? ANY_COUNT : slot.counts }
    case 'phone':
      return { kind: 'digits', counts: PHONE_DIGITS }
    case 'zip':
      return { kind: 'digits', counts: ZIP_DIGITS }
    case 'date':
    case 'money':
    case 'yes-no':
    case 'name':
    case 'spelling':
      return { kind: slot.type }
    case 'address':
      return { kind: 'words', of: 'address' }
    case 'text':
      return { kind: 'words' }
  }
}

/** Ten only: offered seven or eleven as well, a recogniser drops or adds one in every sixth number. */
const PHONE_DIGITS: readonly number[] = [10]
const ZIP_DIGITS: readonly number[] = [5]
const ANY_COUNT: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8]

/** Nothing to choose from constrains nothing. */
function choice(options: readonly ChoiceOption[]): SlotShape {
  return options.length === 0 ? { kind: 'words' } : { kind: 'choice', options: options.map(({ value, aliases }) => ({ value, aliases: [...aliases] })) }
}
