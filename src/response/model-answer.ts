import type { Breaker } from '../core/breaker.ts'
import { withDeadline } from '../core/deadline.ts'
import { isClientsViaError } from '../core/errors.ts'
import { ScopeEnded, type Scope } from '../core/scope.ts'
import { isLive } from '../forms/form-state.ts'
import type { Company } from '../tenancy/company.ts'
import { standsAlone, type AnswerCache } from './answer-cache.ts'
import type { Answer, Conclusion, Turn } from './answer-step.ts'
import { LINES } from './built-in-lines.ts'
import { leaveMessage } from './call-handling.ts'
import { orAborted } from './embedder.ts'
import { hedged } from './hedge.ts'
import type { ModelAnswer } from './model-engine.ts'
import type { ModelMeter } from './model-meter.ts'
import { bookByForm } from './model-booking.ts'
import { ModelStream, unavailable } from './model-stream.ts'
import { judgeToolCall, toolsFor, type BeginBooking, type ToolOutcome } from './model-tools.ts'
import type { ModelPrompt, PromptLibrary } from './prompts.ts'
import { factsOf } from './quality.ts'
import type { SpeculationPolicy } from './speculation-policy.ts'
import { dayName } from './spoken-hours.ts'
import { renderText } from './templates.ts'

export type { ModelAnswer } from './model-engine.ts'

export type ModelDeps = Readonly<{
  /** The server's own; null where only companies with an account of theirs are answered by one. */
  answer: ModelAnswer | null
  /** By the company's own account; null: by the server's. Must not wait. */
  ownAnswer?: (company: Company) => ModelAnswer | null
  prompts: PromptLibrary
  /** A quicker one, asked beside the first where that has said nothing at half of its time. */
  quick?: ModelAnswer | null
  /** For agents that leave the choice to the server. Absent: yes. */
  isDefault?: boolean
  meter?: ModelMeter | null
  cache?: AnswerCache | null
  /** Null: the model costs nothing, and may be asked for every guess. */
  policy?: SpeculationPolicy | null
  /** Left alone for a while after it has failed, by the model's name. */
  breakerOf?: (modelName: string) => Pick<Breaker, 'tryPass' | 'succeeded' | 'failed' | 'abandoned'> | null
  /** Whether the company may still spend today. */
  mayAsk?: (company: Company) => boolean
  /** Told of every failure, for the metrics. */
  onFailure?: (modelName: string, error: unknown) => void
  beginBooking?: BeginBooking
}>

/** Of the time a model has: when it has said nothing by then, the quick one is asked beside it. */
const HEDGE_AT = 0.5
/** Time to hand over and synthesise when the model misses its chance. */
const RESERVE_MS = 20
/** Where the company itself has no answer, a good one is worth a "one moment, please": said at the stall time, about a second long. */
const BRIDGED_MS = 1500
/** The model sees this many turns of the past; older ones are rarely meant. */
const HISTORY_TURNS = 8
/** The question was embedded for the search just now: its meaning is there, or it is not worth waiting for. */
const MEANING_MS = 15

/** Whether this agent's questions may go to a model now. */
export function mayUseModel(deps: ModelDeps, turn: Turn): boolean {
  const { context } = turn.question
  const choice = context.agent.engines.llm
  if (choice === 'none' || (choice === 'default' && deps.isDefault === false)) return false
  if (modelOf(deps, context.company) === null) return false
  const isPaidFor = deps.mayAsk?.(context.company) ?? true
  if (!isPaidFor) turn.trace('model', { left: "the company's money for today is spent" })
  return isPaidFor
}

function modelOf(deps: ModelDeps, company: Company): ModelAnswer | null {
  return deps.ownAnswer?.(company) ?? deps.answer
}

/** An answer that was decided before, in these words or in words that mean the same. */
export function decidedAnswer(cache: AnswerCache, turn: Turn, meaning: Float32Array | null): Answer | null {
  const decided = cache.find(turn) ?? (meaning === null ? null : cache.findAlike(turn, meaning))
  if (decided === null) return null
  turn.trace('model', { decidedBefore: decided.question === turn.plain ? 'in these words' : decided.question })
  const entryId = decided.entryIds[0] ?? null
  return { source: 'model', intent: 'model', entryId, confidence: 0.5, texts: decided.texts, dialogue: { topicEntryId: entryId } }
}

export async function meaningOf(turn: Turn, signal: AbortSignal): Promise<Float32Array | null> {
  const { clock, context } = turn.question
  try {
    return await withDeadline(clock, MEANING_MS, signal, (inTime) => context.knowledge.meaningOf(turn.text, inTime))
  } catch (error) {
    signal.throwIfAborted()
    if (isClientsViaError(error)) return null
    throw error
  }
}

/**
 * Asks the model for an answer from what the knowledge found (`entryIds`). Waits for its first speakable, traceable sentence for
 * `budgetMs`, or until the reply is due if that is sooner; longer where `local` is no real answer. Null when none came.
 */
export async function modelAnswer(deps: ModelDeps, turn: Turn, local: Answer | null, entryIds: readonly string[], budgetMs: number, meaning: Float32Array | null, signal: AbortSignal): Promise<Answer | null> {
  const { question } = turn
  const { clock, early } = question
  const model = modelOf(deps, question.context.company)
  if (model === null) return null
  // A form has its own ways to a person, a message and an end.
  const tools = isLive(question.dialogue.form ?? null) ? [] : toolsFor(turn)
  const prompt = promptOf(deps.prompts, turn, entryIds, tools.map((tool) => tool.name))
  const rules = { turn, prompt, facts: factsOf(question.context, turn.scope) }
  if (early !== undefined && early !== null && deps.policy !== undefined && deps.policy !== null && !deps.policy.mayStart(early.score)) {
    turn.trace('model', { waited: 'for the end of the turn', score: early.score })
    await orAborted(early.committed, signal)
  }
  const finish = question.stages.start('response')
  const isAnswered = local !== null && local.intent !== 'clarify'
  const leftMs = Math.max(0, Math.min(budgetMs, question.firstPartBy - clock.now() - RESERVE_MS)) + (isAnswered ? 0 : BRIDGED_MS)
  const attempt = (model: ModelAnswer, afterMs: number) => ({
    name: model.name,
    afterMs,
    run: async (inTime: AbortSignal): Promise<Begun | null> => {
      const breaker = deps.breakerOf?.(model.name)
      if (breaker?.tryPass() === false) throw unavailable(model.name)
      const onAbort = (): void => breaker?.abandoned()
      inTime.addEventListener('abort', onAbort, { once: true })
      const stream = new ModelStream(model, rules, tools, leftMs, deps.meter?.begin(question, model, prompt) ?? null, inTime)
      let first: string | null = null
      try {
        // The race has the clock; this only keeps a broken one from waiting for ever.
        first = await stream.next(leftMs + BRIDGED_MS, inTime)
      } finally {
        inTime.removeEventListener('abort', onAbort)
      }
      breaker?.succeeded()
      const outcome = first === null && stream.call !== null ? judge(deps, turn, stream) : null
      if (first !== null || outcome !== null) return { model, stream, first }
      stream.close()
      return null
    },
  })
  const failures: Record<string, string> = {}
  const onFailure = (name: string, error: unknown): void => {
    failures[name] = error instanceof Error ? error.message : 'unknown'
    deps.onFailure?.(name, error)
    if (!isClientsViaError(error, 'ENGINE_UNAVAILABLE') || error.message !== unavailable(name).message) deps.breakerOf?.(name)?.failed()
    finish(isClientsViaError(error, 'DEADLINE_PASSED') ? 'cut-off' : 'failed')
  }
  // The quick one is the server's: a company that pays for itself is not answered on somebody else's account.
  const quick = model === deps.answer ? (deps.quick ?? null) : null
  const attempts = [attempt(model, 0), ...(quick === null ? [] : [attempt(quick, leftMs * HEDGE_AT)])]
  const won = await hedged(clock, attempts, leftMs, signal, onFailure)
  finish()
  if (Object.keys(failures).length > 0) turn.trace('model', { failed: failures })
  if (won === null) return null
  turn.trace('model', { model: won.name, prompt: prompt.id })
  // Whoever reads an answer may leave the rest unread: it ends with the turn at the latest.
  signal.addEventListener('abort', () => won.scope.end(signal.reason), { once: true })
  const entryId = entryIds[0] ?? null
  const texts = won.value.first === null ? [] : [won.value.first]
  const end: { conclusion: Conclusion | null } = { conclusion: null }
  const more = goOn(deps, turn, won.value, won.scope, texts, entryIds, meaning, isAnswered ? local.texts : [], signal, end)
  const answer = { source: 'model', intent: 'model', entryId, confidence: 0.5, dialogue: { topicEntryId: entryId } } as const
  // In a form the next question follows: the answer is short, and said before it.
  if (isLive(question.dialogue.form ?? null)) return { ...answer, texts: [...texts, ...(await allOf(more))] }
  return { ...answer, texts, more, conclusion: () => end.conclusion }
}

async function allOf(sentences: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = []
  for await (const sentence of sentences) all.push(sentence)
  return all
}

type Begun = Readonly<{ model: ModelAnswer; stream: ModelStream; first: string | null }>

function promptOf(prompts: PromptLibrary, turn: Turn, entryIds: readonly string[], tools: readonly string[]): ModelPrompt {
  const { question } = turn
  const { company, agent } = question.context
  return prompts.answer({
    agent: { name: agent.personality.name, role: agent.personality.role, tone: agent.personality.tone },
    company: { name: company.name, industry: company.industry },
    rules: agent.personality.rules,
    hours: turn.hours.week,
    now: `${dayName(turn.hours.weekday)}, and somebody is ${turn.hours.open ? '' : 'not '}there,`,
    sources: entryIds.flatMap((id) => sourceText(turn, id)),
    // A question that stands alone is answered alone: then the answer is nobody's own, and may be given again.
    history: standsAlone(turn) ? [] : question.history.slice(-HISTORY_TURNS),
    greeted: question.dialogue.greeted,
    tools,
    maxWords: agent.maxReplyWords,
    callerWords: turn.text,
  })
}

function sourceText(turn: Turn, entryId: string): string[] {
  const entry = turn.question.context.entryById.get(entryId)
  const answer = entry === undefined ? null : renderText(entry.answer, turn.scope)
  return entry === undefined || answer === null ? [] : [`${entry.question} ${answer}`]
}

/**
 * The rest of the sentences, then what the model asked for; what was whole is kept for whoever asks again. Where it breaks off, the
 * company's own words (`local`) finish what was begun.
 */
async function* goOn(
  deps: ModelDeps,
  turn: Turn,
  begun: Begun,
  scope: Scope,
  texts: readonly string[],
  entryIds: readonly string[],
  meaning: Float32Array | null,
  local: readonly string[],
  signal: AbortSignal,
  end: { conclusion: Conclusion | null },
): AsyncGenerator<string, void, undefined> {
  const said = [...texts]
  const onAbort = (): void => scope.end(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    for await (const sentence of begun.stream.rest(signal)) {
      said.push(sentence)
      yield sentence
    }
    if (begun.stream.isDecided && !wasCutShort(turn)) deps.cache?.keep(turn, { texts: said, entryIds }, meaning)
    const outcome = judge(deps, turn, begun.stream)
    if (outcome !== null) end.conclusion = await performed(turn, outcome, signal)
  } catch (error) {
    signal.throwIfAborted()
    deps.breakerOf?.(begun.model.name)?.failed()
    turn.trace('model', { cutOff: error instanceof Error ? error.message : 'unknown' })
    yield* local.filter((text) => !said.includes(text))
  } finally {
    signal.removeEventListener('abort', onAbort)
    begun.stream.close()
    scope.end(new ScopeEnded())
  }
}

const JUDGED = new WeakMap<ModelStream, ToolOutcome | null>()

/** Once a stream: what is refused is written down once. */
function judge(deps: ModelDeps, turn: Turn, stream: ModelStream): ToolOutcome | null {
  const known = JUDGED.get(stream)
  if (known !== undefined) return known
  const { call } = stream
  const outcome = call === null ? null : judgeToolCall(turn, call.name, call.argumentsJson, deps.beginBooking ?? bookByForm)
  if (outcome !== null) turn.trace('tool', { asked: call?.name ?? '', came: outcome.intent })
  JUDGED.set(stream, outcome)
  return outcome
}

/** A message is left once the turn is the agent's; then, and only then, the caller is told so. */
async function performed(turn: Turn, outcome: ToolOutcome, signal: AbortSignal): Promise<Conclusion> {
  if (outcome.lead === undefined) return outcome
  const result = await turn.question.effects.perform({ kind: 'lead', lead: outcome.lead }, signal)
  turn.trace('tool', { lead: result.kind })
  if (result.kind === 'done') return { ...outcome, texts: [LINES.messageTaken, LINES.anythingElse] }
  return { ...leaveMessage(turn), texts: [LINES.messageByVoice] }
}

/** The search was cut off: with more time the company's own words might have answered. */
function wasCutShort(turn: Turn): boolean {
  return turn.question.stages.spans.some((span) => span.stage === 'knowledge' && span.outcome !== 'done')
}
