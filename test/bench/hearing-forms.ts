/** What `bench:hearing` expects: a company's form, a menu, or a shape. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Expectation, FormExpectation, SlotShape } from '../../src/core/expectation.ts'
import { formExpectation } from '../../src/forms/form-expectation.ts'
import { formSchema } from '../../src/tenancy/form.ts'
import type { Row } from './hearing-clips.ts'

/** Either one expectation for every row, or digits as many as each row has. */
export type BenchForm = Readonly<{ expectation: Expectation }> | 'digits-known'

const menuSchema = z.object({ carriers: z.array(z.string()), slots: z.record(z.string(), z.array(z.string())) })
const companySchema = z.object({
  company: z.object({ forms: z.array(formSchema), services: z.array(z.object({ name: z.string(), aliases: z.array(z.string()).default([]) })).default([]) }),
})

export function readForm(form: string): BenchForm {
  if (form === 'digits:known') return 'digits-known'
  const shape = shapeOf(form)
  if (shape !== null) return { expectation: shape }
  if (existsSync(form)) return { expectation: fromFile(JSON.parse(readFileSync(form, 'utf8'))) }
  const [companyId, formId] = form.split('/')
  const { company } = companySchema.parse(JSON.parse(readFileSync(join('media/companies', `${companyId}.json`), 'utf8')))
  const found = company.forms.find((candidate) => candidate.id === formId)
  if (found === undefined) throw new Error(`${companyId} has no form ${formId}: ${company.forms.map((candidate) => candidate.id).join(', ')}`)
  return { expectation: formExpectation(found, null, { services: company.services }) }
}

function shapeOf(form: string): Exclude<SlotShape, { kind: 'words' | 'choice' }> | null {
  const digits = /^digits:(\d+)(?:-(\d+))?$/.exec(form)
  if (digits !== null) {
    const from = Number(digits[1])
    const to = Number(digits[2] ?? from)
    return { kind: 'digits', counts: Array.from({ length: to - from + 1 }, (_, i) => from + i) }
  }
  return form === 'yes-no' || form === 'date' || form === 'money' || form === 'spelling' || form === 'name' ? { kind: form } : null
}

function fromFile(json: unknown): FormExpectation {
  const menu = menuSchema.safeParse(json)
  if (!menu.success) return formExpectation(formSchema.parse(json), null, { services: [] })
  return {
    kind: 'form',
    formId: 'menu',
    carriers: menu.data.carriers,
    asked: null,
    slots: Object.entries(menu.data.slots).map(([id, values]) => ({ id, shape: { kind: 'choice', options: values.map((value) => ({ value, aliases: [] })) } })),
  }
}

export function expectationFor(form: BenchForm, row: Row): Expectation {
  if (form !== 'digits-known') return form.expectation
  return { kind: 'digits', counts: [Math.max(1, row.transcript.split(' ').length)] }
}

/** The menu without what this caller asks for. */
export function withoutSaid(expectation: Expectation, slotId: string, row: Row): Expectation {
  const said = row.transcript.startsWith('{') ? z.object({ slots: z.record(z.string(), z.string()) }).parse(JSON.parse(row.transcript)).slots[slotId]?.trim() : undefined
  if (expectation.kind !== 'form' || said === undefined) return expectation
  return {
    ...expectation,
    slots: expectation.slots.map((slot) =>
      slot.id === slotId && slot.shape.kind === 'choice' ? { ...slot, shape: { ...slot.shape, options: slot.shape.options.filter((option) => option.value !== said) } } : slot,
    ),
  }
}
