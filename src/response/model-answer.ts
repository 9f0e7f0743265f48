import { withDeadline } from '../core/deadline.ts'
import { isClientsViaError } from '../core/errors.ts'
import { Scope, ScopeEnded } from '../core/scope.ts'
import type { Answer, Turn } from './answer-step.ts'
import type { PromptLibrary, ModelPrompt } from './prompts.ts'
import { factsOf, toSpeakable, traceable, type Facts } from './quality.ts'
import { SentenceCutter } from './sentences.ts'
import { plainText } from './words.ts'

/** A language model that words an answer. It gets no tools: whatever it says, it can only be spoken. */
export interface ModelAnswer {
  readonly name: string
  /** Pieces of text as they come. Must stop soon after the signal aborts; nobody waits for it. */
  answer(prompt: ModelPrompt, signal: AbortSignal): AsyncIterable<string>
}

/** A sentence that has begun must go on: longer than this and the reply ends with what was said. */
const NEXT_SENTENCE_MS = 3000
/** Time to hand over and synthesise when the model misses its chance. */
const RESERVE_MS = 20
/** The model sees this many turns of the past; older ones are rarely meant. */
const HISTORY_TURNS = 8

/**
 * Asks the model, and waits for its first speakable, traceable sentence for `budgetMs`, or until the reply is due if that is sooner. Null when none came: the local
 * answer stands. `entryIds` are what the knowledge found, as the model's sources.
 */
export async function modelAnswer(
  model: ModelAnswer,
  prompts: PromptLibrary,
  turn: Turn,
  entryIds: readonly string[],
  budgetMs: number,
  signal: AbortSignal,
): Promise<Answer | null> {
  const { question } = turn
  const { context } = question
  const finish = question.stages.start('response')
  const leftMs = Math.max(0, Math.min(budgetMs, question.firstPartBy - question.clock.now() - RESERVE_MS))
  const prompt = prompts.answer({
    agent: { name: context.agent.personality.name, role: context.agent.personality.role, tone: context.agent.personality.tone },
    company: { name: context.company.name, industry: context.company.industry },
    rules: context.agent.personality.rules,
    hours: turn.hours.week,
    sources: entryIds.flatMap((id) => sourceText(turn, id)),
    history: question.history.slice(-HISTORY_TURNS),
    maxWords: context.agent.maxReplyWords,
    callerWords: turn.text,
  })
  const facts = factsOf(context, turn.scope)
  const scope = new Scope()
  const onAbort = (): void => scope.end(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  /** Not awaited: a model that hangs would hang its own closing. */
  const close = (iterator: AsyncIterator<string, void> | null): void => {
    signal.removeEventListener('abort', onAbort)
    scope.end(new ScopeEnded())
    iterator?.return?.().catch(() => undefined)
  }
  let iterator: AsyncIterator<string, void> | null = null
  try {
    const begun = speakableSentences(model.answer(prompt, scope.signal), prompt.canary, facts, turn)[Symbol.asyncIterator]()
    iterator = begun
    const first = await withDeadline(question.clock, leftMs, signal, () => begun.next())
    finish()
    if (first.done === true) {
      close(begun)
      return null
    }
    return {
      source: 'model',
      intent: 'model',
      entryId: entryIds[0] ?? null,
      confidence: 0.5,
      texts: [first.value],
      more: rest(begun, turn, signal, () => close(begun)),
      dialogue: { topicEntryId: entryIds[0] ?? null },
    }
  } catch (error) {
    close(iterator)
    signal.throwIfAborted()
    finish(isClientsViaError(error, 'DEADLINE_PASSED') ? 'cut-off' : 'failed')
    turn.trace('model', { model: model.name, failed: error instanceof Error ? error.message : 'unknown' })
    return null
  }
}

function sourceText(turn: Turn, entryId: string): string[] {
  const entry = turn.question.context.entryById.get(entryId)
  return entry === undefined ? [] : [`${entry.question} ${entry.answer}`]
}

/** Sentences that may be said. The stream ends at once when the model leaks its prompt: the canary is in it and nowhere else. */
async function* speakableSentences(pieces: AsyncIterable<string>, canary: string, facts: Facts, turn: Turn): AsyncGenerator<string, void> {
  const cutter = new SentenceCutter()
  const check = (sentence: string): string | null => {
    const speakable = toSpeakable(sentence)
    if (speakable === null || isUnsure(sentence)) return null
    if (traceable(speakable, facts)) return speakable
    turn.trace('quality', { dropped: 'a price, time or number that the company never gave' })
    return null
  }
  let seen = ''
  for await (const piece of pieces) {
    seen = `${seen}${piece}`.slice(-4000)
    if (seen.includes(canary) || plainText(seen).includes(plainText(canary))) {
      turn.trace('model', { stopped: 'it repeated its instructions' })
      return
    }
    for (const sentence of cutter.push(piece)) {
      const speakable = check(sentence)
      if (speakable !== null) yield speakable
    }
  }
  for (const sentence of cutter.end()) {
    const speakable = check(sentence)
    if (speakable !== null) yield speakable
  }
}

/** The prompt tells the model to say UNKNOWN where the sources do not answer. */
function isUnsure(sentence: string): boolean {
  return /\bUNKNOWN\b/.test(sentence)
}

async function* rest(iterator: AsyncIterator<string, void>, turn: Turn, signal: AbortSignal, close: () => void): AsyncGenerator<string, void> {
  try {
    for (;;) {
      const next = await withDeadline(turn.question.clock, NEXT_SENTENCE_MS, signal, () => iterator.next())
      if (next.done === true) return
      yield next.value
    }
  } catch (error) {
    signal.throwIfAborted()
    turn.trace('model', { cutOff: error instanceof Error ? error.message : 'unknown' })
  } finally {
    close()
  }
}
