import { join } from 'node:path'
import { loadCompanyFile } from '../../../src/response/company-file.ts'
import { openEmbeddedStore } from '../../../src/storage/embedded-store.ts'
import { seedCompanies } from '../../../src/storage/seed.ts'
import { knowledgeEntrySchema, type KnowledgeEntry } from '../../../src/tenancy/knowledge-entry.ts'

/** More than any bench has callers for. */
const NO_LIMITS = { concurrentCalls: 1000, minutesPerDay: 100_000 }

/** Polar Bay Air with every answer left to a model to word, and `topics` more to ask about. For servers started with DEMO_COMPANIES=false. */
export async function seedGenerated(dataDir: string, topics: readonly Readonly<{ question: string; answer: string }>[] = []): Promise<void> {
  const file = loadCompanyFile(join(import.meta.dirname, '../../../media/companies/polar-bay-air.json'))
  const more = topics.map(({ question, answer }, index): KnowledgeEntry =>
    knowledgeEntrySchema.parse({ id: `topic-${index}`, companyId: file.company.id, question, answer, mode: 'generated' }),
  )
  const worded = file.knowledge.map((entry) => ({ ...entry, mode: 'generated' as const, followUp: '', offer: 'none' as const }))
  const store = await openEmbeddedStore({ dataDir, onProblem: (problem) => console.error(problem) })
  try {
    await seedCompanies(store, [{ company: { ...file.company, limits: { ...file.company.limits, ...NO_LIMITS } }, agent: { ...file.agent, templates: [] }, knowledge: [...worded, ...more] }])
  } finally {
    await store.close()
  }
}
