import type { Appointment } from './appointment.ts'
import type { AppointmentRequest, Opening } from './booking-desk.ts'

/** What a turn may change in the world beyond the talk itself. */
export type Effect =
  | Readonly<{ kind: 'book'; request: AppointmentRequest }>
  | Readonly<{ kind: 'reschedule'; appointmentId: string; opening: Opening }>
  | Readonly<{ kind: 'cancel'; appointmentId: string }>
  /** What a caller wanted and did not finish, or an order or a message for the company's people. */
  | Readonly<{ kind: 'lead'; lead: LeadInput }>

export type LeadInput = Readonly<{
  /** 'order' is complete; 'callback' asks for a person; 'unfinished' was left by a caller who hung up. */
  kind: 'order' | 'callback' | 'unfinished' | 'message'
  formId: string | null
  callerName: string | null
  phoneNumberE164: string | null
  /** One sentence for a person to read. */
  summary: string
  /** Slot by slot, as understood. */
  slots: Readonly<Record<string, string>>
}>

export type EffectResult =
  | Readonly<{ kind: 'done'; appointment: Appointment | null }>
  /** Somebody else was faster; what is still free near it. */
  | Readonly<{ kind: 'taken'; alternatives: readonly Opening[] }>
  | Readonly<{ kind: 'failed'; reason: string }>

export interface Effects {
  /**
   * Waits until the turn is committed, then does it, once for this call, turn and kind however often it is asked. Never throws for
   * what went wrong on the way; rejects with the signal's reason when the turn is given up, and then nothing was done.
   */
  perform(effect: Effect, signal: AbortSignal): Promise<EffectResult>
}

/** Where nothing may be changed: the test console, and companies without a booking desk. */
export const NO_EFFECTS: Effects = {
  perform: async () => ({ kind: 'failed', reason: 'nothing is changed here' }),
}

/** The effects of one turn of a call. `committed` settles when the turn is the agent's; it never does for one that is given up. */
export type EffectsForTurn = (turn: Readonly<{ companyId: string; callSid: string; turn: number; committed: Promise<void> }>) => Effects
