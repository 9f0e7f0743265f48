import { Liquid, type Template } from 'liquidjs'
import { LRUCache } from 'lru-cache'
import { ClientsViaError } from '../core/errors.ts'
import type { Company } from '../tenancy/company.ts'
import { MESSAGE_CHANNELS, MESSAGE_KINDS, type MessageChannelName, type MessageKind, type MessageTemplate } from '../tenancy/notifications.ts'
import { asGsm, textSegments, type TextSegments } from './text-segments.ts'

/** What a template of a kind may speak of, besides `company.name`, `company.phone` and `company.industry`; with a sample of each. */
export const FACTS: Readonly<Record<MessageKind, Readonly<Record<string, string>>>> = (() => {
  const visit = { customer_name: 'Dana Reyes', service: 'Maintenance visit', when: 'Tue, Mar 3, 8:00 AM', date: 'Tue, Mar 3', time: '8:00 AM', reason: 'no heat upstairs' }
  const caller = { customer_name: visit.customer_name, caller_number: '+1 555 010 0099' }
  return {
    appointment_requested: visit,
    appointment_confirmed: visit,
    appointment_rescheduled: { ...visit, previous_when: 'Mon, Mar 2, 10:00 AM' },
    appointment_cancelled: visit,
    reminder_day_before: visit,
    reminder_hour_before: visit,
    lead_for_people: { ...caller, lead_kind: 'callback', summary: 'Wants a call about a new furnace.', when: visit.when },
    appointment_for_people: { ...visit, caller_number: caller.caller_number, what: 'booked', previous_when: '' },
    change_asked_for_people: { ...visit, caller_number: caller.caller_number },
    missed_call_for_people: { caller_number: caller.caller_number, when: visit.when },
    password_link: { person_name: 'Pat Doe', link: 'https://admin.example.com/reset#token', minutes: '30' },
  }
})()
const COMPANY_FACTS = ['company.name', 'company.phone', 'company.industry']

/** Where what a customer has can be nobody else's business, it is not put into a message. */
export function isHealthCompany(company: Pick<Company, 'industry'>): boolean {
  return /dent|health|medic|clinic|doctor|physic|therap|chiro|optom|vision|derma|pediatr|ortho|psych|counsel|pharm|hospital|hospice|fertil/i.test(company.industry)
}

const STOP = 'Reply STOP to opt out.'
/** Built in, until a company writes its own. Without details of what is wrong: a telephone lies open on a table. */
const BUILT_IN: Readonly<Record<MessageKind, Readonly<Record<MessageChannelName, MessageTemplate>>>> = {
  appointment_requested: both('Your request', `{{ company.name }}: we have your request for {{ when }} and will confirm it soon. ${STOP}`),
  appointment_confirmed: both('Your visit is booked', `{{ company.name }}: you are booked for {{ when }}. Reply C to confirm, R to reschedule. ${STOP}`),
  appointment_rescheduled: both('Your visit has moved', `{{ company.name }}: your visit has moved from {{ previous_when }} to {{ when }}. Reply R if that does not suit you. ${STOP}`),
  appointment_cancelled: both('Your visit is cancelled', `{{ company.name }}: your visit on {{ when }} is cancelled. To book again call {{ company.phone }}. ${STOP}`),
  reminder_day_before: both('Your visit', `{{ company.name }}: a reminder of your visit on {{ when }}. Reply C to confirm, R to reschedule. ${STOP}`),
  reminder_hour_before: both('Your visit today', `{{ company.name }}: see you at {{ time }} today. Questions? Call {{ company.phone }}. ${STOP}`),
  lead_for_people: {
    sms: { subject: '', text: 'New {{ lead_kind }} from {{ customer_name }}, {{ caller_number }}: {{ summary }}' },
    email: { subject: 'New {{ lead_kind }}: {{ customer_name }}', text: '{{ when }}\n\n{{ customer_name }}, {{ caller_number }}\n\n{{ summary }}' },
  },
  appointment_for_people: {
    sms: { subject: '', text: 'Visit {{ what }}: {{ service }}, {{ when }}, {{ customer_name }}, {{ caller_number }}' },
    email: { subject: 'Visit {{ what }}: {{ when }}', text: '{{ service }}\n{{ when }}\n{{ customer_name }}, {{ caller_number }}\n\n{{ reason }}' },
  },
  change_asked_for_people: both('{{ customer_name }} wants another time', '{{ customer_name }}, {{ caller_number }}, wants another time than {{ when }}.'),
  missed_call_for_people: both('A call from {{ caller_number }}', 'Missed call from {{ caller_number }}, {{ when }}.'),
  password_link: both('Set your password', 'Hello {{ person_name }},\n\nset a new password within {{ minutes }} minutes:\n{{ link }}\n\nIf you did not ask for this, do nothing.'),
}
/** For companies whose callers speak of their health: who and when, and nothing of what. */
const BUILT_IN_FOR_HEALTH: Partial<typeof BUILT_IN> = {
  lead_for_people: both('New {{ lead_kind }}', 'New {{ lead_kind }} from {{ caller_number }}. The details are in your account.'),
  appointment_for_people: both('Visit {{ what }}: {{ when }}', 'Visit {{ what }}: {{ when }}, {{ caller_number }}. The details are in your account.'),
}

export function builtInTemplate(company: Pick<Company, 'industry'>, kind: MessageKind, channel: MessageChannelName): MessageTemplate {
  const forHealth = isHealthCompany(company) ? BUILT_IN_FOR_HEALTH[kind] : undefined
  return (forHealth ?? BUILT_IN[kind])[channel]
}

export type RenderedMessage = Readonly<{ subject: string | null; text: string; segments: TextSegments | null }>

/** Twilio joins no more than this. */
const MAX_TEXT_CHARS = 1600
/** A message of a page. */
const MAX_EMAIL_CHARS = 10_000

/** Throws INVALID_INPUT, in words for an admin, when it does not render or is too long; DEADLINE_PASSED when the machine is too busy. */
export function renderMessage(
  company: Pick<Company, 'name' | 'industry' | 'phoneNumbers'>,
  channel: MessageChannelName,
  template: MessageTemplate,
  facts: Readonly<Record<string, string>>,
): RenderedMessage {
  const scope = { company: { name: company.name, industry: company.industry, phone: readableNumber(company.phoneNumbers[0] ?? '') }, ...facts }
  const text = rendered('text', template.text, scope)
  if (text === '') throw invalid('text', 'comes to nothing')
  if (channel === 'email') {
    const subject = rendered('subject', template.subject, scope).replace(/\s+/g, ' ')
    if (text.length > MAX_EMAIL_CHARS) throw invalid('text', `has more than ${MAX_EMAIL_CHARS} characters`)
    return { subject: subject === '' ? company.name : subject, text, segments: null }
  }
  const plain = asGsm(text)
  if (plain.length > MAX_TEXT_CHARS) throw invalid('text', `has more than ${MAX_TEXT_CHARS} characters`)
  return { subject: null, text: plain, segments: textSegments(plain) }
}

export type TemplateReport = Readonly<{ problems: readonly Readonly<{ field: string; message: string }>[]; warnings: readonly string[]; preview: RenderedMessage | null }>

/** More parts than this for the sample is a letter, not a text. */
const MAX_SAMPLE_SEGMENTS = 4
const HEALTH_WORDS = /\b(pain|ache|tooth|teeth|root canal|crown|filling|extraction|implant|cleaning|surgery|diagnos\w*|symptom\w*|treatment|prescri\w*|medication|test results?|pregnan\w*|therapy|infection)\b/i
/** What says, or may say, why somebody comes. */
const TELLING_FACTS = ['reason', 'service', 'summary']

/** What is wrong with a template before it is kept, what is risky about it, and what it comes to with sample facts. */
export function checkTemplate(company: Pick<Company, 'name' | 'industry' | 'phoneNumbers'>, kind: MessageKind, channel: MessageChannelName, template: MessageTemplate): TemplateReport {
  const problems: { field: string; message: string }[] = []
  const warnings: string[] = []
  const allowed = [...COMPANY_FACTS, ...Object.keys(FACTS[kind])]
  for (const field of ['subject', 'text'] as const) {
    if (channel === 'sms' && field === 'subject' && template.subject !== '') problems.push({ field, message: 'a text message has none' })
    // In every branch, not only those that the sample takes.
    for (const name of variablesOf(field, template[field], problems)) {
      if (!allowed.includes(name)) problems.push({ field, message: `there is no {{ ${name} }} here; there are ${allowed.join(', ')}` })
      else if (isHealthCompany(company) && TELLING_FACTS.includes(name)) warnings.push(`{{ ${name} }} may say why somebody comes: what concerns their health has no place in a message`)
    }
  }
  let preview: RenderedMessage | null = null
  if (problems.length === 0) {
    try {
      preview = renderMessage(company, channel, template, FACTS[kind])
    } catch (error) {
      if (!(error instanceof ClientsViaError)) throw error
      problems.push({ field: 'text', message: error.message })
    }
  }
  if (isHealthCompany(company) && HEALTH_WORDS.test(template.text)) warnings.push(`"${HEALTH_WORDS.exec(template.text)?.[0]}" speaks of somebody's health`)
  const segments = preview?.segments ?? null
  if (segments !== null && segments.segments > MAX_SAMPLE_SEGMENTS) problems.push({ field: 'text', message: `takes ${segments.segments} parts to send; ${MAX_SAMPLE_SEGMENTS} at most` })
  else if (segments !== null && segments.segments > 1) warnings.push(`takes ${segments.segments} parts to send (${segments.units} ${segments.encoding} units)`)
  if (segments?.encoding === 'UCS-2') warnings.push(`holds ${strangers(preview?.text ?? '')}: one such character leaves 70 to a part instead of 160`)
  if (channel === 'sms' && CUSTOMER_KINDS.has(kind) && !/\bstop\b/i.test(template.text)) warnings.push('does not say how to opt out (Reply STOP)')
  return { problems, warnings: [...new Set(warnings)], preview }
}

export const CUSTOMER_KINDS: ReadonlySet<MessageKind> = new Set(MESSAGE_KINDS.filter((kind) => !kind.endsWith('_for_people') && kind !== 'password_link'))

/** Every kind on every channel, in order. */
export function* everyTemplate(): Generator<readonly [MessageKind, MessageChannelName]> {
  for (const kind of MESSAGE_KINDS) for (const channel of MESSAGE_CHANNELS) yield [kind, channel]
}

/**
 * A caller's words as part of a text that goes out under a company's name: one line, cut, and no address anybody could tap. Somebody
 * who books under another person's number must not be able to send them to a page of their own.
 */
export function plainFact(words: string, maxChars = 120): string {
  return words
    .replace(/\p{Cf}/gu, '')
    .replace(/\p{Cc}/gu, ' ')
    .replace(/\b(?:https?|ftp)\s*:\s*\/\//gi, '')
    .replace(/(?<=[\p{L}\p{N}])\.(?=\p{L})/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, maxChars)
}

/** '+15550100099' -> '+1 555 010 0099'; others as they are. */
export function readableNumber(phoneNumberE164: string): string {
  return phoneNumberE164.replace(/^\+1(\d{3})(\d{3})(\d{4})$/, '+1 $1 $2 $3')
}

/** Of wall time: a text takes microseconds, and a machine that is busy elsewhere may stop any of them for a tenth of a second. */
const RENDER_WITHIN_MS = 500
/** As response/templates.ts: no files, own properties only, bounded work. Not that one: a message keeps its line breaks. */
const LIQUID = new Liquid({ templates: {}, relativeReference: false, ownPropertyOnly: true, strictVariables: true, strictFilters: true, lenientIf: true, parseLimit: 20_000, renderLimit: RENDER_WITHIN_MS, memoryLimit: 200_000 })
const PARSED = new LRUCache<string, Template[]>({ max: 2000 })

function parsed(text: string): Template[] {
  const known = PARSED.get(text)
  if (known !== undefined) return known
  const fresh = LIQUID.parse(text)
  PARSED.set(text, fresh)
  return fresh
}

function rendered(field: string, text: string, scope: object): string {
  try {
    return String(LIQUID.renderSync([...parsed(text)], scope)).replace(/[ \t]+/g, ' ').trim()
  } catch (error) {
    // Too slow today is no fault of the text: a message is tried again, not buried.
    if (isLiquidError(error) && /render limit exceeded/.test(error.message)) throw new ClientsViaError('DEADLINE_PASSED', `${field}: took too long to be put together`, { field })
    if (isLiquidError(error)) throw invalid(field, error.message.split('\n')[0] ?? 'is not valid')
    throw error
  }
}

function variablesOf(field: string, text: string, problems: { field: string; message: string }[]): readonly string[] {
  try {
    return LIQUID.globalFullVariablesSync(text, { partials: false })
  } catch (error) {
    if (!isLiquidError(error)) throw error
    problems.push({ field, message: error.message.split('\n')[0] ?? 'is not valid' })
    return []
  }
}

function isLiquidError(error: unknown): error is Error {
  return error instanceof Error && /^(?:ParseError|RenderError|UndefinedVariableError|TokenizationError|AssertionError|LiquidErrors)$/.test(error.name)
}

function strangers(text: string): string {
  const odd = [...new Set([...text].filter((character) => textSegments(character).encoding === 'UCS-2'))]
  return odd.slice(0, 5).map((character) => `"${character}"`).join(', ')
}

function both(subject: string, text: string): Readonly<Record<MessageChannelName, MessageTemplate>> {
  return { sms: { subject: '', text }, email: { subject, text } }
}

function invalid(field: string, problem: string): ClientsViaError {
  return new ClientsViaError('INVALID_INPUT', `${field}: ${problem}`, { field })
}
