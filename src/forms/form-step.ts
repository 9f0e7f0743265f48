import { digitRuns } from '../core/digit-runs.ts'
import { ANSWER_SLOT, type Reading } from '../core/reading.ts'
import type { FormSlot } from '../tenancy/form.ts'
import { calendarDate } from './calendar-date.ts'
import { formAct, named, plainYesNo, slotCalledWrong } from './form-act.ts'
import { FORM_LINES, sayValue, soFarLine } from './form-lines.ts'
import type { FormContext, FormMove, Offering, Said } from './form-move.ts'
import { advance, askSlot, corrections, expectationOf, put, wish } from './form-questions.ts'
import { isVisitTime, newFormState, nextSlot, slotOf, WHEN_SLOT, type FilledSlot, type FormState } from './form-state.ts'
import { isLike, likestOption } from './likest-option.ts'
import { refusals, takenBack } from './refusals.ts'
import { besides, findSlots, isBareAnswer, namesATime, numberLengths, type SlotFill } from './slot-finder.ts'
import { acceptedValue } from './slot-values.ts'
import { chosenTime } from './time-choice.ts'

/** Values surer than this are taken as said; below it the one value is read back alone. */
const ACT_CONFIDENCE = 0.5
/** Misses in a row where no single slot is asked for, before a person takes over. */
const MAX_MISSES = 2

/** The form begins, with the sentence that began it: what it says already is not asked again. `known`: what the books say, by slot id. */
export function openedForm(context: FormContext, said: Said, known: FormState['known'] = {}): FormMove {
  const state: FormState = { ...newFormState(context.form.id), known }
  const fills = fillsOf(context, state, said, null)
  return advance(context, filled(context, state, fills, said))
}

/** What the words do to the form. Total: every state answers everything, and answers the same way every time. */
export function heardByForm(context: FormContext, before: FormState, said: Said): FormMove {
  // "No milk": what is turned down is let go before anything else is taken.
  const unwanted = said.source === 'keys' ? [] : takenBack(context.form, before, said.text)
  const state = unwanted.reduce(without, before)
  switch (formAct(said.text)) {
    case 'give-up':
      return abandoned(context, state)
    case 'so-far':
      return put(context, state, state.phase === 'reading-back' ? [] : [soFarLine(context.form, state)])
    case 'enough':
    case null:
      break
  }
  const wrong = said.source === 'keys' ? null : slotCalledWrong(context.form, said.text)
  const putRight = wrong !== null && wrong.type !== 'text' && findSlots(context.form, state, said.text, null, null, context).some((fill) => fill.slotId === wrong.id)
  if (wrong !== null && state.slots[wrong.id] !== undefined && !putRight) {
    return askSlot(context, without(state, wrong.id), wrong, [FORM_LINES.sorry])
  }
  if (unwanted.length > 0) return advance(context, filled(context, state.phase === 'reading-back' ? { ...state, asked: null } : state, fillsOf(context, before, said, null), said))
  switch (state.phase) {
    case 'collecting':
      return collect(context, state, said)
    case 'offering':
      return choose(context, state, said)
    case 'reading-back':
      return confirm(context, state, said)
    case 'paused':
      return resume(context, state, said)
    case 'submitting':
      return wish(state, 'submit')
    case 'done':
    case 'abandoned':
      return { ...put(context, state), understood: false }
  }
}

/** The question again, after something else was said; nothing is counted. */
export function anchored(context: FormContext, state: FormState): FormMove {
  return state.phase === 'submitting' ? wish(state, 'submit') : put(context, state)
}

/** Something more urgent comes first. What was said is kept. */
export function pausedForm(state: FormState): FormState {
  return Object.freeze({ ...state, phase: 'paused', asked: null })
}

/** The times that a search found. None: another day is asked for. `wanted`: the very time the caller named, which needs no choice. */
export function offered(context: FormContext, state: FormState, offering: Offering, lead: readonly string[] = []): FormMove {
  if (offering.wanted !== null) return advance(context, { ...state, chosen: offering.wanted, offers: [] }, lead)
  if (offering.offers.length > 0) return put(context, { ...state, phase: 'offering', asked: null, chosen: null, offers: offering.offers }, lead)
  return askForTime(context, without({ ...state, chosen: null, offers: [] }, WHEN_SLOT), lead)
}

/** It is in the books. */
export function submitted(state: FormState, appointmentId: string | null): FormState {
  return Object.freeze({ ...state, phase: 'done', asked: null, appointmentId: appointmentId ?? state.appointmentId })
}

function collect(context: FormContext, state: FormState, said: Said): FormMove {
  const { asked } = state
  const slot = slotOf(context.form, asked?.slotId ?? null)
  const answer = answerTo(said)
  if (asked?.how === 'doubt' && slot !== null && state.doubt !== null) return settleDoubt(context, state, said, slot, state.doubt.filled, answer)
  const offered = slot === null ? null : offeredValues(context, state, slot, said)
  if (offered !== null && slot !== null) {
    const fills = fillsOf(context, state, said, slot.id)
    const own = fills.some((fill) => fill.slotId === slot.id)
    if (!own && (answer === 'yes' || answer === 'hedged')) return advance(context, filled(context, { ...state, slots: { ...state.slots, ...offered } }, fills, said))
    if (fills.length > 0) {
      const after = filled(context, state, fills, said)
      return advance(context, after, corrections(context, state, after))
    }
    // Neither yes nor no, nor a number begun: once more, then the number itself.
    const again = answer === null && state.misses === 0 && digitRuns(said.text).length === 0
    if (again) return missed(context, put(context, { ...state, misses: 1 }))
    const move = askSlot(context, { ...state, misses: 0 }, slot)
    return answer === 'no' ? move : missed(context, move)
  }
  const fills = fillsOf(context, state, said, slot?.id ?? null)
  if (slot !== null && !fills.some((fill) => fill.slotId === slot.id)) {
    const number = goesOn(context, state, slot, said)
    if (number !== null) return number
  }
  // Something else was said in the middle of a number: its beginning is forgotten, and asked for anew.
  const whole: FormState = TAIL.test(said.text.trim()) ? state : { ...state, partialDigits: '' }
  if (fills.length > 0) {
    const after = filled(context, whole, fills, said)
    return advance(context, after, [...corrections(context, state, after), ...guessed(slot, state, after), ...lettersOf(slot, state, after, said)])
  }
  if (slot !== null) {
    // "I don't know" to what is not vital is an answer.
    if (slot.fallback === 'skip' && (PLAIN_NO.test(said.text.trim()) || formAct(said.text) === 'enough' || NO_ANSWER.test(said.text))) {
      return advance(context, { ...state, skipped: [...state.skipped, slot.id], asked: null })
    }
    // Once: a caller who says nothing but yes and okay is no nearer to an answer.
    if (TAIL.test(said.text.trim()) && state.misses === 0 && (state.attempts[slot.id] ?? 0) <= 1) return put(context, { ...state, misses: 1 })
    return missed(context, askSlot(context, { ...whole, misses: 0 }, slot))
  }
  return missed(context, advance(context, whole))
}

/** What a yes to "is it the number you are calling from", or "is it the same address", fills in; null where neither was asked. */
function offeredValues(context: FormContext, state: FormState, slot: FormSlot, said: Said): FormState['slots'] | null {
  const own = { spoken: said.text, confidence: 1, heardAt: context.now }
  if (state.asked?.how === 'caller-id' && context.callerNumber !== null) return { [slot.id]: { ...own, value: context.callerNumber, provenance: 'caller-id' } }
  if (state.asked?.how !== 'known') return null
  // All that belongs to the address and was not said otherwise meanwhile.
  const parts = Object.entries(state.known).filter(([id]) => state.slots[id] === undefined && slotOf(context.form, id)?.type !== 'name')
  return Object.fromEntries(parts.map(([id, value]): [string, FilledSlot] => [id, { ...own, value, provenance: 'crm' }]))
}

/** What is left of an answer whose beginning was answered already: "yes" ... "it is". It is no answer to the next question. */
const TAIL = /^(?:(?:please|it is|that is|that's (?:it|right|fine)|i do|i am|we do|thanks|thank you|okay|ok|sure|great|perfect|alright|all right|yes|yeah|correct|right|um|uh)[ ,.!]*)+$/i

/** A no and nothing behind it: "no, on Wednesday" is something else. */
const PLAIN_NO = /^(?:(?:uh|um|well|oh)[ ,]+)*(?:no|nope|nah|not really|i don't|i do not|i'd rather not)(?:[ ,]+(?:no|thanks|thank you|sorry|sir|ma'am|i don't|i do not|i haven't|have|got|one|any|that|it))*[ ,.!]*$/i

const NO_ANSWER = /\b(?:i don't know|i do not know|not sure|no idea|don't have (?:one|any)|skip|rather not|none)\b/i

function missed(_context: FormContext, move: FormMove): FormMove {
  return { ...move, understood: false }
}

/** "A latte, right?" and what comes back: a yes, a no, or the value said again. */
function settleDoubt(context: FormContext, state: FormState, said: Said, slot: FormSlot, doubted: FilledSlot, answer: ReturnType<typeof plainYesNo>): FormMove {
  const fills = fillsOf(context, state, said, slot.id)
  const again = fills.find((fill) => fill.slotId === slot.id)
  const settled: FormState = { ...state, doubt: null }
  if (again !== undefined && again.value !== doubted.value) return advance(context, filled(context, settled, fills, said), [])
  if (again !== undefined || answer === 'yes' || answer === 'hedged') {
    const sure: FilledSlot = { ...doubted, provenance: 'confirmed', confidence: 1 }
    const others = fills.filter((fill) => fill.slotId !== slot.id)
    const next = filled(context, { ...settled, slots: { ...state.slots, [slot.id]: sure } }, others, said)
    // Everything else was sure, and the one word is now: to hear it all once more would be to be asked twice.
    const isAll = context.form.outcome !== 'appointment' && others.length === 0 && next.doubt === null && nextSlot(context.form, next) === null
    return isAll ? wish({ ...next, phase: 'submitting', asked: null }, 'submit') : advance(context, next)
  }
  if (answer === 'no') return askSlot(context, filled(context, without(settled, slot.id), fills, said), slot, doubted.provenance === 'crm' ? [] : [FORM_LINES.sorry])
  // Something else was answered: it is taken, and the doubt stands.
  if (fills.length > 0) return put(context, { ...filled(context, state, fills, said), asked: state.asked })
  // Neither yes nor no: once more, then the slot's own question.
  const isSecond = state.misses > 0
  return missed(context, isSecond ? askSlot(context, { ...settled, misses: 0 }, slot) : put(context, { ...state, misses: 1 }))
}

/** A number that a pause has cut: the pieces are joined. Null where no piece of one was said. */
function goesOn(context: FormContext, state: FormState, slot: FormSlot, said: Said): FormMove | null {
  const lengths = numberLengths(slot)
  if (lengths === null) return null
  const piece = said.source === 'keys' ? said.text.replace(/\D/g, '') : digitRuns(said.text).map((run) => run.digits).join('')
  if (piece === '') return null
  const joined = state.partialDigits + piece
  const value = lengths.includes(joined.length) ? acceptedValue(slot, joined) : null
  if (value !== null) {
    const fill = { slotId: slot.id, value, spoken: joined, confidence: 0.7 }
    return advance(context, filled(context, { ...state, partialDigits: '' }, [fill], said))
  }
  const longest = Math.max(...lengths)
  if (joined.length >= longest || joined.length < LEAST_PIECE) return missed(context, askSlot(context, { ...state, partialDigits: '' }, slot))
  return put(context, { ...state, partialDigits: joined })
}

/** A digit or two is a slip of the tongue rather than half a number. */
const LEAST_PIECE = 3

function choose(context: FormContext, state: FormState, said: Said): FormMove {
  const read = said.reading?.verdict === 'act' ? said.reading.slots.find((slot) => slot.slotId === ANSWER_SLOT)?.value : undefined
  const key = said.source === 'keys' ? Number(said.text) - 1 : null
  const choice = key ?? (read !== undefined && /^\d$/.test(read) ? Number(read) : chosenTime(said.text, state.offers))
  const offer = typeof choice === 'number' ? state.offers[choice] : undefined
  const fills = fillsOf(context, state, said, null)
  if (offer !== undefined) return advance(context, filled(context, { ...state, chosen: offer, offers: [] }, fills.filter((fill) => fill.slotId !== WHEN_SLOT), said))
  const answer = answerTo(said)
  const only = state.offers.length === 1 ? state.offers[0] : undefined
  if (only !== undefined && answer === 'yes' && !said.withQuestion) return advance(context, { ...state, chosen: only, offers: [] })
  if (fills.length > 0) {
    const after = filled(context, state, fills, said)
    return advance(context, after, corrections(context, state, after))
  }
  if (choice === 'none' || answer === 'no') return askForTime(context, without({ ...state, offers: [] }, WHEN_SLOT), [])
  if (state.misses + 1 >= MAX_MISSES + 1) return wish({ ...state, misses: 0 }, 'message')
  return missed(context, put(context, { ...state, misses: state.misses + 1 }))
}

function askForTime(context: FormContext, state: FormState, lead: readonly string[]): FormMove {
  const slot = slotOf(context.form, WHEN_SLOT)
  if (slot === null) return wish(state, 'message', lead)
  const move = askSlot(context, state, slot)
  return move.wish !== null ? { ...move, say: [...lead, ...move.say] } : { ...move, say: [...lead, FORM_LINES.otherTime] }
}

function confirm(context: FormContext, state: FormState, said: Said): FormMove {
  const fills = fillsOf(context, state, said, null)
  const answer = answerTo(said)
  const changed = fills.filter((fill) => state.slots[fill.slotId]?.value !== fill.value)
  if (changed.length > 0) {
    const after = filled(context, { ...state, asked: null, misses: 0 }, changed, said)
    return advance(context, after, corrections(context, state, after))
  }
  const wrong = state.asked?.how === 'change' ? named(context.form, said.text) : null
  if (wrong !== null) return askSlot(context, without({ ...state, asked: null }, wrong.id), wrong)
  // "Yes" to "What should I change?" agrees to nothing: it is all said again first.
  if (answer === 'yes' && state.asked?.how === 'change') return put(context, { ...state, asked: null, misses: 0 })
  if (answer === 'yes' && !said.withQuestion) return wish({ ...state, phase: 'submitting', asked: null }, 'submit')
  // Nothing in it could be put right: a no to the whole.
  if (answer === 'no' && !context.form.slots.some((slot) => slot.required)) return abandoned(context, state)
  if ((answer === 'no' || CHANGES.test(said.text)) && state.asked?.how !== 'change') return put(context, { ...state, asked: { slotId: null, how: 'change' } })
  if (answer === 'hedged' || said.withQuestion) return { ...put(context, state), say: [FORM_LINES.yesOrNo] }
  if (state.misses + 1 > MAX_MISSES) return wish({ ...state, misses: 0 }, 'message')
  return missed(context, put(context, { ...state, misses: state.misses + 1 }))
}

/** Something was to be changed, and what was not understood: the same words read back again would be agreed to by whoever believes they were heard. */
const CHANGES = /\b(?:make it|make that|change (?:it|that|the)|instead|i meant|actually)\b/i

function resume(context: FormContext, state: FormState, said: Said): FormMove {
  const fills = fillsOf(context, state, said, null)
  const answer = answerTo(said)
  if (answer === 'no' && fills.length === 0) return abandoned(context, state)
  if (answer === null && fills.length === 0) return missed(context, put(context, state))
  return advance(context, filled(context, { ...state, phase: 'collecting', chosen: null, offers: [] }, fills, said))
}

function abandoned(context: FormContext, state: FormState): FormMove {
  return { state: Object.freeze({ ...state, phase: 'abandoned', asked: null }), say: [context.form.abandoned], expect: { kind: 'open' }, wish: null, understood: true }
}

/** By the reading where one was listened for, else by the words. */
function answerTo(said: Said): ReturnType<typeof plainYesNo> {
  if (said.source === 'keys') return said.text === '1' ? 'yes' : said.text === '2' ? 'no' : null
  const read = said.reading?.verdict === 'act' ? said.reading.slots.find((slot) => slot.slotId === ANSWER_SLOT) : undefined
  const words = plainYesNo(said.text)
  if (read !== undefined && (read.value === 'yes' || read.value === 'no')) return words === 'hedged' ? 'hedged' : read.value
  return words ?? (said.reading?.verdict === 'outside' && isLike(said.text, 'yes please', 'no please') ? 'yes' : null)
}

/** Everything that was said into the slots: what was listened for first, then what the open words add. */
function fillsOf(context: FormContext, state: FormState, said: Said, askedId: string | null): (SlotFill & { doubtful: boolean })[] {
  if (said.source === 'keys') return keyedFills(context, state, said.text)
  const spellFor = state.asked?.how === 'spell' ? state.asked.slotId : null
  const found = findSlots(context.form, state, said.text, askedId, spellFor, context).map((fill) => ({ ...fill, doubtful: false }))
  const wanted = askedId === null || found.some((fill) => fill.slotId === askedId)
  // Aligning words with a whole form takes tens of milliseconds: only for an answer that the plain readers do not see.
  const reading = said.reading ?? (wanted || said.text === '' ? null : context.readText(expectationOf(context, state), said.text, 'text'))
  const read = reading === null ? [] : reading.verdict === 'outside' && reading.source === 'audio' && !wanted ? lookAlike(context, state, said.text) : readFills(context, state, reading)
  // A reading that has its doubts, or has left words out, yields to words that were there as they are.
  const denied = refusals(context.form, state, said.text)
  const wantedOnly = read.filter((fill) => !denied.some((one) => one.slotId === fill.slotId && one.value === fill.value))
  const sure = wantedOnly.filter((fill) => !found.some((other) => other.slotId === fill.slotId && (fill.doubtful || saysMore(other.spoken, fill.spoken))))
  return [...sure, ...found.filter((fill) => !sure.some((other) => other.slotId === fill.slotId))]
}

/**
 * "Donita springs", "no one eats drinks": by sound it was nothing that was asked for, by its letters it is all but that, or the only thing that it is like.
 * Asked about; where everything is read back before it is done, it is taken and said at once instead.
 */
function lookAlike(context: FormContext, state: FormState, text: string): (SlotFill & { doubtful: boolean })[] {
  const slot = slotOf(context.form, state.asked?.slotId ?? null)
  if (slot === null || (slot.type !== 'choice' && slot.type !== 'service')) return []
  const reading = context.readText(expectationOf(context, state), text, 'text')
  const byLetters = reading.scores.maxWordRegret > LOOK_ALIKE ? undefined : readFills(context, state, reading).find((fill) => fill.slotId === slot.id)
  const likest = byLetters === undefined ? likestOption(slot, text) : byLetters.value
  if (likest === null) return []
  const isReadBack = slot.type === 'choice' && context.form.outcome === 'appointment'
  return [{ slotId: slot.id, value: likest, spoken: byLetters?.spoken ?? likest, confidence: LOOK_ALIKE_CONFIDENCE, doubtful: !isReadBack }]
}

/** One consonant for a near one. */
const LOOK_ALIKE = 0.6
/** Just enough to be acted on. */
const LOOK_ALIKE_CONFIDENCE = ACT_CONFIDENCE

/** "Okay, Bonita Springs.": whoever was misheard hears of it before anything comes of it. */
function guessed(slot: FormSlot | null, before: FormState, after: FormState): string[] {
  const value = slot === null ? undefined : after.slots[slot.id]
  if (slot === null || value === undefined || value.confidence > LOOK_ALIKE_CONFIDENCE || slot.type !== 'choice' || after.doubt !== null || before.slots[slot.id] !== undefined) return []
  return [`Okay, ${sayValue(slot, value)}.`]
}

/** "S, M, I, T, H.": letters are easily taken for others, and who hears theirs wrong says them again. */
function lettersOf(slot: FormSlot | null, before: FormState, after: FormState, said: Said): string[] {
  const value = slot === null ? undefined : after.slots[slot.id]
  if (slot === null || value === undefined || said.source === 'keys' || (before.asked?.how !== 'spell' && slot.type !== 'spelling')) return []
  return [`${[...value.value.toUpperCase()].filter((letter) => /\p{L}/u.test(letter)).join(', ')}.`]
}

function saysMore(words: string, than: string): boolean {
  return words.length > than.length && words.toLowerCase().includes(than.toLowerCase())
}

function readFills(context: FormContext, state: FormState, reading: Reading): (SlotFill & { doubtful: boolean })[] {
  if (reading.verdict === 'outside') return []
  return reading.slots.flatMap((read) => {
    const slot = slotOf(context.form, read.slotId === ANSWER_SLOT ? (state.asked?.how === 'spell' ? state.asked.slotId : null) : read.slotId)
    // A grammar takes any words for a name; the readers of names are stricter.
    if (slot === null || (slot.type === 'name' && read.slotId !== ANSWER_SLOT && !isNameOnly(reading, read.value))) return []
    // What was said before, and was not asked about now, is not given up for a guess.
    const isGuess = reading.verdict !== 'act' && state.slots[slot.id] !== undefined
    const isAsked = read.slotId === ANSWER_SLOT || read.slotId === state.asked?.slotId
    if (!isAsked && (isGuess || isBareAnswer(read.spoken) || (slot.type === 'date' && !namesATime(read.spoken)))) return []
    const said = slot.type !== 'date' ? read.value : isVisitTime(context.form, slot) ? (whenRead(context, state, slot, read.value)?.value ?? '') : (calendarDate(read.value, context.today) ?? '')
    const value = acceptedValue(slot, said)
    if (value === null) return []
    const doubtful = reading.verdict === 'read-back' && reading.doubtful?.slotId === read.slotId
    return [{ slotId: slot.id, value, spoken: slot.type !== 'date' ? read.spoken : isVisitTime(context.form, slot) ? (whenRead(context, state, slot, read.value)?.spoken ?? read.value) : read.value, confidence: read.confidence, doubtful }]
  })
}

/** The name in one piece, and at most a way to say that it is one: "my name is", "it's". */
function isNameOnly(reading: Reading, name: string): boolean {
  return reading.source === 'audio' && reading.text.toLowerCase().includes(name.toLowerCase()) && reading.text.split(' ').length <= name.split(' ').length + 3 && !namesATime(reading.text)
}

/** "In the afternoon" alone goes with the day that was talked of before. */
function whenRead(context: FormContext, state: FormState, slot: FormSlot, words: string): { value: string; spoken: string } | null {
  const read = context.readWhen(words)
  if (read === null || read.namesDay) return read === null ? null : { value: read.value, spoken: words }
  const spoken = besides(state.slots[slot.id]?.spoken, words)
  return { value: context.readWhen(spoken)?.value ?? read.value, spoken }
}

/** Keys are an equal way in: digits for a number, a place in the list for a choice, 1 and 2 for yes and no, month and day for a day. */
function keyedFills(context: FormContext, state: FormState, keys: string): (SlotFill & { doubtful: boolean })[] {
  const slot = slotOf(context.form, state.asked?.slotId ?? null)
  if (slot === null || state.asked?.how === 'doubt') return []
  const digits = keys.replace(/\D/g, '')
  const one = Number(digits)
  const place = slot.options[one - 1]
  const spoken = isVisitTime(context.form, slot) ? digits.replace(/^(\d\d)(\d\d)$/, '$1/$2') : digits
  const value =
    slot.type === 'choice' || slot.type === 'service' ? (digits.length <= 2 ? (place?.value ?? '') : '')
    : slot.type === 'yes-no' ? (digits === '1' ? 'yes' : digits === '2' ? 'no' : '')
    : slot.type === 'date' ? ((isVisitTime(context.form, slot) ? context.readWhen(spoken)?.value : calendarDate(digits, context.today)) ?? '')
    : slot.type === 'money' ? keys.replace('*', '.')
    : digits
  const accepted = ['name', 'spelling', 'text', 'address'].includes(slot.type) ? null : acceptedValue(slot, value)
  return accepted === null ? [] : [{ slotId: slot.id, value: accepted, spoken, confidence: 1, doubtful: false }]
}

/** The state with the values in it. At most one value waits for a yes at a time. */
function filled(context: FormContext, state: FormState, fills: readonly (SlotFill & { doubtful?: boolean })[], said: Said): FormState {
  let next: FormState = { ...state, misses: 0 }
  for (const fill of fills) {
    const slot = slotOf(context.form, fill.slotId)
    if (slot === null) continue
    const value: FilledSlot = { value: fill.value, spoken: fill.spoken, provenance: said.source, confidence: fill.confidence, heardAt: context.now }
    const isUnsure = fill.doubtful === true || fill.confidence < ACT_CONFIDENCE || (slot.confirm === 'always' && said.source === 'heard')
    if (slot.id === WHEN_SLOT || slot.type === 'service') next = { ...next, chosen: null, offers: [] }
    if (isUnsure && next.doubt === null && slot.type !== 'name') next = { ...next, doubt: { slotId: slot.id, filled: value } }
    next = { ...next, slots: { ...next.slots, [slot.id]: value }, skipped: next.skipped.filter((id) => id !== slot.id), partialDigits: slot.id === state.asked?.slotId ? '' : next.partialDigits }
  }
  return next
}

function without(state: FormState, slotId: string): FormState {
  const { [slotId]: _gone, ...slots } = state.slots
  const time = slotId === WHEN_SLOT ? { chosen: null, offers: [] } : {}
  return { ...state, slots, doubt: state.doubt?.slotId === slotId ? null : state.doubt, partialDigits: '', ...time }
}
