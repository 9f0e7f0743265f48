import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import { VendorServer, clock, faultyPieces, type Fault, type VendorRequest } from './faults.ts'

export type ScriptedReply = Readonly<{ text: string; calls?: readonly Readonly<{ name: string; arguments: Record<string, unknown> }>[] }>

/** One request as the stand-in saw it; counts go on while it streams. */
export type SeenRequest = {
  readonly path: string
  readonly authorization: string
  readonly model: string
  readonly system: string
  readonly user: string
  readonly tools: readonly string[]
  readonly body: Readonly<Record<string, unknown>>
  /** On the clock of the stand-ins: when it had come, and when each token left. */
  readonly askedAt: number
  readonly tokensAt: number[]
  sentTokens: number
  state: 'open' | 'finished' | 'aborted' | 'cut short'
}

const EMBEDDING_DIMENSIONS = 256

/**
 * Speaks OpenAI's Responses, Chat Completions (both as server-sent events) and Embeddings on loopback. What it answers follows from
 * what it is asked: the source in the prompt that shares most words with the caller's question, or UNKNOWN; `reply` overrides.
 */
export class OpenAiStandIn {
  firstTokenMs = 0
  tokenMs = 0
  embeddingMs = 0
  /** Ends well in form after this many tokens, without ever saying that it is finished. */
  endsAfterTokens: number | null = null
  /** Null: keys are not looked at. */
  apiKey: string | null = null
  reply: (request: SeenRequest) => ScriptedReply = answerFromSources
  /** Replies asked for, oldest first. */
  readonly asked: SeenRequest[] = []
  embeddedTexts = 0
  #server!: VendorServer

  static async start(): Promise<OpenAiStandIn> {
    const standIn = new OpenAiStandIn()
    standIn.#server = await VendorServer.start({
      http: (request, response, signal) => standIn.#serve(request, response, signal),
      errorBody: (status) => problem(`status ${status}`, status === 401 ? 'invalid_api_key' : status === 429 ? 'rate_limit_exceeded' : 'server_error'),
    })
    return standIn
  }

  get baseUrl(): string {
    return `${this.#server.url}/v1`
  }

  /** Requests that arrived, of any kind, answered or not. */
  get requests(): number {
    return this.#server.requests.length
  }

  get aborted(): number {
    return this.#server.aborted
  }

  /** Tokens generated for replies, finished or not. */
  get generatedTokens(): number {
    return this.asked.reduce((sum, request) => sum + request.sentTokens, 0)
  }

  fail(fault: Fault | null): Promise<void> {
    return this.#server.fail(fault)
  }

  stop(): Promise<void> {
    return this.#server.stop()
  }

  async #serve(request: VendorRequest, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const path = request.path.replace(/^\/v1/, '')
    if (this.apiKey !== null && request.headers.authorization !== `Bearer ${this.apiKey}`) return json(response, 401, problem('Incorrect API key provided', 'invalid_api_key'))
    if (path === '/models') return json(response, 200, { object: 'list', data: [] })
    const body = z.record(z.string(), z.unknown()).parse(JSON.parse(request.body.toString('utf8')))
    if (path === '/embeddings') return this.#embed(body, response, signal)
    if (path === '/responses') return this.#stream(request, response, body, responsesWire, signal)
    if (path === '/chat/completions') return this.#stream(request, response, body, chatWire, signal)
    return json(response, 404, problem(`Unknown request URL: ${path}`, 'unknown_url'))
  }

  async #embed(body: Readonly<Record<string, unknown>>, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const { input, model } = z.looseObject({ input: z.union([z.string(), z.array(z.string())]), model: z.string() }).parse(body)
    const texts = typeof input === 'string' ? [input] : input
    this.embeddedTexts += texts.length
    const data = texts.map((text, index) => ({ object: 'embedding', index, embedding: base64(embeddingOf(text)) }))
    const whole = JSON.stringify({ object: 'list', model, data, usage: { prompt_tokens: texts.length * 4, total_tokens: texts.length * 4 } })
    response.writeHead(200, { 'content-type': 'application/json' })
    const half = Math.floor(whole.length / 2)
    for await (const piece of faultyPieces([whole.slice(0, half), whole.slice(half)], { firstAfterMs: this.embeddingMs, eachAfterMs: 0 }, () => this.#server.fault, () => '[[[', signal)) response.write(piece)
    response.end()
  }

  async #stream(request: VendorRequest, response: ServerResponse, body: Readonly<Record<string, unknown>>, wire: Wire, signal: AbortSignal): Promise<void> {
    const read = wire.read(body)
    const seen: SeenRequest = { path: request.path, authorization: request.headers.authorization ?? '', ...read, body, askedAt: request.arrivedAt, tokensAt: [], sentTokens: 0, state: 'open' }
    this.asked.push(seen)
    signal.addEventListener('abort', () => {
      if (seen.state === 'open') seen.state = 'aborted'
    })
    const scripted = this.reply(seen)
    const tokens = (scripted.text.match(/\s*\S+/g) ?? []).slice(0, this.endsAfterTokens ?? Infinity)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    // The head goes out with the first token, as a busy vendor's does.
    const pieces = tokens.map((token, index) => (index === 0 ? wire.begin(read.model).join('') : '') + wire.text(token))
    if (pieces.length === 0) pieces.push(wire.begin(read.model).join(''))
    const timing = { firstAfterMs: this.firstTokenMs, eachAfterMs: this.tokenMs }
    const whole = new Set(pieces)
    for await (const piece of faultyPieces(pieces, timing, () => this.#server.fault, () => 'data: {"type":"resp\n\n<html>502</html>\n\ndata: [[[\n\n', signal)) {
      response.write(piece)
      if (whole.has(piece) && tokens.length > 0) {
        seen.sentTokens += 1
        seen.tokensAt.push(clock.now())
      }
      if (!whole.has(piece) && this.#server.fault === 'garbage') return void response.end()
    }
    if (this.endsAfterTokens !== null) {
      seen.state = 'cut short'
      return void response.end()
    }
    for (const call of scripted.calls ?? []) response.write(wire.call(call.name, JSON.stringify(call.arguments)))
    seen.state = 'finished'
    const inputTokens = Math.ceil((read.system.length + read.user.length) / 4)
    for (const event of wire.end(inputTokens, seen.sentTokens)) response.write(event)
    response.end()
  }
}

type Wire = Readonly<{
  read: (body: Readonly<Record<string, unknown>>) => Readonly<{ model: string; system: string; user: string; tools: readonly string[] }>
  begin: (model: string) => string[]
  text: (text: string) => string
  call: (name: string, argumentsJson: string) => string
  end: (inputTokens: number, outputTokens: number) => string[]
}>

const responsesRequest = z.looseObject({
  model: z.string(),
  stream: z.literal(true),
  instructions: z.string(),
  input: z.array(z.looseObject({ role: z.literal('user'), content: z.string() })).length(1),
  tools: z.array(z.looseObject({ type: z.literal('function'), name: z.string(), strict: z.literal(true), parameters: z.looseObject({ additionalProperties: z.literal(false) }) })).default([]),
})

const responsesWire: Wire = {
  read(body) {
    const { model, instructions, input, tools } = responsesRequest.parse(body)
    return { model, system: instructions, user: input[0]?.content ?? '', tools: tools.map((tool) => tool.name) }
  },
  begin: (model) => [event({ type: 'response.created', response: { id: 'resp_1', object: 'response', model, status: 'in_progress' } })],
  text: (text) => event({ type: 'response.output_text.delta', item_id: 'msg_1', output_index: 0, content_index: 0, delta: text }),
  call: (name, argumentsJson) =>
    event({ type: 'response.function_call_arguments.delta', item_id: 'fc_1', output_index: 1, delta: argumentsJson }) +
    event({ type: 'response.output_item.done', output_index: 1, item: { type: 'function_call', id: 'fc_1', call_id: 'call_1', name, arguments: argumentsJson, status: 'completed' } }),
  end: (inputTokens, outputTokens) => [
    event({
      type: 'response.completed',
      response: {
        id: 'resp_1', object: 'response', status: 'completed', output: [],
        usage: { input_tokens: inputTokens, input_tokens_details: { cached_tokens: 0 }, output_tokens: outputTokens, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: inputTokens + outputTokens },
      },
    }),
  ],
}

const chatRequest = z.looseObject({
  model: z.string(),
  stream: z.literal(true),
  stream_options: z.looseObject({ include_usage: z.literal(true) }),
  messages: z.array(z.looseObject({ role: z.string(), content: z.string() })).min(2),
  tools: z.array(z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) })).default([]),
})

const chatWire: Wire = {
  read(body) {
    const { model, messages, tools } = chatRequest.parse(body)
    const said = (role: string): string => messages.filter((message) => message.role === role).map((message) => message.content).join('\n')
    return { model, system: said('system'), user: said('user'), tools: tools.map((tool) => tool.function.name) }
  },
  begin: () => [chunk({ role: 'assistant', content: '' })],
  text: (text) => chunk({ content: text }),
  // Arguments come in two pieces, as from the real thing.
  call: (name, argumentsJson) =>
    chunk({ tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name, arguments: argumentsJson.slice(0, 5) } }] }) +
    chunk({ tool_calls: [{ index: 0, function: { arguments: argumentsJson.slice(5) } }] }),
  end: (inputTokens, outputTokens) => [
    chunk({}, 'stop'),
    event({
      id: 'chatcmpl_1', object: 'chat.completion.chunk', choices: [],
      usage: { prompt_tokens: inputTokens, prompt_tokens_details: { cached_tokens: 0 }, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens },
    }),
    'data: [DONE]\n\n',
  ],
}

function chunk(delta: Readonly<Record<string, unknown>>, finishReason: string | null = null): string {
  return event({ id: 'chatcmpl_1', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finishReason }] })
}

function event(data: Readonly<Record<string, unknown>>): string {
  const name = typeof data['type'] === 'string' ? `event: ${data['type']}\n` : ''
  return `${name}data: ${JSON.stringify(data)}\n\n`
}

/** The caller's words in a prompt of this project. */
export function callerWordsIn(user: string): string {
  return /<caller>([\s\S]*?)<\/caller>/.exec(user)?.[1] ?? user
}

/** The source that shares most words with the question, said as it stands; UNKNOWN where none does. */
export function answerFromSources(request: SeenRequest): ScriptedReply {
  const asked = wordsOf(callerWordsIn(request.user))
  const sources = [...request.system.matchAll(/<source>([\s\S]*?)<\/source>/g)].map((match) => match[1] ?? '')
  const shared = (source: string): number => wordsOf(source).filter((word) => asked.includes(word)).length
  const best = sources.reduce((a, b) => (shared(b) > shared(a) ? b : a), '')
  return { text: shared(best) === 0 ? 'UNKNOWN' : best.replace(/^[^?]*\?\s*/, '') }
}

function wordsOf(text: string): string[] {
  return (text.toLowerCase().match(/[a-z0-9]+/g) ?? []).filter((word) => word.length > 3)
}

/** Words hashed into places: texts that share words lie close together, as a real encoder's would. Unit length. */
export function embeddingOf(text: string): Float32Array {
  const vector = new Float32Array(EMBEDDING_DIMENSIONS)
  for (const word of text.toLowerCase().match(/[a-z0-9]+/g) ?? []) {
    const place = createHash('sha256').update(word).digest().readUInt16LE(0) % EMBEDDING_DIMENSIONS
    vector[place] = (vector[place] as number) + 1
  }
  const length = Math.hypot(...vector)
  return length === 0 ? vector : vector.map((value) => value / length)
}

function base64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64')
}

function problem(message: string, code: string): Readonly<Record<string, unknown>> {
  return { error: { message, type: code, code, param: null } }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.statusCode = status
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(body))
}
