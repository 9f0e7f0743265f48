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
 * the row leaves out stay as they are. Rows may come in pieces: a whole file at once would hold up the calls beside it.
 */
export class ImportPlanner {
  readonly #companyId: string
  readonly #byId: ReadonlyMap<string, KnowledgeEntry>
  readonly #byQuestion: ReadonlyMap<string, KnowledgeEntry>
  readonly #newId: () => string
  readonly #checkText: (text: string) => string | null
  readonly #seen = new Map<string, number>()
  readonly #create: KnowledgeEntry[] = []
  readonly #update: KnowledgeEntry[] = []
  readonly #problems: ImportProblem[] = []
  #unchanged = 0

  /** `checkText` gives what is wrong with an answer's wording, null when nothing is. */
  constructor(companyId: string, existing: readonly KnowledgeEntry[], newId: () => string, checkText: (text: string) => string | null) {
    this.#companyId = companyId
    this.#byId = new Map(existing.map((entry) => [entry.id, entry]))
    this.#byQuestion = new Map(existing.map((entry) => [questionKey(entry.question), entry]))
    this.#newId = newId
    this.#checkText = checkText
  }

  get plan(): ImportPlan {
    return { create: this.#create, update: this.#update, unchanged: this.#unchanged, problems: this.#problems }
  }

  add({ row, fields }: ImportRow): void {
    const refuse = (field: string, message: string): void => void this.#problems.push({ row, field, message })
    const owned = STORE_FIELDS.filter((field) => field in fields)
    for (const field of owned) refuse(field, 'is kept by the store and cannot be imported')
    if (owned.length > 0) return
    const before = this.#entryOf(fields)
    const parsed = knowledgeEntrySchema.safeParse({ id: before?.id ?? this.#newId(), ...before, ...fields, companyId: this.#companyId })
    if (!parsed.success) {
      for (const issue of parsed.error.issues) {
        if (issue.code === 'unrecognized_keys') for (const key of issue.keys) refuse(key, 'is not a known field')
        else refuse(issue.path.join('.'), issue.message)
      }
      return
    }
    const entry = parsed.data
    const earlier = this.#seen.get(entry.id)
    if (earlier !== undefined) return refuse('id', `is the entry of row ${earlier} again`)
    this.#seen.set(entry.id, row)
    for (const field of ['answer', 'followUp'] as const) {
      const problem = this.#checkText(entry[field])
      if (problem !== null) refuse(field, problem)
    }
    if (before === null) this.#create.push(entry)
    else if (configDiff(before, entry).length > 0) this.#update.push(entry)
    else this.#unchanged += 1
  }

  #entryOf(fields: Readonly<Record<string, unknown>>): KnowledgeEntry | null {
    if (typeof fields['id'] === 'string') return this.#byId.get(fields['id']) ?? null
    if (typeof fields['question'] === 'string') return this.#byQuestion.get(questionKey(fields['question'])) ?? null
    return null
  }
}

function questionKey(question: string): string {
  return question.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, ' ').trim()
}
