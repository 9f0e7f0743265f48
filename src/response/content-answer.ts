import type { KnowledgeEntry } from '../tenancy/knowledge-entry.ts'
import type { Answer, AnswerStep, Turn } from './answer-step.ts'
import type { KnowledgeMatch } from './company-context.ts'
import { LINES } from './built-in-lines.ts'
import { entryOffer, zipAnswer } from './call-handling.ts'
import { withDeadline } from '../core/deadline.ts'
import { isClientsViaError } from '../core/errors.ts'
import { understand, type Understanding } from './intent.ts'
import { isStory, splitQuestions, type QuestionPart } from './questions.ts'
import { dayName, hoursAt, hoursOnDay, weekdayAfter, type Weekday } from './spoken-hours.ts'
import { chooseTemplate, renderText } from './templates.ts'
import { contentWords, plainText } from './words.ts'

/** Knowledge must be this sure. By words alone a wrong answer comes easier than by words and meaning together. */
const FLOOR = { fused: 0.46, lexical: 0.52, thin: 0.8, followUp: 0.5 } as const
/** Both questions of one breath are answered when each is this sure by itself; otherwise the whole sentence is one question. */
const PART_FLOOR = 0.55
/** Two things joined by a mere "and" may be one: "licensed and insured". Each must be a question in itself. */
const LOOSE_PART_FLOOR = 0.66
/** Above this a question stands by itself, whatever was talked of before. */
const SURE = 0.85
const MATCHES = 3
/** Below this, and this close together, the first of two is wrong as often as right: the caller is asked which was meant. */
const DOUBT = { below: 0.6, margin: 0.1 } as const

/** Answers from the company's own data: hours, ZIP codes, knowledge entries, templates. Null: the company has no answer. */
export function contentAnswer(knowledgeMs: number): AnswerStep {
  return async function content(turn, signal) {
    const chosen = chosenOfTwo(turn)
    if (chosen !== null) return entryAnswer(turn, chosen, 1)
    const parts = splitQuestions(turn.text)
    const [only] = parts
    if (only === undefined || (parts.length === 1 && only.text.length > turn.text.length / 2)) return answerOne(turn, turn.text, topicOf(turn), knowledgeMs, signal)
    const whole = isStory(turn.text) ? null : answerOne(turn, turn.text, topicOf(turn), knowledgeMs, signal)
    const answers = await Promise.all([whole, answerParts(turn, parts, knowledgeMs, signal)])
    return choose(answers[0], answers[1])
  }
}

type PartAnswer = Readonly<{ part: QuestionPart; answer: Answer }>

/** Each part by itself; one that leans on the part before it ("and how much is that") waits for it. */
async function answerParts(turn: Turn, parts: readonly QuestionPart[], knowledgeMs: number, signal: AbortSignal): Promise<PartAnswer[]> {
  const { company } = turn.question.context
  const answers: Promise<Answer | null>[] = []
  for (const [index, part] of parts.entries()) {
    const before = answers[index - 1]
    const leans = before !== undefined && understand(part.text, company.mishearings, []).isFollowUp
    answers.push((leans ? before : Promise.resolve(null)).then((earlier) => answerOne(turn, part.text, entryOf(turn, earlier?.entryId ?? null) ?? topicOf(turn), knowledgeMs, signal)))
  }
  const found = await Promise.all(answers)
  return parts.flatMap((part, index) => {
    const answer = found[index]
    return answer === null || answer === undefined ? [] : [{ part, answer }]
  })
}

/** All the sure parts, if there are several; else the surest reading, the whole sentence's included. */
function choose(whole: Answer | null, parts: readonly PartAnswer[]): Answer | null {
  const sure = parts.filter(({ part, answer }) => answer.confidence >= (part.isLoose ? LOOSE_PART_FLOOR : PART_FLOOR)).map(({ answer }) => answer)
  const distinct = sure.filter((answer, index) => sure.findIndex((other) => other.intent === answer.intent && other.entryId === answer.entryId) === index)
  if (distinct.length >= 2) return together(distinct)
  return [whole, ...sure].reduce((a, b) => (b !== null && (a === null || b.confidence > a.confidence) ? b : a), null)
}

/** Several answers in the order of their questions; only the last one's offer is made. */
function together(answers: readonly Answer[]): Answer {
  const last = answers.at(-1) as Answer
  const texts = answers.flatMap((answer, index) => (index === answers.length - 1 || answer.expect === undefined ? answer.texts : answer.texts.slice(0, -1)))
  const origins = answers.flatMap((answer) => answer.texts.map((text) => ({ text, entryId: answer.entryId })))
  return { ...last, intent: answers.map((answer) => answer.intent).join('+'), confidence: Math.min(...answers.map((answer) => answer.confidence)), texts, origins }
}

async function answerOne(turn: Turn, text: string, topic: KnowledgeEntry | null, knowledgeMs: number, signal: AbortSignal): Promise<Answer | null> {
  const { company, agent } = turn.question.context
  const understanding = text === turn.text ? turn.understanding : understand(text, company.mishearings, [agent.personality.name, company.name])
  if (understanding.zip !== null) {
    const answer = zipAnswer(turn, understanding.zip)
    if (answer !== null) return answer
  }
  const isFollowUpOnHours = topic?.category === 'hours' && understanding.isFollowUp
  if (understanding.day !== null && (understanding.isAboutHours || isFollowUpOnHours)) return dayAnswer(turn, understanding, topic)
  const asked = understanding.rest === '' ? text : understanding.rest
  const matches = await search(turn, asked, knowledgeMs, signal)
  const best = matches[0]
  turn.trace('knowledge', {
    asked,
    matches: matches.map((match) => ({ id: match.entry.id, score: round(match.score), lexical: round(match.lexicalScore), semantic: match.semanticScore === null ? null : round(match.semanticScore), phrase: match.matchedPhrase })),
  })
  const floor = understanding.act === 'thin' || contentWords(asked).length === 0 ? FLOOR.thin : best?.semanticScore === null ? FLOOR.lexical : FLOOR.fused
  if (topic !== null && understanding.isFollowUp && (isBarePrice(understanding, asked) || best === undefined || best.score < SURE)) {
    const answer = await followUp(turn, understanding, asked, topic, best ?? null, knowledgeMs, signal)
    if (answer !== null) return answer
  }
  if (best !== undefined && best.score >= floor) {
    const other = matches[1]
    const isDoubtful = best.score < DOUBT.below && other !== undefined && best.score - other.score < DOUBT.margin
    return isDoubtful && text === turn.text ? which(turn, best, other) : entryAnswer(turn, best.entry, best.score)
  }
  const isThin = understanding.act === 'thin' || (contentWords(asked).length <= 1 && asked.split(' ').length <= 3)
  if (isThin && text === turn.text) return clarify(turn)
  return null
}

/** The words alone, when the meaning comes too late or not at all. */
async function search(turn: Turn, text: string, knowledgeMs: number, signal: AbortSignal): Promise<readonly KnowledgeMatch[]> {
  const { question } = turn
  const { knowledge } = question.context
  const finish = question.stages.start('knowledge')
  const leftMs = Math.max(0, Math.min(knowledgeMs, question.firstPartBy - question.clock.now()))
  try {
    const matches = await withDeadline(question.clock, leftMs, signal, (inner) => knowledge.search(text, { limit: MATCHES }, inner))
    finish()
    return matches
  } catch (error) {
    signal.throwIfAborted()
    const isLate = isClientsViaError(error, 'DEADLINE_PASSED')
    finish(isLate ? 'cut-off' : 'failed')
    turn.trace('knowledge', { [isLate ? 'cutOff' : 'failed']: isLate ? leftMs : error instanceof Error ? error.message : 'unknown' })
    return knowledge.searchByWords(text, { limit: MATCHES })
  }
}

function topicOf(turn: Turn): KnowledgeEntry | null {
  return entryOf(turn, turn.question.dialogue.topicEntryId)
}

function entryOf(turn: Turn, entryId: string | null): KnowledgeEntry | null {
  return entryId === null ? null : (turn.question.context.entryById.get(entryId) ?? null)
}

/** "And how much is that?": the topic's price, the topic again, or the words read together with the topic. */
async function followUp(
  turn: Turn,
  understanding: Understanding,
  asked: string,
  topic: KnowledgeEntry,
  direct: KnowledgeMatch | null,
  knowledgeMs: number,
  signal: AbortSignal,
): Promise<Answer | null> {
  if (isBarePrice(understanding, asked)) {
    const price = priceEntryFor(turn, topic)
    if (price !== null) {
      turn.trace('follow-up', { topic: topic.id, entry: price.id })
      return entryAnswer(turn, price, FLOOR.followUp + 0.2)
    }
  }
  const matches = await search(turn, `${asked} ${plainText(topic.question)}`, knowledgeMs, signal)
  const related = matches.find((match) => match.entry.id !== topic.id && match.score >= FLOOR.followUp && match.entry.tags.some((tag) => tag !== 'price' && topic.tags.includes(tag)))
  if (related === undefined || related.score <= (direct?.score ?? 0)) return null
  turn.trace('follow-up', { topic: topic.id, entry: related.entry.id })
  return entryAnswer(turn, related.entry, related.score)
}

/** "How much is it" alone names nothing: it is about what was talked of. */
function isBarePrice(understanding: Understanding, asked: string): boolean {
  return understanding.isAboutPrice && contentWords(asked).every((word) => PRICE_TALK.has(word.text))
}

const PRICE_TALK = new Set(['cost', 'costs', 'price', 'charge', 'charges', 'fee', 'expensive', 'run', 'money'])

function priceEntryFor(turn: Turn, topic: KnowledgeEntry): KnowledgeEntry | null {
  if (topic.tags.includes('price')) return topic
  const subjects = topic.tags.filter((tag) => tag !== 'price' && tag !== 'service' && tag !== 'booking')
  const priced = [...turn.question.context.entryById.values()].filter((entry) => entry.enabled && entry.tags.includes('price') && entry.tags.some((tag) => subjects.includes(tag)))
  return priced.sort((a, b) => Number(b.category === 'prices') - Number(a.category === 'prices') || b.priority - a.priority)[0] ?? null
}

/** Template first (the agent's own wording for the intent), then the entry's answer. Null when neither renders. */
function entryAnswer(turn: Turn, entry: KnowledgeEntry, confidence: number): Answer | null {
  const finish = turn.question.stages.start('template')
  const chosen = chooseTemplate(turn.question.context, [entry.id], turn.scope)
  finish(chosen === null ? 'skipped' : 'done')
  const text = chosen?.text ?? renderText(entry.answer, turn.scope)
  if (text === null || text === '') {
    turn.trace('template', { entry: entry.id, failed: 'names something the company does not have' })
    return null
  }
  const offer = entryOffer(turn, entry.id)
  return {
    source: chosen === null ? 'fixed-answer' : 'template',
    intent: entry.category,
    entryId: entry.id,
    confidence,
    texts: [text, ...(offer?.texts ?? [])],
    ...(offer?.expect === undefined ? {} : { expect: offer.expect }),
    dialogue: { topicEntryId: entry.id, ...offer?.dialogue },
  }
}

function dayAnswer(turn: Turn, understanding: Understanding, topic: KnowledgeEntry | null): Answer {
  const { company } = turn.question.context
  const { wallTime } = turn.question
  const hours = hoursAt(company, wallTime)
  const days: Weekday[] =
    understanding.day === 'weekend'
      ? ['saturday', 'sunday']
      : [understanding.day === 'today' ? hours.weekday : understanding.day === 'tomorrow' ? weekdayAfter(hours.weekday, 1) : (understanding.day ?? hours.weekday)]
  const said = days.map((day) => ({ day, ...hoursOnDay(company, wallTime, day) }))
  const name = (day: Weekday): string => (understanding.day === 'today' || understanding.day === 'tomorrow' ? understanding.day : `on ${dayName(day)}`)
  const parts = said.map(({ day, open, spoken }) => (open ? `open ${name(day)} ${spoken}` : `closed ${name(day)}`))
  const texts = [`We're ${parts.join(' and ')}.`]
  if (said.every((entry) => !entry.open)) texts.push(`Our hours are ${hours.week}.`)
  const hoursEntry = topic?.category === 'hours' ? topic.id : ([...turn.question.context.entryById.values()].find((entry) => entry.category === 'hours')?.id ?? null)
  return { source: 'template', intent: 'day-hours', entryId: hoursEntry, confidence: 0.95, texts, dialogue: { topicEntryId: hoursEntry } }
}

/** "Did you mean this or that?": nobody is asked twice in a row. */
function which(turn: Turn, first: KnowledgeMatch, second: KnowledgeMatch): Answer | null {
  if (turn.question.dialogue.offer?.kind === 'which') return entryAnswer(turn, first.entry, first.score)
  turn.trace('which', { first: first.entry.id, second: second.entry.id })
  const text = `Did you mean, ${quoted(first.entry)}, or, ${quoted(second.entry)}?`
  const offer = { kind: 'which', entryId: first.entry.id, otherEntryId: second.entry.id } as const
  return { source: 'rule', intent: 'which', entryId: null, confidence: first.score, texts: [text], dialogue: { offer, topicEntryId: turn.question.dialogue.topicEntryId } }
}

function quoted(entry: KnowledgeEntry): string {
  const question = entry.question.replace(/[.?!\s]+$/, '')
  return /^I\b|^[A-Z]{2}/.test(question) ? question : question.charAt(0).toLowerCase() + question.slice(1)
}

/** What a caller says of two things just named: the place of one, a plain yes, or words that only one of them has. */
function chosenOfTwo(turn: Turn): KnowledgeEntry | null {
  const { offer } = turn.question.dialogue
  if (offer === null || offer.kind !== 'which') return null
  const first = entryOf(turn, offer.entryId)
  const second = entryOf(turn, offer.otherEntryId ?? null)
  const { plain, understanding } = turn
  if (/\b(?:second|latter|last one|other one)\b/.test(plain)) return second
  if (understanding.act === 'yes' || /\b(?:first|former)\b/.test(plain)) return first
  const said = new Set(contentWords(plain).map((entry) => entry.stem))
  const shared = (entry: KnowledgeEntry | null): number => (entry === null ? 0 : contentWords(plainText(entry.question)).filter((word) => said.has(word.stem)).length)
  const lead = shared(first) - shared(second)
  // More words than a name of the thing are a question of their own.
  if (lead === 0 || said.size > 3) return null
  return lead > 0 ? first : second
}

function clarify(turn: Turn): Answer {
  const missed = turn.question.dialogue.unansweredCount + 1
  return { source: 'rule', intent: 'clarify', entryId: null, confidence: 0, texts: [LINES.clarify], dialogue: { unansweredCount: missed, topicEntryId: turn.question.dialogue.topicEntryId } }
}

function round(score: number): number {
  return Math.round(score * 1000) / 1000
}
