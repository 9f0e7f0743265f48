import { mulawLevelDb } from '../../src/audio/level.ts'

/** A word and its sound: `mulaw` is the whole clip's, the times are the word's place in it. */
export type ClipWord = Readonly<{ text: string; startMs: number; endMs: number }>
export type Clip = Readonly<{ mulaw: Uint8Array; words: readonly ClipWord[] }>

/** What can be heard. Clips are known by their very bytes; bursts by being loud, one text after the other, for lines with noise on them. */
export type HearingScript = Readonly<{ kind: 'clips'; clips: readonly Clip[] }> | Readonly<{ kind: 'bursts'; texts: readonly string[] }>

/** A word on the time of the stream, in ms. */
export type HeardWord = Readonly<{ text: string; startMs: number; endMs: number }>

/** 6 ms of speech are like no other 6 ms. */
const NEEDLE_BYTES = 48
/** Searched again at every message, for needles that lie across two of them. */
const OVERLAP_BYTES = NEEDLE_BYTES - 1

/** Half a second of quiet ends a burst. */
const BURST_GAP_MS = 500
const LOUD_DB = -42
const WINDOW_BYTES = 160

type Burst = { words: readonly string[]; startMs: number; said: number }
type Needle = Readonly<{ bytes: Buffer; word: ClipWord; atMs: number }>

/** One stream's hearing. */
export class DeepgramEars {
  readonly #needles: readonly Needle[]
  readonly #texts: readonly string[]
  readonly words: HeardWord[] = []
  #bytes = 0
  #tail = Buffer.alloc(0)
  #burst: Burst | null = null
  readonly #nextBurst: () => number
  #loudUntilMs = -Infinity

  /** `nextBurst` counts over all streams of a call: a stream that was opened anew goes on where the last one was. */
  constructor(script: HearingScript, nextBurst: () => number) {
    this.#nextBurst = nextBurst
    this.#texts = script.kind === 'bursts' ? script.texts : []
    this.#needles =
      script.kind === 'bursts'
        ? []
        : script.clips.flatMap((clip) =>
            clip.words.map((word) => {
              // A word is known when nearly all of it was heard, as recognisers do: the needle is close to its end.
              const at = loudest(clip.mulaw, word)
              return { bytes: Buffer.from(clip.mulaw.subarray(at, at + NEEDLE_BYTES)), word, atMs: at / 8 }
            }),
          )
  }

  get heardToMs(): number {
    return this.#bytes / 8
  }

  /** How long it has been quiet, in ms. */
  get quietMs(): number {
    return this.heardToMs - this.#loudUntilMs
  }

  hear(mulaw: Buffer): void {
    if (this.#texts.length > 0) this.#hearBursts(mulaw)
    else this.#hearNeedles(mulaw)
    this.#bytes += mulaw.length
  }

  #hearNeedles(mulaw: Buffer): void {
    for (let at = 0; at + WINDOW_BYTES <= mulaw.length; at += WINDOW_BYTES) {
      if (mulawLevelDb(mulaw.subarray(at, at + WINDOW_BYTES)) >= LOUD_DB) this.#loudUntilMs = (this.#bytes + at + WINDOW_BYTES) / 8
    }
    const hay = Buffer.concat([this.#tail, mulaw])
    const hayStartMs = (this.#bytes - this.#tail.length) / 8
    for (const { bytes, word, atMs } of this.#needles) {
      for (let at = hay.indexOf(bytes); at >= 0; at = hay.indexOf(bytes, at + 1)) {
        if (at + NEEDLE_BYTES <= this.#tail.length) continue
        const startMs = Math.max(0, hayStartMs + at / 8 - (atMs - word.startMs))
        this.words.push({ text: word.text, startMs, endMs: startMs + word.endMs - word.startMs })
      }
    }
    this.words.sort((a, b) => a.startMs - b.startMs)
    this.#tail = hay.subarray(Math.max(0, hay.length - OVERLAP_BYTES))
  }

  #hearBursts(mulaw: Buffer): void {
    for (let at = 0; at + WINDOW_BYTES <= mulaw.length; at += WINDOW_BYTES) {
      const nowMs = (this.#bytes + at) / 8
      if (mulawLevelDb(mulaw.subarray(at, at + WINDOW_BYTES)) < LOUD_DB) continue
      if (nowMs - this.#loudUntilMs > BURST_GAP_MS) {
        const index = this.#nextBurst()
        this.#burst = { words: (this.#texts[index % this.#texts.length] as string).split(' '), startMs: nowMs, said: 0 }
      }
      this.#loudUntilMs = nowMs + 20
      const burst = this.#burst
      if (burst === null) continue
      // 300 ms a word, the last ones when it ends: see `settle`.
      while (burst.said < burst.words.length - 1 && nowMs - burst.startMs >= (burst.said + 1) * 300) this.#say(burst, nowMs)
    }
  }

  /** The rest of a burst that is over, shared out over the sound that has no words yet; nothing before `fromMs`, which is final already. */
  settle(fromMs: number): void {
    const burst = this.#burst
    if (burst === null || this.quietMs < 100) return
    const rest = burst.words.slice(burst.said)
    const startMs = Math.max(burst.startMs, this.words.at(-1)?.endMs ?? 0, fromMs)
    const eachMs = Math.max(10, (this.#loudUntilMs - startMs) / Math.max(1, rest.length))
    rest.forEach((text, i) => this.words.push({ text, startMs: startMs + i * eachMs, endMs: startMs + (i + 1) * eachMs }))
    this.#burst = null
  }

  #say(burst: Burst, endMs: number): void {
    this.words.push({ text: burst.words[burst.said] as string, startMs: Math.max(burst.startMs, this.words.at(-1)?.endMs ?? 0, endMs - 250), endMs })
    burst.said += 1
  }
}

/** Where in the second half of a word its sound is loudest: quiet stretches may be like each other. */
function loudest(mulaw: Uint8Array, word: ClipWord): number {
  const from = Math.round(((word.startMs + word.endMs) / 2) * 8)
  const to = Math.min(Math.round(word.endMs * 8), mulaw.length) - NEEDLE_BYTES
  let best = Math.max(0, Math.min(from, mulaw.length - NEEDLE_BYTES))
  let bestDb = -Infinity
  for (let at = from; at <= to; at += 16) {
    const db = mulawLevelDb(mulaw.subarray(at, at + NEEDLE_BYTES))
    if (db > bestDb) {
      bestDb = db
      best = at
    }
  }
  return best
}

/** A clip whose words share its voiced stretch by their length. */
export function clipOf(mulaw: Uint8Array, text: string, fromMs: number, toMs: number): Clip {
  const texts = text.split(/\s+/).filter((word) => word !== '')
  const total = texts.reduce((sum, word) => sum + word.length, 0)
  let at = fromMs
  const words = texts.map((word) => {
    const startMs = at
    at += ((toMs - fromMs) * word.length) / total
    return { text: word, startMs, endMs: at }
  })
  return { mulaw, words }
}
