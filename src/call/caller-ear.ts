import { FRAME_MS, FRAME_SAMPLES, type AudioFrame } from '../audio/frame.ts'
import { mulawLevelDb } from '../audio/level.ts'
import { decodeMulaw } from '../audio/g711.ts'
import type { VoiceActivityEngine, VoiceActivitySession } from '../audio/voice-activity.ts'
import type { Clock } from '../core/clock.ts'
import { digitsWanted, OPEN_EXPECTATION, type Expectation } from '../core/expectation.ts'
import type { Reading } from '../core/reading.ts'
import { OneShot } from '../core/one-shot.ts'
import type { Scope } from '../core/scope.ts'
import type { Transcriber, TranscriberOptions, TranscriptEvent, TranscriptionSession } from '../transcription/transcriber.ts'
import type { InterruptionDecision, InterruptionDetector, InterruptionSignal } from '../turn-taking/interruption.ts'
import type { SpeechSignal, TurnDecision, TurnDetector } from '../turn-taking/turn-detector.ts'
import type { CallLeg } from './call-leg.ts'
import { NOTHING_SAID, expectsPrivate, redact, type RedactionState } from './redaction.ts'

/** Tells the caller's own voice from the agent's, coming back over the line. Media-clock milliseconds. */
export interface EchoGuard {
  /** `samples` are not kept. */
  sent(samples: Int16Array, heardAtMs: number): void
  heard(samples: Int16Array, atMs: number): 'caller' | 'echo' | 'unknown'
  /** How late the agent's voice comes back; null on a line without echo. */
  readonly lagMs: number | null
}

/** A word's last sounds after the last frame that was called voiced. */
const DROPPED_TAIL_MS = 100

export type EarDeps = Readonly<{
  clock: Clock
  leg: CallLeg
  voiceActivity: VoiceActivityEngine
  transcriber: Transcriber
  detector: TurnDetector
  interruption: InterruptionDetector
  echo: EchoGuard
  /** Corrects what the recogniser tends to mishear at this company. */
  correct: (text: string) => string
}>

export type EarListener = Readonly<{
  turn: (decision: TurnDecision) => void
  interruption: (decision: InterruptionDecision) => void
  /** The caller's utterance has new words. */
  words: (transcript: Heard) => void
  /** The same, before anybody acts on them. `isPrivate`: a card, code or social security number is in them or likely to come; `fromMs`: where the utterance began. */
  overheard?: (text: string, isPrivate: boolean, fromMs: number) => void
  /** Words of this utterance are missing and will not come. */
  lost: (utterance: number) => void
}>

export type Heard = Readonly<{
  utterance: number
  text: string
  audioEndMs: number
  final: boolean
  /** In the light of what was asked, where the engine listened for that. */
  reading: Reading | null
}>

/** For the flight recorder: everything the pure detectors were told and what they said. */
export type EarEvidence =
  | Readonly<{ detector: 'turn'; signal: SpeechSignal; decisions: readonly TurnDecision[] }>
  | Readonly<{ detector: 'interruption'; signal: InterruptionSignal; decisions: readonly InterruptionDecision[] }>

/**
 * Everything that listens to one caller: level, voice activity, recogniser, turn detector, interruption, echo. Drives the pure
 * detectors from the media clock and reports their decisions in order.
 */
export class CallerEar {
  readonly #deps: EarDeps
  readonly #listener: EarListener
  readonly #evidence: ((evidence: EarEvidence) => void) | null
  readonly #scope: Scope
  readonly #session: TranscriptionSession
  readonly #voice: VoiceActivitySession
  readonly #wake: OneShot
  #heard: Heard = { utterance: 0, text: '', audioEndMs: 0, final: false, reading: null }
  #expectation: Expectation = OPEN_EXPECTATION
  #agentAudible = false
  /** What earlier utterances make likely of digits in this one, and what this one adds once it is over. */
  #redaction: RedactionState = NOTHING_SAID
  #nextRedaction: RedactionState = NOTHING_SAID
  /** Where sound that the current utterance may be made of began, on the media clock. */
  #soundFromMs: number | null = null
  #wakeArmedForMs: number | null = null
  /** The frame that was sent last, for as long as it is looked at. */
  readonly #sent = new Int16Array(FRAME_SAMPLES)
  #lastTickAt = -Infinity

  constructor(deps: EarDeps, options: TranscriberOptions, listener: EarListener, scope: Scope, evidence: ((evidence: EarEvidence) => void) | null) {
    this.#deps = deps
    this.#listener = listener
    this.#scope = scope
    this.#evidence = evidence
    this.#wake = new OneShot(deps.clock, scope)
    this.#session = deps.transcriber.open(options, scope.signal)
    this.#voice = deps.voiceActivity.open((voice) => this.#tellTurn({ kind: 'voice', atMs: voice.mediaMs, probability: voice.probability }))
    void this.#readTranscripts()
  }

  /** The current utterance, as far as it is known. */
  get heard(): Heard {
    return this.#heard
  }

  get speaking(): boolean {
    return this.#deps.detector.speaking
  }

  frame(frame: AudioFrame): void {
    const atMs = frame.mediaMs + FRAME_MS
    this.#session.push(frame)
    this.#voice.push(frame)
    const echo = this.#agentAudible && this.#deps.echo.heard(frame.samples, frame.mediaMs) === 'echo'
    this.#tellTurn({ kind: 'energy', atMs, energyDb: mulawLevelDb(frame.mulaw), echo })
    if (!this.#agentAudible) return
    const { speaking, speakingSinceMs } = this.#deps.detector
    this.#tellInterruption({ kind: 'caller-frame', atMs, accepted: speaking && !echo, ...(speakingSinceMs === null ? {} : { sinceMs: speakingSinceMs }) })
  }

  agentAudible(generation: number): void {
    const atMs = this.#deps.leg.mediaNowMs()
    this.#agentAudible = true
    this.#endUtterance(atMs)
    this.#tellTurn({ kind: 'agent', state: 'audible', atMs })
    this.#tellInterruption({ kind: 'agent-audible', atMs, generation })
  }

  agentSilent(): void {
    if (!this.#agentAudible) return
    const atMs = this.#deps.leg.mediaNowMs()
    this.#agentAudible = false
    this.#tellTurn({ kind: 'agent', state: 'silent', atMs })
    this.#tellInterruption({ kind: 'agent-silent', atMs })
  }

  /** An utterance that was an acknowledgement, or noise: what comes next is new. */
  dropUtterance(lastVoicedMs: number): void {
    // What has begun since then is not part of it, even if it is not yet known to be speech.
    const atMs = Math.min(this.#deps.leg.mediaNowMs(), lastVoicedMs + DROPPED_TAIL_MS)
    this.#endUtterance(atMs)
  }

  #endUtterance(atMs: number): void {
    this.#session.endUtterance(atMs)
    this.#heard = { utterance: this.#heard.utterance + 1, text: '', audioEndMs: atMs, final: false, reading: null }
    this.#redaction = this.#nextRedaction
    this.#soundFromMs = null
  }

  agentSent(mulaw: Uint8Array, heardAtMs: number): void {
    this.#deps.echo.sent(decodeMulaw(mulaw, this.#sent), heardAtMs)
  }

  expect(expectation: Expectation): void {
    this.#expectation = expectation
    this.#session.expect(expectation)
    this.#tellTurn({ kind: 'expect', expectation })
  }

  async close(): Promise<void> {
    this.#wake.cancel()
    this.#voice.close()
    await this.#session.close()
  }

  #tellTurn(signal: SpeechSignal): void {
    if (this.#scope.ended) return
    const decisions = this.#deps.detector.observe(signal)
    this.#evidence?.({ detector: 'turn', signal, decisions })
    for (const decision of decisions) {
      this.#hint(decision)
      this.#listener.turn(decision)
    }
    this.#armWake()
  }

  #tellInterruption(signal: InterruptionSignal): void {
    if (this.#scope.ended) return
    const decisions = this.#deps.interruption.observe(signal)
    this.#evidence?.({ detector: 'interruption', signal, decisions })
    for (const decision of decisions) this.#listener.interruption(decision)
  }

  #hint(decision: TurnDecision): void {
    switch (decision.kind) {
      case 'speech-started':
        this.#soundFromMs ??= decision.firstVoicedMs
        this.#session.hint({ kind: 'speech-started', mediaMs: decision.firstVoicedMs })
        return
      case 'speech-paused':
        this.#session.hint({ kind: 'speech-paused', lastVoicedMs: decision.lastVoicedMs })
        return
      case 'speech-resumed':
        this.#session.hint({ kind: 'speech-resumed', mediaMs: decision.atMs })
        return
      case 'speculate':
      case 'retract':
      case 'commit':
      case 'cut-in':
        return
    }
  }

  /** One pending tick at a time, only while the detector wants one. Frames usually come first. */
  #armWake(): void {
    const wakeAtMs = this.#deps.detector.wakeAtMs
    if (wakeAtMs === this.#wakeArmedForMs) return
    this.#wakeArmedForMs = wakeAtMs
    if (wakeAtMs === null) {
      this.#wake.cancel()
      return
    }
    // Never sooner than a frame after the last tick: a wish to be woken in the past must not spin.
    const now = this.#deps.clock.now()
    const waitMs = Math.max(this.#deps.leg.instantOf(wakeAtMs) - now, this.#lastTickAt + FRAME_MS - now)
    this.#wake.start(waitMs, () => {
      this.#wakeArmedForMs = null
      this.#lastTickAt = this.#deps.clock.now()
      this.#tellTurn({ kind: 'tick', atMs: Math.max(wakeAtMs, this.#deps.leg.mediaNowMs()) })
    })
  }

  async #readTranscripts(): Promise<void> {
    try {
      for await (const event of this.#session.events) this.#take(event)
    } catch {
      // The session is gone for good; its failover has already been tried. Turns now end without words and say so.
      if (!this.#scope.ended) this.#listener.lost(this.#heard.utterance)
    }
  }

  #take(event: TranscriptEvent): void {
    if (this.#scope.ended) return
    switch (event.kind) {
      case 'lost':
        this.#listener.lost(event.utterance)
        return
      case 'turn-hint':
        this.#tellTurn({ kind: 'turn-hint', hint: event.hint, confidence: event.confidence, atMs: event.mediaMs })
        return
      case 'transcript': {
        // Before anything else hears them: nobody behind this line ever sees a card number.
        const { text, state, found } = redact(this.#deps.correct(event.text), this.#redaction, { asksNumber: digitsWanted(this.#expectation) !== null })
        this.#nextRedaction = state
        this.#listener.overheard?.(text, found.length > 0 || expectsPrivate(state), this.#soundFromMs ?? this.#heard.audioEndMs)
        // What was private in the words would be private in their meaning.
        const reading = found.length > 0 ? null : (event.reading ?? null)
        if (event.utterance !== this.#heard.utterance) {
          // Late words about an utterance that is over: the detectors are past it, a turn may still wait for them.
          this.#listener.words({ utterance: event.utterance, text, audioEndMs: event.audioEndMs, final: event.final, reading })
          return
        }
        this.#heard = { utterance: event.utterance, text, audioEndMs: event.audioEndMs, final: event.final, reading }
        this.#tellTurn({ kind: 'transcript', text, audioEndMs: event.audioEndMs, final: event.final, reading })
        // On a line with echo the recogniser hears the agent too: its words prove nothing about the caller.
        if (this.#agentAudible && this.#deps.echo.lagMs === null) this.#tellInterruption({ kind: 'words', atMs: this.#deps.leg.mediaNowMs(), text })
        this.#listener.words(this.#heard)
        return
      }
    }
  }
}
