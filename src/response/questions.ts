import { asksPrice } from './knowledge.ts'
import { sentences } from './sentences.ts'
import { contentWords, plainText } from './words.ts'

/** `isLoose`: joined by a mere "and", so it may be one question after all. `isAsked`: has the form of a question. */
export type QuestionPart = Readonly<{ text: string; isLoose: boolean; isAsked: boolean }>

/** A caller who asks four things at once hears the first three, and asks again. */
const MAX_QUESTIONS = 3
/** Twenty seconds of speech. A story this long is told on the way to a question. */
const STORY_WORDS = 35

const ASKING = 'what|how|do|does|can|could|are|is|where|when|who|which|will|would|should|did|have you'
/** "And", as it is heard, before a new question: the two stand by themselves. */
const NEW_QUESTION = new RegExp(`(?:,\\s*|\\s+)(?:and also|oh and|and then|and|end|also|plus|but|so|anyway|now|well),?\\s+(?=(?:${ASKING}|what's|how's|i need|i want|i would|i'd|i have|my)\\b)|(?:,\\s*|\\s+)(?=(?:also|plus)\\s)`, 'i')
/** "Your hours and the price of a tune-up": two things asked for with one verb. */
const SECOND_THING = /(?:,\s*|\s+)(?:and|end|or|plus|as well as),?\s+(?=(?:the|your|a|an|any|whether|if|for|to)\b)/i
const ASKED = new RegExp(`\\?$|^(?:(?:so|and|but|well|anyway|okay|now|also|then|um|uh)\\b[ ,]*)*(?:${ASKING}|tell me|i need|i want|i would like|i'd like|i was wondering)\\b`, 'i')

/** The questions in one breath, in their order. Of a long story the last ones: that is where it was going. */
export function splitQuestions(text: string): QuestionPart[] {
  const parts = text.split(NEW_QUESTION).flatMap(sentences).flatMap(splitThings)
  const meant = parts.filter((part) => contentWords(plainText(part.text)).length > 0 || asksPrice(plainText(part.text)))
  if (!isStory(text)) return meant.slice(0, MAX_QUESTIONS)
  const asked = meant.filter((part) => part.isAsked)
  return (asked.length > 0 ? asked : meant).slice(-MAX_QUESTIONS)
}

/** Too long to be looked up as one question. */
export function isStory(text: string): boolean {
  return text.split(/\s+/).length >= STORY_WORDS
}

function splitThings(sentence: string): QuestionPart[] {
  const [first = '', ...others] = sentence.split(SECOND_THING).map((part) => part.trim())
  const isAsked = ASKED.test(sentence.trim())
  const isPrice = asksPrice(plainText(first))
  const rest = others.map((part) => ({ text: isPrice && !asksPrice(plainText(part)) ? `how much is ${part.replace(/^(?:for|to) /i, '')}` : part, isLoose: true, isAsked }))
  return [{ text: first, isLoose: rest.length > 0, isAsked }, ...rest]
}
