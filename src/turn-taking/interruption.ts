import { ClientsViaError } from '../core/errors.ts'
import { hasWords, isAcknowledgement, takesTheTurn } from './acknowledgements.ts'

/**
 * Two-step interruption. Pure, like the turn detector: signals in, decisions out, media-clock milliseconds.
 * (Contract and implementation share this file: there is one implementation.)
 */
export type InterruptionSignal =
  /** The agent's reply `generation` is being heard from `atMs` on. */
  | Readonly<{ kind: 'agent-audible'; atMs: number; generation: number }>
  | Readonly<{ kind: 'agent-silent'; atMs: number }>
  /**
   * Once a frame while the caller is, or may be, speaking: whether this frame is accepted as the caller's own speech (not echo).
   * `sinceMs` is where this stretch of speech began, known only once it was told from noise: it counts from there.
   */
  | Readonly<{ kind: 'caller-frame'; atMs: number; accepted: boolean; sinceMs?: number }>
  /** Words heard since the caller began to speak over the agent. */
  | Readonly<{ kind: 'words'; atMs: number; text: string }>

export type InterruptionDecision =
  /** Stop feeding, keep the place. */
  | Readonly<{ kind: 'hold'; atMs: number; speechMs: number; rule: string }>
  /** It was an acknowledgement: go on from the kept place. */
  | Readonly<{ kind: 'resume'; atMs: number; rule: string }>
  /** The turn is the caller's: clear what is unplayed, abort the reply. */
  | Readonly<{ kind: 'yield'; atMs: number; speechMs: number; rule: string }>

export interface InterruptionDetector {
  observe(signal: InterruptionSignal): readonly InterruptionDecision[]
  readonly state: 'idle' | 'listening' | 'held'
}

/**
 * 160 ms of speech silence the agent, which keeps its place; a stop-word, 600 ms of speech with words other than acknowledgements,
 * or 700 ms of speech take the turn; anything else gives it back. Speech counts from where it began, not from where it was recognised as speech.
 * Rules carry their numbers ('speech 220 ms', 'words', 'stop-word', 'acknowledgement', 'no words 360 ms after'). Throws INVALID_INPUT naming the
 * field when a time is not a number.
 */
export function createInterruptionDetector(): InterruptionDetector {
  return new TwoStepInterruption()
}

/** Shorter speech is mostly a cough or a click. What the carrier holds is still heard after this, and all of it must be over within 450 ms. */
const HOLD_AFTER_MS = 160
/** 35 of 100 back-channels on recorded calls last longer than 500 ms, 23 longer than 700; every real interruption does. */
const YIELD_AFTER_MS = 700
/** Speech whose words so far are all acknowledgements may last this long: "yeah yeah yeah". */
const YIELD_AFTER_ACKNOWLEDGEMENT_MS = 1500
/** Words need this much speech behind them, or the recogniser made them up from a click or a "yeah". Stop-words need none. */
const WORDS_NEED_MS = 600
/** A gap this long ends a stretch of speech; shorter ones are inside words. */
const SPEECH_OVER_MS = 200
/** Words that come sooner than this after the speech do not cover its end. */
const PAUSE_NOTICED_MS = 100
/** The recogniser starts 100 ms after the speech and takes up to 250: later words may still take the turn, the reply goes on meanwhile. */
const WORDS_WITHIN_MS = 360
/** Words this long after the speech still belong to it. */
const WORDS_BELONG_MS = 2000

class TwoStepInterruption implements InterruptionDetector {
  #state: 'idle' | 'listening' | 'held' = 'idle'
  #nowMs = 0
  #audibleMs = 0
  #speech: { sinceMs: number; lastMs: number; speechMs: number } | null = null
  #text = ''
  /** The recogniser has listened to the speech that is over and found no words in it. */
  #foundNoWords = false

  get state(): 'idle' | 'listening' | 'held' {
    return this.#state
  }

  observe(signal: InterruptionSignal): readonly InterruptionDecision[] {
    if (!Number.isFinite(signal.atMs))
      throw new ClientsViaError('INVALID_INPUT', `${signal.kind}.atMs must be a finite number`, { kind: signal.kind, field: 'atMs' })
    this.#nowMs = Math.max(this.#nowMs, signal.atMs)
    switch (signal.kind) {
      case 'agent-audible':
        // The next sentence of a reply is the same reply: what the caller has begun goes on counting.
        if (this.#state === 'idle') this.#listen()
        return []
      case 'agent-silent':
        this.#state = 'idle'
        this.#forget()
        return []
      case 'caller-frame':
        if (signal.accepted) this.#hear(signal)
        return this.#decide()
      case 'words':
        this.#text = signal.text
        this.#foundNoWords = !hasWords(signal.text) && this.#speech !== null && this.#nowMs - this.#speech.lastMs >= PAUSE_NOTICED_MS
        return this.#decide()
    }
  }

  #decide(): readonly InterruptionDecision[] {
    if (this.#state === 'idle') return []
    const speech = this.#speech
    const speechMs = speech?.speechMs ?? 0
    const yieldRule = this.#yieldRule(speechMs)
    if (yieldRule !== null) {
      this.#state = 'idle'
      this.#forget()
      return [{ kind: 'yield', atMs: this.#nowMs, speechMs, rule: yieldRule }]
    }
    if (speech === null) return []
    const quietMs = this.#nowMs - speech.lastMs
    if (this.#state === 'listening') {
      if (quietMs > WORDS_BELONG_MS) this.#forget()
      if (speechMs < HOLD_AFTER_MS || quietMs >= SPEECH_OVER_MS) return []
      this.#state = 'held'
      return [{ kind: 'hold', atMs: this.#nowMs, speechMs, rule: `speech ${Math.round(speechMs)} ms` }]
    }
    const acknowledged = isAcknowledgement(this.#text)
    if (quietMs < (acknowledged || this.#foundNoWords ? SPEECH_OVER_MS : WORDS_WITHIN_MS)) return []
    this.#state = 'listening'
    return [{ kind: 'resume', atMs: this.#nowMs, rule: acknowledged ? 'acknowledgement' : `no words ${Math.round(quietMs)} ms after` }]
  }

  #yieldRule(speechMs: number): string | null {
    if (takesTheTurn(this.#text)) return 'stop-word'
    const acknowledged = isAcknowledgement(this.#text)
    if (hasWords(this.#text) && !acknowledged && speechMs >= WORDS_NEED_MS) return 'words'
    const enoughMs = acknowledged ? YIELD_AFTER_ACKNOWLEDGEMENT_MS : YIELD_AFTER_MS
    return speechMs >= enoughMs ? `speech ${Math.round(speechMs)} ms` : null
  }

  #hear(frame: Readonly<{ atMs: number; sinceMs?: number }>): void {
    this.#foundNoWords = false
    const speech = this.#speech
    if (speech === null || frame.atMs - speech.lastMs >= SPEECH_OVER_MS) {
      // Speech that was under way when the agent became audible is not an interruption from its start on, but from the agent's.
      const sinceMs = Math.max(this.#audibleMs, Math.min(frame.sinceMs ?? frame.atMs - FRAME_MS, frame.atMs))
      this.#speech = { sinceMs, lastMs: frame.atMs, speechMs: frame.atMs - sinceMs }
      return
    }
    // A new stretch inside the same speech was recognised late as well.
    const fromMs = Math.max(speech.lastMs, Math.min(frame.sinceMs ?? Infinity, frame.atMs - FRAME_MS))
    speech.speechMs += Math.max(0, frame.atMs - fromMs)
    speech.lastMs = Math.max(speech.lastMs, frame.atMs)
  }

  #listen(): void {
    this.#state = 'listening'
    this.#audibleMs = this.#nowMs
    this.#forget()
  }

  #forget(): void {
    this.#speech = null
    this.#text = ''
    this.#foundNoWords = false
  }
}

const FRAME_MS = 20
