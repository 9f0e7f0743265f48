import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/**
 * - `up`: bytes pass. `down`: connections are refused and open ones are reset. `hang`: nothing passes and nothing closes.
 */
export type LinkState = 'up' | 'down' | 'hang'

/** A wire between a client and a service on loopback that can be cut, held, or made long. */
export class FaultyLink {
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((client) => this.#accept(client))
  readonly #target: Readonly<{ host: string; port: number }>
  #state: LinkState = 'up'
  #latencyMs = 0
  #held: (() => void)[] = []

  private constructor(target: Readonly<{ host: string; port: number }>) {
    this.#target = target
  }

  static async open(target: Readonly<{ host: string; port: number }>): Promise<FaultyLink> {
    const link = new FaultyLink(target)
    await new Promise<void>((resolve) => link.#server.listen(0, '127.0.0.1', resolve))
    return link
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Each chunk arrives this much later, in both directions. */
  set latencyMs(ms: number) {
    this.#latencyMs = ms
  }

  set(state: LinkState): void {
    this.#state = state
    if (state === 'down') for (const socket of this.#sockets) socket.resetAndDestroy()
    if (state === 'hang') return
    const held = this.#held
    this.#held = []
    for (const pass of held) pass()
  }

  async close(): Promise<void> {
    this.set('down')
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(client: Socket): void {
    if (this.#state === 'down') {
      client.resetAndDestroy()
      return
    }
    const service = connect(this.#target)
    this.#join(client, service)
    this.#join(service, client)
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    from.setNoDelay(true)
    from.on('data', (chunk) => {
      const pass = (): void => {
        if (to.writable) to.write(chunk)
      }
      if (this.#state === 'hang') this.#held.push(pass)
      else if (this.#latencyMs > 0) setTimeout(pass, this.#latencyMs)
      else pass()
    })
    from.on('error', () => undefined)
    from.on('close', () => {
      this.#sockets.delete(from)
      to.destroy()
    })
  }
}
