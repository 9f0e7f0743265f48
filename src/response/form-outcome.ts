import type { Appointment } from '../booking/appointment.ts'
import type { AppointmentRequest, BookingDesk, Opening } from '../booking/booking-desk.ts'
import type { Effect, EffectResult, LeadInput } from '../booking/effect.ts'
import { unlessAway } from '../core/errors.ts'
import { acceptedValue } from '../forms/slot-values.ts'
import type { Form, FormSlot } from '../tenancy/form.ts'
import { formSummary } from '../forms/form-summary.ts'
import { offered, submitted } from '../forms/form-step.ts'
import { sayValue, spokenSlots } from '../forms/form-lines.ts'
import type { FormContext } from '../forms/form-move.ts'
import { activeSlots, WHEN_SLOT, type FormState, type TimeOffer } from '../forms/form-state.ts'
import type { Answer, Turn } from './answer-step.ts'
import { LINES } from './built-in-lines.ts'
import { leaveMessage, toPerson } from './call-handling.ts'
import { CANCEL_FORM, RESCHEDULE_FORM } from './own-appointment-form.ts'
import { offersOf, visitTimes } from './visit-times.ts'

/** What is said while a form becomes something: heard before anything is done, so that nothing is done unheard. */
export const OUTCOME_LINES = {
  looking: 'Let me look.',
  booking: 'One moment while I put that in.',
  full: 'I have nothing free then.',
  fullAtAll: "I'm sorry, I can't find a free time.",
  taken: "I'm sorry, that time has just been taken.",
  failed: "I'm sorry, I can't book it right now.",
  /** The calendar does not answer. */
  away: "I'm sorry, I can't see the calendar right now.",
  done: 'That is done.',
  noted: 'Somebody will call you back about it.',
  noVisit: "I can't find a visit under this number.",
} as const

export const FORM_PLAIN = { source: 'form', entryId: null, confidence: 1, isWhole: true } as const

/** Free times on the table, or the nearest ones; nothing at all ends in a callback. Reads only. */
export async function offerTimes(turn: Turn, context: FormContext, state: FormState, desk: BookingDesk | null, lead: readonly string[], signal: AbortSignal): Promise<Answer> {
  if (desk === null) return callback(turn, context, state, [...lead, OUTCOME_LINES.failed])
  const { company } = turn.question.context
  const times = await unlessAway(visitTimes(desk, company, context.form, state, turn.question.wallTime, signal), null)
  if (times === null) return withoutCalendar(turn, context, state, lead)
  turn.trace('openings', { asked: times.said, full: times.full, offers: times.offers.map((offer) => offer.startsAt) })
  if (times.offers.length === 0 && state.slots[WHEN_SLOT] !== undefined) return callback(turn, context, state, [...lead, OUTCOME_LINES.fullAtAll])
  const move = offered(context, state, times, times.full ? [...lead, OUTCOME_LINES.full] : lead)
  return { ...FORM_PLAIN, intent: `form:${context.form.id}`, texts: move.say, expect: move.expect, facts: move.say, dialogue: { form: move.state } }
}

/** Nobody can say what is free just now: people call back, with all that the caller has said. */
export function withoutCalendar(turn: Turn, context: FormContext, state: FormState, lead: readonly string[]): Answer {
  turn.trace('openings', { away: true })
  return callback(turn, context, state, [...lead, OUTCOME_LINES.away])
}

/** Says that it is being done; does it once that is heard; says what came of it. */
export function submit(turn: Turn, context: FormContext, state: FormState, desk: BookingDesk | null, lead: readonly string[]): Answer {
  const effect = effectOf(turn, context, state)
  if (effect === null) return callback(turn, context, state, [...lead, OUTCOME_LINES.failed])
  return {
    ...FORM_PLAIN,
    intent: `form:${context.form.id}`,
    texts: [...lead, OUTCOME_LINES.booking],
    facts: lead,
    // Interrupted here, the same thing is asked for again, and comes to the same.
    dialogue: { form: { ...state, phase: 'submitting' } },
    after: async (signal) => afterwards(turn, context, state, await ownAlready(turn, effect, desk, await turn.question.effects.perform(effect, signal), signal)),
  }
}

/** A time that is taken may be taken by this very call: the stream broke between the deed and its telling. */
async function ownAlready(turn: Turn, effect: Effect, desk: BookingDesk | null, result: EffectResult, signal: AbortSignal): Promise<EffectResult> {
  if (result.kind !== 'taken' || effect.kind !== 'book' || desk === null) return result
  const { companyId, callId } = turn.question
  const own = await unlessAway(desk.upcoming(companyId, effect.request.customer.phoneNumberE164, signal), [])
  const same = own.find((one) => one.startsAt === effect.request.opening.startsAt && one.callSid === callId)
  return same === undefined ? result : { kind: 'done', appointment: same }
}

function afterwards(turn: Turn, context: FormContext, state: FormState, result: EffectResult): Answer {
  const { form } = context
  const plain = { ...FORM_PLAIN, intent: `form:${form.id}` }
  turn.trace('effect', { result: result.kind })
  switch (result.kind) {
    case 'done': {
      const done = context.render(form.done, spokenSlots(form, state)) ?? OUTCOME_LINES.done
      const more = done.trimEnd().endsWith('?') ? [] : [LINES.anythingElse]
      return {
        ...plain,
        texts: [done, ...more],
        facts: [done],
        expect: { kind: 'yes-no' },
        dialogue: { form: submitted(state, result.appointment?.id ?? null), offer: { kind: 'more', entryId: null } },
      }
    }
    case 'taken': {
      const { company } = turn.question.context
      const offers = offersOf(result.alternatives, company, turn.question.wallTime)
      const move = offered(context, { ...state, phase: 'collecting', chosen: null }, { offers, wanted: null }, [OUTCOME_LINES.taken])
      return { ...plain, texts: move.say, facts: move.say, expect: move.expect, dialogue: { form: move.state } }
    }
    case 'failed':
      return callback(turn, context, state, [OUTCOME_LINES.failed])
  }
}

/** People take over: they get what is known so far, and call back. */
export function callback(turn: Turn, context: FormContext, state: FormState, lead: readonly string[]): Answer {
  const effect: Effect = { kind: 'lead', lead: leadOf('callback', context, state) }
  return {
    ...FORM_PLAIN,
    intent: `form:${context.form.id}`,
    texts: [...lead, OUTCOME_LINES.noted],
    facts: lead,
    expect: { kind: 'open' },
    dialogue: { form: { ...state, phase: 'submitting', asked: null } },
    after: async (signal) => {
      const result = await turn.question.effects.perform(effect, signal)
      turn.trace('effect', { lead: 'callback', result: result.kind })
      return { ...FORM_PLAIN, intent: `form:${context.form.id}`, texts: [LINES.anythingElse], expect: { kind: 'yes-no' }, dialogue: { form: submitted(state, null), offer: { kind: 'more', entryId: null } } }
    },
  }
}

/** The caller was not understood often enough. With a person on the line, or their own voice on tape, nothing is lost. */
export function handOver(turn: Turn, context: FormContext, state: FormState, to: 'transfer' | 'message', lead: readonly string[]): Answer {
  const answer = to === 'transfer' ? toPerson(turn, null) : leaveMessage(turn)
  const effect: Effect = { kind: 'lead', lead: leadOf('callback', context, state) }
  const given = submitted(state, null)
  if (answer.action?.kind === 'transfer') return { ...answer, texts: [...lead, ...answer.texts], dialogue: { ...answer.dialogue, form: { ...state, phase: 'abandoned', asked: null } } }
  // What was understood goes with it, whatever is said on the tape.
  return {
    ...FORM_PLAIN,
    intent: answer.intent,
    texts: [...lead, OUTCOME_LINES.noted],
    facts: lead,
    dialogue: { form: { ...state, phase: 'submitting', asked: null } },
    after: async (signal) => {
      await turn.question.effects.perform(effect, signal)
      return { ...answer, dialogue: { ...answer.dialogue, form: given } }
    },
  }
}

function effectOf(turn: Turn, context: FormContext, state: FormState): Effect | null {
  const { form } = context
  if (form.id === CANCEL_FORM) return state.appointmentId === null ? null : { kind: 'cancel', appointmentId: state.appointmentId }
  if (form.id === RESCHEDULE_FORM) return state.appointmentId === null || state.chosen === null ? null : { kind: 'reschedule', appointmentId: state.appointmentId, opening: openingOf(state.chosen) }
  if (form.outcome === 'appointment') {
    const request = requestOf(turn, context, state)
    return request === null ? null : { kind: 'book', request }
  }
  return { kind: 'lead', lead: leadOf(form.outcome === 'order' ? 'order' : 'callback', context, state) }
}

function leadOf(kind: LeadInput['kind'], context: FormContext, state: FormState): LeadInput {
  return { kind, ...formSummary(context.form, state, context.callerNumber) }
}

function openingOf(offer: TimeOffer): Opening {
  const { serviceId, resourceId, startsAt, endsAt, window } = offer
  return { serviceId, resourceId, startsAt, endsAt, window }
}

/** By type first, by name where a type says too little: slots "city", "state", "zip" and "unit" belong to the address. */
function requestOf(turn: Turn, context: FormContext, state: FormState): AppointmentRequest | null {
  const { form } = context
  const { company } = turn.question.context
  // What was said to a question that does not count any more ("I have been here before, after all") is nobody's answer.
  const slots = activeSlots(form, state)
  const value = (id: string): string => (slots.some((slot) => slot.id === id) ? (state.slots[id]?.value ?? '') : '')
  const ofType = (type: string): string => slots.filter((slot) => slot.type === type).map((slot) => value(slot.id)).find((found) => found !== '') ?? ''
  const phoneNumberE164 = ofType('phone') || context.callerNumber
  if (state.chosen === null || phoneNumberE164 === null) return null
  const street = ofType('address')
  const service = company.services.find((one) => one.id === state.chosen?.serviceId)
  const reason = slots.filter((slot) => slot.type === 'text').map((slot) => value(slot.id)).find((found) => found !== '') ?? service?.name ?? form.name
  const taken = new Set([...form.slots.filter((slot) => ['name', 'phone', 'address', 'service', 'text'].includes(slot.type)).map((slot) => slot.id), WHEN_SLOT, ...ADDRESS_SLOTS])
  const answers = Object.fromEntries(
    slots.filter((slot) => !taken.has(slot.id) && value(slot.id) !== '').map((slot) => [snake(slot.id), value(slot.id)]),
  )
  return {
    opening: openingOf(state.chosen),
    // A time was chosen, and nobody to come at it.
    anyResource: true,
    customer: {
      name: ofType('name') || NAME_NOT_GIVEN,
      phoneNumberE164,
      address: street === '' ? null : { street: street.slice(0, 120), unit: value('unit').slice(0, 40), city: value('city') || CITY_NOT_SAID, state: value('state'), zip: ofType('zip') || value('zip') },
    },
    reason: reason.slice(0, 300),
    answers,
    callSid: turn.question.callId,
  }
}

const ADDRESS_SLOTS = ['unit', 'city', 'state', 'zip'] as const
const NAME_NOT_GIVEN = 'Name not given'
const CITY_NOT_SAID = 'not said'

/** A customer as a form asks for one: what `requestOf` makes of slots, the other way round. Values that are none of their slot are left out. */
export function knownSlots(form: Form, { name, address }: Appointment['customer']): Readonly<Record<string, string>> {
  const nameSlot = form.slots.find((slot) => slot.type === 'name' && slot.recall)
  const street = form.slots.find((slot) => slot.type === 'address' && slot.recall)
  const parts: readonly (readonly [FormSlot | undefined, string])[] = [
    [nameSlot, name === NAME_NOT_GIVEN ? '' : name],
    ...(address === null || street === undefined ? [] : [[street, address.street] as const, ...ADDRESS_SLOTS.map((id) => [form.slots.find((slot) => slot.id === id), address[id]] as const)]),
  ]
  return Object.fromEntries(parts.flatMap(([slot, value]) => (slot === undefined || value === '' || acceptedValue(slot, value) === null ? [] : [[slot.id, value]])))
}

function snake(id: string): string {
  return id.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** Everything the caller has said that a sentence of ours may repeat. */
export function spokenFacts(context: FormContext, state: FormState): string[] {
  return context.form.slots.flatMap((slot) => {
    const filled = state.slots[slot.id]
    return filled === undefined ? [] : [sayValue(slot, filled)]
  })
}
