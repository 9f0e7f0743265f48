import type { Word } from './transcriber.ts'

/** Final words kept: what utterances may still be made of. The longest has some 150. */
const MOST_WORDS = 600

/** What has been heard of one caller, in media time: words that stand, then words that may still change. */
export class HeardWords {
  #final: Word[] = []
  #changing: Word[] = []
  #finalToMs = -Infinity
  #heardToMs = -Infinity

  /** Audio up to here has its final words. */
  get finalToMs(): number {
    return this.#finalToMs
  }

  /** Audio up to here has been listened to. */
  get heardToMs(): number {
    return this.#heardToMs
  }

  /** The last final word's end; -Infinity before there is one. */
  get lastFinalWordEndMs(): number {
    return this.#final.at(-1)?.endMs ?? -Infinity
  }

  get changing(): readonly Word[] {
    return this.#changing
  }

  /** False for news about audio that has its final words already: it comes late, or twice. */
  take(words: readonly Word[], endMs: number, final: boolean): boolean {
    if (endMs <= this.#finalToMs) return false
    const fresh = words.filter((word) => middleOf(word) >= this.#finalToMs)
    this.#heardToMs = Math.max(this.#heardToMs, endMs)
    if (final) {
      this.#final.push(...fresh)
      if (this.#final.length > MOST_WORDS) this.#final.splice(0, this.#final.length - MOST_WORDS)
      this.#changing = []
      this.#finalToMs = endMs
    } else this.#changing = fresh
    return true
  }

  /** Words that end by `untilMs` will not change any more: the vendor said so, or it is not there to change them. */
  settle(untilMs: number): void {
    const settled = this.#changing.filter((word) => word.endMs <= untilMs)
    if (settled.length === 0) return
    this.#final.push(...settled)
    this.#changing = this.#changing.slice(settled.length)
    this.#finalToMs = Math.max(this.#finalToMs, (settled.at(-1) as Word).endMs)
  }

  /** A word belongs to the stretch that holds its middle. */
  between(fromMs: number, toMs: number): Word[] {
    return [...this.#final, ...this.#changing].filter((word) => middleOf(word) >= fromMs && middleOf(word) < toMs)
  }

  forgetBefore(mediaMs: number): void {
    this.#final = this.#final.filter((word) => middleOf(word) >= mediaMs)
  }
}

function middleOf(word: Word): number {
  return (word.startMs + word.endMs) / 2
}
