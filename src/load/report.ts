import { STAGES } from '../core/latency-budget.ts'
import type { JudgedCall } from './call-judgement.ts'
import type { StepMeasures } from './call-measures.ts'
import { LONGEST_SILENCE_MS } from './call-script.ts'

/** Above this the harness's own schedule slipped: figures of that run say more about the machine than about the server. */
export const HARNESS_LATE_MS = 100

export type Percentiles = Readonly<{ count: number; p50: number; p95: number; p99: number; max: number }>

export type LoadReport = Readonly<{
  startedAt: string
  target: string
  concurrency: number
  calls: number
  failedCalls: number
  turns: number
  answeredTurns: number
  /** By the caller's ears, ms. */
  heard: Readonly<{
    greeting: Percentiles | null
    /** Without the turns in which the agent was patient with an unfinished sentence. */
    gap: Percentiles | null
    gapWithPatience: Percentiles | null
    answerToWebhook: Percentiles | null
  }>
  /** By the server's records, ms a turn; absent where the server offers none. */
  stages: readonly Readonly<{ stage: string; percentiles: Percentiles }>[]
  interruptions: Readonly<{
    expected: number
    missed: number
    timeToSilence: Percentiles | null
    staleFrames: number
    /** Back-channels and noises over the agent, and those after which the reply was not heard to its end. */
    backChannels: number
    falseStops: number
    cutIns: number
  }>
  silences: number
  droppedFrames: number
  harnessWorstLateMs: number
  unjudgedWords: number
  perScript: readonly Readonly<{ script: string; calls: number; failedCalls: number; gap: Percentiles | null }>[]
  failures: readonly Readonly<{ script: string; callSid: string; step: number | null; what: string }>[]
  /** Every gap measured, for plots. */
  gapsMs: readonly number[]
}>

/** Adds up calls. Pure arithmetic: the same calls give the same report. */
export function summarise(run: Readonly<{ startedAt: string; target: string; concurrency: number; calls: readonly JudgedCall[] }>): LoadReport {
  const { calls } = run
  const steps = calls.flatMap((call) => call.measures.steps)
  const due = steps.filter((step) => step.expected === 'replies' || step.expected === 'stops')
  const gapsMs = calls.flatMap((call) => spokenGaps(call, Infinity))
  const prompt = calls.flatMap((call) => spokenGaps(call, LONGEST_SILENCE_MS))
  const barged = steps.filter((step) => step.expected === 'stops')
  const backChannels = steps.filter((step) => step.expected === 'continues')
  return {
    startedAt: run.startedAt,
    target: run.target,
    concurrency: run.concurrency,
    calls: calls.length,
    failedCalls: calls.filter((call) => call.failures.length > 0).length,
    turns: due.length,
    answeredTurns: due.filter((step) => step.gapMs !== null).length,
    heard: {
      greeting: percentiles(calls.flatMap((call) => (call.measures.greetingMs === null ? [] : [call.measures.greetingMs]))),
      gap: percentiles(prompt),
      gapWithPatience: percentiles(gapsMs),
      answerToWebhook: percentiles(calls.map((call) => call.evidence.answeredInMs)),
    },
    stages: stagePercentiles(calls),
    interruptions: {
      expected: barged.length,
      missed: failedSteps(calls, 'stops'),
      timeToSilence: percentiles(barged.flatMap((step) => (step.silentAfterMs === null ? [] : [step.silentAfterMs]))),
      staleFrames: steps.reduce((sum, step) => sum + step.staleFrames, 0),
      backChannels: backChannels.length,
      falseStops: failedSteps(calls, 'continues'),
      cutIns: steps.reduce((sum, step) => sum + step.cutIns, 0),
    },
    silences: calls.flatMap((call) => call.failures).filter((failure) => failure.kind === 'silence').length,
    droppedFrames: calls.reduce((sum, call) => sum + (call.records?.call.lostFrameCount ?? 0), 0),
    harnessWorstLateMs: Math.max(0, ...calls.map((call) => call.evidence.worstLateMs)),
    unjudgedWords: calls.reduce((sum, call) => sum + call.unjudged, 0),
    perScript: [...Map.groupBy(calls, (call) => call.evidence.script.name)].map(([script, group]) => ({
      script,
      calls: group.length,
      failedCalls: group.filter((call) => call.failures.length > 0).length,
      gap: percentiles(group.flatMap((call) => spokenGaps(call, Infinity))),
    })),
    failures: calls.flatMap((call) =>
      call.failures.map((failure) => ({ script: call.evidence.script.name, callSid: call.evidence.callSid, ...failure })),
    ),
    gapsMs,
  }
}

/** Nearest rank; null for no values. */
export function percentiles(values: readonly number[]): Percentiles | null {
  if (values.length === 0) return null
  const sorted = values.toSorted((a, b) => a - b)
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number
  return { count: sorted.length, p50: rank(0.5), p95: rank(0.95), p99: rank(0.99), max: rank(1) }
}

/** Plain text, readable in a pipe. */
export function reportTable(report: LoadReport): string {
  const rows: [string, Percentiles | null][] = [
    ['caller heard: greeting', report.heard.greeting],
    ['caller heard: gap, prompt answers', report.heard.gap],
    ['caller heard: gap, all answers', report.heard.gapWithPatience],
    ['caller heard: silence after barge-in', report.interruptions.timeToSilence],
    ['webhook answered', report.heard.answerToWebhook],
    ...report.stages.map(({ stage, percentiles: values }): [string, Percentiles | null] => [`server: ${stage}`, values]),
  ]
  const { interruptions } = report
  const lines = [
    `${report.calls} calls (${report.concurrency} at once) to ${report.target}, ${report.turns} answers due, ${report.answeredTurns} heard`,
    '',
    `${'ms'.padEnd(38)}${['n', 'p50', 'p95', 'p99', 'max'].map((name) => name.padStart(8)).join('')}`,
    ...rows.flatMap(([name, values]) =>
      values === null ? [] : [name.padEnd(38) + [values.count, values.p50, values.p95, values.p99, values.max].map((value) => String(Math.round(value)).padStart(8)).join('')],
    ),
    '',
    `interruptions: ${interruptions.expected} wanted, ${interruptions.missed} missed or late, ${interruptions.staleFrames} stale frames after clear`,
    `back-channels and noise: ${interruptions.backChannels}, ${interruptions.falseStops} false stops; cut-ins: ${interruptions.cutIns}; silences over 1.2 s: ${report.silences}`,
    `frames dropped: ${report.droppedFrames}; the harness itself was at most ${Math.round(report.harnessWorstLateMs)} ms late`,
  ]
  if (report.harnessWorstLateMs > HARNESS_LATE_MS) lines.push('the harness could not keep its own schedule: fewer calls, or more cores, for figures worth quoting')
  if (report.unjudgedWords > 0) lines.push(`${report.unjudgedWords} expectations on words not judged: the server offers no records here`)
  lines.push('', ...report.perScript.map((row) => `${row.failedCalls === 0 ? 'ok  ' : 'FAIL'} ${row.script.padEnd(28)} ${row.calls - row.failedCalls}/${row.calls}${gapNote(row.gap)}`))
  if (report.failures.length > 0) lines.push('', ...report.failures.map((failure) => `  ${failure.script}${stepNote(failure.step)}: ${failure.what}`))
  return lines.join('\n')
}

function gapNote(gap: Percentiles | null): string {
  return gap === null ? '' : `   gap p50 ${Math.round(gap.p50)} ms`
}

function stepNote(step: number | null): string {
  return step === null ? '' : `, step ${step + 1}`
}

function isDue(expected: string): boolean {
  return expected === 'replies' || expected === 'stops'
}

/**
 * Answers to speech, of the steps that allow at most `allowedMs`: scripts allow more than the ordinary limit where the caller sounds
 * unfinished. A key or a silence has no last voiced frame to wait from.
 */
function spokenGaps(call: JudgedCall, allowedMs: number): number[] {
  return call.evidence.steps.flatMap((step, position) => {
    if (step.step.do !== 'say' || !isDue(step.step.expect.agent) || step.step.expect.withinMs > allowedMs) return []
    const gapMs = call.measures.steps[position]?.gapMs ?? null
    return gapMs === null ? [] : [gapMs]
  })
}

/** Steps of one kind that failed on what the agent did with the caller's voice. */
function failedSteps(calls: readonly JudgedCall[], expected: StepMeasures['expected']): number {
  return calls.reduce((sum, call) => {
    const failed = new Set(call.failures.filter((failure) => failure.kind === 'interruption').map((failure) => failure.step))
    return sum + call.measures.steps.filter((step) => step.expected === expected && failed.has(step.index)).length
  }, 0)
}

function stagePercentiles(calls: readonly JudgedCall[]): { stage: string; percentiles: Percentiles }[] {
  const values = new Map<string, number[]>()
  for (const turn of calls.flatMap((call) => call.records?.turns ?? [])) {
    // A stage may have several stretches in a turn; what counts is all of it.
    const perStage = new Map<string, number>()
    for (const { stage, ms } of turn.stages) perStage.set(stage, (perStage.get(stage) ?? 0) + ms)
    for (const [stage, ms] of perStage) {
      const found = values.get(stage)
      if (found === undefined) values.set(stage, [ms])
      else found.push(ms)
    }
  }
  return STAGES.flatMap((stage) => {
    const found = percentiles(values.get(stage) ?? [])
    return found === null ? [] : [{ stage, percentiles: found }]
  })
}
