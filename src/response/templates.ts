import { Liquid, type Template } from 'liquidjs'
import { LRUCache } from 'lru-cache'
import type { CompanyContext } from './company-context.ts'
import { hoursAt, type HoursNow } from './spoken-hours.ts'

/** What a text may speak of: plain strings and flags, nothing that reaches further. */
export type TemplateScope = Readonly<Record<string, string | boolean | Readonly<Record<string, string | boolean>>>>

/** Company, agent, hours, prices and variables at one moment. An expired price is not there, so a text that names it is not said. */
export function templateScope(context: CompanyContext, wallTime: Date, hours: HoursNow = hoursAt(context.company, wallTime)): TemplateScope {
  const { company, agent } = context
  const today = wallTime.toISOString().slice(0, 10)
  const prices: Record<string, string> = {}
  for (const [key, price] of Object.entries(company.prices)) {
    if (price.validUntil === null || price.validUntil >= today) prices[key] = price.spoken
  }
  return {
    company: { name: company.name, industry: company.industry },
    agent: { name: agent.personality.name, role: agent.personality.role },
    hours: { week: hours.week, today: hours.today, closes: hours.closes, next_open: hours.nextOpen },
    open_now: hours.open,
    prices,
    variables: company.variables,
  }
}

/** Templates and answers of a few hundred companies; a parsed text is a few kilobytes. */
const PARSED_TEXTS = new LRUCache<string, readonly Template[]>({ max: 5000 })

/** Of wall time: a text takes microseconds, and a machine that is busy elsewhere may stop any of them for a tenth of a second. */
const RENDER_WITHIN_MS = 500

/** No files, no includes, own properties only, and bounded work: a text is data an admin typed. */
const LIQUID = new Liquid({
  templates: {},
  relativeReference: false,
  ownPropertyOnly: true,
  strictVariables: true,
  strictFilters: true,
  lenientIf: true,
  parseLimit: 20_000,
  renderLimit: RENDER_WITHIN_MS,
  memoryLimit: 200_000,
})

/** To Liquid everything has a size, the scope itself too: a form's slot of that name, not filled, would be "0". */
const NO_SIZE = { size: undefined } as const

/** The text with its variables filled in; null when it names something the company does not have, or is not valid Liquid. */
export function renderText(text: string, scope: TemplateScope): string | null {
  if (!text.includes('{')) return text
  try {
    let parsed = PARSED_TEXTS.get(text)
    if (parsed === undefined) {
      parsed = LIQUID.parse(text)
      PARSED_TEXTS.set(text, parsed)
    }
    const rendered: unknown = LIQUID.renderSync([...parsed], { ...NO_SIZE, ...scope })
    return typeof rendered === 'string' ? rendered.replace(/\s+/g, ' ').trim() : null
  } catch (error) {
    if (isLiquidError(error)) return null
    throw error
  }
}

/** What is wrong with a text, in the template engine's words; null when it renders. For the API and the company files. */
export function templateProblem(text: string, scope: TemplateScope): string | null {
  try {
    LIQUID.parseAndRenderSync(text, { ...NO_SIZE, ...scope })
    return null
  } catch (error) {
    if (isLiquidError(error)) return error.message
    throw error
  }
}

function isLiquidError(error: unknown): error is Error {
  return error instanceof Error && /^(?:ParseError|RenderError|UndefinedVariableError|TokenizationError|AssertionError|LiquidErrors)$/.test(error.name)
}

/** The agent's own wording for an intent: highest priority that fits the hour and renders. Null: none. */
export function chooseTemplate(context: CompanyContext, intents: readonly string[], scope: TemplateScope): { id: string; text: string } | null {
  const fitting = context.agent.templates
    .filter((template) => intents.includes(template.intent))
    .filter((template) => template.when === 'always' || (template.when === 'open') === (scope['open_now'] === true))
    .sort((a, b) => b.priority - a.priority || Number(a.when === 'always') - Number(b.when === 'always'))
  for (const template of fitting) {
    const text = renderText(template.text, scope)
    if (text !== null) return { id: template.id, text }
  }
  return null
}
