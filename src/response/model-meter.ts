import type { ModelSpend } from '../call/call-record.ts'
import { estimatedTokens, type ModelAnswer, type ModelUsage } from './model-engine.ts'
import type { ModelPrompt } from './prompts.ts'

/** US cents for a million tokens. */
export type TokenPrice = Readonly<{ input: number; cachedInput: number; output: number }>
/** By the model's name as it is asked for. */
export type PriceList = Readonly<Record<string, TokenPrice>>

/** Of one request, as it stands: final once its stream is over. */
export type RequestCost = Readonly<{ model: string; inputTokens: number; cachedInputTokens: number; outputTokens: number; cents: number | null; isEstimate: boolean }>

/** A request that is being counted. Every method may be called until `end`, which is called once. */
export interface MeteredRequest {
  said(text: string): void
  counted(usage: ModelUsage): void
  /** The stream is over, however: what the vendor did not count is estimated. */
  end(): void
}

export type ModelMeterOptions = Readonly<{
  prices: PriceList
  /** Every request as it ends: for the day's sum and the metrics. Must not throw. */
  onSpent?: (companyId: string, cost: RequestCost) => void
}>

/** Turns under way at once; a turn is asked for as it ends. Older ones belong to calls that broke off. */
const MAX_OPEN_TURNS = 2000

/** Counts what models cost, request by request, speculation included. Writes nothing down: it tells. */
export class ModelMeter {
  readonly #prices: PriceList
  readonly #onSpent: (companyId: string, cost: RequestCost) => void
  readonly #turns = new Map<string, Request[]>()

  constructor(options: ModelMeterOptions) {
    this.#prices = options.prices
    this.#onSpent = options.onSpent ?? (() => undefined)
  }

  begin(turn: Readonly<{ companyId: string; callId: string; turn: number }>, model: ModelAnswer, prompt: ModelPrompt): MeteredRequest {
    const request = new Request(model.model, estimatedTokens(prompt.system + prompt.user), this.#prices, (cost) => this.#onSpent(turn.companyId, cost))
    const key = keyOf(turn.companyId, turn.callId, turn.turn)
    const requests = this.#turns.get(key)
    if (requests === undefined) {
      if (this.#turns.size >= MAX_OPEN_TURNS) this.#turns.delete(this.#turns.keys().next().value as string)
      this.#turns.set(key, [request])
    } else requests.push(request)
    return request
  }

  /**
   * What a turn cost, asked once, as it ends. `answered`: its reply came from a model, and the last request is the one that was heard;
   * every one before it was begun for words that changed. Null: no model was asked.
   */
  take(companyId: string, callId: string, turn: number, answered: boolean): ModelSpend | null {
    const key = keyOf(companyId, callId, turn)
    const requests = this.#turns.get(key)
    if (requests === undefined) return null
    this.#turns.delete(key)
    const costs = requests.map((request) => request.cost)
    const wasted = answered ? costs.slice(0, -1) : costs
    return {
      requests: costs.length,
      inputTokens: sum(costs, (cost) => cost.inputTokens),
      cachedInputTokens: sum(costs, (cost) => cost.cachedInputTokens),
      outputTokens: sum(costs, (cost) => cost.outputTokens),
      cents: sumCents(costs),
      wastedRequests: wasted.length,
      wastedInputTokens: sum(wasted, (cost) => cost.inputTokens),
      wastedOutputTokens: sum(wasted, (cost) => cost.outputTokens),
      wastedCents: sumCents(wasted),
      isEstimate: costs.some((cost) => cost.isEstimate),
    }
  }
}

class Request implements MeteredRequest {
  readonly #model: string
  readonly #inputEstimate: number
  readonly #price: TokenPrice | null
  readonly #onEnd: (cost: RequestCost) => void
  #text = ''
  #usage: ModelUsage | null = null
  #state: 'open' | 'over' = 'open'

  constructor(model: string, inputEstimate: number, prices: PriceList, onEnd: (cost: RequestCost) => void) {
    this.#model = model
    this.#inputEstimate = inputEstimate
    this.#price = priceOf(prices, model)
    this.#onEnd = onEnd
  }

  said(text: string): void {
    this.#text += text
  }

  counted(usage: ModelUsage): void {
    this.#usage = usage
  }

  end(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#onEnd(this.cost)
  }

  get cost(): RequestCost {
    const usage = this.#usage ?? { inputTokens: this.#inputEstimate, cachedInputTokens: 0, outputTokens: estimatedTokens(this.#text), isEstimate: true }
    return { model: this.#model, ...usage, cents: this.#price === null ? null : centsOf(usage, this.#price) }
  }
}

/** Vendors add a date to a model's name: "gpt-4.1-mini-2025-04-14" costs what "gpt-4.1-mini" does. */
function priceOf(prices: PriceList, model: string): TokenPrice | null {
  const undated = model.replace(/-\d{4}-\d{2}-\d{2}$/, '')
  return prices[model] ?? prices[undated] ?? null
}

function centsOf(usage: ModelUsage, price: TokenPrice): number {
  const freshTokens = Math.max(0, usage.inputTokens - usage.cachedInputTokens)
  return (freshTokens * price.input + usage.cachedInputTokens * price.cachedInput + usage.outputTokens * price.output) / 1_000_000
}

function sum(costs: readonly RequestCost[], of: (cost: RequestCost) => number): number {
  return costs.reduce((total, cost) => total + of(cost), 0)
}

function sumCents(costs: readonly RequestCost[]): number | null {
  return costs.some((cost) => cost.cents === null) ? null : sum(costs, (cost) => cost.cents ?? 0)
}

function keyOf(companyId: string, callId: string, turn: number): string {
  return JSON.stringify([companyId, callId, turn])
}
