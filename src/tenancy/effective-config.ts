import type { Agent } from './agent.ts'
import { agentSchema } from './agent.ts'
import { companySchema, type Company } from './company.ts'
import { sameValue } from './config-diff.ts'

/** One setting as calls read it, and where it comes from. */
export type EffectiveSetting = Readonly<{ path: string; value: unknown; source: 'company' | 'agent' | 'default' }>

/** Kept by the store, set by nobody. */
const BOOKKEEPING = new Set(['version', 'draftVersion', 'publishedAt', 'createdAt', 'updatedAt', 'companyId'])

/**
 * Every setting a call runs on. `default` is a value that equals the product's own: whether somebody typed it or left it out makes no
 * difference to a call.
 */
export function effectiveConfig(company: Company, agent: Agent | null): readonly EffectiveSetting[] {
  const { id, name, industry, timeZone, agentId } = company
  const plainCompany = companySchema.parse({ id, name, industry, timeZone, agentId })
  const settings = settingsOf('company', company, plainCompany, new Set(['id', 'name', 'industry', 'timeZone', 'agentId']))
  if (agent === null) return settings
  const plainAgent = agentSchema.parse({
    id: agent.id,
    companyId: agent.companyId,
    name: agent.name,
    personality: { name: agent.personality.name },
    greeting: { text: agent.greeting.text, emergencyText: agent.greeting.emergencyText },
    voice: {},
  })
  const required = new Set(['id', 'name', 'personality.name', 'greeting.text', 'greeting.emergencyText'])
  return [...settings, ...settingsOf('agent', agent, plainAgent, required)]
}

function settingsOf(
  origin: 'company' | 'agent',
  document: Readonly<Record<string, unknown>>,
  defaults: Readonly<Record<string, unknown>>,
  required: ReadonlySet<string>,
): EffectiveSetting[] {
  const settings: EffectiveSetting[] = []
  const visit = (value: unknown, standard: unknown, path: string): void => {
    // A record such as prices has no default members: it is one setting.
    if (isRecord(value) && isRecord(standard) && Object.keys(standard).length > 0) {
      for (const [key, member] of Object.entries(value)) visit(member, standard[key], `${path}.${key}`)
      return
    }
    const isDefault = !required.has(path) && sameValue(value, standard)
    settings.push({ path: `${origin}.${path}`, value, source: isDefault ? 'default' : origin })
  }
  for (const [key, value] of Object.entries(document)) {
    if (!BOOKKEEPING.has(key)) visit(value, defaults[key], key)
  }
  return settings
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
