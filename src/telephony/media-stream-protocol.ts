import { ClientsViaError } from '../core/errors.ts'

/**
 * The wire format of Twilio Media Streams, both directions, as typed messages (twilio.com/docs/voice/media-streams/websocket-messages).
 * Pure: no time, no sockets. After this door there is no `unknown`.
 */
export type MediaStreamMessage =
  | Readonly<{ event: 'connected'; protocol: string | null; version: string | null }>
  | StreamStart
  | InboundMedia
  | Readonly<{ event: 'dtmf'; streamSid: string; digit: string }>
  | Readonly<{ event: 'mark'; streamSid: string; name: string }>
  | Readonly<{ event: 'stop'; streamSid: string }>
  /** An event name this version does not know: ignored and counted, so that new carrier features never end a call. */
  | Readonly<{ event: 'unknown'; name: string }>

export type StreamStart = Readonly<{
  event: 'start'
  streamSid: string
  accountSid: string
  callSid: string
  /** Only the two names Twilio documents; others are left out. */
  tracks: readonly MediaTrack[]
  /** No prototype; values that are not text are left out. */
  customParameters: Readonly<Record<string, string>>
  mediaFormat: Readonly<{ encoding: string; sampleRateHz: number; channels: number }>
}>

export type InboundMedia = Readonly<{
  event: 'media'
  streamSid: string
  track: MediaTrack
  /** Counts from 1, per track. */
  chunk: number
  /** Of the payload's first sample, ms since the stream began. */
  timestampMs: number
  /** µ-law, 8 kHz; at least one byte. Nobody writes to it any more. */
  payload: Uint8Array
}>

export type MediaTrack = 'inbound' | 'outbound'

/** All that a server may say to the carrier. Anything else is Twilio warning 31951 (31950 when binary). */
export type OutboundMessage =
  | Readonly<{ event: 'media'; payload: Uint8Array }>
  | Readonly<{ event: 'mark'; name: string }>
  | Readonly<{ event: 'clear' }>

/** A real media message is 372 bytes; 64 KiB is the largest WebSocket message OWASP advises to accept. */
export const MAX_MESSAGE_BYTES = 64 * 1024
/** Twilio limits a parameter's name and value to 500 characters together; a few more than one call ever needs. */
const MAX_CUSTOM_PARAMETERS = 32
const MAX_PARAMETER_CHARS = 500
/** Twilio's identifiers have 34 characters; mark names are ours. */
const MAX_NAME_CHARS = 128

/**
 * One text message from the carrier. Unknown keys are dropped, numbers are taken as numbers or as decimal text.
 * @throws ClientsViaError MESSAGE_MALFORMED, naming the field.
 */
export function parseMediaStreamMessage(raw: unknown): MediaStreamMessage {
  const message = parseObject(raw)
  const event = message['event']
  if (typeof event !== 'string') throw malformed('event', 'must be a string')
  switch (event) {
    case 'connected':
      return { event, protocol: optionalText(message, 'protocol'), version: optionalText(message, 'version') }
    case 'start':
      return parseStart(message)
    case 'media':
      return parseMedia(message)
    case 'dtmf': {
      const digit = text(section(message, 'dtmf'), 'digit', 'dtmf.digit')
      if (!/^[0-9*#A-D]$/.test(digit)) throw malformed('dtmf.digit', 'must be one of 0-9, *, #, A-D')
      return { event, streamSid: text(message, 'streamSid'), digit }
    }
    case 'mark':
      return { event, streamSid: text(message, 'streamSid'), name: text(section(message, 'mark'), 'name', 'mark.name') }
    case 'stop':
      return { event, streamSid: text(message, 'streamSid') }
    default:
      return { event: 'unknown', name: event.slice(0, MAX_NAME_CHARS) }
  }
}

/** What the server says, with exactly the documented keys. */
export const outbound = {
  /** `payload`: µ-law, 8 kHz, without any file header. */
  media: (streamSid: string, payload: Uint8Array): string =>
    `{"event":"media","streamSid":${JSON.stringify(streamSid)},"media":{"payload":"${toBase64(payload)}"}}`,
  mark: (streamSid: string, name: string): string => JSON.stringify({ event: 'mark', streamSid, mark: { name } }),
  clear: (streamSid: string): string => JSON.stringify({ event: 'clear', streamSid }),
} as const

/** What Twilio says, as Twilio writes it (counters as text): for a harness that plays the carrier. */
export const inbound = {
  connected: (): string => JSON.stringify({ event: 'connected', protocol: 'Call', version: '1.0.0' }),
  start: (
    start: Readonly<{ streamSid: string; accountSid: string; callSid: string; customParameters: Readonly<Record<string, string>> }>,
  ): string =>
    JSON.stringify({
      event: 'start',
      sequenceNumber: '1',
      start: {
        accountSid: start.accountSid,
        streamSid: start.streamSid,
        callSid: start.callSid,
        tracks: ['inbound'],
        mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 },
        customParameters: start.customParameters,
      },
      streamSid: start.streamSid,
    }),
  media: (
    media: Readonly<{ streamSid: string; sequenceNumber: number; chunk: number; timestampMs: number; payload: Uint8Array }>,
  ): string =>
    JSON.stringify({
      event: 'media',
      sequenceNumber: String(media.sequenceNumber),
      media: { track: 'inbound', chunk: String(media.chunk), timestamp: String(media.timestampMs), payload: toBase64(media.payload) },
      streamSid: media.streamSid,
    }),
  dtmf: (streamSid: string, sequenceNumber: number, digit: string): string =>
    JSON.stringify({ event: 'dtmf', streamSid, sequenceNumber: String(sequenceNumber), dtmf: { track: 'inbound_track', digit } }),
  mark: (streamSid: string, sequenceNumber: number, name: string): string =>
    JSON.stringify({ event: 'mark', sequenceNumber: String(sequenceNumber), streamSid, mark: { name } }),
  stop: (streamSid: string, sequenceNumber: number, accountSid: string, callSid: string): string =>
    JSON.stringify({ event: 'stop', sequenceNumber: String(sequenceNumber), streamSid, stop: { accountSid, callSid } }),
} as const

/**
 * Reads a message from the server as strictly as the carrier does: documented keys only, the right stream.
 * @throws ClientsViaError MESSAGE_MALFORMED, naming what Twilio would warn of.
 */
export function assertOutboundMessage(raw: unknown, streamSid: string): OutboundMessage {
  const message = parseObject(raw)
  const event = message['event']
  if (event !== 'media' && event !== 'mark' && event !== 'clear') throw malformed('event', 'must be media, mark or clear (warning 31951)')
  exactKeys(message, event === 'clear' ? ['event', 'streamSid'] : ['event', 'streamSid', event], 'message')
  if (message['streamSid'] !== streamSid) throw malformed('streamSid', `must be ${streamSid} (warning 31951)`)
  if (event === 'clear') return { event }
  const body = section(message, event)
  if (event === 'mark') {
    exactKeys(body, ['name'], 'mark')
    return { event, name: text(body, 'name', 'mark.name') }
  }
  exactKeys(body, ['payload'], 'media')
  return { event, payload: base64(body['payload'], 'media.payload') }
}

function parseStart(message: Fields): StreamStart {
  const start = section(message, 'start')
  const format = section(start, 'mediaFormat', 'start.mediaFormat')
  const streamSid = text(start, 'streamSid', 'start.streamSid')
  const outer = message['streamSid']
  if (outer !== undefined && outer !== streamSid) throw malformed('streamSid', 'must be the same as start.streamSid')
  return {
    event: 'start',
    streamSid,
    accountSid: text(start, 'accountSid', 'start.accountSid'),
    callSid: text(start, 'callSid', 'start.callSid'),
    tracks: parseTracks(start['tracks']),
    customParameters: parseCustomParameters(start['customParameters']),
    mediaFormat: {
      encoding: text(format, 'encoding', 'start.mediaFormat.encoding'),
      sampleRateHz: counter(format['sampleRate'], 'start.mediaFormat.sampleRate'),
      channels: counter(format['channels'], 'start.mediaFormat.channels'),
    },
  }
}

function parseMedia(message: Fields): InboundMedia {
  const media = section(message, 'media')
  const track = media['track']
  if (track !== 'inbound' && track !== 'outbound') throw malformed('media.track', 'must be inbound or outbound')
  if (message['sequenceNumber'] !== undefined) counter(message['sequenceNumber'], 'sequenceNumber')
  return {
    event: 'media',
    streamSid: text(message, 'streamSid'),
    track,
    chunk: counter(media['chunk'], 'media.chunk'),
    timestampMs: counter(media['timestamp'], 'media.timestamp'),
    payload: base64(media['payload'], 'media.payload'),
  }
}

function parseTracks(value: unknown): readonly MediaTrack[] {
  if (!Array.isArray(value)) return []
  return value.slice(0, 2).filter((track) => track === 'inbound' || track === 'outbound')
}

function parseCustomParameters(value: unknown): Readonly<Record<string, string>> {
  const parameters: Record<string, string> = Object.create(null)
  if (!isFields(value)) return parameters
  const entries = Object.entries(value)
  if (entries.length > MAX_CUSTOM_PARAMETERS) throw malformed('start.customParameters', `must have at most ${MAX_CUSTOM_PARAMETERS} entries`)
  for (const [name, parameter] of entries) {
    if (typeof parameter !== 'string') continue
    if (name.length + parameter.length > MAX_PARAMETER_CHARS) {
      throw malformed('start.customParameters', `must have at most ${MAX_PARAMETER_CHARS} characters in each entry`)
    }
    parameters[name] = parameter
  }
  return parameters
}

type Fields = Readonly<Record<string, unknown>>

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseObject(raw: unknown): Fields {
  if (typeof raw !== 'string') throw malformed('message', 'must be text')
  if (raw.length > MAX_MESSAGE_BYTES) throw malformed('message', `must be at most ${MAX_MESSAGE_BYTES} characters`)
  let value: unknown
  try {
    value = JSON.parse(raw)
  } catch (error) {
    throw malformed('message', 'must be JSON', error)
  }
  if (!isFields(value)) throw malformed('message', 'must be a JSON object')
  return value
}

function section(fields: Fields, key: string, path = key): Fields {
  const value = fields[key]
  if (!isFields(value)) throw malformed(path, 'must be an object')
  return value
}

function text(fields: Fields, key: string, path = key): string {
  const value = fields[key]
  if (typeof value !== 'string' || value === '') throw malformed(path, 'must be non-empty text')
  if (value.length > MAX_NAME_CHARS) throw malformed(path, `must have at most ${MAX_NAME_CHARS} characters`)
  return value
}

function optionalText(fields: Fields, key: string): string | null {
  const value = fields[key]
  return typeof value === 'string' ? value.slice(0, MAX_NAME_CHARS) : null
}

/** Twilio writes counters as decimal text. 12 digits of milliseconds are 31 years: longer is damage, as is "1e9" or a sign. */
function counter(value: unknown, path: string): number {
  const digits = typeof value === 'number' ? String(value) : value
  if (typeof digits !== 'string' || !/^\d{1,12}$/.test(digits)) throw malformed(path, 'must be a whole number of at most 12 digits')
  return Number(digits)
}

/** Buffer.from accepts anything and keeps what it can: alphabet and length are checked first. */
function base64(value: unknown, path: string): Uint8Array {
  if (typeof value !== 'string' || value === '') throw malformed(path, 'must be non-empty base64 text')
  if (value.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(value)) throw malformed(path, 'must be standard base64 with padding')
  return Buffer.from(value, 'base64')
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function exactKeys(fields: Fields, keys: readonly string[], path: string): void {
  for (const key of Object.keys(fields)) if (!keys.includes(key)) throw malformed(path, `must not have the key "${key}" (warning 31951)`)
}

function malformed(field: string, problem: string, cause?: unknown): ClientsViaError {
  return new ClientsViaError('MESSAGE_MALFORMED', `media stream message: ${field} ${problem}`, { field }, cause === undefined ? {} : { cause })
}
