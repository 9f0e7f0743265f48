import { createKnowledgeIndex } from '../response/knowledge.ts'
import { templateProblem, templateScope } from '../response/templates.ts'
import { agentSchema, type Agent } from '../tenancy/agent.ts'
import type { Company } from '../tenancy/company.ts'

/** What a caller may have said by the time a template speaks: its words are there then. */
const SAID_BY_CALLER = { zip: { digits: '33901', spoken: 'three three nine oh one' } }

/** What keeps a text with variables from being said by this company at this moment; null when nothing does. */
export function textProblemIn(company: Company, agent: Agent | null, wallTime: Date): (text: string) => string | null {
  const speaker = agent ?? nobodyYet(company)
  const known = templateScope({ company, agent: speaker, knowledge: createKnowledgeIndex(company.id, [], 0, null), entryById: new Map() }, wallTime)
  const scope = { ...known, ...SAID_BY_CALLER }
  return (text) => (text.includes('{') ? templateProblem(text, scope) : null)
}

/** A company may write its answers before it has an agent to say them. */
function nobodyYet(company: Company): Agent {
  return agentSchema.parse({
    id: company.agentId,
    companyId: company.id,
    name: 'Agent',
    personality: { name: 'Agent' },
    greeting: { text: 'Hello.', emergencyText: 'Hello.' },
    voice: {},
  })
}
