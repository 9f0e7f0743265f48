import type { TransferTarget } from '../tenancy/company.ts'
import type { Answer, AnswerStep, Turn } from './answer-step.ts'
import { LINES } from './built-in-lines.ts'
import { findEmergency } from './emergency.ts'
import { spokenDigits } from './spoken-numbers.ts'
import { chooseTemplate, renderText } from './templates.ts'
import { anyTarget, isReachable, namedTarget, onCallTarget, targetById, targetForTags, transferTo } from './transfer-target.ts'

/** A message longer than this is a call; two minutes is what voicemail systems give. */
const MESSAGE_SECONDS = 120
const PLAIN = { source: 'rule', entryId: null, confidence: 1 } as const

/** Outranks everything: said whole, at once, and nothing is booked or asked ahead of it. */
export const emergencies: AnswerStep = async function emergencies(turn) {
  const { company, agent } = turn.question.context
  if (turn.text === '') return null
  const match = findEmergency(turn.text, agent.emergencyRules, company.mishearings)
  if (match === null) return null
  turn.trace('emergency', { rule: match.rule.id, phrase: match.phrase })
  const target = onCallTarget(company, turn.hours.open)
  const answer: Answer = { source: 'emergency', intent: `emergency:${match.rule.id}`, entryId: null, confidence: 1, texts: [match.rule.say], isWhole: true }
  if (target === null || match.rule.then === 'nothing') return answer
  if (match.rule.then === 'transfer-on-call') return { ...answer, texts: [match.rule.say, agent.lines.transfer], action: transferTo(target) }
  return {
    ...answer,
    texts: [match.rule.say, LINES.offerOnCall],
    expect: { kind: 'yes-no' },
    dialogue: { offer: { kind: 'transfer', entryId: null, targetId: target.id } },
  }
}

/** What callers do with a call rather than ask of a company: yes, no, wait, again, goodbye, a person, a message. */
export const callHandling: AnswerStep = async function callHandling(turn) {
  const { agent, company } = turn.question.context
  const { dialogue } = turn.question
  const { act, opening, rest } = turn.understanding
  if (dialogue.offer !== null && act !== 'person' && act !== 'message') {
    const answer = offerAnswer(turn, act === 'yes' || act === 'no' ? act : rest === '' ? opening : null)
    if (answer !== null) return answer
  }
  switch (act) {
    case 'greeting':
      return { ...PLAIN, intent: 'greeting', texts: [LINES.greeted], dialogue: { greeted: true } }
    case 'thanks':
      return { ...PLAIN, intent: 'thanks', texts: [LINES.welcome, LINES.anythingElse], expect: { kind: 'yes-no' }, dialogue: { offer: MORE } }
    case 'goodbye':
      return goodbye(turn)
    case 'repeat':
      return repeatLast(turn)
    case 'hold':
      return { ...PLAIN, intent: 'hold', texts: [agent.lines.hold], dialogue: { onHold: true, offer: dialogue.offer } }
    case 'robot':
      return { ...PLAIN, intent: 'robot', texts: [LINES.robot] }
    case 'who':
      return { ...PLAIN, intent: 'who', texts: [`This is ${agent.personality.name}, the automated assistant of ${company.name}.`] }
    case 'person':
      return toPerson(turn, namedTarget(company, turn.understanding.rest))
    case 'message':
      return leaveMessage(turn)
    case 'no':
      return { ...PLAIN, intent: 'no', texts: [LINES.allRight, LINES.anythingElse], expect: { kind: 'yes-no' }, dialogue: { offer: MORE } }
    case 'yes':
      if (dialogue.offer?.kind === 'which') return null
      return { ...PLAIN, intent: 'yes', texts: [LINES.goAhead] }
    case 'foreign':
      return foreign(turn)
    case 'thin':
    case 'ask':
      return null
  }
}

const MORE = { kind: 'more', entryId: null } as const

function offerAnswer(turn: Turn, reply: 'yes' | 'no' | null): Answer | null {
  const { offer } = turn.question.dialogue
  const { company } = turn.question.context
  if (offer === null || reply === null) return null
  if (reply === 'no') {
    if (offer.kind === 'which') return { ...PLAIN, intent: 'no', texts: [LINES.whatElse] }
    return offer.kind === 'more' || offer.kind === 'goodbye'
      ? goodbye(turn)
      : { ...PLAIN, intent: 'no', texts: [LINES.allRight, LINES.anythingElse], expect: { kind: 'yes-no' }, dialogue: { offer: MORE } }
  }
  switch (offer.kind) {
    case 'transfer':
      return toPerson(turn, offer.targetId === undefined ? anyTarget(company, turn.hours.open) : targetById(company, offer.targetId))
    case 'message':
      return leaveMessage(turn)
    case 'more':
      return { ...PLAIN, intent: 'yes', texts: [LINES.goAhead] }
    case 'goodbye':
      return goodbye(turn)
    case 'which':
      return null
  }
}

function goodbye(turn: Turn): Answer {
  return { ...PLAIN, source: 'goodbye', intent: 'goodbye', texts: [turn.question.context.agent.lines.goodbye], action: { kind: 'hang-up', reason: 'goodbye' } }
}

export function repeatLast(turn: Turn): Answer {
  const { lastReply, offer, topicEntryId } = turn.question.dialogue
  if (lastReply.length === 0) return { ...PLAIN, intent: 'repeat', texts: [turn.question.context.agent.lines.inaudible] }
  const expect = offer === null ? {} : ({ expect: { kind: 'yes-no' } } as const)
  return { ...PLAIN, ...expect, source: 'repeat', intent: 'repeat', texts: lastReply, isWhole: true, dialogue: { offer, topicEntryId } }
}

/** Connects to someone of the company's list, or says honestly that nobody is there and offers a message. */
export function toPerson(turn: Turn, wanted: TransferTarget | null): Answer {
  const { company, agent } = turn.question.context
  const reachable = wanted !== null && isReachable(wanted, turn.hours.open) ? wanted : null
  const target = reachable ?? (wanted === null ? anyTarget(company, turn.hours.open) : null)
  if (target !== null) {
    turn.trace('transfer', { target: target.id })
    return { ...PLAIN, intent: 'transfer', texts: [agent.lines.transfer], action: transferTo(target) }
  }
  return { ...PLAIN, intent: 'transfer', texts: [agent.lines.noTransfer], expect: { kind: 'yes-no' }, dialogue: { offer: { kind: 'message', entryId: null } } }
}

export function leaveMessage(turn: Turn): Answer {
  const prompt = turn.question.context.agent.lines.voicemail
  return { ...PLAIN, intent: 'message', texts: [], action: { kind: 'voicemail', prompt, maxSeconds: MESSAGE_SECONDS } }
}

function foreign(turn: Turn): Answer {
  const help = offerHelp(turn, [LINES.englishOnly], 0)
  return { ...PLAIN, intent: 'foreign', ...help }
}

/** A person while somebody is there, a message otherwise. */
export function offerHelp(turn: Turn, texts: readonly string[], unansweredCount: number): Pick<Answer, 'texts' | 'expect' | 'dialogue'> {
  const target = anyTarget(turn.question.context.company, turn.hours.open)
  return {
    texts: [...texts, target === null ? LINES.offerMessage : LINES.offerPerson],
    expect: { kind: 'yes-no' },
    dialogue: { unansweredCount, offer: target === null ? { kind: 'message', entryId: null } : { kind: 'transfer', entryId: null, targetId: target.id } },
  }
}

/** An entry's offer as it can be kept right now: whom it reaches, or a message instead. */
export function entryOffer(turn: Turn, entryId: string): Pick<Answer, 'texts' | 'expect' | 'dialogue'> | null {
  const { context } = turn.question
  const entry = context.entryById.get(entryId)
  if (entry === undefined || entry.followUp === '') return null
  const texts = [renderText(entry.followUp, turn.scope) ?? ''].filter((text) => text !== '')
  if (entry.offer === 'none' || texts.length === 0) return { texts }
  if (entry.offer === 'message') return { texts, expect: { kind: 'yes-no' }, dialogue: { offer: { kind: 'message', entryId } } }
  const target = targetForTags(context.company, entry.tags, turn.hours.open)
  if (target === null) return { texts: [LINES.offerMessage], expect: { kind: 'yes-no' }, dialogue: { offer: { kind: 'message', entryId } } }
  return { texts, expect: { kind: 'yes-no' }, dialogue: { offer: { kind: 'transfer', entryId, targetId: target.id } } }
}

/** "Do you come to 33901": from the company's list alone. Null where it has none. */
export function zipAnswer(turn: Turn, zip: string): Answer | null {
  const { company } = turn.question.context
  if (company.serviceZipCodes.length === 0) return null
  const isCovered = company.serviceZipCodes.includes(zip)
  const intent = isCovered ? 'zip-covered' : 'zip-not-covered'
  const scope = { ...turn.scope, zip: { digits: zip, spoken: spokenDigits(zip) } }
  const chosen = chooseTemplate(turn.question.context, [intent], scope)
  const text = chosen?.text ?? (isCovered ? `Yes, we come to ${spokenDigits(zip)}.` : "I'm sorry, that ZIP code is outside our area.")
  return { source: 'template', intent, entryId: null, confidence: 1, texts: [text] }
}
