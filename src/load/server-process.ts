import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { ClientsViaError } from '../core/errors.ts'

/** A cold start loads the recogniser and the voice; 5 s is promised, several processes on a busy machine get as long as it takes. */
const READY_TIMEOUT_MS = 120_000
const READY_POLL_MS = 50
/** Between asking for a free port and listening lie seconds of loading; on a machine with thousands of connections somebody may get it. */
const MOST_PORTS_TRIED = 4
/** The server drains its calls for a few seconds, then is ended. */
const STOP_TIMEOUT_MS = 8000
/** The end of the server's log: what a person needs to see when it did not come up. */
const KEPT_LOG_CHARS = 4000

const ROOT = join(import.meta.dirname, '../..')

export type ServerProcess = Readonly<{
  url: string
  /** Null once it could not be started. */
  pid: number | null
  dataDir: string
  readyInMs: number
  /** What the server printed last. */
  log: () => string
  /** Ends it, and removes its data folder when that was made for it. */
  stop: (signal: AbortSignal) => Promise<void>
}>

export type ServerOptions = Readonly<{
  dataDir?: string
  authToken?: string | null
  environment?: Readonly<Record<string, string>>
  /** Told everything that the server prints. */
  onOutput?: (text: string) => void
}>

/** Starts this repository's server on a free loopback port and waits until it takes calls. */
export async function startServer(clock: Clock, options: ServerOptions, signal: AbortSignal): Promise<ServerProcess> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'clientsvia-')))
  try {
    for (let tries = 1; ; tries += 1) {
      const server = await startOnce(clock, { ...options, dataDir }, signal)
      if (server !== 'port-taken') return { ...server, stop: (stopSignal) => server.stop(stopSignal).finally(removeOwnFolder) }
      if (tries === MOST_PORTS_TRIED) throw new ClientsViaError('ENGINE_UNAVAILABLE', `${tries} free ports were taken by others before the server had them`)
    }
  } catch (error) {
    await removeOwnFolder()
    throw error
  }

  async function removeOwnFolder(): Promise<void> {
    if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true })
  }
}

async function startOnce(clock: Clock, options: ServerOptions & Readonly<{ dataDir: string }>, signal: AbortSignal): Promise<ServerProcess | 'port-taken'> {
  const startedAt = clock.now()
  const { dataDir } = options
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const child = spawn(process.execPath, startArguments(), {
    env: {
      ...process.env,
      PORT: String(port),
      HOST: '127.0.0.1',
      PUBLIC_BASE_URL: url,
      DATA_DIR: dataDir,
      DEMO_COMPANIES: 'true',
      LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'warn',
      ...(options.authToken === undefined || options.authToken === null ? {} : { TWILIO_AUTH_TOKEN: options.authToken }),
      ...options.environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  const keep = (chunk: Buffer): void => {
    log = (log + chunk.toString()).slice(-KEPT_LOG_CHARS)
    options.onOutput?.(chunk.toString())
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  let exit: string | null = null
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      exit = error.message
      resolve()
    })
    child.once('exit', (code, killedBy) => {
      exit = killedBy ?? `exit status ${code}`
      resolve()
    })
  })
  const stop = async (stopSignal: AbortSignal): Promise<void> => {
    if (exit === null) {
      child.kill('SIGTERM')
      await Promise.race([exited, clock.sleep(STOP_TIMEOUT_MS, stopSignal).catch(() => undefined)])
      if (exit === null) child.kill('SIGKILL')
      await exited
    }
  }
  try {
    while (!(await isReady(url, signal))) {
      if (exit !== null && log.includes('EADDRINUSE')) return 'port-taken'
      if (exit !== null) throw new ClientsViaError('ENGINE_UNAVAILABLE', `the server ended before it was ready (${exit}):\n${log}`)
      if (clock.now() - startedAt > READY_TIMEOUT_MS) {
        throw new ClientsViaError('ENGINE_UNAVAILABLE', `the server was not ready within ${READY_TIMEOUT_MS / 1000} s:\n${log}`)
      }
      await clock.sleep(READY_POLL_MS, signal)
    }
  } catch (error) {
    await stop(new AbortController().signal)
    throw error
  }
  return { url, pid: child.pid ?? null, dataDir, readyInMs: clock.now() - startedAt, log: () => log, stop }
}

/** As `npm start` starts it: what is measured and tried out runs with the flags that a newcomer's server has. */
export function startArguments(): readonly string[] {
  const { scripts } = z.object({ scripts: z.object({ start: z.string() }) }).parse(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')))
  return scripts.start.split(' ').slice(1).map((argument) => (argument.startsWith('-') ? argument : join(ROOT, argument)))
}

async function isReady(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const response = await fetch(new URL('/readyz', url), { signal })
    await response.arrayBuffer()
    return response.status === 200
  } catch {
    signal.throwIfAborted()
    // Refused: not listening yet.
    return false
  }
}

/** Asked of the system and given back: until the server has loaded, another process could take it. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no port was given'))
        else resolve(address.port)
      })
    })
  })
}
