import type { InboundMedia } from './media-stream-protocol.ts'
import type { SoundBlock } from './sound-block.ts'

/**
 * Reads a media message straight from its bytes, in the shape in which the carrier writes it: no space, no escape, each key once, in any
 * order. Null for anything else, whether right or wrong: then the whole parser decides. A call brings 50 of these a second; this way one
 * costs a sixth of JSON, a check of the payload and its decoding one after the other.
 *
 * What it accepts, `parseMediaStreamMessage` reads the same; a test holds the two against each other. The payload lies in `block`.
 */
export function scanMedia(bytes: Uint8Array, block: SoundBlock): InboundMedia | null {
  if (bytes.length > LONGEST_SCANNED || !has(bytes, 0, START)) return null
  const scan: Scan = { bytes, block, at: START.length, sequence: null, streamFrom: 0, streamTo: 0, media: null }
  for (let keys = 0; keys < TOP_LEVEL_KEYS; keys += 1) {
    if (!topLevelEntry(scan)) return null
    const next = bytes[scan.at++]
    if (next === COMMA) continue
    if (next !== CLOSE || scan.at !== bytes.length || scan.media === null || scan.streamTo === 0) return null
    return { event: 'media', streamSid: latin1(bytes, scan.streamFrom, scan.streamTo), ...scan.media }
  }
  return null
}

const TOP_LEVEL_KEYS = 3
/** 100 ms in one message; the carrier sends 20. */
const LONGEST_SCANNED = 2048
/** As the whole parser has it. */
const MOST_NAME_BYTES = 128
const MOST_DIGITS = 12

const [QUOTE, COMMA, CLOSE, BACKSLASH, ZERO, NINE, EQUALS] = [0x22, 0x2c, 0x7d, 0x5c, 0x30, 0x39, 0x3d]
const START = ascii('{"event":"media",')
const SEQUENCE = ascii('"sequenceNumber":"')
const STREAM = ascii('"streamSid":"')
const MEDIA = ascii('"media":{"track":"')
const INBOUND = ascii('inbound","chunk":"')
const OUTBOUND = ascii('outbound","chunk":"')
const TIMESTAMP = ascii(',"timestamp":"')
const PAYLOAD = ascii(',"payload":"')

type Media = Pick<InboundMedia, 'track' | 'chunk' | 'timestampMs' | 'payload'>
type Scan = { readonly bytes: Uint8Array; readonly block: SoundBlock; at: number; sequence: number | null; streamFrom: number; streamTo: number; media: Media | null }

function topLevelEntry(scan: Scan): boolean {
  if (scan.media === null && has(scan.bytes, scan.at, MEDIA)) {
    scan.at += MEDIA.length
    scan.media = mediaObject(scan)
    return scan.media !== null
  }
  if (scan.streamTo === 0 && has(scan.bytes, scan.at, STREAM)) {
    scan.at += STREAM.length
    return name(scan)
  }
  if (scan.sequence === null && has(scan.bytes, scan.at, SEQUENCE)) {
    scan.at += SEQUENCE.length
    scan.sequence = digits(scan)
    return scan.sequence !== null
  }
  return false
}

/** From behind `"track":"` to behind the closing brace. */
function mediaObject(scan: Scan): Media | null {
  const { bytes } = scan
  const isInbound = has(bytes, scan.at, INBOUND)
  if (!isInbound && !has(bytes, scan.at, OUTBOUND)) return null
  scan.at += isInbound ? INBOUND.length : OUTBOUND.length
  const chunk = digits(scan)
  if (chunk === null || !has(bytes, scan.at, TIMESTAMP)) return null
  scan.at += TIMESTAMP.length
  const timestampMs = digits(scan)
  if (timestampMs === null || !has(bytes, scan.at, PAYLOAD)) return null
  scan.at += PAYLOAD.length
  const payload = base64(scan)
  if (payload === null || bytes[scan.at++] !== CLOSE) return null
  return { track: isInbound ? 'inbound' : 'outbound', chunk, timestampMs, payload }
}

/** To behind the closing quote. */
function digits(scan: Scan): number | null {
  const from = scan.at
  let value = 0
  for (;;) {
    const code = scan.bytes[scan.at++]
    if (code === undefined) return null
    if (code === QUOTE) return scan.at - 1 === from ? null : value
    if (code < ZERO || code > NINE || scan.at - from > MOST_DIGITS) return null
    value = value * 10 + (code - ZERO)
  }
}

/** Printable ASCII only: no escape, and nothing that UTF-8 spells with more than one byte. */
function name(scan: Scan): boolean {
  const from = scan.at
  for (;;) {
    const code = scan.bytes[scan.at++]
    if (code === QUOTE) break
    if (code === undefined || code < 0x20 || code > 0x7e || code === BACKSLASH || scan.at - from > MOST_NAME_BYTES) return false
  }
  scan.streamFrom = from
  scan.streamTo = scan.at - 1
  return scan.streamTo > from
}

/** Standard base64 with its padding, to behind the closing quote; bytes that nobody else writes to. */
function base64(scan: Scan): Uint8Array | null {
  const { bytes } = scan
  const from = scan.at
  const end = bytes.indexOf(QUOTE, from)
  const length = end - from
  if (length <= 0 || length % 4 !== 0) return null
  const padding = bytes[end - 1] !== EQUALS ? 0 : bytes[end - 2] !== EQUALS ? 1 : 2
  const decoded = scan.block.take((length / 4) * 3 - padding)
  let to = 0
  // One bit that no value has is set by whatever is not of the alphabet, so that one look at the end is enough.
  let wrong = 0
  const whole = end - (padding === 0 ? 0 : 4)
  for (let at = from; at < whole; at += 4) {
    const bits = (sextet(bytes, at) << 18) | (sextet(bytes, at + 1) << 12) | (sextet(bytes, at + 2) << 6) | sextet(bytes, at + 3)
    wrong |= bits
    decoded[to] = bits >> 16
    decoded[to + 1] = bits >> 8
    decoded[to + 2] = bits
    to += 3
  }
  if (padding > 0) {
    const bits = (sextet(bytes, whole) << 18) | (sextet(bytes, whole + 1) << 12) | (padding === 1 ? sextet(bytes, whole + 2) << 6 : 0)
    wrong |= bits
    decoded[to] = bits >> 16
    if (padding === 1) decoded[to + 1] = bits >> 8
  }
  scan.at = end + 1
  return wrong < 0 ? null : decoded
}

function sextet(bytes: Uint8Array, at: number): number {
  return VALUES[bytes[at] as number] as number
}

/** Of each byte; what is not of the alphabet has the sign bit, wherever in a group it is shifted to. */
const VALUES = Int32Array.from({ length: 256 }, (_, byte) => {
  const value = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'.indexOf(String.fromCharCode(byte))
  return value < 0 ? ~0 << 13 : value
})

function has(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  for (let i = 0; i < expected.length; i += 1) if (bytes[at + i] !== expected[i]) return false
  return true
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1')
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}
