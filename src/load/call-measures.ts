import type { StepExpectation } from './call-script.ts'
import { AGENT_AUDIBLE_DB, voicedSpans, type VoicedSpan } from './ears.ts'
import type { CallEvidence, StepEvidence } from './simulated-caller.ts'

/** Closures inside a word reach 120 ms; a pause of this length is silence to a listener. */
const FALLEN_SILENT_MS = 300
/** The smallest pause that keeps an onset apart from the sound before it. */
const ONSET_JOIN_MS = 100
/** The first voice of a cut-in: earlier than this after the caller began, the agent had not yet noticed the caller. */
const SIMULTANEOUS_START_MS = 150

/** What the caller's ear made of one step. All in ms; null when it did not happen. */
export type StepMeasures = Readonly<{
  index: number
  expected: StepExpectation['agent']
  /** End of the caller's last voiced frame to the first audible agent frame as played; negative when the agent was faster. */
  gapMs: number | null
  /** The longest silence from the caller's last voiced frame until the agent's answer was over. */
  longestSilenceMs: number | null
  /** Times the agent began to speak while the caller was not yet done. */
  cutIns: number
  /** Caller's first voiced frame to the agent's last audible one; null when the agent was not speaking. */
  silentAfterMs: number | null
  /** Audible speech of the agent after the caller's last voiced frame (where silence is expected: from the step's first moment) and before the next step. */
  agentSpeechMs: number
  /** Silence of the agent around a back-channel before it went on. */
  resumedAfterMs: number | null
  /** 20 ms frames that came after a `clear`, while the caller was still speaking. */
  staleFrames: number
}>

export type CallMeasures = Readonly<{
  /** Stream start to the first audible agent frame. */
  greetingMs: number | null
  steps: readonly StepMeasures[]
}>

/** Listens to the recording; nothing here comes from the server's own account. */
export function measureCall(evidence: CallEvidence): CallMeasures {
  const onsets = voicedSpans(evidence.recording.agent, AGENT_AUDIBLE_DB, ONSET_JOIN_MS)
  const stretches = voicedSpans(evidence.recording.agent, AGENT_AUDIBLE_DB, FALLEN_SILENT_MS)
  const steps = evidence.steps.map((step, position) => {
    const untilMs = evidence.steps[position + 1]?.startMs ?? evidence.recording.durationMs
    return measureStep(evidence, step, untilMs, onsets, stretches)
  })
  return { greetingMs: onsets[0]?.startMs ?? null, steps }
}

function measureStep(
  evidence: CallEvidence,
  step: StepEvidence,
  untilMs: number,
  onsets: readonly VoicedSpan[],
  stretches: readonly VoicedSpan[],
): StepMeasures {
  const beganMs = step.voicedStartMs ?? step.startMs
  // Speech asks its question when its last voiced frame is over; a key when it is pressed; silence from its first moment.
  const doneMs = step.voicedEndMs ?? step.startMs
  const answers = onsets.filter((span) => span.startMs >= doneMs && span.startMs < untilMs)
  const cutIns = stretches.filter((span) => span.startMs > beganMs + SIMULTANEOUS_START_MS && span.startMs < doneMs)
  const under = stretches.find((span) => span.startMs <= beganMs && span.endMs > beganMs) ?? null
  const over = onsets.find((span) => span.startMs > beganMs + SIMULTANEOUS_START_MS && span.startMs < doneMs && span.endMs > doneMs) ?? null
  const gapMs = over !== null ? over.startMs - doneMs : answers[0] === undefined ? null : answers[0].startMs - doneMs
  const clear = evidence.clears.find((cleared) => cleared.atMs >= beganMs && cleared.atMs < doneMs) ?? null
  const stale = clear === null ? [] : evidence.arrivals.slice(clear.arrivalsBefore).filter((arrival) => arrival.atMs < doneMs)
  const expected = step.step.do === 'hang-up' ? 'stays-silent' : step.step.expect.agent
  // Nothing may be said at all: not during the noise either.
  const staysSilent = expected === 'stays-silent'
  return {
    index: step.index,
    expected,
    gapMs,
    longestSilenceMs: longestSilence(doneMs, over === null ? answers : [over, ...answers]),
    cutIns: cutIns.length,
    silentAfterMs: under === null ? null : under.endMs - beganMs,
    agentSpeechMs: audibleMs(onsets, staysSilent ? step.startMs : doneMs, untilMs),
    resumedAfterMs: resumedAfter(onsets, beganMs, untilMs),
    staleFrames: Math.round(stale.reduce((sum, arrival) => sum + arrival.durationMs, 0) / 20),
  }
}

function longestSilence(fromMs: number, answers: readonly VoicedSpan[]): number | null {
  if (answers.length === 0) return null
  let silentSinceMs = fromMs
  let longestMs = 0
  for (const span of answers) {
    longestMs = Math.max(longestMs, span.startMs - silentSinceMs)
    silentSinceMs = Math.max(silentSinceMs, span.endMs)
  }
  return longestMs
}

function audibleMs(spans: readonly VoicedSpan[], fromMs: number, untilMs: number): number {
  return spans.reduce((sum, span) => sum + Math.max(0, Math.min(span.endMs, untilMs) - Math.max(span.startMs, fromMs)), 0)
}

/** The longest silence inside the agent's speech from the moment the caller made a sound; null when the agent did not go on. */
function resumedAfter(spans: readonly VoicedSpan[], beganMs: number, untilMs: number): number | null {
  const inside = spans.filter((span) => span.endMs > beganMs && span.startMs < untilMs)
  const first = inside[0]
  if (first === undefined) return null
  if (inside.length === 1) return first.startMs <= beganMs ? 0 : first.startMs - beganMs
  return longestSilence(Math.max(beganMs, Math.min(first.endMs, untilMs)), inside.slice(1))
}
