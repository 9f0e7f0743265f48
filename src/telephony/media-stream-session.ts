import { createHash, timingSafeEqual } from 'node:crypto'
import type { Writable } from 'node:stream'
import type { RawData, WebSocket } from 'ws'
import type { Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { isClientsViaError } from '../core/errors.ts'
import { Scope, ScopeEnded } from '../core/scope.ts'
import type { MediaClaims, MediaTokens } from './media-tokens.ts'
import { scanMedia } from './media-message-scan.ts'
import { MediaStreamLeg, type MediaSocket } from './media-stream-leg.ts'
import { parseMediaStreamMessage, type MediaStreamMessage, type StreamStart } from './media-stream-protocol.ts'
import { MessageAllowance } from './message-allowance.ts'
import { SoundBlock } from './sound-block.ts'
import type { TelephonyCounters, TelephonyLogger } from './telephony-log.ts'
import { TOKEN_PARAMETER } from './voice-twiml.ts'

export type SessionLimits = Readonly<{
  startWithinMs: number
  messagesPerSecond: number
  messageBurst: number
  idleMs: number
  pingEveryMs: number
}>

export type SessionDeps = Readonly<{
  /** What the WebSocket is made of. */
  connection: Pick<Writable, 'cork' | 'uncork'>
  clock: Clock
  logger: TelephonyLogger
  counters: TelephonyCounters
  mediaTokens: MediaTokens
  scope: Scope
  limits: SessionLimits
  hasRoom: () => boolean
  /** The stream proved whose call it is. The new leg's events are already flowing into its queue. */
  onLive: (leg: MediaStreamLeg) => void
  /** The socket no longer counts as pending: it is live, or gone. */
  onSettled: () => void
}>

/** Messages that arrive while the token is looked up: two seconds, twice the look-up's deadline. */
const EARLY_MESSAGES = 128
const TOKEN_WITHIN_MS = 1000
const MAX_MISSED_PONGS = 2

type State =
  | Readonly<{ name: 'awaiting-start' }>
  | Readonly<{ name: 'authenticating'; streamSid: string; early: MediaStreamMessage[] }>
  | Readonly<{ name: 'live'; leg: MediaStreamLeg }>
  | Readonly<{ name: 'over' }>

/**
 * One media socket from the handshake to its close. It listens from its first tick, since Twilio's first messages come with the
 * handshake; nothing is trusted, and no other room hears of it, until `start` brought a token that the signed webhook issued.
 */
export class MediaStreamSession {
  readonly #deps: SessionDeps
  readonly #socket: WebSocket
  readonly #scope: Scope
  readonly #allowance: MessageAllowance
  readonly #sound = new SoundBlock()
  #state: State = { name: 'awaiting-start' }
  #missedPongs = 0

  constructor(socket: WebSocket, deps: SessionDeps) {
    this.#deps = deps
    this.#socket = socket
    this.#scope = new Scope(deps.scope)
    this.#allowance = new MessageAllowance(deps.clock, deps.limits.messagesPerSecond, deps.limits.messageBurst)
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary))
    socket.on('pong', () => {
      this.#missedPongs = 0
    })
    socket.on('close', (code) => this.#closed(code))
    this.#scope.signal.addEventListener('abort', () => this.#refuse(1001, 'server is shutting down'), { once: true })
    void this.#requireStart()
    void this.#keepAlive()
  }

  /** Ends the socket unless a leg owns it already. */
  refuseUnlessLive(code: number, reason: string): void {
    if (this.#state.name !== 'live') this.#refuse(code, reason)
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#state.name === 'over') return
    const allowance = this.#allowance.next()
    if (allowance !== 'take') {
      this.#deps.counters.add('message-over-rate')
      if (allowance === 'flooding') this.#refuse(1008, 'too many messages')
      return
    }
    if (isBinary) {
      this.#deps.counters.add('message-binary')
      return
    }
    const message = (Buffer.isBuffer(data) ? scanMedia(data, this.#sound) : null) ?? this.#parse(String(data))
    if (message === null) return
    if (message.event === 'unknown') this.#deps.counters.add('message-unknown-event')
    else this.#take(message)
  }

  #parse(text: string): MediaStreamMessage | null {
    try {
      return parseMediaStreamMessage(text)
    } catch (error) {
      if (!isClientsViaError(error, 'MESSAGE_MALFORMED')) throw error
      this.#deps.counters.add('message-malformed')
      return null
    }
  }

  #take(message: MediaStreamMessage): void {
    const state = this.#state
    switch (state.name) {
      case 'awaiting-start':
        if (message.event === 'start') void this.#authenticate(message)
        else if (message.event === 'stop') this.#refuse(1000, 'stopped')
        else if (message.event !== 'connected') this.#deps.counters.add('message-before-start')
        return
      case 'authenticating':
        if (message.event === 'start') this.#takeSecondStart(message, state.streamSid)
        else if (state.early.length < EARLY_MESSAGES) state.early.push(message)
        else this.#deps.counters.add('message-before-start')
        return
      case 'live':
        if (message.event === 'start') this.#takeSecondStart(message, state.leg.start.streamSid)
        else state.leg.receive(message)
        return
      case 'over':
        return
    }
  }

  #takeSecondStart(start: StreamStart, streamSid: string): void {
    this.#deps.counters.add('start-repeated')
    this.#deps.logger.warn({ streamSid, repeatedStreamSid: start.streamSid }, 'start came twice')
    if (start.streamSid !== streamSid) this.#refuse(1008, 'one stream a socket')
  }

  async #authenticate(start: StreamStart): Promise<void> {
    const { encoding, sampleRateHz, channels } = start.mediaFormat
    if (encoding !== 'audio/x-mulaw' || sampleRateHz !== 8000 || channels !== 1) {
      this.#deps.logger.warn({ streamSid: start.streamSid, mediaFormat: start.mediaFormat }, 'media format refused')
      this.#refuse(1003, 'media must be audio/x-mulaw, 8000 Hz, 1 channel')
      return
    }
    const early: MediaStreamMessage[] = []
    this.#state = { name: 'authenticating', streamSid: start.streamSid, early }
    const claims = await this.#claims(start)
    if (claims === 'failed') {
      this.#refuse(1011, 'the token could not be checked')
      return
    }
    if (this.#scope.ended || this.#state.name !== 'authenticating') return
    if (claims === null || !same(claims.callSid, start.callSid) || !same(claims.accountSid, start.accountSid)) {
      this.#deps.counters.add('stream-refused')
      this.#deps.logger.warn({ streamSid: start.streamSid, reason: claims === null ? 'token' : 'other call' }, 'media stream refused')
      this.#refuse(1008, 'the stream is not authorised')
      return
    }
    if (!this.#deps.hasRoom()) {
      this.#refuse(1013, 'over capacity')
      return
    }
    this.#goLive({ ...claims, streamSid: start.streamSid }, early)
  }

  #goLive(start: MediaStreamLeg['start'], early: readonly MediaStreamMessage[]): void {
    const { clock, scope, limits, counters } = this.#deps
    const leg = new MediaStreamLeg({ clock, socket: mediaSocket(this.#socket, this.#deps.connection), start, scope, idleMs: limits.idleMs, count: counters.add })
    this.#state = { name: 'live', leg }
    this.#deps.onSettled()
    this.#deps.onLive(leg)
    for (const message of early) leg.receive(message)
  }

  async #claims(start: StreamStart): Promise<MediaClaims | null | 'failed'> {
    const token = start.customParameters[TOKEN_PARAMETER]
    if (token === undefined) return null
    try {
      const { clock, mediaTokens } = this.#deps
      return await withDeadline(clock, TOKEN_WITHIN_MS, this.#scope.signal, (signal) => mediaTokens.consume(token, signal))
    } catch (error) {
      if (!this.#scope.ended) this.#deps.logger.error({ error, streamSid: start.streamSid }, 'media token could not be checked')
      return 'failed'
    }
  }

  #refuse(code: number, reason: string): void {
    const state = this.#state
    if (state.name === 'over') return
    this.#state = { name: 'over' }
    if (state.name === 'live') state.leg.end('connection-lost', code, reason)
    else this.#deps.onSettled()
    this.#socket.close(code, reason)
  }

  #closed(code: number): void {
    const state = this.#state
    this.#state = { name: 'over' }
    if (state.name === 'live') state.leg.connectionClosed(code)
    else if (state.name !== 'over') this.#deps.onSettled()
    this.#scope.end(new ScopeEnded())
  }

  async #requireStart(): Promise<void> {
    if (!(await this.#waited(this.#deps.limits.startWithinMs))) return
    if (this.#state.name === 'awaiting-start') this.#refuse(1008, 'no start')
  }

  async #keepAlive(): Promise<void> {
    while (await this.#waited(this.#deps.limits.pingEveryMs)) {
      if (this.#missedPongs >= MAX_MISSED_PONGS) {
        this.#socket.terminate()
        return
      }
      this.#missedPongs += 1
      if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping()
    }
  }

  /** False when the session ended first. */
  async #waited(durationMs: number): Promise<boolean> {
    try {
      await this.#deps.clock.sleep(durationMs, this.#scope.signal)
      return true
    } catch (error) {
      if (this.#scope.ended) return false
      throw error
    }
  }
}

/** A closing socket takes nothing more, and that is no error: the leg hears of the end by its close event. */
function mediaSocket(socket: WebSocket, connection: SessionDeps['connection']): MediaSocket {
  let isHeld = false
  const release = (): void => {
    isHeld = false
    connection.uncork()
  }
  return {
    send: (text) => {
      if (socket.readyState !== socket.OPEN) return
      // All that is said in one turn of the loop leaves in one write: a reply's first six frames, its refills of two.
      if (!isHeld) {
        isHeld = true
        connection.cork()
        process.nextTick(release)
      }
      socket.send(text)
    },
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
    get bufferedAmount() {
      return socket.bufferedAmount
    },
  }
}

/** In constant time, whatever the lengths. */
function same(expected: string, given: string): boolean {
  return timingSafeEqual(createHash('sha256').update(expected).digest(), createHash('sha256').update(given).digest())
}
