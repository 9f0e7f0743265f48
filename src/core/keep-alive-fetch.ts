import { Agent, fetch as undiciFetch, type Dispatcher, type RequestInit as UndiciRequest } from 'undici'

/** The runtime's own fetch drops an idle connection after 4 s, and then most turns of a call begin with a TLS handshake of some 100 ms. */
const KEEP_ALIVE_MS = 60_000
/** Statuses that must not have a body. */
const BODILESS = [204, 205, 304]

export type KeepAliveFetch = Readonly<{ fetch: typeof fetch; close: () => Promise<void> }>

/**
 * A fetch with connections of its own, kept while callers think. For SDKs that take a fetch; addresses are strings or URLs, bodies are text.
 *
 * It does what fetch does by undici's plain request, which leaves half a millisecond sooner and hands on a streamed answer without the
 * web's streams in between: a turn waits for both. A redirect is followed by fetch itself.
 */
export function keepAliveFetch(connectTimeoutMs: number): KeepAliveFetch {
  const agent = new Agent({ keepAliveTimeout: KEEP_ALIVE_MS, connect: { timeout: connectTimeoutMs } })
  const whole = (address: string, init: RequestInit): Promise<Response> => undiciFetch(address, { ...init, dispatcher: agent } as UndiciRequest)
  const quick: typeof fetch = async (input, init = {}) => {
    const address = String(input)
    const { body } = init
    if (typeof body !== 'string' && body !== null && body !== undefined) return whole(address, init)
    const url = new URL(address)
    const asked = new Headers(init.headers)
    // Nothing here unpacks an answer, and without a word about it a server may pack it.
    if (!asked.has('accept-encoding')) asked.set('accept-encoding', 'identity')
    const answer = await agent
      .request({ origin: url.origin, path: `${url.pathname}${url.search}`, method: methodOf(init), headers: [...asked].flat(), body: body ?? null, signal: init.signal ?? null })
      .catch((error: unknown) => fail('fetch failed', error, init.signal))
    const { statusCode: status } = answer
    if (status >= 300 && status < 400 && answer.headers['location'] !== undefined) {
      await answer.body.dump()
      return whole(address, init)
    }
    const headers = new Headers(Object.entries(answer.headers).flatMap(([name, value]) => [value ?? []].flat().map((one): [string, string] => [name, one])))
    return new Response(BODILESS.includes(status) ? null : new Arriving(answer.body, init.signal), { status, headers })
  }
  return { fetch: quick, close: () => agent.destroy() }
}

function methodOf(init: RequestInit): Dispatcher.HttpMethod {
  return (init.method ?? 'GET').toUpperCase() as Dispatcher.HttpMethod
}

/** As fetch fails: by the signal's reason, or a TypeError with what happened for its cause. */
function fail(what: string, error: unknown, signal: AbortSignal | null | undefined): never {
  signal?.throwIfAborted()
  throw new TypeError(what, { cause: error })
}

/** A body as it comes in. Whoever iterates gets the pieces straight from the socket; everybody else has a stream. */
class Arriving extends ReadableStream<Uint8Array> {
  readonly #pieces: AsyncGenerator<Uint8Array, undefined, undefined>

  constructor(body: Dispatcher.ResponseData['body'], signal: AbortSignal | null | undefined) {
    const pieces = piecesOf(body, signal)
    super(
      {
        pull: async (controller) => {
          const { done, value } = await pieces.next()
          if (done === true) controller.close()
          else controller.enqueue(value)
        },
        cancel: async () => {
          await pieces.return(undefined)
        },
      },
      { highWaterMark: 0 },
    )
    // Left before a piece of it was read, a generator would end without having begun, and the other side go on.
    const leave = pieces.return.bind(pieces)
    pieces.return = (value) => {
      body.destroy()
      return leave(value)
    }
    body.on('error', () => undefined)
    this.#pieces = pieces
  }

  override [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, undefined, undefined> {
    return this.#pieces
  }
}

async function* piecesOf(body: AsyncIterable<Uint8Array>, signal: AbortSignal | null | undefined): AsyncGenerator<Uint8Array, undefined, undefined> {
  try {
    for await (const piece of body) yield piece
  } catch (error) {
    fail('terminated', error, signal)
  }
  return undefined
}
