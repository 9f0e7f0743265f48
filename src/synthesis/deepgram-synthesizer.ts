import type { Clock } from '../core/clock.ts'
import { OneShot } from '../core/one-shot.ts'
import { Scope } from '../core/scope.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import { SpeakLine, type SpeakAccess } from './deepgram-speak-line.ts'
import type { PrioritySynthesizer } from './speaking.ts'
import type { Voice } from './synthesizer.ts'

/** A call asks every few seconds; a line kept longer than its next question is a line for the next call. */
const IDLE_MS = 30_000
/** Lines of one voice that wait at once: as many as sentences may begin in the same moment on a full server. */
const MOST_IDLE = 40

type Waiting = { readonly line: SpeakLine; readonly expiry: OneShot }

/** Deepgram Aura over its streaming WebSocket. Lines are kept open between sentences and calls, so that no turn waits for a handshake. */
export class DeepgramSynthesizer implements PrioritySynthesizer {
  readonly name = 'deepgram'
  readonly #clock: Clock
  readonly #access: SpeakAccess
  readonly #scope = new Scope()
  readonly #waiting = new Map<string, Waiting[]>()

  constructor(options: Readonly<{ clock: Clock; access: SpeakAccess }>) {
    this.#clock = options.clock
    this.#access = options.access
  }

  async *synthesize(text: SpeakableText, voice: Voice, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    signal.throwIfAborted()
    const kept = this.#takeWaiting(voice)
    let line = kept ?? this.#dial(voice)
    try {
      let begun = false
      try {
        for await (const chunk of line.speak(text, signal)) {
          begun = true
          yield chunk
        }
        return
      } catch (error) {
        // A line that was kept may have been closed in the same moment; nothing was said on it yet.
        if (kept === null || begun || signal.aborted) throw error
        line = this.#dial(voice)
      }
      yield* line.speak(text, signal)
    } finally {
      this.#keep(voice, line)
    }
  }

  /** Has a line ready for the next sentence. Does not wait for it. */
  prepare(voice: Voice): void {
    if (this.#scope.ended || (this.#waiting.get(keyOf(voice)) ?? []).length > 0) return
    const line = this.#dial(voice)
    line.opened.then(
      () => this.#keep(voice, line),
      // The sentence that needs it will find out, and say so.
      () => undefined,
    )
  }

  /** Lines open and waiting. */
  get waitingLines(): number {
    return [...this.#waiting.values()].reduce((sum, lines) => sum + lines.length, 0)
  }

  close(): void {
    this.#scope.end('the voice is closed')
    for (const lines of this.#waiting.values()) for (const { line } of lines) line.close()
    this.#waiting.clear()
  }

  #dial(voice: Voice): SpeakLine {
    return new SpeakLine(this.#clock, this.#access, voice)
  }

  #takeWaiting(voice: Voice): SpeakLine | null {
    const lines = this.#waiting.get(keyOf(voice)) ?? []
    for (let waiting = lines.pop(); waiting !== undefined; waiting = lines.pop()) {
      waiting.expiry.cancel()
      if (waiting.line.isIdle) return waiting.line
      waiting.line.close()
    }
    return null
  }

  #keep(voice: Voice, line: SpeakLine): void {
    const lines = this.#waiting.get(keyOf(voice)) ?? []
    if (!line.isIdle || this.#scope.ended || lines.length >= MOST_IDLE) return line.close()
    this.#waiting.set(keyOf(voice), lines)
    const expiry = new OneShot(this.#clock, this.#scope)
    const waiting: Waiting = { line, expiry }
    lines.push(waiting)
    expiry.start(IDLE_MS, () => {
      lines.splice(lines.indexOf(waiting), 1)
      line.close()
    })
  }
}

function keyOf(voice: Voice): string {
  return `${voice.id} ${voice.speed}`
}
