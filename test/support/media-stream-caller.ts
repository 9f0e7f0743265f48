import { WebSocket } from 'ws'
import { assertOutboundMessage, inbound, type OutboundMessage } from '../../src/telephony/media-stream-protocol.ts'

export type CallerIds = Readonly<{ streamSid: string; callSid: string; accountSid: string }>

export class UpgradeRefused extends Error {
  readonly status: number
  readonly body: string

  constructor(status: number, body: string) {
    super(`upgrade refused with ${status}: ${body}`)
    this.status = status
    this.body = body
  }
}

/** A caller for tests that says exactly what the test tells it to, over a real socket, and checks every answer as Twilio would. */
export class MediaStreamCaller {
  readonly socket: WebSocket
  readonly ids: CallerIds
  readonly heard: OutboundMessage[] = []
  /** What Twilio would have warned of; a test that ends with one has found a bug. */
  readonly violations: string[] = []
  readonly closed: Promise<Readonly<{ code: number; reason: string }>>
  pings = 0
  #sequenceNumber = 1
  #chunk = 0

  /** Rejects with UpgradeRefused when the server answers the handshake with anything but 101. */
  static dial(
    url: string,
    options: Readonly<{ headers?: Readonly<Record<string, string>>; ids?: Partial<CallerIds>; answersPings?: boolean }> = {},
  ): Promise<MediaStreamCaller> {
    const socket = new WebSocket(url, { headers: { ...options.headers }, autoPong: options.answersPings ?? true })
    const caller = new MediaStreamCaller(socket, { streamSid: 'MZ1', callSid: 'CA1', accountSid: 'AC1', ...options.ids })
    return new Promise((resolve, reject) => {
      socket.once('open', () => resolve(caller))
      socket.once('unexpected-response', (_, response) => {
        let body = ''
        response.on('data', (piece: Buffer) => (body += piece.toString()))
        response.on('end', () => reject(new UpgradeRefused(response.statusCode ?? 0, body)))
      })
      // A refused handshake reports through here as well; the promise is settled by then.
      socket.on('error', reject)
    })
  }

  constructor(socket: WebSocket, ids: CallerIds) {
    this.socket = socket
    this.ids = ids
    socket.on('message', (data, isBinary) => {
      try {
        this.heard.push(assertOutboundMessage(isBinary ? data : String(data), ids.streamSid))
      } catch (error) {
        this.violations.push(String(error))
      }
    })
    socket.on('ping', () => {
      this.pings += 1
    })
    this.closed = new Promise((resolve) => socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })))
  }

  send(message: string | Buffer): void {
    this.socket.send(message)
  }

  /** `connected` and `start`, as Twilio opens a stream. */
  start(token: string): void {
    this.send(inbound.connected())
    this.send(inbound.start({ ...this.ids, customParameters: { token } }))
  }

  /** The next 20 ms of the caller's voice. */
  speak(payload: Uint8Array = new Uint8Array(160).fill(0x55)): void {
    this.#chunk += 1
    const { streamSid } = this.ids
    this.send(inbound.media({ streamSid, sequenceNumber: this.#next(), chunk: this.#chunk, timestampMs: (this.#chunk - 1) * 20, payload }))
  }

  press(digit: string): void {
    this.send(inbound.dtmf(this.ids.streamSid, this.#next(), digit))
  }

  echoMark(name: string): void {
    this.send(inbound.mark(this.ids.streamSid, this.#next(), name))
  }

  stop(): void {
    this.send(inbound.stop(this.ids.streamSid, this.#next(), this.ids.accountSid, this.ids.callSid))
  }

  #next(): number {
    this.#sequenceNumber += 1
    return this.#sequenceNumber
  }
}
