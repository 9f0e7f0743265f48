import type { ModelPrompt } from './prompts.ts'

/** As the vendor counted them, or, where a stream ended before it told, as we did. */
export type ModelUsage = Readonly<{ inputTokens: number; cachedInputTokens: number; outputTokens: number; isEstimate: boolean }>

/** Something the model may ask for. `parameters` is a strict JSON schema: every field required, no others. */
export type ModelTool = Readonly<{ name: string; description: string; parameters: Readonly<Record<string, unknown>> }>

export type ModelPiece =
  | Readonly<{ kind: 'text'; text: string }>
  /** Whole, but checked by nobody: `argumentsJson` is the model's word. */
  | Readonly<{ kind: 'call'; name: string; argumentsJson: string }>
  | Readonly<{ kind: 'usage'; usage: ModelUsage }>

/** How long a stream may be silent, in ms: before its first piece, and between two. */
export type ModelPatience = Readonly<{ firstPieceMs: number; gapMs: number }>

/** A language model that words an answer. It does nothing itself: what it asks for is judged and done by others. */
export interface ModelAnswer {
  /** Vendor and model, for traces. */
  readonly name: string
  /** What the price list calls it. */
  readonly model: string
  /**
   * Pieces as they come; ends only when the vendor says that the answer is whole. Rejects with ENGINE_UNAVAILABLE (try another),
   * ENGINE_FAILED (broke off), DEADLINE_PASSED (silent for too long) or the signal's reason, and lets go of the connection at once.
   */
  answer(prompt: ModelPrompt, tools: readonly ModelTool[], patience: ModelPatience, signal: AbortSignal): AsyncIterable<ModelPiece>
}

/** English text has about four characters a token; good to a fifth, for what no vendor counted. */
const CHARACTERS_PER_TOKEN = 4

export function estimatedTokens(text: string): number {
  return Math.ceil(text.length / CHARACTERS_PER_TOKEN)
}
