import { WebSocket } from 'ws'
import { ClientsViaError } from '../core/errors.ts'

/** A transcript with its words takes some 20 KB, a piece of audio 8 KB; more is not this protocol. */
const MAX_MESSAGE_BYTES = 1024 * 1024
/** What may wait to be sent: 30 s of a caller's audio. A vendor that takes none of it is gone. */
const MAX_BUFFERED_BYTES = 240_000

/** A piece of text, or of audio. */
export type VendorMessage = string | Uint8Array

/**
 * The transport beneath a vendor's own library, in the shape that library asks for. Ours instead of its default, for what the default
 * hides: the status of a refused upgrade, audio as bytes, bounds, and no reconnecting behind our back.
 */
export class VendorSocket {
  readonly #socket: WebSocket
  readonly #audio: ((bytes: Uint8Array) => void) | null
  #refused = false

  /** `audio` takes what comes in binary; without it such messages are dropped. */
  constructor(url: string, headers: Readonly<Record<string, string>>, options: Readonly<{ handshakeMs: number; audio?: (bytes: Uint8Array) => void }>) {
    this.#audio = options.audio ?? null
    this.#socket = new WebSocket(url, { headers, handshakeTimeout: options.handshakeMs, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES })
  }

  send(data: string | ArrayBuffer | Blob | ArrayBufferView): void {
    if (this.#socket.bufferedAmount > MAX_BUFFERED_BYTES) {
      this.#socket.terminate()
      return
    }
    if (data instanceof Blob) throw new TypeError('audio is sent as bytes')
    this.#socket.send(data)
  }

  onOpen(listener: () => void): void {
    this.#socket.on('open', listener)
  }

  onMessage(listener: (message: string) => void): void {
    this.#socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) this.#audio?.(new Uint8Array(data))
      else listener(data.toString())
    })
  }

  /** With ENGINE_UNAVAILABLE, and the status in `details` where the vendor refused the upgrade. */
  onError(listener: (error: ClientsViaError) => void): void {
    this.#socket.on('unexpected-response', (request, response) => {
      this.#refused = true
      const status = response.statusCode ?? 0
      response.destroy()
      request.destroy()
      listener(new ClientsViaError('ENGINE_UNAVAILABLE', `the vendor refused the connection with status ${status}`, { status }))
    })
    this.#socket.on('error', (error) => {
      if (!this.#refused) listener(new ClientsViaError('ENGINE_UNAVAILABLE', `the connection to the vendor failed: ${error.message}`, {}, { cause: error }))
    })
  }

  onClose(listener: (event: Readonly<{ code: number; reason: string }>) => void): void {
    this.#socket.on('close', (code, reason) => listener({ code, reason: reason.toString() }))
  }

  isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN
  }

  close(code?: number, reason?: string): void {
    // Codes that only a peer may report (1005, 1006 …) cannot be sent.
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#socket.terminate()
    else this.#socket.close(code === 1000 || code === 1001 || code === 1011 ? code : undefined, reason?.slice(0, 100))
  }
}
