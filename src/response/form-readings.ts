import { openForm } from '../forms/form-questions.ts'
import { prepareToRead } from '../grammar/read-text.ts'
import type { Company } from '../tenancy/company.ts'
import { withServices } from './form-context.ts'

/**
 * Makes ready what a company's first caller would otherwise wait for: the grammar of each question of its forms, for answers that come as text.
 * `quiet` is awaited before each of them, so that no more than one holds up the loop at a time.
 */
export async function prepareReadings(company: Company, quiet: () => Promise<void>): Promise<void> {
  const forms = company.forms.filter((form) => form.enabled).map((form) => withServices(form, company))
  const questions = forms.flatMap((form) => [null, ...form.slots.map((slot) => slot.id)].map((asked) => openForm({ form }, asked)))
  for (const question of questions.slice(0, MOST_PREPARED)) {
    await quiet()
    prepareToRead(question)
  }
}

/** Two hundred grammars are kept for all companies; one with more questions than this would push the others' out. */
const MOST_PREPARED = 40
