import { configDiff } from './config-diff.ts'
import type { ImportRow } from './knowledge-csv.ts'
import { knowledgeEntrySchema, type KnowledgeEntry } from './knowledge-entry.ts'

export type ImportProblem = Readonly<{ row: number; field: string; message: string }>
export type ImportPlan = Readonly<{
  create: readonly KnowledgeEntry[]
  update: readonly KnowledgeEntry[]
  unchanged: number
  problems: readonly ImportProblem[]
}>

/** Counted by calls and kept by the store: an import neither sets nor loses it. */
const STORE_FIELDS = ['companyId', 'usage', 'version', 'createdAt', 'updatedAt']

/**
 * What an import would do, without doing it. A row is an existing entry when it has its id, or no id and its question; fields that
 * the row leaves out stay as they are. `checkText` gives what is wrong with an answer's wording, null when nothing is.
 */
export function planImport(
  companyId: string,
  existing: readonly KnowledgeEntry[],
  rows: readonly ImportRow[],
  newId: () => string,
  checkText: (text: string) => string | null,
): ImportPlan {
  const byId = new Map(existing.map((entry) => [entry.id, entry]))
  const byQuestion = new Map(existing.map((entry) => [questionKey(entry.question), entry]))
  const seen = new Map<string, number>()
  const create: KnowledgeEntry[] = []
  const update: KnowledgeEntry[] = []
  const problems: ImportProblem[] = []
  let unchanged = 0
  for (const { row, fields } of rows) {
    const refuse = (field: string, message: string): void => void problems.push({ row, field, message })
    const owned = STORE_FIELDS.filter((field) => field in fields)
    for (const field of owned) refuse(field, 'is kept by the store and cannot be imported')
    if (owned.length > 0) continue
    const before = entryOf(fields, byId, byQuestion)
    const parsed = knowledgeEntrySchema.safeParse({ id: before?.id ?? newId(), ...before, ...fields, companyId })
    if (!parsed.success) {
      for (const issue of parsed.error.issues) {
        if (issue.code === 'unrecognized_keys') for (const key of issue.keys) refuse(key, 'is not a known field')
        else refuse(issue.path.join('.'), issue.message)
      }
      continue
    }
    const entry = parsed.data
    const earlier = seen.get(entry.id)
    if (earlier !== undefined) {
      refuse('id', `is the entry of row ${earlier} again`)
      continue
    }
    seen.set(entry.id, row)
    for (const field of ['answer', 'followUp'] as const) {
      const problem = checkText(entry[field])
      if (problem !== null) refuse(field, problem)
    }
    if (before === null) create.push(entry)
    else if (configDiff(before, entry).length > 0) update.push(entry)
    else unchanged += 1
  }
  return { create, update, unchanged, problems }
}

function entryOf(
  fields: Readonly<Record<string, unknown>>,
  byId: ReadonlyMap<string, KnowledgeEntry>,
  byQuestion: ReadonlyMap<string, KnowledgeEntry>,
): KnowledgeEntry | null {
  if (typeof fields['id'] === 'string') return byId.get(fields['id']) ?? null
  if (typeof fields['question'] === 'string') return byQuestion.get(questionKey(fields['question'])) ?? null
  return null
}

function questionKey(question: string): string {
  return question.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, ' ').trim()
}
