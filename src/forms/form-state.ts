import type { Form, FormSlot } from '../tenancy/form.ts'

/** Where a value comes from. 'confirmed': it was said back and the caller said yes. */
export type Provenance = 'heard' | 'confirmed' | 'caller-id' | 'keys' | 'crm' | 'typed'

export type FilledSlot = Readonly<{
  /** Canonical: an option's value, digits, E.164, "yes". */
  value: string
  /** The words that said it. */
  spoken: string
  provenance: Provenance
  /** 0 to 1. */
  confidence: number
  /** RFC 3339: what "tomorrow" was said on. */
  heardAt: string
}>

/**
 * A free time as it was offered. The first five are the booking desk's opening; `said` is how it was spoken, `startWords` name its
 * beginning alone ("nine", "9 am"), `otherWords` what else it may be called by: its day, its part of the day, its end.
 */
export type TimeOffer = Readonly<{
  serviceId: string
  resourceId: string
  startsAt: string
  endsAt: string
  window: Readonly<{ startsAt: string; endsAt: string }> | null
  said: string
  startWords: readonly string[]
  otherWords: readonly string[]
}>

/**
 * What the caller was asked last. 'prompt': the slot's own question; 'spell': its letters; 'caller-id': whether the number that calls is
 * the right one; 'known': whether an address is the one in the books; 'doubt': whether a value is right that was heard badly, or is in the books; 'change': what is wrong with the whole; 'resume': whether to go on.
 */
export type Asked = Readonly<{ slotId: string | null; how: 'prompt' | 'spell' | 'caller-id' | 'known' | 'doubt' | 'change' | 'resume' }>

/** 'submitting': everything is said and the world is about to change; 'paused': something more urgent came between. */
export type FormPhase = 'collecting' | 'offering' | 'reading-back' | 'submitting' | 'paused' | 'done' | 'abandoned'

/** One caller's way through one form. Frozen, and saved whole after every turn. */
export type FormState = Readonly<{
  formId: string
  phase: FormPhase
  slots: Readonly<Record<string, FilledSlot>>
  /** How often each slot was asked for. */
  attempts: Readonly<Record<string, number>>
  /** Given up, by slot id: not asked again. */
  skipped: readonly string[]
  asked: Asked | null
  /** Waits for the caller's yes. */
  doubt: Readonly<{ slotId: string; filled: FilledSlot }> | null
  /** The beginning of a number that was cut by a pause. */
  partialDigits: string
  /** Times on the table, while offering. */
  offers: readonly TimeOffer[]
  chosen: TimeOffer | null
  /** Of a visit that exists: it is moved or cancelled, or was booked just now. */
  appointmentId: string | null
  /** What the books say of whoever had a visit under this number, by slot id: offered, never taken unasked. */
  known: Readonly<Record<string, string>>
  /** Misses in a row where no single slot was asked for. */
  misses: number
}>

export function newFormState(formId: string): FormState {
  return Object.freeze({
    formId, phase: 'collecting', slots: {}, attempts: {}, skipped: [], asked: null, doubt: null, partialDigits: '', offers: [], chosen: null,
    appointmentId: null, known: {}, misses: 0,
  })
}

/** Still going on. */
export function isLive(state: FormState | null): state is FormState {
  return state !== null && state.phase !== 'done' && state.phase !== 'abandoned'
}

/** The slots that count, as things stand: those whose condition holds. */
export function activeSlots(form: Form, state: FormState): readonly FormSlot[] {
  return form.slots.filter(({ when }) => when === null || when.in.includes(state.slots[when.slotId]?.value ?? ''))
}

/** The slot to ask for next. What is not required is taken when it is said, and never asked for. Null: everything is there. */
export function nextSlot(form: Form, state: FormState): FormSlot | null {
  return activeSlots(form, state).find((slot) => slot.required && state.slots[slot.id] === undefined && !state.skipped.includes(slot.id)) ?? null
}

export function slotOf(form: Form, slotId: string | null): FormSlot | null {
  return slotId === null ? null : (form.slots.find((slot) => slot.id === slotId) ?? null)
}

/** In an appointment's form this slot says when the visit should be. */
export const WHEN_SLOT = 'when'

export function isVisitTime(form: Form, slot: FormSlot): boolean {
  return form.outcome === 'appointment' && slot.type === 'date' && slot.id === WHEN_SLOT
}

/** Below it a name is taken down but not said. */
export const SPEAKABLE_NAME = 0.7
