import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { Clock } from './core/clock.ts'
import { withDeadline } from './core/deadline.ts'
import { ClientsViaError } from './core/errors.ts'

/** Longer than the server takes for its slowest answer; an import of 2,000 entries is a few seconds. */
const ANSWER_MS = 30_000

const credentialsSchema = z.strictObject({ url: z.url(), apiKey: z.string().optional(), accessToken: z.string().optional(), refreshToken: z.string().optional() })
export type Credentials = Readonly<z.infer<typeof credentialsSchema>>

const problemSchema = z.looseObject({
  code: z.string(),
  detail: z.string(),
  traceId: z.string().default(''),
  errors: z.array(z.object({ field: z.string(), message: z.string() })).default([]),
})
const tokensSchema = z.object({ accessToken: z.string(), refreshToken: z.string() })

/** The server said no: what it said, for people. */
export class Refused extends Error {
  readonly code: string
  readonly status: number

  constructor(status: number, problem: z.infer<typeof problemSchema>) {
    const fields = problem.errors.map((error) => `\n  ${error.field}: ${error.message}`).join('')
    super(`${problem.code}: ${fields === '' ? problem.detail : `the server does not accept it${fields}`}${problem.traceId === '' ? '' : `\n  (trace ${problem.traceId})`}`)
    this.name = 'Refused'
    this.code = problem.code
    this.status = status
  }
}

/** Speaks to one server; keeps who is signed in in one file that only its owner can read. */
export class ApiClient {
  readonly #file: string
  readonly #clock: Clock
  #credentials: Credentials

  constructor(file: string, credentials: Credentials, clock: Clock) {
    this.#file = file
    this.#clock = clock
    this.#credentials = credentials
  }

  get url(): string {
    return this.#credentials.url
  }

  /** A parsed reply. Throws Refused, or ENGINE_UNAVAILABLE when nobody answers. */
  async ask(method: string, path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    return this.#inTime(signal, (inTime) => this.open(method, path, body, {}, inTime))
  }

  /** A change of what is there now, under the version that `lookAt` shows: whoever was faster is not overwritten unseen. */
  async change(method: 'PATCH' | 'DELETE', path: string, body: unknown, signal: AbortSignal, lookAt = path): Promise<unknown> {
    return this.#inTime(signal, async (inTime) => {
      const stored = await this.open('GET', lookAt, undefined, {}, inTime)
      await stored.body?.cancel()
      return this.open(method, path, body, { 'if-match': stored.headers.get('etag') ?? '' }, inTime)
    })
  }

  async #inTime(signal: AbortSignal, asked: (inTime: AbortSignal) => Promise<Response>): Promise<unknown> {
    const text = await withDeadline(this.#clock, ANSWER_MS, signal, async (inTime) => (await asked(inTime)).text())
    return text === '' ? null : JSON.parse(text)
  }

  /** An open reply, for streams. An access token that has run out is renewed once. */
  async open(method: string, path: string, body: unknown, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response> {
    const first = await this.#send(method, path, body, headers, signal)
    if (first.status !== 401 || this.#credentials.refreshToken === undefined) return checked(first)
    await first.body?.cancel()
    await this.#refresh(this.#credentials.refreshToken, signal)
    return checked(await this.#send(method, path, body, headers, signal))
  }

  async signIn(email: string, password: string, signal: AbortSignal): Promise<void> {
    await this.#keepTokens(await checked(await this.#send('POST', '/auth/login', { email, password }, {}, signal)).then((response) => response.json()))
  }

  async keep(credentials: Credentials): Promise<void> {
    this.#credentials = credentials
    await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 })
    await writeFile(this.#file, `${JSON.stringify(credentials, null, 2)}\n`, { mode: 0o600 })
  }

  forget(): Promise<void> {
    return rm(this.#file, { force: true })
  }

  async #refresh(refreshToken: string, signal: AbortSignal): Promise<void> {
    const response = await this.#send('POST', '/auth/refresh', { refreshToken }, {}, signal)
    await this.#keepTokens(await (await checked(response)).json())
  }

  async #keepTokens(reply: unknown): Promise<void> {
    const { accessToken, refreshToken } = tokensSchema.parse(reply)
    await this.keep({ url: this.url, accessToken, refreshToken })
  }

  async #send(method: string, path: string, body: unknown, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response> {
    const { apiKey, accessToken } = this.#credentials
    // Public routes take no token: an old one must not keep anybody from signing in.
    const bearer = path.startsWith('/auth/login') || path.startsWith('/auth/refresh') ? undefined : (apiKey ?? accessToken)
    try {
      return await fetch(`${this.url}/api/v1${path}`, {
        method,
        signal,
        redirect: 'error',
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    } catch (cause) {
      signal.throwIfAborted()
      throw new ClientsViaError('ENGINE_UNAVAILABLE', `${this.url} does not answer`, { url: this.url }, { cause })
    }
  }
}

/** From the environment first (CLIENTSVIA_URL, CLIENTSVIA_API_KEY), then from the file of the last login. */
export async function readCredentials(file: string, env: Readonly<Record<string, string | undefined>>): Promise<Credentials | null> {
  const stored = await readFile(file, 'utf8').then(
    (text) => credentialsSchema.parse(JSON.parse(text)),
    () => null,
  )
  const url = env['CLIENTSVIA_URL'] ?? stored?.url
  const apiKey = env['CLIENTSVIA_API_KEY']
  if (url === undefined) return null
  if (apiKey !== undefined) return { url, apiKey }
  // Tokens go to the server that gave them, never to another one.
  return stored?.url === url ? stored : { url }
}

async function checked(response: Response): Promise<Response> {
  if (response.ok) return response
  const text = await response.text()
  const parsed = problemSchema.safeParse(parsedOrNull(text))
  if (parsed.success) throw new Refused(response.status, parsed.data)
  throw new Refused(response.status, { code: `HTTP_${response.status}`, detail: 'the answer is not one of a ClientsVia server', traceId: '', errors: [] })
}

function parsedOrNull(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
