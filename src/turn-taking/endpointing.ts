import { OPEN_EXPECTATION, type Expectation } from '../core/expectation.ts'
import type { Reading } from '../core/reading.ts'
import { answerState } from './answer-state.ts'
import { hasWords, isAcknowledgement } from './acknowledgements.ts'
import { refuseMissingNumbers } from './signal-check.ts'
import { planWait, waitsOf, type TurnWaits, type WaitPlan } from './turn-waits.ts'
import { TURN_PRESETS, type SpeechSignal, type TurnDecision, type TurnDetector, type TurnPreset } from './turn-detector.ts'
import { VoiceFusion } from './voice-fusion.ts'

export type TurnDetectorOptions = Readonly<{
  preset: TurnPreset
  /** Overrides single waits of every preset, ms. */
  waits?: Partial<TurnWaits>
}>

/**
 * When is it our turn? A pause after speech becomes a commit once it has outlasted the wait that the words ask for.
 *
 * After a commit the turn is ours but nobody hears it yet: speech that resumes before 'agent audible' voids it ('retract',
 * 'speech-resumed') and the utterance goes on. 'agent audible' closes the utterance for good.
 * Rules name what decided ('question', 'trailing-filler', 'digits 7 of 10', 'no-text' ...), with '+energy-only' or '+noisy' when
 * the voice detectors were not both in use. Throws INVALID_INPUT naming the field when a signal carries no number.
 */
export function createTurnDetector(options: TurnDetectorOptions): TurnDetector {
  return new FusedTurnDetector(options)
}

/** The recogniser may start once this much silence has followed the last voiced frame: longer than a stop consonant. */
const PAUSE_MS = 100
/** This much speech ends a pause. */
const RESUME_MS = 60
/** A pause worth preparing a reply for, when the words allow it; a complete sentence is prepared for at once. Sooner, and stops between words count. */
const SPECULATE_AFTER_MS = 150
const SPECULATE_ABOVE = -0.5
/** A pause this long is an end more often than not, whatever the words look like. */
const SPECULATE_ANYTHING_AFTER_MS = 600
/** A commit waits this long at most for a sound to turn out to be speech or none. */
const STIRRING_GRACE_MS = 100
/** From the burst of a stop consonant to the voice after it, in slow speech; short enough not to be missed where it was a click. */
const AFTER_BURST_MS = 180
/** Text that lacks no more than this of the last speech speaks for all of it. */
const TEXT_LAG_MS = 200
/** Less speech than this, with no words in it, was a cough or a click. */
const BLIP_MS = 200
/** Over the agent's voice, speech without words has to last this long to be a turn. */
const WORDLESS_OVER_AGENT_MS = 700
/** The caller went on this soon after our reply began: we had cut in. Shorter speech than `CUT_IN_SPEECH_MS` is a "yeah". */
const CUT_IN_WITHIN_MS = 1500
const CUT_IN_SPEECH_MS = 300
const CUT_INS_BEFORE_PATIENCE = 2
/** No frame for this long while the caller speaks: the stream has a hole, and a hole is silence. */
const FRAMES_MISSING_MS = 200
const FRAME_MS = 20
/** Hangover of `speaking`, bridging single unvoiced frames. */
const SPEAKING_HANGOVER_MS = 40

type Phase = 'idle' | 'speech' | 'pause' | 'committed'
type Transcript = Readonly<{ text: string; audioEndMs: number; reading: Reading | null }>

class FusedTurnDetector implements TurnDetector {
  readonly #fusion = new VoiceFusion()
  readonly #overrides: Partial<TurnWaits>
  #preset: TurnPreset
  #phase: Phase = 'idle'
  #nowMs = 0
  #expectation: Expectation = OPEN_EXPECTATION
  #transcript: Transcript | null = null
  /** The latest text had no words; `#transcript` keeps the words before it. */
  #wordless = false
  #lastVoicedMs = 0
  /** The longest pause that this utterance went on after. */
  #longestPauseMs = 0
  /** Speech in this utterance before the current run, and where the run began that is counted now. */
  #voicedMs = 0
  #countedRunMs = -1
  /** Silero was sure of speech at some moment of this utterance, or was not there to ask. */
  #certain = false
  #countedVoicedMs = 0
  #speculatedText: string | null = null
  #vendorEndMs = -Infinity
  /** It guessed at an end, perhaps before our own ears found the pause. */
  #vendorEagerMs = -Infinity
  #agentAudible = false
  /** Words up to here belong to an utterance that is over. */
  #closedAtMs = -1
  #cutInWatchMs: number | null = null
  #cutIns = 0

  constructor(options: TurnDetectorOptions) {
    this.#preset = options.preset
    this.#overrides = options.waits ?? {}
  }

  get preset(): TurnPreset {
    return this.#preset
  }

  get speaking(): boolean {
    const heard = this.#agentAudible ? this.#fusion.convinced : this.#fusion.confirmed
    return heard && this.#nowMs - this.#fusion.lastVoicedMs <= SPEAKING_HANGOVER_MS
  }

  get speakingSinceMs(): number | null {
    return this.speaking ? (this.#fusion.run?.sinceMs ?? null) : null
  }

  get wakeAtMs(): number | null {
    const dueMs = this.#dueMs
    // What was due and could not happen yet is looked at again a frame later, never in the past.
    return dueMs === null ? null : Math.max(dueMs, this.#nowMs + FRAME_MS)
  }

  get #dueMs(): number | null {
    switch (this.#phase) {
      case 'idle':
      case 'committed':
        return null
      case 'speech':
        return this.#fusion.lastFrameMs + FRAMES_MISSING_MS
      case 'pause': {
        const plan = this.#plan()
        const dueMs = this.#lastVoicedMs + plan.waitMs
        const prepareMs = this.#lastVoicedMs + SPECULATE_AFTER_MS
        if (prepareMs > this.#nowMs && this.#mayPrepare(plan, SPECULATE_AFTER_MS)) return Math.min(dueMs, prepareMs)
        const anywayMs = this.#lastVoicedMs + SPECULATE_ANYTHING_AFTER_MS
        return anywayMs > this.#nowMs && this.#mayPrepare(plan, SPECULATE_ANYTHING_AFTER_MS) ? Math.min(dueMs, anywayMs) : dueMs
      }
    }
  }

  observe(signal: SpeechSignal): readonly TurnDecision[] {
    refuseMissingNumbers(signal)
    const decisions: TurnDecision[] = []
    switch (signal.kind) {
      case 'energy':
        this.#nowMs = Math.max(this.#nowMs, signal.atMs)
        this.#fusion.energy(this.#nowMs, signal.energyDb, signal.echo === true)
        break
      case 'voice':
        this.#fusion.voice(signal.atMs, signal.probability)
        break
      case 'tick':
        this.#nowMs = Math.max(this.#nowMs, signal.atMs)
        if (this.#nowMs - this.#fusion.lastFrameMs >= FRAMES_MISSING_MS) this.#fusion.silentUntil(this.#nowMs)
        break
      case 'transcript':
        this.#hearWords(signal, decisions)
        break
      case 'turn-hint':
        this.#takeHint(signal, decisions)
        break
      case 'agent':
        this.#nowMs = Math.max(this.#nowMs, signal.atMs)
        this.#agentAudible = signal.state === 'audible'
        if (signal.state === 'audible') this.#close(decisions)
        break
      case 'expect':
        this.#expectation = signal.expectation
        break
    }
    this.#advance(decisions)
    return decisions
  }

  #advance(decisions: TurnDecision[]): void {
    this.#countVoiced()
    this.#watchForCutIn(decisions)
    switch (this.#phase) {
      case 'idle':
        if (!this.#fusion.confirmed) return
        this.#beginSpeech()
        decisions.push({ kind: 'speech-started', atMs: this.#nowMs, firstVoicedMs: Math.max(this.#closedAtMs, this.#fusion.run?.onsetMs ?? this.#nowMs), rule: this.#rule('voiced') })
        return
      case 'speech':
        this.#lastVoicedMs = this.#fusion.lastVoicedMs
        if (this.#nowMs - this.#lastVoicedMs < PAUSE_MS) return
        this.#phase = 'pause'
        decisions.push({ kind: 'speech-paused', atMs: this.#nowMs, lastVoicedMs: this.#lastVoicedMs, rule: this.#rule('silence') })
        this.#considerPause(decisions)
        return
      case 'pause':
        if (this.#runAfterPauseMs() >= RESUME_MS) this.#resume('resumed', decisions)
        else this.#considerPause(decisions)
        return
      case 'committed':
        // A click must not void a reply that is about to be heard: here the same proof is asked for as for new speech.
        if (this.#runAfterPauseMs() >= RESUME_MS && this.#fusion.confirmed) this.#resume('resumed-after-commit', decisions)
        return
    }
  }

  #beginSpeech(): void {
    this.#phase = 'speech'
    this.#lastVoicedMs = this.#fusion.lastVoicedMs
  }

  #resume(rule: string, decisions: TurnDecision[]): void {
    if (this.#phase === 'committed' || this.#speculatedText !== null) this.#retract(rule, decisions)
    this.#vendorEndMs = -Infinity
    this.#vendorEagerMs = -Infinity
    this.#longestPauseMs = Math.max(this.#longestPauseMs, this.#runSinceMs() - this.#lastVoicedMs)
    this.#beginSpeech()
    decisions.push({ kind: 'speech-resumed', atMs: this.#nowMs, rule: this.#rule(rule) })
  }

  #considerPause(decisions: TurnDecision[]): void {
    const plan = this.#plan()
    const silenceMs = this.#nowMs - this.#lastVoicedMs
    if (silenceMs >= plan.waitMs) {
      // Answering into the first syllable of what comes next is the worst moment of all.
      if (this.#fusion.stirring && silenceMs < plan.waitMs + STIRRING_GRACE_MS) return
      // A burst in the pause may be the inside of a word: what follows it gets its chance, once.
      if (this.#nowMs - this.#fusion.lastBurstMs < AFTER_BURST_MS && silenceMs < plan.waitMs + AFTER_BURST_MS) return
      this.#finish(plan, silenceMs, decisions)
      return
    }
    const text = this.#transcript?.text ?? ''
    if (this.#speculatedText !== null && !sameWords(this.#speculatedText, text)) this.#retract('text-changed', decisions)
    if (!this.#mayPrepare(plan, silenceMs)) return
    if (this.#vendorEagerMs >= this.#lastVoicedMs - TEXT_LAG_MS) this.#speculate({ ...plan, rule: 'vendor-eager-end' }, decisions)
    else if (silenceMs >= SPECULATE_AFTER_MS || plan.complete) this.#speculate(plan, decisions)
  }

  #finish(plan: WaitPlan, silenceMs: number, decisions: TurnDecision[]): void {
    const text = this.#transcript?.text ?? ''
    const nothing = this.#nothingSaid(text)
    if (nothing !== null) {
      decisions.push({ kind: 'retract', atMs: this.#nowMs, rule: this.#rule(nothing) })
      this.#reset(this.#lastVoicedMs)
      return
    }
    this.#phase = 'committed'
    this.#speculatedText = null
    decisions.push({
      kind: 'commit',
      atMs: this.#nowMs,
      lastVoicedMs: this.#lastVoicedMs,
      waitMs: silenceMs,
      patienceMs: Math.min(plan.patienceMs, silenceMs),
      text,
      score: plan.score,
      rule: this.#rule(plan.rule),
    })
  }

  /** Why this was no turn, or null when it was one. */
  #nothingSaid(text: string): string | null {
    if (this.#agentAudible && isAcknowledgement(text)) return 'acknowledgement'
    if (hasWords(text)) return null
    if (!this.#certain) return 'noise'
    if (this.#agentAudible && this.#voicedMs < WORDLESS_OVER_AGENT_MS) return 'wordless-over-agent'
    return this.#voicedMs < BLIP_MS ? 'blip' : null
  }

  #mayPrepare(plan: WaitPlan, silenceMs: number): boolean {
    const isLikely = plan.score > SPECULATE_ABOVE || silenceMs >= SPECULATE_ANYTHING_AFTER_MS
    return this.#speculatedText === null && plan.fresh && isLikely && hasWords(this.#transcript?.text ?? '')
  }

  #speculate(plan: WaitPlan, decisions: TurnDecision[]): void {
    const text = this.#transcript?.text ?? ''
    if (this.#nothingSaid(text) !== null) return
    this.#speculatedText = text
    decisions.push({
      kind: 'speculate',
      atMs: this.#nowMs,
      lastVoicedMs: this.#lastVoicedMs,
      text,
      score: plan.score,
      rule: this.#rule(plan.rule),
    })
  }

  #retract(rule: string, decisions: TurnDecision[]): void {
    this.#speculatedText = null
    decisions.push({ kind: 'retract', atMs: this.#nowMs, rule: this.#rule(rule) })
  }

  #plan(): WaitPlan {
    const text = this.#transcript
    const fresh = text !== null && text.audioEndMs >= this.#lastVoicedMs - TEXT_LAG_MS
    const plan = planWait({
      text: fresh ? (this.#wordless ? '' : text.text) : null,
      anyText: text !== null,
      answer: fresh && !this.#wordless ? answerState(this.#expectation, text.reading) : null,
      expectation: this.#expectation,
      longestPauseMs: this.#longestPauseMs,
      waits: waitsOf(this.#preset, this.#overrides),
    })
    if (this.#vendorEndMs < this.#lastVoicedMs - TEXT_LAG_MS) return plan
    return { ...plan, waitMs: 0, rule: 'vendor-end' }
  }

  #hearWords(signal: Extract<SpeechSignal, { kind: 'transcript' }>, decisions: TurnDecision[]): void {
    if (signal.audioEndMs <= this.#closedAtMs) return
    // A recogniser that suddenly hears nothing has failed on this audio; the words it heard before were said all the same.
    this.#wordless = !hasWords(signal.text)
    const { text, reading } = this.#wordless ? { text: this.#transcript?.text ?? '', reading: null } : { text: signal.text, reading: signal.reading ?? null }
    this.#transcript = { text, reading, audioEndMs: signal.audioEndMs }
    // Words where no speech was found: the recogniser hears better than the voice detectors, and nothing said may be lost. Not over
    // the agent, whose own words may come back on the line.
    if (this.#phase !== 'idle' || this.#agentAudible || !hasWords(signal.text)) return
    this.#phase = 'pause'
    this.#lastVoicedMs = Math.min(this.#nowMs, Math.max(signal.audioEndMs, this.#fusion.lastVoicedMs))
    const atMs = this.#nowMs
    decisions.push({ kind: 'speech-started', atMs, firstVoicedMs: this.#lastVoicedMs, rule: 'words' })
    decisions.push({ kind: 'speech-paused', atMs, lastVoicedMs: this.#lastVoicedMs, rule: 'words' })
  }

  #takeHint(signal: Extract<SpeechSignal, { kind: 'turn-hint' }>, decisions: TurnDecision[]): void {
    if (this.#phase === 'idle' || this.#phase === 'committed' || signal.atMs <= this.#closedAtMs) return
    switch (signal.hint) {
      case 'end':
        this.#vendorEndMs = signal.atMs
        return
      case 'resumed':
        this.#vendorEndMs = -Infinity
        this.#vendorEagerMs = -Infinity
        if (this.#speculatedText !== null) this.#retract('vendor-resumed', decisions)
        return
      case 'eager-end':
        // Acted on as the pause is considered, at once if it is one already.
        this.#vendorEagerMs = signal.atMs
    }
  }

  /** The reply is heard: what was said so far has been answered; speech going on begins the next utterance. */
  #close(decisions: TurnDecision[]): void {
    if (this.#speculatedText !== null) this.#retract('closed', decisions)
    this.#cutInWatchMs = this.#phase === 'committed' || this.#phase === 'speech' ? this.#nowMs : null
    this.#reset(this.#nowMs)
  }

  #reset(closedAtMs: number): void {
    this.#phase = 'idle'
    this.#transcript = null
    this.#wordless = false
    this.#certain = false
    this.#voicedMs = 0
    this.#longestPauseMs = 0
    this.#speculatedText = null
    this.#vendorEndMs = -Infinity
    this.#vendorEagerMs = -Infinity
    this.#closedAtMs = closedAtMs
  }

  #watchForCutIn(decisions: TurnDecision[]): void {
    const watchMs = this.#cutInWatchMs
    if (watchMs === null) return
    const run = this.#fusion.run
    if (run === null || run.sinceMs > watchMs + CUT_IN_WITHIN_MS) {
      if (this.#nowMs > watchMs + CUT_IN_WITHIN_MS) this.#cutInWatchMs = null
      return
    }
    if (!this.#fusion.confirmed || this.#fusion.lastVoicedMs - Math.max(run.sinceMs, watchMs) < CUT_IN_SPEECH_MS) return
    this.#cutInWatchMs = null
    this.#cutIns += 1
    if (this.#cutIns % CUT_INS_BEFORE_PATIENCE === 0) {
      const next = Math.min(TURN_PRESETS.indexOf(this.#preset) + 1, TURN_PRESETS.length - 1)
      this.#preset = TURN_PRESETS[next] as TurnPreset
    }
    decisions.push({ kind: 'cut-in', atMs: this.#nowMs, count: this.#cutIns, preset: this.#preset, rule: this.#rule('resumed-after-audible') })
  }

  /** Adds what the current run has grown by to the utterance. */
  #countVoiced(): void {
    const run = this.#fusion.run
    if (run === null) return
    if (run.sinceMs !== this.#countedRunMs) {
      this.#countedRunMs = run.sinceMs
      this.#countedVoicedMs = 0
    }
    if (this.#fusion.certain) this.#certain = true
    this.#voicedMs += run.voicedMs - this.#countedVoicedMs
    this.#countedVoicedMs = run.voicedMs
  }

  #runAfterPauseMs(): number {
    const run = this.#fusion.run
    return run === null || run.sinceMs < this.#lastVoicedMs ? 0 : run.voicedMs
  }

  #runSinceMs(): number {
    return Math.max(this.#closedAtMs, this.#fusion.run?.sinceMs ?? this.#nowMs)
  }

  #rule(rule: string): string {
    return this.#fusion.mode === 'fused' ? rule : `${rule}+${this.#fusion.mode}`
  }
}

function sameWords(a: string, b: string): boolean {
  const words = (text: string): string => (text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? []).join(' ')
  return a === b || words(a) === words(b)
}
