import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { ClientsViaError } from '../core/errors.ts'
import { agentSchema, type Agent } from '../tenancy/agent.ts'
import { companySchema, type Company } from '../tenancy/company.ts'
import { knowledgeEntrySchema, type KnowledgeEntry } from '../tenancy/knowledge-entry.ts'

export type CompanyFile = Readonly<{ company: Company; agent: Agent; knowledge: readonly KnowledgeEntry[] }>

const companyFileSchema = z
  .strictObject({ company: companySchema, agent: agentSchema, knowledge: z.array(knowledgeEntrySchema).max(2000) })
  .superRefine((file, context) => {
    const refuse = (path: (string | number)[], message: string): void => context.addIssue({ code: 'custom', path, message })
    if (file.agent.companyId !== file.company.id) refuse(['agent', 'companyId'], `must be ${file.company.id}`)
    if (file.company.agentId !== file.agent.id) refuse(['company', 'agentId'], `must be ${file.agent.id}`)
    const seen = new Set<string>()
    for (const [index, entry] of file.knowledge.entries()) {
      if (entry.companyId !== file.company.id) refuse(['knowledge', index, 'companyId'], `must be ${file.company.id}`)
      if (seen.has(entry.id)) refuse(['knowledge', index, 'id'], `"${entry.id}" is taken`)
      seen.add(entry.id)
    }
  })

/** Reads a company from JSON. Throws CONFIG_INVALID with every field that is wrong. */
export function loadCompanyFile(path: string): CompanyFile {
  let raw: unknown
  try {
    raw = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new ClientsViaError('CONFIG_INVALID', `${path}: ${error instanceof Error ? error.message : 'cannot be read'}`, { path }, { cause: error })
  }
  const result = companyFileSchema.safeParse(raw)
  if (result.success) return result.data
  const problems = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  throw new ClientsViaError('CONFIG_INVALID', `${path}: ${problems.join('; ')}`, { path, problems })
}
