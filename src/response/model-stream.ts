import { withDeadline } from '../core/deadline.ts'
import { ClientsViaError } from '../core/errors.ts'
import type { Turn } from './answer-step.ts'
import type { ModelAnswer, ModelTool } from './model-engine.ts'
import type { MeteredRequest } from './model-meter.ts'
import type { ModelPrompt } from './prompts.ts'
import { toSpeakable, traceable, type Facts } from './quality.ts'
import { SentenceCutter } from './sentences.ts'
import { plainText } from './words.ts'

/** A sentence that has begun must go on: longer than this and the reply ends with what was said. */
const NEXT_SENTENCE_MS = 3000
/** Between two pieces of a stream that flows; 15 to 40 ms is usual. Longer, and the rest is not coming. */
const GAP_MS = 800
/** Of what came last, enough to find the mark in whatever pieces it comes. */
const KEPT_CHARS = 4000

export type ToolCall = Readonly<{ name: string; argumentsJson: string }>

/** What it takes to read a model's answer and let through what may be said. */
export type ReadingRules = Readonly<{ turn: Turn; prompt: ModelPrompt; facts: Facts }>

/** One request to a model, read sentence by sentence as they may be spoken. `close` ends it, and what it costs. */
export class ModelStream {
  readonly #turn: Turn
  readonly #rules: ReadingRules
  readonly #sentences: AsyncGenerator<string, void, undefined>
  readonly #metered: MeteredRequest | null
  #call: ToolCall | null = null
  #isWhole = false
  #dropped = 0

  constructor(model: ModelAnswer, rules: ReadingRules, tools: readonly ModelTool[], firstPieceMs: number, metered: MeteredRequest | null, signal: AbortSignal) {
    this.#turn = rules.turn
    this.#rules = rules
    this.#metered = metered
    this.#sentences = this.#read(model.answer(rules.prompt, tools, { firstPieceMs, gapMs: GAP_MS }, signal))
    signal.addEventListener('abort', () => this.close(), { once: true })
  }

  /** What the model asked for instead of, or after, its words. */
  get call(): ToolCall | null {
    return this.#call
  }

  /** The vendor said that it was whole, and nothing of it had to be left out. */
  get isDecided(): boolean {
    return this.#isWhole && this.#dropped === 0 && this.#call === null
  }

  /** The next sentence; null at the end. Rejects as the engine does, or when the sentence is too long in coming. */
  async next(waitMs: number, signal: AbortSignal): Promise<string | null> {
    const next = await withDeadline(this.#turn.question.clock, waitMs, signal, () => this.#sentences.next())
    return next.done === true ? null : next.value
  }

  /** The sentences after the first. */
  async *rest(signal: AbortSignal): AsyncGenerator<string, void, undefined> {
    for (;;) {
      const sentence = await this.next(NEXT_SENTENCE_MS, signal)
      if (sentence === null) return
      yield sentence
    }
  }

  /** Idempotent. Not waited for: a model that hangs would hang its own closing. */
  close(): void {
    this.#metered?.end()
    this.#sentences.return().catch(() => undefined)
  }

  async *#read(pieces: ReturnType<ModelAnswer['answer']>): AsyncGenerator<string, void, undefined> {
    const cutter = new SentenceCutter({ atOnce: true })
    const { canary } = this.#rules.prompt
    let seen = ''
    for await (const piece of pieces) {
      switch (piece.kind) {
        case 'usage':
          this.#metered?.counted(piece.usage)
          break
        case 'call':
          // One deed a turn, and the first one asked for.
          this.#call ??= { name: piece.name, argumentsJson: piece.argumentsJson }
          break
        case 'text': {
          this.#metered?.said(piece.text)
          seen = `${seen}${piece.text}`.slice(-KEPT_CHARS)
          const cut = cutter.push(piece.text)
          // Nothing is said before it was looked for in every disguise; between two sentences a plain look is enough.
          if (seen.includes(canary) || (cut.length > 0 && plainText(seen).includes(plainText(canary)))) return this.#recited()
          for (const sentence of cut) yield* this.#allowed(sentence)
          break
        }
      }
    }
    if (plainText(seen).includes(plainText(canary))) return this.#recited()
    for (const sentence of cutter.end()) yield* this.#allowed(sentence)
    this.#isWhole = true
  }

  #recited(): void {
    this.#turn.trace('model', { stopped: 'it repeated its instructions' })
    this.#dropped += 1
  }

  *#allowed(sentence: string): Generator<string, void, undefined> {
    const speakable = toSpeakable(sentence)
    const why = speakable === null || isUnsure(sentence) ? 'nothing to say' : promisesDeed(sentence) ? 'a deed that nobody has done' : traceable(speakable, this.#rules.facts) ? null : 'a price, time or number that the company never gave'
    if (why === null && speakable !== null) {
      yield speakable
      return
    }
    this.#dropped += 1
    if (why !== 'nothing to say') this.#turn.trace('quality', { dropped: why })
  }
}

/** Rejects like an engine that is not there. */
export function unavailable(name: string): ClientsViaError {
  return new ClientsViaError('ENGINE_UNAVAILABLE', `${name} has just failed and is left alone for a moment`)
}

/** The prompt tells the model to say UNKNOWN where the sources do not answer. */
function isUnsure(sentence: string): boolean {
  return /\bUNKNOWN\b/.test(sentence)
}

/** "I've booked you in": what is done is said by whoever has done it. */
function promisesDeed(sentence: string): boolean {
  return PROMISE.test(sentence)
}

const PROMISE =
  /\b(?:I(?:'ll| will|'m|’ll|’m| am|'ve|’ve| have)?(?: just| now| going to)? (?:transfer|connect|book|schedul|cancel|refund|send|sent|forward|reserv|charg|pass)\w*|I(?:'ll|’ll| will)? put you through|you(?:'re|’re| are) (?:all )?(?:booked|scheduled|confirmed|connected)|appointment (?:is|has been) (?:booked|confirmed|scheduled|cancelled|canceled))\b/i
