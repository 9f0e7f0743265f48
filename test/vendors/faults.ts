import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import { SystemClock, type Clock, type Instant } from '../../src/core/clock.ts'

/** Everything a vendor does to us, by the column it has in the fault matrix. */
export const FAULTS = ['refused', '401', '429', '500', 'reset', 'hang', 'stall', 'dribble', 'garbage', 'slow'] as const
export type Fault = (typeof FAULTS)[number]

/** What a request is answered with that never gets as far as the vendor. */
export const REFUSALS: Readonly<Partial<Record<Fault, number>>> = { 401: 401, 429: 429, 500: 500 }

class VendorClock implements Clock {
  #followed: Clock = new SystemClock()

  /** From now on vendors take their time by the clock of whoever asks them. */
  follow(clock: Clock): void {
    this.#followed = clock
  }

  now(): Instant {
    return this.#followed.now()
  }

  wallTime(): Date {
    return this.#followed.wallTime()
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return this.#followed.sleep(durationMs, signal)
  }
}

export const clock = new VendorClock()

export type VendorRequest = Readonly<{ method: string; path: string; query: URLSearchParams; headers: IncomingMessage['headers']; body: Buffer; arrivedAt: number }>

export type VendorHandlers = Readonly<{
  /** Faults of the head (refused, status, reset, hang) are over by then; those of the body are the handler's, see `sendBody`. */
  http?: (request: VendorRequest, response: ServerResponse, signal: AbortSignal) => Promise<void> | void
  socket?: (socket: WebSocket, request: Readonly<{ path: string; query: URLSearchParams; headers: IncomingMessage['headers'] }>) => void
  /** The vendor's way of wording an error. */
  errorBody?: (status: number) => unknown
}>

/**
 * A vendor on loopback whose health can be changed at any moment, also in the middle of an answer. The port stays the same when it is
 * refused and comes back.
 */
export class VendorServer {
  /** Requests and sockets since the start, newest last. Headers hold the keys, so tests can see which one was used. */
  readonly requests: VendorRequest[] = []
  readonly sockets = new Set<WebSocket>()
  /** Answers that the client gave up before they were whole. */
  aborted = 0
  readonly #handlers: VendorHandlers
  readonly #connections = new Set<Socket>()
  readonly #upgrades = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  #server: Server
  #port = 0
  #fault: Fault | null = null

  constructor(handlers: VendorHandlers) {
    this.#handlers = handlers
    this.#server = this.#create()
  }

  static async start(handlers: VendorHandlers): Promise<VendorServer> {
    const vendor = new VendorServer(handlers)
    await vendor.listen()
    return vendor
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get fault(): Fault | null {
    return this.#fault
  }

  /** From now on. What is connected feels it too: refused and reset break it, a status closes sockets, hang and stall silence them. */
  async fail(fault: Fault | null): Promise<void> {
    const before = this.#fault
    this.#fault = fault
    if (fault === 'refused') {
      this.#server.close()
      this.#cut()
    } else if (before === 'refused') {
      this.#server = this.#create()
      await this.listen()
    }
    if (fault === 'reset') this.#cut()
    if (fault !== null && REFUSALS[fault] !== undefined) for (const socket of this.sockets) socket.close(1011, 'refused')
  }

  async stop(): Promise<void> {
    this.#cut()
    await new Promise<void>((resolve) => {
      if (this.#fault === 'refused') resolve()
      else this.#server.close(() => resolve())
    })
  }

  #cut(): void {
    for (const connection of this.#connections) connection.resetAndDestroy()
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#port = (this.#server.address() as AddressInfo).port
        resolve()
      })
    })
  }

  #create(): Server {
    const server = createServer((request, response) => void this.#answer(request, response))
    server.on('connection', (connection) => {
      this.#connections.add(connection)
      connection.on('close', () => this.#connections.delete(connection))
      connection.on('error', () => undefined)
    })
    server.on('upgrade', (request, connection, head) => this.#upgrade(request, connection, head))
    return server
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const url = new URL(request.url ?? '/', this.url)
    const whole = { method: request.method ?? 'GET', path: url.pathname, query: url.searchParams, headers: request.headers, body: Buffer.concat(chunks), arrivedAt: clock.now() }
    this.requests.push(whole)
    const over = new AbortController()
    response.on('close', () => {
      if (!response.writableFinished) this.aborted += 1
      over.abort(new Error('the client has gone'))
    })
    const fault = this.#fault
    if (fault === 'reset') return void request.socket.resetAndDestroy()
    if (fault === 'hang') return
    const status = fault === null ? undefined : REFUSALS[fault]
    if (status !== undefined) {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(this.#errorBody(status)))
      return
    }
    try {
      if (this.#handlers.http === undefined) response.writeHead(404).end()
      else await this.#handlers.http(whole, response, over.signal)
    } catch (error) {
      if (!over.signal.aborted) throw error
    }
  }

  #upgrade(request: IncomingMessage, connection: Duplex, head: Buffer): void {
    const url = new URL(request.url ?? '/', this.url)
    this.requests.push({ method: 'UPGRADE', path: url.pathname, query: url.searchParams, headers: request.headers, body: Buffer.alloc(0), arrivedAt: clock.now() })
    const fault = this.#fault
    if (fault === 'reset') return void (connection as Socket).resetAndDestroy()
    if (fault === 'hang') return
    const status = fault === null ? (this.#handlers.socket === undefined ? 404 : undefined) : REFUSALS[fault]
    if (status !== undefined) {
      const body = JSON.stringify(this.#errorBody(status))
      connection.end(`HTTP/1.1 ${status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`)
      return
    }
    this.#upgrades.handleUpgrade(request, connection, head, (socket) => {
      this.sockets.add(socket)
      socket.on('close', () => this.sockets.delete(socket))
      socket.on('error', () => undefined)
      this.#handlers.socket?.(socket, { path: url.pathname, query: url.searchParams, headers: request.headers })
    })
  }

  #errorBody(status: number): unknown {
    return this.#handlers.errorBody?.(status) ?? { error: { message: `status ${status}` } }
  }
}

/** Pieces of an answer as they arrive when all is well, and what has become of them when not. Each is due by the first one's time, so that timers' lateness does not add up. */
export type BodyTiming = Readonly<{ firstAfterMs: number; eachAfterMs: number }>

/** How far apart the pieces of a dribbling answer are: always something, never enough. */
const DRIBBLE_EVERY_MS = 300
/** What a slow vendor adds before its first byte and to every further piece. */
const SLOW_FIRST_MS = 2000
const SLOW_EACH_MS = 400

/** Yields what the client gets, in time; `fault` is asked before each piece, so that it may change in between. Ends early or never as the fault wants. */
export async function* faultyPieces<T extends string | Uint8Array>(
  pieces: Iterable<T>,
  timing: BodyTiming,
  fault: () => Fault | null,
  garbage: () => T,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  let count = 0
  let dueAt = clock.now() as number
  for (const piece of pieces) {
    const wanted = count === 0 ? timing.firstAfterMs : timing.eachAfterMs
    dueAt += fault() === 'slow' ? wanted + (count === 0 ? SLOW_FIRST_MS : SLOW_EACH_MS) : wanted
    await clock.sleep(dueAt - clock.now(), signal)
    const now = fault()
    if (now === 'hang' || (now === 'stall' && count > 0)) await clock.sleep(600_000, signal)
    if (now === 'garbage') {
      yield garbage()
      return
    }
    if (now === 'dribble') {
      for (let i = 0; i < piece.length; i += 1) {
        yield piece.slice(i, i + 1) as T
        await clock.sleep(DRIBBLE_EVERY_MS, signal)
      }
    } else yield piece
    count += 1
  }
}

/** Bytes that are no protocol at all; the same every time. */
export function noise(length: number): Buffer {
  let seed = 99
  return Buffer.from(Array.from({ length }, () => (seed = (Math.imul(seed, 48271) & 0x7fffffff) >>> 0) & 0xff))
}
