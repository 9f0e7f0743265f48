/** How much of one sentence's text was heard after `heardMs` of its `audioMs`. Injected: synthesis knows its own pace. */
export type WordsHeard = (text: string, audioMs: number, heardMs: number) => Readonly<{ text: string; complete: boolean }>

export type SentSentence = Readonly<{
  text: string
  /** Audio handed to the carrier so far. */
  sentMs: number
  /** The whole sentence's audio; null while it is still being synthesised. */
  audioMs: number | null
  /** The carrier echoed the sentence's mark: it was played to its end. */
  acknowledged: boolean
}>

/** A pace slower than any voice we ship: an unfinished sentence is never credited with words that were not heard. */
const SLOW_MS_PER_CHARACTER = 95

/**
 * The words a caller really heard: whole sentences by their echoed marks, the sentence that was cut by its playout position.
 * `heardMs` counts from the first frame of the reply and comes from paced sends less what the carrier had not played.
 */
export function deliveredText(sentences: readonly SentSentence[], heardMs: number, wordsHeard: WordsHeard): string {
  const delivered: string[] = []
  let startMs = 0
  for (const sentence of sentences) {
    if (sentence.acknowledged) delivered.push(sentence.text)
    else {
      const audioMs = sentence.audioMs ?? Math.max(sentence.sentMs, sentence.text.length * SLOW_MS_PER_CHARACTER)
      const heard = wordsHeard(sentence.text, audioMs, Math.max(0, Math.min(heardMs - startMs, sentence.sentMs)))
      if (heard.text !== '') delivered.push(heard.text)
      if (!heard.complete) break
    }
    startMs += sentence.sentMs
  }
  return delivered.join(' ')
}
