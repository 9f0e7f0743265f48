import { templateProblem } from '../response/templates.ts'
import { formSchema, type Form } from '../tenancy/form.ts'
import type { AdminPorts } from './admin-contract.ts'
import { companyListRoutes } from './booking-list-routes.ts'
import type { Resources } from './pipeline.ts'

/** A text that says what the form does not ask for is refused before a caller has to do without it. */
const checkedFormSchema = formSchema.superRefine((form, context) => {
  for (const field of ['readBack', 'done'] as const) {
    const problem = textProblem(form, form[field])
    if (problem !== null) context.addIssue({ code: 'custom', path: [field], message: problem })
  }
})

/** What callers are asked for, slot by slot. */
export function formRoutes(ports: AdminPorts): Resources {
  return (api, deps) => companyListRoutes(api, deps, ports, { field: 'forms', noun: 'form', tag: 'Forms', schema: formSchema, item: checkedFormSchema })
}

/** Everything the form may hold is there; what belongs to the company is its own affair. */
function textProblem(form: Form, text: string): string | null {
  const slots = Object.fromEntries([...form.slots.map((slot) => slot.id), 'when'].map((id) => [id, id]))
  const problem = templateProblem(text, slots)
  return problem !== null && /undefined variable: (?:company|agent|hours|prices|variables|open_now)\b/.test(problem) ? null : problem
}
