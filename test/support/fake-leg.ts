import { encodeMulaw } from '../../src/audio/g711.ts'
import { FRAME_MS, FRAME_SAMPLES } from '../../src/audio/frame.ts'
import type { CallLeg, CallStart, LegEnd, LegEvent } from '../../src/call/call-leg.ts'
import { BoundedQueue } from '../../src/core/bounded-queue.ts'
import { instant, type Clock, type Instant } from '../../src/core/clock.ts'
import { Scope } from '../../src/core/scope.ts'

const LEAD_MS = 100

/** What the caller heard of one frame, and when it began to sound. */
export type HeardFrame = Readonly<{ atMs: number; generation: number; mulaw: Uint8Array }>

/**
 * A carrier in virtual time: paces like the real leg, plays what it holds at 8 kHz, echoes marks when they are played, returns
 * them at once when cleared. The caller speaks noise bursts at the times a test gives.
 */
export class FakeLeg implements CallLeg {
  readonly start: CallStart
  readonly heard: HeardFrame[] = []
  readonly clears: number[] = []
  readonly ended: Promise<LegEnd>
  lostFrameCount = 0
  /** While true the carrier echoes no mark, and the leg reports each as assumed a second later, as the real one does. */
  echoesNoMarks = false
  readonly #clock: Clock
  readonly #events = new BoundedQueue<LegEvent>(10_000, 'drop-oldest')
  readonly #scope = new Scope()
  readonly #speech: { fromMs: number; toMs: number; level: number }[] = []
  readonly #startedAt: Instant
  #clip: { fromMs: number; samples: Int16Array } | null = null
  #line: Int16Array | null = null
  #playedUntilMs = 0
  #marks: { name: string; dueMs: number; scope: Scope }[] = []
  #oldestGeneration = 0
  #resolveEnd: (end: LegEnd) => void = () => undefined
  #over = false

  constructor(clock: Clock, start: Partial<CallStart> = {}) {
    this.#clock = clock
    this.#startedAt = clock.now()
    this.start = {
      companyId: 'polar-bay-air',
      callSid: 'CA00000000000000000000000000000001',
      accountSid: 'AC00000000000000000000000000000001',
      streamSid: 'MZ00000000000000000000000000000001',
      from: '+15550109999',
      to: '+15550100000',
      resumed: false,
      ...start,
    }
    this.ended = new Promise((resolve) => {
      this.#resolveEnd = resolve
    })
    void this.#sendFrames()
  }

  get events(): AsyncIterable<LegEvent> {
    return this.#events
  }

  /** The caller makes sound from now + `delayMs` for `durationMs`. `level` is a fraction of full scale. */
  speak(delayMs: number, durationMs: number, level = 0.2): void {
    const fromMs = this.mediaNowMs() + delayMs
    this.#speech.push({ fromMs, toMs: fromMs + durationMs, level })
  }

  /** The caller's recorded sound, from now on. */
  playSound(samples: Int16Array): void {
    this.#clip = { fromMs: this.mediaNowMs(), samples }
  }

  /** What the line carries while nobody speaks, over and over. */
  set lineSound(samples: Int16Array) {
    this.#line = samples
  }

  press(digit: string): void {
    this.#events.push({ kind: 'dtmf', digit, at: this.#clock.now() })
  }

  callerHangsUp(): void {
    this.#finish('caller-hung-up')
  }

  /** The carrier loses the stream; the caller is still on the line. */
  breaks(): void {
    this.#finish('connection-lost')
  }

  mediaNowMs(): number {
    return this.#clock.now() - this.#startedAt
  }

  instantOf(mediaMs: number): Instant {
    return instant(this.#startedAt + mediaMs)
  }

  get bufferedMs(): number {
    return Math.max(0, this.#playedUntilMs - this.mediaNowMs())
  }

  async play(mulaw: Uint8Array, generation: number, signal: AbortSignal): Promise<void> {
    if (generation < this.#oldestGeneration || this.#over) return
    const nowMs = this.mediaNowMs()
    const atMs = Math.max(nowMs, this.#playedUntilMs)
    this.heard.push({ atMs, generation, mulaw })
    this.#playedUntilMs = atMs + FRAME_MS
    const ahead = this.#playedUntilMs - nowMs - LEAD_MS
    if (ahead > 0) await this.#clock.sleep(ahead, signal)
  }

  mark(name: string, generation: number): void {
    if (generation < this.#oldestGeneration || this.#over) return
    const scope = new Scope(this.#scope)
    const mark = { name, dueMs: this.#playedUntilMs, scope }
    this.#marks.push(mark)
    const lost = this.echoesNoMarks
    void this.#clock.sleep(mark.dueMs - this.mediaNowMs() + (lost ? 1000 : 0), scope.signal).then(
      () => {
        scope.end('played')
        this.#marks = this.#marks.filter((pending) => pending !== mark)
        this.#events.push({ kind: 'mark', name, cleared: false, ...(lost ? { assumed: true } : {}), at: this.#clock.now() })
      },
      () => undefined,
    )
  }

  clear(nextGeneration: number): Readonly<{ unplayedMs: number }> {
    const nowMs = this.mediaNowMs()
    const unplayedMs = this.bufferedMs
    this.clears.push(nowMs)
    this.#oldestGeneration = nextGeneration
    while ((this.heard.at(-1)?.atMs ?? -1) >= nowMs) this.heard.pop()
    this.#playedUntilMs = nowMs
    for (const mark of this.#marks) {
      mark.scope.end('cleared')
      this.#events.push({ kind: 'mark', name: mark.name, cleared: true, at: this.#clock.now() })
    }
    this.#marks = []
    return { unplayedMs }
  }

  hangUp(): void {
    this.#finish('agent-ended')
  }

  #finish(end: LegEnd): void {
    if (this.#over) return
    this.#over = true
    this.#scope.end(end)
    this.#events.close()
    this.#resolveEnd(end)
  }

  async #sendFrames(): Promise<void> {
    let seed = 1
    for (let frame = 0; !this.#over; frame++) {
      const mediaMs = frame * FRAME_MS
      const recorded = this.#recorded(mediaMs)
      const burst = this.#speech.find((speech) => mediaMs >= speech.fromMs && mediaMs < speech.toMs)
      const samples = new Int16Array(FRAME_SAMPLES)
      for (let i = 0; i < FRAME_SAMPLES; i++) {
        seed = (seed * 1103515245 + 12345) & 0x7fffffff
        samples[i] = recorded?.[i] ?? (seed / 0x3fffffff - 1) * 32767 * (burst?.level ?? 0.0005)
      }
      try {
        await this.#clock.sleep(mediaMs + FRAME_MS - this.mediaNowMs(), this.#scope.signal)
      } catch {
        return
      }
      this.#events.push({ kind: 'audio', frame: { mulaw: encodeMulaw(samples), samples, mediaMs, capturedAt: this.instantOf(mediaMs) } })
    }
  }

  #recorded(mediaMs: number): Int16Array | null {
    const clip = this.#clip
    if (clip !== null) {
      const at = Math.round((mediaMs - clip.fromMs) * 8)
      if (at >= 0 && at < clip.samples.length) return clip.samples.subarray(at, at + FRAME_SAMPLES)
    }
    const line = this.#line
    return line === null ? null : line.subarray((mediaMs * 8) % (line.length - FRAME_SAMPLES), ((mediaMs * 8) % (line.length - FRAME_SAMPLES)) + FRAME_SAMPLES)
  }
}
