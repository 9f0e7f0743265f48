/** One difference: where, and what was there before and after. `undefined` on one side: it was not there. */
export type ConfigChange = Readonly<{ path: string; before: unknown; after: unknown }>

/** Counts and dates that the store keeps in the document: they differ between any two saves and say nothing. */
const BOOKKEEPING = new Set(['version', 'draftVersion', 'publishedAt', 'createdAt', 'updatedAt'])

/**
 * What changed between two versions of a document, by path, in the order of the paths. Members of a list that have ids are compared
 * by id, so that a rule that moved is not a rule that changed; other lists are compared whole.
 */
export function configDiff(before: Readonly<Record<string, unknown>>, after: Readonly<Record<string, unknown>>): readonly ConfigChange[] {
  const changes: ConfigChange[] = []
  compareObjects(without(before), without(after), '', changes)
  return changes.sort((a, b) => (a.path < b.path ? -1 : 1))
}

function without(document: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(document).filter(([key]) => !BOOKKEEPING.has(key)))
}

function compareObjects(before: Readonly<Record<string, unknown>>, after: Readonly<Record<string, unknown>>, path: string, changes: ConfigChange[]): void {
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    compare(before[key], after[key], path === '' ? key : `${path}.${key}`, changes)
  }
}

function compare(before: unknown, after: unknown, path: string, changes: ConfigChange[]): void {
  if (isRecord(before) && isRecord(after)) return compareObjects(before, after, path, changes)
  const byIdBefore = membersById(before)
  const byIdAfter = membersById(after)
  if (byIdBefore !== null && byIdAfter !== null) return compareObjects(byIdBefore, byIdAfter, path, changes)
  if (!sameValue(before, after)) changes.push({ path, before, after })
}

function membersById(value: unknown): Record<string, unknown> | null {
  if (!Array.isArray(value)) return null
  const members: Record<string, unknown> = {}
  for (const member of value) {
    if (!isRecord(member) || typeof member['id'] !== 'string') return null
    members[member['id']] = member
  }
  return members
}

export function sameValue(left: unknown, right: unknown): boolean {
  if (left === right) return true
  if (Array.isArray(left) && Array.isArray(right)) return left.length === right.length && left.every((value, index) => sameValue(value, right[index]))
  if (!isRecord(left) || !isRecord(right)) return false
  const keys = new Set([...Object.keys(left), ...Object.keys(right)])
  return [...keys].every((key) => sameValue(left[key], right[key]))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
