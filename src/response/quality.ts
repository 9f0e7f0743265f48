import type { SpeakableText } from '../core/speakable-text.ts'
import type { CompanyContext } from './company-context.ts'
import { sentences } from './sentences.ts'
import { numbersAsFigures } from './spoken-numbers.ts'
import { renderText, type TemplateScope } from './templates.ts'

/** One sentence is never longer than this, whoever wrote it: about forty seconds of speech. */
const MAX_SPEAKABLE_CHARS = 600

/**
 * The one sanitizer. Returns text that may be spoken, or null where nothing speakable is left: markup, links, code, JSON,
 * "null", emoji and invisible characters never reach a voice.
 */
export function toSpeakable(text: string): SpeakableText | null {
  let clean = text
    .normalize('NFKC')
    .replace(/```[\s\S]*?(?:```|$)/g, ' ')
    .replace(/<(?:script|style)[\s\S]*?<\/(?:script|style)>/gi, ' ')
    .replace(/<[^>\n]{0,200}>/g, ' ')
    .replace(/!?\[([^\]\n]{0,200})\]\([^)\n]*\)/g, '$1')
    .replace(/\b(?:https?|ftp|file|data|javascript):\S+/gi, ' ')
    .replace(/\bwww\.\S+/gi, ' ')
    .replace(/(?:^|\s)(?:[\w.-]*\/){2,}[\w.-]*/g, ' ')
    .replace(/\S+\.(?:mp3|wav|json|ya?ml|html?|js|ts|php)\b\S*/gi, ' ')
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu, ' ')
    .replace(/[\p{Extended_Pictographic}\p{So}\u{FE0F}]/gu, ' ')
    .replace(/[‘’]/g, "'")
    .replace(/[“”]/g, '"')
    .replace(/\s[–—]\s|—|–/g, ', ')
    .replace(/^\s*(?:#{1,6}|>|[-*+]|\d{1,2}\))\s+/, '')
    .replace(/[*_`~^|\\]+/g, ' ')
  if (looksLikeData(clean)) return null
  clean = clean
    .replace(/[{}[\]<>=#@]/g, ' ')
    .replace(/&(?:amp;)?/g, ' and ')
    .replace(/\b(?:null|undefined|NaN|\[object Object\])\b[.,]?/g, ' ')
    .replace(/\s+([,.!?;:])/g, '$1')
    .replace(/([!?.,])\1{1,}/g, '$1')
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/^[,.;:!?\s]+/, '')
  if (clean.length > MAX_SPEAKABLE_CHARS) clean = clean.slice(0, clean.lastIndexOf(' ', MAX_SPEAKABLE_CHARS))
  return /[\p{L}\p{N}]/u.test(clean) ? (clean as SpeakableText) : null
}

function looksLikeData(text: string): boolean {
  return /\{\{|\}\}|\{%|%\}|"\s*:\s*["{[\dtfn]|^\s*[{[].*[}\]]\s*$|^\s*\w+:\s*$|^---$/s.test(text)
}

/** Every price, time, telephone number and other number a text may claim, with its kind. */
export type Facts = ReadonlySet<string>

/** One context's facts, as long as the hours sound the same: reading them all takes some milliseconds, and every answer asks. */
const KNOWN_FACTS = new WeakMap<CompanyContext, Readonly<{ key: string; facts: Facts }>>()

/** The facts of one company: everything an admin wrote, as it is said. */
export function factsOf(context: CompanyContext, scope: TemplateScope): Facts {
  const key = JSON.stringify([scope['hours'], scope['open_now'], scope['prices']])
  const known = KNOWN_FACTS.get(context)
  if (known?.key === key) return known.facts
  const facts = readFacts(context, scope)
  KNOWN_FACTS.set(context, { key, facts })
  return facts
}

function readFacts(context: CompanyContext, scope: TemplateScope): Facts {
  const facts = new Set<string>()
  const add = (text: string): void => {
    for (const claim of claims(text)) facts.add(claim)
  }
  const { company, agent } = context
  for (const entry of context.entryById.values()) {
    if (!entry.enabled) continue
    add(renderText(`${entry.answer} ${entry.followUp}`, scope) ?? '')
  }
  const hours = scope['hours']
  if (typeof hours === 'object') for (const spoken of Object.values(hours)) if (typeof spoken === 'string') addTimes(facts, spoken)
  const prices = scope['prices']
  if (typeof prices === 'object') for (const spoken of Object.values(prices)) add(String(spoken))
  for (const text of Object.values(company.variables)) add(text)
  for (const template of agent.templates) add(renderText(template.text, scope) ?? '')
  for (const line of Object.values(agent.lines)) for (const text of Array.isArray(line) ? line : [line]) add(text)
  for (const zip of company.serviceZipCodes) facts.add(`number:${zip}`)
  for (const rule of agent.emergencyRules) add(rule.say)
  return facts
}

/** "eight to five" names times without saying so. */
function addTimes(facts: Set<string>, spoken: string): void {
  for (const claim of claims(spoken)) {
    facts.add(claim)
    facts.add(claim.replace(/^number:/, 'time:'))
  }
}

/** True when everything the sentence claims is one of the facts. */
export function traceable(text: string, facts: Facts): boolean {
  for (const claim of claims(text)) {
    if (facts.has(claim)) continue
    if (claim.startsWith('number:') && facts.has(claim.replace('number:', 'time:'))) continue
    return false
  }
  return true
}

/** "It is 89 dollars, from eight to 5 p.m." -> price:89, number:8, time:5. Words and figures read the same. */
export function claims(text: string): string[] {
  const figures = numbersAsFigures(
    text
      .toLowerCase()
      .replace(/(\d),(?=\d{3}\b)/g, '$1')
      .replace(/\$\s*(\d+(?:\.\d+)?)/g, '$1 dollars')
      .replace(/([ap])\.?\s?m\b\.?/g, (whole: string, half: string, offset: number, all: string) => (/[\d\s]/.test(all[offset - 1] ?? '') ? ` ${half}m ` : whole))
      .replace(/(\d{1,2}):(\d\d)/g, '$1 $2')
      .replace(/[-–—]/g, ' ')
      .replace(/[()]/g, ' ')
      .replace(/[,;:!?"]/g, ' ')
      .replace(/\.(?!\d)/g, ' ')
      .replace(/%/g, ' percent')
      .replace(/\s+/g, ' ')
      .trim(),
  )
  const found: string[] = []
  const tokens = figures.split(' ')
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index] as string
    if (token === 'noon' || token === 'midnight') found.push(`time:${token}`)
    if (token === 'free' && tokens[index - 1] !== 'feel' && tokens[index - 1] !== 'toll') found.push('price:free')
    if (!/^\+?\d/.test(token)) continue
    const digits = token.replace(/^\+/, '')
    const next = tokens[index + 1] ?? ''
    if (/^(?:dollars?|bucks?|cents?|usd)$/.test(next)) found.push(`price:${digits}`)
    else if (/^[ap]m$|^o'clock$/.test(next)) found.push(`time:${digits.replace(/^0/, '')}`)
    else if (digits.length >= 7) found.push(`phone:${digits}`)
    else found.push(`number:${digits.replace(/^0(?=\d)/, '')}`)
  }
  return found
}

export type DraftSentence = Readonly<{ text: SpeakableText; isAcknowledgement: boolean }>

const ACKNOWLEDGEMENT = /^(?:sure|okay|ok|of course|certainly|absolutely|great|alright|all right|got it|no problem|great question|good question|right)[.!,]/i
const GREETING = /^(?:hi|hello|hey|good (?:morning|afternoon|evening)|welcome)\b[^.?]*[.!,]/i

/**
 * The sentences of a reply as they may be said: speakable, one acknowledgement at most, no second greeting, no sentence twice,
 * within the word cap. The first sentence always stays, so a reply is never cut to nothing.
 */
export function polish(texts: readonly string[], options: Readonly<{ maxWords: number; greeted: boolean }>): SpeakableText[] {
  const kept: SpeakableText[] = []
  let wordCount = 0
  let acknowledged = false
  for (const text of texts.flatMap((part) => sentences(part))) {
    const opened = options.greeted ? withoutOpening(text, GREETING) : text
    const calm = acknowledged ? withoutOpening(opened, ACKNOWLEDGEMENT) : opened
    const speakable = toSpeakable(calm)
    if (speakable === null || kept.includes(speakable)) continue
    const count = speakable.split(' ').length
    if (kept.length > 0 && wordCount + count > options.maxWords) break
    acknowledged ||= ACKNOWLEDGEMENT.test(speakable)
    wordCount += count
    kept.push(speakable)
  }
  return kept
}

function withoutOpening(text: string, opening: RegExp): string {
  const rest = text.replace(opening, '').trim()
  return rest === '' ? '' : rest === text ? text : `${rest[0]?.toUpperCase()}${rest.slice(1)}`
}
