import { availableParallelism } from 'node:os'
import { z } from 'zod'
import type { LatencyBudget } from '../core/latency-budget.ts'
import { about, cents, whole, yesOrNo } from './variables.ts'

export type CallConfig = Readonly<{
  demoCompanies: boolean
  sttWorkers: number
  voiceActivity: 'silero' | 'level'
  budget: LatencyBudget
  /** Whether replies are begun before the end of a turn is certain. */
  earlyReplies: boolean
  /** Whether the language model may be asked for such a reply; false: once the turn is over, with everything it is asked with at hand. */
  earlyModel: boolean
}>

/** Milliseconds. A stage that may take longer than the hard limit would have no limit. */
const stageMs = (stage: string, ms: number): z.ZodType<number, string> =>
  whole(1, 10_000).register(about, { says: `Deadline of the ${stage} stage, in ms.`, example: String(ms), default: String(ms) })

/** How callers are heard, how soon they are answered, and what a call costs. */
export const callVariables = {
  DEMO_COMPANIES: yesOrNo().register(about, { says: 'Whether the demo companies are brought into the store at start.', example: 'false', default: 'true' }),
  VOICE_ACTIVITY: z.enum(['silero', 'level'], { error: 'must be silero or level' }).register(about, {
    says: 'How speech is told from noise: by a model, or by level alone, which costs half and takes street noise for speech.',
    example: 'level',
    default: 'silero',
  }),
  STT_WORKERS: whole(1, 64).optional().register(about, { says: 'Recogniser threads. Without it: one less than the processors, at least one.', example: '2', default: null }),
  TURN_TARGET_MS: whole(100, 10_000).register(about, {
    says: "Target from the caller's last sound to the agent's first, in ms.",
    example: '600',
    default: '600',
  }),
  TURN_HARD_MS: whole(100, 10_000).register(about, { says: 'The same as a limit: later than this counts as over budget, in ms.', example: '1000', default: '1000' }),
  TURN_STALL_MS: whole(100, 10_000).register(about, { says: 'When "one moment, please" is heard if no answer is there yet, in ms.', example: '700', default: '700' }),
  TURN_TRANSCRIPT_MS: stageMs('transcript', 450),
  TURN_CONTEXT_MS: stageMs('context', 50),
  TURN_INTENT_MS: stageMs('intent', 30),
  TURN_KNOWLEDGE_MS: stageMs('knowledge', 200),
  TURN_TEMPLATE_MS: stageMs('template', 30),
  TURN_RESPONSE_MS: stageMs('response', 600),
  TURN_QUALITY_MS: stageMs('quality', 20),
  TURN_PERSONALITY_MS: stageMs('personality', 20),
  TURN_SYNTHESIS_MS: stageMs('synthesis', 400),
  TURN_PLAYOUT_MS: stageMs('playout', 60),
  TURN_EARLY_REPLIES: yesOrNo().register(about, {
    says: 'Whether a reply is begun while the caller may still go on. It hides most of the wait; a model that costs money is asked in vain now and then.',
    example: 'false',
    default: 'true',
  }),
  TURN_EARLY_MODEL: yesOrNo().register(about, {
    says: 'Whether the language model is asked for such a reply too. When it is not, everything it will be asked with is made ready meanwhile, and no token is generated in vain.',
    example: 'false',
    default: 'true',
  }),
  CALL_MINUTE_CENTS: cents().register(about, { says: 'What a minute of a call costs you, in US cents, for the usage page.', example: '0.85', default: null }),
  MODEL_TOKEN_CENTS: cents().register(about, { says: 'What a token of the language model costs you, in US cents.', example: '0.0002', default: null }),
}
export type CallValues = z.output<z.ZodObject<typeof callVariables>>

export function callProblems(values: CallValues): string[] {
  const problems: string[] = []
  if (values.TURN_TARGET_MS > values.TURN_HARD_MS) problems.push('TURN_TARGET_MS is above TURN_HARD_MS; for example TURN_TARGET_MS=600 TURN_HARD_MS=1000')
  if (values.TURN_STALL_MS > values.TURN_HARD_MS) problems.push('TURN_STALL_MS is above TURN_HARD_MS; for example TURN_STALL_MS=700 TURN_HARD_MS=1000')
  for (const [stage, ms] of Object.entries(stagesOf(values))) {
    if (ms > values.TURN_HARD_MS) problems.push(`TURN_${stage.toUpperCase()}_MS is above TURN_HARD_MS, so that it would never cut anything off`)
  }
  return problems
}

export function callConfig(values: CallValues): CallConfig {
  return {
    demoCompanies: values.DEMO_COMPANIES,
    voiceActivity: values.VOICE_ACTIVITY,
    // One processor is the media loop's.
    sttWorkers: values.STT_WORKERS ?? Math.max(1, availableParallelism() - 1),
    budget: { targetMs: values.TURN_TARGET_MS, hardMs: values.TURN_HARD_MS, stallAfterMs: values.TURN_STALL_MS, stagesMs: stagesOf(values) },
    earlyReplies: values.TURN_EARLY_REPLIES,
    earlyModel: values.TURN_EARLY_MODEL,
  }
}

function stagesOf(values: CallValues): LatencyBudget['stagesMs'] & Record<string, number> {
  return {
    transcript: values.TURN_TRANSCRIPT_MS,
    context: values.TURN_CONTEXT_MS,
    intent: values.TURN_INTENT_MS,
    knowledge: values.TURN_KNOWLEDGE_MS,
    template: values.TURN_TEMPLATE_MS,
    response: values.TURN_RESPONSE_MS,
    quality: values.TURN_QUALITY_MS,
    personality: values.TURN_PERSONALITY_MS,
    synthesis: values.TURN_SYNTHESIS_MS,
    playout: values.TURN_PLAYOUT_MS,
  }
}
