import { decodeMulaw } from '../audio/g711.ts'
import { levelDb } from '../audio/level.ts'
import { estimatedEnds, pauseWeight, weightOf } from './word-timing.ts'

/** Plain English at a telephone agent's pace; what a voice is measured at takes its place. */
export const DEFAULT_MS_PER_WEIGHT = 75

const BYTES_A_MS = 8
const HOP_BYTES = 80
const WINDOW_BYTES = 160
/** Vowels and soft consonants differ by 10 dB, sounds and the gaps between them by more than 20. */
const PAUSE_BELOW_DB = 22
/** A voice that is quieter is none. */
const QUIETEST_VOICE_DB = -50

/** How long a voice takes for what there is to pronounce: learned from whole sentences, for telling where it was when it broke off. */
export class VoicePace {
  #msPerWeight = DEFAULT_MS_PER_WEIGHT

  get msPerWeight(): number {
    return this.#msPerWeight
  }

  learn(text: string, audioMs: number): void {
    const weight = weightOf(text)
    // One word says little: its pauses are most of it.
    if (weight < SHORTEST_LESSON || audioMs <= 0) return
    this.#msPerWeight += (audioMs / weight - this.#msPerWeight) * LEARNING_SHARE
  }
}
const SHORTEST_LESSON = 12
const LEARNING_SHARE = 0.3

/** Where to end what a voice said that broke off, and the words that are owed then; '' when all of them were said. */
export type Seam = Readonly<{ cutBytes: number; owed: string }>

/**
 * The best place to change voices in `said`, all that came of `text`: at `fromBytes` or later, since what is before has been played. A pause
 * between two words is best, one after a comma better still; where there is none, the word under way is begun anew, for a word that is
 * heard twice is understood and one that is not heard is not. Words are found by the voice's pace, put right by the pauses that commas made.
 */
export function seamOf(text: string, said: Uint8Array, fromBytes: number, msPerWeight: number): Seam {
  const words = text.split(/\s+/).filter((word) => word !== '')
  const sound = soundOf(said)
  const bounds = boundsOf(words, sound, weightOf(text) * msPerWeight)
  const endMs = said.length / BYTES_A_MS
  const fromMs = fromBytes / BYTES_A_MS
  const inPauses = sound.pauses.flatMap(({ fromMs: start, toMs }) => {
    const atMs = Math.max(start, fromMs) + (Math.min(toMs, endMs) - Math.max(start, fromMs)) / 2
    if (Math.min(toMs, endMs) - Math.max(start, fromMs) < SHORTEST_PAUSE_MS) return []
    const lengthMs = toMs - start
    const nearest = nearestTo(bounds, start, toMs)
    const isComma = nearest.index > 0 && pauseWeight(words[nearest.index - 1] as string) > 0 && lengthMs >= COMMA_PAUSE_MS
    return [{ atMs, count: nearest.index, cost: nearest.offMs - Math.min(lengthMs, LONG_PAUSE_MS) / 2 - (isComma ? COMMA_WORTH_MS : 0) }]
  })
  // Whatever was under way when it broke off.
  const whole = bounds.findLastIndex((boundMs) => boundMs <= endMs + WHOLE_WITHIN_MS)
  const atEnd = { atMs: endMs, count: whole, cost: Math.abs(endMs - (bounds[whole] as number)) + MID_SOUND_COST_MS }
  const best = [...inPauses, atEnd].reduce((a, b) => (b.cost < a.cost ? b : a))
  return { cutBytes: Math.min(said.length, Math.round(best.atMs * BYTES_A_MS)), owed: words.slice(best.count).join(' ') }
}

/** A stop consonant is closed for less; what is shorter is no gap between words. */
const SHORTEST_PAUSE_MS = 40
/** What a comma sounds like at the least. */
const COMMA_PAUSE_MS = 90
const LONG_PAUSE_MS = 120
const COMMA_WORTH_MS = 150
/** To break off within a sound is heard; a pause that is this much less certain is to be preferred. */
const MID_SOUND_COST_MS = 150
const WHOLE_WITHIN_MS = 40
/** How far from where the pace puts it a comma may be: further for those that are later. */
const COMMA_WITHIN_MS = 250
const COMMA_WITHIN_SHARE = 0.15

type Pause = Readonly<{ fromMs: number; toMs: number }>
type Sound = Readonly<{ onsetMs: number; pauses: readonly Pause[] }>

/** Where the voice sets in, and the quiet stretches after that. */
function soundOf(mulaw: Uint8Array): Sound {
  const levels: number[] = []
  for (let at = 0; at + WINDOW_BYTES <= mulaw.length; at += HOP_BYTES) levels.push(levelDb(decodeMulaw(mulaw.subarray(at, at + WINDOW_BYTES))))
  const quietDb = Math.max(...levels, QUIETEST_VOICE_DB) - PAUSE_BELOW_DB
  const onset = Math.max(0, levels.findIndex((db) => db > quietDb))
  const hopMs = HOP_BYTES / BYTES_A_MS
  const pauses: Pause[] = []
  for (let i = onset; i < levels.length; ) {
    const from = i
    while (i < levels.length && (levels[i] as number) <= quietDb) i += 1
    // A window is quiet as a whole: the stretch ends where its last window does.
    if (i > from) pauses.push({ fromMs: from * hopMs, toMs: (i - 1) * hopMs + WINDOW_BYTES / BYTES_A_MS })
    else i += 1
  }
  return { onsetMs: onset * hopMs, pauses }
}

/** Where each word begins, by index, and where the last one ends. */
function boundsOf(words: readonly string[], { onsetMs, pauses }: Sound, speechMs: number): readonly number[] {
  const bounds = [onsetMs, ...estimatedEnds(words, speechMs).map((ms) => onsetMs + ms)]
  let anchor = 0
  words.forEach((word, i) => {
    if (pauseWeight(word) === 0 || i === words.length - 1) return
    const expectedMs = bounds[i + 1] as number
    const withinMs = COMMA_WITHIN_MS + COMMA_WITHIN_SHARE * (expectedMs - (bounds[anchor] as number))
    const near = pauses.filter(({ fromMs, toMs }) => toMs - fromMs >= COMMA_PAUSE_MS && Math.abs(toMs - expectedMs) <= withinMs)
    if (near.length === 0) return
    const found = near.reduce((a, b) => (b.toMs - b.fromMs > a.toMs - a.fromMs ? b : a))
    const from = bounds[anchor] as number
    const stretch = (found.toMs - from) / (expectedMs - from)
    const shiftMs = found.toMs - expectedMs
    for (let j = anchor + 1; j < bounds.length; j += 1) bounds[j] = j <= i + 1 ? from + ((bounds[j] as number) - from) * stretch : (bounds[j] as number) + shiftMs
    anchor = i + 1
  })
  return bounds
}

/** The boundary that is nearest to a quiet stretch; any within it is on it. */
function nearestTo(bounds: readonly number[], fromMs: number, toMs: number): Readonly<{ index: number; offMs: number }> {
  const off = bounds.map((ms) => Math.max(0, fromMs - ms, ms - toMs))
  const offMs = Math.min(...off)
  return { index: off.indexOf(offMs), offMs }
}
