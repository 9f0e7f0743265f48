/** Words that sound finished: one start in twenty is for nothing. */
const CERTAIN = 1
/** Of all generated tokens, those for nothing: above this only certain ends are worth an early start. The promise is a quarter. */
const WASTE_SHARE = 0.2
/** What a company may waste before there is a share to speak of: three short starts. */
const FREE_TOKENS = 60
/** Older tokens count for less: half after this many. */
const MEMORY_TOKENS = 4000

/**
 * Whether a model that costs money is asked before the caller has certainly finished. The turn detector says when a pause may be an end;
 * most guesses that are wrong are over before the first token. What is generated for nothing is paid for out of what was used: where a
 * line or a way of speaking makes guesses dear, only words that sound finished are worth one. On recorded callers (test/bench/turns.ts)
 * this hides half of the wait for a tenth more tokens.
 */
export class SpeculationPolicy {
  readonly #isAllowed: boolean
  #usedTokens = 0
  #wastedTokens = 0

  /** `isAllowed` false: nothing is ever asked that may be in vain. */
  constructor(isAllowed = true) {
    this.#isAllowed = isAllowed
  }

  mayStart(score: number): boolean {
    if (!this.#isAllowed) return false
    const isCheap = this.#wastedTokens <= FREE_TOKENS + WASTE_SHARE * this.#usedTokens
    return isCheap || score > CERTAIN
  }

  /** A request is over: `wasted` when nobody was to hear it. Output tokens. */
  settled(outputTokens: number, wasted: boolean): void {
    if (wasted) this.#wastedTokens += outputTokens
    else this.#usedTokens += outputTokens
    if (this.#usedTokens + this.#wastedTokens < MEMORY_TOKENS) return
    this.#usedTokens /= 2
    this.#wastedTokens /= 2
  }
}
