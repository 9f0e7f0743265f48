import VoiceResponse from 'twilio/lib/twiml/VoiceResponse.js'
import { ClientsViaError } from '../core/errors.ts'
import { streamOrigin } from './twilio-signature.ts'

/** Where the carrier finds us: every URL that a document names, from the public origin alone. */
export const ROUTES = {
  voice: '/twilio/voice',
  continue: '/twilio/voice/continue',
  dialResult: '/twilio/voice/dial-result',
  recorded: '/twilio/voice/recorded',
  status: '/twilio/status',
  streamStatus: '/twilio/stream-status',
  fallback: '/twilio/fallback',
  media: '/twilio/media',
  sms: '/twilio/sms',
  smsStatus: '/twilio/sms-status',
} as const

/** The custom parameter that carries the one-use token: Twilio strips the query of a stream's URL. */
export const TOKEN_PARAMETER = 'token'

/**
 * Connects the caller to the agent. What follows `</Connect>` runs when the stream ends and the call does not: it asks us what is
 * next, whichever server is alive by then.
 */
export function connectTwiml(publicBaseUrl: string, token: string): string {
  const response = new VoiceResponse()
  const stream = response.connect().stream({
    url: `${streamOrigin(publicBaseUrl)}${ROUTES.media}`,
    statusCallback: `${publicBaseUrl}${ROUTES.streamStatus}`,
    statusCallbackMethod: 'POST',
  })
  stream.parameter({ name: TOKEN_PARAMETER, value: token })
  response.redirect({ method: 'POST' }, `${publicBaseUrl}${ROUTES.continue}`)
  return response.toString()
}

export function hangUpTwiml(message = ''): string {
  const response = new VoiceResponse()
  say(response, message)
  response.hangup()
  return response.toString()
}

/** Not answered, so nobody pays for it. */
export function rejectTwiml(): string {
  const response = new VoiceResponse()
  response.reject({ reason: 'rejected' })
  return response.toString()
}

/**
 * Puts the caller through before any agent spoke.
 * @throws ClientsViaError INVALID_INPUT for a number that may not be dialled.
 */
export function forwardTwiml(message: string, phoneNumberE164: string): string {
  const response = new VoiceResponse()
  say(response, message)
  response.dial({ answerOnBridge: true }, checkedDialTarget(phoneNumberE164))
  response.hangup()
  return response.toString()
}

/**
 * A transfer whose result comes back to us, answered or not.
 * @throws ClientsViaError INVALID_INPUT for a number that may not be dialled.
 */
export function transferTwiml(publicBaseUrl: string, phoneNumberE164: string, timeoutSeconds: number): string {
  const response = new VoiceResponse()
  response.dial(
    {
      action: `${publicBaseUrl}${ROUTES.dialResult}`,
      method: 'POST',
      answerOnBridge: true,
      timeout: clamp(timeoutSeconds, 5, 600),
    },
    checkedDialTarget(phoneNumberE164),
  )
  return response.toString()
}

export function voicemailTwiml(publicBaseUrl: string, prompt: string, maxSeconds: number): string {
  const response = new VoiceResponse()
  say(response, prompt)
  response.record({
    action: `${publicBaseUrl}${ROUTES.recorded}`,
    method: 'POST',
    maxLength: clamp(maxSeconds, 5, 3600),
    timeout: 5,
    finishOnKey: '#',
    playBeep: true,
  })
  // Record falls through to here when nobody spoke.
  response.hangup()
  return response.toString()
}

/** Served when everything else is down: a constant, made of nothing. */
export const FALLBACK_TWIML =
  '<?xml version="1.0" encoding="UTF-8"?><Response><Say>We are sorry, we cannot take your call right now. Please call again in a few minutes.</Say><Hangup/></Response>'

/** Premium-rate and satellite ranges, where toll fraud earns its money: no company has a desk there. */
const DENIED_PREFIXES = ['+1900', '+1976', '+870', '+878', '+881', '+882', '+883', '+979'] as const

/** @throws ClientsViaError INVALID_INPUT */
export function checkedDialTarget(phoneNumberE164: string): string {
  if (!/^\+[1-9]\d{6,14}$/.test(phoneNumberE164) || DENIED_PREFIXES.some((prefix) => phoneNumberE164.startsWith(prefix))) {
    throw new ClientsViaError('INVALID_INPUT', 'phoneNumberE164 is not a number that may be dialled', { field: 'phoneNumberE164' })
  }
  return phoneNumberE164
}

function say(response: VoiceResponse, message: string): void {
  // Control characters have no place in XML 1.0: one of them would cost the caller the whole document.
  const words = message
    .toWellFormed()
    .replace(/[^\P{Cc}\t\n\r]/gu, '')
    .trim()
  if (words !== '') response.say(words)
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, Math.round(value)))
}
