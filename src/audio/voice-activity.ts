import type { AudioFrame } from './frame.ts'

/** Silero windows are 32 ms; `probability` is for the window that ended at `mediaMs`. */
export type VoiceProbability = Readonly<{ mediaMs: number; probability: number }>

export interface VoiceActivitySession {
  push(frame: AudioFrame): void
  close(): void
}

/** One per process; calls share its worker in batches, each with its own model state. */
export interface VoiceActivityEngine {
  /** `onProbability` is called on the media loop, in order of media time. Silence about a window means: decide by energy. */
  open(onProbability: (voice: VoiceProbability) => void): VoiceActivitySession
  close(): Promise<void>
}
