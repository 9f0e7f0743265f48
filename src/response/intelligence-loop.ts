import type { BookingDesk } from '../booking/booking-desk.ts'
import type { LatencyBudget } from '../core/latency-budget.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import { standsAlone } from './answer-cache.ts'
import { firstAnswer, type Answer, type AnswerStep, type Turn } from './answer-step.ts'
import { LINES } from './built-in-lines.ts'
import { callEvents } from './call-events.ts'
import { callHandling, emergencies, offerHelp } from './call-handling.ts'
import { contentAnswer } from './content-answer.ts'
import type { DialogueState } from './dialogue.ts'
import { standingExpectation } from './form-context.ts'
import { aheadOfForms, formTalk } from './form-talk.ts'
import { understand } from './intent.ts'
import { learned } from './learning.ts'
import { decidedAnswer, mayUseModel, meaningOf, modelAnswer, type ModelDeps } from './model-answer.ts'
import { inCharacter } from './personality.ts'
import { claims, factsOf, polish, toSpeakable, traceable } from './quality.ts'
import type { Question, ReplyPart, Responder } from './responder.ts'
import { hoursAt } from './spoken-hours.ts'
import { templateScope } from './templates.ts'
import { plainText } from './words.ts'

export type IntelligenceDeps = Readonly<{
  /** Null: no model is configured, and the company's own answers stand. */
  model: ModelDeps | null
  /** Where visits are booked; null: a caller who wants one is called back. */
  desk?: BookingDesk | null
  budget?: LatencyBudget
}>

/** Meaning is worth a short wait, not a late reply: a query takes 30 to 50 ms, twice that on a busy machine. */
const KNOWLEDGE_MS = 120
/** Entries a model is shown where none answers by itself: more of them cost time and invite mixing. */
const SOURCES = 3

/**
 * One pass a turn: context, emergencies, what the caller does, what the company knows, a model, an honest "I don't know"; then
 * quality, personality and what was learned. Never throws for a failing step; throws the signal's reason when it aborts.
 */
export function createResponder(deps: IntelligenceDeps): Responder {
  const content = contentAnswer(deps.budget?.stagesMs.knowledge ?? KNOWLEDGE_MS)
  const company = companyAnswer(content, deps.model, deps.budget?.stagesMs.response ?? Infinity)
  const forms = formTalk({ content: company, desk: deps.desk ?? null })
  const answer = firstAnswer(aheadOfForms(emergencies), forms, callEvents, callHandling, company, honestUnknown)
  return {
    async *respond(question, signal) {
      signal.throwIfAborted()
      const trace: ReplyPart[] = []
      const turn = prepare(question, trace)
      if (turn === null) {
        yield { kind: 'say', text: LINES.unsafeToSay as SpeakableText, source: 'unknown', entryId: null }
        yield { kind: 'trace', step: 'context', detail: { failed: 'the context belongs to another company' } }
        return
      }
      const found = (await answer(turn, signal)) ?? (await honestUnknown(turn, signal)) as Answer
      for (let part: Answer | null = found; part !== null; part = part.after === undefined ? null : await part.after(signal)) yield* deliver(turn, part, signal)
      yield* trace
    },
  }
}

/** Null when the picture of the company is not this call's company: then nothing of it may be said. */
function prepare(question: Question, trace: ReplyPart[]): Turn | null {
  const finishContext = question.stages.start('context')
  const { company, agent, knowledge } = question.context
  if ([company.id, agent.companyId, knowledge.companyId].some((id) => id !== question.companyId)) {
    finishContext('failed')
    return null
  }
  const hours = hoursAt(company, question.wallTime)
  const scope = templateScope(question.context, question.wallTime, hours)
  finishContext()
  const finishIntent = question.stages.start('intent')
  const text = question.input.kind === 'speech' ? question.input.text : ''
  const understanding = understand(text, company.mishearings, [agent.personality.name, company.name])
  finishIntent()
  const note = (step: string, detail: Readonly<Record<string, unknown>>): void => {
    trace.push({ kind: 'trace', step, detail })
  }
  if (text !== '') note('intent', { act: understanding.act, rest: understanding.rest })
  return { question, text, plain: plainText(text, company.mishearings), understanding, hours, scope, trace: note }
}

/** What the company's data says. A model words it where the entry allows, and is asked where the data is silent. */
function companyAnswer(content: AnswerStep, model: ModelDeps | null, modelMs: number): AnswerStep {
  return async function companyAnswer(turn, signal) {
    if (model === null || !mayUseModel(model, turn)) return content(turn, signal)
    const cache = model.cache ?? null
    const decided = cache === null ? null : decidedAnswer(cache, turn, null)
    if (decided !== null) return decided
    const local = await content(turn, signal)
    const { context } = turn.question
    const entry = local === null || local.entryId === null ? undefined : context.entryById.get(local.entryId)
    if (local !== null && entry?.mode !== 'generated' && local.intent !== 'clarify') return local
    const meaning = cache === null || !standsAlone(turn) ? null : await meaningOf(turn, signal)
    const alike = cache === null || meaning === null ? null : decidedAnswer(cache, turn, meaning)
    if (alike !== null) return alike
    const sources = entry === undefined ? context.knowledge.searchByWords(turn.text, { limit: SOURCES }).map((match) => match.entry.id) : [entry.id]
    return (await modelAnswer(model, turn, local, sources, modelMs, meaning, signal)) ?? local
  }
}

/** The second miss in a row offers help instead of another apology. */
const honestUnknown: AnswerStep = async function honestUnknown(turn) {
  const { agent } = turn.question.context
  const missed = turn.question.dialogue.unansweredCount + 1
  const line = agent.lines.unknown[Math.min(missed, agent.lines.unknown.length) - 1] as string
  const unknown = { source: 'unknown', intent: 'unknown', entryId: null, confidence: 0, gap: true } as const
  if (missed < 2) return { ...unknown, texts: [line], dialogue: { unansweredCount: missed } }
  return { ...unknown, ...offerHelp(turn, [line], missed) }
}

/** Words a reply may never be cut below, whatever the agent's cap: two sentences of an emergency. */
const WHOLE_REPLY_WORDS = 120

async function* deliver(turn: Turn, answer: Answer, signal: AbortSignal): AsyncGenerator<ReplyPart> {
  const { question } = turn
  const { agent } = question.context
  const finishPersonality = question.stages.start('personality')
  const isAnswer = answer.source === 'fixed-answer' || answer.source === 'template'
  const voiced = answer.source === 'emergency' || answer.source === 'repeat' ? [...answer.texts] : inCharacter(answer.texts, agent, { isAnswer, turn: question.turn })
  finishPersonality()
  const finishQuality = question.stages.start('quality')
  const maxWords = answer.isWhole === true ? WHOLE_REPLY_WORDS : agent.maxReplyWords
  const greeted = answer.source !== 'greeting' && answer.source !== 'repeat' && answer.intent !== 'greeting' && question.dialogue.greeted
  const polished = polish(keepOffer(voiced, answer, maxWords), { maxWords, greeted })
  const kept = isAnswer || answer.source === 'form' ? withoutInventions(turn, polished, answer.facts ?? []) : polished
  const spoken: SpeakableText[] = kept.length > 0 || answer.texts.length === 0 ? [...kept] : polish([agent.lines.unknown[0] as string], { maxWords, greeted })
  finishQuality()
  for (const text of spoken) {
    const origin = answer.origins?.find((candidate) => candidate.text.includes(text))
    yield { kind: 'say', text, source: answer.source, entryId: origin === undefined ? answer.entryId : origin.entryId }
  }
  if (answer.more !== undefined) yield* streamed(answer, spoken, maxWords)
  const end = answer.conclusion?.() ?? answer
  if (end !== answer) {
    for (const text of polish(end.texts, { maxWords: WHOLE_REPLY_WORDS, greeted })) {
      spoken.push(text)
      yield { kind: 'say', text, source: answer.source, entryId: answer.entryId }
    }
  }
  signal.throwIfAborted()
  if (end.action !== undefined) yield { kind: 'act', action: end.action }
  yield { kind: 'expect', expectation: end.expect ?? standingExpectation(turn, end.dialogue?.form ?? question.dialogue.form ?? null) }
  const record = learned(turn, answer)
  if (record !== null) yield { kind: 'learn', record }
  yield { kind: 'dialogue', state: nextState(question.dialogue, { ...answer, dialogue: { ...answer.dialogue, ...end.dialogue } }, spoken) }
}

/** An offer whose question would fall to the word cap makes room for itself: a "yes" must have been asked for. */
function keepOffer(texts: readonly string[], answer: Answer, maxWords: number): string[] {
  const ask = texts.at(-1)
  if (answer.expect === undefined || answer.expect.kind === 'open' || ask === undefined || texts.length < 2) return [...texts]
  const room = maxWords - ask.split(' ').length
  return [...polish(texts.slice(0, -1), { maxWords: room, greeted: false }), ask]
}

/**
 * The data is the company's own, but a template may have said a number that nothing else backs. `said`: texts of this reply whose
 * numbers are the caller's own, or come from the booking desk.
 */
function withoutInventions(turn: Turn, texts: readonly SpeakableText[], said: readonly string[]): SpeakableText[] {
  if (texts.every((text) => !/\d|dollar|hundred|noon|midnight/i.test(text))) return [...texts]
  const facts = new Set([...factsOf(turn.question.context, turn.scope), ...said.flatMap(claims)])
  return texts.filter((text) => {
    if (traceable(text, facts)) return true
    turn.trace('quality', { dropped: text })
    return false
  })
}

async function* streamed(answer: Answer, spoken: SpeakableText[], maxWords: number): AsyncGenerator<ReplyPart> {
  let wordCount = spoken.reduce((count, text) => count + text.split(' ').length, 0)
  for await (const sentence of answer.more ?? []) {
    const text = toSpeakable(sentence)
    if (text === null || spoken.includes(text)) continue
    wordCount += text.split(' ').length
    if (wordCount > maxWords) return
    spoken.push(text)
    yield { kind: 'say', text, source: answer.source, entryId: answer.entryId }
  }
}

function nextState(now: DialogueState, answer: Answer, spoken: readonly SpeakableText[]): DialogueState {
  return Object.freeze({
    greeted: true,
    lastReply: spoken.length > 0 && answer.source !== 'silence-prompt' ? spoken : now.lastReply,
    unansweredCount: 0,
    inaudibleCount: answer.source === 'silence-prompt' ? (now.inaudibleCount ?? 0) : 0,
    offer: null,
    topicEntryId: now.topicEntryId,
    onHold: answer.source === 'silence-prompt' && now.onHold,
    callerName: now.callerName,
    ...(now.form === undefined ? {} : { form: now.form }),
    ...answer.dialogue,
  })
}
