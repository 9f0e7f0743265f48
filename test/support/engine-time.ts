import { Socket } from 'node:net'
import { WebSocket } from 'ws'
import { loadConfig } from '../../src/config.ts'
import type { CallerTransport, StreamConnection, StreamListener, WebhookAnswer } from '../../src/load/caller-transport.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { createPlatform, type Platform } from '../../src/platform.ts'
import { ONLY_PROCESS } from '../../src/cluster/seat.ts'
import { VirtualClock } from './virtual-clock.ts'

/** A message passes a pair of streams, a parser and a queue or two: turns of the loop in which something may still come of it. */
const TURNS_A_MESSAGE = 6
/** While engines work there is nothing to do but wait; a core that spins here is one that they do not have. */
const ENGINE_POLL_MS = 1

/** A server in earnest turns calls away when its machine is too busy; one in a test is to answer all the same. */
export const NEVER_TOO_BUSY_MS = '600000'

/**
 * The whole server with its own engines, in time that stands still while one of them works: a recorded call takes as long as the engines
 * compute, and goes the same way on a slow or busy machine as on any other. How fast they are is for the benches.
 */
export async function platformInEngineTime(dataDir: string, environment: Readonly<Record<string, string>> = {}): Promise<{ platform: Platform; clock: VirtualClock; transport: CallerTransport; target: string }> {
  let platform: Platform | null = null
  const requests = { open: 0 }
  const clock = new VirtualClock(new Date(), async () => {
    for (;;) {
      for (let turn = 0; turn < TURNS_A_MESSAGE; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      if (requests.open === 0 && isResting(platform)) return
      await new Promise((resolve) => setTimeout(resolve, ENGINE_POLL_MS))
    }
  })
  const config = loadConfig({ PORT: '0', DATA_DIR: dataDir, SHUTDOWN_GRACE_SECONDS: '1', LOOP_LAG_LIMIT_MS: NEVER_TOO_BUSY_MS, ADMIN_EMAIL: 'owner@example.com', ADMIN_PASSWORD: 'a heron waits for the tide', ...environment })
  platform = await createPlatform(config, createLogger({ level: 'error', speech: false, version: 'test' }), ONLY_PROCESS, clock)
  const { publicBaseUrl } = await whileTimePasses(clock, platform.start())
  return { platform, clock, transport: new MemoryTransport(platform, requests), target: publicBaseUrl }
}

/** Waits for what time cannot see, a port or a password's hash, while time goes on. */
export async function whileTimePasses<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  let over = false
  const watched = work.finally(() => {
    over = true
  })
  while (!over) {
    await clock.advance(ENGINE_POLL_MS)
    await new Promise((resolve) => setTimeout(resolve, ENGINE_POLL_MS))
  }
  return watched
}

/** Files are read beside the loop, like engines. */
function isResting(platform: Platform | null): boolean {
  return (platform?.atRest() ?? true) && !process.getActiveResourcesInfo().some((kind) => kind.startsWith('FSReq'))
}

const fromThisMachine = Object.defineProperty(new Socket(), 'remoteAddress', { value: '127.0.0.1' })

/** The carrier's requests and streams, without a socket: nothing is under way where time cannot see it. */
class MemoryTransport implements CallerTransport {
  readonly #platform: Platform
  readonly #requests: { open: number }

  constructor(platform: Platform, requests: { open: number }) {
    this.#platform = platform
    this.#requests = requests
  }

  async post(url: string, fields: Readonly<Record<string, string>>): Promise<WebhookAnswer> {
    const { pathname, search, host } = new URL(url)
    const headers = { host, 'content-type': 'application/x-www-form-urlencoded' }
    this.#requests.open += 1
    try {
      const answer = await this.#platform.app.inject({ method: 'POST', url: `${pathname}${search}`, headers, payload: new URLSearchParams(fields).toString() })
      return { status: answer.statusCode, contentType: answer.headers['content-type']?.toString() ?? '', body: answer.body }
    } finally {
      this.#requests.open -= 1
    }
  }

  async connect(url: string, listener: StreamListener): Promise<StreamConnection> {
    const { pathname, host } = new URL(url)
    const listen = (socket: WebSocket): void => {
      socket.on('message', (data, isBinary) => (isBinary ? listener.binary() : listener.text(String(data))))
      socket.on('close', (code) => listener.closed(code))
    }
    const socket = await this.#platform.app.injectWS(pathname, { headers: { host }, socket: fromThisMachine }, { onOpen: listen })
    return {
      send: (message) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(message)
      },
      close: () => socket.close(1000),
    }
  }
}
