import OpenAI, { APIConnectionError, APIError, AuthenticationError, NotFoundError, PermissionDeniedError, RateLimitError } from 'openai'
import type { Clock } from '../core/clock.ts'
import { MovingDeadline } from '../core/deadline.ts'
import { ClientsViaError } from '../core/errors.ts'
import { Scope, ScopeEnded } from '../core/scope.ts'
import { openAiClient } from '../engines/openai-client.ts'
import type { ModelAnswer, ModelPatience, ModelPiece, ModelTool, ModelUsage } from './model-engine.ts'
import type { ModelPrompt } from './prompts.ts'

export type OpenAiModelOptions = Readonly<{
  clock: Clock
  /** Compatible servers often need none. */
  apiKey: string | null
  /** With its /v1; null: the vendor's own. */
  baseUrl: string | null
  model: string
  /** 'chat' for compatible servers such as Ollama and vLLM. */
  api: 'responses' | 'chat'
  /** Tells accounts apart in traces and breakers; never the key itself. */
  account?: string
}>

/** Nothing is ever waited for this long: the turn's own patience is shorter. It only bounds what the library does on its own. */
const REQUEST_TIMEOUT_MS = 15_000
/** A telephone reply is two sentences; this is five times as much, and bounds what a model that runs away can cost. */
const MAX_OUTPUT_TOKENS = 400
/** OpenAI's models through the official library, and those of every server that speaks like it. No retries: a turn has no time for a second try. */
export class OpenAiModel implements ModelAnswer {
  readonly name: string
  readonly model: string
  readonly #clock: Clock
  readonly #openai: ReturnType<typeof openAiClient>
  readonly #api: OpenAiModelOptions['api']

  constructor(options: OpenAiModelOptions) {
    this.name = options.account === undefined ? `openai/${options.model}` : `openai/${options.model} ${options.account}`
    this.model = options.model
    this.#clock = options.clock
    this.#api = options.api
    this.#openai = openAiClient(options, REQUEST_TIMEOUT_MS)
  }

  async *answer(prompt: ModelPrompt, tools: readonly ModelTool[], patience: ModelPatience, signal: AbortSignal): AsyncGenerator<ModelPiece, void, undefined> {
    signal.throwIfAborted()
    const scope = new Scope()
    const onAbort = (): void => scope.end(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const deadline = new MovingDeadline(this.#clock, signal)
    let isFirst = true
    let isWhole = false
    try {
      const events = this.#api === 'responses' ? this.#responses(prompt, tools, scope.signal) : this.#chat(prompt, tools, scope.signal)
      const iterator = events[Symbol.asyncIterator]()
      for (;;) {
        // The library's loop ends quietly when it is aborted and hangs for ever when the other side does: both are ended here.
        const next = await deadline.until(isFirst ? patience.firstPieceMs : patience.gapMs, iterator.next())
        if (next.done === true) break
        if (next.value === WHOLE) isWhole = true
        else if (next.value !== ALIVE) {
          isFirst = false
          yield next.value
        }
      }
      signal.throwIfAborted()
      if (!isWhole) throw new ClientsViaError('ENGINE_FAILED', `${this.name} ended its answer before it was whole`)
    } catch (error) {
      signal.throwIfAborted()
      throw this.#named(error)
    } finally {
      signal.removeEventListener('abort', onAbort)
      deadline.close()
      // Closes the socket at once where the answer is not over: the vendor stops generating, and billing.
      scope.end(new ScopeEnded())
    }
  }

  /** Opens a connection before the first caller needs it, and says whether the key is good. */
  async warm(signal: AbortSignal): Promise<void> {
    try {
      await this.#openai.client.models.list({ signal })
    } catch (error) {
      signal.throwIfAborted()
      // Compatible servers need not list their models; that they answered is enough.
      if (!(error instanceof NotFoundError)) throw this.#named(error)
    }
  }

  async close(): Promise<void> {
    await this.#openai.close()
  }

  async *#responses(prompt: ModelPrompt, tools: readonly ModelTool[], signal: AbortSignal): AsyncGenerator<ModelPiece | Sign, void, undefined> {
    const stream = await this.#openai.client.responses.create(
      {
        model: this.model,
        instructions: prompt.system,
        input: [{ role: 'user', content: prompt.user }],
        tools: tools.map(({ name, description, parameters }) => ({ type: 'function' as const, name, description, parameters: { ...parameters }, strict: true })),
        parallel_tool_calls: false,
        max_output_tokens: MAX_OUTPUT_TOKENS,
        // A caller's words are kept by this server alone, for as long as its company says.
        store: false,
        stream: true,
      },
      { signal },
    )
    for await (const event of stream) {
      switch (event.type) {
        case 'response.output_text.delta':
          yield { kind: 'text', text: event.delta }
          break
        case 'response.output_item.done':
          if (event.item.type === 'function_call') yield { kind: 'call', name: event.item.name, argumentsJson: event.item.arguments }
          break
        case 'response.completed': {
          const { usage } = event.response
          if (usage !== undefined) yield { kind: 'usage', usage: usageOf(usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens) }
          yield WHOLE
          break
        }
        case 'response.incomplete':
        case 'response.failed':
        case 'error':
          throw new ClientsViaError('ENGINE_FAILED', `${this.name} gave up its answer (${event.type})`)
        default:
          // Progress of something that is not said, such as reasoning or arguments.
          yield ALIVE
      }
    }
  }

  async *#chat(prompt: ModelPrompt, tools: readonly ModelTool[], signal: AbortSignal): AsyncGenerator<ModelPiece | Sign, void, undefined> {
    const stream = await this.#openai.client.chat.completions.create(
      {
        model: this.model,
        messages: [
          { role: 'system', content: prompt.system },
          { role: 'user', content: prompt.user },
        ],
        ...(tools.length === 0
          ? {}
          : { tools: tools.map(({ name, description, parameters }) => ({ type: 'function' as const, function: { name, description, parameters: { ...parameters }, strict: true } })) }),
        // The older name: compatible servers know no other.
        max_tokens: MAX_OUTPUT_TOKENS,
        stream: true,
        stream_options: { include_usage: true },
      },
      { signal },
    )
    const calls = new Map<number, { name: string; argumentsJson: string }>()
    for await (const chunk of stream) {
      const choice = chunk.choices[0]
      const text = choice?.delta.content
      if (typeof text === 'string' && text !== '') yield { kind: 'text', text }
      else yield ALIVE
      for (const part of choice?.delta.tool_calls ?? []) {
        const call = calls.get(part.index) ?? { name: '', argumentsJson: '' }
        calls.set(part.index, { name: call.name + (part.function?.name ?? ''), argumentsJson: call.argumentsJson + (part.function?.arguments ?? '') })
      }
      const reason = choice?.finish_reason
      if (reason === 'length' || reason === 'content_filter') throw new ClientsViaError('ENGINE_FAILED', `${this.name} gave up its answer (${reason})`)
      if (typeof reason === 'string') {
        for (const call of calls.values()) yield { kind: 'call', ...call }
        yield WHOLE
      }
      if (chunk.usage !== undefined && chunk.usage !== null) {
        yield { kind: 'usage', usage: usageOf(chunk.usage.prompt_tokens, chunk.usage.prompt_tokens_details?.cached_tokens ?? 0, chunk.usage.completion_tokens) }
      }
    }
  }

  #named(error: unknown): unknown {
    if (error instanceof ClientsViaError) return error
    const cause = { cause: error }
    if (error instanceof AuthenticationError || error instanceof PermissionDeniedError) return new ClientsViaError('ENGINE_UNAVAILABLE', `${this.name} does not accept the key`, { status: error.status }, cause)
    if (error instanceof RateLimitError) return new ClientsViaError('ENGINE_UNAVAILABLE', `${this.name} has had enough requests`, { status: 429, ...retryAfter(error) }, cause)
    if (error instanceof APIConnectionError) return new ClientsViaError('ENGINE_UNAVAILABLE', `${this.name} cannot be reached`, {}, cause)
    if (error instanceof APIError) return new ClientsViaError('ENGINE_FAILED', `${this.name} failed with status ${String(error.status)}`, { status: error.status }, cause)
    // A connection that breaks in the middle is a bare TypeError of fetch, a line that is no JSON a SyntaxError.
    if (error instanceof TypeError || error instanceof SyntaxError) return new ClientsViaError('ENGINE_FAILED', `${this.name} broke off`, {}, cause)
    return error
  }
}

/** Of the stream itself: it is alive though nothing was said, and it was whole. */
const ALIVE = Symbol('alive')
const WHOLE = Symbol('whole')
type Sign = typeof ALIVE | typeof WHOLE

function usageOf(inputTokens: number, cachedInputTokens: number, outputTokens: number): ModelUsage {
  return { inputTokens, cachedInputTokens, outputTokens, isEstimate: false }
}

/** How long the vendor asks to be left alone, where it says so. */
function retryAfter(error: RateLimitError): Readonly<{ retryAfterMs?: number }> {
  const ms = Number(error.headers?.get('retry-after-ms') ?? Number.NaN)
  if (Number.isFinite(ms)) return { retryAfterMs: ms }
  const seconds = Number(error.headers?.get('retry-after') ?? Number.NaN)
  return Number.isFinite(seconds) ? { retryAfterMs: seconds * 1000 } : {}
}
