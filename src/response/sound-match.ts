import { LRUCache } from 'lru-cache'
import { contentWeight, likeness, word, type Word } from './words.ts'

/** A stretch of the heard words that may stand for one word of the company's: its place, and what it is like. */
export type Reading = Readonly<{ from: number; to: number; stem: string; quality: number }>

/** A recogniser splits a strange word in two or three ("free on", "del to"); more than that is another sentence. */
const MAX_JOINED_WORDS = 3
/** The longest names of a trade are not longer. */
const MAX_JOINED_LETTERS = 15
/** Callers of one company say a few thousand different words; each entry is under a kilobyte. */
const CACHED_WORDS = 2000
/** How much of the likeness is sound, the rest is spelling: consonants survive a telephone line, vowels only half. */
const SOUND_SHARE = 0.65
/** The longer a word, the less its likeness can be chance. By the length of its consonant skeleton. */
const MIN_QUALITY = { short: 0.8, middle: 0.74, long: 0.68 } as const
/** Words run together explain a little less than a word heard as one. */
const JOINED_QUALITY = 0.95
/** "Free yon": a part that means something itself must sound very much like the whole. */
const HALF_KNOWN_QUALITY = 0.85

/**
 * Reads heard words as the words a company's callers use. "Pleading" is bleeding where gums are treated. A heard word that the
 * company knows is taken as heard.
 */
export class SoundMatch {
  readonly #known: readonly Known[]
  readonly #byText: ReadonlyMap<string, string>
  readonly #stems: ReadonlySet<string>
  readonly #cache = new LRUCache<string, readonly Alike[]>({ max: CACHED_WORDS })

  /** `known`: the words of the company's phrases that carry meaning. */
  constructor(known: Iterable<Word>) {
    const byText = new Map<string, string>()
    for (const item of known) byText.set(item.text, item.stem)
    this.#byText = byText
    this.#stems = new Set(byText.values())
    this.#known = [...byText.keys()].map((text) => ({ word: word(text), sounds: soundSet(word(text).sound) }))
  }

  knows(heard: Word): boolean {
    return this.#stems.has(heard.stem)
  }

  readings(heard: readonly Word[]): readonly Reading[] {
    const found: Reading[] = []
    for (const [from, first] of heard.entries()) {
      for (const alike of this.#alike(first)) found.push({ from, to: from, ...alike })
      let text = first.text
      for (let to = from + 1; to < Math.min(heard.length, from + MAX_JOINED_WORDS); to++) {
        const next = heard[to] as Word
        text += next.text
        const exact = this.#byText.get(text)
        if (exact !== undefined) found.push({ from, to, stem: exact, quality: 1 })
        else if (text.length <= MAX_JOINED_LETTERS && this.#areStrange(heard.slice(from, to + 1))) {
          const isHalfKnown = heard.slice(from, to + 1).some((part) => part.text.length > 2 && this.knows(part))
          for (const alike of this.#alike(word(text))) {
            if (isHalfKnown && alike.quality < HALF_KNOWN_QUALITY) continue
            found.push({ from, to, stem: alike.stem, quality: alike.quality * JOINED_QUALITY })
          }
        }
      }
    }
    return found
  }

  /** One of them at least carries meaning and is no word the company uses. */
  #areStrange(parts: readonly Word[]): boolean {
    return parts.some((part) => contentWeight(part.text) === 1 && !this.knows(part))
  }

  #alike(heard: Word): readonly Alike[] {
    if (this.knows(heard)) return [{ stem: heard.stem, quality: this.#byText.has(heard.text) ? 1 : 0.97 }]
    if (contentWeight(heard.text) < 1) return []
    const cached = this.#cache.get(heard.text)
    if (cached !== undefined) return cached
    const best = new Map<string, number>()
    const sounds = soundSet(heard.sound)
    for (const known of this.#known) {
      if (!mayBeAlike(heard, sounds, known)) continue
      const quality = Math.max(likeness(heard, known.word), soundLikeness(heard, known.word))
      if (quality > (best.get(known.word.stem) ?? 0)) best.set(known.word.stem, quality)
    }
    const alike = [...best].map(([stem, quality]) => ({ stem, quality }))
    this.#cache.set(heard.text, alike)
    return alike
  }
}

type Known = Readonly<{ word: Word; sounds: number }>
type Alike = Readonly<{ stem: string; quality: number }>

/** 0, or how much two words are alike on a bad line, 0.68 to 1. */
export function soundLikeness(a: Word, b: Word): number {
  const length = Math.min(a.sound.length, b.sound.length)
  if (length < 3 || /\d/.test(a.text) || /\d/.test(b.text)) return 0
  const least = length === 3 ? MIN_QUALITY.short : length === 4 ? MIN_QUALITY.middle : MIN_QUALITY.long
  const sound = 1 - editCost(a.sound, b.sound, CONFUSED_COST) / Math.max(a.sound.length, b.sound.length)
  // Spelling is looked at only where it can still decide.
  if (SOUND_SHARE * sound + 1 - SOUND_SHARE < least) return 0
  const spelling = 1 - editCost(a.text, b.text, 1) / Math.max(a.text.length, b.text.length)
  const quality = SOUND_SHARE * sound + (1 - SOUND_SHARE) * spelling
  return quality >= least ? quality : 0
}

/** Cheap enough to ask of every word: the same beginning, which carries a word's stress, and as many sounds in common as a likeness needs. */
function mayBeAlike(heard: Word, sounds: number, known: Known): boolean {
  const begins = heard.sound.charAt(0)
  const beginsKnown = known.word.sound.charAt(0)
  if (begins !== beginsKnown && !CONFUSED.has(begins + beginsKnown)) return false
  const isShort = known.word.sound.length <= 4
  if (Math.abs(heard.sound.length - known.word.sound.length) > (isShort ? 1 : 2)) return false
  return bitCount(sounds ^ known.sounds) <= (isShort ? 2 : 3)
}

function soundSet(sound: string): number {
  let set = 0
  for (const char of sound) set |= 1 << (char.charCodeAt(0) % 31)
  return set
}

function bitCount(set: number): number {
  let count = 0
  for (let left = set; left !== 0; left &= left - 1) count++
  return count
}

/** Consonants that a band of 300 to 3400 Hz leaves hard to tell apart, in the letters of double metaphone ("0" is "th"). */
const CONFUSED: ReadonlySet<string> = new Set(['MN', 'PTK', 'FS0X', 'TJX', 'LR', '0T', 'PF'].flatMap((group) => [...group].flatMap((a) => [...group].map((b) => a + b))))
/** Half an error: as much as a lost consonant in a word twice as long. */
const CONFUSED_COST = 0.5

/** Least sum of letters lost, added and replaced; replacing one sound by another that is easily confused costs `confusedCost`. */
function editCost(a: string, b: string, confusedCost: number): number {
  let row = new Float64Array(b.length + 1).map((_, index) => index)
  let next = new Float64Array(b.length + 1)
  for (let i = 1; i <= a.length; i++) {
    next[0] = i
    const left = a.charAt(i - 1)
    for (let j = 1; j <= b.length; j++) {
      const right = b.charAt(j - 1)
      const cost = left === right ? 0 : confusedCost < 1 && CONFUSED.has(left + right) ? confusedCost : 1
      next[j] = Math.min((row[j - 1] as number) + cost, (row[j] as number) + 1, (next[j - 1] as number) + 1)
    }
    const done = row
    row = next
    next = done
  }
  return row[b.length] as number
}
