import { FRAME_MS } from '../audio/frame.ts'
import { instant, later, type Clock, type Instant } from '../core/clock.ts'
import type { Expectation } from '../core/expectation.ts'
import type { StageRecorder } from '../core/latency-budget.ts'
import type { Scope } from '../core/scope.ts'
import type { SpeakableText } from '../core/speakable-text.ts'
import type { DialogueState } from '../response/dialogue.ts'
import type { AnswerSource, CallAction, LearningRecord, ReplyPart } from '../response/responder.ts'
import type { CompanyVoice, Voice } from '../synthesis/synthesizer.ts'
import type { CallLeg } from './call-leg.ts'
import { deliveredText, type SentSentence, type WordsHeard } from './playout-position.ts'
import { SentenceAudio } from './sentence-audio.ts'

/** Sentences synthesised ahead of the one being spoken: enough to hide an engine's start, little to throw away. */
const SENTENCES_AHEAD = 2
/** Between two sentences of a reply, silence longer than this is filled. With a frame's slack it keeps the 1.2 s promise. */
const MAX_SILENCE_MS = 1000
/** Stall lines in a reply before it is given up for the apology: the caller has then waited about six seconds. */
const MAX_STALLS = 2
/** A runaway model; no honest reply has more parts. */
const MAX_PARTS = 120
/** Quieter than this is not yet audible: µ-law of a voice's first frame can be near silence. */
const AUDIBLE_MULAW_DISTANCE = 24

export type ReplyDeps = Readonly<{
  clock: Clock
  leg: CallLeg
  voice: CompanyVoice
  voiceSettings: Voice
  /** When the caller must hear something of it. */
  dueBy: Instant
  wordsHeard: WordsHeard
  /** Ready lines for a late answer, in order. */
  stallLines: readonly SpeakableText[]
  /** Said when nothing else can be: the apology of last resort. */
  apology: SpeakableText
  /** Every frame handed to the carrier, with the moment it will be heard, for the echo detector. */
  onSent: (mulaw: Uint8Array, heardAtMs: number) => void
  onAudible: (at: Instant) => void
  /** The carrier says that this sentence was played to its end. */
  onHeard?: (source: AnswerSource) => void
}>

type Sentence = {
  readonly text: SpeakableText
  readonly source: AnswerSource
  readonly audio: SentenceAudio
  readonly mark: string
  sentFrames: number
  acknowledged: boolean
}

type Step = { readonly kind: 'sentence'; readonly text: SpeakableText; readonly source: AnswerSource } | { readonly kind: 'act'; readonly action: CallAction }

/** What became of a reply. `actions` are those whose turn came; nothing after an interruption happens. */
export type ReplyEnd = Readonly<{ kind: 'finished'; actions: readonly CallAction[] } | { kind: 'interrupted' }>

/**
 * One reply: prepared (parts read, first sentences synthesised) while nobody may hear it, spoken once released. Everything it sends
 * carries its generation.
 */
export class Reply {
  readonly generation: number
  readonly #deps: ReplyDeps
  readonly #scope: Scope
  readonly #stages: StageRecorder
  readonly #steps: Step[] = []
  readonly #sentences: Sentence[] = []
  /** In the order the caller hears them: a stall line comes before the answer it stands in for. */
  readonly #spoken: Sentence[] = []
  readonly #entryIds: string[] = []
  readonly #trace: { step: string; detail: Readonly<Record<string, unknown>> }[] = []
  #nextToSynthesize = 0
  #partsEnded = false
  #change: (() => void)[] = []
  #expectation: Expectation | null = null
  #dialogue: DialogueState | null = null
  #learning: LearningRecord[] = []
  #audibleAt: Instant | null = null
  #stallCount = 0
  #gaveUp = false
  /** When silence has to be filled: at first the turn's stall time, then a while after what was last sent. */
  #stallDue = instant(0)
  #held: (() => void)[] | null = null
  #firstSentenceSpan: ((outcome?: 'done' | 'failed') => void) | null = null
  /** Text-to-step map of sentences whose audio exists, so that a sentence is synthesised once. */
  readonly #prepared = new Map<Step, Sentence>()

  constructor(generation: number, deps: ReplyDeps, scope: Scope, stages: StageRecorder) {
    this.generation = generation
    this.#deps = deps
    this.#scope = scope
    this.#stages = stages
  }

  get audibleAt(): Instant | null {
    return this.#audibleAt
  }
  /** Something of the answer itself was said, not only that it will come. */
  get answered(): boolean {
    return this.#spoken.some((sentence) => sentence.source !== 'stall' && sentence.source !== 'notice')
  }
  get stalled(): boolean {
    return this.#stallCount > 0
  }
  get expectation(): Expectation | null {
    return this.#expectation
  }
  get dialogue(): DialogueState | null {
    return this.#dialogue
  }
  get learning(): readonly LearningRecord[] {
    return this.#learning
  }
  get trace(): readonly Readonly<{ step: string; detail: Readonly<Record<string, unknown>> }>[] {
    return this.#trace
  }
  get entryIds(): readonly string[] {
    return this.#entryIds
  }
  get plannedText(): string {
    return this.#steps.flatMap((step) => (step.kind === 'sentence' ? [step.text] : [])).join(' ')
  }
  get sources(): readonly AnswerSource[] {
    const planned = this.#steps.flatMap((step) => (step.kind === 'sentence' ? [step.source] : []))
    return [...new Set(planned)]
  }
  get firstAudioReady(): boolean {
    return this.#sentences[0]?.audio.hasAudio ?? false
  }

  /** Reads every part and synthesises the first sentences. Resolves when the parts have ended; does not reject. */
  async prepare(parts: AsyncIterable<ReplyPart>): Promise<void> {
    let count = 0
    try {
      for await (const part of parts) {
        if (this.#scope.ended) return
        if (++count > MAX_PARTS) break
        this.#take(part)
        this.#synthesizeAhead(0)
        this.#notify()
      }
    } catch (error) {
      if (!this.#scope.ended) this.#trace.push({ step: 'reply', detail: { failed: String(error) } })
    } finally {
      this.#partsEnded = true
      this.#notify()
    }
  }

  /**
   * Speaks. `stallAt`: when a ready stall line takes over if the answer has no audio yet. Resolves when the carrier has played the
   * reply to its end, or the scope ended.
   */
  async speak(stallAt: Instant): Promise<ReplyEnd> {
    const actions: CallAction[] = []
    try {
      this.#stallDue = stallAt
      for (let index = 0; ; index++) {
        const step = await this.#stepAt(index)
        if (step === null) break
        if (step.kind === 'act') {
          actions.push(step.action)
          continue
        }
        const sentence = await this.#withAudio(step, index)
        if (this.#gaveUp) break
        await this.#speakSentence(sentence)
      }
      if (!this.answered && actions.length === 0) await this.#speakSentence(this.#lineNow(this.#deps.apology, 'unknown'))
      await this.#played()
      return { kind: 'finished', actions }
    } catch (error) {
      if (this.#scope.ended) return { kind: 'interrupted' }
      throw error
    }
  }

  /** Stop feeding, keep the place. */
  hold(): void {
    this.#held ??= []
  }

  resume(): void {
    const waiting = this.#held
    this.#held = null
    for (const wake of waiting ?? []) wake()
  }

  /** A mark came back from the carrier. */
  onMark(name: string, cleared: boolean, assumed = false): void {
    const sentence = this.#sentences.find((candidate) => candidate.mark === name)
    if (sentence === undefined || cleared) return
    sentence.acknowledged = true
    if (!assumed) this.#deps.onHeard?.(sentence.source)
    this.#notify()
  }

  get sentMs(): number {
    return this.#spoken.reduce((sum, sentence) => sum + sentence.sentFrames, 0) * FRAME_MS
  }

  /** The planned audio not yet handed to the carrier, as far as it is known. */
  get unsentMs(): number {
    const known = this.#sentences.reduce((sum, sentence) => sum + Math.max(0, (sentence.audio.durationMs ?? 2000) - sentence.sentFrames * FRAME_MS), 0)
    const unmade = this.#steps.filter((step) => step.kind === 'sentence' && !this.#prepared.has(step)).length
    return known + unmade * 2000
  }

  /** The words heard when `unplayedMs` of what was sent had not been played. */
  delivered(unplayedMs: number): string {
    const sent: SentSentence[] = this.#spoken.map((sentence) => ({
      text: sentence.text,
      sentMs: sentence.sentFrames * FRAME_MS,
      audioMs: sentence.audio.durationMs,
      acknowledged: sentence.acknowledged,
    }))
    return deliveredText(sent, Math.max(0, this.sentMs - unplayedMs), this.#deps.wordsHeard)
  }

  #take(part: ReplyPart): void {
    switch (part.kind) {
      case 'say':
        this.#steps.push({ kind: 'sentence', text: part.text, source: part.source })
        if (part.entryId !== null && !this.#entryIds.includes(part.entryId)) this.#entryIds.push(part.entryId)
        return
      case 'act':
        this.#steps.push({ kind: 'act', action: part.action })
        return
      case 'expect':
        this.#expectation = part.expectation
        return
      case 'learn':
        this.#learning.push(part.record)
        return
      case 'dialogue':
        this.#dialogue = part.state
        return
      case 'trace':
        this.#trace.push({ step: part.step, detail: part.detail })
        return
    }
  }

  #synthesizeAhead(spokenCount: number): void {
    while (this.#nextToSynthesize < this.#steps.length && this.#nextToSynthesize < spokenCount + SENTENCES_AHEAD) {
      const step = this.#steps[this.#nextToSynthesize++] as Step
      if (step.kind === 'sentence') this.#synthesize(step)
    }
  }

  #synthesize(step: Step & { kind: 'sentence' }): Sentence {
    const existing = this.#prepared.get(step)
    if (existing !== undefined) return existing
    const ready = this.#deps.voice.peek(step.text, this.#deps.voiceSettings)
    const audio = ready === null ? new SentenceAudio() : SentenceAudio.ready(ready)
    const sentence = this.#newSentence(step.text, step.source, audio)
    this.#prepared.set(step, sentence)
    if (ready === null) {
      const finish = this.#firstSentenceSpan === null ? this.#stages.start('synthesis') : null
      if (finish !== null) this.#firstSentenceSpan = finish
      void audio.firstFrame().then(() => {
        finish?.(audio.hasAudio ? 'done' : 'failed')
        this.#notify()
      })
      // Only the first sentence is waited for; the others have its length.
      const dueBy = this.#sentences.length === 1 ? this.#deps.dueBy : undefined
      void audio.fill(this.#deps.voice.synthesize(step.text, this.#deps.voiceSettings, this.#scope.signal, dueBy)).then((error) => {
        if (error !== null && !this.#scope.ended) this.#trace.push({ step: 'synthesis', detail: { failed: String(error), text: step.text } })
        this.#notify()
      })
    }
    return sentence
  }

  #newSentence(text: SpeakableText, source: AnswerSource, audio: SentenceAudio): Sentence {
    const sentence: Sentence = { text, source, audio, mark: `g${this.generation}s${this.#sentences.length}`, sentFrames: 0, acknowledged: false }
    this.#sentences.push(sentence)
    return sentence
  }

  /** A line that has to be heard now: ready audio if there is some, else the engine. */
  #lineNow(text: SpeakableText, source: AnswerSource): Sentence {
    const ready = this.#readyNow(text)
    const audio = ready === null ? new SentenceAudio() : SentenceAudio.ready(ready)
    if (ready === null) void audio.fill(this.#deps.voice.synthesize(text, this.#deps.voiceSettings, this.#scope.signal))
    return this.#newSentence(text, source, audio)
  }

  /** Better in another voice than not at all. */
  #readyNow(text: SpeakableText): Uint8Array | null {
    const { voice, voiceSettings } = this.#deps
    return voice.peek(text, voiceSettings) ?? voice.spare(text, voiceSettings)
  }

  async #stepAt(index: number): Promise<Step | null> {
    while (index >= this.#steps.length) {
      if (this.#partsEnded) return null
      await this.#waitOrStall(() => index < this.#steps.length || this.#partsEnded)
      if (this.#gaveUp) return null
    }
    return this.#steps[index] as Step
  }

  async #withAudio(step: Step & { kind: 'sentence' }, index: number): Promise<Sentence> {
    this.#nextToSynthesize = Math.max(this.#nextToSynthesize, index + 1)
    const sentence = this.#synthesize(step)
    this.#synthesizeAhead(index)
    while (!sentence.audio.hasAudio && sentence.audio.state === 'filling') {
      await this.#waitOrStall(() => sentence.audio.hasAudio || sentence.audio.state !== 'filling')
      if (this.#gaveUp) break
    }
    return sentence
  }

  /** Waits for `ready`; when the silence is due to end, speaks a ready stall line, and after the last of them gives up. */
  async #waitOrStall(ready: () => boolean): Promise<void> {
    while (!ready()) {
      this.#scope.signal.throwIfAborted()
      const waitMs = this.#stallDue - this.#deps.clock.now()
      if (waitMs > 0) {
        const wake = this.#changed()
        await Promise.race([wake.promise, this.#sleepQuietly(waitMs, wake.signal)])
        wake.done()
        continue
      }
      if (this.#stallCount >= MAX_STALLS) {
        this.#gaveUp = true
        return
      }
      const line = this.#deps.stallLines[this.#stallCount % Math.max(1, this.#deps.stallLines.length)]
      const audio = line === undefined ? null : this.#readyNow(line)
      this.#stallCount += 1
      this.#stallDue = this.#silenceDue()
      if (line !== undefined && audio !== null) await this.#speakSentence(this.#newSentence(line, 'stall', SentenceAudio.ready(audio)))
    }
  }

  /** When the silence after what the carrier still holds becomes too long. */
  #silenceDue(): Instant {
    return later(this.#deps.clock.now(), this.#deps.leg.bufferedMs + MAX_SILENCE_MS)
  }

  async #speakSentence(sentence: Sentence): Promise<void> {
    const { leg, clock } = this.#deps
    let finishPlayout: (() => void) | null = this.#audibleAt === null ? this.#stages.start('playout') : null
    for await (const frame of sentence.audio.frames()) {
      await this.#gate()
      this.#scope.signal.throwIfAborted()
      const heardAtMs = leg.mediaNowMs() + leg.bufferedMs
      const sending = leg.play(frame, this.generation, this.#scope.signal)
      if (sentence.sentFrames === 0) this.#spoken.push(sentence)
      sentence.sentFrames += 1
      this.#deps.onSent(frame, heardAtMs)
      if (this.#audibleAt === null && isAudible(frame)) {
        finishPlayout?.()
        finishPlayout = null
        this.#audibleAt = clock.now()
        this.#deps.onAudible(this.#audibleAt)
      }
      await sending
    }
    if (sentence.sentFrames === 0) return
    leg.mark(sentence.mark, this.generation)
    this.#stallDue = this.#silenceDue()
  }

  async #gate(): Promise<void> {
    while (this.#held !== null) {
      const held = this.#held
      const abort = onAbort(this.#scope.signal)
      await Promise.race([new Promise<void>((resolve) => held.push(resolve)), abort.promise])
      abort.done()
      this.#scope.signal.throwIfAborted()
    }
  }

  /** Until every mark has come back. The leg sees to it that a mark the carrier forgot comes back too. */
  async #played(): Promise<void> {
    const waiting = (): boolean => this.#spoken.some((sentence) => !sentence.acknowledged)
    while (waiting()) {
      this.#scope.signal.throwIfAborted()
      const wake = this.#changed()
      await wake.promise
      wake.done()
    }
    this.#scope.signal.throwIfAborted()
  }

  /** Settles on the next change, or when the reply's scope ends. */
  #changed(): { promise: Promise<void>; signal: AbortSignal; done: () => void } {
    const timer = new AbortController()
    const abort = onAbort(this.#scope.signal)
    const promise = Promise.race([new Promise<void>((resolve) => this.#change.push(resolve)), abort.promise])
    return {
      promise,
      signal: timer.signal,
      done: () => {
        abort.done()
        timer.abort()
      },
    }
  }

  async #sleepQuietly(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#deps.clock.sleep(ms, signal)
    } catch {
      // Woken by a change: the loop looks again.
    }
  }

  #notify(): void {
    const waiting = this.#change
    this.#change = []
    for (const wake of waiting) wake()
  }
}

function isAudible(mulaw: Uint8Array): boolean {
  // 0xff and 0x7f are the two zeros; the code's distance from them grows with the level.
  let peak = 0
  for (const code of mulaw) peak = Math.max(peak, 0x7f - (code & 0x7f))
  return peak >= AUDIBLE_MULAW_DISTANCE
}

function onAbort(signal: AbortSignal): { promise: Promise<void>; done: () => void } {
  let listener: () => void = () => undefined
  const promise = new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    listener = resolve
    signal.addEventListener('abort', listener, { once: true })
  })
  return { promise, done: () => signal.removeEventListener('abort', listener) }
}
