import type { ModelAnswer, ModelPatience, ModelPiece, ModelTool } from '../../src/response/model-engine.ts'
import type { ModelPrompt } from '../../src/response/prompts.ts'
import type { VirtualClock } from './virtual-clock.ts'

export type FakePiece = string | Extract<ModelPiece, { kind: 'call' | 'usage' }>
export type Asked = Readonly<{ prompt: ModelPrompt; tools: readonly ModelTool[]; patience: ModelPatience }>

/** A model that says `pieces`, each after `delayMs`, the first after `firstMs`; what it was asked is in `asked`, and `open` counts streams nobody has let go of. */
export class FakeModel implements ModelAnswer {
  readonly name: string
  readonly model: string
  readonly asked: Asked[] = []
  open = 0
  readonly #pieces: (prompt: ModelPrompt) => readonly FakePiece[]
  readonly #delayMs: number
  readonly #firstMs: number
  readonly #clock: VirtualClock

  constructor(clock: VirtualClock, pieces: (prompt: ModelPrompt) => readonly FakePiece[], options: Readonly<{ delayMs?: number; firstMs?: number; name?: string }> = {}) {
    this.#clock = clock
    this.#pieces = pieces
    this.#delayMs = options.delayMs ?? 5
    this.#firstMs = options.firstMs ?? this.#delayMs
    this.name = options.name ?? 'fake'
    this.model = this.name
  }

  async *answer(prompt: ModelPrompt, tools: readonly ModelTool[], patience: ModelPatience, signal: AbortSignal): AsyncGenerator<ModelPiece, void, undefined> {
    this.asked.push({ prompt, tools, patience })
    this.open += 1
    try {
      for (const [index, piece] of this.#pieces(prompt).entries()) {
        await this.#clock.sleep(index === 0 ? this.#firstMs : this.#delayMs, signal)
        yield typeof piece === 'string' ? { kind: 'text', text: piece } : piece
      }
    } finally {
      this.open -= 1
    }
  }
}
