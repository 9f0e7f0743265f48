import { OPEN_EXPECTATION, type Expectation } from '../core/expectation.ts'
import type { FormSlot } from '../tenancy/form.ts'
import { formExpectation } from './form-expectation.ts'
import { doubtLine, FORM_LINES, offerLine, plainReadBack, sayValue, spokenSlots } from './form-lines.ts'
import type { FormContext, FormMove, FormWish } from './form-move.ts'
import { nextSlot, slotOf, type FormState } from './form-state.ts'
import { timeOptions } from './time-choice.ts'

/** Names are asked for twice at most: a third time sounds like a machine. */
const MAX_NAME_ATTEMPTS = 2

/** The next thing to ask, or to do, with everything heard so far taken in. `lead` is said before it. */
export function advance(context: FormContext, state: FormState, lead: readonly string[] = []): FormMove {
  if (state.doubt !== null) {
    const slot = slotOf(context.form, state.doubt.slotId)
    if (slot !== null) return put(context, { ...state, phase: 'collecting', asked: { slotId: slot.id, how: 'doubt' } }, lead)
  }
  const slot = nextSlot(context.form, state)
  // Something else was said to it: the question stands, and no attempt is used up.
  if (slot !== null && state.phase === 'collecting' && state.asked?.slotId === slot.id && state.asked.how !== 'doubt') return put(context, state, lead)
  if (slot !== null) return askSlot(context, state, slot, lead)
  if (context.form.outcome === 'appointment' && state.chosen === null) return wish({ ...state, phase: 'collecting', asked: null }, 'search', lead)
  if (context.form.readBack === '' && context.form.outcome !== 'appointment') return wish({ ...state, phase: 'submitting', asked: null }, 'submit', lead)
  return put(context, { ...state, phase: 'reading-back', asked: null }, lead)
}

/** Asks for a slot once more; what was asked in vain often enough is spelled, skipped, or given to a person. */
export function askSlot(context: FormContext, state: FormState, slot: FormSlot, lead: readonly string[] = []): FormMove {
  const asked = state.attempts[slot.id] ?? 0
  const isName = slot.type === 'name'
  const known = isName || slot.type === 'address' ? state.known[slot.id] : undefined
  // "Is this for Jane Smith?" is not yet asking for a name.
  const limit = (isName ? Math.min(slot.attempts, MAX_NAME_ATTEMPTS) : slot.attempts) + (known === undefined ? 0 : 1)
  const counted: FormState = { ...state, phase: 'collecting', attempts: { ...state.attempts, [slot.id]: asked + 1 } }
  if (slot.type === 'phone' && asked === 0 && context.callerNumber !== null) return put(context, { ...counted, asked: { slotId: slot.id, how: 'caller-id' } }, lead)
  if (known !== undefined && asked === 0 && isName) {
    const filled = { value: known, spoken: '', provenance: 'crm', confidence: KNOWN_CONFIDENCE, heardAt: context.now } as const
    return put(context, { ...counted, doubt: { slotId: slot.id, filled }, asked: { slotId: slot.id, how: 'doubt' } }, lead)
  }
  if (known !== undefined && asked === 0 && slot.type === 'address') return put(context, { ...counted, asked: { slotId: slot.id, how: 'known' } }, lead)
  if (asked < limit) return put(context, { ...counted, asked: { slotId: slot.id, how: 'prompt' } }, lead)
  if (isName && asked === limit) return put(context, { ...counted, asked: { slotId: slot.id, how: 'spell' } }, lead)
  if (isName || slot.fallback === 'skip') return advance(context, { ...state, skipped: [...state.skipped, slot.id], asked: null, partialDigits: '' }, lead)
  return wish({ ...state, asked: null }, slot.fallback, lead)
}

/** A number is often a family's. */
const KNOWN_CONFIDENCE = 0.9

/** The question that the state stands at, and what may be answered to it. Says the same thing however often it is called. */
export function put(context: FormContext, state: FormState, lead: readonly string[] = []): FormMove {
  return { state: Object.freeze(state), say: [...lead, ...question(context, state)], expect: expectationOf(context, state), wish: null, understood: true }
}

export function wish(state: FormState, kind: FormWish['kind'], lead: readonly string[] = []): FormMove {
  return { state: Object.freeze(state), say: [...lead], expect: OPEN_EXPECTATION, wish: { kind }, understood: true }
}

function question(context: FormContext, state: FormState): string[] {
  const { form } = context
  switch (state.phase) {
    case 'offering':
      return [offerLine(state.offers.map((offer) => offer.said))]
    case 'reading-back': {
      if (state.asked?.how === 'change') return [FORM_LINES.change]
      const text = (form.readBack === '' ? null : context.render(form.readBack, spokenSlots(form, state))) ?? plainReadBack(form, state)
      return text.trimEnd().endsWith('?') ? [text] : [text, FORM_LINES.isThatRight]
    }
    case 'paused':
      return [FORM_LINES.goOn]
    case 'collecting':
    case 'submitting':
    case 'done':
    case 'abandoned':
      break
  }
  const slot = slotOf(form, state.asked?.slotId ?? null)
  if (slot === null || state.asked === null) return []
  switch (state.asked.how) {
    case 'caller-id':
      return [FORM_LINES.callerId]
    case 'known':
      return [FORM_LINES.sameAddress]
    case 'doubt':
      return state.doubt === null ? [] : [doubtLine(slot, state.doubt.filled)]
    case 'spell':
      return [FORM_LINES.spell]
    case 'change':
      return [FORM_LINES.change]
    case 'resume':
      return [FORM_LINES.goOn]
    case 'prompt': {
      if (state.partialDigits !== '') return [FORM_LINES.rest]
      const wasOffered = (slot.type === 'phone' && context.callerNumber !== null) || ((slot.type === 'name' || slot.type === 'address') && state.known[slot.id] !== undefined)
      const times = (state.attempts[slot.id] ?? 1) - (wasOffered ? 2 : 1)
      return [times <= 0 ? slot.prompt : (slot.reprompts[Math.min(times, slot.reprompts.length) - 1] ?? slot.prompt)]
    }
  }
}

/** What the question makes likely: of a slot's own question the whole form, since a caller may say more, or correct something. */
export function expectationOf(context: FormContext, state: FormState): Expectation {
  switch (state.phase) {
    case 'offering':
      return { kind: 'choice', options: timeOptions(state.offers) }
    case 'reading-back':
      return state.asked?.how === 'change' ? openForm(context, null) : { kind: 'yes-no' }
    case 'paused':
      return { kind: 'yes-no' }
    case 'collecting':
      break
    case 'submitting':
    case 'done':
    case 'abandoned':
      return OPEN_EXPECTATION
  }
  switch (state.asked?.how) {
    case 'caller-id':
    case 'known':
    case 'doubt':
    case 'resume':
      return { kind: 'yes-no' }
    case 'spell':
      return { kind: 'spelling' }
    case 'prompt': {
      const slot = slotOf(context.form, state.asked.slotId)
      const left = state.partialDigits === '' || slot === null ? [] : digitsLeft(slot, state.partialDigits)
      return left.length > 0 ? { kind: 'digits', counts: left } : openForm(context, state.asked.slotId)
    }
    case 'change':
    case undefined:
      return openForm(context, null)
  }
}

function digitsLeft(slot: FormSlot, partial: string): number[] {
  const counts = slot.type === 'phone' ? [10] : slot.type === 'zip' ? [5] : slot.counts
  return counts.map((count) => count - partial.length).filter((count) => count > 0)
}

/** A service is a choice by its id; its names are what callers say. */
export function openForm(context: Pick<FormContext, 'form'>, asked: string | null): Expectation {
  const slots = context.form.slots.map((slot) => (slot.type === 'service' ? { ...slot, type: 'choice' as const } : slot))
  return formExpectation({ ...context.form, slots }, asked, { services: [] })
}

/** What was just put right, so that the caller hears that it was: "Okay, large." */
export function corrections(context: FormContext, before: FormState, after: FormState): string[] {
  const said = context.form.slots.flatMap((slot) => {
    const [was, is] = [before.slots[slot.id], after.slots[slot.id]]
    if (was === undefined || is === undefined || was.value === is.value || slot.type === 'text') return []
    const spoken = slot.type === 'date' ? '' : sayValue(slot, is)
    return spoken === '' ? [] : [spoken]
  })
  return said.length === 0 ? [] : [`Okay, ${said.join(', ')}.`]
}
