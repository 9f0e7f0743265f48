import type { StageName, StageOutcome } from '../core/latency-budget.ts'
import type { CallRecord, TurnRecord } from './call-record.ts'
import type { Recording } from './recording.ts'

/** A pause of this length is where people begin to wonder whether they were heard. */
export const SILENCE_WORTH_EXPLAINING_MS = 700

export type SilenceCause = Readonly<{ stage: StageName; ms: number; outcome: StageOutcome; because: string }>
export type ExplainedSilence = Readonly<{
  turn: number
  startedAt: string
  /** Null: the caller heard nothing at all. */
  gapMs: number | null
  /** In one sentence. */
  why: string
  /** What the silence was made of, longest first; the parts sum to the gap. */
  causes: readonly SilenceCause[]
  stalled: boolean
  overBudgetMs: number
  /** Where it can be heard; null where this moment was not recorded. */
  recording: Readonly<{ id: string; atMs: number }> | null
}>
export type CallExplanation = Readonly<{ callSid: string; turns: number; silences: readonly ExplainedSilence[]; lostFrameCount: number; streamErrors: readonly string[] }>

/** Why the caller had to wait, for every wait longer than `SILENCE_WORTH_EXPLAINING_MS`. From what was measured, nothing is guessed. */
export function explainCall(call: CallRecord, turns: readonly TurnRecord[], recordings: readonly Heard[] = []): CallExplanation {
  return {
    callSid: call.callSid,
    turns: turns.length,
    silences: turns.filter(isLong).map((turn) => ({ ...explain(turn), recording: placeOf(turn, recordings) })),
    lostFrameCount: call.lostFrameCount,
    streamErrors: call.streamErrors,
  }
}

type Heard = Pick<Recording, 'id' | 'startedAt' | 'durationMs'>

/** The turn begins when its reply is due, which is where its silence is heard. */
function placeOf(turn: TurnRecord, recordings: readonly Heard[]): ExplainedSilence['recording'] {
  for (const { id, startedAt, durationMs } of recordings) {
    const atMs = Date.parse(turn.startedAt) - Date.parse(startedAt)
    if (atMs >= 0 && atMs <= durationMs) return { id, atMs }
  }
  return null
}

function isLong(turn: TurnRecord): boolean {
  if (turn.gapMs === null) return turn.said !== '' || turn.input === 'speech'
  return turn.gapMs > SILENCE_WORTH_EXPLAINING_MS
}

function explain(turn: TurnRecord): Omit<ExplainedSilence, 'recording'> {
  const causes = turn.stages
    .map(({ stage, ms }): SilenceCause => {
      const outcome = turn.work.find((one) => one.stage === stage && one.outcome !== 'done')?.outcome ?? 'done'
      return { stage, ms, outcome, because: reasonOf(turn, stage, outcome) }
    })
    .sort((a, b) => b.ms - a.ms)
  const [longest] = causes
  return {
    turn: turn.turn,
    startedAt: turn.startedAt,
    gapMs: turn.gapMs,
    why: turn.gapMs === null || longest === undefined ? whyNothing(turn) : `${Math.round(longest.ms)} of ${Math.round(turn.gapMs)} ms: ${longest.because}`,
    causes,
    stalled: turn.stalled,
    overBudgetMs: turn.budgetExceededByMs,
  }
}

function whyNothing(turn: TurnRecord): string {
  if (turn.gapMs !== null) return 'the wait was not measured stage by stage'
  if (turn.interruption !== null) return 'the caller went on talking before the reply became audible'
  if (turn.said === '') return 'there was nothing to say'
  return 'the reply never became audible: the call ended or the voice failed first'
}

const REASONS: Readonly<Record<StageName, string>> = {
  endpoint: 'waiting to be sure that the caller had finished',
  patience: 'the sentence looked unfinished, so the agent waited for the rest of it',
  transcript: 'the recogniser had not finished the last words',
  context: "the company's settings were being read",
  intent: "the caller's intention was being worked out",
  knowledge: 'the knowledge was being searched',
  template: 'the answer was being worded from a template',
  response: 'the language model had not begun to answer',
  quality: 'the answer was being checked',
  personality: 'the answer was being put in the agent\'s manner',
  synthesis: 'the voice had not produced its first sound',
  playout: 'the first sound was on its way to the telephone line',
  other: 'no stage was at work: the server was busy with something else',
}

function reasonOf(turn: TurnRecord, stage: StageName, outcome: StageOutcome): string {
  const rule = stage === 'endpoint' && turn.endpoint !== null ? ` (${turn.endpoint.rule}, score ${turn.endpoint.score.toFixed(2)})` : ''
  const end = outcome === 'cut-off' ? ', and was cut off' : outcome === 'failed' ? ', and failed' : ''
  return `${REASONS[stage]}${rule}${end}`
}
