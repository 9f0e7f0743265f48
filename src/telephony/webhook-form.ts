import type { CarrierStatusUpdate, StreamStatusUpdate } from '../call/call-handler.ts'
import { ClientsViaError } from '../core/errors.ts'

/** A signed form, its fields still unchecked: a field sent twice is a list. */
export type WebhookForm = Readonly<Record<string, unknown>>

/** The longest field that we read is the sentence of a stream error. */
const MAX_FIELD_CHARS = 1024

const CARRIER_STATUS: Readonly<Record<string, CarrierStatusUpdate['status']>> = {
  queued: 'queued',
  initiated: 'queued',
  ringing: 'ringing',
  answered: 'in-progress',
  'in-progress': 'in-progress',
  completed: 'completed',
  busy: 'busy',
  failed: 'failed',
  'no-answer': 'no-answer',
  canceled: 'canceled',
}
const DIAL_RESULTS = ['completed', 'answered', 'busy', 'no-answer', 'failed', 'canceled'] as const
const STREAM_EVENTS = ['stream-started', 'stream-stopped', 'stream-error'] as const

/** @throws ClientsViaError INVALID_INPUT, naming the field. */
export function requiredField(form: WebhookForm, name: string): string {
  const value = optionalField(form, name)
  if (value === null) throw invalid(name, 'is required')
  return value
}

/** Null when absent or empty. @throws ClientsViaError INVALID_INPUT, naming the field. */
export function optionalField(form: WebhookForm, name: string): string | null {
  const value = Object.hasOwn(form, name) ? form[name] : undefined
  if (value === undefined || value === '') return null
  if (typeof value !== 'string') throw invalid(name, 'must be given once')
  if (value.length > MAX_FIELD_CHARS) throw invalid(name, `must have at most ${MAX_FIELD_CHARS} characters`)
  return value
}

export function carrierStatusUpdate(form: WebhookForm): CarrierStatusUpdate {
  const name = requiredField(form, 'CallStatus')
  const status = Object.hasOwn(CARRIER_STATUS, name) ? CARRIER_STATUS[name] : undefined
  if (status === undefined) throw invalid('CallStatus', 'is not a status of a call')
  return {
    callSid: requiredField(form, 'CallSid'),
    status,
    durationSeconds: wholeNumber(form, 'CallDuration'),
    sequenceNumber: wholeNumber(form, 'SequenceNumber'),
    ...(optionalField(form, 'To') === null ? {} : { to: requiredField(form, 'To') }),
  }
}

export function streamStatusUpdate(form: WebhookForm): StreamStatusUpdate {
  return {
    callSid: requiredField(form, 'CallSid'),
    streamSid: requiredField(form, 'StreamSid'),
    event: oneOf(form, 'StreamEvent', STREAM_EVENTS),
    error: optionalField(form, 'StreamError'),
    at: requiredField(form, 'Timestamp'),
  }
}

export function dialResult(form: WebhookForm): (typeof DIAL_RESULTS)[number] {
  return oneOf(form, 'DialCallStatus', DIAL_RESULTS)
}

function oneOf<T extends string>(form: WebhookForm, name: string, allowed: readonly T[]): T {
  const value = requiredField(form, name)
  const found = allowed.find((each) => each === value)
  if (found === undefined) throw invalid(name, `must be one of ${allowed.join(', ')}`)
  return found
}

function wholeNumber(form: WebhookForm, name: string): number | null {
  const value = optionalField(form, name)
  if (value === null) return null
  if (!/^\d{1,9}$/.test(value)) throw invalid(name, 'must be a whole number')
  return Number(value)
}

function invalid(field: string, problem: string): ClientsViaError {
  return new ClientsViaError('INVALID_INPUT', `${field} ${problem}`, { field })
}
