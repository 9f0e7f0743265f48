import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { BSON } from 'mongodb'
import { clock, noise, type Fault } from './faults.ts'

/** How a store's protocol is refused: what is answered to the whole requests in `bytes`, and what goes on to the store all the same. */
export type StoreWire = Readonly<{ refuse: (bytes: Buffer, status: RefusedStatus) => Readonly<{ answers: Buffer; onwards: Buffer }> }>
type RefusedStatus = '401' | '429' | '500'

/** Bytes of an answer that get through before it stalls, and how a dribbling one comes. */
const STALLS_AFTER_BYTES = 1
const DRIBBLE_EVERY_MS = 300
const SLOW_MS = 2000

/** A wire to a real store on loopback that can be as ill as a vendor; its port stays the same when it is refused and comes back. */
export class FaultyStore {
  readonly #target: Readonly<{ host: string; port: number }>
  readonly #wire: StoreWire
  readonly #sockets = new Set<Socket>()
  #server: Server
  #port = 0
  #fault: Fault | null = null
  #over = new AbortController()
  /** What a hanging wire has taken and not passed on. */
  #held: (() => void)[] = []

  private constructor(target: Readonly<{ host: string; port: number }>, wire: StoreWire) {
    this.#target = target
    this.#wire = wire
    this.#server = this.#create()
  }

  static async open(target: Readonly<{ host: string; port: number }>, wire: StoreWire): Promise<FaultyStore> {
    const store = new FaultyStore(target, wire)
    await store.#listen()
    return store
  }

  get port(): number {
    return this.#port
  }

  /** From now on, for open connections too. What was mangled or held back is lost with its connection when the store is well again. */
  async fail(fault: Fault | null): Promise<void> {
    const before = this.#fault
    if (fault === before) return
    this.#fault = fault
    if (before === 'refused') {
      this.#server = this.#create()
      await this.#listen()
    }
    if (fault === 'refused') this.#server.close()
    if (fault === 'refused' || fault === 'reset') this.#cut()
    if (fault !== null) return
    this.#over.abort(new Error('well again'))
    this.#over = new AbortController()
    if (before === 'stall' || before === 'dribble' || before === 'garbage') this.#cut()
    for (const pass of this.#held.splice(0)) pass()
  }

  async close(): Promise<void> {
    this.#over.abort(new Error('closed'))
    this.#cut()
    if (this.#fault !== 'refused') await new Promise((resolve) => this.#server.close(resolve))
  }

  #create(): Server {
    return createServer((client) => this.#accept(client))
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#port = (this.#server.address() as AddressInfo).port
        resolve()
      })
    })
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  #accept(client: Socket): void {
    const store = connect(this.#target)
    this.#join(client, store, (bytes) => this.#ask(bytes, client, store))
    this.#join(store, client, (bytes) => void this.#answer(bytes, client))
    if (this.#fault === 'reset') client.resetAndDestroy()
  }

  #join(from: Socket, to: Socket, onBytes: (bytes: Buffer) => void): void {
    this.#sockets.add(from)
    from.setNoDelay(true)
    from.on('data', onBytes)
    from.on('error', () => undefined)
    from.on('close', () => {
      this.#sockets.delete(from)
      to.destroy()
    })
  }

  #ask(bytes: Buffer, client: Socket, store: Socket): void {
    const fault = this.#fault
    if (fault === 'reset') return void client.resetAndDestroy()
    if (fault === 'hang') return void this.#held.push(() => send(store, bytes))
    if (fault === '401' || fault === '429' || fault === '500') {
      const { answers, onwards } = this.#wire.refuse(bytes, fault)
      send(client, answers)
      return send(store, onwards)
    }
    send(store, bytes)
  }

  async #answer(bytes: Buffer, client: Socket): Promise<void> {
    switch (this.#fault) {
      case 'hang':
        return void this.#held.push(() => send(client, bytes))
      case 'stall':
        return send(client, bytes.subarray(0, STALLS_AFTER_BYTES))
      case 'garbage':
        return send(client, noise(bytes.length))
      case 'dribble': {
        const { signal } = this.#over
        for (let i = 0; i < bytes.length && !signal.aborted; i += 1) {
          send(client, bytes.subarray(i, i + 1))
          await clock.sleep(DRIBBLE_EVERY_MS, signal).catch(() => undefined)
        }
        return
      }
      case 'slow':
        // In order: every piece waits equally long. When the store is well again they are all sent at once.
        await clock.sleep(SLOW_MS, this.#over.signal).catch(() => undefined)
        return send(client, bytes)
      default:
        send(client, bytes)
    }
  }
}

function send(to: Socket, bytes: Buffer): void {
  if (to.writable && bytes.length > 0) to.write(bytes)
}

const REDIS_SAYS: Readonly<Record<RefusedStatus, string>> = {
  401: '-NOAUTH Authentication required.\r\n',
  429: '-ERR max number of clients reached\r\n',
  500: '-LOADING Redis is loading the dataset in memory\r\n',
}

/** RESP: a request is an array of strings; each is answered by the error. */
export const REDIS_WIRE: StoreWire = {
  refuse: (bytes, status) => ({ answers: Buffer.from(REDIS_SAYS[status].repeat(requestsOfRedis(bytes))), onwards: Buffer.alloc(0) }),
}

function requestsOfRedis(bytes: Buffer): number {
  const text = bytes.toString('latin1')
  let count = 0
  for (let at = 0; at < text.length; count += 1) {
    const strings = /^\*(\d+)\r\n/.exec(text.slice(at, at + 20))
    if (strings === null) throw new Error('a client of Redis that speaks in halves')
    at += strings[0].length
    for (let i = Number(strings[1]); i > 0; i -= 1) {
      const length = /^\$(\d+)\r\n/.exec(text.slice(at, at + 20))
      if (length === null) throw new Error('a client of Redis that speaks in halves')
      at += length[0].length + Number(length[1]) + 2
    }
  }
  return count
}

const HEADER_BYTES = 16
const OP_MSG = 2013
/** What a client may ask before it has said who it is; the driver's heartbeat. */
const GREETINGS = ['hello', 'ismaster', 'isMaster', 'ping', 'endSessions']
const MONGO_SAYS: Readonly<Record<RefusedStatus, Readonly<{ code: number; codeName: string; errmsg: string }>>> = {
  401: { code: 13, codeName: 'Unauthorized', errmsg: 'command requires authentication' },
  // As hosted ones word it.
  429: { code: 16500, codeName: 'TooManyRequests', errmsg: 'Request rate is large' },
  500: { code: 1, codeName: 'InternalError', errmsg: 'internal error' },
}

/** OP_MSG: greetings go on, so the server seems to be there; every other command is answered by the error. */
export const MONGO_WIRE: StoreWire = {
  refuse: (bytes, status) => {
    const answers: Buffer[] = []
    const onwards: Buffer[] = []
    for (let at = 0; at + HEADER_BYTES <= bytes.length; at += bytes.readInt32LE(at)) {
      const message = bytes.subarray(at, at + bytes.readInt32LE(at))
      if (message.readInt32LE(12) !== OP_MSG || GREETINGS.includes(commandOf(message))) onwards.push(message)
      else answers.push(errorTo(message.readInt32LE(4), { ok: 0, ...MONGO_SAYS[status] }))
    }
    return { answers: Buffer.concat(answers), onwards: Buffer.concat(onwards) }
  },
}

/** The first key of the first section: header, four bytes of flags, one of the section's kind. */
function commandOf(message: Buffer): string {
  const body = message.subarray(HEADER_BYTES + 5)
  return Object.keys(BSON.deserialize(body.subarray(0, body.readInt32LE(0))))[0] ?? ''
}

function errorTo(requestId: number, error: object): Buffer {
  const body = BSON.serialize(error)
  const head = Buffer.alloc(HEADER_BYTES + 5)
  head.writeInt32LE(head.length + body.length, 0)
  head.writeInt32LE(requestId, 8)
  head.writeInt32LE(OP_MSG, 12)
  return Buffer.concat([head, body])
}
