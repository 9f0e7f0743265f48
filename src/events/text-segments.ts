/** How a text goes over the air: in how many parts, each of which is paid for. */
export type TextSegments = Readonly<{ encoding: 'GSM-7' | 'UCS-2'; segments: number; /** GSM septets or UTF-16 units. */ units: number }>

/** 3GPP TS 23.038, the default alphabet and its extension; a character of the extension takes two septets. */
const BASIC = new Set('@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà')
const EXTENSION = new Set('\f^{}\\[~]|€')
/** A part of several loses room to the header that joins them. */
const ROOM = { 'GSM-7': { alone: 160, joined: 153 }, 'UCS-2': { alone: 70, joined: 67 } } as const

/** One character outside GSM's alphabet, a curly quote or a dash, more than doubles what a text costs. */
export function textSegments(text: string): TextSegments {
  const widths = [...text].map((character) => (BASIC.has(character) ? 1 : EXTENSION.has(character) ? 2 : null))
  const isGsm = !widths.includes(null)
  const encoding = isGsm ? 'GSM-7' : 'UCS-2'
  // Neither an escaped character nor a surrogate pair is cut in two.
  const parts = isGsm ? widths.map((width) => width ?? 0) : [...text].map((character) => character.length)
  const units = parts.reduce((sum, width) => sum + width, 0)
  const { alone, joined } = ROOM[encoding]
  if (units <= alone) return { encoding, segments: units === 0 ? 0 : 1, units }
  let segments = 1
  let used = 0
  for (const width of parts) {
    if (used + width > joined) {
      segments += 1
      used = 0
    }
    used += width
  }
  return { encoding, segments, units }
}

/** Typographic characters as GSM has them, so that a name with a curly apostrophe does not double the price. */
export function asGsm(text: string): string {
  return text.replace(/[‘’‚′]/g, "'").replace(/[“”„″]/g, '"').replace(/[–—−]/g, '-').replace(/…/g, '...').replace(/[\u00a0\u2009\u202f]/g, ' ')
}
