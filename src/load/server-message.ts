import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'

/** What a server may send on a bidirectional stream, and nothing else: exactly these keys. */
export type ServerMessage =
  | Readonly<{ event: 'media'; mulaw: Uint8Array }>
  | Readonly<{ event: 'mark'; name: string }>
  | Readonly<{ event: 'clear' }>

/** One WebSocket message of audio; the carrier buffers any size, 2 minutes at once is a fault of the server. */
const LONGEST_PAYLOAD_BYTES = 960_000

const base64 = z.string().min(1).regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/, 'not base64')
const message = z.discriminatedUnion('event', [
  z.strictObject({ event: z.literal('media'), streamSid: z.string(), media: z.strictObject({ payload: base64 }) }),
  z.strictObject({ event: z.literal('mark'), streamSid: z.string(), mark: z.strictObject({ name: z.string().min(1) }) }),
  z.strictObject({ event: z.literal('clear'), streamSid: z.string() }),
])

/**
 * Reads a message as the carrier does (https://www.twilio.com/docs/voice/media-streams/websocket-messages), only less forgiving: what
 * the carrier warns about once a stream (31951) is an error here every time. Written apart from the server's own protocol code, so
 * that one mistake cannot hide on both sides. Throws MESSAGE_MALFORMED.
 */
export function readServerMessage(text: string, streamSid: string): ServerMessage {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw malformed('not JSON')
  }
  const parsed = message.safeParse(value)
  if (!parsed.success) {
    throw malformed(parsed.error.issues.map((issue) => `${issue.path.join('.') || 'message'}: ${issue.message}`).join('; '))
  }
  const { data } = parsed
  if (data.streamSid !== streamSid) throw malformed(`addressed to stream ${data.streamSid}, this is ${streamSid}`)
  switch (data.event) {
    case 'media': {
      const mulaw = Buffer.from(data.media.payload, 'base64')
      if (mulaw.length > LONGEST_PAYLOAD_BYTES) throw malformed(`media.payload holds ${mulaw.length} bytes`)
      return { event: 'media', mulaw }
    }
    case 'mark':
      return { event: 'mark', name: data.mark.name }
    case 'clear':
      return { event: 'clear' }
  }
}

function malformed(reason: string): ClientsViaError {
  return new ClientsViaError('MESSAGE_MALFORMED', `31951 ${reason}`)
}
