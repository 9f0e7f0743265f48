import { askedShape, type Expectation, type SlotShape } from '../core/expectation.ts'
import { ANSWER_SLOT } from '../core/reading.ts'
import { addShape, leadIns } from './shapes.ts'
import { GrammarBuilder, type WordGrammar } from './word-grammar.ts'
import { grammarWords } from './words.ts'

/**
 * Whether audio can be held to what was asked. A name or free words cannot: there the open transcript is read afterwards.
 */
export function constrainsAudio(expectation: Expectation): boolean {
  if (expectation.kind === 'open' || expectation.kind === 'name') return false
  if (expectation.kind !== 'form') return true
  const asked = expectation.slots.find((slot) => slot.id === expectation.asked)
  if (asked?.shape.kind === 'name' || asked?.shape.kind === 'words') return false
  return sayable(expectation).length > 0
}

/**
 * The sentence around the slots. Fillers and a way in may come first, little words between the slots, a correction after any of them, thanks
 * at the end; at least one slot must be said.
 */
export function sentenceGrammar(expectation: Expectation): WordGrammar {
  const grammar = new GrammarBuilder()
  const slots = sayable(expectation)
  for (const slot of slots) grammar.slots.push({ id: slot.id, kind: slot.shape.kind, counts: slot.shape.kind === 'digits' ? slot.shape.counts : null })
  const isForm = expectation.kind === 'form'
  const isSentence = isForm && !PLAIN_ANSWERS.has(askedShape(expectation)?.kind ?? 'choice')
  const aside = isSentence ? 0 : ASIDE
  const start = grammar.state()
  const hub = grammar.state()
  const corrected = grammar.state()
  const accept = grammar.state()

  const opening = grammar.state()
  grammar.skip(start, opening)
  for (const filler of FILLERS) grammar.phrase(opening, filler.split(' '), opening, 0, aside)
  const entry = grammar.state()
  grammar.skip(opening, entry)
  const carriers = isForm ? [...expectation.carriers.map((carrier) => grammarWords(carrier)), ...FORM_CARRIERS.map((carrier) => carrier.split(' '))] : CARRIERS.map((carrier) => carrier.split(' '))
  for (const words of distinct(carriers)) grammar.phrase(opening, words, entry, 0, aside)
  // "No, Tuesday": what it corrects was said in an earlier sentence. After a question of yes or no, "no" is the answer.
  const answersYesNo = slots.some((slot) => slot.shape.kind === 'yes-no')
  if (!answersYesNo) for (const correction of CORRECTIONS) grammar.phrase(opening, correction.split(' '), entry, 0, aside)
  const between = grammar.state()
  grammar.skip(entry, between)
  grammar.skip(hub, between)
  const glue = isSentence && slots.some((slot) => slot.shape.kind === 'choice') ? GLUE : PLAIN_GLUE
  // Two little words at most: a string of them would pass for any word the menu does not have.
  const glued = grammar.state()
  grammar.skip(glued, between)
  for (const word of glue) {
    const cost = isSentence ? (RARE_GLUE_WORDS.has(word) ? RARE_GLUE : FORM_GLUE) : ASIDE
    for (const at of [entry, hub]) grammar.word(at, word, glued, cost)
    grammar.word(glued, word, between, cost)
  }
  for (const correction of CORRECTIONS) grammar.phrase(hub, correction.split(' '), corrected, isSentence ? CORRECTED : 0, aside)
  for (const word of glue) grammar.word(corrected, word, corrected, isSentence ? FORM_GLUE : ASIDE)

  slots.forEach((slot, index) => {
    const asked = !isForm || expectation.asked === slot.id
    const cost = asked || !isForm || expectation.asked === null ? 0 : UNASKED
    for (const [from, again] of [[between, false], [corrected, true]] as const) {
      const phraseFrom = grammar.state()
      grammar.skip(from, phraseFrom)
      for (const leadIn of leadIns(slot.shape)) grammar.phrase(from, leadIn.split(' '), phraseFrom, 0, isSentence ? 0 : LEAD_IN)
      addShape(grammar, phraseFrom, hub, index, slot.shape, again, asked, cost)
    }
  })
  grammar.skip(hub, accept)
  for (const closing of CLOSINGS) grammar.phrase(hub, closing.split(' '), hub, 0, aside)
  return grammar.build(start, accept)
}

/**
 * A word beside a plain answer, in nats: an "eight" said unclearly must not become "it's". In an order, with its own ways in, carriers are free
 * and only little words cost, so that "some milk" is the milk's own words where the menu has them.
 */
const ASIDE = 5
const FORM_GLUE = 1
/** Callers correct themselves in one sentence of twenty: "I said mocha" must not be had for an "iced mocha". */
const CORRECTED = 3
/** "In Naples", "for me": seldom between two slots, and short enough to pass for the "drip" that the menu does not have. */
const RARE_GLUE_WORDS: ReadonlySet<string> = new Set(['of', 'for', 'in', 'one'])
const RARE_GLUE = 3
/** "My number is": what leads into this very answer is likelier than what leads into any. */
const LEAD_IN = 1.5

type Slot = Readonly<{ id: string; shape: SlotShape }>

/** What a sentence may fill. A bare yes, a name or a spelling means something only to the question it answers. */
function sayable(expectation: Expectation): readonly Slot[] {
  if (expectation.kind === 'open') return []
  if (expectation.kind !== 'form') return [{ id: ANSWER_SLOT, shape: expectation }]
  const asked = expectation.slots.find((slot) => slot.id === expectation.asked)
  const others = expectation.slots.filter((slot) => slot !== asked && !ANSWERS_ONLY.has(slot.shape.kind))
  // The slot asked for comes first: of two that the same words could fill, it is the one.
  const ordered = asked === undefined || asked.shape.kind === 'words' ? others : [asked, ...others]
  return ordered.slice(0, MOST_SLOTS)
}

/** Asked for one of these, callers say it and little else. */
const PLAIN_ANSWERS: ReadonlySet<SlotShape['kind']> = new Set(['digits', 'yes-no', 'money', 'spelling'])
const ANSWERS_ONLY: ReadonlySet<SlotShape['kind']> = new Set(['yes-no', 'name', 'spelling', 'words'])
/** Bits of a mask that stays a small integer. */
const MOST_SLOTS = 30
/** In nats: speech that fits the slot asked for as well belongs there. */
const UNASKED = 2

function distinct(phrases: readonly string[][]): string[][] {
  return [...new Map(phrases.filter((words) => words.length > 0).map((words) => [words.join(' '), words])).values()]
}

/** In front of any answer, also several of them. */
export const FILLERS: readonly string[] = ['um', 'uh', 'oh', 'well', 'so', 'okay', 'yeah', 'yes', 'hi', 'hello', 'hey', 'please', 'like', 'right', 'sure', 'let me see', "let's see", 'hi there', 'good morning', 'good afternoon']
const CARRIERS: readonly string[] = ["it's", 'it is', "that's", 'that is', "that'd be", 'that would be', 'it would be', 'the answer is', 'i think', "i think it's", 'i want', "i'd like", "i'll take", "i'll have", 'make it', 'just']
const FORM_CARRIERS: readonly string[] = [
  ...CARRIERS, 'can i get', 'can i have', 'could i get', 'could i have', 'may i have', 'may i get', 'i want to get', "i'd like to get", "i'd like to have", "i'd like to order", 'i would like', 'i would like to have',
  'give me', 'get me', 'let me get', 'let me have', 'i need', 'make me', 'make that', 'can you make me', 'could you make me', 'can you get me', 'i am looking for', "i'm looking for", 'do you have', 'we need', 'we want',
  "we'd like", 'can we get', 'could we get', 'can i please get', 'could i please have', 'can i please have', 'could i please get', 'may i please have', 'i need to book', "i'd like to book", 'i want to book', 'can i book',
  'i want to schedule', "i'd like to schedule", 'i need to schedule', 'can i schedule', 'i need to make an appointment for', "i'd like to make an appointment for", 'can i make an appointment for', 'can i get an appointment for',
]
/** Between the slots of an order. */
const GLUE: readonly string[] = ['a', 'an', 'the', 'some', 'with', 'and', 'of', 'for', 'one', 'uh', 'um', 'please', 'also', 'plus', 'in']
const PLAIN_GLUE: readonly string[] = ['uh', 'um', 'and', 'a', 'the', 'for']
const CORRECTIONS: readonly string[] = [
  'no', 'sorry', 'no sorry', 'sorry no', 'wait', 'no wait', 'i mean', 'no i mean', 'sorry i mean', 'actually', 'no actually', 'make that', 'make it', 'no make that', 'no make it', 'actually make that', 'actually make it', 'or rather',
  'rather', 'scratch that', 'let me correct that', 'i meant', 'no i meant', 'i said', 'no i said', 'not that',
]
const CLOSINGS: readonly string[] = ['please', 'thanks', 'thank you', 'thank you very much', 'uh', 'um', "that's it", "that's all", 'that is all', 'that is it', 'if possible', 'if you can', 'to go', 'for me', 'would work', 'works for me', 'would be great',
  'would be good', 'is fine', 'is good', 'works', 'for now', 'would be fine', 'would be perfect', 'okay']
