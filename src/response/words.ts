import { doubleMetaphone } from 'double-metaphone'
import { stemmer } from 'stemmer'

/**
 * A word as the matchers see it: how it is written, its stem and how it sounds. A recogniser on a phone line spells by ear, so
 * "furniss" and "furnace" must meet somewhere.
 */
export type Word = Readonly<{ text: string; stem: string; sound: string }>

/** Words that say nothing about what is asked. Question words stay out of it on purpose only where they carry no topic. */
const STOP_WORDS = new Set(
  `a an the this that these those is are was were be been being am do does did doing done have has had having i me my mine we us our ours you your yours
  youre he she it its they them their and or but so of to in on at for from with by as if then than there here can could would should will shall may
  might must just really very too also please thanks thank okay ok yes yeah yep well um uh uhm hmm like know think want wanted need needed wanna gonna got get
  gets getting tell say said let lets id im ive ill dont doesnt isnt arent wont cant what whats which who whom about some any one guys guy hi hello hey
  good morning afternoon evening today now right actually maybe sort kind thing things something anything somebody someone anybody anyone up out over
  how much many when where why go goes going come comes coming take takes make makes give gives see look looking`.split(/\s+/),
)

/** Words that stop words would drop but that carry the sense of a short question. Weighted low, not zero. */
const WEAK_WORDS = new Set('how much many when where why who come go today now out up want need long often soon late take see'.split(' '))

const CONTRACTIONS: readonly (readonly [RegExp, string])[] = [
  [/\bwon't\b/g, 'will not'],
  [/\bcan't\b/g, 'can not'],
  [/\bcannot\b/g, 'can not'],
  [/n't\b/g, ' not'],
  [/\b(what|who|where|when|how|that|there|here|it|he|she)'s\b/g, '$1 is'],
  [/\b(i)'d\b/g, '$1 would'],
  [/\b(i)'m\b/g, '$1 am'],
  [/'re\b/g, ' are'],
  [/'ll\b/g, ' will'],
  [/'ve\b/g, ' have'],
]

/** The same thing said two ways, in every trade: one spelling. */
const SAME: readonly (readonly [RegExp, string])[] = [
  [/\bair[ -]?condition(?:ing|er|ers|ed)?(?: unit)?\b/g, 'ac'],
  [/\ba[./ ]c\b\.?/g, 'ac'],
  [/\bc[./ ]o (alarm|detector)\b/g, 'co $1'],
  [/\btune[ -]?ups?\b/g, 'tune up'],
  [/\bzip ?codes?\b/g, 'zip code'],
  [/\bdoctor\b/g, 'dr'],
  [/\bcheck[ -]up\b/g, 'checkup'],
  [/\be-?mail\b/g, 'email'],
  [/\b(?:e?x[ -]rays?|ex[ -]?raise[ds]?)\b/g, 'xray'],
  // The first word of a sentence suffers most on a line, the last one next: a recogniser's own renderings of "how much" and "cost".
  [/^(?:found|count|tell|fell|and|hell|a) much\b/g, 'how much'],
  [/\b(what (?:does|do|did|would|will|is) .+|how much (?:does|do|would|will) .+) (?:toss|cause|causes|post|coast|cast|caused)$/g, '$1 cost'],
  [/\bwhat time\b/g, 'when'],
  [/\bfridge\b/g, 'refrigerator'],
  [/\bbroke\b/g, 'broken'],
  [/\bgood[ -]?(?:by|buy)\b/g, 'goodbye'],
  [/\b(thank you|thanks|okay|all) (?:by|buy)$/g, '$1 bye'],
]

const SENTENCE_WORD = /[a-z0-9']+/g

/** Lower case, no punctuation, contractions opened, the company's mishearings put right. */
export function plainText(text: string, mishearings: Readonly<Record<string, string>> = {}): string {
  let plain = text.normalize('NFKC').toLowerCase().replaceAll('’', "'").normalize('NFD').replace(/\p{M}/gu, '')
  for (const [from, to] of CONTRACTIONS) plain = plain.replace(from, to)
  plain = plain.replace(/[^a-z0-9'$./ -]+/g, ' ')
  for (const [from, to] of SAME) plain = plain.replace(from, to)
  plain = plain.replace(/(\d)[.,](?=\d)/g, '$1').replace(/[^a-z0-9' ]+/g, ' ').replace(/(^|\s)'+|'+(?=\s|$)/g, ' ').replace(/\s+/g, ' ').trim()
  plain = replaceMisheard(plain, mishearings)
  for (const [from, to] of SAME) plain = plain.replace(from, to)
  return plain
}

/** A company's list is read with every phrase and every partial. */
const paddedMishearings = new WeakMap<Readonly<Record<string, string>>, readonly (readonly [heard: string, meant: string])[]>()

function replaceMisheard(plain: string, mishearings: Readonly<Record<string, string>>): string {
  let pairs = paddedMishearings.get(mishearings)
  if (pairs === undefined) {
    pairs = Object.entries(mishearings).map(([heard, meant]) => [` ${heard.toLowerCase()} `, ` ${meant.toLowerCase()} `] as const)
    paddedMishearings.set(mishearings, pairs)
  }
  let padded = ` ${plain} `
  for (const [heard, meant] of pairs) if (padded.includes(heard)) padded = padded.replaceAll(heard, meant)
  return padded.trim()
}

const wordCache = new Map<string, Word>()
/** A language has some ten thousand forms in daily use; beyond that the cache is serving noise. */
const WORD_CACHE_SIZE = 20_000

export function word(text: string): Word {
  const known = wordCache.get(text)
  if (known !== undefined) return known
  const made: Word = { text, stem: stemmer(text), sound: /\d/.test(text) ? text : doubleMetaphone(text)[0] }
  if (wordCache.size >= WORD_CACHE_SIZE) wordCache.clear()
  wordCache.set(text, made)
  return made
}

export function words(plain: string): Word[] {
  return (plain.match(SENTENCE_WORD) ?? []).map((text) => word(text))
}

/** How much a word says about the topic: 1 content, 0.25 weak, 0 nothing. */
export function contentWeight(text: string): number {
  if (!STOP_WORDS.has(text.replaceAll("'", ''))) return 1
  return WEAK_WORDS.has(text) ? 0.25 : 0
}

export function contentWords(plain: string): Word[] {
  return words(plain).filter((entry) => contentWeight(entry.text) === 1)
}

/** 1 the same word, less for a word that sounds or is spelt alike, 0 otherwise. */
export function likeness(a: Word, b: Word): number {
  if (a.text === b.text) return 1
  if (a.stem === b.stem) return 0.97
  const short = Math.min(a.text.length, b.text.length)
  if (short < 4 || /\d/.test(a.text) || /\d/.test(b.text)) return 0
  if (a.sound === b.sound && a.sound.length >= 2 && a.text[0] === b.text[0]) return a.sound.length >= 3 ? 0.85 : 0.6
  return short >= 5 && a.text[0] === b.text[0] && withinOneEdit(a.stem, b.stem) ? 0.75 : 0
}

function withinOneEdit(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start++
  let endA = a.length - 1
  let endB = b.length - 1
  while (endA >= start && endB >= start && a[endA] === b[endB]) {
    endA--
    endB--
  }
  return endA - start <= 0 && endB - start <= 0
}
