import type { Instant } from '../core/clock.ts'
import type { SpeakableText } from '../core/speakable-text.ts'

export type Voice = Readonly<{
  /** The engine's own name for the voice, for example 'slt'. */
  id: string
  /** 1 is the voice's own pace; 0.7 to 1.4 is sensible. */
  speed: number
}>

export interface Synthesizer {
  readonly name: string
  /**
   * Speaks one sentence. Yields G.711 µ-law, 8 kHz, in chunks of any size, as soon as there is some.
   * Throws ENGINE_FAILED, ENGINE_UNAVAILABLE, or the signal's reason.
   */
  synthesize(text: SpeakableText, voice: Voice, signal: AbortSignal): AsyncIterable<Uint8Array>
}

/** One company's voice at one agent version: ready phrases in front of an engine. */
export interface CompanyVoice {
  /** Ready audio, or null; never waits. */
  peek(text: SpeakableText, voice: Voice): Uint8Array | null
  /** The same in the voice of another engine, for when nothing else is ready; null where there is none. */
  spare(text: SpeakableText, voice: Voice): Uint8Array | null
  /** `dueBy`: when the caller must hear something; an engine that is late is replaced in time for it. */
  synthesize(text: SpeakableText, voice: Voice, signal: AbortSignal, dueBy?: Instant): AsyncIterable<Uint8Array>
}
