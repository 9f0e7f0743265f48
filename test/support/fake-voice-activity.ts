import { levelDb } from '../../src/audio/level.ts'
import type { VoiceActivityEngine, VoiceActivitySession, VoiceProbability } from '../../src/audio/voice-activity.ts'

/** Says "voice" for anything loud: enough for calls whose caller speaks noise bursts. Windows are 40 ms, two frames. */
export class FakeVoiceActivity implements VoiceActivityEngine {
  openSessions = 0

  open(onProbability: (voice: VoiceProbability) => void): VoiceActivitySession {
    this.openSessions += 1
    let frames = 0
    let loud = 0
    let open = true
    return {
      push: (frame) => {
        frames += 1
        if (levelDb(frame.samples) > -35) loud += 1
        if (frames % 2 !== 0) return
        onProbability({ mediaMs: frame.mediaMs + 20, probability: loud > 0 ? 0.95 : 0.02 })
        loud = 0
      },
      close: () => {
        if (open) this.openSessions -= 1
        open = false
      },
    }
  }

  async close(): Promise<void> {}
}
