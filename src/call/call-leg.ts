import type { AudioFrame } from '../audio/frame.ts'
import type { Instant } from '../core/clock.ts'

export type LegEvent =
  | Readonly<{ kind: 'audio'; frame: AudioFrame }>
  | Readonly<{ kind: 'dtmf'; digit: string; at: Instant }>
  /**
   * A mark came back. `cleared`: it was pending when `clear()` was called, so its audio was not, or not wholly, heard. `assumed`: it did
   * not come back; its audio must have been played by now.
   */
  | Readonly<{ kind: 'mark'; name: string; cleared: boolean; assumed?: true; at: Instant }>

/** Who is calling whom, vouched for by the signed webhook, never by the stream itself. */
export type CallStart = Readonly<{
  companyId: string
  callSid: string
  accountSid: string
  streamSid: string
  from: string
  to: string
  /** True when the carrier brought back a call whose stream had broken: "we were cut off". */
  resumed: boolean
}>

/** How a call came to its end on this leg. */
export type LegEnd = 'caller-hung-up' | 'connection-lost' | 'agent-ended'

/** One caller, one audio stream each way. Telephony implements it; call uses it; the load harness never sees it. */
export interface CallLeg {
  readonly start: CallStart
  /** In order of the media clock; one consumer; ends at hang-up. */
  readonly events: AsyncIterable<LegEvent>
  /** The caller's media clock right now, in ms, estimated from the latest frames. */
  mediaNowMs(): number
  /** The monotonic instant of a moment on the caller's media clock. */
  instantOf(mediaMs: number): Instant
  /**
   * Sends one 20 ms µ-law frame (160 bytes) of reply `generation` and resolves when the carrier holds less than the lead.
   * Frames of a generation older than the latest `clear()` are dropped silently.
   */
  play(mulaw: Uint8Array, generation: number, signal: AbortSignal): Promise<void>
  /** Asks the carrier to echo `name` once everything sent so far was played. Names are unique within a call. */
  mark(name: string, generation: number): void
  /** Drops what the carrier has not played yet; from now on only generations >= `nextGeneration` are sent. */
  clear(nextGeneration: number): Readonly<{ unplayedMs: number }>
  /** Audio the carrier still holds, in ms. */
  readonly bufferedMs: number
  /** Frames the carrier or the network lost on the way to us, by the media clock. */
  readonly lostFrameCount: number
  /** Ends the stream from our side; the carrier goes on with the verbs after Connect. */
  hangUp(): void
  /** Settles once, when the leg is over. */
  readonly ended: Promise<LegEnd>
}

/** The agent's choice of what the carrier does after our stream, asked for by the webhook that follows it. */
export type CallContinuation =
  | Readonly<{ kind: 'hang-up' }>
  | Readonly<{ kind: 'transfer'; phoneNumberE164: string; label: string; timeoutSeconds: number }>
  | Readonly<{ kind: 'voicemail'; prompt: string; maxSeconds: number }>
