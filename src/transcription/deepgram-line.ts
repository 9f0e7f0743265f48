import { DeepgramClient } from '@deepgram/sdk'
import { ClientsViaError } from '../core/errors.ts'
import { VendorSocket } from '../engines/vendor-socket.ts'
import { parseListenMessage, type ListenMessage } from './deepgram-messages.ts'

/** One connection to the listening vendor. What is sent before it has opened, or after it failed, is dropped. */
export interface ListenLine {
  /** G.711 µ-law, 8 kHz. */
  send(mulaw: Uint8Array): void
  /** Says that silence is not the end; the vendor hangs up after 10 s without a message. */
  keepAlive(): void
  /** Asks for the final words of what was sent so far. */
  finalize(): void
  /** What was said so far is over, whatever the vendor thinks of it. */
  endTurn(): void
  /** New key terms for what follows; false where the vendor takes them only when the line is opened. */
  listenFor(terms: readonly string[]): boolean
  /** Silent: the listener hears nothing more. */
  close(): void
}

export type LineListener = Readonly<{
  opened: () => void
  message: (message: ListenMessage) => void
  /** Once, for whatever reason the line is not there (any more). `details.status` where the vendor refused it. */
  failed: (error: ClientsViaError) => void
}>
/** `endsTurns`: the vendor's words of a turn may all change until it ends, and their times are not known. */
export type ListenVendor = Readonly<{ dial: DialLine; endsTurns: boolean }>
export type LineRequest = Readonly<{ language: string; terms: readonly string[] }>
export type DialLine = (request: LineRequest, listener: LineListener) => ListenLine

export type DeepgramAccess = Readonly<{
  apiKey: string | null
  /** http or https; null: the vendor's own. */
  baseUrl: string | null
  model: string
}>

/** Silence after which the vendor itself takes what was said for final. Our own pause asks for it sooner. */
const ENDPOINTING_MS = 300
/** The shortest the vendor allows. */
const UTTERANCE_END_MS = 1000
/** Below it the vendor does not even guess at an end of turn; its own documentation's middle values. */
const EAGER_END_THRESHOLD = 0.5
const END_THRESHOLD = 0.7

/** Whoever dials has a deadline of their own, by their own clock; this is for a handshake that everybody has left. */
const FORGOTTEN_AFTER_MS = 10_000

/** Dials by the vendor's own library, with our transport beneath it. */
export function deepgramVendor(access: DeepgramAccess): ListenVendor {
  const isFlux = access.model.startsWith('flux')
  const dial: DialLine = (request, listener) => {
    // The library hands on an error's text only: what went wrong is taken from the transport itself.
    const failure: Failure = { error: null }
    const client = new DeepgramClient({
      // The library looks for a key in the environment when there is none.
      apiKey: access.apiKey ?? 'none',
      ...(access.baseUrl === null ? {} : { environment: environmentAt(access.baseUrl) }),
      transportFactory: (url: string, headers: Record<string, string>) => {
        const socket = new VendorSocket(url, headers, { handshakeMs: FORGOTTEN_AFTER_MS })
        socket.onError((error) => {
          failure.error = error
        })
        return socket
      },
    })
    const connecting = isFlux ? turnLine(client, access.model, request) : resultLine(client, access.model, request)
    return new SdkLine(connecting, isFlux, listener, failure)
  }
  return { dial, endsTurns: isFlux }
}
type Failure = { error: ClientsViaError | null }

function resultLine(client: DeepgramClient, model: string, request: LineRequest) {
  return client.listen.v1.createConnection({
    model,
    language: request.language,
    encoding: 'mulaw',
    sample_rate: 8000,
    channels: 1,
    interim_results: 'true',
    punctuate: 'true',
    endpointing: ENDPOINTING_MS,
    utterance_end_ms: UTTERANCE_END_MS,
    ...(request.terms.length === 0 || !model.startsWith('nova-3') ? {} : { keyterm: [...request.terms] }),
    reconnectAttempts: 0,
    connectionTimeoutInSeconds: FORGOTTEN_AFTER_MS / 1000,
  })
}

function turnLine(client: DeepgramClient, model: string, request: LineRequest) {
  return client.listen.v2.createConnection({
    model,
    encoding: 'mulaw',
    sample_rate: 8000,
    eot_threshold: END_THRESHOLD,
    eager_eot_threshold: EAGER_END_THRESHOLD,
    ...(request.terms.length === 0 ? {} : { keyterm: [...request.terms] }),
    reconnectAttempts: 0,
    connectionTimeoutInSeconds: FORGOTTEN_AFTER_MS / 1000,
  })
}

type Connecting = ReturnType<typeof resultLine> | ReturnType<typeof turnLine>
type Connection = Awaited<Connecting>

class SdkLine implements ListenLine {
  readonly #isFlux: boolean
  readonly #listener: LineListener
  readonly #failure: Failure
  #connection: Connection | null = null
  #state: 'dialling' | 'open' | 'over' = 'dialling'

  constructor(connecting: Connecting, isFlux: boolean, listener: LineListener, failure: Failure) {
    this.#isFlux = isFlux
    this.#listener = listener
    this.#failure = failure
    void this.#connect(connecting)
  }

  async #connect(connecting: Connecting): Promise<void> {
    try {
      const connection = await connecting
      if (this.#state === 'over') return
      this.#connection = connection
      connection.on('open', () => {
        if (this.#state !== 'dialling') return
        this.#state = 'open'
        this.#listener.opened()
      })
      connection.on('message', (raw: unknown) => this.#hear(raw))
      connection.on('error', (error: Error) => this.#fail(this.#causeOf(error)))
      connection.on('close', (event: Readonly<{ code?: number; reason?: string }>) =>
        this.#fail(new ClientsViaError('ENGINE_UNAVAILABLE', `the vendor closed the connection (${event.code ?? 'no code'} ${event.reason ?? ''})`)),
      )
      connection.connect()
    } catch (error) {
      this.#fail(this.#causeOf(error))
    }
  }

  send(mulaw: Uint8Array): void {
    if (this.#state === 'open') this.#attempt((connection) => connection.sendMedia(mulaw))
  }

  keepAlive(): void {
    if (this.#state === 'open') this.#attempt((connection) => 'sendKeepAlive' in connection && connection.sendKeepAlive({ type: 'KeepAlive' }))
  }

  finalize(): void {
    if (this.#state !== 'open') return
    this.#attempt((connection) => ('sendFinalize' in connection ? connection.sendFinalize({ type: 'Finalize' }) : undefined))
  }

  endTurn(): void {
    if (!this.#isFlux) this.finalize()
    else if (this.#state === 'open') this.#attempt((connection) => 'sendForceEndTurn' in connection && connection.sendForceEndTurn({ type: 'ForceEndTurn' }))
  }

  listenFor(terms: readonly string[]): boolean {
    if (!this.#isFlux || this.#state !== 'open') return false
    this.#attempt((connection) => 'sendConfigure' in connection && connection.sendConfigure({ type: 'Configure', keyterms: [...terms] }))
    return true
  }

  close(): void {
    if (this.#state === 'open') this.#attempt((connection) => connection.sendCloseStream({ type: 'CloseStream' }))
    this.#state = 'over'
    this.#connection?.close()
  }

  #hear(raw: unknown): void {
    if (this.#state !== 'open') return
    const messages = parseListenMessage(raw)
    if (messages === null) this.#fail(new ClientsViaError('ENGINE_FAILED', 'the vendor sent something that is not its protocol'))
    else for (const message of messages) this.#listener.message(message)
  }

  /** The library throws where its socket has just gone; its close event says so too. */
  #attempt(send: (connection: Connection) => unknown): void {
    if (this.#connection === null) return
    try {
      send(this.#connection)
    } catch (error) {
      this.#fail(this.#causeOf(error))
    }
  }

  #fail(error: ClientsViaError): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#connection?.close()
    this.#listener.failed(error)
  }

  #causeOf(error: unknown): ClientsViaError {
    return this.#failure.error ?? new ClientsViaError('ENGINE_UNAVAILABLE', 'the connection to the vendor failed', {}, { cause: error })
  }
}

function environmentAt(baseUrl: string): Readonly<{ base: string; production: string; agent: string; agentRest: string }> {
  const ws = baseUrl.replace(/^http/, 'ws')
  return { base: baseUrl, production: ws, agent: ws, agentRest: baseUrl }
}
