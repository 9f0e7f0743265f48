import { WebSocket } from 'ws'

export type Memory = Readonly<{ heapUsed: number; external: number; arrayBuffers: number; rss: number }>
export type Inspection = Readonly<{ memory: Memory; resources: Readonly<Record<string, number>> }>

/** A Node process started with `--inspect=127.0.0.1:PORT`, looked at from outside: what it holds after a full collection. */
export class InspectedProcess {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (result: unknown) => void>()
  #nextId = 1

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as { id?: number; result?: unknown }
      if (message.id === undefined) return
      this.#waiting.get(message.id)?.(message.result)
      this.#waiting.delete(message.id)
    })
  }

  static async open(port: number): Promise<InspectedProcess> {
    const targets = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as { webSocketDebuggerUrl: string }[]
    const socket = new WebSocket((targets[0] as { webSocketDebuggerUrl: string }).webSocketDebuggerUrl)
    await new Promise((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    return new InspectedProcess(socket)
  }

  async look(): Promise<Inspection> {
    await this.#ask('HeapProfiler.collectGarbage', {})
    await this.#ask('HeapProfiler.collectGarbage', {})
    const expression = `(() => {
      const counts = {}
      for (const type of process.getActiveResourcesInfo()) counts[type] = (counts[type] ?? 0) + 1
      return JSON.stringify({ memory: process.memoryUsage(), resources: counts })
    })()`
    const { result } = (await this.#ask('Runtime.evaluate', { expression, returnByValue: true })) as { result: { value: string } }
    return JSON.parse(result.value) as Inspection
  }

  /** Who waits to be told of something: listeners of every emitter and of every abort signal that is still held. */
  async listeners(): Promise<number> {
    const ofEmitters = 'function () { return this.reduce((sum, emitter) => sum + emitter.eventNames().reduce((n, name) => n + emitter.listenerCount(name), 0), 0) }'
    const ofSignals = "function () { const { getEventListeners } = process.getBuiltinModule('node:events'); return this.reduce((sum, signal) => sum + getEventListeners(signal, 'abort').length, 0) }"
    return (await this.#overInstances("process.getBuiltinModule('node:events').EventEmitter.prototype", ofEmitters)) + (await this.#overInstances('AbortSignal.prototype', ofSignals))
  }

  /** A number worked out over all objects of a kind; prototypes are none. */
  async #overInstances(prototype: string, work: string): Promise<number> {
    const { result } = (await this.#ask('Runtime.evaluate', { expression: prototype })) as { result: { objectId: string } }
    const { objects } = (await this.#ask('Runtime.queryObjects', { prototypeObjectId: result.objectId })) as { objects: { objectId: string } }
    const isInstance = `(object) => { try { return Object.hasOwn(object, 'constructor') === false && (object instanceof AbortSignal || object._events !== undefined) } catch { return false } }`
    const counted = (await this.#ask('Runtime.callFunctionOn', { objectId: objects.objectId, functionDeclaration: `function () { return (${work}).call(this.filter(${isInstance})) }`, returnByValue: true })) as { result: { value: number } }
    await this.#ask('Runtime.releaseObject', { objectId: objects.objectId })
    return counted.result.value
  }

  close(): void {
    this.#socket.close()
  }

  #ask(method: string, params: Readonly<Record<string, unknown>>): Promise<unknown> {
    const id = this.#nextId++
    this.#socket.send(JSON.stringify({ id, method, params }))
    return new Promise((resolve) => this.#waiting.set(id, resolve))
  }
}
