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
