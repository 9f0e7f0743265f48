import type { ServerResponse } from 'node:http'
import type { WebSocket } from 'ws'
import { encodeMulaw } from '../../src/audio/g711.ts'
import { DeepgramEars, type HeardWord, type HearingScript } from './deepgram-ears.ts'
import { clock, faultyPieces, noise, VendorServer, type Fault, type VendorRequest } from './faults.ts'

export type DeepgramDelays = Readonly<{
  /** Silence after which the vendor takes words for final by itself. */
  endpointMs: number
  /** From then, or from a request, to the message. */
  finalMs: number
  /** From text to the first audio, and between further pieces. */
  firstAudioMs: number
  pieceMs: number
}>
/** The fixed delays that latencies are quoted with. */
export const STANDARD_DELAYS: DeepgramDelays = { endpointMs: 300, finalMs: 50, firstAudioMs: 120, pieceMs: 5 }

export type DeepgramOptions = Readonly<{
  hears?: HearingScript
  delays?: Partial<DeepgramDelays>
  /** 8 kHz; a tone a word unless told otherwise. */
  speaks?: (text: string, model: string) => Int16Array | Promise<Int16Array>
}>

/** Audio of this length in one piece; no multiple of a frame, as with the real one. */
const PIECE_BYTES = 1000
const INTERIM_EVERY_MS = 200
/** Speech without a pause gets final words after this long. */
const LONGEST_CHANGING_MS = 5000
const SILENT_CLIENT_MS = 10_000
const TURN_UPDATE_EVERY_MS = 240
const EAGER_AFTER_MS = 160

/**
 * Deepgram as its documentation tells it: /v1/listen, /v2/listen, /v1/speak by WebSocket and by POST. It hears by content: a word of the
 * script is heard when its sound has arrived, wherever in the stream that is, so a replay is heard as the real one would.
 */
export class DeepgramStandIn {
  readonly server: VendorServer
  readonly delays: DeepgramDelays
  /** Every JSON message of clients, in order. */
  readonly said: { path: string; type: string }[] = []
  /** Texts in the order they were asked for, and what became of their audio. */
  readonly spoken: Spoken[] = []
  /** The uses that have the server's fault. Faults of the connection itself always hit both. */
  faulty: 'both' | 'listen' | 'speak' = 'both'
  /** Audio bytes that arrived, of all connections. */
  audioBytes = 0
  readonly #hears: HearingScript
  readonly #speaks: NonNullable<DeepgramOptions['speaks']>
  #bursts = 0

  constructor(options: DeepgramOptions = {}) {
    this.#hears = options.hears ?? { kind: 'bursts', texts: [] }
    this.#speaks = options.speaks ?? tonesOf
    this.delays = { ...STANDARD_DELAYS, ...options.delays }
    this.server = new VendorServer({
      socket: (socket, { path, query }) => this.#connected(socket, path, query),
      http: (request, response, signal) => this.#post(request, response, signal),
      errorBody: (status) => ({ err_code: status === 401 ? 'INVALID_AUTH' : 'UNAVAILABLE', err_msg: `status ${status}`, request_id: 'stand-in' }),
    })
  }

  static async start(options: DeepgramOptions = {}): Promise<DeepgramStandIn> {
    const vendor = new DeepgramStandIn(options)
    await vendor.server.listen()
    return vendor
  }

  get url(): string {
    return this.server.url
  }

  /** Bursts are counted from the script's first text again. */
  newCall(): void {
    this.#bursts = 0
  }

  stop(): Promise<void> {
    return this.server.stop()
  }

  faultOf(use: 'listen' | 'speak'): Fault | null {
    return this.faulty === 'both' || this.faulty === use ? this.server.fault : null
  }

  #connected(socket: WebSocket, path: string, query: URLSearchParams): void {
    const over = new AbortController()
    socket.on('close', () => over.abort(new Error('the client has gone')))
    const onJson = (handle: (message: Readonly<{ type: string; text?: string }>) => void) => (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { type: string; text?: string }
      this.said.push({ path, type: message.type })
      handle(message)
    }
    if (path === '/v1/listen') this.#listen(socket, query, over.signal, onJson)
    else if (path === '/v2/listen') this.#listenForTurns(socket, over.signal, onJson)
    else if (path === '/v1/speak') this.#speakLive(socket, query.get('model') ?? '', over.signal, onJson)
    else socket.close(1008, 'no such path')
  }

  /** Sends as the health of the moment allows; `first` messages get through a stall. */
  #tell(socket: WebSocket, message: unknown, signal: AbortSignal, first = false): void {
    const fault = this.faultOf('listen')
    if (fault === 'hang' || (fault === 'stall' && !first)) return
    if (fault === 'garbage') return socket.send('}{ not a message')
    if (fault !== 'slow') return socket.send(JSON.stringify(message))
    void clock.sleep(2000, signal).then(
      () => socket.send(JSON.stringify(message)),
      () => undefined,
    )
  }

  #listen(socket: WebSocket, query: URLSearchParams, signal: AbortSignal, onJson: OnJson): void {
    const ears = new DeepgramEars(this.#hears, () => this.#bursts++)
    const state = { finalToMs: 0, interimAtMs: 0, ending: false, utteranceEndSent: true, lastMessageAt: clock.now() }
    const endpointMs = Number(query.get('endpointing') ?? this.delays.endpointMs)
    const utteranceEndMs = Number(query.get('utterance_end_ms') ?? 1000)
    const results = (toMs: number, final: boolean, extra: object): void => {
      const dribbling = this.faultOf('listen') === 'dribble'
      // A word that a final has cut into is told whole, after it.
      const words = ears.words.flatMap((word) => (word.endMs <= state.finalToMs || word.startMs >= toMs || (final && word.endMs > toMs) ? [] : [{ ...word, startMs: Math.max(word.startMs, state.finalToMs) }]))
      const shown = dribbling ? words.slice(0, 1) : words
      const durationMs = dribbling ? Math.min(200, toMs - state.finalToMs) : toMs - state.finalToMs
      const message = resultsMessage(shown, state.finalToMs, durationMs, final && !dribbling, extra)
      if (final && !dribbling) state.finalToMs = toMs
      this.#tell(socket, message, signal, state.interimAtMs <= INTERIM_EVERY_MS)
    }
    const finalize = (extra: object): void => {
      void clock.sleep(this.delays.finalMs, signal).then(
        () => {
          ears.settle(state.finalToMs)
          state.ending = false
          results(ears.heardToMs, true, extra)
        },
        () => undefined,
      )
    }
    socket.on('message', (data: Buffer, isBinary) => {
      state.lastMessageAt = clock.now()
      if (!isBinary) {
        onJson((message) => {
          if (message.type === 'Finalize') finalize({ from_finalize: true })
          else if (message.type === 'CloseStream') socket.close(1000)
        })(data)
        return
      }
      this.audioBytes += data.length
      ears.hear(data)
      const lastWordMs = ears.words.at(-1)?.endMs ?? -Infinity
      const silenceMs = Math.min(ears.quietMs, ears.heardToMs - lastWordMs)
      if (silenceMs >= endpointMs) ears.settle(state.finalToMs)
      if (lastWordMs > state.finalToMs && silenceMs >= endpointMs && !state.ending) {
        state.ending = true
        state.utteranceEndSent = false
        finalize({ speech_final: true })
      } else if (ears.heardToMs - state.finalToMs >= LONGEST_CHANGING_MS) results(ears.heardToMs, true, { speech_final: false })
      else if (ears.heardToMs - state.interimAtMs >= INTERIM_EVERY_MS) {
        state.interimAtMs = ears.heardToMs
        results(ears.heardToMs, false, { speech_final: false })
      }
      if (!state.utteranceEndSent && silenceMs >= utteranceEndMs) {
        state.utteranceEndSent = true
        this.#tell(socket, { type: 'UtteranceEnd', channel: [0, 1], last_word_end: lastWordMs / 1000 }, signal)
      }
    })
    void closeWhenSilent(socket, state, signal)
  }

  #listenForTurns(socket: WebSocket, signal: AbortSignal, onJson: OnJson): void {
    const ears = new DeepgramEars(this.#hears, () => this.#bursts++)
    const state = { fromMs: 0, updateAtMs: 0, sequence: 0, turn: 0, phase: 'quiet' as 'quiet' | 'turn' | 'eager', words: 0, beganMs: 0 }
    const info = (event: string, confidence: number): void => {
      const words = ears.words.filter((word) => word.startMs >= state.fromMs)
      this.#tell(
        socket,
        {
          type: 'TurnInfo',
          request_id: 'stand-in',
          sequence_id: (state.sequence += 1),
          event,
          turn_index: state.turn,
          audio_window_start: state.fromMs / 1000,
          audio_window_end: ears.heardToMs / 1000,
          transcript: words.map((word) => word.text).join(' '),
          words: words.map((word) => ({ word: word.text, confidence: 0.9 })),
          end_of_turn_confidence: confidence,
        },
        signal,
        state.sequence === 1,
      )
    }
    const end = (): void => {
      state.phase = 'quiet'
      void clock.sleep(this.delays.finalMs, signal).then(
        () => {
          info('EndOfTurn', 0.9)
          state.turn += 1
          state.fromMs = ears.heardToMs
        },
        () => undefined,
      )
    }
    this.#tell(socket, { type: 'Connected', request_id: 'stand-in', sequence_id: 0 }, signal, true)
    socket.on('message', (data: Buffer, isBinary) => {
      if (!isBinary) {
        onJson((message) => {
          if (message.type === 'CloseStream') socket.close(1000)
          else if (message.type === 'ForceEndTurn' && state.phase !== 'quiet') end()
          else if (message.type === 'Configure') this.#tell(socket, { type: 'ConfigureSuccess', request_id: 'stand-in' }, signal)
        })(data)
        return
      }
      this.audioBytes += data.length
      ears.hear(data)
      if (ears.quietMs >= this.delays.endpointMs / 2) ears.settle(state.fromMs)
      // A pause is what follows sound of this very turn.
      const silenceMs = ears.heardToMs - ears.quietMs > state.beganMs ? ears.quietMs : 0
      const isNew = ears.words.length > state.words
      state.words = ears.words.length
      if (isNew && state.phase === 'quiet') {
        state.phase = 'turn'
        state.beganMs = ears.heardToMs
        info('StartOfTurn', 0.1)
      } else if (isNew && state.phase === 'eager') {
        state.phase = 'turn'
        info('TurnResumed', 0.2)
      } else if (state.phase === 'turn' && silenceMs >= EAGER_AFTER_MS) {
        state.phase = 'eager'
        info('EagerEndOfTurn', 0.55)
      } else if (state.phase === 'eager' && silenceMs >= this.delays.endpointMs) end()
      else if (ears.heardToMs - state.updateAtMs >= TURN_UPDATE_EVERY_MS) {
        state.updateAtMs = ears.heardToMs
        info('Update', 0.1)
      }
    })
  }

  #speakLive(socket: WebSocket, model: string, signal: AbortSignal, onJson: OnJson): void {
    let text = ''
    let sequence = 0
    let speaking: AbortController | null = null
    let queue: Promise<void> = Promise.resolve()
    const flush = async (sentence: string, own: AbortSignal): Promise<void> => {
      if (own.aborted) return
      for await (const piece of this.#audio(sentence, model, own)) socket.send(piece)
      if (this.faultOf('speak') === null) socket.send(JSON.stringify({ type: 'Flushed', sequence_id: (sequence += 1) }))
    }
    if (this.faultOf('speak') === null) socket.send(JSON.stringify({ type: 'Metadata', request_id: 'stand-in', model_name: model }))
    socket.on('message', (data: Buffer) =>
      onJson((message) => {
        if (message.type === 'Speak') text += message.text ?? ''
        else if (message.type === 'Flush') {
          const sentence = text
          text = ''
          speaking ??= new AbortController()
          const own = speaking.signal
          const onOver = (): void => speaking?.abort(new Error('gone'))
          signal.addEventListener('abort', onOver, { once: true })
          queue = queue.then(() => flush(sentence, own)).catch(() => undefined)
        } else if (message.type === 'Clear') {
          text = ''
          speaking?.abort(new Error('cleared'))
          speaking = null
          socket.send(JSON.stringify({ type: 'Cleared', sequence_id: (sequence += 1) }))
        } else if (message.type === 'Close') socket.close(1000)
      })(data),
    )
  }

  async #post(request: VendorRequest, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const { text } = JSON.parse(request.body.toString()) as { text: string }
    response.writeHead(200, { 'content-type': 'audio/mulaw' })
    for await (const piece of this.#audio(text, request.query.get('model') ?? '', signal)) response.write(piece)
    response.end()
  }

  async *#audio(text: string, model: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const record: Spoken = { text, model, outcome: 'running', askedAt: clock.now(), firstAudioAt: null }
    this.spoken.push(record)
    try {
      const mulaw = encodeMulaw(await this.#speaks(text, model))
      const pieces = Array.from({ length: Math.ceil(mulaw.length / PIECE_BYTES) }, (_, i) => mulaw.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES))
      const timing = { firstAfterMs: this.delays.firstAudioMs, eachAfterMs: this.delays.pieceMs }
      for await (const piece of faultyPieces(pieces, timing, () => this.faultOf('speak'), () => wavHead(), signal)) {
        record.firstAudioAt ??= clock.now()
        yield piece
      }
      record.outcome = 'whole'
    } finally {
      if (record.outcome === 'running') record.outcome = 'cut'
    }
  }
}

/** Times are on the clock of the stand-ins. */
type Spoken = { text: string; model: string; outcome: 'running' | 'whole' | 'cut'; readonly askedAt: number; firstAudioAt: number | null }

type OnJson = (handle: (message: Readonly<{ type: string; text?: string }>) => void) => (data: Buffer) => void

function resultsMessage(words: readonly HeardWord[], startMs: number, durationMs: number, final: boolean, extra: object): unknown {
  return {
    type: 'Results',
    channel_index: [0, 1],
    duration: durationMs / 1000,
    start: startMs / 1000,
    is_final: final,
    speech_final: false,
    ...extra,
    channel: {
      alternatives: [
        {
          transcript: words.map((word) => word.text).join(' '),
          confidence: 0.98,
          words: words.map((word) => ({ word: word.text.toLowerCase(), punctuated_word: word.text, start: word.startMs / 1000, end: word.endMs / 1000, confidence: 0.98 })),
        },
      ],
    },
    metadata: { request_id: 'stand-in', model_uuid: 'stand-in', model_info: { name: 'general', version: '1', arch: 'nova-3' } },
    from_finalize: false,
    ...extra,
  }
}

/** As the real one: no audio and no KeepAlive for ten seconds ends the stream. */
async function closeWhenSilent(socket: WebSocket, state: Readonly<{ lastMessageAt: number }>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(500, signal).catch(() => undefined)
    if (clock.now() - state.lastMessageAt > SILENT_CLIENT_MS) socket.close(1011, 'NET-0001')
  }
}

/** What a voice must not be: a file in a container. */
export function wavHead(): Uint8Array {
  return Buffer.concat([Buffer.from('RIFF'), noise(4), Buffer.from('WAVEfmt '), noise(200)])
}

/** 60 ms a letter and a word's own pitch: a listener can tell words by it, and count them. */
export function tonesOf(text: string): Int16Array {
  const words = text.split(/\s+/).filter((word) => word !== '')
  const parts = words.map((word, index) =>
    Int16Array.from({ length: word.length * 480 }, (_, i) => Math.round(5834 * Math.sin((2 * Math.PI * (300 + 40 * (index % 16)) * i) / 8000))),
  )
  const whole = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
