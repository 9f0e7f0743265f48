import { z } from 'zod'
import type { LeadInput } from '../booking/effect.ts'
import type { Service } from '../tenancy/booking-config.ts'
import type { TransferTarget } from '../tenancy/company.ts'
import type { Answer, Turn } from './answer-step.ts'
import { LINES } from './built-in-lines.ts'
import { offerHelp, toPerson } from './call-handling.ts'
import type { ModelTool } from './model-engine.ts'
import { toSpeakable } from './quality.ts'
import { targetById } from './transfer-target.ts'
import { plainText } from './words.ts'

/** What a model may ask for, each by its own leave: an agent's `engines.tools`. */
export const MODEL_TOOLS = ['transfer', 'send-message', 'book', 'hang-up'] as const
export type ModelToolName = (typeof MODEL_TOOLS)[number]

/** What became of the model's wish: words and deeds of ours, never the model's. */
export type ToolOutcome = Pick<Answer, 'intent' | 'texts' | 'action' | 'expect' | 'dialogue'> & Readonly<{ lead?: LeadInput }>

/** How an appointment begins to be made: the first question, or a person who makes it. */
export type BeginBooking = (turn: Turn, service: Service) => ToolOutcome

/** Where nobody asks for dates: a person does, or a message is left. */
export const bookByPerson: BeginBooking = (turn) => ({ intent: 'model:book', ...offerHelp(turn, [], 0) })

/** A message that a person reads on a small screen. */
const MAX_SUMMARY_CHARS = 300
/** Longer than a farewell: then the caller wants something, whatever the model makes of it. */
const FAREWELL_WORDS = 8

/** The tools for this company at this moment, as a strict schema. An unlisted tool, target or service is not there to be asked for. */
export function toolsFor(turn: Turn): ModelTool[] {
  const { company, agent } = turn.question.context
  const targets = listed(company.transferTargets)
  const services = company.services.filter((service) => service.enabled)
  const tools: Record<ModelToolName, ModelTool | null> = {
    transfer:
      targets.length === 0
        ? null
        : tool('transfer', `Connects the caller with a person: ${targets.map((target) => `${target.id} is ${target.label}`).join(', ')}.`, {
            to: { type: 'string', enum: targets.map((target) => target.id), description: 'Whom the caller asked for.' },
          }),
    'send-message': tool('send-message', "Leaves a message for the company's people, who call back.", {
      summary: { type: 'string', description: 'What the caller wants, in one sentence, in the words of the caller.' },
      caller_name: { type: ['string', 'null'], description: 'As the caller gave it; null if not given.' },
    }),
    book:
      services.length === 0
        ? null
        : tool('book', 'The caller wants an appointment: begins asking what is needed for it.', {
            service: { type: 'string', enum: services.map((service) => service.id), description: services.map((service) => `${service.id} is ${service.name}`).join(', ') },
          }),
    'hang-up': tool('hang-up', 'The caller has said goodbye and wants nothing more.', {}),
  }
  return agent.engines.tools.flatMap((name) => tools[name] ?? [])
}

/**
 * Judges what the model asked for. Null: it asked for something that is not there, or not so. A person is connected, and the line hung
 * up, at once only if the caller's own words say so, else the caller is asked; a destination is one of the company's list or none.
 */
export function judgeToolCall(turn: Turn, name: string, argumentsJson: string, beginBooking: BeginBooking): ToolOutcome | null {
  const { agent, company } = turn.question.context
  const wanted = agent.engines.tools.find((tool) => tool === name)
  const given = wanted === undefined ? undefined : parsed(argumentsJson)
  if (wanted === undefined || given === undefined) return refuse(turn, name, 'not one of the tools')
  switch (wanted) {
    case 'transfer': {
      const fields = transferSchema.safeParse(given)
      const target = fields.success ? targetById(company, fields.data.to) : null
      if (target === null) return refuse(turn, name, 'not a target of the company')
      if (asksForPerson(turn.plain, target)) return { ...toPerson(turn, target), intent: 'model:transfer' }
      return ask('model:transfer', `Would you like me to connect you with ${target.label}?`, { kind: 'transfer', entryId: null, targetId: target.id })
    }
    case 'send-message': {
      const fields = messageSchema.safeParse(given)
      if (!fields.success) return refuse(turn, name, 'arguments do not fit')
      const summary = toSpeakable(fields.data.summary)
      if (summary === null) return refuse(turn, name, 'an empty message')
      const callerName = fields.data.caller_name === null ? null : saidByCaller(turn, fields.data.caller_name)
      const lead: LeadInput = { kind: 'message', formId: null, callerName, phoneNumberE164: numberOf(turn), summary, slots: {} }
      return { intent: 'model:message', texts: [], lead, expect: { kind: 'yes-no' }, dialogue: { offer: { kind: 'more', entryId: null } } }
    }
    case 'book': {
      const fields = bookSchema.safeParse(given)
      const service = fields.success ? company.services.find((candidate) => candidate.enabled && candidate.id === fields.data.service) : undefined
      if (service === undefined) return refuse(turn, name, 'not a service of the company')
      return beginBooking(turn, service)
    }
    case 'hang-up': {
      if (!emptySchema.safeParse(given).success) return refuse(turn, name, 'arguments do not fit')
      if (!soundsLikeFarewell(turn)) return ask('model:hang-up', LINES.anythingElse, { kind: 'more', entryId: null })
      return { intent: 'model:hang-up', texts: [agent.lines.goodbye], action: { kind: 'hang-up', reason: 'goodbye' } }
    }
  }
}

const transferSchema = z.strictObject({ to: z.string().max(64) })
const messageSchema = z.strictObject({ summary: z.string().min(3).max(MAX_SUMMARY_CHARS * 2).transform((text) => text.slice(0, MAX_SUMMARY_CHARS)), caller_name: z.string().max(80).nullable() })
const bookSchema = z.strictObject({ service: z.string().max(64) })
const emptySchema = z.strictObject({})

function tool(name: ModelToolName, description: string, properties: Readonly<Record<string, unknown>>): ModelTool {
  return { name, description, parameters: { type: 'object', properties, required: Object.keys(properties), additionalProperties: false } }
}

function listed(targets: readonly TransferTarget[]): TransferTarget[] {
  return targets.filter((target) => target.enabled && !target.onCall)
}

function parsed(argumentsJson: string): unknown {
  try {
    return argumentsJson.trim() === '' ? {} : JSON.parse(argumentsJson)
  } catch {
    return undefined
  }
}

function refuse(turn: Turn, name: string, why: string): null {
  // The name is the model's word: its beginning is enough to see what it was.
  turn.trace('tool', { refused: name.slice(0, 40), why })
  return null
}

function ask(intent: string, text: string, offer: NonNullable<NonNullable<Answer['dialogue']>['offer']>): ToolOutcome {
  return { intent, texts: [text], expect: { kind: 'yes-no' }, dialogue: { offer } }
}

/** The caller's own words ask for somebody, or name this one. */
function asksForPerson(plain: string, target: TransferTarget): boolean {
  const named = [target.label, ...target.aliases].some((name) => ` ${plain} `.includes(` ${plainText(name)} `))
  return named || /\b(?:speak|talk|connect|transfer|put me through|person|human|someone|somebody|representative|operator)\b/.test(plain)
}

function soundsLikeFarewell(turn: Turn): boolean {
  return turn.plain.split(' ').length <= FAREWELL_WORDS && !turn.text.includes('?') && !/\b(?:how|what|when|where|who|why|can|could|do|does|is|are)\b/.test(turn.plain)
}

/** A name is the caller's, or it is nobody's. */
function saidByCaller(turn: Turn, name: string): string | null {
  const said = plainText([...turn.question.history.filter((line) => line.who === 'caller').map((line) => line.text), turn.text].join(' '))
  const wanted = plainText(name)
  return wanted !== '' && ` ${said} `.includes(` ${wanted} `) ? (toSpeakable(name) ?? null) : null
}

/** The number the call came from; a number that a model wrote down is nobody's. */
function numberOf(turn: Turn): string | null {
  return /^\+[1-9]\d{6,14}$/.test(turn.question.from) ? turn.question.from : null
}
