import { digitRuns, type DigitRun } from '../core/digit-runs.ts'

export type PrivateKind = 'card number' | 'security code' | 'social security number'

/** What the words before make likely. Frozen; in memory only, for as long as the call lasts. */
export type RedactionState = Readonly<{
  /** Digits at the very end of what was said, which the next words may go on with. Never stored. */
  trailingDigits: string
  /** Turns for which digits are taken for a card's: somebody has spoken of a card. */
  cardTurns: number
  /** Turns for which three or four digits are taken for a security code. */
  codeTurns: number
  /** Turns for which nine digits, or the last four, are taken for a social security number. */
  socialTurns: number
}>

export type Redacted = Readonly<{ text: string; state: RedactionState; found: readonly PrivateKind[] }>

export const NOTHING_SAID: RedactionState = Object.freeze({ trailingDigits: '', cardTurns: 0, codeTurns: 0, socialTurns: 0 })

/** A card's digits come within this many turns of the word "card". */
const CONTEXT_TURNS = 3

/**
 * Takes card numbers, security codes and social security numbers out of a caller's words: the first thing that happens to a
 * transcript, before logs, records, prompts or speculation see it. For a partial transcript use the text and drop the state; for the
 * final one keep the state for the next turn.
 *
 * A card number is 13 to 19 digits of a known brand that pass the Luhn check; or 12 and more that begin like a card, since a digit may
 * be misheard, unless they were called something else; or, once a card was spoken of, any longer run. Where nobody spoke of a card and
 * the number comes in pieces, pieces that could be a telephone number are left until the twelfth digit: at most 11 leading digits stay.
 *
 * `asksNumber`: a telephone number or the like was asked for. A whole one is then what it looks like, and a house number behind it does
 * not go on with it; what passes for a card is one all the same.
 */
export function redact(text: string, state: RedactionState = NOTHING_SAID, { asksNumber = false }: Readonly<{ asksNumber?: boolean }> = {}): Redacted {
  const named = contextOf(text)
  const said = { ...named, phone: named.phone || (asksNumber && !named.card) }
  const cardTurns = said.card ? CONTEXT_TURNS : state.cardTurns
  const socialTurns = said.social ? CONTEXT_TURNS - 1 : state.socialTurns
  let codeTurns = said.code ? CONTEXT_TURNS : state.codeTurns
  const found: PrivateKind[] = []
  const spans: Span[] = []
  const runs = digitRuns(text)
  let carried = runs[0] !== undefined && isFirstWord(text, runs[0]) ? state.trailingDigits : ''
  for (const run of runs) {
    const context = { card: cardTurns > 0, code: codeTurns > 0, social: socialTurns > 0, phone: said.phone, otherNumber: said.otherNumber, codeJustNamed: said.code, carried, chatty: isChatty(text) }
    const hits = hitsIn(run, context)
    for (const hit of hits) {
      spans.push(hit)
      if (!found.includes(hit.kind)) found.push(hit.kind)
      if (hit.kind === 'card number') codeTurns = CONTEXT_TURNS
    }
    carried = ''
  }
  const last = runs.at(-1)
  const isAnswer = asksNumber && last !== undefined && isTelephoneNumber(last.digits)
  const trailing = last !== undefined && !isAnswer && isLastWord(text, last) ? ((runs.length === 1 && isFirstWord(text, last) ? state.trailingDigits : '') + last.digits).slice(-MAX_CARD_DIGITS) : ''
  return {
    text: replaced(text, spans),
    state: Object.freeze({
      // Nothing was said that could end a number: a cough between two halves.
      trailingDigits: text.trim() === '' ? state.trailingDigits : trailing,
      cardTurns: found.includes('card number') ? CONTEXT_TURNS : Math.max(0, said.card ? CONTEXT_TURNS : cardTurns - 1),
      codeTurns: Math.max(0, found.includes('card number') || said.code ? CONTEXT_TURNS : codeTurns - 1),
      socialTurns: Math.max(0, said.social ? CONTEXT_TURNS - 1 : socialTurns - 1),
    }),
    found,
  }
}

/** Somebody has spoken of a card, a code or a social security number: its digits may come next. */
export function expectsPrivate(state: RedactionState): boolean {
  return state.cardTurns > 0 || state.codeTurns > 0 || state.socialTurns > 0
}

type Context = Readonly<{ card: boolean; code: boolean; social: boolean; phone: boolean; otherNumber: boolean; codeJustNamed: boolean; carried: string; chatty: boolean }>
type Span = Readonly<{ start: number; end: number; kind: PrivateKind }>

const MAX_CARD_DIGITS = 19
/** Shorter runs are telephone numbers, dates and prices. */
const LIKELY_CARD_DIGITS = 12

function hitsIn(run: DigitRun, context: Context): Span[] {
  const whole = (kind: PrivateKind): Span[] => [{ start: (run.tokens[0] as Token).start, end: (run.tokens.at(-1) as Token).end, kind }]
  const { digits } = run
  const joined = context.carried + digits
  if (isSocial(run, context)) return whole('social security number')
  // The digits go on from the turn before: the whole number is looked at, this turn's part of it is taken out.
  if (context.carried !== '' && !run.international && (hasCard(joined) || (joined.length >= LIKELY_CARD_DIGITS && beginsLikeCard(joined) && !context.phone))) return whole('card number')
  if (!run.international) {
    const card = cardWindow(run)
    if (card !== null) return [card, ...codesAfter(run, card)]
    if (digits.length >= LIKELY_CARD_DIGITS && beginsLikeCard(digits) && !context.phone && (context.card || !context.otherNumber)) return whole('card number')
  }
  if (context.card && !context.phone && digits.length >= 5 && !isTelephoneNumber(digits)) return whole('card number')
  // Four by four, as it stands on the card.
  if (context.card && !context.phone && digits.length === 4 && !context.codeJustNamed && !context.chatty) return whole('card number')
  if (context.code && (digits.length === 3 || digits.length === 4) && (context.codeJustNamed || !context.chatty)) return whole('security code')
  return []
}

type Token = DigitRun['tokens'][number]

/** The longest card that begins at the earliest place in the run. */
function cardWindow(run: DigitRun): Span | null {
  for (const first of run.tokens.keys()) {
    let digits = ''
    let best: Span | null = null
    for (const token of run.tokens.slice(first)) {
      digits += token.digits
      if (digits.length > MAX_CARD_DIGITS) break
      if (hasCard(digits)) best = { start: (run.tokens[first] as Token).start, end: token.end, kind: 'card number' }
    }
    if (best !== null) return best
  }
  // A card inside one written block, for example with its expiry date stuck to it.
  const block = run.tokens.find((token) => token.digits.length > MAX_CARD_DIGITS && beginsLikeCard(token.digits))
  return block === undefined ? null : { start: block.start, end: block.end, kind: 'card number' }
}

/** What follows a card number in the same breath is its date and its code. */
function codesAfter(run: DigitRun, card: Span): Span[] {
  const rest = run.tokens.filter((token) => token.start >= card.end)
  const [first, last] = [rest[0], rest.at(-1)]
  return first === undefined || last === undefined ? [] : [{ start: first.start, end: last.end, kind: 'security code' }]
}

function isSocial(run: DigitRun, context: Context): boolean {
  const { digits, groups } = run
  if (context.carried !== '' && context.social && (context.carried + digits).length === 9) return true
  if (digits.length === 9 && groups.join('-') === '3-2-4') return !/^(000|666)/.test(digits)
  return context.social && (digits.length === 9 || digits.length === 4 || (digits.length > 4 && digits.length < 9))
}

/** ISO/IEC 7812: brands by their first digits and lengths, and the Luhn check. */
function hasCard(digits: string): boolean {
  return BRANDS.some((brand) => brand.lengths.includes(digits.length) && brand.begins.test(digits)) && passesLuhn(digits)
}

const BRANDS: readonly Readonly<{ begins: RegExp; lengths: readonly number[] }>[] = [
  { begins: /^4/, lengths: [13, 16, 19] },
  { begins: /^(5[1-5]|2[2-7])/, lengths: [16] },
  { begins: /^3[47]/, lengths: [15] },
  { begins: /^(6011|64[4-9]|65)/, lengths: [16, 19] },
  { begins: /^62/, lengths: [16, 17, 18, 19] },
  { begins: /^(30[0-5]|3[689])/, lengths: [14, 16] },
  { begins: /^35/, lengths: [16] },
  { begins: /^(50|5[6-9]|6)/, lengths: [13, 14, 15, 16, 17, 18, 19] },
]

function beginsLikeCard(digits: string): boolean {
  return /^(4|5|6|3[04-9]|2[2-7])/.test(digits)
}

/** North American: area code and exchange never begin with 0 or 1. Somebody who pays by card also leaves a number to call back. */
function isTelephoneNumber(digits: string): boolean {
  return /^1?[2-9]\d{2}[2-9]\d{6}$/.test(digits)
}

function passesLuhn(digits: string): boolean {
  let sum = 0
  for (let at = 0; at < digits.length; at++) {
    const digit = Number(digits[digits.length - 1 - at])
    const doubled = at % 2 === 1 ? digit * 2 : digit
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}

function contextOf(text: string): { card: boolean; code: boolean; social: boolean; phone: boolean; otherNumber: boolean } {
  return {
    card: /\b(credit|debit|card|visa|master ?card|amex|american express|discover|diners)\b/i.test(text) && !/\b(gift|business|report|insurance|calling|post) ?card\b/i.test(text),
    code: /\b(c\.?v\.?v\.?2?|c\.?v\.?c\.?2?|c\.?v\.?2|see vee vee|c v v|c v c|security code|verification code|(?:three|four|3|4)[- ]digit code|(?:number|digits|code)s? on the (?:back|front))\b/i.test(text),
    social: /\b(social|social security|s\.?s\.?n\.?|ss number)\b/i.test(text) && !/\bsocial (media|worker|club|event)\b/i.test(text),
    otherNumber: /\b(member|policy|group|insurance|subscriber|serial|model|order|invoice|confirmation|tracking|ticket|case|claim)\b/i.test(text),
    phone: /\b(phone|telephone|cell|mobile|call me|call back|callback|reach me|text me|area code|my number is|fax|extension|zip|zip code|postal)\b/i.test(text),
  }
}

/** More than a few words beside the digits: an address, a date, a story. */
function isChatty(text: string): boolean {
  const inRuns = digitRuns(text).reduce((count, run) => count + run.tokens.length, 0)
  return (text.match(/[\p{L}\d']+/gu)?.length ?? 0) - inRuns > 7
}

const BEFORE_DIGITS = /^(?:[^\p{L}\d]|um|uh|er|okay|ok|and|then|yeah|yes|it's|its|so|it|is|the|rest)*$/iu

function isFirstWord(text: string, run: DigitRun): boolean {
  return BEFORE_DIGITS.test(text.slice(0, (run.tokens[0] as Token).start).replaceAll(/\s+/g, ''))
}

function isLastWord(text: string, run: DigitRun): boolean {
  return /^(?:[^\p{L}\d]|um|uh|er|okay|ok|and|then|yeah)*$/iu.test(text.slice((run.tokens.at(-1) as Token).end).replaceAll(/\s+/g, ''))
}

/** Spans come in order and never overlap. */
function replaced(text: string, spans: readonly Span[]): string {
  let result = ''
  let at = 0
  for (const span of spans) {
    result += `${text.slice(at, span.start)}[${span.kind}]`
    at = span.end
  }
  return result + text.slice(at)
}
