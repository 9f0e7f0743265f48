import type { Appointment } from '../booking/appointment.ts'
import type { BookingDesk } from '../booking/booking-desk.ts'
import { sayOpening } from '../booking/when.ts'
import type { FormContext, FormMove, Said } from '../forms/form-move.ts'
import { unlessAway } from '../core/errors.ts'
import { anchored, openedForm } from '../forms/form-step.ts'
import { isLive, newFormState, type FilledSlot, type FormState } from '../forms/form-state.ts'
import type { Turn } from './answer-step.ts'
import { callerNumber, formContext } from './form-context.ts'
import { CANCEL_FORM, ownAppointmentForm, RESCHEDULE_FORM } from './own-appointment-form.ts'

const VISIT = '(?:appointment|visit|booking|reservation|time|slot|cleaning|tune[ -]?up)'
const MOVES = new RegExp(`\\b(?:reschedule|move|change|switch|transfer|push|postpone) (?:my|the|our|that|this)(?: \\w+){0,2} ?${VISIT}\\b|\\b(?:need|want|like|have) to reschedule\\b|\\bcan't make (?:my|the|it)\\b.*\\b${VISIT}\\b`, 'i')
const CANCELS = new RegExp(`\\b(?:cancel|call off) (?:my|the|our|that|this)(?: \\w+){0,2} ?${VISIT}\\b`, 'i')
const ABOUT_RULES = /\b(?:fee|charge|policy|how (?:much|late|long)|what happens|what if)\b/i

/** `move` null: the calendar does not answer, so nobody can say what is booked. */
export type OwnAppointment = Readonly<{ context: FormContext; move: FormMove | null }>

/**
 * A caller who moves or cancels a visit of their own, known by the number they call from. Null: that was not asked for, nothing is
 * booked under the number, or no desk is there; then the company's own answer stands.
 */
export async function ownAppointments(turn: Turn, desk: BookingDesk | null, signal: AbortSignal): Promise<OwnAppointment | null> {
  if (desk === null || turn.text === '' || ABOUT_RULES.test(turn.text)) return null
  const formId = CANCELS.test(turn.text) ? CANCEL_FORM : MOVES.test(turn.text) ? RESCHEDULE_FORM : null
  const number = callerNumber(turn.question.from)
  const form = formId === null ? null : ownAppointmentForm(formId)
  if (form === null || number === null || isLive(turn.question.dialogue.form ?? null)) return null
  const { company } = turn.question.context
  const upcoming = await unlessAway(desk.upcoming(company.id, number, signal), null)
  if (upcoming === null) return { context: formContext(turn, form), move: null }
  const [next] = upcoming
  turn.trace('own-appointment', { wish: form.id, found: next?.id ?? null })
  if (next === undefined) return null
  const context = formContext(turn, form)
  const filled = (value: string): FilledSlot => ({ value, spoken: value, provenance: 'crm', confidence: 1, heardAt: context.now })
  const said = saidVisit(turn, next)
  const begun: FormState = { ...newFormState(form.id), appointmentId: next.id, slots: form.id === CANCEL_FORM ? { visit: filled(said) } : {} }
  if (form.id === CANCEL_FORM) return { context, move: anchored(context, { ...begun, phase: 'reading-back' }) }
  const words: Said = { text: turn.text.replace(MOVES, ' '), reading: null, source: 'heard', withQuestion: false }
  const opened = openedForm(context, words)
  const state: FormState = { ...opened.state, appointmentId: next.id, slots: { ...opened.state.slots, '@service': filled(next.serviceId ?? '') } }
  return { context, move: { ...opened, state, say: [`Your visit is ${said}.`, ...opened.say] } }
}

function saidVisit(turn: Turn, appointment: Appointment): string {
  const { company } = turn.question.context
  return sayOpening({ startsAt: appointment.startsAt, window: appointment.window }, company.timeZone, turn.question.wallTime)
}
