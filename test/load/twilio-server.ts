import { createServer, type IncomingMessage, type Server } from 'node:http'
import { WebSocketServer, type WebSocket } from 'ws'

export type Received = Readonly<Record<string, unknown>>

/** The server's side of one stream, as a test scripts it. */
export type StreamScript = (stream: {
  socket: WebSocket
  streamSid: string
  /** Messages of the carrier so far, oldest first. */
  received: Received[]
  /** Resolves with the first message, past or future, that `matches`. */
  wait: (matches: (message: Received) => boolean) => Promise<Received>
  media: (bytes: Uint8Array) => void
  mark: (name: string) => void
  clear: () => void
}) => Promise<void>

/** A server of a few lines that speaks the carrier's protocol and does what a test tells it to: right or wrong. */
export class TwilioServer {
  readonly posts: { path: string; fields: URLSearchParams; signature: string | undefined }[] = []
  readonly streams: Received[][] = []
  readonly #server: Server
  readonly #sockets: WebSocketServer
  readonly #answers: Readonly<Record<string, string>>

  private constructor(server: Server, sockets: WebSocketServer, answers: Readonly<Record<string, string>>) {
    this.#server = server
    this.#sockets = sockets
    this.#answers = answers
  }

  /** `answers`: TwiML by path; `{ws}` becomes the stream's address. Other paths answer 204. */
  static async listen(answers: Readonly<Record<string, string>>, script: StreamScript): Promise<TwilioServer> {
    const server = createServer()
    const sockets = new WebSocketServer({ server })
    const twilio = new TwilioServer(server, sockets, answers)
    server.on('request', (request, response) => {
      void bodyOf(request).then((body) => {
        const path = request.url ?? ''
        const signature = request.headers['x-twilio-signature']
        twilio.posts.push({ path, fields: new URLSearchParams(body), signature: typeof signature === 'string' ? signature : undefined })
        const answer = answers[path]
        if (answer === undefined) response.writeHead(204).end()
        else response.writeHead(200, { 'content-type': 'text/xml' }).end(answer.replaceAll('{ws}', twilio.streamUrl))
      })
    })
    sockets.on('connection', (socket) => twilio.#serve(socket, script))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return twilio
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get streamUrl(): string {
    return `ws://127.0.0.1:${this.#port}/twilio/media`
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  get #port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    return address.port
  }

  #serve(socket: WebSocket, script: StreamScript): void {
    const received: Received[] = []
    this.streams.push(received)
    const waiting = new Set<{ matches: (message: Received) => boolean; resolve: (message: Received) => void }>()
    let begun = false
    socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as Received
      received.push(message)
      for (const waiter of waiting) {
        if (!waiter.matches(message)) continue
        waiting.delete(waiter)
        waiter.resolve(message)
      }
      if (message['event'] !== 'start' || begun) return
      begun = true
      const streamSid = String(message['streamSid'])
      const send = (body: Received): void => socket.send(JSON.stringify(body))
      void script({
        socket,
        streamSid,
        received,
        wait: (matches) =>
          new Promise((resolve) => {
            const earlier = received.find(matches)
            if (earlier === undefined) waiting.add({ matches, resolve })
            else resolve(earlier)
          }),
        media: (bytes) => send({ event: 'media', streamSid, media: { payload: Buffer.from(bytes).toString('base64') } }),
        mark: (name) => send({ event: 'mark', streamSid, mark: { name } }),
        clear: () => send({ event: 'clear', streamSid }),
      })
    })
  }
}

export const CONNECT = '<Response><Connect><Stream url="{ws}"><Parameter name="token" value="t-1"/></Stream></Connect></Response>'

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request) body += String(chunk)
  return body
}
