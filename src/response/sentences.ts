/**
 * Cuts text into sentences as a voice would: "Dr. Lewis is in at 8 a.m. tomorrow." is one, "$89.95" has no end in it.
 * `SentenceCutter` does it for text that is still arriving.
 */
export function sentences(text: string): string[] {
  const cutter = new SentenceCutter()
  return [...cutter.push(text), ...cutter.end()]
}

/** A sentence longer than this is cut at a comma or a space, so that a voice can start and a caller can interrupt. */
const MAX_SENTENCE_CHARS = 320
const ABBREVIATION = /(?:^|[\s(])(?:dr|mr|mrs|ms|prof|sr|jr|st|ave|blvd|rd|apt|ste|vs|etc|inc|llc|co|corp|approx|dept|ext|est|fl|u\.s|e\.g|i\.e|[a-z])\.$/i
const CLOCK = /(?:^|[\s\d])[ap]\.m\.$/i

export class SentenceCutter {
  readonly #marks: RegExp
  #pending = ''

  /**
   * `atOnce`: a mark behind a plain word ends the sentence though nothing has followed it yet. For tokens, which come 15 to 50 ms apart:
   * a caller waits in silence for the next one.
   */
  constructor(options: Readonly<{ atOnce: boolean }> = { atOnce: false }) {
    this.#marks = options.atOnce ? /[.!?]+["')\]]*(?=\s)|(?<=[a-z]{3})[.!?]$|\n+/g : /[.!?]+["')\]]*(?=\s)|\n+/g
  }

  /** Sentences that are certainly over. A mark at the very end is not, unless it was asked for: ".95" may follow. */
  push(text: string): string[] {
    this.#pending += text
    const found: string[] = []
    for (;;) {
      const end = this.#sentenceEnd()
      if (end === null) return found
      const sentence = tidy(this.#pending.slice(0, end))
      this.#pending = this.#pending.slice(end)
      if (sentence !== '') found.push(sentence)
    }
  }

  /** What is left when the text is over. */
  end(): string[] {
    const rest = tidy(this.#pending)
    this.#pending = ''
    return rest === '' ? [] : [rest]
  }

  #sentenceEnd(): number | null {
    const text = this.#pending
    for (const match of text.matchAll(this.#marks)) {
      const end = match.index + match[0].length
      if (end > MAX_SENTENCE_CHARS) break
      if (match[0].startsWith('\n')) {
        if (text.slice(0, match.index).trim() !== '') return end
        continue
      }
      const before = text.slice(0, end)
      if (match[0].startsWith('.') && CLOCK.test(before)) {
        // "8 a.m. Monday": only a capital, or nothing, tells an end from the middle of a sentence.
        const next = /^\s+(\S)/.exec(text.slice(end))?.[1]
        if (next === undefined || !/[A-Z]/.test(next)) continue
      } else if (match[0].startsWith('.') && ABBREVIATION.test(before)) continue
      return end
    }
    if (text.length <= MAX_SENTENCE_CHARS) return null
    const comma = text.lastIndexOf(', ', MAX_SENTENCE_CHARS)
    const space = text.lastIndexOf(' ', MAX_SENTENCE_CHARS)
    return comma > 0 ? comma + 1 : space > 0 ? space : MAX_SENTENCE_CHARS
  }
}

function tidy(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}
