import { LRUCache } from 'lru-cache'
import { askedShape, type Expectation } from '../core/expectation.ts'
import { ANSWER_SLOT, type Reading, type SlotReading } from '../core/reading.ts'
import { align, type Alignment } from './align.ts'
import { GrammarRoutes } from './routes.ts'
import { FILLERS, sentenceGrammar } from './sentence.ts'

/**
 * What a text means in the light of what was asked: a cloud recogniser's transcript, a typed message, the open transcript of the embedded
 * recogniser, or digits that were keyed in. Pure; under a millisecond for a plain answer, a few for a long sentence that fits badly.
 *
 * Where free words were asked for (an address), everything said is the answer, unless it plainly fills other slots ("no, Tuesday").
 */
export function readText(expectation: Expectation, text: string, source: 'text' | 'keys' = 'text'): Reading {
  if (expectation.kind === 'open') return outside(source)
  const alignment = align(routesOf(expectation), text)
  const aligned = alignment === null ? outside(source) : readingOf(expectation, alignment, text, source)
  if (askedShape(expectation)?.kind !== 'words' || aligned.verdict === 'act') return aligned
  return freeWords(expectation.kind === 'form' ? (expectation.asked as string) : ANSWER_SLOT, text, source)
}

/**
 * Makes the grammar of a question before it is asked, 5 to 15 ms of work that the first caller's answer need not wait for. False: it was ready.
 */
export function prepareToRead(expectation: Expectation): boolean {
  if (expectation.kind === 'open' || grammars.has(JSON.stringify(expectation))) return false
  const routes = routesOf(expectation)
  routes.from(routes.grammar.start)
  return true
}

export function outside(source: Reading['source']): Reading {
  return { verdict: 'outside', text: '', slots: [], doubtful: null, scores: { costPerToken: 0, maxWordRegret: 0, gap: null }, source }
}

/** The grammar of an expectation, made once. */
function routesOf(expectation: Expectation): GrammarRoutes {
  const key = JSON.stringify(expectation)
  let grammar = grammars.get(key)
  if (grammar === undefined) {
    grammar = new GrammarRoutes(sentenceGrammar(expectation))
    grammars.set(key, grammar)
  }
  return grammar
}

/** A few hundred KB each; a company has a few dozen questions, and every call asks the same ones. */
const GRAMMARS_KEPT = 200
const grammars = new LRUCache<string, GrammarRoutes>({ max: GRAMMARS_KEPT })

/** Alignment cost a word, up to which the text is taken as said, and up to which it is asked about. */
const ACT_COST = 0.22
const READ_BACK_COST = 0.5
/** What else was said may be long when the answer itself is plain: "I was wondering whether Tuesday works". */
const PLAIN_ANSWER_COST = 0.75
const PLAIN_SLOT_COST = 0.2
/** A single word worse than this is asked about, however good the rest. */
const DOUBTFUL_WORD_COST = 0.45
const CLOSE_GAP = 0.15

function readingOf(expectation: Expectation, alignment: Alignment, text: string, source: Reading['source']): Reading {
  const costPerToken = alignment.cost / alignment.words
  const inSlots = alignment.said.filter((word) => word.slotId !== null)
  const worst = inSlots.reduce((most, word) => (word.cost > most.cost ? word : most), { slotId: null as string | null, word: '', cost: 0 })
  const slots: SlotReading[] = alignment.slots.map((slot) => ({
    slotId: slot.slotId,
    value: slot.value,
    spoken: slot.spoken,
    confidence: round(Math.exp(-slot.cost) * Math.exp(-Math.max(0, costPerToken - ACT_COST))),
  }))
  const isPlain = worst.cost <= PLAIN_SLOT_COST && costPerToken <= PLAIN_ANSWER_COST && !isQuestion(text) && answersWhatWasAsked(expectation, slots)
  const limit = isPlain ? PLAIN_ANSWER_COST : isQuestion(text) ? ACT_COST : READ_BACK_COST
  // "A large tea" where there is no tea: the size was heard, and something else was.
  const strange = alignment.said.find((word) => word.slotId === null && word.cost >= 1)
  const isClose = alignment.gap !== null && alignment.gap < CLOSE_GAP
  const verdict = costPerToken > limit || alignment.slots.some((slot) => !slot.whole) ? 'outside' : costPerToken <= ACT_COST && worst.cost <= DOUBTFUL_WORD_COST && strange === undefined && !isClose ? 'act' : 'read-back'
  const scores = { costPerToken: round(costPerToken), maxWordRegret: round(Math.max(0, ...alignment.said.map((word) => word.cost))), gap: alignment.gap === null ? null : round(alignment.gap) }
  if (verdict === 'outside') return { ...outside(source), scores }
  const unsure = strange ?? (worst.cost > 0 ? worst : null)
  const doubtful = verdict === 'act' ? null : unsure === null ? firstWord(slots) : { slotId: unsure.slotId, word: unsure.word }
  return { verdict, text: alignment.said.map((word) => word.word).join(' '), slots, doubtful, scores, source }
}

function firstWord(slots: readonly SlotReading[]): Reading['doubtful'] {
  const slot = slots[0]
  return slot === undefined ? null : { slotId: slot.slotId, word: slot.spoken }
}

function answersWhatWasAsked(expectation: Expectation, slots: readonly SlotReading[]): boolean {
  return expectation.kind !== 'form' || (expectation.asked !== null && slots.some((slot) => slot.slotId === expectation.asked))
}

/** "Are you open on Tuesday?" is no answer to "which day". "Can I get", "do you have" are ways to order: the carriers know those. */
function isQuestion(text: string): boolean {
  return /^\W*(?:(?:and|so|um|uh|well|but)\W+)*(?:what|when|where|who|why|how|which|are you|is (?:it|there|that)|do (?:you|i)|does|did|will you)\b/i.test(text)
}

function freeWords(slotId: string, text: string, source: Reading['source']): Reading {
  const spoken = text.trim().replace(LEADING_FILLERS, '').trim()
  if (!/[\p{L}\p{N}]/u.test(spoken)) return outside(source)
  const value = spoken.replace(/[.,!?;:\s]+$/, '')
  return { verdict: 'act', text: value, slots: [{ slotId, value, spoken: value, confidence: FREE_WORDS_CONFIDENCE }], doubtful: null, scores: { costPerToken: 0, maxWordRegret: 0, gap: null }, source }
}

/** Nothing bears it out. */
const FREE_WORDS_CONFIDENCE = 0.6
const LEADING_FILLERS = new RegExp(`^(?:\\W*\\b(?:${[...FILLERS, "it's", 'it is', "that's"].join('|')})\\b\\W*)+(?=\\w)`, 'i')

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
