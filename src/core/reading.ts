/** The slot of an answer to a question that is not a form's. */
export const ANSWER_SLOT = 'answer'

export type SlotReading = Readonly<{
  slotId: string
  /** Canonical: the option's value, the digits "5550100000", "yes" or "no". */
  value: string
  /** The words that said it. */
  spoken: string
  /** 0 to 1. */
  confidence: number
}>

/**
 * What was understood of an utterance in the light of what was asked. 'act': take it as said; 'read-back': ask about `doubtful` alone;
 * 'outside': it was something else, and the open transcript stands.
 */
export type Reading = Readonly<{
  verdict: 'act' | 'read-back' | 'outside'
  /** The whole sentence as the grammar says it; empty when outside. */
  text: string
  slots: readonly SlotReading[]
  /** The least certain word; its slot is null where it is a carrier word. */
  doubtful: Readonly<{ slotId: string | null; word: string }> | null
  scores: Readonly<{
    /** Minus log-probability a token; for text, alignment cost a word. */
    costPerToken: number
    /** Over the words: how much better the best other token would have been, summed a word. */
    maxWordRegret: number
    /** To the best reading with other slots; null when there was none. */
    gap: number | null
  }>
  source: 'audio' | 'text' | 'keys'
}>
