import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, connect } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'

/** A server that a test file started, or was told of. */
export type Service = Readonly<{ url: string; host: string; port: number }>

const STARTED_WITHIN_MS = 60_000

/** The discard service of 1983. A port that was free a moment ago may be somebody's by now; this one is nobody's. */
export const NOBODY_LISTENS = 9

/**
 * A Redis: the one of TEST_REDIS_URL, else one of this file's own where redis-server is installed. Null where there is none: the tests
 * that need it say so and do not run; in CI that is a failure. `database`: each test file has its own, since one Redis may serve several.
 */
export async function redisService(database: number): Promise<Service | null> {
  const given = process.env['TEST_REDIS_URL']
  if (given !== undefined) return serviceAt(`${given.replace(/\/\d*$/, '')}/${database}`)
  const program = findProgram('redis-server')
  if (program === null) return missing('Redis', 'redis-server is not installed and TEST_REDIS_URL is not set')
  return start(program, (port) => ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], (port) => `redis://127.0.0.1:${port}`)
}

/** The same for MongoDB: TEST_MONGODB_URL (its database name is not used), else FerretDB as test/support/ferretdb builds it. */
export async function mongoService(): Promise<Service | null> {
  const given = process.env['TEST_MONGODB_URL']
  if (given !== undefined) return serviceAt(given)
  const program = findProgram('clientsvia-ferretdb')
  if (program === null) return missing('MongoDB', 'TEST_MONGODB_URL is not set and no FerretDB was built (see .ci/run)')
  return start(program, (port, folder) => [`127.0.0.1:${port}`, `${folder}/`], (port) => `mongodb://127.0.0.1:${port}`)
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function start(program: string, args: (port: number, folder: string) => string[], url: (port: number) => string): Promise<Service> {
  const folder = mkdtempSync(join(tmpdir(), 'clientsvia-service-'))
  // A free port may be taken by the time the server asks for it.
  for (let tries = 0; tries < 5; tries += 1) {
    const port = await freePort()
    const child = spawn(program, args(port, folder), { stdio: 'ignore', cwd: folder })
    if (!(await answering(child, port))) continue
    process.once('exit', () => child.kill('SIGKILL'))
    t.teardown(() => {
      child.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    })
    return { url: url(port), host: '127.0.0.1', port }
  }
  throw new Error(`${program} does not start`)
}

/** False when the program has ended instead. */
async function answering(child: ChildProcess, port: number): Promise<boolean> {
  const until = performance.now() + STARTED_WITHIN_MS
  while (performance.now() < until) {
    if (child.exitCode !== null) return false
    const reached = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    // Another server may be the one that answers: ours would have ended by then.
    if (reached) {
      await sleep(30)
      return child.exitCode === null
    }
    await sleep(20)
  }
  child.kill('SIGKILL')
  return false
}

function serviceAt(url: string): Service {
  const { host, port } = /^[a-z+]+:\/\/(?:[^@/]*@)?(?<host>[^:/?,]+):?(?<port>\d*)/.exec(url)?.groups ?? {}
  if (host === undefined) throw new Error('the test services are URLs with a host')
  return { url, host, port: Number(port || (url.startsWith('redis') ? 6379 : 27017)) }
}

function missing(name: string, why: string): null {
  if (process.env['CI'] === 'true') t.fail(`CI needs ${name}: ${why}`)
  else t.comment(`the tests that need ${name} did not run: ${why}`)
  return null
}

function findProgram(name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), join(homedir(), '.cache/clientsvia')]
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path) && spawnSync('test', ['-x', path]).status === 0) ?? null
}
