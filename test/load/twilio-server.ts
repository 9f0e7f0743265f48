import { createServer, type IncomingMessage, type Server } from 'node:http'
import { WebSocketServer } from 'ws'
import type { CallerTransport, StreamConnection, StreamListener, WebhookAnswer } from '../../src/load/caller-transport.ts'

export type Received = Readonly<Record<string, unknown>>
export type Post = Readonly<{ path: string; fields: URLSearchParams; signature: string | null }>

type Wire = Readonly<{ text: (message: string) => void; binary: () => void; close: (code: number) => void }>

/** The server's side of one stream, for a test to script. */
export class ScriptedStream {
  /** Messages of the carrier so far, oldest first. */
  readonly received: Received[] = []
  readonly #waiting = new Set<{ matches: (message: Received) => boolean; resolve: (message: Received) => void }>()
  readonly #wire: Wire
  readonly #script: StreamScript
  streamSid = ''

  constructor(wire: Wire, script: StreamScript) {
    this.#wire = wire
    this.#script = script
  }

  accept(text: string): void {
    const message = JSON.parse(text) as Received
    this.received.push(message)
    for (const waiter of this.#waiting) {
      if (!waiter.matches(message)) continue
      this.#waiting.delete(waiter)
      waiter.resolve(message)
    }
    if (message['event'] !== 'start') return
    this.streamSid = String(message['streamSid'])
    void this.#script(this)
  }

  /** Resolves with the first message, past or future, that `matches`. */
  wait(matches: (message: Received) => boolean): Promise<Received> {
    return new Promise((resolve) => {
      const earlier = this.received.find(matches)
      if (earlier === undefined) this.#waiting.add({ matches, resolve })
      else resolve(earlier)
    })
  }

  media(bytes: Uint8Array): void {
    this.send({ event: 'media', streamSid: this.streamSid, media: { payload: Buffer.from(bytes).toString('base64') } })
  }

  mark(name: string): void {
    this.send({ event: 'mark', streamSid: this.streamSid, mark: { name } })
  }

  clear(): void {
    this.send({ event: 'clear', streamSid: this.streamSid })
  }

  send(message: Received | string): void {
    this.#wire.text(typeof message === 'string' ? message : JSON.stringify(message))
  }

  sendBinary(): void {
    this.#wire.binary()
  }

  close(code = 1000): void {
    this.#wire.close(code)
  }
}

export type StreamScript = (stream: ScriptedStream) => Promise<void>

/** TwiML by path; `{ws}` becomes the stream's address. Other paths answer 204. */
export type Answers = Readonly<Record<string, string>>

export const CONNECT = '<Response><Connect><Stream url="{ws}"><Parameter name="token" value="t-1"/></Stream></Connect></Response>'

/** The same server without a network: what is sent arrives in the same instant, so a call runs in virtual time. */
export class MemoryServer implements CallerTransport {
  readonly url = 'http://server.test'
  readonly posts: Post[] = []
  readonly streams: ScriptedStream[] = []
  readonly #answers: Answers
  readonly #script: StreamScript

  constructor(answers: Answers, script: StreamScript) {
    this.#answers = answers
    this.#script = script
  }

  post(url: string, fields: Readonly<Record<string, string>>): Promise<WebhookAnswer> {
    const path = new URL(url).pathname
    this.posts.push({ path, fields: new URLSearchParams(fields), signature: null })
    const answer = this.#answers[path]
    if (answer === undefined) return Promise.resolve({ status: 204, contentType: '', body: '' })
    return Promise.resolve({ status: 200, contentType: 'text/xml', body: answer.replaceAll('{ws}', 'ws://server.test/twilio/media') })
  }

  connect(_url: string, listener: StreamListener): Promise<StreamConnection> {
    let open = true
    const close = (code: number): void => {
      if (open) listener.closed(code)
      open = false
    }
    const stream = new ScriptedStream({ text: (message) => open && listener.text(message), binary: () => listener.binary(), close }, this.#script)
    this.streams.push(stream)
    return Promise.resolve({ send: (message) => stream.accept(message), close: () => close(1000) })
  }
}

/** A server of a few lines on a loopback port. */
export class SocketServer {
  readonly posts: Post[] = []
  readonly streams: ScriptedStream[] = []
  readonly #server: Server
  readonly #sockets: WebSocketServer

  private constructor(server: Server) {
    this.#server = server
    this.#sockets = new WebSocketServer({ server })
  }

  static async listen(answers: Answers, script: StreamScript): Promise<SocketServer> {
    const http = createServer()
    const server = new SocketServer(http)
    http.on('request', (request, response) => {
      void bodyOf(request).then((body) => {
        const path = request.url ?? ''
        const signature = request.headers['x-twilio-signature']
        server.posts.push({ path, fields: new URLSearchParams(body), signature: typeof signature === 'string' ? signature : null })
        const answer = answers[path]
        if (answer === undefined) response.writeHead(204).end()
        else response.writeHead(200, { 'content-type': 'text/xml' }).end(answer.replaceAll('{ws}', `${server.url.replace('http', 'ws')}/twilio/media`))
      })
    })
    server.#sockets.on('connection', (socket) => {
      const wire = { text: (message: string) => socket.send(message), binary: () => socket.send(Buffer.from([1, 2, 3])), close: (code: number) => socket.close(code) }
      const stream = new ScriptedStream(wire, script)
      server.streams.push(stream)
      socket.on('message', (data) => stream.accept(String(data)))
    })
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    return server
  }

  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    return `http://127.0.0.1:${address.port}`
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request) body += String(chunk)
  return body
}
