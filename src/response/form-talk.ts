import type { BookingDesk } from '../booking/booking-desk.ts'
import { unlessAway } from '../core/errors.ts'
import { formAct, plainYesNo } from '../forms/form-act.ts'
import { FORM_LINES, sayValue } from '../forms/form-lines.ts'
import type { FormContext, FormMove, Said } from '../forms/form-move.ts'
import { anchored, heardByForm, openedForm, pausedForm } from '../forms/form-step.ts'
import { isLive, newFormState, slotOf, type FormState } from '../forms/form-state.ts'
import type { Form } from '../tenancy/form.ts'
import type { Answer, AnswerStep, Turn } from './answer-step.ts'
import { LINES } from './built-in-lines.ts'
import { callEvents } from './call-events.ts'
import { callHandling } from './call-handling.ts'
import { callerNumber, formById, formContext, standingExpectation } from './form-context.ts'
import { formToOpen } from './form-opening.ts'
import { FORM_PLAIN, handOver, knownSlots, offerTimes, spokenFacts, submit, withoutCalendar } from './form-outcome.ts'
import { understand } from './intent.ts'
import { ownAppointments } from './own-appointments.ts'
import { plainText } from './words.ts'

export type FormTalkDeps = Readonly<{
  /** What the company knows: for questions in between. */
  content: AnswerStep
  /** Null: nothing can be booked, and a caller is called back. */
  desk: BookingDesk | null
}>

/** An answer to a question in between must be this sure; and this sure to be given where nothing was asked. */
const IN_BETWEEN = { asked: 0.45, unasked: 0.75 } as const

/** Fills forms: begins one, goes on with one, and lets nothing that a caller says about something else be lost over it. */
export function formTalk(deps: FormTalkDeps): AnswerStep {
  return async function formTalk(turn, signal) {
    const state = turn.question.dialogue.form ?? null
    const own = await ownAppointments(turn, deps.desk, signal)
    if (own?.move === null) return withoutCalendar(turn, own.context, newFormState(own.context.form.id), [])
    if (own !== null) return follow(turn, own.context, own.move, deps, [], signal)
    if (isLive(state)) {
      const form = formById(turn.question.context.company, state.formId)
      return form === null ? null : goOn(turn, form, state, deps, signal)
    }
    const { said, question } = partsOf(turn)
    // "Can I get a small latte, how much is that?" is an order with a question beside it.
    const form = formToOpen(turn) ?? (question === null || said.text === '' ? null : formToOpen(withText(turn, said.text)))
    if (form === null) return null
    turn.trace('form', { opened: form.id })
    const context = formContext(turn, form)
    const move = openedForm(context, said, await knownOf(turn, form, deps.desk, signal))
    // "How much is that" is about what was said before it.
    const answer = question === null ? null : ((await inBetween(turn, question, IN_BETWEEN.asked, deps, signal)) ?? (await inBetween(turn, turn.text, IN_BETWEEN.asked, deps, signal)))
    return follow(turn, context, move, deps, answer?.texts ?? [], signal, answer)
  }
}

/** What the books say of a caller by their number, for the slots that may recall it. A calendar that does not answer knows nobody. */
async function knownOf(turn: Turn, form: Form, desk: BookingDesk | null, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
  const number = callerNumber(turn.question.from)
  if (desk === null || number === null || form.outcome !== 'appointment' || !form.slots.some((slot) => slot.recall && (slot.type === 'name' || slot.type === 'address'))) return {}
  const customer = await unlessAway(desk.customer(turn.question.companyId, number, signal), null)
  return customer === null ? {} : knownSlots(form, customer)
}

/** An emergency comes before any form: what was said so far is kept, and nothing is booked until the caller says so again. */
export function aheadOfForms(step: AnswerStep): AnswerStep {
  return async function emergencies(turn, signal) {
    const answer = await step(turn, signal)
    const form = turn.question.dialogue.form ?? null
    if (answer === null || !isLive(form)) return answer
    return { ...answer, dialogue: { ...answer.dialogue, form: pausedForm(form) } }
  }
}

async function goOn(turn: Turn, form: Form, state: FormState, deps: FormTalkDeps, signal: AbortSignal): Promise<Answer | null> {
  const context = formContext(turn, form)
  const { input } = turn.question
  switch (input.kind) {
    case 'answered':
      return input.resumed ? follow(turn, context, anchored(context, state), deps, [FORM_LINES.cutOff], signal) : null
    case 'silence':
    case 'inaudible':
      return asked(turn, context, state, await callEvents(turn, signal))
    case 'dtmf':
      return onKeys(turn, context, state, input.digits, deps, signal)
    case 'speech':
      return onSpeech(turn, context, state, deps, signal)
    case 'limit':
      return null
  }
}

/** "Are you still there?", and the question again, so that an answer is one. */
function asked(turn: Turn, context: FormContext, state: FormState, answer: Answer | null): Answer | null {
  if (answer === null || answer.action !== undefined) return answer
  const offersHelp = answer.dialogue?.offer !== undefined && answer.dialogue.offer !== null
  if (offersHelp || state.phase === 'submitting') return answer
  const move = anchored(context, state)
  const { input } = turn.question
  // Once is a reminder; again and again would be nagging.
  if (input.kind === 'silence' && input.count > 1) return { ...answer, expect: move.expect }
  return { ...answer, texts: [...answer.texts, ...move.say], expect: move.expect, facts: [...spokenFacts(context, state), ...move.say] }
}

async function onKeys(turn: Turn, context: FormContext, state: FormState, digits: string, deps: FormTalkDeps, signal: AbortSignal): Promise<Answer | null> {
  if (turn.question.dialogue.offer !== null) return null
  if (digits === '#' || digits === '*') return follow(turn, context, anchored(context, state), deps, [], signal)
  const said: Said = { text: digits.replace(/[^\d*]/g, ''), reading: null, source: 'keys', withQuestion: false }
  const move = heardByForm(context, state, said)
  // Nought for a person is known to everybody.
  if (!move.understood && digits === '0') return null
  return follow(turn, context, move, deps, [], signal)
}

async function onSpeech(turn: Turn, context: FormContext, state: FormState, deps: FormTalkDeps, signal: AbortSignal): Promise<Answer | null> {
  const { dialogue } = turn.question
  const { act } = turn.understanding
  const answer = plainYesNo(turn.text)
  if (dialogue.offer !== null && answer !== null) {
    // "No" to help in an emergency: then there is the booking, if it is still wanted.
    if (answer === 'no' && state.phase === 'paused' && (dialogue.offer.kind === 'transfer' || dialogue.offer.kind === 'message')) return resumeOffer(turn, context, state)
    return null
  }
  // "That is all, goodbye" ends the call, and so does a no to whatever was asked; a yes is still an answer.
  if (act === 'goodbye' && answer !== 'yes' && answer !== 'hedged' && formAct(turn.text) !== 'give-up') return null
  if (formAct(turn.text) === null) {
    const said = act === 'person' || act === 'message' ? !/\d{3}|(?:\b(?:oh|zero|one|two|three|four|five|six|seven|eight|nine)\b[ ,.-]*){4}/i.test(turn.text) : act === 'hold' || act === 'repeat'
    if (said) return { ...((await callHandling(turn, signal)) as Answer), ...(act === 'person' || act === 'message' ? {} : { expect: standingExpectation(turn, state) }) }
    if (act === 'foreign') return null
    if (act === 'robot' || act === 'who') return asked(turn, context, state, await callHandling(turn, signal))
  }
  if (state.phase === 'paused' && answer === null && formAct(turn.text) === null) {
    const other = await inBetween(turn, turn.text, IN_BETWEEN.asked, deps, signal)
    return other ?? resumeOffer(turn, context, state)
  }
  const { said, question } = partsOf(turn)
  if (question !== null) {
    const found = await inBetween(turn, question, IN_BETWEEN.asked, deps, signal)
    if (found !== null) {
      const move = said.text === '' ? anchored(context, state) : heardByForm(context, state, said)
      const next = move.understood ? move : anchored(context, state)
      return follow(turn, context, next, deps, found.texts, signal, found)
    }
  }
  const whole = question === null ? said : { ...said, text: turn.text, withQuestion: false }
  const move = heardByForm(context, state, whole)
  if (move.understood) return follow(turn, context, move, deps, [], signal)
  if (question !== null) {
    const line = turn.question.context.agent.lines.unknown[0] as string
    return { ...(await follow(turn, context, anchored(context, state), deps, [firstSentence(line)], signal)), gap: true }
  }
  // A remark is answered, too, but it was no answer to the form: an attempt is used up, or the same question would be put for ever.
  const other = await inBetween(turn, turn.text, IN_BETWEEN.unasked, deps, signal)
  return other === null ? follow(turn, context, move, deps, [], signal) : follow(turn, context, move, deps, other.texts, signal, other)
}

function resumeOffer(turn: Turn, context: FormContext, state: FormState): Answer {
  const move = anchored(context, state)
  return { ...FORM_PLAIN, intent: `form:${context.form.id}`, texts: [LINES.allRight, ...move.say], expect: standingExpectation(turn, state), dialogue: { form: move.state } }
}

/** "I'm sorry, I don't know that. Is there something else ..." is followed by a question of the form's already. */
function firstSentence(line: string): string {
  return /^[^.!?]*[.!]/.exec(line)?.[0] ?? line
}

/** What the form has decided becomes words, a search or a deed. `lead`: what is said before. */
async function follow(turn: Turn, context: FormContext, move: FormMove, deps: FormTalkDeps, lead: readonly string[], signal: AbortSignal, between: Answer | null = null): Promise<Answer> {
  const { state } = move
  const said = [...lead, ...move.say]
  turn.trace('form', { form: state.formId, phase: state.phase, asked: state.asked, slots: Object.fromEntries(Object.entries(state.slots).map(([id, slot]) => [id, { value: slot.value, confidence: slot.confidence, provenance: slot.provenance }])) })
  switch (move.wish?.kind) {
    case 'search':
      return offerTimes(turn, context, state, deps.desk, said, signal)
    case 'submit':
      return submit(turn, context, state, deps.desk, said)
    case 'transfer':
    case 'message':
      return handOver(turn, context, state, move.wish.kind, said)
    case undefined:
      return {
        ...FORM_PLAIN,
        ...(between === null ? {} : { entryId: between.entryId, confidence: between.confidence, origins: between.texts.map((text) => ({ text, entryId: between.entryId })) }),
        intent: between?.intent ?? `form:${state.formId}`,
        texts: said,
        facts: [...spokenFacts(context, state), ...move.say],
        expect: isLive(state) ? move.expect : standingExpectation(turn, state),
        dialogue: { form: state, ...(between?.dialogue?.topicEntryId === undefined ? {} : { topicEntryId: between.dialogue.topicEntryId }) },
      }
  }
}

/** The company's answer to a question that a caller has in the middle of a form; its own offer is not made, the form goes on. */
async function inBetween(turn: Turn, question: string, sure: number, deps: FormTalkDeps, signal: AbortSignal): Promise<Answer | null> {
  const text = withService(turn, question)
  const answer = await deps.content(text === turn.text ? turn : withText(turn, text), signal)
  if (answer === null || answer.confidence < sure || answer.gap === true || answer.intent === 'clarify' || answer.intent === 'which') return null
  const offers = answer.expect !== undefined && answer.expect.kind !== 'open' && answer.texts.length > 1
  return { ...answer, texts: offers ? answer.texts.slice(0, -1) : answer.texts }
}

/** The same turn, had only this been said. */
function withText(turn: Turn, text: string): Turn {
  const { company, agent } = turn.question.context
  return { ...turn, text, plain: plainText(text, company.mishearings), understanding: understand(text, company.mishearings, [agent.personality.name, company.name]) }
}

/** "How much is that?", asked while a tune-up is being booked, is about the tune-up, unless something else was talked of since. */
function withService(turn: Turn, question: string): string {
  const { dialogue, context } = turn.question
  const state = dialogue.form ?? null
  const form = dialogue.topicEntryId === null && isLive(state) ? formById(context.company, state.formId) : null
  const slot = form?.slots.find((one) => one.type === 'service')
  const filled = slot === undefined ? undefined : state?.slots[slot.id]
  if (slot === undefined || filled === undefined || !ABOUT_IT.test(question)) return question
  return question.replace(/\b(?:that|it|this)\b/i, `a ${sayValue(slot, filled)}`)
}

const ABOUT_IT = /\b(?:how (?:much|long)|cost|price|charge|take)\b.*\b(?:that|it|this)\b(?! \w+ (?:and|or|than))|\b(?:is|does|will) (?:that|it|this)\b.*\b(?:cost|take|expensive)\b/i

const QUESTION = /^(?:(?:and|but|so|well|um|uh|oh|also|okay|wait|actually|by the way)[ ,]+)*(?:what|what's|how|how's|do|does|is|are|where|when|who|which|will|should|did|why|can|could|would|tell me|explain|i was wondering|i wonder|i have a question|i'd like to know|i want to know)\b/i
/** Has the form of a question, and is an answer to one: "can you do Tuesday", "do you have anything in the morning". */
const REQUEST =
  /^(?:(?:and|but|so|well|um|uh|oh|also|okay|wait|actually)[ ,]+)*(?:(?:can|could|may|would|will) (?:i|we|you|it|that)\b(?! tell)(?!.*\b(?:cost|charge|pay|take (?:visa|cards?|insurance))\b)|(?:do you have|have you got|is there|are there) (?:anything|something|an?|any|one)\b|(?:how|what) about\b|is (?:\w+ ){1,3}(?:okay|ok|good|free|available|possible)\b|does (?:\w+ ){1,3}work\b)/i

/** What of a sentence is for the form, and the question beside it. */
function partsOf(turn: Turn): Readonly<{ said: Said; question: string | null }> {
  const { input } = turn.question
  const sentences = withHow(turn.text).split(/(?<=[.?!])\s+|,?\s+\b(?:but|and)\s+(?=(?:what|how|do (?:you|i|we)|does|is|are|where|when|who|will|can|could)\b)|,\s+(?=(?:what|how|do (?:you|i|we)|does|is it|are you|where|when|who|will)\b)/i).filter((part) => part.trim() !== '')
  const questions = sentences.filter((part) => (QUESTION.test(part) || part.trim().endsWith('?')) && !REQUEST.test(part.trim()) && !isAnswer(part))
  if (questions.length === 0 || formAct(turn.text) !== null) {
    return { said: { text: turn.text, reading: input.kind === 'speech' ? (input.reading ?? null) : null, source: 'heard', withQuestion: false }, question: null }
  }
  const text = sentences.filter((part) => !questions.includes(part)).join(' ')
  return { said: { text, reading: null, source: 'heard', withQuestion: true }, question: questions.join(' ') }
}

/**
 * "Found much is a tune-up": the first word of a sentence is misheard most, and nothing but "how" stands before "much is". "Whatever your hours on Saturday"
 * is no Saturday that anybody wants.
 */
function withHow(text: string): string {
  return text.replace(MISHEARD_HOW, (_whole, before: string) => `${before}How `).replace(MISHEARD_WHAT, 'what are ')
}

const MISHEARD_WHAT = /\b(?:whatever|what|water) (?=your (?:hours|opening hours|prices|rates)\b)/i

const MISHEARD_HOW = /^((?:(?:and|but|so|well|um|uh|oh|okay|wait)[ ,]+)*)(?!how\b|too\b|so\b|this\b|that\b|as\b|very\b|pretty\b|not\b|which\b)\w+ (?=(?:much|many|long|late|soon|often) (?:is|are|do|does|did|will|would)\b)/i

/** A recogniser puts question marks behind names and numbers, too. */
function isAnswer(part: string): boolean {
  return !QUESTION.test(part) && part.split(' ').length <= 12 && !/\b(?:how much|what|when|where|do you)\b/i.test(part)
}

/** The slot a caller is being asked for; for the key pad and the records. */
export function askedSlotId(turn: Turn): string | null {
  const state = turn.question.dialogue.form ?? null
  const form = isLive(state) ? formById(turn.question.context.company, state.formId) : null
  return form === null || !isLive(state) ? null : (slotOf(form, state.asked?.slotId ?? null)?.id ?? null)
}
