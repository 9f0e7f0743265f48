import type { CallMeasures, StepMeasures } from './call-measures.ts'
import { LONGEST_SILENCE_MS, type StepExpectation } from './call-script.ts'
import { outcomeProblems } from './outcome-judgement.ts'
import type { CallEvidence, StepEvidence } from './simulated-caller.ts'
import type { ServerCall, ServerTurn } from './turn-records.ts'

/** The agent may take the caller's last 300 ms for its own judgement before it goes on; the rest is the promised 400 ms. */
const RESUMES_WITHIN_MS = 1000
/** The server dates a turn on its own clock; the answer to a step is looked for this much earlier. */
const TURN_EARLY_MS = 400

export type FailureKind = 'protocol' | 'greeting' | 'outcome' | 'answer' | 'silence' | 'interruption' | 'cut-in' | 'stale-frames' | 'words' | 'end'

/** One expectation that was not met, as a sentence. `step` is null for the call as a whole. */
export type Failure = Readonly<{ kind: FailureKind; step: number | null; what: string }>

/** A call without its sound. */
export type CallFacts = Omit<CallEvidence, 'recording' | 'arrivals'> & Readonly<{ durationMs: number }>

export type JudgedCall = Readonly<{
  evidence: CallFacts
  measures: CallMeasures
  /** Null when the server offers no records: words are then not judged. */
  records: ServerCall | null
  failures: readonly Failure[]
  /** Expectations on words that nobody could check. */
  unjudged: number
}>

/** What a caller is told whose call is not taken is read out by the carrier, without a stream. Null when there was one, or nothing was said. */
function refusalOf(evidence: CallEvidence): string | null {
  if (evidence.verbs.some(({ verb }) => verb === 'connect-stream')) return null
  const words = evidence.verbs.flatMap((verb) => (verb.verb === 'say' ? [verb.text] : [])).join(' ')
  return words === '' ? null : `the call was not taken: "${words}"`
}

/** Ears decide when, how long and whether the agent stopped; the server's records decide which words. */
export function judgeCall(evidence: CallEvidence, measures: CallMeasures, records: ServerCall | null): JudgedCall {
  const failures: Failure[] = evidence.problems.map((problem) => ({ kind: 'protocol', step: null, what: problem }))
  const { script } = evidence
  let unjudged = 0
  const greetingTurns = records === null ? null : records.turns.filter((turn) => turn.input === 'answered')
  if (measures.greetingMs === null) failures.push({ kind: 'greeting', step: null, what: refusalOf(evidence) ?? 'the agent never spoke' })
  else if (measures.greetingMs > script.greeting.withinMs) {
    failures.push({ kind: 'greeting', step: null, what: `the greeting came after ${ms(measures.greetingMs)}, at most ${ms(script.greeting.withinMs)} allowed` })
  }
  if (greetingTurns === null) unjudged += script.greeting.says.length
  else failures.push(...wordFailures(null, script.greeting.says, [], heardWords(greetingTurns)))

  const saidSteps = evidence.steps
  for (const [position, step] of saidSteps.entries()) {
    if (step.step.do === 'hang-up') continue
    const expect = step.step.expect
    const measured = measures.steps[position] as StepMeasures
    failures.push(...timingFailures(step.index, expect, measured))
    if (records === null) {
      unjudged += expect.says.length + expect.saysNot.length + (expect.source === undefined ? 0 : 1) + (expect.action === undefined ? 0 : 1)
      continue
    }
    const turns = turnsOfStep(records, saidSteps, position)
    failures.push(...wordFailures(step.index, expect.says, expect.saysNot, heardWords(turns)), ...factFailures(step.index, expect, turns))
  }
  const unplayed = script.steps.filter((step) => step.do !== 'hang-up').length - saidSteps.length
  if (unplayed > 0) failures.push({ kind: 'end', step: null, what: `the call was over with ${unplayed} step(s) of the script still to come` })
  failures.push(...endFailures(evidence))
  if (script.outcome !== undefined) {
    const made = records?.made
    if (made === undefined) unjudged += 1
    else failures.push(...outcomeProblems(script.outcome, made).map((what) => ({ kind: 'outcome' as const, step: null, what })))
  }
  const { recording, arrivals: _arrivals, ...facts } = evidence
  return { evidence: { ...facts, durationMs: recording.durationMs }, measures, records, failures, unjudged }
}

function timingFailures(step: number, expect: StepExpectation, measured: StepMeasures): Failure[] {
  const failures: Failure[] = []
  const fail = (kind: FailureKind, what: string): void => {
    failures.push({ kind, step, what })
  }
  if (measured.staleFrames > 0) fail('stale-frames', `${measured.staleFrames} stale frame(s) came after clear`)
  switch (expect.agent) {
    case 'stays-silent':
      if (measured.agentSpeechMs > 0) fail('answer', `the agent spoke for ${ms(measured.agentSpeechMs)}, silence was expected`)
      break
    case 'continues':
      if (measured.agentSpeechMs < expect.continuesForMs) {
        fail('interruption', `the agent went on for ${ms(measured.agentSpeechMs)} only, at least ${ms(expect.continuesForMs)} expected: a false interruption`)
      }
      if (measured.resumedAfterMs !== null && measured.resumedAfterMs > RESUMES_WITHIN_MS) {
        fail('interruption', `the agent was silent for ${ms(measured.resumedAfterMs)} before it went on`)
      }
      break
    case 'stops':
      if (measured.silentAfterMs === null) fail('interruption', 'the agent was not speaking when the caller barged in')
      else if (measured.silentAfterMs > expect.stopsWithinMs) {
        fail('interruption', `the agent fell silent after ${ms(measured.silentAfterMs)}, at most ${ms(expect.stopsWithinMs)} allowed`)
      }
      failures.push(...answerFailures(step, expect, measured))
      break
    case 'replies':
      if (measured.cutIns > 0) fail('cut-in', `the agent cut in ${measured.cutIns} time(s)`)
      failures.push(...answerFailures(step, expect, measured))
      break
  }
  return failures
}

function answerFailures(step: number, expect: StepExpectation, measured: StepMeasures): Failure[] {
  if (measured.gapMs === null) return [{ kind: 'answer', step, what: 'the agent did not answer' }]
  const failures: Failure[] = []
  if (measured.gapMs > expect.withinMs) failures.push({ kind: 'answer', step, what: `the answer came after ${ms(measured.gapMs)}, at most ${ms(expect.withinMs)} allowed` })
  const allowedMs = Math.max(LONGEST_SILENCE_MS, expect.withinMs)
  if (measured.longestSilenceMs !== null && measured.longestSilenceMs > allowedMs) {
    failures.push({ kind: 'silence', step, what: `${ms(measured.longestSilenceMs)} of silence while an answer was due` })
  }
  return failures
}

function wordFailures(step: number | null, says: readonly RegExp[], saysNot: readonly RegExp[], words: string): Failure[] {
  return [
    ...says.filter((pattern) => !pattern.test(words)).map((pattern) => ({ kind: 'words' as const, step, what: `expected ${String(pattern)}, heard "${words}"` })),
    ...saysNot.filter((pattern) => pattern.test(words)).map((pattern) => ({ kind: 'words' as const, step, what: `must not say ${String(pattern)}, heard "${words}"` })),
  ]
}

function factFailures(step: number, expect: StepExpectation, turns: readonly ServerTurn[]): Failure[] {
  const failures: Failure[] = []
  const sources = turns.flatMap((turn) => turn.sources)
  const actions = turns.flatMap((turn) => turn.actions.map((action) => action.kind))
  if (expect.source !== undefined && !expect.source.some((source) => sources.includes(source))) {
    failures.push({ kind: 'words', step, what: `expected an answer by ${expect.source.join(' or ')}, it came from ${sources.join(', ') || 'nowhere'}` })
  }
  if (expect.action !== undefined && !actions.includes(expect.action)) {
    failures.push({ kind: 'words', step, what: `expected the action ${expect.action}, taken: ${actions.join(', ') || 'none'}` })
  }
  if (expect.agent === 'continues') {
    const cut = turns.find((turn) => turn.interruption !== null)
    if (cut !== undefined) failures.push({ kind: 'interruption', step, what: `the server took it for an interruption (${cut.interruption?.rule ?? ''})` })
  }
  return failures
}

function endFailures(evidence: CallEvidence): Failure[] {
  const { ends } = evidence.script
  if (ends === 'any') return []
  const expected = { 'caller-hangs-up': 'caller-hung-up', 'agent-hangs-up': 'agent-hung-up', transfer: 'transferred', voicemail: 'voicemail' } as const
  const wanted = expected[ends]
  return evidence.end === wanted ? [] : [{ kind: 'end', step: null, what: `the call ended as "${evidence.end}", expected "${wanted}"` }]
}

/**
 * The turns that answer a step: by the caller's media clock where the turn has one, else by the server's dates, counted from the
 * greeting. An interruption is recorded with the turn it cut off, so a back-channel also looks at the turn before.
 */
export function turnsOfStep(records: ServerCall, steps: readonly StepEvidence[], position: number): ServerTurn[] {
  const step = steps[position] as StepEvidence
  const fromMs = (step.voicedStartMs ?? step.startMs) - TURN_EARLY_MS
  const next = steps[position + 1]
  const untilMs = next === undefined ? Infinity : (next.voicedStartMs ?? next.startMs) - TURN_EARLY_MS
  const greeting = records.turns.find((turn) => turn.input === 'answered')
  const zero = Date.parse(greeting?.startedAt ?? records.call.startedAt)
  return records.turns.filter((turn) => {
    if (turn.input === 'answered') return false
    const atMs = turn.endpoint?.lastVoicedMs ?? Date.parse(turn.startedAt) - zero
    return atMs >= fromMs && atMs < untilMs
  })
}

function heardWords(turns: readonly ServerTurn[]): string {
  return turns.map((turn) => turn.delivered).join(' ')
}

function ms(value: number): string {
  return `${Math.round(value)} ms`
}
