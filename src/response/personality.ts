import type { Agent } from '../tenancy/agent.ts'

/** Openings by tone; said only by agents that chat, and never in front of bad news, a question or another opening. */
const OPENINGS: Readonly<Record<Agent['personality']['tone'], readonly string[]>> = {
  warm: ['Of course.', 'Happy to help.'],
  neutral: ['Sure.'],
  formal: ['Certainly.'],
  upbeat: ['Great question.', 'Absolutely.'],
}
const FORMAL: readonly (readonly [RegExp, string])[] = [
  [/\bI'm\b/g, 'I am'],
  [/\bI'll\b/g, 'I will'],
  [/\b([Ww])e're\b/g, '$1e are'],
  [/\b([Ww])e'll\b/g, '$1e will'],
  [/\b([Yy])ou're\b/g, '$1ou are'],
  [/\b([Ii])t's\b/g, '$1t is'],
  [/\b([Tt])hat's\b/g, '$1hat is'],
  [/\b([Dd])on't\b/g, '$1o not'],
  [/\b([Cc])an't\b/g, '$1annot'],
  [/\b([Dd])oesn't\b/g, '$1oes not'],
]
const CHATTY = 3

/** The agent's manner. Changes wording only, never a fact; the same turn always sounds the same, so its audio can be ready. */
export function inCharacter(texts: readonly string[], agent: Agent, turn: Readonly<{ isAnswer: boolean; turn: number }>): string[] {
  const { tone, chattiness } = agent.personality
  const voiced = tone === 'formal' ? texts.map(formal) : [...texts]
  const first = voiced[0]
  if (!turn.isAnswer || chattiness < CHATTY || first === undefined || /^(?:yes|no|i'm sorry|i am sorry|please|sorry|around|try)\b/i.test(first)) return voiced
  const openings = OPENINGS[tone]
  return [openings[turn.turn % openings.length] as string, ...voiced]
}

function formal(text: string): string {
  return FORMAL.reduce((formalText, [pattern, replacement]) => formalText.replace(pattern, replacement), text)
}
