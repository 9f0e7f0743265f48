import type { Answer, Turn } from './answer-step.ts'
import type { LearningRecord } from './responder.ts'

/** A caller's question longer than this is a story; its beginning is enough for an admin to see the gap. */
const MAX_QUESTION_CHARS = 300

/** What a turn taught: which entry answered, how surely, and whether the company had no answer. Null for what is no question. */
export function learned(turn: Turn, answer: Answer): LearningRecord | null {
  if (turn.question.input.kind !== 'speech' || turn.text === '') return null
  const isQuestion = answer.gap === true || answer.entryId !== null || answer.source === 'template' || answer.source === 'model'
  if (!isQuestion) return null
  return {
    question: turn.text.slice(0, MAX_QUESTION_CHARS),
    intent: answer.intent,
    entryId: answer.entryId,
    confidence: Math.round(answer.confidence * 1000) / 1000,
    gap: answer.gap ?? false,
  }
}
