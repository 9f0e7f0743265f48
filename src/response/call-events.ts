import type { Answer, AnswerStep, Turn } from './answer-step.ts'
import { LINES } from './built-in-lines.ts'
import { leaveMessage, offerHelp, repeatLast, toPerson, zipAnswer } from './call-handling.ts'
import { renderText } from './templates.ts'

/** Everything that is not speech: the call begins, nothing is heard, a key is pressed. */
export const callEvents: AnswerStep = async function callEvents(turn) {
  const { input } = turn.question
  switch (input.kind) {
    case 'answered':
      return greeting(turn, input.resumed)
    case 'silence':
      return silencePrompt(turn, input.count)
    case 'inaudible':
      return inaudible(turn)
    case 'limit':
      return { ...PLAIN, source: 'goodbye', intent: 'limit', texts: [LINES.limit, turn.question.context.agent.lines.goodbye], action: { kind: 'hang-up', reason: 'limit' } }
    case 'dtmf':
      return keys(turn, input.digits)
    case 'speech':
      return null
  }
}

/** What the agent says first: the company's emergency message, then the greeting for the hour. */
export function greetingTexts(turn: Pick<Turn, 'question' | 'hours' | 'scope'>): string[] {
  const { company, agent } = turn.question.context
  const { input } = turn.question
  const { afterHours, returningCaller } = agent.greeting
  const isReturning = input.kind === 'answered' && input.returning === true && returningCaller !== ''
  const text = !turn.hours.open && afterHours !== '' ? afterHours : isReturning ? returningCaller : agent.greeting.text
  return [company.emergencyMessage, renderText(text, turn.scope) ?? agent.greeting.emergencyText].filter((part) => part !== '')
}

function greeting(turn: Turn, resumed: boolean): Answer {
  const texts = resumed ? [turn.question.context.agent.lines.resumed] : greetingTexts(turn)
  return { ...PLAIN, source: 'greeting', intent: resumed ? 'resumed' : 'greeting', texts, isWhole: true, dialogue: { greeted: true } }
}

const PLAIN = { entryId: null, confidence: 1 } as const

function silencePrompt(turn: Turn, count: number): Answer {
  const lines = turn.question.context.agent.lines.silence
  const last = lines.length - 1
  // A caller who asked us to wait is not hung up on at the usual moment, but not waited for without end either.
  const patience = turn.question.dialogue.onHold ? lines.length : 0
  if (count >= lines.length + patience) {
    return { ...PLAIN, source: 'silence-prompt', intent: 'silence', texts: [lines[last] as string], action: { kind: 'hang-up', reason: 'silence' } }
  }
  const prompt = lines[Math.min(count - 1, Math.max(0, last - 1))] as string
  return { ...PLAIN, source: 'silence-prompt', intent: 'silence', texts: [prompt], dialogue: { offer: turn.question.dialogue.offer } }
}

/** What is heard is perhaps no caller but a radio: each time less is said, and in the end nothing is asked any more. */
function inaudible(turn: Turn): Answer {
  const { agent } = turn.question.context
  const { offer, unansweredCount, inaudibleCount = 0 } = turn.question.dialogue
  const count = inaudibleCount + 1
  const waiting = { unansweredCount, inaudibleCount: count, offer }
  const expect = offer === null ? {} : ({ expect: { kind: 'yes-no' } } as const)
  const again: Answer = { ...PLAIN, ...expect, source: 'rule', intent: 'inaudible', texts: [agent.lines.inaudible], dialogue: waiting }
  switch (count) {
    case 1:
      return again
    case 2:
      return { ...again, texts: [LINES.inaudibleAgain] }
    case 3: {
      const help = offerHelp(turn, [LINES.keypad], unansweredCount)
      return { ...again, ...help, dialogue: { ...help.dialogue, inaudibleCount: count } }
    }
    default:
      return { ...leaveMessage(turn), dialogue: { inaudibleCount: count } }
  }
}

async function keys(turn: Turn, digits: string): Promise<Answer> {
  if (/^\d{5}$/.test(digits)) {
    const answer = zipAnswer(turn, digits)
    if (answer !== null) return answer
  }
  switch (digits.at(-1)) {
    case '0':
      return toPerson(turn, null)
    case '1':
      return leaveMessage(turn)
    case '9':
    case '#':
      return repeatLast(turn)
    default:
      return { ...PLAIN, source: 'rule', intent: 'menu', texts: [LINES.menu] }
  }
}
