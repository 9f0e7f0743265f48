import { DeepgramClient } from '@deepgram/sdk'
import { z } from 'zod'
import { BoundedQueue } from '../core/bounded-queue.ts'
import { withDeadline } from '../core/deadline.ts'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError, isClientsViaError } from '../core/errors.ts'
import { VendorSocket } from '../engines/vendor-socket.ts'
import type { Voice } from './synthesizer.ts'

/** With TLS to another continent; a sentence's own deadline cuts a slower one off. */
const HANDSHAKE_MS = 1500
/** For a handshake that everybody has left. */
const FORGOTTEN_AFTER_MS = 10_000
/** Pieces of one sentence: a minute of audio in the smallest that were seen. */
const MOST_PIECES = 4000
/** An interrupted line that does not fall silent within this time is not used again. */
const CLEARED_WITHIN_MS = 500

export type SpeakAccess = Readonly<{
  apiKey: string | null
  /** http or https; null: the vendor's own. */
  baseUrl: string | null
}>

type Sentence = { readonly audio: BoundedQueue<Uint8Array>; whole: boolean }

/**
 * One connection to the speaking vendor, for one voice and one sentence at a time. It opens when it is made; `opened` rejects with
 * ENGINE_UNAVAILABLE, and `details.status` where the vendor refused.
 */
export class SpeakLine {
  readonly opened: Promise<void>
  readonly #clock: Clock
  #state: 'dialling' | 'idle' | 'speaking' | 'clearing' | 'over' = 'dialling'
  #sentence: Sentence | null = null
  #failure: ClientsViaError | null = null
  #cleared: () => void = () => undefined
  #closeConnection: () => void = () => undefined
  #connection: Awaited<ReturnType<DeepgramClient['speak']['v1']['createConnection']>> | null = null

  constructor(clock: Clock, access: SpeakAccess, voice: Voice) {
    this.#clock = clock
    this.opened = withDeadline(clock, HANDSHAKE_MS, null, () => this.#connect(access, voice)).catch((error: unknown) => {
      const isLate = isClientsViaError(error, 'DEADLINE_PASSED')
      this.close()
      throw isLate ? new ClientsViaError('ENGINE_UNAVAILABLE', `no connection to the voice within ${HANDSHAKE_MS} ms`) : error
    })
    this.opened.catch(() => undefined)
  }

  /** Open, silent and waiting for a sentence. */
  get isIdle(): boolean {
    return this.#state === 'idle'
  }

  /** µ-law in order, as it arrives. Leaving it early clears the line, which is idle again a little later. */
  async *speak(text: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    await this.opened
    signal.throwIfAborted()
    if (this.#state !== 'idle') throw this.#failure ?? new ClientsViaError('ENGINE_UNAVAILABLE', 'the line is in use')
    const sentence: Sentence = { audio: new BoundedQueue(MOST_PIECES, 'refuse'), whole: false }
    this.#sentence = sentence
    this.#state = 'speaking'
    const onAbort = (): void => sentence.audio.fail(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      this.#connection?.sendText({ type: 'Speak', text })
      this.#connection?.sendFlush({ type: 'Flush' })
      yield* sentence.audio
      signal.throwIfAborted()
      // A connection that ends between two sentences closes quietly; in the middle of one it is a failure.
      if (!sentence.whole) throw this.#failure ?? new ClientsViaError('ENGINE_FAILED', 'the voice broke off')
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#sentence = null
      if (this.#state === 'speaking') {
        if (sentence.whole) this.#state = 'idle'
        else await this.#clear()
      }
    }
  }

  close(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#sentence?.audio.close()
    this.#cleared()
    this.#closeConnection()
  }

  async #connect(access: SpeakAccess, voice: Voice): Promise<void> {
    const { promise: open, resolve, reject } = Promise.withResolvers<void>()
    const client = new DeepgramClient({
      apiKey: access.apiKey ?? 'none',
      ...(access.baseUrl === null ? {} : { environment: environmentAt(access.baseUrl) }),
      transportFactory: (url: string, headers: Record<string, string>) => {
        const socket = new VendorSocket(url, headers, { handshakeMs: FORGOTTEN_AFTER_MS, audio: (bytes) => this.#sentence?.audio.push(bytes) })
        socket.onError((error) => this.#fail(error, reject))
        return socket
      },
    })
    const connection = await client.speak.v1.createConnection({
      model: voice.id,
      encoding: 'mulaw',
      sample_rate: '8000',
      ...(voice.speed === 1 ? {} : { speed: voice.speed }),
      reconnectAttempts: 0,
      connectionTimeoutInSeconds: FORGOTTEN_AFTER_MS / 1000,
    })
    this.#connection = connection
    this.#closeConnection = () => connection.close()
    if (this.#state === 'over') throw new ClientsViaError('ENGINE_UNAVAILABLE', 'the line was closed')
    connection.on('open', () => {
      if (this.#state === 'dialling') this.#state = 'idle'
      resolve()
    })
    connection.on('message', (raw: unknown) => this.#hear(raw, reject))
    connection.on('error', () => this.#fail(new ClientsViaError('ENGINE_UNAVAILABLE', 'the connection to the voice failed'), reject))
    connection.on('close', () => this.#fail(new ClientsViaError('ENGINE_UNAVAILABLE', 'the voice closed the connection'), reject))
    connection.connect()
    await open
  }

  #hear(raw: unknown, reject: (error: Error) => void): void {
    const message = messageSchema.safeParse(raw)
    if (!message.success) return this.#fail(new ClientsViaError('ENGINE_FAILED', 'the voice sent something that is not its protocol'), reject)
    switch (message.data.type) {
      case 'Flushed':
        if (this.#sentence === null) return
        this.#sentence.whole = true
        this.#sentence.audio.close()
        return
      case 'Cleared':
        this.#cleared()
        return
      case 'Error':
        this.#fail(new ClientsViaError('ENGINE_FAILED', `the voice reports: ${message.data.description}`), reject)
        return
      case 'Metadata':
      case 'Warning':
    }
  }

  /** The rest of what it was saying is thrown away, at the vendor too. */
  async #clear(): Promise<void> {
    this.#state = 'clearing'
    try {
      await withDeadline(this.#clock, CLEARED_WITHIN_MS, null, () => {
        const { promise, resolve } = Promise.withResolvers<void>()
        this.#cleared = resolve
        this.#connection?.sendClear({ type: 'Clear' })
        return promise
      })
      if (this.#state === 'clearing') this.#state = 'idle'
    } catch {
      this.close()
    }
  }

  #fail(error: ClientsViaError, reject: (error: Error) => void): void {
    if (this.#state === 'over') return
    this.#failure = error
    reject(error)
    this.#sentence?.audio.fail(error)
    this.close()
  }
}

const messageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.enum(['Metadata', 'Flushed', 'Cleared', 'Warning']) }),
  z.object({ type: z.literal('Error'), description: z.string().default('no reason given') }),
])

function environmentAt(baseUrl: string): Readonly<{ base: string; production: string; agent: string; agentRest: string }> {
  const ws = baseUrl.replace(/^http/, 'ws')
  return { base: baseUrl, production: ws, agent: ws, agentRest: baseUrl }
}
