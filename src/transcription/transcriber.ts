import type { AudioFrame } from '../audio/frame.ts'
import type { Expectation } from '../core/expectation.ts'
import type { Reading } from '../core/reading.ts'

/** A word with its place on the caller's media clock; absent times mean the engine cannot tell. */
export type Word = Readonly<{ text: string; startMs: number; endMs: number }>

export type TranscriptEvent =
  | Readonly<{
      kind: 'transcript'
      /** Counts up from 0 with every `endUtterance`. */
      utterance: number
      /** The whole utterance so far, not the latest piece of it. Empty means: speech was there, no words were. */
      text: string
      words: readonly Word[]
      /** The last audio this text has taken into account, on the caller's media clock. */
      audioEndMs: number
      /** True when the engine will not revise this text for the audio up to `audioEndMs`. */
      final: boolean
      /** What it means in the light of what was asked, where the engine listened for that. */
      reading?: Reading
    }>
  /** Engines with their own end-of-turn model (Deepgram Flux) report it; turn-taking weighs it. */
  | Readonly<{ kind: 'turn-hint'; hint: 'eager-end' | 'resumed' | 'end'; confidence: number; mediaMs: number }>
  /** Words of this utterance may be missing: the engine failed and was replaced or restarted. */
  | Readonly<{ kind: 'lost'; utterance: number; reason: string }>

/** What the turn detector tells a recogniser that does not detect speech itself. */
export type SpeechHint =
  | Readonly<{ kind: 'speech-started'; mediaMs: number }>
  /** A pause began; `lastVoicedMs` is the end of the last voiced frame. A good moment to decode. */
  | Readonly<{ kind: 'speech-paused'; lastVoicedMs: number }>
  | Readonly<{ kind: 'speech-resumed'; mediaMs: number }>

export type TranscriberOptions = Readonly<{
  companyId: string
  callId: string
  language: string
  /** The company's own terms, for engines that can be biased. */
  vocabulary: readonly string[]
}>

export interface TranscriptionSession {
  /** One consumer. Ends when the session is closed. */
  readonly events: AsyncIterable<TranscriptEvent>
  push(frame: AudioFrame): void
  hint(hint: SpeechHint): void
  /** What the next answer is likely to be: from now until the next call. Engines that cannot be told ignore it. */
  expect(expectation: Expectation): void
  /** The reply is audible: audio before `mediaMs` belongs to the utterance that ends, later audio to the next one. */
  endUtterance(mediaMs: number): void
  close(): Promise<void>
}

export interface Transcriber {
  readonly name: string
  /** Opens a session for one call; it lives until `close()` or until `signal` aborts. Does not wait for the engine. */
  open(options: TranscriberOptions, signal: AbortSignal): TranscriptionSession
}
