import type { Expectation } from '../core/expectation.ts'
import type { Reading } from '../core/reading.ts'

export type TurnPreset = 'brisk' | 'balanced' | 'patient'
export const TURN_PRESETS: readonly TurnPreset[] = ['brisk', 'balanced', 'patient']

/** Everything the detector knows. All times are on the caller's media clock, in ms. */
export type SpeechSignal =
  /**
   * Once a 20 ms frame; `atMs` is the frame's end, `energyDb` its level in dBFS. `echo`: the frame is the agent's own voice
   * coming back, so it is neither speech nor background.
   */
  | Readonly<{ kind: 'energy'; atMs: number; energyDb: number; echo?: boolean }>
  /** Once a Silero window, a little later than the frames it covers; `atMs` is the window's end. */
  | Readonly<{ kind: 'voice'; atMs: number; probability: number }>
  /** The whole utterance so far. `reading`: what it means in the light of what was asked, where something was. */
  | Readonly<{ kind: 'transcript'; text: string; audioEndMs: number; final: boolean; reading?: Reading | null }>
  | Readonly<{ kind: 'turn-hint'; hint: 'eager-end' | 'resumed' | 'end'; confidence: number; atMs: number }>
  /** 'audible': the reply's first frame is on the wire, the utterance is closed. 'silent': the agent has finished speaking. */
  | Readonly<{ kind: 'agent'; state: 'audible' | 'silent'; atMs: number }>
  | Readonly<{ kind: 'expect'; expectation: Expectation }>
  /** The host's answer to `wakeAtMs`; frames that come in time make it unnecessary. */
  | Readonly<{ kind: 'tick'; atMs: number }>

export type TurnDecision =
  /** `firstVoicedMs`: where the speech began, a little before it could be told from noise. */
  | Readonly<{ kind: 'speech-started'; atMs: number; firstVoicedMs: number; rule: string }>
  | Readonly<{ kind: 'speech-paused'; atMs: number; lastVoicedMs: number; rule: string }>
  | Readonly<{ kind: 'speech-resumed'; atMs: number; rule: string }>
  /** A good moment to prepare a reply; may be retracted and repeated. */
  | Readonly<{ kind: 'speculate'; atMs: number; lastVoicedMs: number; text: string; score: number; rule: string }>
  /** What was prepared, or committed and is not audible yet, is void. Rules 'blip', 'noise', 'acknowledgement', 'wordless-over-agent': it was no turn. */
  | Readonly<{ kind: 'retract'; atMs: number; rule: string }>
  /** The turn is the agent's. `patienceMs` is the part of the wait beyond what a complete sentence would have got. */
  | Readonly<{
      kind: 'commit'
      atMs: number
      lastVoicedMs: number
      waitMs: number
      patienceMs: number
      text: string
      score: number
      rule: string
    }>
  /** The caller went on within 1.5 s of our reply: we had cut in. After two the preset moves up. */
  | Readonly<{ kind: 'cut-in'; atMs: number; count: number; preset: TurnPreset; rule: string }>

/** Pure: no timers, no I/O, no clock. The same signals give the same decisions, always. */
export interface TurnDetector {
  observe(signal: SpeechSignal): readonly TurnDecision[]
  /** When to call with a tick if no other signal comes first; null when nothing is pending. */
  readonly wakeAtMs: number | null
  readonly preset: TurnPreset
  /** Whether the caller is speaking right now, by the fused detectors. */
  readonly speaking: boolean
  /** Where the speech that is going on now began; null while the caller is not speaking. */
  readonly speakingSinceMs: number | null
}
