import { align, type AlignedWord, type Alignment } from '../grammar/align.ts'
import { outside } from '../grammar/read-text.ts'
import type { GrammarRoutes } from '../grammar/routes.ts'
import { plainTokens } from '../grammar/words.ts'
import type { Reading, SlotReading } from '../core/reading.ts'

/** A sentence that the recogniser was held to: its tokens as written, each with how much better the best other token would have been. */
export type SpokenSentence = Readonly<{
  pieces: readonly Readonly<{ text: string; regret: number }>[]
  /** Of ending here. */
  endRegret: number
  logProbability: number
  score: number
}>
/** Up to where a sentence is acted on and read back. They differ a grammar: three words fit by chance, six slots do not. */
export type Limits = Readonly<{
  /** Minus log-probability a token: above it, the whole was something else. */
  costPerToken: number
  /** Of the worst word. */
  actRegret: number
  readBackRegret: number
  /** Of ending where it ends: above it, more was said than the grammar has. */
  endRegret: number
  /** To the best sentence that means something else. */
  actGap: number
}>

/**
 * What the recogniser heard, and how sure it may be of it. `sentences` come best first. A number with digits missing is outside, but its text
 * is to be trusted more than an open transcript: `unfinished`.
 */
export function readSentences(routes: GrammarRoutes, sentences: readonly SpokenSentence[], limits: Limits): Readonly<{ reading: Reading; unfinished: string | null }> {
  const best = likeliest(sentences, limits)
  if (best === undefined) return { reading: outside('audio'), unfinished: null }
  const text = textOf(best)
  const alignment = align(routes, text)
  const tokens = best.pieces.length + 1
  const costPerToken = -best.logProbability / tokens
  const regrets = weighed(wordRegrets(best), alignment)
  const maxWordRegret = Math.max(best.endRegret, ...regrets)
  const meaning = meaningOf(alignment)
  const other = otherWordings([best, ...sentences]).find((sentence) => meaningOf(align(routes, textOf(sentence))) !== meaning)
  const gap = other === undefined ? null : Math.max(0, best.score - other.score)
  const scores = { costPerToken: round(costPerToken), maxWordRegret: round(maxWordRegret), gap: gap === null ? null : round(gap) }
  if (alignment === null || costPerToken > limits.costPerToken || maxWordRegret > limits.readBackRegret || best.endRegret > limits.endRegret) return { reading: { ...outside('audio'), scores }, unfinished: null }
  if (alignment.slots.some((slot) => !slot.whole)) return { reading: { ...outside('audio'), scores }, unfinished: text }
  const isSure = maxWordRegret <= limits.actRegret && (gap === null || gap >= limits.actGap) && !mayBeUnfinished(routes, alignment, best, sentences)
  const slots = alignment.slots.map((slot): SlotReading => {
    const worst = Math.max(0, ...alignment.said.filter((word) => word.slotId === slot.slotId).map((word) => regrets[word.at] ?? 0))
    return { slotId: slot.slotId, value: slot.value, spoken: slot.spoken, confidence: round(Math.exp(-worst / CONFIDENCE_REGRET)) }
  })
  return {
    reading: { verdict: isSure ? 'act' : 'read-back', text, slots, doubtful: isSure ? null : doubtful(alignment.said, regrets, slots), scores, source: 'audio' },
    unfinished: null,
  }
}

/** The first that ends where the sound does: one that stops short of what was said loses to one nearly as good that does not. */
function likeliest(sentences: readonly SpokenSentence[], limits: Limits): SpokenSentence | undefined {
  const first = sentences[0]
  return sentences.find((sentence) => sentence.endRegret <= limits.endRegret && sentence.score > (first?.score ?? 0) - SHORT_STOP) ?? first
}

const SHORT_STOP = 3

/** Whether the number fits nearly as well with a digit less: then its last digit may be one that nobody said. */
function mayBeUnfinished(routes: GrammarRoutes, { slots }: Alignment, best: SpokenSentence, sentences: readonly SpokenSentence[]): boolean {
  const numbers = routes.grammar.slots.filter(({ kind, id }) => kind === 'digits' && slots.some((slot) => slot.slotId === id))
  if (numbers.length === 0) return false
  return sentences.some((sentence) => best.score - sentence.score < UNFINISHED_GAP && align(routes, textOf(sentence))?.slots.some((slot) => !slot.whole) === true)
}

/** In nats. With it one in ninety ten-digit numbers that lacked a digit was acted on, and of whole ones two thirds; without, five and three quarters. */
const UNFINISHED_GAP = 3

/** Sentences that differ from those before them in more than marks and capitals. */
function otherWordings(sentences: readonly SpokenSentence[]): SpokenSentence[] {
  const seen = new Set<string>()
  const distinct = sentences.filter((sentence) => {
    const wording = plainTokens(textOf(sentence)).join(' ')
    return !seen.has(wording) && seen.add(wording)
  })
  return distinct.slice(1, 1 + WORDINGS_LOOKED_AT)
}

/** For the gap: the others are worse still. */
const WORDINGS_LOOKED_AT = 4
/** A word that costs this much more than the best other one is right in about two of three cases. */
const CONFIDENCE_REGRET = 12

function textOf({ pieces }: SpokenSentence): string {
  return pieces.map((piece) => piece.text).join('').replace(/\s+/g, ' ').trim()
}

/** For each word of the text (as the aligner counts them) what its tokens regret together; of a number, its worst digit. */
function wordRegrets({ pieces }: SpokenSentence): number[] {
  const regrets: number[] = []
  let text = ''
  for (const piece of pieces) {
    text += piece.text
    const words = plainTokens(text).length
    // A space that is a token of its own begins the next word.
    const word = piece.text.trim() === '' ? words : Math.max(0, words - 1)
    const isDigit = /^\d$/.test(piece.text)
    regrets[word] = isDigit ? Math.max(regrets[word] ?? 0, piece.regret) : (regrets[word] ?? 0) + piece.regret
  }
  return Array.from(regrets, (regret) => regret ?? 0)
}

/**
 * Regrets of the words between the slots count for more, and several in a row as one: "for a" that was said as one word, the "drip" of a drip
 * coffee that the menu does not have. How the sentence begins says little about what is wanted, and callers begin it as they like.
 */
function weighed(regrets: readonly number[], alignment: ReturnType<typeof align>): number[] {
  const weighted = [...regrets]
  const said = alignment?.said ?? []
  let inARow = 0
  for (const { slotId, at } of said.slice(Math.max(0, said.findIndex((word) => word.slotId !== null)))) {
    inARow = slotId === null ? inARow + (regrets[at] ?? 0) : 0
    if (slotId === null) weighted[at] = inARow * LITTLE_WORD_WEIGHT
  }
  return weighted
}

/** "Of", "a", "like to": the model knows no words better. Where it would rather have written something else, something else was said. */
const LITTLE_WORD_WEIGHT = 2.5

function meaningOf(alignment: ReturnType<typeof align>): string {
  return alignment === null ? '' : alignment.slots.map((slot) => `${slot.slotId}=${slot.value}`).sort().join(';')
}

/** The worst word; where that is a little word, what it leads to, for that is what may have been something else. */
function doubtful(said: readonly AlignedWord[], regrets: readonly number[], slots: readonly SlotReading[]): Reading['doubtful'] {
  const regretOf = (at: number): number => regrets[(said[at] as AlignedWord).at] ?? 0
  let worst = 0
  for (let at = 1; at < said.length; at += 1) if (regretOf(at) > regretOf(worst)) worst = at
  if (said.length > 0 && regretOf(worst) > 0) {
    const word = said.slice(worst).find((candidate) => candidate.slotId !== null) ?? (said[worst] as AlignedWord)
    return { slotId: word.slotId, word: word.word }
  }
  const slot = slots[0]
  return slot === undefined ? null : { slotId: slot.slotId, word: slot.spoken }
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
