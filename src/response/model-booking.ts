import { openedForm } from '../forms/form-step.ts'
import { formContext, withServices } from './form-context.ts'
import { bookByPerson, type BeginBooking } from './model-tools.ts'

/**
 * An appointment that a model wants made begins like one that a caller asks for: with the form's first question, and nothing taken from the
 * model but the service. Every answer, the reading back and the yes are the caller's. Without a form: a person, or a message.
 */
export const bookByForm: BeginBooking = (turn, service) => {
  const { company } = turn.question.context
  const form = company.forms.find((one) => one.enabled && one.slots.some((slot) => slot.type === 'service'))
  if (form === undefined) return bookByPerson(turn, service)
  const context = formContext(turn, withServices(form, company))
  const named = openedForm(context, { text: service.name, reading: null, source: 'heard', withQuestion: false })
  // The service alone is enough to look for times: then the form begins by asking for it after all.
  const move = named.wish === null ? named : openedForm(context, { text: '', reading: null, source: 'heard', withQuestion: false })
  return { intent: 'model:book', texts: move.say, expect: move.expect, dialogue: { form: move.state } }
}
