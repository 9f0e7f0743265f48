import { createHmac } from 'node:crypto'
import { WebSocket } from 'ws'
import type { Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { CallerTransport, StreamConnection, StreamListener, WebhookAnswer } from './caller-transport.ts'

/** The carrier gives a webhook 15 s (Twilio error 11200) and a stream 10 s to open (31901). */
const WEBHOOK_TIMEOUT_MS = 15_000
const CONNECT_TIMEOUT_MS = 10_000
/** The carrier refuses longer TwiML. */
const LONGEST_TWIML_BYTES = 65_536
/** A well-behaved server sends frames of a few hundred bytes; a caller's buffer needs no more than this a message. */
const LONGEST_MESSAGE_BYTES = 1_048_576

/** Dials over real sockets. With `authToken` requests and upgrades are signed as the carrier signs them. */
export class SocketTransport implements CallerTransport {
  readonly #clock: Clock
  readonly #authToken: string | null

  constructor(clock: Clock, authToken: string | null) {
    this.#clock = clock
    this.#authToken = authToken
  }

  async post(url: string, fields: Readonly<Record<string, string>>, signal: AbortSignal): Promise<WebhookAnswer> {
    return withDeadline(this.#clock, WEBHOOK_TIMEOUT_MS, signal, async (deadline) => {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', 'user-agent': 'TwilioProxy/1.1', ...this.#signature(url, fields) },
        body: new URLSearchParams(fields),
        signal: deadline,
      })
      const body = await response.text()
      if (Buffer.byteLength(body) > LONGEST_TWIML_BYTES) {
        throw new ClientsViaError('MESSAGE_MALFORMED', `${url} answered ${Buffer.byteLength(body)} bytes; the carrier reads ${LONGEST_TWIML_BYTES}`)
      }
      return { status: response.status, contentType: response.headers.get('content-type') ?? '', body }
    })
  }

  async connect(url: string, listener: StreamListener, signal: AbortSignal): Promise<StreamConnection> {
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: LONGEST_MESSAGE_BYTES, headers: this.#signature(url, {}) })
    // Attached in the same tick as the opening, so that nothing the server says at once is missed.
    socket.once('open', () => {
      socket.on('message', (data, isBinary) => {
        if (isBinary) listener.binary()
        else listener.text(String(data))
      })
      socket.on('close', (code) => listener.closed(code))
    })
    try {
      await withDeadline(this.#clock, CONNECT_TIMEOUT_MS, signal, (deadline) => opened(socket, url, deadline))
    } catch (error) {
      socket.terminate()
      throw error
    }
    return {
      send: (message) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(message)
      },
      close: () => socket.close(1000),
    }
  }

  /** https://www.twilio.com/docs/usage/security: HMAC-SHA1 over the URL and the sorted fields. */
  #signature(url: string, fields: Readonly<Record<string, string>>): Record<string, string> {
    if (this.#authToken === null) return {}
    let signed = url
    for (const key of Object.keys(fields).toSorted()) signed += key + (fields[key] as string)
    return { 'x-twilio-signature': createHmac('sha1', this.#authToken).update(signed).digest('base64') }
  }
}

function opened(socket: WebSocket, url: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abandon = (): void => reject(signal.reason)
    signal.addEventListener('abort', abandon, { once: true })
    socket.once('open', () => {
      signal.removeEventListener('abort', abandon)
      resolve()
    })
    // Stays attached: an error after opening is followed by `close`, and the close is what is judged.
    socket.on('error', (error) => {
      signal.removeEventListener('abort', abandon)
      reject(new ClientsViaError('ENGINE_UNAVAILABLE', `${url}: ${error.message}`, {}, { cause: error }))
    })
  })
}
