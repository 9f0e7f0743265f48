import type { Company } from './company.ts'

type Refuse = (field: string, problem: string) => never

/** What the slots of a form, and forms beside each other, say of one another. */
export function checkForms(forms: Company['forms'], refuse: Refuse): void {
  const ids = new Set<string>()
  for (const [index, form] of forms.entries()) {
    const at = `forms.${index}`
    if (ids.has(form.id)) refuse(`${at}.id`, `"${form.id}" is taken`)
    if (form.id.startsWith('@')) refuse(`${at}.id`, 'must not begin with "@": those are the product\'s own')
    ids.add(form.id)
    checkSlots(at, form, refuse)
  }
}

function checkSlots(at: string, form: Company['forms'][number], refuse: Refuse): void {
  const seen = new Set<string>()
  for (const [index, slot] of form.slots.entries()) {
    const field = `${at}.slots.${index}`
    if (seen.has(slot.id)) refuse(`${field}.id`, `"${slot.id}" is taken`)
    seen.add(slot.id)
    if (slot.type === 'choice' && slot.options.length === 0) refuse(`${field}.options`, 'a choice needs something to choose from')
    const values = new Set<string>()
    for (const [place, option] of slot.options.entries()) {
      if (values.has(option.value)) refuse(`${field}.options.${place}.value`, `"${option.value}" is taken`)
      values.add(option.value)
    }
    if (slot.when === null) continue
    const other = form.slots.find((one) => one.id === slot.when?.slotId)
    if (other === undefined || other.id === slot.id) refuse(`${field}.when.slotId`, `there is no other slot "${slot.when.slotId}"`)
    const stranger = slot.when.in.find((value) => other.type === 'choice' && !other.options.some((option) => option.value === value))
    if (stranger !== undefined) refuse(`${field}.when.in`, `"${stranger}" is not an option of ${other.id}`)
  }
  if (form.outcome === 'appointment' && !form.slots.some((slot) => slot.id === 'when' && slot.type === 'date')) refuse(`${at}.slots`, 'an appointment needs a slot "when" of type "date"')
}
