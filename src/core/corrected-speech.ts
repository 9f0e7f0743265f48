/**
 * The parts of a sentence that its speaker puts right on the way, in order: "Tuesday, no, Wednesday morning" is two, and of what both say
 * the later one counts. One part where nothing is put right. Words alone do not tell "no, Wednesday" from "no later than Wednesday": a lone
 * "no" or "sorry" puts something right only where the voice, or the recogniser's comma, sets it apart, or days stand on both sides of it.
 */
export function correctedParts(text: string): readonly string[] {
  const parts = text.split(CORRECTION).map((part) => part.trim()).filter((part) => /[\p{L}\p{N}]/u.test(part))
  return parts.length === 0 ? [text] : parts
}

const DAY = '(?:mon|tues|wednes|thurs|fri|satur|sun)day|today|tomorrow'
const LONE = 'no|nope|sorry|wait|actually|rather|correction'
/** No marker needs a comma that says what it is by itself. */
const PLAIN = [
  'no (?:wait|sorry|actually|i mean|i meant|i said|make (?:it|that)|rather)', 'sorry (?:no|i mean|i meant)', 'wait (?:no|sorry)', 'actually (?:no|make (?:it|that))',
  'i mean', 'i meant(?: to say)?', 'or rather', 'scratch that', 'let me (?:correct|change) that(?: to)?', 'change (?:it|that) to',
  "(?<!\\b(?:can't|cannot|couldn't|won't|not|to|didn't) )make (?:it|that)",
].join('|')
/** "No later than ten", "no mornings", "no thanks" deny, and put nothing right. */
const NOT_DENIED = "(?!(?:later|earlier|sooner|more|less|mornings?|afternoons?|evenings?|weekends?|preference|particular|problem|matter|other|idea|rush|thanks|thank)\\b|(?:mon|tues|wednes|thurs|fri|satur|sun)days\\b)"
const CORRECTION = new RegExp(
  [
    `(?:^|[\\s,.;:!?–—-]+)(?:(?:oh|uh|um|well|and|but)[\\s,]+)*(?:(?:${LONE})[\\s,.;!]+)*\\b(?:${PLAIN})\\b[\\s,.;:!]*`,
    `(?:^|\\s*[,.;:!?–—]|\\s-)\\s*(?:(?:oh|uh|um|well|and|but)[\\s,]+)*(?:(?:${LONE})[\\s,.;!]+)*\\b(?:${LONE})\\b[\\s,.;:!]+${NOT_DENIED}`,
    `\\s(?:(?:oh|uh|um)[\\s,]+)*(?:${LONE})\\s*[,.;:!–—]\\s*${NOT_DENIED}`,
    `(?<=\\b(?:${DAY}|morning|afternoon|evening)) (?:no|sorry) (?=(?:on |next |this )?(?:${DAY})\\b)`,
  ].join('|'),
  'i',
)
