import type { VoiceActivityEngine, VoiceActivitySession } from './voice-activity.ts'

const SESSION: VoiceActivitySession = { push: () => undefined, close: () => undefined }

/**
 * Says nothing about any window, so that turns are decided by level alone. For servers that hold several hundred calls on quiet lines, or
 * whose recogniser tells the ends of turns itself; in noise it takes sounds for speech that Silero does not.
 */
export class LevelOnlyVoiceActivity implements VoiceActivityEngine {
  readonly unfinished = 0
  readonly stats = { calls: 0, runs: 0, skipped: 0 } as const

  open(): VoiceActivitySession {
    return SESSION
  }

  async warm(): Promise<void> {}

  async close(): Promise<void> {}
}
