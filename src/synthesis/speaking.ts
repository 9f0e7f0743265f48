import type { Instant } from '../core/clock.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import type { Synthesizer, Voice } from './synthesizer.ts'

/** 'live': a caller waits for it. 'warm': it only fills the cache and gives way to every caller. */
export type Priority = 'live' | 'warm'

export type SpeakOptions = Readonly<{
  /** 'live' unless told otherwise. */
  priority?: Priority
  /** When the caller must hear something, where a turn waits for it. */
  dueBy?: Instant
  /** Called when a stand-in engine speaks, or half a sentence must do: such audio is good to hear and not worth keeping. */
  onStandIn?: () => void
}>

/** A `Synthesizer` that may also be told who is waiting. Every `Synthesizer` is one: engines without a queue ignore the options. */
export interface PrioritySynthesizer extends Synthesizer {
  synthesize(text: SpeakableText, voice: Voice, signal: AbortSignal, options?: SpeakOptions): AsyncIterable<Uint8Array>
}
