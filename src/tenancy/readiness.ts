import type { Agent } from './agent.ts'
import { WEEKDAYS, type Company } from './company.ts'
import type { KnowledgeEntry } from './knowledge-entry.ts'

/** One thing a company needs before callers reach it. `blocks`: without it a call cannot be answered at all. */
export type ReadinessPart = Readonly<{ name: string; ok: boolean; blocks: boolean; detail: string }>
export type ReadinessReport = Readonly<{ percent: number; canTakeCalls: boolean; parts: readonly ReadinessPart[] }>

/** Below this many answers most questions end in "I don't know". */
const ENOUGH_ENTRIES = 10

/** What cannot be said as it stands: ids of entries and of templates. */
export type Unsayable = Readonly<{ entries: readonly string[]; templates: readonly string[] }>

export function readinessOf(
  company: Company,
  published: Agent | null,
  draft: Agent | null,
  entries: readonly KnowledgeEntry[],
  unsayable: Unsayable,
): ReadinessReport {
  const enabled = entries.filter((entry) => entry.enabled)
  const openDays = WEEKDAYS.filter((day) => company.hours[day].length > 0)
  const onCall = company.transferTargets.filter((target) => target.enabled && target.onCall)
  const reachable = company.transferTargets.filter((target) => target.enabled)
  const needsOnCall = (published?.emergencyRules ?? []).some((rule) => rule.then !== 'nothing')
  const parts: ReadinessPart[] = [
    part('status', company.status === 'active', true, company.status === 'active' ? 'active' : `calls are not answered by the agent: ${company.status}`),
    part('phone-number', company.phoneNumbers.length > 0, true, counted(company.phoneNumbers.length, 'number')),
    part('published-agent', published !== null, true, published === null ? `agent ${company.agentId} has no published version` : `version ${published.version}`),
    part('draft', draft === null || published === null || sameDraft(draft, published), false, 'the draft has changes that callers do not hear yet'),
    part('hours', openDays.length > 0, false, counted(openDays.length, 'open day')),
    part('knowledge', enabled.length >= ENOUGH_ENTRIES, false, `${counted(enabled.length, 'entry', 'entries')} of the ${ENOUGH_ENTRIES} a caller expects at least`),
    part('answers', unsayable.entries.length === 0, false, named('answers that cannot be said', unsayable.entries)),
    part('templates', unsayable.templates.length === 0, false, named('templates that cannot be said', unsayable.templates)),
    part('transfer', reachable.length > 0, false, counted(reachable.length, 'transfer target')),
    part('on-call', !needsOnCall || onCall.length > 0, false, needsOnCall ? counted(onCall.length, 'person on call', 'people on call') : 'no rule asks for one'),
  ]
  return {
    percent: Math.round((100 * parts.filter((one) => one.ok).length) / parts.length),
    canTakeCalls: parts.every((one) => one.ok || !one.blocks),
    parts,
  }
}

function part(name: string, ok: boolean, blocks: boolean, detail: string): ReadinessPart {
  return { name, ok, blocks, detail: ok && detail.startsWith('the draft') ? 'published as it stands' : detail }
}

/** A publish freezes the draft as it is: the draft's own count tells whether it was saved since. */
function sameDraft(draft: Agent, published: Agent): boolean {
  return draft.draftVersion === published.draftVersion
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

function named(what: string, ids: readonly string[]): string {
  return ids.length === 0 ? 'every one can be said' : `${what}: ${ids.slice(0, 10).join(', ')}`
}
