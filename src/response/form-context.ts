import { DateTime } from 'luxon'
import { understandWhen, type WhenRequest } from '../booking/when.ts'
import { OPEN_EXPECTATION, type Expectation } from '../core/expectation.ts'
import type { FormContext } from '../forms/form-move.ts'
import { expectationOf, openForm } from '../forms/form-questions.ts'
import { isLive, type FilledSlot, type FormState } from '../forms/form-state.ts'
import { readText } from '../grammar/read-text.ts'
import type { Company } from '../tenancy/company.ts'
import type { Form } from '../tenancy/form.ts'
import type { Turn } from './answer-step.ts'
import { ownAppointmentForm } from './own-appointment-form.ts'
import { renderText } from './templates.ts'

/** The company's form, with its services as what a service slot may hold. Null: there is none, or it is switched off. */
export function formById(company: Company, formId: string): Form | null {
  const own = ownAppointmentForm(formId)
  if (own !== null) return own
  const form = company.forms.find((one) => one.id === formId && one.enabled)
  return form === undefined ? null : withServices(form, company)
}

export function withServices(form: Form, company: Company): Form {
  const options = company.services.filter((service) => service.enabled).map((service) => ({ value: service.id, aliases: [service.name, ...service.aliases] }))
  return { ...form, slots: form.slots.map((slot) => (slot.type === 'service' ? { ...slot, options } : slot)) }
}

/** What a form needs of this turn. */
export function formContext(turn: Pick<Turn, 'question' | 'scope'>, form: Form): FormContext {
  const { question, scope } = turn
  const { company } = question.context
  const now = question.wallTime
  return {
    form,
    callerNumber: callerNumber(question.from),
    now: now.toISOString(),
    today: DateTime.fromJSDate(now, { zone: company.timeZone }).toISODate() ?? '',
    readWhen: (words) => {
      const when = understandWhen(words, now, company.timeZone, company.hours)
      return when === null ? null : { value: writtenWhen(when, company.timeZone), namesDay: when.namesDay }
    },
    readText: (expectation, text, source) => readText(expectation, text, source),
    render: (template, values) => renderText(template, { ...scope, ...values }),
  }
}

/** "tomorrow afternoon (Tuesday, March 3)": as it is said, and the day that it means to whoever reads it later. */
function writtenWhen(when: WhenRequest, timeZone: string): string {
  const from = DateTime.fromISO(when.from, { zone: timeZone })
  return when.namesDay ? `${when.said} (${from.setLocale('en-US').toFormat('cccc, LLLL d')})` : when.said
}

/** What the words in the slot ask the booking desk for: read on the day they were said. */
export function whenOf(filled: FilledSlot, company: Company): WhenRequest | null {
  return understandWhen(filled.spoken, new Date(filled.heardAt), company.timeZone, company.hours)
}

/** Null for callers whose carrier gives no number. */
export function callerNumber(from: string): string | null {
  return /^\+[1-9]\d{6,14}$/.test(from) ? from : null
}

/** What may be said next when the reply itself asks nothing: the form that is under way, or one that a sentence begins by filling it. */
export function standingExpectation(turn: Pick<Turn, 'question' | 'scope'>, state: FormState | null): Expectation {
  const { company } = turn.question.context
  if (isLive(state)) {
    const form = formById(company, state.formId)
    return form === null ? OPEN_EXPECTATION : expectationOf(formContext(turn, form), state)
  }
  const open = company.forms.find((form) => form.enabled && form.opensBySlots)
  return open === undefined ? OPEN_EXPECTATION : openForm({ form: withServices(open, company) }, null)
}
