import type { Expectation } from '../core/expectation.ts'
import type { DialogueState } from './dialogue.ts'
import type { Understanding } from './intent.ts'
import type { AnswerSource, CallAction, Question } from './responder.ts'
import type { HoursNow } from './spoken-hours.ts'
import type { TemplateScope } from './templates.ts'

/** One turn as the steps see it. */
export type Turn = Readonly<{
  question: Question
  /** What the caller said; empty for everything that is not speech. */
  text: string
  /** Lower case, no punctuation, mishearings put right. */
  plain: string
  understanding: Understanding
  hours: HoursNow
  scope: TemplateScope
  trace: (step: string, detail: Readonly<Record<string, unknown>>) => void
}>

/** What a step wants said and done. Quality and personality have not seen it yet. */
export type Answer = Readonly<{
  source: AnswerSource
  intent: string
  entryId: string | null
  confidence: number
  texts: readonly string[]
  /** Which entry each text came from, where there are several. */
  origins?: readonly Readonly<{ text: string; entryId: string | null }>[]
  /** More sentences on their way, from a model. Already speakable and checked. */
  more?: AsyncIterable<string>
  /** What the stream came to, known once `more` has ended: said and done last, instead of `action`, `expect` and `dialogue`. Null: nothing more. */
  conclusion?: () => Conclusion | null
  action?: CallAction
  expect?: Expectation
  dialogue?: Partial<DialogueState>
  /** What else the texts may claim beside the company's data: a caller's own words, times that are free. */
  facts?: readonly string[]
  /** What follows once something has been done; asked for when everything before it is on its way. */
  after?: (signal: AbortSignal) => Promise<Answer>
  /** The company had no answer. */
  gap?: boolean
  /** Said whole, whatever its length: emergencies and greetings. */
  isWhole?: boolean
}>

export type Conclusion = Pick<Answer, 'texts' | 'action' | 'expect' | 'dialogue'>

/** Null: not mine. */
export type AnswerStep = (turn: Turn, signal: AbortSignal) => Promise<Answer | null>

/** The first step that has an answer gives it. A step that fails has none: the next cheaper one is asked. Throws only the signal's reason. */
export function firstAnswer(...steps: readonly AnswerStep[]): AnswerStep {
  return async (turn, signal) => {
    for (const step of steps) {
      signal.throwIfAborted()
      try {
        const answer = await step(turn, signal)
        if (answer !== null) return answer
      } catch (error) {
        signal.throwIfAborted()
        turn.trace(step.name, { failed: error instanceof Error ? error.message : 'unknown' })
      }
    }
    return null
  }
}
