import t from 'tap'
import fc from 'fast-check'
import { isClientsViaError } from '../../src/core/errors.ts'
import { scanMedia } from '../../src/telephony/media-message-scan.ts'
import { SoundBlock } from '../../src/telephony/sound-block.ts'
import { inbound, parseMediaStreamMessage } from '../../src/telephony/media-stream-protocol.ts'

const STREAM = `MZ${'0123456789abcdef'.repeat(2)}`
const bytes = (text: string): Buffer => Buffer.from(text)
const media = (payload: Uint8Array): string => inbound.media({ streamSid: STREAM, sequenceNumber: 9, chunk: 7, timestampMs: 120, payload })

/** What the whole parser says, or that it refuses. */
function parsed(text: string): unknown {
  try {
    return parseMediaStreamMessage(text)
  } catch (error) {
    if (!isClientsViaError(error, 'MESSAGE_MALFORMED')) throw error
    return 'refused'
  }
}

/** A scan that takes a message takes it as the parser does; one that does not leaves it to the parser. */
function agrees(t: Readonly<{ same: (found: unknown, wanted: unknown, name: string) => boolean }>, text: string): boolean {
  const scanned = scanMedia(bytes(text), new SoundBlock())
  if (scanned === null) return false
  const whole = parsed(text) as Record<string, unknown>
  t.same({ ...scanned, payload: [...scanned.payload] }, typeof whole === 'string' ? whole : { ...whole, payload: [...(whole['payload'] as Uint8Array)] }, text)
  return true
}

t.test('what the carrier sends fifty times a second is read from its bytes, exactly as the whole parser reads it', async (t) => {
  fc.assert(
    fc.property(
      fc.record({ payload: fc.uint8Array({ minLength: 1, maxLength: 200 }), sequenceNumber: fc.nat(), chunk: fc.nat(), timestampMs: fc.nat(), track: fc.constantFrom('inbound', 'outbound'), order: fc.shuffledSubarray(['sequenceNumber', 'media', 'streamSid'], { minLength: 2, maxLength: 3 }) }),
      ({ payload, sequenceNumber, chunk, timestampMs, track, order }) => {
        const values: Readonly<Record<string, unknown>> = {
          sequenceNumber: String(sequenceNumber),
          media: { track, chunk: String(chunk), timestamp: String(timestampMs), payload: Buffer.from(payload).toString('base64') },
          streamSid: STREAM,
        }
        const isWhole = order.includes('media') && order.includes('streamSid')
        return agrees(t, JSON.stringify({ event: 'media', ...Object.fromEntries(order.map((key) => [key, values[key]])) })) === isWhole
      },
    ),
  )
})

t.test('a message that was damaged anywhere is left to the whole parser, or means the same to both', async (t) => {
  const whole = media(Uint8Array.from({ length: 160 }, (_, i) => i * 7))
  let taken = 0
  fc.assert(
    fc.property(fc.array(fc.record({ at: fc.nat(whole.length - 1), cut: fc.nat(3), put: fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom('"', ',', '}', '=', '\\', '\u0000', ' ', 'é', '{', '-', '1')) }), { minLength: 1, maxLength: 3 }), (damages) => {
      const text = damages.reduce((before, { at, cut, put }) => before.slice(0, at) + put + before.slice(at + cut), whole)
      if (agrees(t, text)) taken += 1
    }),
    { numRuns: 3000 },
  )
  t.ok(taken > 0 && taken < 3000, `damage that is still a message was taken ${taken} times`)
})

t.test('what no carrier writes is left to the whole parser', async (t) => {
  const payload = Buffer.alloc(160, 0xff).toString('base64')
  const body = (fields: string): string => `{"event":"media",${fields}}`
  const good = `"media":{"track":"inbound","chunk":"1","timestamp":"20","payload":"${payload}"}`
  const stream = `"streamSid":"${STREAM}"`
  t.ok(agrees(t, body(`${good},${stream}`)))
  for (const text of [
    '',
    '{"event":"media",',
    body(''),
    body(good),
    body(`${good},${good}`),
    body(`${stream},${stream},${good}`),
    body(`${good},${stream},"extra":1`),
    body(`${good},"streamSid":""`),
    body(`${good},"streamSid":"${'x'.repeat(129)}"`),
    body(`${good},"streamSid":"\\u0041"`),
    body(`${good},"streamSid":"Z\u00fcrich"`),
    body(`${good},${stream},"sequenceNumber":"${'1'.repeat(13)}"`),
    `${body(`${good},${stream}`)} `,
    ` ${body(`${good},${stream}`)}`,
    body(`${good.replace('"1"', '1')},${stream}`),
    body(`${good.replace('"1"', '""')},${stream}`),
    body(`${good.replace(payload, '')},${stream}`),
    body(`${good.replace(payload, 'AA==AA==')},${stream}`),
    body(`${good.replace(payload, '====')},${stream}`),
    body(`${good.replace(payload, 'A===')},${stream}`),
    body(`${good.replace(payload, 'AAA')},${stream}`),
    body(`${good.replace(payload, 'AA-_')},${stream}`),
    body(`${good.replace(payload, 'AA\\/A')},${stream}`),
    body(`${good.replace(payload, 'A'.repeat(4000))},${stream}`),
  ]) {
    t.equal(scanMedia(bytes(text), new SoundBlock()), null, text.slice(0, 200))
  }
})

t.test('the frames of one call lie side by side, none in the place of another, and keep little more alive than themselves', async (t) => {
  const block = new SoundBlock()
  const frames = Array.from({ length: 60 }, (_, n) => scanMedia(bytes(media(new Uint8Array(160).fill(n))), block)?.payload ?? new Uint8Array(0))
  t.ok(frames.every((frame, n) => frame.length === 160 && frame.every((byte) => byte === n)))
  t.equal(new Set(frames.map((frame) => frame.buffer)).size, 10)
  t.ok(frames.every((frame) => frame.buffer.byteLength <= 960))
  t.equal(block.take(5000).buffer.byteLength, 5000, 'what is larger than a block has its own')
  t.ok(frames.every((frame, n) => frame.every((byte) => byte === n)), 'and the others are left as they are')
})
