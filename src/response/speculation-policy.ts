/** Words that may be an end, or a pause: measured on calls, four fifths of true ends score above it, and about one start in two is for nothing. */
const HOPEFUL = -0.5
/** Words that sound finished: one start in twenty is for nothing. */
const CERTAIN = 1
/** Of all generated tokens, those for nothing: above this only certain ends are worth an early start. The promise is a quarter. */
const WASTE_SHARE = 0.2
/** What a company may waste before there is a share to speak of: three short starts. */
const FREE_TOKENS = 60
/** Older tokens count for less: half after this many. */
const MEMORY_TOKENS = 4000

/**
 * Whether a model that costs money is asked before the caller has certainly finished. It gives back half the wait where the guess is right,
 * and wastes what was generated where it is wrong; how often that may be is bought with what was used.
 */
export class SpeculationPolicy {
  #usedTokens = 0
  #wastedTokens = 0

  mayStart(score: number): boolean {
    const isCheap = this.#wastedTokens <= FREE_TOKENS + WASTE_SHARE * this.#usedTokens
    return score > (isCheap ? HOPEFUL : CERTAIN)
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
