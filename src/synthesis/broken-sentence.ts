import { decodeMulaw } from '../audio/g711.ts'
import { levelDb } from '../audio/level.ts'
import { estimatedEnds, weightOf } from './word-timing.ts'

/** Plain English at a telephone agent's pace; what a voice is measured at takes its place. */
export const DEFAULT_MS_PER_WEIGHT = 75

const BYTES_A_MS = 8
const HOP_BYTES = 80
const WINDOW_BYTES = 160
/** Vowels and soft consonants differ by 10 dB, sounds and the gaps between them by 20. */
const PAUSE_BELOW_DB = 18

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

/** Where in `tail` a cut is not heard, in bytes: the middle of its quietest stretch if that is a pause between sounds, else its end. */
export function quietestCut(tail: Uint8Array): number {
  const levels: number[] = []
  for (let at = 0; at + WINDOW_BYTES <= tail.length; at += HOP_BYTES) levels.push(levelDb(decodeMulaw(tail.subarray(at, at + WINDOW_BYTES))))
  const quietest = Math.min(...levels)
  if (levels.length === 0 || quietest > Math.max(...levels) - PAUSE_BELOW_DB) return tail.length
  return levels.indexOf(quietest) * HOP_BYTES + WINDOW_BYTES / 2
}

/**
 * What of `text` had not been said after `saidBytes` of audio at this pace; '' if all of it was. The nearest end of a word counts, so the
 * estimate may be off by the part of a word, not by two.
 */
export function unsaid(text: string, saidBytes: number, msPerWeight: number): string {
  const words = text.split(/\s+/).filter((word) => word !== '')
  const saidMs = saidBytes / BYTES_A_MS
  const ends = estimatedEnds(words, weightOf(text) * msPerWeight)
  let said = 0
  while (said < words.length && middleBefore(ends, said) <= saidMs) said += 1
  return words.slice(said).join(' ')
}

/** Halfway through word `index`. */
function middleBefore(ends: readonly number[], index: number): number {
  return ((ends[index - 1] ?? 0) + (ends[index] as number)) / 2
}
