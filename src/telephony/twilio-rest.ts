import { AsyncLocalStorage } from 'node:async_hooks'
import RequestClient from 'twilio/lib/base/RequestClient.js'
import RestException from 'twilio/lib/base/RestException.js'
import Response from 'twilio/lib/http/response.js'
import Twilio from 'twilio/lib/rest/Twilio.js'
import { Agent, fetch } from 'undici'
import type { Clock } from '../core/clock.ts'
import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError, isClientsViaError } from '../core/errors.ts'
import type { SendOutcome } from '../events/channel.ts'
import { isLoopback } from './twilio-signature.ts'

export type TwilioAccount = Readonly<{ accountSid: string; authToken: string }>
export type TwilioRestOptions = Readonly<{
  clock: Clock
  account: TwilioAccount
  /** Where the API is, when it is not api.twilio.com: http on loopback only, for stand-ins. */
  baseUrl?: string | null
}>

/** Twilio takes a message within a second; one it has not taken in ten it may still take. */
const MESSAGE_DEADLINE_MS = 10_000
/** A caller hears nothing meanwhile. */
const CONTROL_DEADLINE_MS = 2500
/** 429 on a call control: asked this often in all, within the one deadline. */
const CONTROL_ATTEMPTS = 3
const CONTROL_RETRY_MS = 250
/** A resource is about 2 KB. */
const MAX_REPLY_CHARS = 256 * 1024

/** Twilio's own error codes, https://www.twilio.com/docs/api/errors. */
const NO_SUCH_RESOURCE = 20404
const CALL_NOT_IN_PROGRESS = 21220
const RECIPIENT_OPTED_OUT = 21610

/**
 * Twilio's REST API through its own client, one account. The client cannot be cancelled and does not say which failures happened
 * before anything was sent; both matter here, so its HTTP goes through `fetch`.
 */
export class TwilioRest {
  readonly #clock: Clock
  readonly #api: Twilio

  /** Throws CONFIG_INVALID for a base URL that is neither Twilio's nor loopback. */
  constructor(options: TwilioRestOptions) {
    this.#clock = options.clock
    const { accountSid, authToken } = options.account
    this.#api = new Twilio(accountSid, authToken, { httpClient: new FetchClient(checkedBaseUrl(options.baseUrl ?? null)), autoRetry: false })
  }

  /** One attempt: whoever keeps the message decides about the next one. */
  async sendMessage(
    message: Readonly<{ to: string; from: string; body: string; statusCallback: string | null }>,
    signal: AbortSignal,
  ): Promise<SendOutcome> {
    signal.throwIfAborted()
    const { statusCallback, ...text } = message
    try {
      const made = await withDeadline(this.#clock, MESSAGE_DEADLINE_MS, signal, (inTime) =>
        SIGNAL.run(inTime, () => this.#api.messages.create({ ...text, ...(statusCallback === null ? {} : { statusCallback }) })),
      )
      return typeof made.sid === 'string' && made.sid !== '' ? { kind: 'taken', providerId: made.sid } : { kind: 'unknown', reason: 'the answer makes no sense' }
    } catch (error) {
      return outcomeOf(error)
    }
  }

  /** 'already-over' when there is no such call any more: whoever wanted it over has what they wanted. */
  hangUp(callSid: string, signal: AbortSignal): Promise<'done' | 'already-over'> {
    return this.#control(signal, () => this.#api.calls(callSid).update({ status: 'completed' }))
  }

  /** What the call does from now on; ends its media stream. */
  redirect(callSid: string, twiml: string, signal: AbortSignal): Promise<'done' | 'already-over'> {
    return this.#control(signal, () => this.#api.calls(callSid).update({ twiml }))
  }

  /** Asked again for 429 alone. Throws ENGINE_UNAVAILABLE, ENGINE_FAILED or DEADLINE_PASSED. */
  async #control(signal: AbortSignal, request: () => Promise<unknown>): Promise<'done' | 'already-over'> {
    return withDeadline(this.#clock, CONTROL_DEADLINE_MS, signal, async (inTime) => {
      for (let attempt = 1; ; attempt++) {
        try {
          await SIGNAL.run(inTime, request)
          return 'done'
        } catch (error) {
          inTime.throwIfAborted()
          if (error instanceof RestException.default) {
            if (error.code === NO_SUCH_RESOURCE || error.code === CALL_NOT_IN_PROGRESS) return 'already-over'
            if (error.status !== 429) throw failed(error)
            if (attempt === CONTROL_ATTEMPTS) throw new ClientsViaError('ENGINE_UNAVAILABLE', 'Twilio takes no more requests now', { status: 429 }, { cause: error })
            await this.#clock.sleep(retryAfterMs(error) ?? CONTROL_RETRY_MS * 2 ** (attempt - 1), inTime)
          } else throw isClientsViaError(error) ? error : unreachable(error)
        }
      }
    })
  }
}

/** The client has no parameter for a signal; what a request runs under is found here. */
const SIGNAL = new AsyncLocalStorage<AbortSignal>()
/** 429's wait is in a header, which the client's exception does not carry. */
const WAITS = new WeakMap<object, number>()

/** A reachable Twilio answers a handshake in a tenth of this. */
const CONNECT_DEADLINE_MS = 2000

class FetchClient extends RequestClient {
  readonly #origin: string | null
  /**
   * A connection of its own for every request: one that was kept may have been closed at the other end, and then nobody can tell
   * whether a text was taken. A handshake is what that certainty costs.
   */
  readonly #agent = new Agent({ pipelining: 0, connect: { timeout: CONNECT_DEADLINE_MS } })

  constructor(origin: string | null) {
    super()
    this.#origin = origin
  }

  override async request<TData>(options: RequestClient.RequestOptions<TData>): Promise<Response.default<TData>> {
    const { method, uri, username = '', password = '', headers, params, data } = options
    const url = new URL(uri)
    if (this.#origin !== null) url.href = `${this.#origin}${url.pathname}${url.search}`
    for (const [name, value] of fields(params)) url.searchParams.append(name, value)
    const reply = await fetch(url, {
      method: method.toUpperCase(),
      redirect: 'error',
      dispatcher: this.#agent,
      signal: SIGNAL.getStore() ?? null,
      headers: { ...headers, Authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` },
      ...(data === undefined ? {} : { body: new URLSearchParams(fields(data)) }),
    })
    const text = await bounded(reply)
    if (!reply.ok) {
      // Whatever stands in front of Twilio may answer in HTML: the status is what counts.
      const error = new RestException.default(new Response.default(reply.status, text, reply.headers))
      if (typeof error.code !== 'number') error.code = 0
      if (typeof error.message !== 'string') error.message = `HTTP ${reply.status}`
      const wait = Number(reply.headers.get('retry-after'))
      if (reply.status === 429 && wait > 0) WAITS.set(error, wait * 1000)
      throw error
    }
    return new Response.default(reply.status, JSON.parse(text) as TData, reply.headers)
  }
}

/** As the client means them: a list is a field given several times, what is undefined is not sent. */
function fields(given: unknown): [string, string][] {
  if (typeof given !== 'object' || given === null) return []
  return Object.entries(given).flatMap(([name, value]: [string, unknown]) =>
    value === undefined || value === null ? [] : (Array.isArray(value) ? value : [value]).map((one): [string, string] => [name, String(one)]),
  )
}

async function bounded(reply: Awaited<ReturnType<typeof fetch>>): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of reply.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > MAX_REPLY_CHARS) throw new ClientsViaError('ENGINE_FAILED', `Twilio's answer has more than ${MAX_REPLY_CHARS} characters`)
  }
  return text
}

function outcomeOf(error: unknown): SendOutcome {
  if (error instanceof RestException.default) {
    const reason = `Twilio ${error.code === 0 ? `HTTP ${error.status}` : String(error.code)}: ${String(error.message).slice(0, 160)}`
    if (error.status === 429) return { kind: 'not-taken', reason, retryAfterMs: retryAfterMs(error) }
    if (error.status >= 500 || error.status === 408) return { kind: 'unknown', reason }
    return { kind: 'refused', reason, optedOut: error.code === RECIPIENT_OPTED_OUT }
  }
  if (neverConnected(error)) return { kind: 'not-taken', reason: `Twilio cannot be reached (${codeOf(error)})`, retryAfterMs: null }
  if (isClientsViaError(error, 'DEADLINE_PASSED')) return { kind: 'unknown', reason: 'Twilio has not answered in time' }
  return { kind: 'unknown', reason: `Twilio's answer was lost (${codeOf(error)})` }
}

/** The connection was never made, so nothing was said over it. */
const NEVER_CONNECTED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])

function neverConnected(error: unknown): boolean {
  return NEVER_CONNECTED.has(codeOf(error))
}

/** fetch wraps the socket's error, and that of several addresses in a list. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  if ('code' in error && typeof error.code === 'string') return error.code
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  return error.cause instanceof Error ? codeOf(error.cause) : error.name
}

function retryAfterMs(error: object): number | null {
  return WAITS.get(error) ?? null
}

function failed(error: InstanceType<typeof RestException.default>): ClientsViaError {
  return new ClientsViaError('ENGINE_FAILED', `Twilio refused: ${String(error.message).slice(0, 160)}`, { status: error.status, twilioCode: error.code }, { cause: error })
}

function unreachable(error: unknown): ClientsViaError {
  return neverConnected(error)
    ? new ClientsViaError('ENGINE_UNAVAILABLE', 'Twilio cannot be reached', { code: codeOf(error) }, { cause: error })
    : new ClientsViaError('ENGINE_FAILED', "Twilio's answer was lost", { code: codeOf(error) }, { cause: error })
}

function checkedBaseUrl(given: string | null): string | null {
  if (given === null) return null
  const url = URL.parse(given)
  if (url === null || url.protocol !== 'http:' || !isLoopback(url.hostname.replace(/^\[|\]$/g, ''))) {
    throw new ClientsViaError('CONFIG_INVALID', 'TWILIO_BASE_URL must be http on a loopback address: it is for stand-ins, and gets the auth token', { field: 'TWILIO_BASE_URL' })
  }
  return url.origin
}
