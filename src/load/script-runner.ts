import type { CallScript, ScriptStep, StepTiming } from './call-script.ts'

/** A caller who gets no answer speaks again; the missing answer is judged afterwards. */
const GIVE_UP_WAITING_MS = 12_000
/** The caller's last word, then silence: how long the line stays open for what the agent still does. */
const AFTER_LAST_STEP_MS = 15_000
/** After the last reply a caller hangs up. */
const HANG_UP_AFTER_QUIET_MS = 1500

/** What the caller's ear knows at a moment; ms on the call's clock, null when never. */
export type EarState = Readonly<{
  /** When the agent's present or latest stretch of speech began. */
  agentOnsetMs: number | null
  agentLastAudibleMs: number | null
  /** True when nothing the agent sent is waiting to be played. */
  playoutEmpty: boolean
}>

export type CallerAct = Readonly<{ kind: 'step'; index: number; step: ScriptStep }> | Readonly<{ kind: 'hang-up' }>

/**
 * Walks a script: every 20 ms it is told the time and what the ear knows, and says what the caller does now. Pure, so that the same
 * script drives a call over sockets and a call in virtual time.
 */
export class ScriptRunner {
  readonly #script: CallScript
  #next = 0
  /** The present step's clip, digits or silence last until then. */
  #busyUntilMs = 0
  #hungUp = false

  constructor(script: CallScript) {
    this.#script = script
  }

  /** At most one act a tick. `durationMs` says how long a step's sound lasts. */
  tick(nowMs: number, ear: EarState, durationMs: (step: ScriptStep) => number): CallerAct | null {
    if (this.#hungUp || nowMs < this.#busyUntilMs) return null
    const step = this.#script.steps[this.#next]
    if (step === undefined) return this.#afterLastStep(nowMs, ear)
    if (!this.#isDue(step.when, nowMs, ear)) return null
    const index = this.#next
    this.#next += 1
    if (step.do === 'hang-up') {
      this.#hungUp = true
      return { kind: 'hang-up' }
    }
    this.#busyUntilMs = nowMs + durationMs(step)
    return { kind: 'step', index, step }
  }

  #isDue(timing: StepTiming, nowMs: number, ear: EarState): boolean {
    const waitedMs = nowMs - this.#busyUntilMs
    const spokeSince = ear.agentLastAudibleMs !== null && ear.agentLastAudibleMs >= this.#busyUntilMs
    switch (timing.after) {
      case 'agent-finished':
        if (waitedMs >= GIVE_UP_WAITING_MS && !spokeSince) return true
        return spokeSince && ear.playoutEmpty && nowMs - (ear.agentLastAudibleMs ?? 0) >= timing.quietMs
      case 'agent-speaks': {
        if (waitedMs >= GIVE_UP_WAITING_MS && !spokeSince) return true
        const onsetMs = ear.agentOnsetMs
        return spokeSince && onsetMs !== null && nowMs - Math.max(onsetMs, this.#busyUntilMs) >= timing.forMs
      }
      case 'silence':
        return nowMs - Math.max(this.#busyUntilMs, ear.agentLastAudibleMs ?? 0) >= timing.forMs
      case 'previous':
        return waitedMs >= timing.forMs
    }
  }

  #afterLastStep(nowMs: number, ear: EarState): CallerAct | null {
    const quietForMs = nowMs - Math.max(this.#busyUntilMs, ear.agentLastAudibleMs ?? 0)
    const spokeSince = ear.agentLastAudibleMs !== null && ear.agentLastAudibleMs >= this.#busyUntilMs
    const callerEnds = this.#script.ends === 'caller-hangs-up' || this.#script.ends === 'any'
    const limitMs = callerEnds && spokeSince && ear.playoutEmpty ? HANG_UP_AFTER_QUIET_MS : AFTER_LAST_STEP_MS
    if (quietForMs < limitMs) return null
    this.#hungUp = true
    return { kind: 'hang-up' }
  }
}
