import type { Clock } from '../core/clock.ts'
import type { Reading } from '../core/reading.ts'
import { Scope } from '../core/scope.ts'
import type { TurnInput } from '../response/responder.ts'
import type { TurnDecision } from '../turn-taking/turn-detector.ts'
import type { Heard } from './caller-ear.ts'

/** How long a committed turn waits for the recogniser's words before it is answered as not understood. */
const TRANSCRIPT_PATIENCE_MS = 3000
/** Words that lack no more than this of the last speech speak for all of it. */
const WORDS_LAG_MS = 200

export type Words = Readonly<{ text: string; reading: Reading | null }>
/** A turn's input; a promise where its words are still being recognised. */
export type PendingInput = TurnInput | Promise<TurnInput>
type Commit = Extract<TurnDecision, { kind: 'commit' }>
/** Words that are still being recognised; settles once, with nothing when they are not coming. */
type AwaitedWords = { readonly utterance: number; readonly lastVoicedMs: number; readonly settle: (words: Words) => void; readonly scope: Scope }

const NO_WORDS: Words = { text: '', reading: null }

/** What the caller said, as the input of a turn: at once, late, or lost; with what was said before it and is still open. */
export class CallerWords {
  readonly #clock: Clock
  readonly #scope: Scope
  readonly #heard: () => Heard
  /** A turn that was committed before its words were known. */
  #awaited: AwaitedWords | null = null
  /** What was answered before we knew that the caller had not finished. */
  #open = ''
  #lost = false

  constructor(clock: Clock, scope: Scope, heard: () => Heard) {
    this.#clock = clock
    this.#scope = scope
    this.#heard = heard
  }

  /** These words belong to what the caller says next. */
  keepOpen(text: string): void {
    this.#open = text
  }

  /** Everything said so far is answered, or was nothing. */
  answered(): void {
    this.#open = ''
  }

  /** Of a turn that the caller has ended. */
  ofCommit(commit: Commit): PendingInput {
    const heard = this.#heard()
    const text = commit.text !== '' ? commit.text : heard.text
    if (text === '' && this.#lost) return { kind: 'inaudible' }
    return covers(heard, commit.lastVoicedMs) ? this.#settled({ text, reading: heard.text === text ? heard.reading : null }) : this.#late(commit)
  }

  /** Of a turn that may be over; null while there is nothing to answer. */
  ofPause(text: string): (TurnInput & { kind: 'speech' }) | null {
    const heard = this.#heard()
    const input = this.#inputFor({ text, reading: heard.text === text ? heard.reading : null })
    return input.kind === 'speech' ? input : null
  }

  onWords(heard: Heard): void {
    const awaited = this.#awaited
    if (awaited === null || heard.utterance !== awaited.utterance) return
    if (covers(heard, awaited.lastVoicedMs)) awaited.settle(heard)
  }

  onLost(utterance: number): void {
    if (this.#awaited?.utterance === utterance) this.#awaited.settle(NO_WORDS)
    else if (utterance === this.#heard().utterance) this.#lost = true
  }

  /** Nobody waits for them any more. */
  giveUpWaiting(): void {
    this.#awaited?.settle(NO_WORDS)
  }

  /** The turn is over and its words are late: it is answered when they come, bridged until then, and asked for again if they never do. */
  async #late(commit: Commit): Promise<TurnInput> {
    this.giveUpWaiting()
    const scope = new Scope(this.#scope)
    const { promise, resolve } = Promise.withResolvers<Words>()
    const awaited: AwaitedWords = { utterance: this.#heard().utterance, lastVoicedMs: commit.lastVoicedMs, settle: resolve, scope }
    this.#awaited = awaited
    void this.#clock.sleep(TRANSCRIPT_PATIENCE_MS, scope.signal).catch(() => undefined).then(() => resolve(this.#heard()))
    const words = await promise
    scope.end('settled')
    if (this.#awaited === awaited) this.#awaited = null
    return this.#settled(words)
  }

  #settled(words: Words): TurnInput {
    this.#lost = false
    return this.#inputFor(words)
  }

  #inputFor({ text, reading }: Words): TurnInput {
    const whole = [this.#open, text].filter((part) => part !== '').join(' ')
    if (whole === '') return { kind: 'inaudible' }
    // A reading is of this utterance alone: with what was said before it, the words have to be read anew.
    return reading === null || whole !== text ? { kind: 'speech', text: whole } : { kind: 'speech', text: whole, reading }
  }
}

/** A text that is final is so for its own audio; one that was late may be about what came before the last pause. */
function covers(heard: Heard, lastVoicedMs: number): boolean {
  return heard.audioEndMs >= lastVoicedMs - WORDS_LAG_MS
}

/** What was prepared for words is for these words, and for what they mean in the light of what was asked. */
export function sameInput(a: Words, b: Readonly<{ text: string; reading?: Reading | null }>): boolean {
  return sameWords(a.text, b.text) && JSON.stringify(a.reading?.slots ?? null) === JSON.stringify(b.reading?.slots ?? null)
}

/** Punctuation and case come and go between two decodes of the same words. */
function sameWords(a: string, b: string): boolean {
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z0-9' ]+/g, ' ').replace(/\s+/g, ' ').trim()
  return plain(a) === plain(b)
}
